"""The `percapita` command. Exit codes: 0 done, 1 found a difference or failed, 2 wrong usage, 3 cannot reach a service."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline import services
from pipeline.config import ConfigError, Settings, load
from pipeline.errors import PercapitaError, Unavailable
from pipeline.logs import set_up_logs

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False, help=__doc__)
keys_app = typer.Typer(no_args_is_help=True, help="Create, list, rotate and revoke API keys.")
accounts_app = typer.Typer(no_args_is_help=True, help="Create and list accounts.")
letters_app = typer.Typer(no_args_is_help=True, help="List, show, send again and purge what could not be processed.")
app.add_typer(keys_app, name="keys")
app.add_typer(letters_app, name="dead-letters")
app.add_typer(accounts_app, name="accounts")

Data = Annotated[
    Path | None, typer.Option(help="folder of the embedded mode's data; without it, the cluster of the environment")
]
Reason = Annotated[str, typer.Option(help="undecodable, out_of_range or refused_by_store")]
Json = Annotated[bool, typer.Option("--json", help="answer as one JSON object")]


def main() -> None:
    """Entry point: a wrong setting or a service out of reach is one line, never a stack trace."""
    try:
        app()
    except ConfigError as error:
        _fail(str(error), 2)
    except Unavailable as error:
        _fail(error.detail, 3)
    except PercapitaError as error:
        _fail(error.detail, 1)


def _fail(text: str, code: int) -> None:
    typer.echo(f"percapita: {text}", err=True)
    sys.exit(code)


def _settings(**given: Any) -> Settings:
    settings = load()
    # Whatever becomes the working directory: the engine changes it for a while.
    chosen = {name: v.absolute() if isinstance(v, Path) else v for name, v in given.items() if v is not None}
    settings = settings.model_copy(update=chosen)
    set_up_logs(settings.log_level)
    return settings


def _print(answer: Any, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(answer))
    elif isinstance(answer, list):
        for item in answer:
            typer.echo("  ".join(f"{name}={value}" for name, value in item.items()))
    else:
        for name, value in answer.items():
            typer.echo(f"{name}: {value if not isinstance(value, (dict, list)) else json.dumps(value)}")


@app.command()
def up(
    data: Annotated[Path, typer.Option(help="where events, keys and tables are kept")] = Path("data"),
    host: Annotated[str | None, typer.Option()] = None,
    port: Annotated[int | None, typer.Option()] = None,
) -> None:
    """Run everything in this process: ingest, worker, query, on one port, with data on disk."""
    services.up(_settings(data=data, host=host, port=port))


@app.command("sign-in")
def sign_in(
    data: Annotated[Path, typer.Option(help="folder of the embedded mode's data")] = Path("data"), json_: Json = False
) -> None:
    """A link that signs in to the dashboard of the running `percapita up`, good once."""
    _print(services.administer(_settings(data=data), data, "sign_in"), json_)


@app.command()
def collector(
    host: Annotated[str | None, typer.Option()] = None, port: Annotated[int | None, typer.Option()] = None
) -> None:
    """HTTP to Kafka."""
    services.run_collector(_settings(host=host, port=port))


@app.command()
def consumer() -> None:
    """Kafka to ClickHouse: one worker; start as many as there are partitions."""
    services.run_consumer(_settings())


@app.command()
def query(
    host: Annotated[str | None, typer.Option()] = None, port: Annotated[int | None, typer.Option()] = None
) -> None:
    """ClickHouse to answers."""
    services.run_query(_settings(host=host, port=port))


@app.command()
def migrate(
    dry_run: Annotated[bool, typer.Option("--dry-run", "--plan", help="only say what would run")] = False,
    json_: Json = False,
) -> None:
    """Bring the database's tables, and Kafka's topics, to this version."""
    _print(services.run_migrations(_settings(), dry_run=dry_run), json_)


@accounts_app.command("create")
def accounts_create(
    name: str,
    privacy: Annotated[str, typer.Option(help="minimal, standard or full")] = "standard",
    data: Data = None,
    json_: Json = False,
) -> None:
    """Create an account and a key for each scope; the keys are shown once."""
    _print(services.administer(_settings(data=data), data, "create_account", name=name, privacy=privacy), json_)


@accounts_app.command("resource-tags")
def accounts_resource_tags(
    account: str,
    names: Annotated[list[str] | None, typer.Argument(help="names of resource attributes; none: no such tags")] = None,
    data: Data = None,
    json_: Json = False,
) -> None:
    """Which OpenTelemetry resource attributes become tags of the account's spans."""
    _print(services.administer(_settings(data=data), data, "resource_tags", account=account, names=names or []), json_)


@accounts_app.command("list")
def accounts_list(data: Data = None, json_: Json = False) -> None:
    """List accounts."""
    _print(services.administer(_settings(data=data), data, "list_accounts"), json_)


@keys_app.command("create")
def keys_create(
    account: str,
    scope: Annotated[str, typer.Option(help="ingest, read or admin")] = "read",
    name: str = "",
    restriction: Annotated[str, typer.Option(help="tag.org=acme: narrows every question")] = "",
    privacy: Annotated[str | None, typer.Option(help="minimal, standard or full, for what comes in by it")] = None,
    expires_days: Annotated[int, typer.Option(min=0, max=3_650, help="0: never")] = 0,
    data: Data = None,
    json_: Json = False,
) -> None:
    """Create a key of an account; it is shown once."""
    given: dict[str, Any] = {"account": account, "scope": scope, "name": name, "restriction": restriction}
    given |= {"privacy": privacy, "expires_days": expires_days}
    _print(services.administer(_settings(data=data), data, "create_key", **given), json_)


