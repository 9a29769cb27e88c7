"""A TCP proxy that misbehaves on request: latency, bandwidth, cut, silence, and replies that are lost after the work was done."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from types import TracebackType

_PIECE = 65_536


class Proxy:
    """Between clients and 127.0.0.1:`target`. Attributes may be set from any thread while it runs; a context manager.

    `target` may be set after the port is known. Bytes that a silent proxy took are gone: connections that lived through it
    are to be reset when it ends (`heal` does).
    """

    def __init__(self, target: int = 0) -> None:
        self.target = target
        self.latency_seconds = 0.0  # of each piece, both ways
        self.bytes_per_second = 0.0  # 0: as fast as it goes
        self.cut = False  # new connections are closed at once
        self.silent = False  # bytes are taken and go nowhere: neither end hears of it
        self.replies_to_lose = 0  # of requests that hold `marker`: the server answers, the client never hears it
        self.marker = b""
        self.replies_lost = 0
        self.refused = 0  # connections closed at once
        self.swallowed = 0  # bytes that went nowhere
        self._connections: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._ready = threading.Event()
        self.port = 0

    @property
    def url(self) -> str:
        """For an HTTP client."""
        return f"http://127.0.0.1:{self.port}"

    def heal(self) -> None:
        """As good as a wire again; connections that lost bytes end with a reset."""
        lossy = self.silent
        self.latency_seconds = self.bytes_per_second = 0.0
        self.cut = self.silent = False
        self.replies_to_lose = 0
        if lossy:
            self.reset_all()

    def reset_all(self) -> None:
        """Every open connection ends with a reset."""
        self._loop.call_soon_threadsafe(self._reset_all)

    def _reset_all(self) -> None:
        for writer in list(self._connections):
            _reset(writer)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._connected, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        self._reset_all()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.05))
        self._loop.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.cut:
            self.refused += 1
            _reset(writer)
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            _reset(writer)
            return
        link = _Link()
        self._connections |= {writer, far_writer}
        pumps = [
            asyncio.ensure_future(self._pump(reader, far_writer, link, asking=True)),
            asyncio.ensure_future(self._pump(far_reader, writer, link, asking=False)),
        ]
        try:
            await asyncio.gather(*pumps)
        except (OSError, asyncio.CancelledError):
            # One end is gone: so is the other, as a wire that was cut.
            for end in (writer, far_writer):
                _reset(end)
        finally:
            for pump in pumps:
                pump.cancel()
            self._connections -= {writer, far_writer}
            for end in (writer, far_writer):
                end.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: _Link, *, asking: bool
    ) -> None:
        while piece := await reader.read(self._piece()):
            if self.latency_seconds:
                await asyncio.sleep(self.latency_seconds)
            if self.bytes_per_second:
                await asyncio.sleep(len(piece) / self.bytes_per_second)
            if self.silent:
                self.swallowed += len(piece)
                continue
            if asking and self.marker and self.marker in piece and self.replies_to_lose > 0:
                self.replies_to_lose -= 1
                link.losing = True
            if not asking and link.losing:
                # The server has answered: what was asked is done. The client hears nothing of it.
                self.replies_lost += 1
                _reset(writer)
                raise ConnectionResetError
            writer.write(piece)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()

    def _piece(self) -> int:
        """How much is passed on at once: a slow wire drips, it does not pause for a minute and gush."""
        return _PIECE if not self.bytes_per_second else max(1, min(_PIECE, int(self.bytes_per_second / 10)))

    def __enter__(self) -> Proxy:
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)


class _Link:
    """One connection's two directions."""

    def __init__(self) -> None:
        self.losing = False


def _reset(writer: asyncio.StreamWriter) -> None:
    """End with RST, as a peer that was killed does."""
    found: socket.socket | None = writer.get_extra_info("socket")
    if found is not None:
        with contextlib.suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    writer.transport.abort()
