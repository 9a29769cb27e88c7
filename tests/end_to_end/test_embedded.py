"""`percapita up` as a process: demo traffic with repeats in, every user's numbers out, equal to a truth computed outside."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipeline import limits
from tests.support.disks import SmallDisk
from tests.support.embedded import Running
from tests.support.needs import need_disks
from tests.support.truth import differences, truth

EVENTS = int(os.environ.get("TRUTH_EVENTS", "20000"))


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    found = Running(tmp_path / "data")
    yield found
    if found.process.poll() is None:
        found.end(signal.SIGKILL)
    assert found.process.stdout is not None
    found.process.stdout.close()


def pages(get: Any, path: str) -> Iterator[Any]:
    cursor = ""
    while True:
        page = get(f"{path}&limit=150{cursor}")
        yield page
        if not page["next_cursor"]:
            return
        cursor = f"&cursor={page['next_cursor']}"


@pytest.mark.timeout(1200)
def test_every_users_numbers_equal_a_truth_computed_outside(running: Running, tmp_path: Path) -> None:
    sent = tmp_path / "sent.ndjson"
    done = running.command("demo", "--events", str(EVENTS), "--duplicates", "0.05", "--truth", str(sent), "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["accepted"] == told["sent"] > EVENTS
    expected = truth(json.loads(line) for line in sent.open())
    assert differences(expected, pages(running.get, "users?window=90d")) == []
    overview = running.get("overview?window=90d")
    assert Decimal(overview["data"]["spend"]) == sum(sums.spend for sums in expected.values())
    assert overview["data"]["events"] == EVENTS
    audit = running.command("audit", "--json")
    assert audit.returncode == 0, audit.stdout
    assert json.loads(audit.stdout)["rows"] == json.loads(audit.stdout)["distinct"] == EVENTS


def test_an_acknowledged_event_is_there_after_kill_9(running: Running) -> None:
    event = {
        "id": "0190a1b2-0000-7000-8000-000000000001", "trace_id": "t-1", "type": "llm", "provider": "openai", "model": "gpt-4o",
        "timestamp": int(time.time() * 1000), "usage": {"prompt_tokens": 1000, "completion_tokens": 100},
        "metadata": {"tags": {"userId": "ada"}},
    }  # fmt: skip
    assert running.post(event) == {"accepted": 1, "rejected": []}
    running.end(signal.SIGKILL)
    running.start()
    assert running.post(event) == {"accepted": 1, "rejected": []}
    users = running.get("users")
    assert [(u["user_id"], u["spend"], u["events"], u["traces"]) for u in users["data"]] == [("ada", "0.0035", 1, 1)]


def test_sigterm_ends_it_with_0_and_commands_open_the_store_afterwards(running: Running) -> None:
    running.post({"type": "log", "logs": ["started"]})
    assert running.end() == 0
    assert running.command("audit", "--json").returncode == 0
    made = running.command("accounts", "create", "acme", "--json")
    assert json.loads(made.stdout).keys() == {"account", "keys"}


def test_the_dev_keys_are_readable_by_their_owner_alone(running: Running) -> None:
    assert (running.data / "dev-keys.json").stat().st_mode & 0o777 == 0o600
    assert running.keys.keys() == {"ingest", "read", "admin"}


def test_a_revoked_key_is_refused(running: Running) -> None:
    listed = json.loads(running.command("keys", "list", "--json").stdout)
    key = next(k for k in listed if k["scopes"] == ["ingest"])
    assert running.command("keys", "revoke", key["id"], "--json").returncode == 0
    with pytest.raises(urllib.error.HTTPError) as refused:
        running.post({"type": "log"})
    assert refused.value.code == 401
    refused.value.close()


def test_the_admin_api_answers_garbage_with_400(running: Running) -> None:
    token = json.loads((running.data / "running.json").read_text())["token"]
    for operation in ("list_keys", "revoke_key", "audit", "nothing"):
        for body in (b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"nobody": 1}', b'{"key_id": 5}'):
            request = urllib.request.Request(f"{running.url}/v1/admin/{operation}", data=body)
            request.add_header("Authorization", f"Bearer {token}")
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(request, timeout=60)
            assert refused.value.code in {400, 404}, (operation, body[:20])
            refused.value.close()


def test_what_was_accepted_outlives_a_disk_that_fills_up(tmp_path: Path) -> None:
    need_disks()
    with SmallDisk(tmp_path / "disk", 400) as disk:
        running = Running(tmp_path / "disk" / "data")
        try:
            for number in range(20):
                running.post({"type": "log", "logs": [str(number)]})
            disk.fill(0.9)
            time.sleep(limits.DISK_LOOK_SECONDS + 0.5)
            with pytest.raises(urllib.error.HTTPError) as refused:
                running.post({"type": "log", "logs": ["refused"]})
            assert (refused.value.code, refused.value.headers["Retry-After"]) == (503, "10")
            refused.value.close()
            running.process.send_signal(signal.SIGSTOP)  # from room enough to none between two looks
            disk.fill()
            running.process.send_signal(signal.SIGCONT)
            assert running.process.wait(20) == os.EX_IOERR
            refusing = running.command("up", "--port", "0")
            assert refusing.returncode == 1
            assert "make room, and start again" in refusing.stderr
            assert "Traceback" not in refusing.stderr
            disk.empty()
            running.start()
            assert running.get("overview?window=1d")["totals"]["events"] == 20
            running.post({"type": "log", "logs": ["taken"]})
            assert running.end() == 0
            assert running.command("audit", "--json").returncode == 0
        finally:
            if running.process.poll() is None:
                running.end(signal.SIGKILL)
            assert running.process.stdout is not None
            running.process.stdout.close()


def _rejected(running: Running, at_least: int) -> dict[str, int]:
    """By code, once so many are told of."""
    for _ in range(100):
        told = [notice for notice in running.get("notices")["data"] if notice["kind"] == "rejected_events"]
        if told and told[0]["count"] >= at_least:
            return {item["name"]: item["count"] for item in told[0]["items"]}
        time.sleep(0.1)
    raise TimeoutError(f"fewer than {at_least} rejections are told of")


def test_what_was_dropped_or_rejected_is_told_under_notices(tmp_path: Path) -> None:
    running = Running(tmp_path / "data")
    try:
        event = {
            "type": "llm",
            "provider": "openai",
            "model": "gpt-4o",
            "usage": {"prompt_tokens": 1, "completion_tokens": 1},
        }
        assert running.post({"events": [event], "dropped": {"queue_full": 7}})["accepted"] == 1
        assert running.post({"events": [], "dropped": {"queue_full": 2, "Ada Lovelace": 1}})["accepted"] == 0
        told = next(notice for notice in running.get("notices")["data"] if notice["kind"] == "dropped_events")
        assert told["items"] == [{"name": "queue_full", "count": 9}, {"name": "other", "count": 1}]
        assert running.get("overview")["data"]["events"] == 1
        assert running.post([{**event, "modle": "gpt-4o"}, {"type": "lm"}])["accepted"] == 0
        assert (
            running.post([{**event, "modle": "gpt-4o"}])["accepted"] == 0
        )  # counted with the first of ten seconds later
        assert _rejected(running, 2) == {"unknown_field": 1, "invalid_value": 1}
        time.sleep(limits.REJECTIONS_SECONDS)
        assert running.post([event, {"type": "lm"}])["accepted"] == 1
        assert _rejected(running, 4) == {"unknown_field": 2, "invalid_value": 2}
    finally:
        running.end()
        assert running.process.stdout is not None
        running.process.stdout.close()
