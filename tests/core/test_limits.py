"""Every limit has one value: a second assignment under the same name would change another part's in silence."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

from pipeline import limits


def test_no_limit_is_set_twice() -> None:
    tree = ast.parse(Path(limits.__file__).read_text(encoding="utf-8"))
    names = Counter(
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    )
    assert names
    assert [name for name, count in names.items() if count > 1] == []
