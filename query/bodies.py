"""Small JSON bodies, read into models: what is wrong names its field."""

from __future__ import annotations

import difflib
import json
from typing import Annotated, Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, BeforeValidator, ValidationError

from pipeline.errors import BadBody, BadQuestion, UnsupportedMedia
from pipeline.http import read_body

_BYTES = 4_096


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole)]  # 60.0 is an integer of JSON too
M = TypeVar("M", bound=BaseModel)


async def json_body(request: web.Request) -> dict[str, Any]:
    """A small JSON object. Raises BadBody, TooLarge, UnsupportedMedia."""
    if request.content_type != "application/json":
        raise UnsupportedMedia("the body is application/json")
    try:
        given = json.loads(await read_body(request, _BYTES))
    except (ValueError, RecursionError):
        raise BadBody("the body is not JSON") from None
    if not isinstance(given, dict):
        raise BadBody("the body is an object")
    return given


async def body_of(request: web.Request, model: type[M]) -> M:
    """The same as a model. Raises BadQuestion that names the field too."""
    given = await json_body(request)
    try:
        return model.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise BadQuestion(_said(first, model), ".".join(map(str, first["loc"])) or "body") from None


def _said(error: Any, model: type[BaseModel]) -> str:
    """What is wrong in words of ours where pydantic's are about its own machinery."""
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(error["loc"][-1])[:40], model.model_fields, 1)
        return f"unknown field{f'; did you mean {near[0]}?' if near else ''}"
    return str(error["msg"]).removeprefix("Value error, ")
