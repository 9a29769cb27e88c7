"""Two configurations side by side: yours, to run the business, and your customer's own, to watch what its users cost.

You build an app for a company that has a Percapita of its own. Each call is recorded twice, once for each, with other tags, other keys
and another privacy: yours says which customer it was and no word of what was said, theirs says which of their people it was and what
for. Neither knows of the other, and when one cannot be reached the other goes on.

    OURS_URL=http://127.0.0.1:8900 OURS_KEY=pc_live_... THEIRS_URL=https://percapita.customer.example THEIRS_KEY=pc_live_... \\
        python examples/two_configurations/app.py
    curl localhost:8000/ask -H "Content-Type: application/json" -d '{"text": "Hello", "person": "ada", "purpose": "travel"}'
"""

from __future__ import annotations

import os

import uvicorn
from fastapi import FastAPI
from openai import AsyncOpenAI
from percapita import Percapita
from pydantic import BaseModel

MODEL = os.environ.get("OPENAI_MODEL", "gpt-4o-mini")

ours = Percapita(os.environ["OURS_KEY"], os.environ["OURS_URL"], agent="assistant", privacy="minimal")
theirs = Percapita(os.environ["THEIRS_KEY"], os.environ["THEIRS_URL"], agent="assistant")
client = theirs.wrap(ours.wrap(AsyncOpenAI()))
app = FastAPI()


class Question(BaseModel):
    """What a person asks; in a real app who it is comes from a verified token, as in the other examples."""

    text: str
    person: str
    purpose: str


@app.post("/ask")
async def ask(question: Question) -> dict[str, str | None]:
    """One answer: a trace of ours and a trace of theirs."""
    customer = {"userId": "customer-17", "plan": "enterprise"}
    person = {"userId": question.person, "purpose": question.purpose}
    with ours.with_trace(tags=customer, name="ask"), theirs.with_trace(tags=person, name="ask"):
        messages = [{"role": "user", "content": question.text}]
        answer = await client.chat.completions.create(model=MODEL, messages=messages)
    return {"answer": answer.choices[0].message.content}


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ.get("PORT", "8000")), log_level="warning")
