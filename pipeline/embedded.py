"""The embedded mode: collector, one worker thread, query service and pages in one process, chDB on disk, one port."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import threading
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import structlog
from aiohttp import web

from collector.app import Intake, add_collector_routes
from consumers.auditor import Auditor
from consumers.lane import Stored
from consumers.memory import hold_little
from consumers.worker import Worker
from pipeline import keyring, limits, metrics
from pipeline.config import Settings
from pipeline.errors import BadBody, Unauthorized
from pipeline.http import bearer, problems
from pipeline.keys import FileKeys, KeyBook, write_private
from pipeline.log import InProcessLog
from pipeline.memory import settle
from pipeline.price import PriceBook
from pipeline.process import Context
from pipeline.record import Record
from pipeline.schema import Engines, migrate
from pipeline.server import HardenedRunner, quiet_loggers
from pipeline.store import ClickHouse, open_chdb

if TYPE_CHECKING:
    from query.sessions import Links

_say = structlog.get_logger()


@dataclass
class Embedded:
    """What a data folder holds, opened by one process."""

    folder: Path
    store: ClickHouse
    keys: FileKeys
    log_id: str

    @classmethod
    def open(cls, folder: Path) -> Embedded:
        """Open, making what is missing; tables are brought to this version."""
        folder.mkdir(parents=True, exist_ok=True)
        store = open_chdb(folder / "store")
        migrate(store, Engines())
        name = folder / "log-id"
        if not name.exists():
            name.write_text(str(uuid4()), encoding="utf-8")
        return cls(folder, store, FileKeys(folder / "keys.json"), name.read_text(encoding="utf-8").strip())

    def log(self) -> InProcessLog:
        """The in-process log, continuing behind the largest stored offset."""
        row = self.store.select(
            "SELECT max(log_offset), count() FROM events WHERE log_id = {log:String}", {"log": self.log_id}
        ).rows[0]
        return InProcessLog(
            self.folder / "position.json", log_id=self.log_id, next_offset=int(row[0]) + 1 if row[1] else 0
        )

    def first_keys(self) -> dict[str, str] | None:
        """Keys of a new account, also written to dev-keys.json; None when there is an account already."""
        if self.keys.accounts():
            return None
        made = keyring.create_account(self.keys, "local")
        found: dict[str, str] = made["keys"]
        write_private(self.folder / "dev-keys.json", json.dumps(found, indent=1) + "\n")
        return found

    def close(self) -> None:
        """Release the engine."""
        self.store.close()


def find_running(folder: Path) -> dict[str, Any] | None:
    """The process that owns the folder's data: {"pid", "url", "token"}; None when none answers."""
    try:
        running: dict[str, Any] = json.loads((folder / "running.json").read_text(encoding="utf-8"))
        with urllib.request.urlopen(f"{running['url']}/healthz", timeout=5):  # noqa: S310  # our own file's loopback url
            return running
    except (OSError, ValueError, KeyError):
        return None


