"""Starlette with a JWT of your own (HS256), as pure ASGI middleware: it stands around answers that stream as well.

What is awaited inside the middleware, the sending of the last byte included, is inside the trace. (Starlette's `BaseHTTPMiddleware` runs
the app in a task of its own: tags reach it, but its block ends when the answer begins.)

    APP_SECRET=at-least-32-bytes-that-nobody-knows python examples/starlette/app.py
    curl localhost:8000/ask -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" -d '{"text": "Hello"}'
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import jwt
import uvicorn
from openai import AsyncOpenAI
from percapita import tag, with_trace, wrap
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

SECRET = os.environ["APP_SECRET"]
MODEL = os.environ.get("OPENAI_MODEL", "gpt-4o-mini")

client = wrap(AsyncOpenAI())


class Whose:
    """A request is a trace of the user in its token."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; what is no HTTP (the start and end of the server) passes."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        token = Headers(scope=scope).get("Authorization", "").removeprefix("Bearer ")
        try:
            claims = jwt.decode(token, SECRET, algorithms=["HS256"], options={"require": ["exp", "sub"]})
        except jwt.PyJWTError:
            await JSONResponse({"detail": "a valid token, please"}, 401)(scope, receive, send)
            return
        with with_trace(tags={"userId": claims["sub"], "plan": claims.get("plan", "free")}, name=scope["path"]):
            await self.app(scope, receive, send)


async def ask(request: Request) -> JSONResponse:
    """One answer, whole. What is known only here is added here."""
    body = await request.json()
    tag(feature=body.get("feature", "chat"))
    messages = [{"role": "user", "content": body["text"]}]
    answer = await client.chat.completions.create(model=MODEL, messages=messages)
    return JSONResponse({"answer": answer.choices[0].message.content})


async def stream(request: Request) -> StreamingResponse:
    """The answer, piece by piece."""
    return StreamingResponse(pieces((await request.json())["text"]), media_type="text/plain")


async def pieces(text: str) -> AsyncIterator[str]:
    """The texts of a stream."""
    messages = [{"role": "user", "content": text}]
    async for chunk in await client.chat.completions.create(model=MODEL, messages=messages, stream=True):
        for choice in chunk.choices:
            yield choice.delta.content or ""


app = Starlette(
    routes=[Route("/ask", ask, methods=["POST"]), Route("/stream", stream, methods=["POST"])],
    middleware=[Middleware(Whose)],
)

if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ.get("PORT", "8000")), log_level="warning")
