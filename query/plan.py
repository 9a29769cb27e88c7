"""Question -> plan: which sources answer it, each over its part of the window. The cheapest exact mix."""

from __future__ import annotations

from collections.abc import Sequence

from query.question import Question
from query.sql import Key
from query.windows import HOUR, Span, spans


def sources(
    question: Question,
    keys: Sequence[Key],
    *,
    whole_days: bool = True,
    raw_only: bool = False,
    last_hour_whole: bool = False,
) -> list[Span]:
    """Days where they are whole, hours around them, raw rows where no rollup is exact.

    Hours by tag, a few rows an hour, where neither users nor sets of tags are asked about. `last_hour_whole`: the hour that the window
    ends in is read as if it were whole, which is right for as long as it has nothing behind the window's end.
    """
    if raw_only:
        return [Span("raw", question.start, question.end)]
    parts = spans(question.start, question.end)
    if last_hour_whole and len(parts) > 1 and parts[-1].source == "raw":
        *parts, edge = parts
        before = parts.pop() if parts[-1].source == "hours" else edge
        parts.append(Span("hours", before.start, edge.start + HOUR))
    if without_users(question) and all(key.by_tag for key in keys):
        edges = [span for span in parts if span.source == "raw"]
        hours = [span for span in parts if span.source != "raw"]
        return [*edges, Span("tag_hours", hours[0].start, hours[-1].end)] if hours else edges
    return parts if whole_days else [Span("hours", s.start, s.end) if s.source == "days" else s for s in parts]


def without_users(question: Question) -> bool:
    """Whether the hours by tag hold the question's events, each once."""
    tagged = [item for item in question.filters if item.field.startswith("tag.")]
    if len(tagged) > 1 or any(item.exclude or "" in item.values for item in tagged):
        return False
    return all(item.field != "user_id" for item in question.filters)


def foldable(question: Question, keys: Sequence[Key]) -> bool:
    """Whether folds hold the answer: by user, of everything, or of one slice: some values of one tag, or some models."""
    if not all(key.fold for key in keys):
        return False
    sliced = [key for key in keys if key.slices]
    others = [item for item in question.filters if item.field != "user_id"]
    if len(sliced) + len(others) > 1:  # a slice is of a tag or of a model, not of both
        return (
            len(sliced) == len(others) == 1 and sliced[0].name == others[0].field == "model" and not others[0].exclude
        )
    return not any(item.exclude or not (item.field == "model" or _a_tag(item.field, item.values)) for item in others)


def sliced(question: Question, keys: Sequence[Key]) -> bool:
    """Whether what folds hold of it is a slice, which only days are folded into."""
    return any(key.slices for key in keys) or any(item.field != "user_id" for item in question.filters)


def _a_tag(field: str, values: Sequence[str]) -> bool:
    return field.startswith("tag.") and "" not in values


def name_of(parts: Sequence[Span]) -> str:
    """What `meta.plan` says."""
    return "+".join(dict.fromkeys(span.source for span in parts)) or "nothing"
