"""Against oauth4webapi (npm) as a resource server: every token and proof that we accept it accepts."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests.programs import require_node_package
from tests.proofs import HOLDER, HTM, HTU, ath, judge, proof, proof_claims, proof_header
from tests.simulator import (
    ABSENT,
    API,
    ISSUER,
    NOW,
    Members,
    Simulator,
    assemble,
    b64,
    ec_key,
    ed_key,
    jwk,
    rsa_key,
    seal,
)
from tokensvc.core.jws import SigningKey
from tokensvc.core.keyset import KeySet, render_jwks
from tokensvc.errors import TokenRefused

JUDGE: Final = Path(__file__).resolve().parents[1] / "node" / "judge_dpop.mjs"
SIM: Final = Simulator()

ACCEPTED: Final = frozenset({"valid", "key", "name of Ed25519", "uri in another spelling", "time", "beside the claims"})
"""The kinds that we accept."""
LAXER: Final = {"escape of an unreserved character": "RFC 3986 s6.2.2.2 makes them one, the URL standard does not"}
"""The kinds that we accept and it does not, and why."""
STRICTER: Final = {
    "member of the header": "what is not known could change how a proof is read (RFC 8725 s3.10)",
    "far time": "it takes proofs of five minutes, we of one",
    "path segments": "it removes dot segments as browsers do; a client writes the URI that it asks for",
    "jti": "it may be empty there, or of any length; we remember it",
}
"""The kinds of which it accepts some and we refuse all, and why we do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A request with a token that is bound to the key of `holder`, and a proof."""

    kind: str
    name: str
    proof: str
    holder: SigningKey = HOLDER
    method: str = HTM
    url: str = HTU

    @property
    def token(self) -> str:
        return token_of(self.holder.public.thumbprint)


@cache
def token_of(jkt: str) -> str:
    return SIM.token(SIM.claims(SIM.chain("planner"), cnf={"jkt": jkt}))


TOKEN: Final = token_of(HOLDER.public.thumbprint)


def cases() -> Iterator[Case]:
    yield from valid_cases()
    yield from header_cases()
    yield from claim_cases()
    yield from uri_cases()
    yield from signature_cases()


def valid_cases() -> Iterator[Case]:
    yield Case(kind="valid", name="GET", proof=proof(TOKEN))
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        yield Case(kind="valid", name=method, proof=proof(TOKEN, htm=method), method=method)
    for key in (ec_key("a"), ed_key("a"), rsa_key("a")):
        token = token_of(key.public.thumbprint)
        yield Case(kind="key", name=str(key.alg), proof=proof(token, key=key), holder=key)
        other = proof(token, key=ec_key("other"))
        yield Case(kind="another key", name=str(key.alg), proof=other, holder=key)
    ed = ed_key("a")
    named = proof(token_of(ed.public.thumbprint), key=ed, header=proof_header(ed, alg="EdDSA"))
    yield Case(kind="name of Ed25519", name="EdDSA", proof=named, holder=ed)
    for name, extra in (("nonce", "x"), ("exp", NOW + 60), ("nbf", NOW), ("iss", "planner"), ("b", {"c": [1]})):
        yield Case(kind="beside the claims", name=name, proof=with_claims({name: extra}))
    for offset in (-90, -60, -10, 0, 8, 30):
        yield Case(kind="time", name=str(offset), proof=proof(TOKEN, iat=NOW + offset))


def with_claims(changed: Members) -> str:
    claims = {name: member for name, member in {**proof_claims(TOKEN), **changed}.items() if member is not ABSENT}
    return seal(proof_header(), claims, HOLDER)


def header_cases() -> Iterator[Case]:
    changes: list[tuple[str, Members]] = [
        *[("typ", {"typ": typ}) for typ in (ABSENT, "JWT", "at+jwt", "dpop", "delegation-grant+jwt", None, 1)],
        *[("alg", {"alg": alg}) for alg in (ABSENT, "none", "HS256", "ES384", "RS256", "Ed25519", "es256", None)],
        *[("member of the header", {name: 1}) for name in ("jku", "x5c", "x5u", "zip", "cty", "unknown")],
        ("member of the header", {"crit": ["exp"]}),
        ("member of the header", {"b64": False}),
        *[("no key", {"jwk": key}) for key in (ABSENT, None, {}, "x", [], {"kty": "oct", "k": b64(b"k" * 32)})],
        ("private key", {"jwk": {**HOLDER.unsafe_private_jwk()}}),
        *[("no key", {"jwk": {**jwk(HOLDER), name: "AAAA"}}) for name in ("x", "y", "crv", "kty")],
    ]
    for kind, change in changes:
        sealed = proof(TOKEN, header=proof_header(**change))
        yield Case(kind=kind, name=f"{change}", proof=sealed)


def claim_cases() -> Iterator[Case]:
    for name in ("jti", "htm", "htu", "iat", "ath"):
        yield Case(kind="claim missing", name=name, proof=with_claims({name: ABSENT}))
        odd: list[object] = [None, 1.5, True, [], {}, ""]
        for value in odd if name != "jti" else odd[:-1]:
            yield Case(kind="kind of claim", name=f"{name} {value}", proof=with_claims({name: value}))
    yield Case(kind="kind of claim", name="iat as text", proof=with_claims({"iat": str(NOW)}))
    yield Case(kind="jti", name="empty", proof=with_claims({"jti": ""}))
    yield Case(kind="jti", name="long", proof=with_claims({"jti": "x" * 257}))
    for htm in ("POST", "get", "GET "):
        yield Case(kind="another method", name=htm, proof=with_claims({"htm": htm}))
    yield Case(kind="another token", name="ath", proof=with_claims({"ath": ath(TOKEN + "x")}))
    for offset in (-3600, -301, -91, 31, 301, 3600):
        yield Case(kind="far time", name=str(offset), proof=with_claims({"iat": NOW + offset}))


def uri_cases() -> Iterator[Case]:
    def case(kind: str, htu: str, url: str = HTU) -> Case:
        return Case(kind=kind, name=f"{htu} for {url}", proof=with_claims({"htu": htu}), url=url)

    for htu in (
        "HTTPS://crm.example/customers",
        "https://CRM.Example:443/customers",
        f"{HTU}?a=b",
        f"{HTU}#x",
        f"{HTU}?",
    ):
        yield case("uri in another spelling", htu)
    for url in (f"{HTU}?a=b", f"{HTU}?a=/../b"):
        yield case("uri in another spelling", HTU, url)
    yield case("uri in another spelling", "https://crm.example", "https://crm.example/")
    yield case("uri in another spelling", "http://crm.example:80/a", "http://crm.example/a")
    for htu in ("https://crm.example/%63ustomers", "https://crm.example/customer%73"):
        yield case("escape of an unreserved character", htu)
    for htu in (
        "https://crm.example/x/../customers",
        "https://crm.example/./customers",
        "https://crm.example/%2e/customers",
    ):
        yield case("path segments", htu)
    yield case("userinfo", "https://a@crm.example/customers", "https://crm.example/customers")
    for htu in (
        "https://files.example/customers",
        "http://crm.example/customers",
        "https://crm.example:8443/customers",
        "https://crm.example/customers/",
        "https://crm.example/Customers",
        "https://crm.example/",
        "https://crm.example@thief.example/customers",
        "https://crm.example.thief.example/customers",
        "/customers",
        "crm.example/customers",
        "https://[::1]/customers",
        "x",
    ):
        yield case("another uri", htu)
    yield case("another uri", "https://[::1]thief.example/customers", "https://[::1]/customers")


def signature_cases() -> Iterator[Case]:
    text = proof(TOKEN)
    head, payload, signature = text.split(".")
    for position in range(0, len(text) - 1, 3):
        if text[position] != ".":
            changed = text[:position] + ("B" if text[position] == "A" else "A") + text[position + 1 :]
            yield Case(kind="letter", name=str(position), proof=changed)
    yield Case(kind="signature of zeros", name="", proof=f"{head}.{payload}.{b64(bytes(64))}")
    yield Case(kind="no signature", name="none", proof=assemble(proof_header(alg="none"), proof_claims(TOKEN), b""))
    yield Case(kind="no signature", name="empty", proof=f"{head}.{payload}.")
    yield Case(kind="signed by another", name="", proof=seal(proof_header(), proof_claims(TOKEN), ec_key("other")))
    raw = signature + "AAAA"
    yield Case(kind="signature of another length", name="longer", proof=f"{head}.{payload}.{raw}")
    yield Case(kind="signature of another length", name="shorter", proof=f"{head}.{payload}.{signature[:-4]}")
    for kind, spoilt in (("parts", f"{head}.{payload}"), ("parts", f"{text}.x"), ("parts", "x"), ("parts", TOKEN)):
        yield Case(kind=kind, name=spoilt[-10:], proof=spoilt)


@cache
def all_cases() -> tuple[Case, ...]:
    return tuple(cases())


def is_accepted(case: Case) -> bool:
    try:
        proven = judge(case.proof, htm=case.method, htu=case.url)
        SIM.verify(case.token, proof=proven)
    except TokenRefused:
        return False
    return True


@pytest.fixture(scope="module")
def verdicts() -> list[str | None]:
    """What oauth4webapi says of each case; None where it accepts."""
    node = require_node_package("oauth4webapi")
    asked = [{"method": case.method, "url": case.url, "token": case.token, "proof": case.proof} for case in all_cases()]
    jwks = render_jwks(KeySet([SIM.key.public]))
    request = json.dumps({"jwks": jwks, "issuer": ISSUER, "audience": API, "now": NOW, "requests": asked})
    answer = subprocess.run([node, JUDGE], input=request, capture_output=True, text=True, timeout=60, check=True)
    judged: list[str | None] = json.loads(answer.stdout)
    assert len(judged) == len(all_cases()) > 300
    return judged


def test_oauth4webapi_accepts_every_proof_that_we_accept(verdicts: list[str | None]) -> None:
    wrong, accepted = [], set()
    for case, theirs in zip(all_cases(), verdicts, strict=True):
        ours = is_accepted(case)
        assert ours == (case.kind in ACCEPTED or case.kind in LAXER), case
        if ours and (theirs is not None) != (case.kind in LAXER):
            wrong.append((case.kind, case.name, theirs))
        if ours:
            accepted.add(case.kind)
    assert wrong == []
    assert accepted == ACCEPTED | LAXER.keys()


def test_where_oauth4webapi_accepts_more_we_are_stricter_by_design(verdicts: list[str | None]) -> None:
    theirs_only = {
        case.kind
        for case, theirs in zip(all_cases(), verdicts, strict=True)
        if theirs is None and not is_accepted(case)
    }
    assert theirs_only == STRICTER.keys()


def test_what_both_refuse_is_what_was_forged(verdicts: list[str | None]) -> None:
    for case, theirs in zip(all_cases(), verdicts, strict=True):
        if case.kind not in {*ACCEPTED, *LAXER, *STRICTER}:
            assert theirs is not None, case
            assert not is_accepted(case), case
