"""Flask with Clerk: who asks is the `sub` of Clerk's session token, and the organisation that is active is a tag.

`traced` opens the trace around a view. A view that streams returns before its generator runs, so the generator is given the tags itself.
The token comes in the `__session` cookie (same site) or as a bearer token (another one).

    CLERK_ISSUER=https://YOUR-APP.clerk.accounts.dev CLERK_PARTIES=https://app.example.com python examples/flask/app.py
    curl localhost:8000/ask -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" -d '{"text": "Hello"}'
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import waitress
from flask import Flask, Response, abort, g, request
from openai import OpenAI
from percapita import with_trace, wrap

ISSUER = os.environ["CLERK_ISSUER"]
PARTIES = os.environ["CLERK_PARTIES"].split(",")  # where tokens may have been made for: the origins of your pages
MODEL = os.environ.get("OPENAI_MODEL", "gpt-4o-mini")

app = Flask(__name__)
client = wrap(OpenAI())
keys = jwt.PyJWKClient(f"{ISSUER}/.well-known/jwks.json")


@app.before_request
def sign_in() -> None:
    """The user of this request, or 401."""
    header = request.headers.get("Authorization", "")
    token = header.removeprefix("Bearer ") or request.cookies.get("__session", "")
    try:
        key = keys.get_signing_key_from_jwt(token)
        claims = jwt.decode(
            token, key, algorithms=["RS256"], issuer=ISSUER, leeway=5,
            options={"require": ["exp", "nbf", "iss", "sub"], "verify_aud": False},
        )  # fmt: skip
    except jwt.PyJWKClientConnectionError:
        abort(503)
    except jwt.PyJWTError:
        abort(401)
    if claims.get("azp", PARTIES[0]) not in PARTIES:
        abort(401)
    # Version 2 of the token has the organisation in `o`, version 1 in `org_id`.
    org = claims.get("o", {}).get("id") or claims.get("org_id", "")
    g.tags = {"userId": claims["sub"], "org": org}


def traced(view: Callable[..., Any]) -> Callable[..., Any]:
    """A view as a trace of the user who asks."""

    @functools.wraps(view)
    def inside(*args: Any, **kwargs: Any) -> Any:
        with with_trace(tags=g.tags, name=view.__name__):
            return view(*args, **kwargs)

    return inside


@app.post("/ask")
@traced
def ask() -> dict[str, str | None]:
    """One answer, whole."""
    messages = [{"role": "user", "content": request.get_json()["text"]}]
    answer = client.chat.completions.create(model=MODEL, messages=messages)
    return {"answer": answer.choices[0].message.content}


@app.post("/stream")
def stream() -> Response:
    """The answer, piece by piece."""
    said = with_trace(tags=g.tags, name="stream")(pieces)
    return Response(said(request.get_json()["text"]), mimetype="text/plain")


def pieces(text: str) -> Iterator[str]:
    """The texts of a stream."""
    messages = [{"role": "user", "content": text}]
    for chunk in client.chat.completions.create(model=MODEL, messages=messages, stream=True):
        for choice in chunk.choices:
            yield choice.delta.content or ""


if __name__ == "__main__":
    waitress.serve(app, host="127.0.0.1", port=int(os.environ.get("PORT", "8000")), threads=8)
