"""Wrap an LLM client once, say whose request it is, and every call is recorded with its tags."""

from percapita._record import log, log_usage, tool
from percapita._sender import configure, flush, shutdown
from percapita._trace import copy_context, tag, with_trace
from percapita._wrap import wrap

__all__ = ["configure", "copy_context", "flush", "log", "log_usage", "shutdown", "tag", "tool", "with_trace", "wrap"]
