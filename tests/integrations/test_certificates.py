"""Tokens that are bound to the certificate of a TLS client (RFC 8705 s3), through the middleware."""

import base64
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from typing import Any, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from tests.integrations.asgi_calls import BOUND, SIM, TOKEN, Api, drive, protect
from tests.proofs import proof
from tests.simulator import b64
from tokensvc.verify import HolderFloor

STRICT: Final = {"expect": replace(SIM.expect(), holder=HolderFloor.PROOF)}


@cache
def certificate(name: str) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    start = datetime(2030, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(start)
    return builder.not_valid_after(start + timedelta(days=1)).sign(key, SHA256())


def pem(name: str) -> str:
    return certificate(name).public_bytes(Encoding.PEM).decode()


def der(name: str) -> bytes:
    return certificate(name).public_bytes(Encoding.DER)


@cache
def bound_to(name: str) -> str:
    return SIM.token(SIM.claims(SIM.chain("planner"), cnf={"x5t#S256": b64(sha256(der(name)).digest())}))


async def status(app: Any, token: str, *chain: str, scheme: str = "Bearer", **members: Any) -> int:  # noqa: ANN401
    """The answer to a call over a connection with this chain of certificates, leaf first."""
    tls = {"client_cert_chain": list(chain), "client_cert_error": None, **members.pop("tls", {})}
    headers = [(b"authorization", f"{scheme} {token}".encode()), *members.pop("headers", [])]
    scope = {"type": "http", "method": "GET", "path": "/customers", "headers": headers, "extensions": {"tls": tls}}
    sent = await drive(app, {**scope, **members})
    code: int = sent[0]["status"]
    return code


@pytest.mark.parametrize("terms", [{}, STRICT], ids=["bearer", "proof"])
@pytest.mark.requirement("MTLS-THUMBPRINT")
async def test_a_token_is_taken_over_the_connection_with_its_certificate(terms: dict[str, Any]) -> None:
    api = Api()
    app, token = protect(api, **terms), bound_to("planner")
    assert await status(app, token, pem("planner")) == 200
    assert await status(app, token, pem("planner"), pem("authority")) == 200
    assert [seen.not_performed for seen in api.seen] == [{"revocation"}] * 2
    assert await status(app, token) == 401
    assert await status(app, token, pem("mailer")) == 401
    assert await status(app, token, pem("mailer"), pem("planner")) == 401
    assert len(api.seen) == 2


async def test_a_server_without_the_extension_shows_no_certificate() -> None:
    app, token = protect(Api()), bound_to("planner")
    odd: list[Any] = [{}, None, {"tls": {}}, {"tls": None}, {"tls": {"client_cert_chain": None}}]
    for extensions in odd:
        assert await status(app, token, extensions=extensions) == 401
        assert await status(app, TOKEN, extensions=extensions) == 200
    assert await status(app, token, pem("planner")) == 200


async def test_a_certificate_that_the_server_found_fault_with_proves_nothing() -> None:
    app, token = protect(Api()), bound_to("planner")
    assert await status(app, token, pem("planner"), tls={"client_cert_error": "self-signed"}) == 401
    assert await status(app, token, pem("planner"), tls={"client_cert_error": ""}) == 200


async def test_an_unbound_token_may_come_over_any_connection_unless_a_proof_is_required() -> None:
    assert await status(protect(Api()), TOKEN, pem("planner")) == 200
    assert await status(protect(Api(), **STRICT), TOKEN, pem("planner")) == 401


async def test_a_certificate_is_no_dpop_proof_and_the_other_way_round() -> None:
    app = protect(Api())
    assert await status(app, BOUND, pem("planner")) == 401
    with_proof: dict[str, Any] = {"headers": [(b"dpop", proof(bound_to("planner")).encode())]}
    assert await status(app, bound_to("planner"), pem("planner"), scheme="DPoP", **with_proof) == 401
    right: dict[str, Any] = {"headers": [(b"dpop", proof(BOUND).encode())]}
    assert await status(app, BOUND, pem("planner"), scheme="DPoP", **right) == 200


async def test_a_header_of_a_proxy_counts_only_where_somebody_says_so() -> None:
    def from_proxy(scope: Mapping[str, Any]) -> bytes | None:
        values = [value for name, value in scope["headers"] if name == b"client-cert"]
        return base64.b64decode(values[0].strip(b":")) if len(values) == 1 else None

    sent: dict[str, Any] = {"headers": [(b"client-cert", b":" + base64.b64encode(der("planner")) + b":")]}
    token = bound_to("planner")
    assert await status(protect(Api()), token, **sent) == 401
    behind_proxy = protect(Api(), certificate=from_proxy)
    assert await status(behind_proxy, token, **sent) == 200
    assert await status(behind_proxy, bound_to("mailer"), **sent) == 401
    # Then it is the proxy that has the client's connection; ours is with the proxy.
    assert await status(behind_proxy, token, pem("planner")) == 401


@pytest.mark.parametrize("chain", [["no PEM"], [pem("planner")[:-40]], [1]])
async def test_a_certificate_that_cannot_be_read_lets_nobody_in(chain: list[Any]) -> None:
    api = Api()
    app = protect(api)
    assert await status(app, bound_to("planner"), *chain) == 503
    assert api.seen == []
    assert await status(app, bound_to("planner"), pem("planner")) == 200


async def test_a_source_that_fails_lets_nobody_in() -> None:
    def broken(_scope: Mapping[str, Any]) -> bytes | None:
        raise KeyError("client-cert")

    api = Api()
    assert await status(protect(api, certificate=broken), TOKEN) == 503
    assert api.seen == []
