"""A TCP proxy that misbehaves on request: latency, bandwidth, cut, silence, and replies that are lost after the work was done."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from types import TracebackType

_PIECE = 65_536


class Proxy:
    """Between clients and 127.0.0.1:`port`. Attributes may be set from any thread while it runs; a context manager."""

    def __init__(self, port: int) -> None:
        self._target = port
        self.latency_seconds = 0.0  # of each piece, both ways
        self.bytes_per_second = 0.0  # 0: as fast as it goes
        self.cut = False  # new connections are closed at once
        self.silent = False  # bytes are taken and go nowhere
        self.replies_to_lose = 0  # of requests that hold `marker`: the server answers, the client never hears it
        self.marker = b""
        self.replies_lost = 0
        self._connections: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._ready = threading.Event()
        self.port = 0

    @property
    def url(self) -> str:
        """For an HTTP client."""
        return f"http://127.0.0.1:{self.port}"

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
            _reset(writer)
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            _reset(writer)
            return
        link = _Link()
        self._connections |= {writer, far_writer}
        try:
            await asyncio.gather(
                self._pump(reader, far_writer, link, asking=True), self._pump(far_reader, writer, link, asking=False)
            )
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._connections -= {writer, far_writer}
            for end in (writer, far_writer):
                end.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: _Link, *, asking: bool
    ) -> None:
        while piece := await reader.read(_PIECE):
            if self.latency_seconds:
                await asyncio.sleep(self.latency_seconds)
            if self.bytes_per_second:
                await asyncio.sleep(len(piece) / self.bytes_per_second)
            if self.silent:
                continue
            if asking and self.marker and self.marker in piece and self.replies_to_lose > 0:
                self.replies_to_lose -= 1
                link.losing = True
            if not asking and link.losing:
                # The server has answered: what was asked is done. The client hears nothing of it.
                self.replies_lost += 1
                for end in (link.client, writer):
                    if end is not None:
                        _reset(end)
                raise ConnectionResetError
            writer.write(piece)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()

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
        self.client: asyncio.StreamWriter | None = None


def _reset(writer: asyncio.StreamWriter) -> None:
    """End with RST, as a peer that was killed does."""
    found: socket.socket | None = writer.get_extra_info("socket")
    if found is not None:
        with contextlib.suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    writer.transport.abort()
