"""What a request asks to be answered: words anywhere in its text. Where a word stands twice, the last counts."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Asked:
    """A request, and what its text asks for.

    | word | the answer |
    |---|---|
    | `tokens:IN,CACHED,WRITTEN,OUT` | its usage; OpenAI's IN includes the cache, Anthropic's does not. 100,0,0,10 |
    | `long:N` | N of WRITTEN are kept longer: 12 h at OpenAI (else 30 m), 1 h at Anthropic (else half of them) |
    | `reasoning:N` | N of OUT are reasoning |
    | `audio:IN,OUT,CACHED` | so much of each is audio (chat completions) |
    | `searches:N` | N searches by the provider's own tool |
    | `served:TIER` | served by this tier, whatever was asked for |
    | `as:MODEL` | the model that answers: a dated name for an alias, the model of a deployment |
    | `finish:REASON` | the reason to stop |
    | `status:incomplete`, `status:failed` | a response that ended so |
    | `fail:CODE`, `fail:CODExN` | this HTTP status; only the first N times that this very request comes |
    | `retry-after:SECONDS` | the header of a failure; 429 has one of 1 s anyway |
    | `cut:N` | a stream ends after N events, as if it were whole |
    | `drop:N` | the connection breaks after N events |
    | `malformed:N` | after N events one that is no JSON, and the end; a plain answer is half an object |
    | `error:N` | after N events the provider's error event, and the end |
    | `empty:N` | after N chunks one with `choices: []` and no usage (chat completions) |
    | `slow:MS` | a pause before each event |
    """

    body: dict[str, Any]
    text: str

    @classmethod
    def of(cls, body: dict[str, Any]) -> Asked:
        return cls(body, json.dumps(body))

    def word(self, name: str, value: str = r"[A-Za-z0-9_.:@-]+") -> str | None:
        found = re.findall(rf"\b{name}:({value})", self.text)
        return found[-1] if found else None

    def number(self, name: str) -> int | None:
        found = self.word(name, r"\d+")
        return None if found is None else int(found)

    def numbers(self, name: str, count: int) -> list[int] | None:
        found = self.word(name, r"\d+" + r",\d+" * (count - 1))
        return None if found is None else [int(n) for n in found.split(",")]

    @property
    def tokens(self) -> tuple[int, int, int, int]:
        """Input, read from the cache, written to it, output."""
        asked, read, written, output = self.numbers("tokens", 4) or (100, 0, 0, 10)
        return asked, read, written, output

    @property
    def model(self) -> str:
        """The model that answers."""
        return self.word("as") or self.body.get("model", "gpt-4o")

    @property
    def streams(self) -> bool:
        return bool(self.body.get("stream"))

    @property
    def tier(self) -> str:
        """The tier that serves, in OpenAI's words."""
        wanted = self.body.get("service_tier") or "auto"
        return self.word("served", "[a-z]+") or {"auto": "default", "fast": "priority"}.get(wanted, wanted)

    def failure(self, times: int) -> int | None:
        """The HTTP status to fail with when this very request came `times` times before."""
        found = self.word("fail", r"\d{3}(?:x\d+)?")
        if found is None:
            return None
        code, _, first = found.partition("x")
        return int(code) if not first or times < int(first) else None
