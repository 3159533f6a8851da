"""Steps 11 and 12: roots signed by an authority, hops signed by their delegators, floors and pins."""

from dataclasses import replace
from typing import Any, Final

from tests.vectors.case import FLOORS_STRICT, Cases, rows
from tests.vectors.parties import (
    AGENTS,
    AS,
    AS_KEY,
    DROP,
    FOREIGN_IDP,
    FOREIGN_KEY,
    IDP,
    IDP_KEY,
    NOW,
    OTHER_AS,
    P256_ORDER,
    PREFIX,
    USER,
    Draft,
    Key,
    Members,
    b64,
    ec_key,
    ed_key,
    holder,
    jti,
    mixed_order_key,
    rsa_key,
    secp256k1_key,
)

__all__ = ["floors", "grants", "roots"]

SIGNED: Final = Draft(bound=True, signed=(0, 2, 3))
PLAIN_ROOT: Final = Draft(bound=True, signed=(2, 3))
AUTHORITY: Final[Members] = {"issuer": AS, "authority": IDP, "prefix": PREFIX}
TRUSTED: Final[Members] = {"authorities": [AUTHORITY]}
BOTH: Final[Members] = {
    "issuers": [AS, OTHER_AS],
    "authorities": [AUTHORITY, {"issuer": OTHER_AS, "authority": FOREIGN_IDP, "prefix": "x:"}],
}


def _root(**change: Any) -> Draft:  # noqa: ANN401 - JSON
    return replace(SIGNED, spoil={0: change})


def _jws_of(draft: Draft, index: int) -> str:
    return str(draft.payload()["grant_chain"][index]["jws"])


def _with_jws(draft: Draft, index: int, text: str) -> Draft:
    chain = list(draft.payload()["grant_chain"])
    chain[index] = {"jws": text}
    return replace(draft, claims={"grant_chain": chain})


