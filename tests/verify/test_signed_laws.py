"""Properties of signed entries: a token service that turned bad cannot speak for the agents that delegate.

The attacker holds the service's signing key and a key of its own, signs everything anew, and has kept every genuine
grant it ever saw. Planner, mailer and printer are honest: what they signed is in `GENUINE`.
"""

import json
from base64 import urlsafe_b64decode
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulator import FILES, ISSUER, NOW, PREFIX, SCOPE, USER, Members, act, ec_key, jti, jwk, seal
from tests.verify.signed import FLOORS, KEYS, PROVEN, SIGNED, SIM, Draft, holder
from tokensvc.verify import Evidence, Expectation

THIEF: Final = ec_key("thief")
HONEST: Final = ("planner", "mailer", "printer")
ROUTES: Final = [
    ("planner",),
    ("planner", "mailer"),
    ("planner", "mailer", "printer"),
    ("planner", "printer", "mailer"),
    ("planner", "planner", "mailer"),
    ("planner", "thief"),
    ("planner", "mailer", "thief"),
]


def decoded(jws: str, part: int) -> Members:
    text = jws.split(".")[part]
    members: Members = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return members


@dataclass(slots=True, kw_only=True)
class Piece:
    """An entry in the attacker's hands: genuine text, or members to be written plainly or signed by the thief."""

    members: Members
    jws: str | None = None
    forged: bool = False
    header_key: str = "thief"

    def entry(self) -> Members:
        if self.jws is not None:
            return {"jws": self.jws}
        if not self.forged:
            return self.members
        named = THIEF if self.header_key == "thief" else holder(self.header_key)
        header = {"typ": "delegation-grant+jwt", "alg": str(named.public.alg), "jwk": jwk(named)}
        return {"jws": seal(header, self.members, THIEF)}


def pieces(draft: Draft) -> list[Piece]:
    return [Piece(members=part.payload, jws=None if part.key is None else part.entry["jws"]) for part in draft.parts]


def genuine(sub: str) -> list[list[Piece]]:
    drafts = [Draft.of(*route, root=root, sub=sub) for route in ROUTES for root in ("one", "two")]
    return [pieces(draft if sub.startswith(PREFIX) else draft.plain(0)) for draft in drafts]


LINEAGES: Final = {"pinned": genuine(USER), "authority": genuine(PREFIX + USER)}
PINS: Final = {(ISSUER, "planner"): frozenset({holder("planner").public.thumbprint})}
EXPECT: Final = {
    "pinned": replace(SIGNED, hop_floor=Evidence.DELEGATOR, agent_keys=PINS),
    "authority": FLOORS,
}
GENUINE: Final = {piece.jws for kind in LINEAGES.values() for chain in kind for piece in chain if piece.jws}


def bind(name: str) -> Members:
    return {"jkt": (THIEF if name == "thief" else holder(name)).public.thumbprint}


def align(chain: list[Piece]) -> None:
    """Make everything that the attacker writes itself fit what it cannot change."""
    root = chain[0].members
    for index, piece in enumerate(chain):
        if index and piece.jws is None:
            above = chain[index - 1].members
            piece.members["parent"] = above["jti"]
            if piece.forged:
                sub = root["sub"] if chain[0].jws is None else PREFIX + root["sub"]
                place = {"iss": above.get("actor", "x"), "sub": sub, "aud": ISSUER, "root": root["jti"]}
                piece.members |= {**place, "index": index, "cnf": piece.members.get("cnf", bind("thief"))}
    if len(chain) > 2 and chain[1].jws is None and chain[2].jws is not None:
        # The plain hop above a genuine grant takes the name that the grant knows it by.
        chain[1].members["jti"] = chain[2].members["parent"]


def plain_members(members: Members) -> Members:
    names = ("actor", "scope", "resources", "max_depth", "iat", "exp", "cnf", "jti", "parent")
    return {name: members[name] for name in names if name in members}


@st.composite
def attacks(draw: st.DrawFn, kind: str) -> list[Piece]:
    """A genuine chain, and up to four things done to it."""
    lineages = LINEAGES[kind]
    chain = [replace(piece, members=dict(piece.members)) for piece in draw(st.sampled_from(lineages))]
    for _ in range(draw(st.integers(0, 4))):
        index = draw(st.integers(1, len(chain) - 1))
        piece, other = chain[index], draw(st.sampled_from(draw(st.sampled_from(lineages))))
        other = replace(other, members=dict(other.members))
        match draw(st.sampled_from(["reuse", "append", "cut", "plain", "forge", "change", "invent", "root"])):
            case "reuse" if "parent" in other.members:
                chain[index] = other
            case "append" if "parent" in other.members:
                chain.append(other)
            case "cut" if len(chain) > 2:
                del chain[draw(st.integers(1, len(chain) - 1))]
            case "plain":
                chain[index] = Piece(members=plain_members(piece.members))
            case "forge":
                name = draw(st.sampled_from(["thief", *HONEST]))
                chain[index] = Piece(members=plain_members(piece.members), forged=True, header_key=name)
            case "change" if piece.jws is None:
                piece.members |= draw(changes())
            case "invent":
                actor = draw(st.sampled_from(["thief", "x", *HONEST]))
                scope = " ".join(chain[-1].members["scope"].split(" ")[1:]) or "mail.send"
                fresh = {"scope": scope, "jti": jti(f"invented {len(chain)}"), "cnf": bind("thief"), "actor": actor}
                members = {**plain_members(chain[-1].members), **fresh}
                chain.append(Piece(members=members, forged=draw(st.booleans())))
            case "root":
                chain[0] = replace(draw(st.sampled_from(lineages))[0])
            case _:
                pass
    align(chain)
    return chain


