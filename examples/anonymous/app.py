"""Visitors who have not signed in: each browser has an id of its own, so that their spend is not one heap.

The id is 128 random bits in a cookie: made of nothing about the visitor, read by no script and sent to no other site. After
ROTATE_DAYS it is replaced by another that nothing connects with it. It begins with `anon_`, so that the Users page tells visitors from
users, and a tag says the same. A browser without cookies is another visitor each time. Whether such a cookie needs consent is for
your lawyers to say: it is not needed to show the page, it is needed to see what one visitor costs.

    python examples/anonymous/app.py
    curl -c jar -b jar localhost:8000/ask -H "Content-Type: application/json" -d '{"text": "Hello"}'
"""

from __future__ import annotations

import os
import re
import secrets
import time

import uvicorn
from openai import AsyncOpenAI
from percapita import with_trace, wrap
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

ROTATE_DAYS = float(os.environ.get("ROTATE_DAYS", "30"))
COOKIE = "visitor"
MODEL = os.environ.get("OPENAI_MODEL", "gpt-4o-mini")

client = wrap(AsyncOpenAI())


def visitor_of(request: Request) -> tuple[str, str | None]:
    """The visitor's id, and the cookie to set where it is new. Anything that we did not make is no id: tags are not for visitors to write."""
    found = re.fullmatch(r"([0-9]{10})\.([A-Za-z0-9_-]{22})", request.cookies.get(COOKIE, ""))
    if found and 0 <= time.time() - int(found[1]) < ROTATE_DAYS * 86_400:
        return f"anon_{found[2]}", None
    random = secrets.token_urlsafe(16)
    return f"anon_{random}", f"{int(time.time())}.{random}"


async def ask(request: Request) -> JSONResponse:
    """One answer, whole."""
    visitor, cookie = visitor_of(request)
    with with_trace(tags={"userId": visitor, "signedIn": False}, name="ask"):
        messages = [{"role": "user", "content": (await request.json())["text"]}]
        answer = await client.chat.completions.create(model=MODEL, messages=messages)
    response = JSONResponse({"answer": answer.choices[0].message.content})
    if cookie is not None:
        response.set_cookie(
            COOKIE, cookie, max_age=int(ROTATE_DAYS * 86_400), httponly=True, samesite="lax",
            secure=request.url.scheme == "https",
        )  # fmt: skip
    return response


app = Starlette(routes=[Route("/ask", ask, methods=["POST"])])

if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ.get("PORT", "8000")), log_level="warning")
