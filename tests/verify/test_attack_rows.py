"""Attacks on delegation tokens that are seen elsewhere, as far as no other test here is about that very one."""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.simulator import (
    ABSENT,
    API,
    Members,
    Simulator,
    act,
    assemble,
    b64,
    ec_key,
    encode,
    rsa_key,
    thumbprint,
)
from tokensvc.core.authority import Order
from tokensvc.core.jws import SigningKey
from tokensvc.core.keyset import PublicKey
from tokensvc.core.scope import ScopeGrammar
from tokensvc.errors import Reason
from tokensvc.verify.verifier import UnsafeHolderProvenUpstream

SIM = Simulator()
PROVEN = UnsafeHolderProvenUpstream()


def no_keys() -> Any:  # noqa: ANN401 - a key source that must not be asked
    class NoKeys:
        def find(self, iss: str, kid: str) -> PublicKey | None:
            raise AssertionError((iss, kid))

    return NoKeys()


def below(parent: str, child: str, *, grammar: ScopeGrammar) -> Reason | None:
    """What is said of a hop with the scope `child` below a root with `parent`."""
    root = SIM.root(scope=parent)
    token = SIM.token(SIM.claims([root, SIM.hop(root, "planner", scope=child)]))
    return SIM.reason(token, expect=replace(SIM.expect(), order=Order(grammar=grammar)))


def test_the_wider_token_of_the_agent_above_is_of_no_use_without_its_key() -> None:
    keys = [{"jkt": thumbprint(agent)} for agent in ("planner", "mailer")]
    root = SIM.root()
    planner = SIM.hop(root, "planner", cnf=keys[0])
    mailer = SIM.hop(planner, "mailer", cnf=keys[1])
    wider = SIM.claims([root, planner], cnf=keys[0])
    own = SIM.claims([root, planner, mailer], cnf=keys[1])

    # The mailer has seen the planner's token, and can prove its own key only.
    assert SIM.reason(SIM.token(wider)) is Reason.HOLDER_UNPROVEN
    for cnf in (ABSENT, keys[1]):
        forged = {name: value for name, value in {**wider, "cnf": cnf}.items() if value is not ABSENT}
        assert SIM.reason(SIM.token(forged), proof=PROVEN) is Reason.TOKEN_EXCEEDS_GRANT
    assert SIM.reason(SIM.token(wider), proof=PROVEN) is None
    assert SIM.reason(SIM.token(own), proof=PROVEN) is None


@pytest.mark.parametrize(
    "child", ["files", "filesystem:read", "files:read:../admin", "files:", "files:*:x", "files:%2e%2e:x", "Files:read"]
)
def test_a_wildcard_covers_only_what_its_grammar_says(child: str) -> None:
    malformed = "*" in child
    reason = Reason.MALFORMED if malformed else Reason.NOT_NARROWER

    assert below("files:* zz", child, grammar=ScopeGrammar.SEGMENTS) is reason
    assert below("files:* zz", child, grammar=ScopeGrammar.EXACT) is Reason.NOT_NARROWER
    # The control: with a hierarchy in the grammar, and only then, one name stands for what is below it.
    assert below("files:* zz", "files:read", grammar=ScopeGrammar.SEGMENTS) is None
    assert below("files:* zz", "files:read", grammar=ScopeGrammar.EXACT) is Reason.NOT_NARROWER


@pytest.mark.parametrize("child", ["%72ead", "read%20admin", "read%2520admin", "read+admin", "read%00admin", "re%61d"])
@pytest.mark.parametrize("grammar", ScopeGrammar)
def test_a_scope_in_an_encoding_is_another_scope(child: str, grammar: ScopeGrammar) -> None:
    assert below("admin read", child, grammar=grammar) is Reason.NOT_NARROWER
    assert below(f"admin read {child}", child, grammar=grammar) is None
    assert below("admin read", "read", grammar=grammar) is None


@pytest.mark.parametrize(
    ("scope", "reason"),
    [
        (" ".join(f"s{number}" for number in range(10_000)), Reason.TOO_LARGE),
        ("s" * 100_000, Reason.TOO_LARGE),
        (" ".join(f"s{number}" for number in range(1_000)), Reason.MALFORMED),
        ("s" * 5_000, Reason.TOKEN_EXCEEDS_GRANT),
        ("mail.send", None),
    ],
    ids=["10000 scopes", "100 KB", "1000 scopes", "5 KB", "one"],
)
def test_a_scope_of_any_size_gets_its_answer(scope: str, reason: Reason | None) -> None:
    chain = SIM.chain("planner", "mailer", "printer")
    chain[3]["scope"] = "mail.send"
    token = SIM.token(SIM.claims(chain, scope=scope))

    assert SIM.reason(token) is reason
    if reason is Reason.TOO_LARGE:
        assert SIM.reason(token, keys=no_keys()) is reason


def limited(limit: bytes, form: str) -> bytes:
    """An authorization detail with that limit, as JSON text."""
    if form == "payment":
        return b'[{"type":"payment","limit":%s}]' % limit
    constraint = b'{"constraint_type":"range","max":%s}' % limit
    return b'[{"type":"attenuating_agent_token","tools":{"pay":{"amount":%s}}}]' % constraint


