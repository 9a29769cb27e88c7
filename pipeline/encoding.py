"""Content-Encoding -> plain bytes, by ourselves: counted while decompressing, the end of the stream checked."""

from __future__ import annotations

import sys
import zlib
from typing import Any

from pipeline.errors import BadBody, TooLarge, UnsupportedMedia

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_STEP = 256 * 1024
_FEED = 64 * 1024  # bytes given to a decompressor at once: what lies behind a stream's end it copies
_MEMBERS = 1_000  # gzip members or zstd frames of a body; writers of blocks make one for each 64 KiB
_ZSTD_WINDOW_LOG = 23  # 8 MiB: a frame that asks for more would take that much memory
_ZSTD_OPTIONS: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}


def decompress(body: bytes, encoding: str, cap: int) -> bytes:
    """Raises TooLarge above `cap` bytes, BadBody for broken streams, UnsupportedMedia for an unknown or doubled encoding."""
    name = encoding.strip().lower()
    if name in ("", "identity"):
        plain = body
        if len(plain) > cap:
            raise TooLarge(f"at most {cap} bytes")
        return plain
    if name in ("gzip", "x-gzip"):
        return _gzip(body, cap)
    if name == "deflate":
        return _deflate(body, cap)
    if name == "zstd":
        return _zstd(body, cap)
    raise UnsupportedMedia("Content-Encoding is one of gzip, deflate, zstd")


def _gzip(body: bytes, cap: int) -> bytes:
    out = bytearray()
    rest = memoryview(body)
    for _ in range(_MEMBERS):
        rest = rest[_member(rest, out, cap) :]
        if not rest:
            return bytes(out)
    raise BadBody("too many gzip members")


def _member(body: memoryview, out: bytearray, cap: int) -> int:
    """Decompresses one member into `out`; how many bytes it had. Fed in steps, so that what lies behind is not copied."""
    stream = zlib.decompressobj(wbits=31)
    for start in range(0, len(body), _FEED):
        step = body[start : start + _FEED]
        _drain(stream, step, out, cap)
        if stream.eof:
            return start + len(step) - len(stream.unused_data)
    raise BadBody("the compressed body ends too early")


def _deflate(body: bytes, cap: int) -> bytes:
    # RFC 9110 means zlib's format; some senders leave out its header.
    wrapped = len(body) >= 2 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
    stream = zlib.decompressobj(wbits=15 if wrapped else -15)
    out = bytearray()
    _drain(stream, body, out, cap)
    if not stream.eof:
        raise BadBody("the compressed body ends too early")
    if stream.unused_data:
        raise BadBody("bytes behind the end of the deflate stream")
    return bytes(out)


def _drain(stream: Any, data: bytes | memoryview, out: bytearray, cap: int) -> None:
    try:
        while True:
            out += stream.decompress(data, _STEP)
            if len(out) > cap:
                raise TooLarge(f"at most {cap} bytes after decompression")
            data = stream.unconsumed_tail
            if stream.eof or not data:
                return
    except zlib.error:
        raise BadBody("the body is not what its Content-Encoding says") from None


def _zstd(body: bytes, cap: int) -> bytes:
    out = bytearray()
    rest = memoryview(body)
    for _ in range(_MEMBERS):
        rest = rest[_frame(rest, out, cap) :]
        if not rest:
            return bytes(out)
    raise BadBody("too many zstd frames")


def _frame(body: memoryview, out: bytearray, cap: int) -> int:
    """Decompresses one frame into `out`; how many bytes it had."""
    stream = zstd.ZstdDecompressor(options=_ZSTD_OPTIONS)
    try:
        for start in range(0, len(body), _FEED):
            step = body[start : start + _FEED]
            data: bytes | memoryview = step
            while True:
                out += stream.decompress(data, max_length=_STEP)
                if len(out) > cap:
                    raise TooLarge(f"at most {cap} bytes after decompression")
                if stream.eof:
                    return start + len(step) - len(stream.unused_data)
                if stream.needs_input:
                    break
                data = b""
    except zstd.ZstdError as error:
        if "memory" in str(error).lower() or "window" in str(error).lower():
            raise TooLarge("the zstd window is too large") from None
        raise BadBody("the body is not what its Content-Encoding says") from None
    raise BadBody("the compressed body ends too early")
