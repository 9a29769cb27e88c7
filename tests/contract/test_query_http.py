"""What HTTP says around an answer: cursors that stay good, tags, formats asked for, how much is left to ask."""

from __future__ import annotations

from tests.contract.test_query_answers import Asker, ask, store  # noqa: F401  # the same service over the same rows


async def test_asking_again_what_has_not_moved_gives_the_same_cursor_and_it_is_good(ask: Asker) -> None:  # noqa: F811
    first = await ask("users?limit=2&compare=previous")
    again = await ask("users?limit=2&compare=previous")
    assert first["next_cursor"] == again["next_cursor"]
    second = await ask(f"users?limit=2&compare=previous&cursor={first['next_cursor']}")
    assert second["data"]
    assert not {row["user_id"] for row in first["data"]} & {row["user_id"] for row in second["data"]}
    for path in ("models", "tags", "tags/plan", "overview?group_by=day", "overview?group_by=day,model"):
        mark = "&" if "?" in path else "?"
        page = await ask(f"{path}{mark}limit=1")
        await ask(f"{path}{mark}limit=1&cursor={page['next_cursor']}")