LIMITS: list[tuple[bytes, Reason | None, Reason | None]] = [
    # The limit, as a value that must be equal, and as the end of a range.
    (b"100", None, None),
    (b"1e2", None, None),
    (b"100.0", None, None),
    (b"1.00E+2", None, None),
    (b"99", Reason.NOT_NARROWER, None),
    (b"-1", Reason.NOT_NARROWER, None),
    (b"101", Reason.NOT_NARROWER, Reason.NOT_NARROWER),
    (b"100.5", Reason.NOT_NARROWER, Reason.NOT_NARROWER),
    (b'"100"', Reason.NOT_NARROWER, Reason.MALFORMED),
    (b"true", Reason.NOT_NARROWER, Reason.MALFORMED),
    (b"null", Reason.NOT_NARROWER, Reason.MALFORMED),
    (b"[100]", Reason.NOT_NARROWER, Reason.MALFORMED),
    (b"100.0000000000000001", Reason.MALFORMED, Reason.MALFORMED),
    (b"NaN", Reason.MALFORMED, Reason.MALFORMED),
    (b"Infinity", Reason.MALFORMED, Reason.MALFORMED),
    (b"1e999", Reason.MALFORMED, Reason.MALFORMED),
    (b"9007199254740993", Reason.MALFORMED, Reason.MALFORMED),
]


@pytest.mark.parametrize(("limit", "equal", "within"), LIMITS, ids=[limit.decode() for limit, *_ in LIMITS])
def test_a_limit_is_compared_as_the_number_that_it_is(
    limit: bytes, equal: Reason | None, within: Reason | None
) -> None:
    for form, expected in (("payment", equal), ("range", within)):
        root = SIM.root(authorization_details="ABOVE")
        hop = SIM.hop(root, "planner", authorization_details="BELOW")
        text = encode(SIM.claims([root, hop], authorization_details="BELOW"))
        text = text.replace(b'"ABOVE"', limited(b"100", form)).replace(b'"BELOW"', limited(limit, form))
        assert SIM.reason(SIM.token(text)) is expected


@pytest.mark.parametrize("key", [ec_key("service"), rsa_key("service")], ids=["ES256", "RS256"])
@pytest.mark.parametrize(
    "disguise",
    [bytes.strip, lambda pem: b"\n " + pem, lambda pem: pem.replace(b"\n", b"\r\n"), lambda pem: b"\xef\xbb\xbf" + pem],
    ids=["stripped", "white space before", "CRLF", "byte-order mark"],
)
@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
def test_a_public_key_in_any_disguise_is_no_shared_secret(
    key: SigningKey, disguise: Callable[[bytes], bytes], alg: str
) -> None:
    sim = Simulator(key=key)
    claims = sim.claims(sim.chain("planner"))
    public = key.public.key.public_key
    for form in (PublicFormat.SubjectPublicKeyInfo, PublicFormat.PKCS1)[: 2 if key.alg == "RS256" else 1]:
        header = sim.header(alg=alg)
        signing_input = f"{b64(encode(header))}.{b64(encode(claims))}".encode()
        secret = disguise(public.public_bytes(Encoding.PEM, form))
        tag = hmac.digest(secret, signing_input, getattr(hashlib, f"sha{alg[2:]}"))
        assert sim.reason(assemble(header, claims, tag), keys=no_keys()) is Reason.MALFORMED
    assert sim.reason(sim.token(claims)) is None


@pytest.mark.parametrize("alg", ["RSA1_5", "RSA-OAEP", "ECDH-ES", "dir", "PBES2-HS256+A128KW", "none"])
def test_an_encrypted_token_is_none_and_costs_nothing(alg: str) -> None:
    header: Members = {"alg": alg, "enc": "A128GCM", "typ": "at+jwt", "kid": SIM.key.kid, "p2c": 10**9, "zip": "DEF"}
    parts = [b64(encode(header)), b64(b"\0" * 32), b64(b"\0" * 12), b64(encode(SIM.claims(SIM.chain("planner")))), "AA"]

    assert SIM.reason(".".join(parts), keys=no_keys()) is Reason.MALFORMED
    # The header alone is refused as well: for its members, before any of them is followed.
    assert SIM.reason(".".join([parts[0], parts[3], parts[1]]), keys=no_keys()) is Reason.MALFORMED
    assert SIM.reason(SIM.token(SIM.claims(SIM.chain("planner")))) is None


@pytest.mark.parametrize("level", [0, 1])
def test_an_actor_that_is_named_twice_is_refused(level: int) -> None:
    claims = SIM.claims(SIM.chain("planner", "mailer"))
    name = b'"sub":"mailer"' if level == 0 else b'"sub":"planner"'
    text = encode({**claims, "act": act("mailer", "planner")})
    assert text.count(name) == 1

    assert SIM.reason(SIM.token(text.replace(name, b'"sub":"admin",' + name))) is Reason.MALFORMED
    assert SIM.reason(SIM.token(text.replace(name, name + b"," + name))) is Reason.MALFORMED
    assert SIM.reason(SIM.token(text)) is None


def test_a_root_without_any_scope_is_no_root_without_limit() -> None:
    root = SIM.root()
    hop = SIM.hop(root, "planner")
    assert SIM.reason(SIM.token(SIM.claims([root, hop]))) is None

    for member, values in (("scope", ("", " ", None, ABSENT)), ("resources", ([], None, ABSENT))):
        for value in values:
            empty = SIM.root(**{member: value})
            assert SIM.reason(SIM.token(SIM.claims([empty, hop]) | {"sub": root["sub"]})) is Reason.MALFORMED
    assert API in root["resources"]
