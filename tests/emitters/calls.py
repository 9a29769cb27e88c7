"""Makes the calls with the providers' own packages, whatever their version. Imports nothing outside the emitter's environment."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterable
from typing import Any

from tests.emitters.cases import Case


class NotOffered(Exception):
    """This version of the package has no such call."""


class Clients:
    """The four clients, as a user makes them. `openai` and `anthropic` are the packages, or what stands in for them."""

    def __init__(self, url: str, openai: Any = None, anthropic: Any = None) -> None:
        of_openai = {"api_key": "sk-none", "base_url": f"{url}/v1", "max_retries": 0}
        of_anthropic = {"api_key": "none", "base_url": url, "max_retries": 0}
        if openai is not None:
            self.openai, self.async_openai = openai.OpenAI(**of_openai), openai.AsyncOpenAI(**of_openai)
        if anthropic is not None:
            self.anthropic = anthropic.Anthropic(**of_anthropic)
            self.async_anthropic = anthropic.AsyncAnthropic(**of_anthropic)

    def perform(self, case: Case) -> None:
        """Makes the call and uses its answer up. Raises what the package raises."""
        if case.how == "async":
            asyncio.run(self._perform_async(case))
            return
        resource = self._resource(case, self.anthropic if case.provider == "anthropic" else self.openai)
        given = arguments(case)
        if case.how == "plain":
            resource.create(**given)
        elif case.how == "stream":
            use_up(resource.create(**given, stream=True))
        elif case.how == "abandoned":
            abandon(resource.create(**given, stream=True))
            gc.collect()  # some end their record when the stream is thrown away
        elif case.how == "raw":
            resource.with_raw_response.create(**given).parse()
        elif case.how == "helper":
            with resource.stream(**given) as stream:
                use_up(stream)
        elif case.how == "parse":
            self._parse(resource, case, given)
        else:
            raise ValueError(case.how)

    @staticmethod
    def _resource(case: Case, client: Any) -> Any:
        return {
            "chat": lambda: client.chat.completions,
            "responses": lambda: client.responses,
            "embeddings": lambda: client.embeddings,
            "messages": lambda: client.messages,
            "beta": lambda: client.beta.messages,
        }[case.api]()

    @staticmethod
    def _parse(resource: Any, case: Case, given: dict[str, Any]) -> None:
        from pydantic import BaseModel

        class Found(BaseModel):
            place: str

        shape = {"chat": "response_format", "responses": "text_format", "messages": "output_format"}[case.api]
        if not hasattr(resource, "parse"):
            raise NotOffered(case.name)
        resource.parse(**given, **{shape: Found})

    async def _perform_async(self, case: Case) -> None:
        client = self.async_anthropic if case.provider == "anthropic" else self.async_openai
        await self._resource(case, client).create(**arguments(case))
        await client.close()


def arguments(case: Case) -> dict[str, Any]:
    """What the call is given, in its API's own words."""
    asked: dict[str, Any] = {"model": case.model}
    if case.api in ("responses", "embeddings"):
        asked["input"] = case.words
    else:
        asked["messages"] = [{"role": "user", "content": case.words}]
    if case.provider == "anthropic":
        asked["max_tokens"] = 1024
    return asked | case.more


def use_up(stream: Iterable[Any]) -> None:
    for _ in stream:
        pass


def abandon(stream: Any) -> None:
    """Reads four events, then leaves."""
    for number, _ in enumerate(stream):
        if number == 3:
            break
    getattr(stream, "close", lambda: None)()
