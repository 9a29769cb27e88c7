"""FastAPI with Auth0: who asks is the `sub` of a verified access token, and each request is a trace of that user.

`traced` is all there is to it: an endpoint that depends on it runs inside `with_trace`, and every LLM call inside carries the tags. What
streams runs after its endpoint has returned, so its generator is given the tags itself.

    AUTH0_ISSUER=https://YOUR-TENANT.eu.auth0.com/ AUTH0_AUDIENCE=https://api.example.com python examples/fastapi/app.py
    curl localhost:8000/ask -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" -d '{"text": "Hello"}'
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Annotated

import jwt
import uvicorn
from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from openai import AsyncOpenAI
from percapita import with_trace, wrap
from pydantic import BaseModel

ISSUER, AUDIENCE = os.environ["AUTH0_ISSUER"], os.environ["AUTH0_AUDIENCE"]
MODEL = os.environ.get("OPENAI_MODEL", "gpt-4o-mini")

app = FastAPI()
client = wrap(AsyncOpenAI())
keys = jwt.PyJWKClient(f"{ISSUER}.well-known/jwks.json")
bearer = HTTPBearer()


class Question(BaseModel):
    """What a user asks."""

    text: str


# Not async: the keys may have to be fetched, and FastAPI runs it in a thread.
def user_tags(credentials: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]) -> dict[str, str]:
    """Whose request it is. Auth0's `sub` is like `auth0|65f1c0ffee`; it is stored as it is."""
    try:
        key = keys.get_signing_key_from_jwt(credentials.credentials)
        claims = jwt.decode(
            credentials.credentials, key, algorithms=["RS256"], audience=AUDIENCE, issuer=ISSUER,
            options={"require": ["exp", "iss", "aud", "sub"]},
        )  # fmt: skip
    except jwt.PyJWKClientConnectionError as error:
        raise HTTPException(503, "the issuer's keys cannot be fetched") from error
    except jwt.PyJWTError as error:
        raise HTTPException(401, "a valid token, please") from error
    return {"userId": claims["sub"], "org": claims.get("org_id", "")}


Tags = Annotated[dict[str, str], Depends(user_tags)]


# Async: what a dependency in a thread sets is not seen outside of that thread.
async def traced(tags: Tags) -> AsyncIterator[None]:
    """The request boundary."""
    with with_trace(tags=tags):
        yield


@app.post("/ask", dependencies=[Depends(traced)])
async def ask(question: Question) -> dict[str, str | None]:
    """One answer, whole."""
    answer = await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": question.text}])
    return {"answer": answer.choices[0].message.content}


@app.post("/stream")
async def stream(question: Question, tags: Tags) -> StreamingResponse:
    """The answer, piece by piece."""
    said = with_trace(tags=tags, name="stream")(pieces)
    return StreamingResponse(said(question.text), media_type="text/plain")


async def pieces(text: str) -> AsyncIterator[str]:
    """The texts of a stream."""
    messages = [{"role": "user", "content": text}]
    async for chunk in await client.chat.completions.create(model=MODEL, messages=messages, stream=True):
        for choice in chunk.choices:
            yield choice.delta.content or ""


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ.get("PORT", "8000")), log_level="warning")
