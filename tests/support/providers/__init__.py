"""A local server that speaks the wire formats of OpenAI and Anthropic, and of the clouds that serve their models.

What it answers is a function of the request alone, so that the same calls, wrapped and bare, get the same bytes: `asked.py` lists the
words a request may say (`tokens:1000,400,0,50`). Shapes are those of the providers' public API references.
"""

from tests.support.providers.answer import WORDS
from tests.support.providers.served import Served
from tests.support.providers.server import ProviderServer

__all__ = ["WORDS", "ProviderServer", "Served"]
