"""Wrap an LLM client once, say whose request it is, and every call is recorded with its tags."""

from percapita._percapita import Percapita
from percapita._version import VERSION

__version__ = VERSION
_default = Percapita()

configure = _default.configure
copy_context = _default.copy_context
flush = _default.flush
log = _default.log
log_usage = _default.log_usage
shutdown = _default.shutdown
tag = _default.tag
tool = _default.tool
with_trace = _default.with_trace
wrap = _default.wrap

__all__ = [
    "Percapita", "__version__", "configure", "copy_context", "flush", "log", "log_usage", "shutdown", "tag", "tool", "with_trace", "wrap",
]  # fmt: skip
