"""The HTTP server: paths, ids, and what was served."""

from __future__ import annotations

import hashlib
import json
import re
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.providers import chat, messages, responses, usage
from tests.support.providers.asked import Asked
from tests.support.providers.errors import failure
from tests.support.providers.paths import api_of, provider_of
from tests.support.providers.reply import Event, Reply, framed, plain
from tests.support.providers.served import Served

_STORED = re.compile(r"/responses/(?P<id>resp_\w+?)(?P<cancel>/cancel)?$")


class ProviderServer:
    """Runs in threads; a context manager.

    `url` is Anthropic's base_url, with `/v1` OpenAI's, as it is Azure's endpoint and Bedrock's base_url, with `/v1` Vertex's.
    `served` is what it answered, in order. Ids are made of the request and of how often it came before (`stream_options` left
    out: a wrapper may add them), so they differ from call to call and are the same after `reset`.
    """

    def __init__(self) -> None:
        self.served: list[Served] = []
        self._seen: Counter[str] = Counter()
        self._stored: dict[str, tuple[Asked, str]] = {}
        self._polled: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.provider = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def __enter__(self) -> ProviderServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def reset(self) -> None:
        """As new: the same requests get the same ids again."""
        with self._lock:
            self.served.clear()
            self._seen.clear()
            self._stored.clear()
            self._polled.clear()

    def post(self, target: str, content: bytes) -> Reply:
        """Answers one POST."""
        path = unquote(urlsplit(target).path)
        provider = provider_of(path)
        stored = _STORED.search(path)
        if stored is not None:
            return self._retrieve(stored["id"], {}, cancelled=bool(stored["cancel"]))
        try:
            body = json.loads(content)
        except ValueError:
            return failure(provider, 400, "the body is not JSON", "req_none", None)
        found = api_of(path)
        if found is None:
            return failure(provider, 404, f"no such path: {path}", "req_none", None)
        api, given = found
        asked = Asked.of({**body, **given})
        digest, times = self._digest(path, body)
        status = asked.failure(times)
        self._note(path, api, provider, asked, digest, status)
        if status is not None:
            wait = asked.word("retry-after", r"[\d.]+") or ("1" if status == 429 else None)
            return failure(provider, status, f"failed as asked: {status}", f"req_{digest}", wait)
        return self._answer(api, provider, asked, digest)

    def get(self, target: str) -> Reply:
        """Answers one GET: a stored response."""
        parts = urlsplit(target)
        stored = _STORED.search(parts.path)
        if stored is None:
            return failure("openai", 404, f"no such path: {parts.path}", "req_none", None)
        return self._retrieve(stored["id"], parse_qs(parts.query))

    def _answer(self, api: str, provider: str, asked: Asked, digest: str) -> Reply:
        azure = provider == "azure"
        if api == "count_tokens":
            return plain({"input_tokens": asked.tokens[0]})
        if api == "embeddings":
            return _whole(asked, chat.embeddings(asked), digest)
        if api == "responses":
            with self._lock:
                self._stored[f"resp_{digest}"] = asked, digest
            if asked.streams:
                return _stream(asked, responses.events(asked, digest), api, provider)
            begun = "queued" if asked.body.get("background") else None
            return _whole(asked, responses.response(asked, digest, begun), digest)
        if api == "chat":
            if asked.streams:
                return _stream(asked, chat.chunks(asked, digest, azure), api, provider)
            return _whole(asked, chat.completion(asked, digest, azure), digest)
        if asked.streams:
            return _stream(asked, messages.events(asked, digest), api, provider)
        return _whole(asked, messages.message(asked, digest), digest)

    def _retrieve(self, name: str, query: dict[str, list[str]], cancelled: bool = False) -> Reply:
        """A response made before. One of the background is in progress when it is first asked for, then it has ended."""
        with self._lock:
            found = self._stored.get(name)
            self._polled[name] += 1
            polled = self._polled[name]
        if found is None:
            return failure("openai", 404, f"Response with id '{name}' not found.", "req_none", None)
        asked, digest = found
        if cancelled:
            return plain({**responses.response(asked, digest, "in_progress"), "status": "cancelled"})
        if query.get("stream") == ["true"]:
            after = int(query.get("starting_after", ["-1"])[0])
            return _stream(asked, responses.events(asked, digest)[after + 1 :], "responses", "openai")
        begun = "in_progress" if asked.body.get("background") and polled == 1 else None
        return plain(responses.response(asked, digest, begun))

    def _digest(self, path: str, body: dict[str, Any]) -> tuple[str, int]:
        kept = {name: value for name, value in body.items() if name != "stream_options"}
        key = path + json.dumps(kept, sort_keys=True)
        with self._lock:
            times = self._seen[key]
            self._seen[key] += 1
        return hashlib.sha256(f"{times}{key}".encode()).hexdigest()[:24], times

    def _note(self, path: str, api: str, provider: str, asked: Asked, digest: str, status: int | None) -> None:
        counted = _counted(api, asked) if status is None else None
        told = counted is not None and (api != "chat" or not asked.streams or chat.include_usage(asked))
        prefix = {"chat": "chatcmpl-", "responses": "resp_", "messages": "msg_"}.get(api, "")
        tier = str((counted or {}).get("service_tier") or asked.tier)
        noted = Served(
            path, api, provider, asked.body, f"{prefix}{digest}" if prefix else "", asked.model, tier, status or 200,
            counted, asked.streams, told,
        )  # fmt: skip
        with self._lock:
            self.served.append(noted)


