"""The same of a year before, with the openai package of then."""

from tests.emitters.drivers import otel_v2
from tests.emitters.drivers.otel_v2 import PROVIDERS, Emitter

otel_v2.NAME = "otel-v2-old"
__all__ = ["PROVIDERS", "Emitter"]