def changes() -> st.SearchStrategy[Members]:
    return st.one_of(
        st.sampled_from(["thief", *HONEST]).map(lambda name: {"cnf": bind(name)}),
        st.sampled_from(["thief", *HONEST]).map(lambda name: {"actor": name}),
        st.sampled_from([SCOPE, "crm.read mail.send", "mail.send", "crm.read crm.write files.read mail.send"]).map(
            lambda scope: {"scope": scope}
        ),
        st.sampled_from([{"exp": NOW + 3600}, {"max_depth": 5}, {"resources": [FILES]}, {"iat": NOW - 60}]),
    )


def token_of(chain: list[Piece]) -> str:
    leaf, root = chain[-1].members, chain[0].members
    sub = root["sub"] if chain[0].jws is None else PREFIX + root["sub"]
    claims = SIM.claims([root, leaf], aud="https://crm.example/api", sub=sub, cnf=leaf.get("cnf", bind("thief")))
    actors = [piece.members["actor"] for piece in chain[1:]]
    return SIM.token({**claims, "act": act(*actors[::-1]), "grant_chain": [piece.entry() for piece in chain]})


def unsigned_hops(chain: list[Piece]) -> list[int]:
    """The hops from the second on that their delegator did not sign, by stdlib means alone."""
    wrong = []
    names = {holder(name).public.thumbprint for name in HONEST}
    for index, piece in enumerate(chain[2:], start=2):
        above = chain[index - 1].members["cnf"]["jkt"]
        text = piece.entry().get("jws")
        by_thief = above == THIEF.public.thumbprint and text is not None
        by_honest = above in names and text in GENUINE and decoded(text, 1)["iss"] == chain[index - 1].members["actor"]
        if not (by_thief or by_honest):
            wrong.append(index)
    return wrong


def accepted(token: str, expect: Expectation) -> bool:
    return SIM.reason(token, keys=KEYS, expect=expect, proof=PROVEN) is None


@pytest.mark.parametrize("kind", ["pinned", "authority"])
def test_every_genuine_chain_is_accepted(kind: str) -> None:
    for chain in LINEAGES[kind]:
        assert accepted(token_of(chain), EXPECT[kind])
        assert unsigned_hops(chain) == [] or chain[-1].members["actor"] == "thief"


@pytest.mark.parametrize("kind", ["pinned", "authority"])
@settings(max_examples=500)
@given(st.data())
def test_no_hop_from_the_second_on_is_accepted_that_its_delegator_did_not_sign(kind: str, data: st.DataObject) -> None:
    chain = data.draw(attacks(kind))

    if accepted(token_of(chain), EXPECT[kind]):
        assert unsigned_hops(chain) == []
        first = chain[1].members
        assert (first["actor"], first["cnf"]) == ("planner", bind("planner"))
        assert kind == "pinned" or chain[0].jws in GENUINE


@settings(max_examples=300)
@given(st.data())
def test_any_change_of_what_an_authority_or_a_delegator_signed_is_refused(data: st.DataObject) -> None:
    draft = Draft.of()
    part = draft.parts[data.draw(st.sampled_from([0, 2, 3]))]
    header, payload, signature = part.entry["jws"].split(".")
    name = data.draw(st.sampled_from(sorted(part.payload)))
    values: list[Any] = [other.payload[name] for other in draft.parts if name in other.payload]
    value = data.draw(st.sampled_from([*values, SCOPE, 5, NOW, ISSUER, [FILES], bind("thief"), jti("x"), None]))
    changed = {**part.payload, name: value}
    text = data.draw(st.sampled_from([json.dumps(changed), json.dumps(dict(reversed(changed.items())))]))
    forged = seal(part.header, text.encode(), THIEF).split(".")
    part.key, part.payload = None, {"jws": f"{header}.{forged[1]}.{signature}"}

    assert draft.reason() is not None
    part.payload = {"jws": ".".join(forged)}
    assert draft.reason() is not None
    part.payload = {"jws": f"{header}.{payload}.{signature}"}
    assert draft.reason() is None