def roots() -> Cases:
    """Step 11."""
    cases = Cases(about="Roots signed by an authority (step 11)", step=9, expect=TRUSTED)
    cases.accept("root-signed", "A root signed by the authority, hops from the second on by their delegators", SIGNED)
    cases.accept(
        "root-signed-hops-plain", "A signed root over plain hops, the first bound", replace(SIGNED, signed=(0,))
    )
    for name, change in rows(
        ("aud-other", {"aud": OTHER_AS}),
        ("aud-resource", {"aud": "https://crm.example/api"}),
        ("actor-other", {"actor": "mailer"}),
        ("cnf-other", {"cnf": {"jkt": holder("mailer").thumbprint}}),
        ("sub-other", {"sub": "user-2"}),
        ("sub-with-prefix", {"sub": PREFIX + USER}),
        ("iss-service", {"iss": AS}),
        ("iss-foreign", {"iss": FOREIGN_IDP}),
        ("iss-unknown", {"iss": "https://evil.example"}),
    ):
        cases.refuse(
            f"root-{name}",
            "A member that does not fit the token, truly signed by the authority",
            _root(**change),
            "root_invalid",
        )
    cases.refuse(
        "root-hop-1-unbound",
        "The root names a key, hop 1 is unbound",
        replace(SIGNED, spoil={1: {"cnf": DROP}}),
        "root_invalid",
    )
    cases.refuse(
        "root-hop-1-other-agent",
        "Hop 1 names another agent; act follows",
        replace(
            SIGNED,
            actors=("clerk", "mailer", "printer"),
            spoil={0: {"actor": "planner", "cnf": {"jkt": holder("planner").thumbprint}}},
        ),
        "root_invalid",
    )
    cases.refuse(
        "root-untrusted",
        "An authority that the verifier does not know",
        SIGNED,
        "root_invalid",
        expect={"authorities": []},
    )
    cases.refuse(
        "root-of-other-issuers-authority",
        "Trusted for the other token service only",
        SIGNED,
        "root_invalid",
        expect={"issuers": [AS, OTHER_AS], "authorities": [{**AUTHORITY, "issuer": OTHER_AS}]},
    )
    foreign = replace(SIGNED, signers={0: FOREIGN_KEY}, spoil={0: {"iss": FOREIGN_IDP}})
    cases.refuse(
        "root-by-foreign-authority",
        "Signed by the authority of another token service",
        foreign,
        "root_invalid",
        expect=BOTH,
    )
    cases.accept(
        "root-prefix-empty",
        "The empty prefix",
        replace(SIGNED, claims={"sub": USER}, spoil={2: {"sub": USER}, 3: {"sub": USER}}),
        expect={"authorities": [{**AUTHORITY, "prefix": ""}]},
    )
    cases.refuse(
        "root-prefix-other",
        "Another prefix than the token's sub has",
        SIGNED,
        "root_invalid",
        expect={"authorities": [{**AUTHORITY, "prefix": "idp2:"}]},
        control="root-signed",
    )
    cases.refuse(
        "root-sub-split-otherwise",
        "Prefix and sub join to another text",
        replace(SIGNED, claims={"sub": USER}),
        "root_invalid",
        control="root-signed",
    )
    for name, change in rows(
        ("typ-at", {"typ": "at+jwt"}),
        ("typ-grant", {"typ": "delegation-grant+jwt"}),
        ("typ-case", {"typ": "Delegation-Root+JWT"}),
        ("typ-long", {"typ": "application/delegation-root+jwt"}),
        ("typ-absent", {"typ": DROP}),
        ("kid-absent", {"kid": DROP}),
        ("kid-unknown", {"kid": "nobody"}),
        ("kid-number", {"kid": 1}),
        ("kid-of-service", {"kid": "service-ed"}),
        ("alg-absent", {"alg": DROP}),
        ("alg-other", {"alg": "RS256"}),
        ("alg-none", {"alg": "none"}),
        ("member", {"jwk": IDP_KEY.jwk}),
        ("crit", {"crit": ["x"]}),
    ):
        cases.refuse(
            f"root-header-{name}",
            "The header is exactly typ, alg and kid, and kid a key of the authority",
            replace(SIGNED, headers={0: change}),
            "root_invalid",
            control="root-signed",
        )
    thief = replace(ec_key("thief"), kid=IDP_KEY.kid)
    cases.refuse(
        "root-by-thief",
        "Signed by another key under the authority's kid",
        replace(SIGNED, signers={0: thief}),
        "root_invalid",
        control="root-signed",
    )
    cases.refuse(
        "root-by-service",
        "Signed by the token service with a kid that both have",
        replace(SIGNED, signers={0: AS_KEY}),
        "root_invalid",
        control="root-signed",
    )
    cases.accept(
        "root-by-second-key",
        "Signed by the authority's own key of that kid",
        replace(SIGNED, signers={0: replace(ec_key("idp-service"), kid="service")}),
    )
    head, body, sign = _jws_of(SIGNED, 0).split(".")
    other = _jws_of(_root(exp=NOW + 999_999), 0).split(".")[1]
    cases.refuse(
        "root-payload-exchanged",
        "The signature of another payload",
        _with_jws(SIGNED, 0, f"{head}.{other}.{sign}"),
        "root_invalid",
        control="root-signed",
    )
    cases.refuse(
        "root-signature-short",
        "A signature that is too short",
        _with_jws(SIGNED, 0, f"{head}.{body}.{b64(IDP_KEY.sign(f'{head}.{body}'.encode())[:-1])}"),
        "root_invalid",
        control="root-signed",
    )
    edwards = replace(SIGNED, signers={0: ed_key("root-signer-ed")})
    cases.accept("root-ed25519", "Signed with Ed25519", edwards)
    cases.refuse(
        "root-EdDSA",
        "Here the old name of Ed25519 is none",
        replace(edwards, headers={0: {"alg": "EdDSA"}}),
        "root_invalid",
    )
    cases.accept("root-rs256", "Signed with RS256", replace(SIGNED, signers={0: rsa_key("root-signer-rsa")}))
    cases.refuse(
        "root-wider-hop",
        "Hop 1 is compared with a signed root as with a plain one",
        replace(SIGNED, spoil={1: {"max_depth": 6}}),
        "not_narrower",
        control="root-signed",
    )
    cases.refuse(
        "root-parent-other",
        "Step 10 finds a wrong parent first",
        replace(SIGNED, spoil={1: {"parent": jti("x")}}),
        "chain_misaligned",
        control="root-signed",
        hop=None,
    )
    return cases


