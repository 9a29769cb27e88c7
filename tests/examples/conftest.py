"""What the examples' tests share: their environment, an embedded Percapita, a provider, an issuer of tokens."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.examples.running import MODEL, Example, jwks_served
from tests.support.embedded import Running
from tests.support.needs import ROOT, need_environment
from tests.support.providers import ProviderServer

SECRET = "a secret of at least thirty-two bytes"
USERS = ("ada", "bob")
PARTY = "https://app.example.com"


class Issuer(NamedTuple):
    """Signs for every example; the address has its keys."""

    url: str
    tokens: dict[str, str]


@pytest.fixture(scope="session")
def python() -> Path:
    return need_environment("examples", ROOT / "examples" / "requirements.txt")


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("product") / "data")
    yield running
    assert running.end(signal.SIGTERM) == 0
    assert running.process.stdout is not None
    running.process.stdout.close()


@pytest.fixture
def provider() -> Iterator[ProviderServer]:
    with ProviderServer() as server:
        yield server


@pytest.fixture(scope="session")
def issuer(python: Path) -> Iterator[Issuer]:
    """`auth0|ada`, `clerk_ada` and `own_ada` have tokens; the other names say what is wrong with theirs."""
    now = int(time.time())
    # The address is a claim, so it is known before the keys are.
    keys: dict[str, Any] = {}
    with jwks_served(keys) as url:
        auth0 = {
            "iss": f"{url}/",
            "aud": ["https://api.example.com", f"{url}/userinfo"],
            "iat": now,
            "exp": now + 3_600,
        }
        clerk = {"iss": url, "azp": PARTY, "sid": "sess_1", "iat": now, "nbf": now - 10, "exp": now + 3_600}
        own = {"exp": now + 3_600, "plan": "pro"}
        ask = {
            "secret": SECRET,
            "rs256": {
                **{f"auth0|{user}": {**auth0, "sub": f"auth0|{user}", "org_id": f"org_{user}"} for user in USERS},
                "auth0 expired": {**auth0, "sub": "auth0|eve", "exp": now - 60},
                "auth0 for another API": {**auth0, "sub": "auth0|eve", "aud": "https://other.example.com"},
                "auth0 of another issuer": {**auth0, "sub": "auth0|eve", "iss": "https://evil.example.com/"},
                "auth0 of nobody": auth0,
                "clerk_ada": {**clerk, "sub": "clerk_ada", "v": 2, "o": {"id": "org_1", "rol": "admin", "slg": "acme"}},
                "clerk_bob": {**clerk, "sub": "clerk_bob", "org_id": "org_2", "org_role": "basic_member"},
                "clerk expired": {**clerk, "sub": "eve", "exp": now - 60},
                "clerk not yet": {**clerk, "sub": "eve", "nbf": now + 600},
                "clerk for another page": {**clerk, "sub": "eve", "azp": "https://evil.example.com"},
            },
            "hs256": {
                **{f"{name}_{user}": {**own, "sub": f"{name}_{user}"} for name in ("own", "asgi") for user in USERS},
                "own expired": {**own, "sub": "eve", "exp": now - 60},
                "own without an end": {"sub": "eve"},
            },
        }  # fmt: skip
        script = str(Path(__file__).parent / "tokens.py")
        done = subprocess.run([str(python), script], input=json.dumps(ask), capture_output=True, text=True, check=True)
        made = json.loads(done.stdout)
        keys |= made["jwks"]
        header, _, signature = made["tokens"]["auth0|ada"].split(".")
        yield Issuer(
            url,
            {
                **made["tokens"],
                "forged": made["forged"],
                "no token": "nonsense",
                "changed": f"{header}.e30.{signature}",
            },
        )


@pytest.fixture
def example(python: Path, product: Running, provider: ProviderServer, tmp_path: Path) -> Callable[..., Example]:
    """Starts one by name, with more of an environment."""

    def start(name: str, **environment: str) -> Example:
        return Example(python, name, tmp_path, {
            "OPENAI_API_KEY": "sk-none", "OPENAI_BASE_URL": f"{provider.url}/v1", "OPENAI_MODEL": MODEL,
            "PERCAPITA_URL": product.url, "PERCAPITA_API_KEY": product.keys["ingest"], "PERCAPITA_INCLUDE_USAGE": "1", **environment,
        })  # fmt: skip

    return start