def _counted(api: str, asked: Asked) -> dict[str, Any] | None:
    if api == "count_tokens" or (api == "responses" and responses.ended_as(asked) == "failed"):
        return None
    made = {
        "chat": usage.chat, "responses": usage.responses, "embeddings": usage.embeddings, "messages": usage.messages,
    }  # fmt: skip
    return made[api](asked)


def _whole(asked: Asked, body: dict[str, Any], digest: str) -> Reply:
    reply = plain(body, 200, **{"x-request-id": f"req_{digest}", "request-id": f"req_{digest}"})
    if asked.number("malformed") is None:
        return reply
    return Reply(reply.body[: len(reply.body) // 2], 200, reply.headers)


def _stream(asked: Asked, told: list[Event], api: str, provider: str) -> Reply:
    """The events, with whatever the request asks to go wrong."""
    amazon = provider == "bedrock"
    for word in ("cut", "drop", "malformed", "error"):
        at = asked.number(word)
        if at is None:
            continue
        told = told[:at]
        if word == "malformed":
            told = [*told, (None, '{"id": "chatcm')]
        if word == "error":
            told = [*told, _error_event(api, at)]
    kind = "application/vnd.amazon.eventstream" if amazon else "text/event-stream; charset=utf-8"
    breaks = asked.number("drop") is not None
    return Reply(b"", 200, {"content-type": kind}, framed(told, amazon), breaks)


def _error_event(api: str, number: int) -> Event:
    if api == "chat":
        error = {"message": "failed as asked", "type": "server_error", "param": None, "code": None}
        return (None, {"error": error})
    if api == "responses":
        error = {"type": "error", "code": "server_error", "message": "failed as asked", "param": None}
        return ("error", {**error, "sequence_number": number})
    return ("error", {"type": "error", "error": {"type": "overloaded_error", "message": "failed as asked"}})


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    provider: ProviderServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):  # a client that resets its connection has gone, no more
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and events are small writes: Nagle would hold each for the client's late ACK

    def log_message(self, *_: Any) -> None:
        return

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._send(self._provider.post(self.path, content), content)

    def do_GET(self) -> None:
        self._send(self._provider.get(self.path), b"")

    @property
    def _provider(self) -> ProviderServer:
        assert isinstance(self.server, _Server)
        return self.server.provider

    def _send(self, reply: Reply, content: bytes) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        try:
            if reply.events is None:
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)
            else:
                self._send_events(reply.events, reply.breaks, _pause(content))
        except ConnectionError:  # the client has gone: its right
            self.close_connection = True

    def _send_events(self, events: tuple[bytes, ...], breaks: bool, pause: float) -> None:
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in events:
            if pause:
                time.sleep(pause)
            self.wfile.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
        if breaks:
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")


def _pause(content: bytes) -> float:
    found = re.findall(rb"\bslow:(\d+)", content)
    return int(found[-1]) / 1000 if found else 0.0
