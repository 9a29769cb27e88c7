"""What each command starts, with real parts put together; the only place that knows embedded from clustered."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import secrets
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from pipeline import admin, demo, keyring, letters, metrics, traffic
from pipeline.config import Settings
from pipeline.embedded import Embedded, find_running, observe, serve_embedded
from pipeline.errors import BadQuestion, PercapitaError, Unavailable
from pipeline.price import PriceBook
from pipeline.process import Context
from pipeline.record import Record
from pipeline.row import DeadLetter
from pipeline.schema import Engines, check_schema, migrate, require_schema
from pipeline.store import ClickHouse, open_clickhouse

_say = structlog.get_logger()


def up(settings: Settings) -> None:
    """The embedded mode, until it is told to end."""
    asyncio.run(serve_embedded(settings))


def _store(settings: Settings) -> ClickHouse:
    return open_clickhouse(
        settings.clickhouse_url,
        database=settings.clickhouse_database,
        user=settings.clickhouse_user,
        password=settings.clickhouse_password.get_secret_value(),
        cluster=settings.clickhouse_cluster,
    )


def _kafka(settings: Settings) -> Any:
    from pipeline.kafka_log import KafkaSettings

    return KafkaSettings(settings.kafka_bootstrap, settings.topic, settings.group, settings.keys_topic)


def run_collector(settings: Settings) -> None:
    """HTTP to Kafka; keys come from the compacted topic, so that it starts and works while ClickHouse is down."""
    from collector.app import create_collector_app
    from collector.main import serve
    from pipeline.kafka_log import KafkaWriter, TopicKeys
    from pipeline.keys import KeyBook

    writer = KafkaWriter(_kafka(settings))
    app = create_collector_app(writer, KeyBook(TopicKeys(_kafka(settings))), clock=keyring.now_us)
    asyncio.run(
        serve(app, settings.host, settings.port, metrics_port=settings.metrics_port, metrics_host=settings.metrics_host)
    )


def run_consumer(settings: Settings) -> None:
    """One worker, and the auditor beside it; SIGTERM finishes what is planned."""
    from consumers.main import serve
    from pipeline.kafka_log import KafkaReader, probe_metadata

    if settings.metrics_port:
        metrics.serve(settings.metrics_port, settings.metrics_host)
    store = _store(settings)
    _until_reachable(lambda: require_schema(store))
    kafka = _kafka(settings)
    _until_reachable(lambda: probe_metadata(kafka))
    serve(
        lambda: KafkaReader(kafka, session_seconds=settings.session_seconds),
        store,
        Context(PriceBook()),
        session_seconds=settings.session_seconds,
        dead_letter_ratio=settings.dead_letter_ratio,
        observe=observe,
    )


def run_query(settings: Settings) -> None:
    """ClickHouse to answers."""
    from collector.main import serve
    from pipeline.keys import KeyBook
    from pipeline.store_keys import ClusterKeys, StoreKeys
    from query.app import create_query_app
    from query.embed import Embeds
    from query.keys import KeyRoutes
    from query.sessions import Ended, Sessions

    store = _store(settings)
    _until_reachable(lambda: require_schema(store))
    book = KeyBook(StoreKeys(store))

    async def authenticate(token: str) -> Any:
        return await asyncio.to_thread(book.verify, token, "read", keyring.now_us())

    async def administrate(token: str) -> Any:
        return await asyncio.to_thread(book.verify, token, "admin", keyring.now_us())

    async def verify(digest: str) -> Any:
        return await asyncio.to_thread(book.verify_hash, digest, "read", keyring.now_us())

    secret = settings.cursor_secret.get_secret_value().encode() or secrets.token_bytes(32)
    app = create_query_app(
        store, authenticate, clock=keyring.now_us, cursor_secret=secret, prices=PriceBook(),
        sessions=Sessions(secret, Ended(store), verify, keyring.now_us), embeds=Embeds(secret, verify, keyring.now_us),
        keys=KeyRoutes(ClusterKeys(store, _kafka(settings)), administrate), ingest_url=settings.ingest_url,
        path_prefix=settings.path_prefix, questions_per_minute=settings.questions_per_minute,
    )  # fmt: skip
    asyncio.run(
        serve(app, settings.host, settings.port, metrics_port=settings.metrics_port, metrics_host=settings.metrics_host)
    )


def _until_reachable(action: Callable[[], None]) -> None:
    """Wait for a service that is not up yet; a schema that does not fit is said at once."""
    for attempt in itertools.count():
        try:
            action()
            return
        except PercapitaError as error:
            if error.status != 503:
                raise
            if attempt % 10 == 0:
                _say.warning("waiting", detail=error.detail)
            time.sleep(1)


def run_migrations(settings: Settings, *, dry_run: bool) -> dict[str, Any]:
    """Tables and topics; answers what ran, or would run."""
    from pipeline.kafka_log import create_topics

    store = _store(settings)
    engines = Engines(settings.clickhouse_cluster)
    if dry_run:
        return {"would_run": [migration.name for migration in check_schema(store)]}
    ran = migrate(store, engines)
    create_topics(_kafka(settings), partitions=settings.partitions, replication=settings.replication)
    return {"ran": [migration.name for migration in ran], "topic": settings.topic}


# --- commands on accounts, keys and tables


def administer(settings: Settings, data: Path | None, operation: str, **given: Any) -> Any:
    """Run an admin operation where the data is: in the running process, in its folder, or in the cluster."""
    if data is None:
        store = _store(settings)
        from pipeline.store_keys import ClusterKeys

        return run_operation(
            ClusterKeys(store, _kafka(settings)), store, operation, given,
            publish=_publisher(settings), fetch=_fetcher(settings),
        )  # fmt: skip
    running = find_running(data)
    if running is not None:
        return _ask_running(running, operation, given)
    if not (data / "store").exists():
        raise BadQuestion(f"{data} holds no data of Percapita; `percapita up --data {data}` makes it", "data")
    embedded = Embedded.open(data)
    try:
        return run_operation(embedded.keys, embedded.store, operation, given)
    finally:
        embedded.close()


def _publisher(settings: Settings) -> letters.Publish:
    """Into Kafka, from a command."""
    from pipeline.kafka_log import KafkaWriter

    async def send(records: Sequence[Record]) -> None:
        writer = KafkaWriter(_kafka(settings))
        try:
            await writer.publish(records)
        finally:
            await writer.close()

    return lambda records: asyncio.run(send(records))


def _fetcher(settings: Settings) -> letters.Fetch:
    """Out of Kafka, as far as its retention goes."""
    from pipeline.kafka_log import read_values

    def fetch(wanted: Sequence[DeadLetter]) -> dict[letters.Place, bytes]:
        return read_values(_kafka(settings), [(w.log_id, w.log_partition, w.log_offset) for w in wanted])

    return fetch


def _nowhere(_: Sequence[Record]) -> None:
    raise BadQuestion("start `percapita up` on this data: dead letters go back through its worker", "data")


def _no_pages() -> str:
    raise BadQuestion("start `percapita up` on this data: the link is to its pages", "data")


def run_operation(
    keys: keyring.KeyStore,
    store: Any,
    operation: str,
    given: dict[str, Any],
    *,
    publish: letters.Publish = _nowhere,
    fetch: letters.Fetch = lambda _: {},
    sign_in: Callable[[], str] = _no_pages,
) -> Any:
    """The one table of admin operations."""
    operations: dict[str, Callable[..., Any]] = {
        "create_account": lambda name, privacy: keyring.create_account(keys, name, privacy=privacy),
        "list_accounts": lambda: [{"id": a.id, "name": a.name, "privacy": a.privacy} for a in keys.accounts()],
        "resource_tags": lambda account, names: keyring.set_resource_tags(keys, account, names),
        "create_key": lambda restriction, expires_days, **k: keyring.create_key(
            keys, restriction=keyring.tags_of(restriction), expires_in=expires_days * 86_400, **k
        ),
        "list_keys": lambda account: keyring.list_keys(keys, account),
        "rotate_key": lambda key_id, overlap_hours: keyring.rotate_key(keys, key_id, overlap=overlap_hours * 3_600),
        "revoke_key": lambda key_id: keyring.revoke_key(keys, key_id),
        "list_letters": lambda limit, **w: letters.list_letters(store, letters.choose(**w), limit),
        "show_letter": lambda name: letters.show_letter(store, name),
        "replay_letters": lambda **w: letters.replay(store, publish, letters.choose(**w), fetch),
        "purge_letters": lambda **w: letters.purge(store, letters.choose(**w)),
        "sign_in": lambda: {"url": sign_in()},
        "audit": lambda start, end, repair: admin.run_audit(store, _instant(start), _instant(end), repair=repair),
    }
    if operation not in operations:
        raise BadQuestion("no such operation", "operation")
    try:
        return operations[operation](**given)
    except TypeError:
        raise BadQuestion("this operation takes other arguments", "arguments") from None


def _instant(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadQuestion("an instant is written 2026-11-24T10:00:00Z", "from") from None
    if moment.tzinfo is None:
        raise BadQuestion("an instant needs an offset, like 2026-11-24T10:00:00Z", "from")
    return int(moment.timestamp())


def _ask_running(running: dict[str, Any], operation: str, given: dict[str, Any]) -> Any:
    request = urllib.request.Request(  # noqa: S310  # the url is of our own file, on loopback
        f"{running['url']}/v1/admin/{operation}",
        data=json.dumps(given).encode(),
        headers={"Authorization": f"Bearer {running['token']}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=600) as answer:  # noqa: S310  # as above
            return json.load(answer)
    except urllib.error.HTTPError as error:
        problem = json.load(error)
        raise BadQuestion(str(problem.get("detail", problem))) from None
    except OSError as error:
        raise Unavailable(f"the running process does not answer: {error}") from None


# --- traffic


def _target(settings: Settings, url: str | None, key: str | None) -> tuple[str, str]:
    """Where to send: as given, by the SDK's variables, or the embedded mode of the data folder."""
    url = url or os.environ.get("PERCAPITA_URL")
    key = key or os.environ.get("PERCAPITA_API_KEY")
    running = find_running(settings.data)
    if not url and running is not None:
        url = str(running["url"])
    if not key and (settings.data / "dev-keys.json").exists():
        key = json.loads((settings.data / "dev-keys.json").read_text(encoding="utf-8"))["ingest"]
    if not url or not key:
        raise BadQuestion("nothing runs here: start `percapita up`, or give --url and --key")
    return url.rstrip("/"), key


