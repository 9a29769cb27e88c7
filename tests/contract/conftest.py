"""What several contract suites share: an engine in this process with every table made; a query service over many rows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from pipeline.schema import Engines, migrate
from pipeline.store import ClickHouse, open_chdb
from tests.support.answers import Asker, rows_stored, service


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    """Fresh for each file of tests; a file with a fixture of this name has its own."""
    opened = open_chdb(tmp_path_factory.mktemp("store"))
    migrate(opened, Engines())
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def rows_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    """The rows of `tests.support.answers`."""
    with rows_stored(tmp_path_factory.mktemp("clickhouse")) as made:
        yield made


@pytest.fixture
async def ask(rows_store: ClickHouse) -> AsyncIterator[Asker]:
    """Asks a service over them."""
    async with service(rows_store) as made:
        yield made