def grants() -> Cases:
    """Step 12, the signature and members of a hop."""
    cases = Cases(about="Hops signed by their delegators (step 12)", step=9, expect=TRUSTED)
    cases.accept("grants", "Hop 2 signed with ES256, hop 3 with Ed25519", SIGNED)
    for index in (2, 3):
        delegator, wrong = AGENTS[index - 2], AGENTS[index - 1]
        changes: list[tuple[str, Members]] = [
            ("iss-other", {"iss": wrong}),
            ("iss-service", {"iss": AS}),
            ("iss-case", {"iss": delegator.title()}),
            ("sub-other", {"sub": "user-2"}),
            ("sub-authoritys", {"sub": USER}),
            ("aud-other", {"aud": OTHER_AS}),
            ("root-other", {"root": jti("x")}),
            ("root-is-parent", {"root": jti(f"hop {index - 1}")}),
            ("index-lower", {"index": index - 1}),
            ("index-higher", {"index": index + 1}),
            ("index-0", {"index": 0}),
        ]
        for name, change in changes:
            cases.refuse(
                f"grant-{index}-{name}",
                "A member that does not fit its place, truly signed by the delegator",
                replace(SIGNED, spoil={index: change}),
                "grant_invalid",
            )
        others: list[tuple[str, Key]] = [
            ("thief", ec_key("thief")),
            ("delegatee", holder(wrong)),
            ("service", AS_KEY),
            ("rsa", rsa_key("service-rsa")),
        ]
        for name, key in others:
            cases.refuse(
                f"grant-{index}-by-{name}",
                "Signed by another key, which the header names",
                replace(SIGNED, signers={index: key}),
                "grant_invalid",
            )
        liar = replace(ec_key("thief") if index == 2 else ed_key("thief"), jwk=holder(delegator).jwk)
        cases.refuse(
            f"grant-{index}-signature",
            "The delegator's key named, another one's signature",
            replace(SIGNED, signers={index: liar}),
            "grant_invalid",
        )
        key = holder(delegator)
        headers: list[tuple[str, Members]] = [
            ("typ-at", {"typ": "at+jwt"}),
            ("typ-root", {"typ": "delegation-root+jwt"}),
            ("typ-case", {"typ": "Delegation-Grant+JWT"}),
            ("typ-absent", {"typ": DROP}),
            ("alg-absent", {"alg": DROP}),
            ("alg-none", {"alg": "none"}),
            ("alg-other", {"alg": "ES256" if index == 3 else "Ed25519"}),
            ("alg-null", {"alg": None}),
            ("jwk-absent", {"jwk": DROP}),
            ("jwk-null", {"jwk": None}),
            ("kid", {"kid": key.kid}),
            ("crit", {"crit": ["x"]}),
            ("jwk-with-kid", {"jwk": {**key.jwk, "kid": "x"}}),
            ("jwk-with-alg", {"jwk": {**key.jwk, "alg": key.alg}}),
            ("jwk-private", {"jwk": {**key.jwk, "d": b64(bytes(32))}}),
            ("jwk-without-x", {"jwk": {name: value for name, value in key.jwk.items() if name != "x"}}),
            ("jwk-crv", {"jwk": {**key.jwk, "crv": "P-384"}}),
            ("jwk-kty", {"jwk": {**key.jwk, "kty": "oct"}}),
            ("jwk-x-number", {"jwk": {**key.jwk, "x": 1}}),
            ("jwk-padded", {"jwk": {**key.jwk, "x": key.jwk["x"] + "="}}),
        ]
        for name, header in headers:
            cases.refuse(
                f"grant-{index}-header-{name}",
                "The header is exactly typ, alg and jwk, the jwk exactly what RFC 7638 hashes",
                replace(SIGNED, headers={index: header}),
                "grant_invalid",
            )
    cases.refuse(
        "grant-EdDSA",
        "Here the old name of Ed25519 is none",
        replace(SIGNED, headers={3: {"alg": "EdDSA"}}),
        "grant_invalid",
    )
    for key, name in ((rsa_key("service-rsa"), "rsa"), (_zero_padded(holder("planner")), "zero-padded")):
        pinned = {"cnf": {"jkt": key.thumbprint}}
        draft = replace(SIGNED, spoil={0: pinned, 1: pinned}, signers={2: key})
        comment = (
            "A key of a kind that no delegator signs with"
            if name == "rsa"
            else "A coordinate written with a zero byte before it"
        )
        cases.refuse(
            f"grant-2-key-{name}", f"{comment}; root and hop 1 name its thumbprint", draft, "grant_invalid", hop=2
        )
    _holder_keys(cases)
    head, body, sign = _jws_of(SIGNED, 2).split(".")
    wider = _jws_of(replace(SIGNED, spoil={2: {"scope": "crm.read crm.write files.read"}}), 2).split(".")[1]
    cases.refuse(
        "grant-payload-exchanged",
        "The signature of another payload",
        _with_jws(SIGNED, 2, f"{head}.{wider}.{sign}"),
        "grant_invalid",
        hop=2,
    )
    from_other = Draft(bound=True, signed=(0, 2, 3), entries={0: {"jti": jti("another root")}})
    cases.accept("another-lineage", "The same agents below another root", from_other)
    chain = SIGNED.payload()["grant_chain"]
    lifted = replace(from_other, claims={"grant_chain": [*from_other.payload()["grant_chain"][:2], *chain[2:]]})
    cases.refuse(
        "grant-from-another-lineage",
        "A grant lifted from below another root: hop 1 has the same jti in both",
        lifted,
        "grant_invalid",
        hop=2,
    )
    first = replace(SIGNED, signed=(0, 1, 2, 3), signers={1: holder("planner")}, spoil={1: {"iss": "planner"}})
    cases.refuse("grant-at-1", "A signed first hop: the user has no key", first, "grant_invalid")
    moved = Draft(
        actors=("mailer", "printer"),
        bound=True,
        signed=(1,),
        signers={1: holder("planner")},
        entries={0: {"scope": "crm.read crm.write files.read mail.send"}},
        spoil={1: {"iss": "planner", "index": 2}},
    )
    cases.refuse(
        "grant-lifted-to-the-top", "A grant to a sub-agent set directly below the root", moved, "grant_invalid"
    )
    unbound_above = replace(SIGNED, signed=(3,), spoil={2: {"cnf": DROP}}, bound=True)
    cases.refuse(
        "grant-below-unbound",
        "The delegator is bound to no key (hop 2 falls first, wider than the bound hop 1)",
        unbound_above,
        "not_narrower",
        hop=2,
        control="grants",
    )
    loose = Draft(
        signed=(2,),
        actors=AGENTS[:2],
        spoil={2: {"cnf": {"jkt": holder("mailer").thumbprint}}},
        claims={"cnf": {"jkt": holder("mailer").thumbprint}},
    )
    cases.refuse(
        "grant-of-unbound",
        "The delegator is bound to no key, and signs all the same",
        loose,
        "grant_invalid",
        control="grants",
        holder_proven_upstream=True,
    )
    raw = _raw_signature(SIGNED, 2)
    high = raw[:32] + (P256_ORDER - int.from_bytes(raw[32:])).to_bytes(32)
    cases.accept(
        "grant-high-s", "The other signature of ES256 (n - s)", _with_jws(SIGNED, 2, f"{head}.{body}.{b64(high)}")
    )
    cases.refuse(
        "grant-signature-bit",
        "A bit of it changed",
        _with_jws(SIGNED, 2, f"{head}.{body}.{b64(bytes([raw[0] ^ 1]) + raw[1:])}"),
        "grant_invalid",
        hop=2,
    )
    cases.refuse(
        "grant-wider",
        "A delegator signs more than it has",
        replace(SIGNED, spoil={2: {"max_depth": 6}}),
        "not_narrower",
    )
    cases.refuse(
        "grant-equal",
        "A delegator signs all that it has",
        replace(SIGNED, entries={2: {"scope": "crm.read crm.write files.read mail.send"}}),
        "not_proper",
    )
    cases.refuse(
        "grant-before-wider",
        "A false signature on a wider hop: the signature comes first",
        replace(SIGNED, signers={2: liar}, spoil={2: {"max_depth": 6}}),
        "grant_invalid",
    )
    cases.accept(
        "grant-self-narrowing",
        "An agent signs to itself",
        Draft(actors=("planner", "planner", "mailer"), bound=True, signed=(0, 2, 3)),
    )
    return cases