async def serve_embedded(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT."""
    quiet_loggers()
    started = time.monotonic()
    if find_running(settings.data) is not None:
        from pipeline.errors import BadQuestion

        raise BadQuestion(f"Percapita already runs on {settings.data}")
    embedded = await asyncio.to_thread(Embedded.open, settings.data)
    made = embedded.first_keys()
    log = embedded.log()
    hold_little()
    prices = PriceBook()
    worker = Worker(log, embedded.store, Context(prices), observe=observe)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    failed: list[BaseException] = []

    def work() -> None:
        try:
            worker.run()
        except BaseException as error:  # noqa: BLE001  # if the worker dies the process dies
            failed.append(error)
            loop.call_soon_threadsafe(stop.set)

    thread = threading.Thread(target=work, name="worker", daemon=True)
    thread.start()
    ending = threading.Event()
    auditor = threading.Thread(target=Auditor(embedded.store).run, args=(ending,), name="auditor", daemon=True)
    auditor.start()

    book = KeyBook(embedded.keys)
    intake = Intake(log, book, keyring.now_us)
    token = secrets.token_urlsafe(32)
    app = web.Application(middlewares=[problems], client_max_size=limits.BODY_BYTES)
    add_collector_routes(app, intake)
    links = _add_query(app, embedded, book, prices, settings)
    address: list[str] = []
    _add_admin(app, embedded, token, log, lambda: _sign_in_link(address[0], embedded, links))
    runner = HardenedRunner(app)
    await runner.setup()
    await web.TCPSite(runner, settings.host, settings.port, backlog=1024).start()
    host, port = runner.addresses[0][:2]
    url = f"http://{host}:{port}"
    address.append(url)
    write_private(settings.data / "running.json", json.dumps({"pid": os.getpid(), "url": url, "token": token}))
    if settings.metrics_port:
        metrics.serve(settings.metrics_port, settings.metrics_host)
    settle()
    _greet(url, _sign_in_link(url, embedded, links), settings.data, made, time.monotonic() - started)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()

    (settings.data / "running.json").unlink(missing_ok=True)
    await runner.drain()
    log.stop()
    worker.stop()
    await asyncio.to_thread(thread.join)
    await runner.cleanup()
    ending.set()
    await asyncio.to_thread(auditor.join)
    embedded.close()
    if failed:
        raise failed[0]


def observe(stored: Stored) -> None:
    """Metrics of a stored batch."""
    metrics.stored_rows.inc(stored.rows)
    metrics.duplicates.inc(stored.duplicates)
    for reason, letters in stored.dead.items():
        metrics.dead_letters.labels(reason).inc(letters)
    metrics.batch_rows.observe(stored.rows)
    if stored.received:
        metrics.end_to_end_seconds.observe(max(0.0, time.time() - stored.first_received / 1e6))


def _add_query(app: web.Application, embedded: Embedded, book: KeyBook, prices: PriceBook, settings: Settings) -> Links:
    from query.app import add_query_routes
    from query.embed import Embeds
    from query.keys import KeyRoutes
    from query.sessions import Ended, Links, Sessions

    async def authenticate(token: str) -> Any:
        return book.verify(token, "read", keyring.now_us())

    async def administrate(token: str) -> Any:
        return book.verify(token, "admin", keyring.now_us())

    async def verify(digest: str) -> Any:
        return book.verify_hash(digest, "read", keyring.now_us())

    path = embedded.folder / "cursor-secret"
    if not path.exists():
        write_private(path, secrets.token_hex(32))
    secret, links = path.read_bytes(), Links()
    sessions = Sessions(secret, Ended(embedded.store), verify, keyring.now_us, links)
    add_query_routes(
        app, embedded.store, authenticate, clock=keyring.now_us, cursor_secret=secret, prices=prices, sessions=sessions,
        embeds=Embeds(secret, verify, keyring.now_us), keys=KeyRoutes(embedded.keys, administrate), embedded=True, ingest_url=settings.ingest_url,
        path_prefix=settings.path_prefix, questions_per_minute=settings.questions_per_minute,
    )  # fmt: skip
    return links


def _sign_in_link(url: str, embedded: Embedded, links: Links) -> str:
    """Signs in with the first good read key of the first account: the person at this machine owns all of it."""
    now = keyring.now_us()
    held = embedded.keys.keys()
    for key in held:
        good = key.revoked_at is None and (key.expires_at is None or key.expires_at > now)
        if good and "read" in key.scopes and not key.restriction:
            return f"{url}/sign-in#link={links.make(key.hash)}"
    return url


def _add_admin(
    app: web.Application, embedded: Embedded, token: str, log: InProcessLog, sign_in: Callable[[], str]
) -> None:
    """The admin API of this process: for commands on this machine, by the token in running.json."""
    from pipeline.services import run_operation

    loop = asyncio.get_running_loop()

    def publish(records: Sequence[Record]) -> None:
        asyncio.run_coroutine_threadsafe(log.publish(records), loop).result()

    async def operate(request: web.Request) -> web.Response:
        if not secrets.compare_digest(bearer(request).encode(), token.encode()):
            raise Unauthorized("this is not the running process's token")
        try:
            given = json.loads(await request.read())
        except (ValueError, RecursionError):
            raise BadBody("the body is not JSON") from None
        if not isinstance(given, dict):
            raise BadBody("the body is an object of arguments")
        answer = await asyncio.to_thread(
            run_operation, embedded.keys, embedded.store, request.match_info["operation"], given, publish=publish,
            sign_in=sign_in,
        )  # fmt: skip
        return web.json_response(answer)

    app.router.add_post("/v1/admin/{operation}", operate)


def _greet(url: str, link: str, data: Path, made: dict[str, str] | None, seconds: float) -> None:
    print(f"Percapita serves {url}  (data in {data}, ready after {seconds:.1f} s)", flush=True)  # for the person
    print(f"Dashboard, good once: {link}", flush=True)  # for the person
    if made:
        print(f"First keys, also in {data}/dev-keys.json:", flush=True)  # for the person
        for scope, key in made.items():
            print(f"  {scope:7} {key}", flush=True)  # for the person