@contextlib.contextmanager
def _bar(total: int, title: str) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(title, total=total)
        yield lambda count: progress.advance(task, count)


def run_demo(
    settings: Settings, *, url: str | None, key: str | None, show: bool, events: int, users: int, days: int, seed: int,
    duplicates: float, truth: Path | None,
) -> dict[str, Any]:  # fmt: skip
    """Traffic of the last `days`, oldest and newest mixed as it comes."""
    url, key = _target(settings, url, key)
    end = datetime.now(UTC)
    source = demo.Traffic(seed=seed, users=users, start=end - timedelta(days=days), end=end).events()
    stream: Iterator[Any] = itertools.islice(source, events)
    if duplicates:
        stream = demo.with_duplicates(stream, duplicates, seed)
    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(_bar(events, "sending events")) if show else (lambda _: None)
        stamp: Callable[[Any], Any] = lambda event: event  # noqa: E731  # replaced below
        if truth is not None:
            file = stack.enter_context(truth.open("w", encoding="utf-8"))

            def stamp(event: Any) -> Any:
                file.write(json.dumps(event, ensure_ascii=False, separators=(",", ":")) + "\n")
                return event

        ledger = asyncio.run(traffic.send(url, key, stream, batch=200, progress=progress, stamp=stamp))
    return _told(ledger)