def _signed_by(key: Key) -> Draft:
    """Hop 2 signed with `key`, whose thumbprint root and hop 1 name."""
    pinned = {"cnf": {"jkt": key.thumbprint}}
    return replace(SIGNED, spoil={0: pinned, 1: pinned}, signers={2: key})


def _holder_keys(cases: Cases) -> None:
    """Keys whose thumbprint the root and hop 1 name, and whose signature is true."""
    planner, mailer = holder("planner"), holder("mailer")
    cases.accept("grant-key", "A sound key", _signed_by(mailer))
    spoilt: list[tuple[str, str, Key]] = [
        ("small-order", "An Ed25519 key of small order, under which zeros are a signature of everything",
         _small_order()),
        ("secp256k1", "A key on another curve of 256 bits", secp256k1_key("planner")),
        ("named-secp256k1", "A P-256 key under the name of another curve", _named(planner, "secp256k1")),
        ("named-p-384", "A P-256 key under the name of another curve", _named(planner, "P-384")),
        ("named-p-256-small", "A P-256 key under its name in small letters", _named(planner, "p-256")),
        ("named-ed25519", "A P-256 key under the name of the other kind's curve", _named(planner, "Ed25519")),
        ("named-x25519", "An Ed25519 key under the name of another curve", _named(mailer, "X25519")),
        ("named-ed448", "An Ed25519 key under the name of another curve", _named(mailer, "Ed448")),
        ("x-number", "A coordinate that is no string", _with_member(planner, "x", 1)),
        ("y-null", "A coordinate that is no string", _with_member(planner, "y", None)),
        ("crv-null", "A curve that is no string", _with_member(mailer, "crv", None)),
        ("crv-list", "A curve that is no string", _with_member(mailer, "crv", ["Ed25519"])),
    ]  # fmt: skip
    for name, comment, key in spoilt:
        cases.refuse(f"grant-key-{name}", comment, _signed_by(key), "grant_invalid", hop=2)
    for name, vanishes in (("whole", True), ("cofactor", False)):
        comment = "An Ed25519 key of mixed order: [S]B = R + [k]A, k modulo the order of the group, "
        cases.judge(
            f"grant-key-mixed-order-{name}",
            comment + ("holds" if vanishes else "holds only when multiplied by 8"),
            _signed_by(mixed_order_key("mixed", vanishes=vanishes)),
            None if vanishes else "grant_invalid",
            hop=2,
        )


