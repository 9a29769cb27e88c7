"""Run by the examples' own Python: makes a key and signs tokens with it, as Auth0, Clerk and an app of one's own do.

Reads {"rs256": {NAME: CLAIMS}, "hs256": {NAME: CLAIMS}, "secret": TEXT} and writes {"jwks": ..., "tokens": {NAME: TOKEN}, "forged": TOKEN}:
the last is signed by another key under the same `kid`.
"""

from __future__ import annotations

import json
import sys

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

asked = json.load(sys.stdin)
key, other = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
public = {
    **jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True),
    "kid": "k1",
    "use": "sig",
    "alg": "RS256",
}
tokens = {name: jwt.encode(claims, key, "RS256", headers={"kid": "k1"}) for name, claims in asked["rs256"].items()}
tokens |= {name: jwt.encode(claims, asked["secret"], "HS256") for name, claims in asked["hs256"].items()}
first = next(iter(asked["rs256"].values()))
forged = jwt.encode(first, other, "RS256", headers={"kid": "k1"})
json.dump({"jwks": {"keys": [public]}, "tokens": tokens, "forged": forged}, sys.stdout)
