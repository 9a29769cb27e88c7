"""A collector in a process of its own, as `percapita collector` runs it, over a log in memory that can be told to be slow or away.

Its memory, descriptors, output and signals are a real process's; what Kafka does is not asked here.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from pipeline import keyring, limits
from pipeline.errors import Unavailable
from pipeline.keys import FileKeys, KeyBook
from pipeline.record import Record, from_bytes
from tests.support.stack import ROOT, free_port, wait_started


class CollectorProcess:
    """Runs until `stop`. A context manager. `keys` has one account's tokens by scope, `other` another's."""

    def __init__(self, directory: Path, *, descriptors: int | None = None) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        store = FileKeys(directory / "keys.json")
        self.keys: dict[str, str] = keyring.create_account(store, "acme")["keys"]
        self.other: dict[str, str] = keyring.create_account(store, "beta")["keys"]
        self.log("ok")
        arguments = [str(directory), str(self.port), str(descriptors or 0)]
        with (directory / "output").open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.collector_process", *arguments],
                cwd=ROOT, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
        wait_started(self.process, f"http://127.0.0.1:{self.port}/readyz")

    def log(self, mode: str) -> None:
        """How the log takes records from now on: `ok`, `slow SECONDS`, or `away` (nothing is known for five seconds)."""
        draft = self._directory / "mode.new"
        draft.write_text(mode)
        draft.replace(self._directory / "mode")

    def output(self) -> str:
        """What it has written to its log so far."""
        return (self._directory / "output").read_text(errors="replace")

    def published(self) -> list[str]:
        """Ids of the events that the log has."""
        file = self._directory / "published"
        return file.read_text().split() if file.exists() else []

    def memory(self, name: str = "VmHWM") -> float:
        """MB, of /proc: `VmHWM` is the most there was since `forget_peak`, `VmRSS` what there is."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) / 1024
        raise LookupError(name)

    def forget_peak(self) -> None:
        """The peak is measured from now on."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def cpu(self) -> float:
        """Seconds of processor time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self) -> int:
        """Open descriptors."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def stop(self) -> int:
        """SIGTERM, and its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(60)
        finally:
            if self.process.poll() is None:
                self.process.kill()

    def __enter__(self) -> CollectorProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Log:
    def __init__(self, directory: Path) -> None:
        self._mode = directory / "mode"
        self._published = (directory / "published").open("a")

    async def publish(self, records: Sequence[Record]) -> None:
        mode, _, seconds = self._mode.read_text().partition(" ")
        if mode == "away":
            await asyncio.sleep(limits.PUBLISH_SECONDS)
            raise Unavailable("the log did not take the batch")
        copies = [bytearray(record.value) for record in records]  # as the client of Kafka does
        await asyncio.sleep(float(seconds or 0))
        del copies
        events = [record for record in records if b'"dropped":' not in record.value[:200]]
        print(*(from_bytes(record.value).event.id for record in events), file=self._published, flush=True)

    def ready(self) -> bool:
        return True

    async def close(self) -> None:
        self._published.close()


def _serve(directory: Path, port: int, descriptors: int) -> None:
    from collector.app import create_collector_app
    from collector.main import serve

    if descriptors:
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
    app = create_collector_app(_Log(directory), KeyBook(FileKeys(directory / "keys.json")), clock=keyring.now_us)
    asyncio.run(serve(app, "127.0.0.1", port))


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
