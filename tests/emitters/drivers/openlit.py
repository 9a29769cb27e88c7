"""OpenLIT. User, session and tags stand on the application's own span."""

from __future__ import annotations

from pathlib import Path

import anthropic
import openai
import openlit
from opentelemetry import trace

from tests.emitters.calls import Clients
from tests.emitters.cases import Case
from tests.emitters.drivers import app

PROVIDERS = ("openai", "anthropic")
# A list of the user's own, else it fetches one. Four times the price: a cost it tells must not win over the usage.
PRICES = Path(__file__).with_name("openlit_prices.json")


class Emitter:
    def __init__(self, to: str, key: str, provider: str) -> None:
        openlit.init(
            otlp_endpoint=to,
            otlp_headers={"Authorization": f"Bearer {key}"},
            service_name="openlit",
            disable_metrics=True,
            pricing_json=str(PRICES),
        )
        self.perform = Clients(provider, openai, anthropic).perform

    def block(self, case: Case):
        return app.root(case, app.attributes(case))

    def flush(self) -> None:
        trace.get_tracer_provider().force_flush()

    def end(self) -> None:
        return
