"""A local server that speaks the wire formats of OpenAI (chat completions, responses) and Anthropic (messages).

Usage is a function of the request's text: `tokens:IN,CACHED,WRITTEN,OUT` in the last message; status `fail:CODE`; `cut:N` ends a
stream after N pieces without its end.
"""

from __future__ import annotations

import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

WORDS = ["The ", "answer ", "is ", "forty", "-two", "."]


class Asked:
    """What a request asks this server to answer."""

    def __init__(self, body: dict[str, Any]) -> None:
        text = json.dumps(body)
        found = re.search(r"tokens:(\d+),(\d+),(\d+),(\d+)", text)
        self.input, self.cached, self.written, self.output = (
            (int(n) for n in found.groups()) if found else (100, 0, 0, 10)
        )
        failing = re.search(r"fail:(\d+)", text)
        self.status = int(failing.group(1)) if failing else 200
        cut = re.search(r"cut:(\d+)", text)
        self.cut = int(cut.group(1)) if cut else None
        self.model = body.get("model", "gpt-4o")
        self.stream = bool(body.get("stream"))
        self.include_usage = bool((body.get("stream_options") or {}).get("include_usage"))

    def chat_usage(self) -> dict[str, Any]:
        return {
            "prompt_tokens": self.input, "completion_tokens": self.output, "total_tokens": self.input + self.output,
            "prompt_tokens_details": {"cached_tokens": self.cached, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0},
        }  # fmt: skip

    def responses_usage(self) -> dict[str, Any]:
        return {
            "input_tokens": self.input, "output_tokens": self.output, "total_tokens": self.input + self.output,
            "input_tokens_details": {"cached_tokens": self.cached, "cache_write_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        }  # fmt: skip

    def messages_usage(self) -> dict[str, Any]:
        return {
            "input_tokens": self.input, "output_tokens": self.output, "cache_read_input_tokens": self.cached,
            "cache_creation_input_tokens": self.written, "service_tier": "standard",
            "cache_creation": {"ephemeral_5m_input_tokens": self.written // 2, "ephemeral_1h_input_tokens": self.written - self.written // 2},
        }  # fmt: skip


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        return

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked = Asked(body)
        if asked.status != 200:
            self._json(
                asked.status,
                {"error": {"message": f"failed as asked: {asked.status}", "type": "server_error", "code": "as_asked"}},
            )
        elif self.path.endswith("/chat/completions"):
            self._chat(asked)
        elif self.path.endswith("/responses"):
            self._responses(asked)
        elif self.path.endswith("/messages"):
            self._messages(asked)
        else:
            self._json(404, {"error": {"message": "no such path"}})

    def _json(self, status: int, body: Any) -> None:
        encoded = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)

    def _events(self, events: list[tuple[str | None, Any]], cut: int | None) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        for name, data in events if cut is None else events[:cut]:
            head = f"event: {name}\n" if name else ""
            text = data if isinstance(data, str) else json.dumps(data)
            self.wfile.write(f"{head}data: {text}\n\n".encode())
            self.wfile.flush()

    def _chat(self, asked: Asked) -> None:
        common = {"id": "chatcmpl-1", "created": int(time.time()), "model": asked.model, "service_tier": "default"}
        if not asked.stream:
            message = {"role": "assistant", "content": "".join(WORDS), "refusal": None}
            choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
            self._json(200, {**common, "object": "chat.completion", "choices": [choice], "usage": asked.chat_usage()})
            return
        head = {**common, "object": "chat.completion.chunk"}
        chunks: list[tuple[str | None, Any]] = [
            (
                None,
                {
                    **head,
                    "choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}],
                    **({"usage": None} if asked.include_usage else {}),
                },
            )
            for word in WORDS
        ]
        chunks.append((None, {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}))
        if asked.include_usage:
            chunks.append((None, {**head, "choices": [], "usage": asked.chat_usage()}))
        chunks.append((None, "[DONE]"))
        self._events(chunks, asked.cut)

    def _responses(self, asked: Asked) -> None:
        message = {
            "id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": "".join(WORDS), "annotations": []}],
        }  # fmt: skip
        whole = {
            "id": "resp_1", "object": "response", "created_at": time.time(), "model": asked.model, "status": "completed",
            "output": [message], "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "error": None,
            "incomplete_details": None, "instructions": None, "metadata": {}, "temperature": 1.0, "top_p": 1.0,
            "service_tier": "default", "usage": asked.responses_usage(),
        }  # fmt: skip
        if not asked.stream:
            self._json(200, whole)
            return
        started = {**whole, "status": "in_progress", "output": [], "usage": None}
        events: list[tuple[str | None, Any]] = [
            ("response.created", {"type": "response.created", "response": started, "sequence_number": 0})
        ]
        for number, word in enumerate(WORDS, 1):
            delta = {
                "type": "response.output_text.delta", "delta": word, "item_id": "msg_1", "output_index": 0,
                "content_index": 0, "sequence_number": number, "logprobs": [],
            }  # fmt: skip
            events.append(("response.output_text.delta", delta))
        events.append(("response.completed", {"type": "response.completed", "response": whole, "sequence_number": 99}))
        self._events(events, asked.cut)

    def _messages(self, asked: Asked) -> None:
        usage = asked.messages_usage()
        whole = {
            "id": "msg_1", "type": "message", "role": "assistant", "model": asked.model, "stop_reason": "end_turn",
            "stop_sequence": None, "content": [{"type": "text", "text": "".join(WORDS)}], "usage": usage,
        }  # fmt: skip
        if not asked.stream:
            self._json(200, whole)
            return
        begun = {**whole, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
        events: list[tuple[str | None, Any]] = [
            ("message_start", {"type": "message_start", "message": begun}),
            (
                "content_block_start",
                {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            ),
        ]
        for word in WORDS:
            delta = {"type": "text_delta", "text": word}
            events.append(("content_block_delta", {"type": "content_block_delta", "index": 0, "delta": delta}))
        ending = {"stop_reason": "end_turn", "stop_sequence": None}
        later = {
            name: usage[name]
            for name in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")
        }
        events += [
            ("content_block_stop", {"type": "content_block_stop", "index": 0}),
            ("message_delta", {"type": "message_delta", "delta": ending, "usage": later}),
            ("message_stop", {"type": "message_stop"}),
        ]
        self._events(events, asked.cut)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


class ProviderServer:
    """Runs in a thread; `url` for both packages' base_url. A context manager."""

    def __init__(self) -> None:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self) -> ProviderServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