@keys_app.command("list")
def keys_list(account: str = "", data: Data = None, json_: Json = False) -> None:
    """List keys, without their secrets."""
    _print(services.administer(_settings(data=data), data, "list_keys", account=account), json_)


@keys_app.command("rotate")
def keys_rotate(
    key_id: str,
    overlap_hours: Annotated[int, typer.Option(min=0, max=720, help="the old key is good so long")] = 24,
    data: Data = None,
    json_: Json = False,
) -> None:
    """Create a key in the place of another, shown once; the old one ends by itself."""
    given: dict[str, Any] = {"key_id": key_id, "overlap_hours": overlap_hours}
    _print(services.administer(_settings(data=data), data, "rotate_key", **given), json_)


@keys_app.command("revoke")
def keys_revoke(key_id: str, data: Data = None, json_: Json = False) -> None:
    """Revoke a key at once."""
    _print(services.administer(_settings(data=data), data, "revoke_key", key_id=key_id), json_)


@letters_app.command("list")
def letters_list(
    account: str = "",
    reason: Reason = "",
    limit: Annotated[int, typer.Option(min=1)] = 100,
    data: Data = None,
    json_: Json = False,
) -> None:
    """Letters that wait, newest first, without their content."""
    given: dict[str, Any] = {"account": account, "reason": reason, "limit": limit}
    _print(services.administer(_settings(data=data), data, "list_letters", **given), json_)


@letters_app.command("show")
def letters_show(name: str, data: Data = None, json_: Json = False) -> None:
    """One letter, with its event under the account's privacy mode."""
    _print(services.administer(_settings(data=data), data, "show_letter", name=name), json_)


@letters_app.command("replay")
def letters_replay(
    name: Annotated[str, typer.Argument(help="one letter; without it all that wait")] = "",
    account: str = "",
    reason: Reason = "",
    data: Data = None,
    json_: Json = False,
) -> None:
    """Send letters through the log again, each once, with its id and a new time of receipt."""
    given = {"account": account, "reason": reason, "name": name}
    _print(services.administer(_settings(data=data), data, "replay_letters", **given), json_)


@letters_app.command("purge")
def letters_purge(
    name: Annotated[str, typer.Argument(help="one letter; without it all that wait")] = "",
    account: str = "",
    reason: Reason = "",
    yes: Annotated[bool, typer.Option("--yes", help="without this nothing is purged")] = False,
    data: Data = None,
    json_: Json = False,
) -> None:
    """Forget letters for good."""
    if not yes:
        raise typer.BadParameter("purging cannot be undone: say --yes")
    given = {"account": account, "reason": reason, "name": name}
    _print(services.administer(_settings(data=data), data, "purge_letters", **given), json_)


@app.command()
def audit(
    from_: Annotated[str | None, typer.Option("--from", help="RFC 3339 instant")] = None,
    to: Annotated[str | None, typer.Option("--to", help="RFC 3339 instant")] = None,
    repair: Annotated[bool, typer.Option("--repair", help="insert the difference")] = False,
    data: Data = None,
    json_: Json = False,
) -> None:
    """Compare raw rows with their identities and every rollup with raw, to the last digit; exit 1 on a difference."""
    answer = services.administer(_settings(data=data), data, "audit", start=from_, end=to, repair=repair)
    _print(answer, json_)
    if not answer["clean"]:
        sys.exit(1)


@app.command()
def demo(
    events: Annotated[int, typer.Option(min=1)] = 20_000,
    users: Annotated[int, typer.Option(min=1)] = 400,
    days: Annotated[int, typer.Option(min=1, max=89)] = 28,
    seed: int = 1,
    duplicates: Annotated[float, typer.Option(min=0, max=1, help="share of events that are sent twice")] = 0.0,
    truth: Annotated[Path | None, typer.Option(help="write every event sent to this NDJSON file")] = None,
    url: str | None = None,
    key: str | None = None,
    data: Path = Path("data"),
    json_: Json = False,
) -> None:
    """Send realistic traffic of the last days to a running Percapita."""
    given: dict[str, Any] = {
        "events": events,
        "users": users,
        "days": days,
        "seed": seed,
        "duplicates": duplicates,
        "truth": truth,
    }
    _print(services.run_demo(_settings(data=data), url=url, key=key, show=not json_, **given), json_)


@app.command()
def loadgen(
    rate: Annotated[float, typer.Option(help="events a second; 0: as fast as answers come")] = 1000,
    seconds: Annotated[float, typer.Option(min=1)] = 30,
    batch: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    connections: Annotated[int, typer.Option(min=1, max=256)] = 4,
    seed: int = 1,
    url: str | None = None,
    key: str | None = None,
    data: Path = Path("data"),
    json_: Json = False,
) -> None:
    """Send live traffic at a rate, and say what was answered and how fast."""
    given: dict[str, Any] = {"rate": rate, "seconds": seconds, "batch": batch, "connections": connections, "seed": seed}
    _print(services.run_loadgen(_settings(data=data), url=url, key=key, **given), json_)
