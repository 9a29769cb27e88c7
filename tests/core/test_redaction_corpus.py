"""Redaction on labelled snippets: precision and recall per kind, reported and held."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from pipeline.redact import redact, redact_json

CORPUS = [json.loads(line) for line in (Path(__file__).parent / "redaction_corpus.jsonl").open(encoding="utf-8")]
KINDS = ("EMAIL", "PHONE", "CARD", "IBAN", "SSN", "IP", "JWT", "PRIVATE_KEY", "API_KEY", "CONNECTION_STRING")
PRECISION, RECALL = 0.97, 0.97
_MARK = re.compile(r"\[(" + "|".join(KINDS) + r")\]")


def expected(item: dict) -> str:
    text = item["text"]
    for span in item["spans"]:
        text = text.replace(span["text"], f"[{span['kind']}]", 1)
    return text


def counts() -> tuple[Counter[str], Counter[str], Counter[str]]:
    """Per kind: found rightly, found, labelled."""
    right, found, labelled = Counter[str](), Counter[str](), Counter[str]()
    for item in CORPUS:
        clean = redact(item["text"])
        marks = Counter(_MARK.findall(clean))
        wanted = Counter(span["kind"] for span in item["spans"])
        found += marks
        labelled += wanted
        # Right only where the whole finding went, and nothing else of the text.
        if clean == expected(item):
            right += wanted
    return right, found, labelled


def test_the_corpus_has_300_snippets_of_every_kind_and_hard_negatives() -> None:
    assert len(CORPUS) >= 300
    assert all(sum(span["kind"] == kind for item in CORPUS for span in item["spans"]) >= 10 for kind in KINDS)
    assert sum(not item["spans"] for item in CORPUS) >= 50


def test_precision_and_recall_hold_for_every_kind(capsys: pytest.CaptureFixture[str]) -> None:
    right, found, labelled = counts()
    rows = [(k, labelled[k], right[k] / max(1, found[k]), right[k] / labelled[k]) for k in KINDS]
    with capsys.disabled():
        print("\n  kind               labelled  precision  recall")
        for kind, number, precision, recall in rows:
            print(f"  {kind:18} {number:8} {precision:10.3f} {recall:7.3f}")
    assert [kind for kind, _, precision, recall in rows if precision < PRECISION or recall < RECALL] == []


@pytest.mark.parametrize("item", [i for i in CORPUS if not i["spans"]], ids=lambda item: item["text"][:30])
def test_what_only_looks_like_a_finding_stays(item: dict) -> None:
    assert redact(item["text"]) == item["text"]


def test_redaction_is_idempotent_and_the_same_inside_json() -> None:
    for item in CORPUS:
        once = redact(item["text"])
        assert redact(once) == once
        held = json.dumps({"a": [item["text"]]}, ensure_ascii=False).encode()
        assert json.loads(redact_json(held))["a"] == [once]
        escaped = json.dumps([item["text"]]).encode()
        assert json.loads(redact_json(escaped)) == [once]