def run_loadgen(
    settings: Settings,
    *,
    url: str | None,
    key: str | None,
    rate: float,
    seconds: float,
    batch: int,
    connections: int,
    seed: int,
) -> dict[str, Any]:
    """Live events at a rate."""
    url, key = _target(settings, url, key)
    now = datetime.now(UTC)
    source = demo.Traffic(seed=seed, users=2000, start=now - timedelta(hours=1), end=now).events()
    until = time.monotonic() + seconds
    live: Iterator[Any] = itertools.takewhile(lambda _: time.monotonic() < until, source)
    if rate:
        live = itertools.islice(live, int(rate * seconds))

    def stamp(event: Any) -> Any:
        return event | {"timestamp": time.time_ns() // 1_000_000}

    return _told(
        asyncio.run(traffic.send(url, key, live, batch=batch, connections=connections, rate=rate, stamp=stamp))
    )


def _told(ledger: traffic.Ledger) -> dict[str, Any]:
    return {
        "sent": ledger.sent,
        "accepted": ledger.accepted,
        "rejected": ledger.rejected,
        "unknown": ledger.unknown,
        "seconds": round(ledger.seconds, 2),
        "events_per_second": round(ledger.accepted / max(ledger.seconds, 1e-9)),
        "request_ms": {"p50": round(ledger.p(0.5) * 1000, 1), "p99": round(ledger.p(0.99) * 1000, 1)},
    }