def _named(key: Key, curve: str) -> Key:
    return _with_member(key, "crv", curve)


def _with_member(key: Key, name: str, value: Any) -> Key:  # noqa: ANN401 - JSON of any type
    return replace(key, jwk={**key.jwk, name: value})


def _zero_padded(key: Key) -> Key:
    wide = b64(bytes(1) + int(key.private.private_numbers().public_numbers.x).to_bytes(32))
    return replace(key, jwk={**key.jwk, "x": wide})


class _Zeros:
    """Signs everything with the neutral point and zero."""

    def sign(self, _data: bytes) -> bytes:
        return bytes([1]) + bytes(63)


def _small_order() -> Key:
    return Key(
        kid="small",
        alg="Ed25519",
        jwk={"kty": "OKP", "crv": "Ed25519", "x": b64(bytes([1]) + bytes(31))},
        private=_Zeros(),
    )


def _raw_signature(draft: Draft, index: int) -> bytes:
    head, body, _ = _jws_of(draft, index).split(".")
    return holder(draft.actors[index - 2]).sign(f"{head}.{body}".encode())


def floors() -> Cases:
    """Step 12, evidence enough."""
    cases = Cases(about="Floors and pinned keys (step 12)", step=12, expect=TRUSTED)

    def pin(**agents: str | list[str]) -> Members:
        keys = {agent: [names] if isinstance(names, str) else names for agent, names in agents.items()}
        return {
            "agent_keys": [
                {"issuer": AS, "agent": agent, "thumbprints": [holder(name).thumbprint for name in names]}
                for agent, names in keys.items()
            ]
        }

    authority, delegator = {"root_floor": "authority"}, {"hop_floor": "delegator"}
    cases.accept("floors", "Both floors, everything signed", SIGNED, expect=FLOORS_STRICT)
    cases.refuse(
        "floor-root-plain",
        "The floor authority, and a plain root",
        PLAIN_ROOT,
        "evidence_insufficient",
        expect=authority,
        hop=1,
    )
    cases.refuse(
        "floor-root-plain-pinned",
        "A pin is not an authority",
        PLAIN_ROOT,
        "evidence_insufficient",
        expect={**authority, **pin(planner="planner")},
        hop=1,
    )
    cases.accept(
        "floor-hops-plain",
        "The floor authority alone asks nothing of hops",
        replace(SIGNED, signed=(0,)),
        expect=authority,
    )
    for plain in ((2,), (3,), (2, 3)):
        signed = tuple(index for index in (0, 2, 3) if index not in plain)
        cases.refuse(
            f"floor-hop-plain-{'-'.join(map(str, plain))}",
            "The floor delegator, and a plain hop",
            replace(SIGNED, signed=signed),
            "evidence_insufficient",
            expect=delegator,
            hop=plain[0],
            control="floors",
        )
    cases.accept(
        "floor-hop-1-pinned",
        "The floor delegator over a plain root: the first agent's key is pinned",
        PLAIN_ROOT,
        expect={**delegator, **pin(planner="planner")},
    )
    cases.refuse(
        "floor-hop-1-not-pinned",
        "The same without the pin",
        PLAIN_ROOT,
        "evidence_insufficient",
        expect=delegator,
        hop=1,
    )
    cases.refuse(
        "floor-hop-1-other-agent-pinned",
        "Another agent is pinned",
        PLAIN_ROOT,
        "evidence_insufficient",
        expect={**delegator, **pin(mailer="mailer")},
        hop=1,
    )
    cases.refuse(
        "floor-hop-1-pinned-for-other-issuer",
        "Pinned for another token service",
        PLAIN_ROOT,
        "evidence_insufficient",
        hop=1,
        expect={
            "issuers": [AS, OTHER_AS],
            **delegator,
            "agent_keys": [{"issuer": OTHER_AS, "agent": "planner", "thumbprints": [holder("planner").thumbprint]}],
        },
    )
    one = Draft(actors=AGENTS[:1])
    cases.refuse(
        "floor-one-hop-bearer",
        "One unbound hop has no key that could be pinned",
        one,
        "evidence_insufficient",
        expect={**delegator, **pin(planner="planner")},
        hop=1,
    )
    cases.refuse("floor-one-hop", "One unbound hop, no pin", one, "evidence_insufficient", expect=delegator, hop=1)
    cases.accept(
        "floor-one-hop-pinned",
        "One bound hop, pinned",
        Draft(actors=AGENTS[:1], bound=True),
        expect={**delegator, **pin(planner="planner")},
    )
    for index, agent in enumerate(AGENTS, start=1):
        cases.accept(
            f"pin-{index}",
            f"Hop {index} carries one of two pinned keys, floors low",
            SIGNED,
            expect=pin(**{agent: ["thief", agent]}),
        )
        cases.refuse(
            f"pin-{index}-other",
            "A pin binds at every index, whatever the floors and the root",
            SIGNED,
            "evidence_insufficient",
            expect=pin(**{agent: "thief"}),
            hop=index,
        )
    bearer = Draft()
    cases.accept("pin-of-nobody", "A pin for an agent that is not there", bearer, expect=pin(clerk="clerk"))
    cases.refuse(
        "pin-unbound",
        "A pinned agent in an unbound hop",
        bearer,
        "evidence_insufficient",
        expect=pin(mailer="mailer"),
        hop=2,
    )
    cases.refuse(
        "floor-before-wider",
        "Evidence comes before attenuation",
        replace(SIGNED, signed=(0, 3), spoil={2: {"max_depth": 6}}),
        "evidence_insufficient",
        expect=delegator,
        hop=2,
        control="floors",
    )
    return cases
