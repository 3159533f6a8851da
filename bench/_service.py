"""The token service as its users run it, and exchanges for it: each with an assertion of its own.

What is asked for: agent-1, which holds a token of depth 1 with three scopes, delegates two of them to agent-2. It
authenticates by `private_key_jwt`. The settings are the defaults: no check is off, nothing is tuned.
"""

import base64
import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key

from bench._load import form_post
from bench._processes import Server, python, running
from bench._tokens import AUTHORITY, AUTHORITY_KEY, ISSUER, RESOURCE, Key, agent, agent_key, issued, jti, scopes
from tokensvc.core.keyset import Algorithm
from tokensvc.exchange.request import ACCESS_TOKEN_TYPE, GRANT_TYPE
from tokensvc.server.client_auth import ASSERTION_TYPE
from tokensvc.signing.keyfiles import generate_key

__all__ = ["LISTENING", "Exchanges", "jwks", "running_service", "write_service"]

LISTENING: Final = r"listening on\s+http://127\.0\.0\.1:(\d+)"
"""What the token service says when it serves, and the other servers in its words."""

_ROOT_SCOPES: Final = 4
_ASSERTION_LIFETIME_S: Final = 60
_CONFIG: Final = "tokensvc.toml"


@dataclass(frozen=True, slots=True)
class Exchanges:
    """Requests for a server whose assertions have `audience`, and which knows tokens signed with `key`."""

    key: Key
    audience: str = ISSUER
    _seen: list[str] = field(default_factory=list)

    def cold(self, count: int) -> list[bytes]:
        """So many requests, each with a subject token that no other one has."""
        return [self._request(self._subject_token()) for _ in range(count)]

    def warm(self, count: int) -> list[bytes]:
        """So many requests with one subject token, which is that of all warm requests."""
        if not self._seen:
            self._seen.append(self._subject_token())
        return [self._request(self._seen[0]) for _ in range(count)]

    def client_credentials(self, count: int) -> list[bytes]:
        """So many requests with the same authentication and no subject token (RFC 6749 s4.4)."""
        form = {"grant_type": "client_credentials", "scope": " ".join(scopes(_ROOT_SCOPES)[:2]), "resource": RESOURCE}
        return [form_post("/token", urlencode(form | self._authentication())) for _ in range(count)]

    def _subject_token(self) -> str:
        return issued(1, _ROOT_SCOPES, now=int(time.time())).token(self.key)

    def _request(self, subject_token: str) -> bytes:
        form = {
            "grant_type": GRANT_TYPE,
            "subject_token": subject_token,
            "subject_token_type": ACCESS_TOKEN_TYPE,
            "requested_actor": agent(2),
            "scope": " ".join(scopes(_ROOT_SCOPES)[:2]),
            "resource": RESOURCE,
        }
        return form_post("/token", urlencode(form | self._authentication()))

    def _authentication(self) -> dict[str, str]:
        now, client, key = int(time.time()), agent(1), agent_key(1)
        claims = {"iss": client, "sub": client, "aud": self.audience, "jti": jti(), "iat": now}
        header = {"typ": "JWT", "alg": "ES256", "kid": key.thumbprint}
        assertion = key.seal(header, claims | {"exp": now + _ASSERTION_LIFETIME_S})
        return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}


def jwks(key: Key) -> dict[str, Any]:
    """The public JWK set of `key`."""
    return {"keys": [{**key.jwk, "alg": "ES256", "use": "sig", "kid": key.thumbprint}]}


@contextmanager
def running_service(folder: Path, store: str, *options: str) -> Iterator[tuple[Server, Exchanges]]:
    """`tokensvc serve` with a key and configuration in `folder`, its state in `store`; and requests for it."""
    config, exchanges = write_service(folder, store)
    words = python("tokensvc", "serve", "--config", config, "--port", "0", *options)
    with running(words, folder / "log", ready=LISTENING) as server:
        yield server, exchanges


def write_service(folder: Path, store: str, *, are_holders: bool = False) -> tuple[Path, Exchanges]:
    """A configuration in the new `folder`, and requests for a service that has it.

    `are_holders`: both agents have registered the keys that they hold, which are those of `agent_key`.
    """
    folder.mkdir()
    private = generate_key(folder / "keys", Algorithm.ES256, now=1).key.unsafe_private_jwk()["d"]
    number = int.from_bytes(base64.urlsafe_b64decode(private + "=" * (-len(private) % 4)))
    return _write_configuration(folder, store, are_holders=are_holders), Exchanges(
        Key.of(derive_private_key(number, SECP256R1()))
    )


def _write_configuration(folder: Path, store: str, *, are_holders: bool) -> Path:
    (folder / "idp.jwks.json").write_text(json.dumps(jwks(AUTHORITY_KEY)))
    for index in (1, 2):
        (folder / f"agent-{index}.jwks.json").write_text(json.dumps(jwks(agent_key(index))))
    held = [{"holder_jwks_file": f"agent-{index}.jwks.json"} if are_holders else {} for index in (1, 2)]
    ours = {"scopes": scopes(_ROOT_SCOPES), "resources": [RESOURCE]}
    tables: Sequence[tuple[str, dict[str, Any]]] = (
        ("[store]", {"url": store}),
        (
            "[[identity_provider]]",
            {"iss": AUTHORITY, "jwks_file": "idp.jwks.json", "audience": ["tokensvc"], "algorithms": ["ES256"]},
        ),
        ("[identity_provider.ceiling]", {"resources": [RESOURCE]}),
        (
            "[[agent]]",
            {
                "id": agent(1),
                "auth": "private_key_jwt",
                "jwks_file": "agent-1.jwks.json",
                "may_delegate_to": [agent(2)],
                **held[0],
                **ours,
            },
        ),
        (
            "[[agent]]",
            {"id": agent(2), "auth": "client_secret_basic", "secret_sha256": [_digest()], **held[1], **ours},
        ),
        (
            "[[resource]]",
            {"id": RESOURCE, "client_id": "api", "scopes": scopes(_ROOT_SCOPES), "secret_sha256": [_digest()]},
        ),
    )
    lines = [f"issuer = {json.dumps(ISSUER)}"]
    for heading, members in tables:
        # Texts and lists of texts are written alike in TOML and JSON.
        lines += [heading, *(f"{name} = {json.dumps(value)}" for name, value in members.items())]
    path = folder / _CONFIG
    path.write_text("\n".join(lines) + "\n")
    return path


def _digest() -> str:
    """Of a secret that nobody knows."""
    return hashlib.sha256(jti().encode()).hexdigest()
