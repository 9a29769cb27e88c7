"""What the SDK's suites share: a stand-in for the collector, a configuration that sends to it, a server that speaks as providers do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from percapita import Percapita

from tests.support.intake import Intake
from tests.support.providers import ProviderServer


@pytest.fixture
def intake() -> Iterator[Intake]:
    with Intake() as server:
        yield server


@pytest.fixture
def ours(intake: Intake) -> Iterator[Percapita]:
    made = Percapita("pc_test", intake.url)
    yield made
    made.shutdown()


@pytest.fixture(scope="module")
def provider() -> Iterator[ProviderServer]:
    with ProviderServer() as server:
        yield server
