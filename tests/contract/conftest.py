"""What several contract suites share: an engine in this process with every table made."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipeline.schema import Engines, migrate
from pipeline.store import ClickHouse, open_chdb


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    """Fresh for each file of tests; a file with a fixture of this name has its own."""
    opened = open_chdb(tmp_path_factory.mktemp("store"))
    migrate(opened, Engines())
    yield opened
    opened.close()
