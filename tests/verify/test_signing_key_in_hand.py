"""The floor `delegator`, attacked with the keys of two token services and of one agent in hand.

Honest agents sign grants at both services, and a log tells what they really signed. The attacker signs any token,
splices genuine grants, rewrites what is plain, plays with the text of what is signed, and signs as the thief, who may
stand anywhere in a chain. No token passes with a hop that its honest delegator never signed, nor without the proof of
its key; and what was verified before, with whatever stayed in caches, changes no verdict.
"""

import sys
from base64 import urlsafe_b64decode
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Final

import pytest

from tests.proofs import judge, proof
from tests.simulator import (
    API,
    FILES,
    ISSUER,
    NOW,
    USER,
    Members,
    Simulator,
    act,
    b64,
    ec_key,
    ed_key,
    encode,
    jti,
    jwk,
    seal,
)
from tokensvc.core.jsontext import parse_json_object
from tokensvc.core.proof import VerifiedProof
from tokensvc.errors import Reason, TokenRefused
from tokensvc.verify import Expectation, KeySet, LifetimeOnly, StaticKeys, VerifiedToken, verify_token
from tokensvc.verify.cached import CachedVerifier

ELSEWHERE: Final = "https://as2.example"
SERVICES: Final = {
    ISSUER: Simulator(key=ec_key("service")),
    ELSEWHERE: Simulator(iss=ELSEWHERE, key=ed_key("service2")),
}
KEYS: Final = StaticKeys({iss: KeySet([service.key.public]) for iss, service in SERVICES.items()})
HONEST: Final = ("alice", "bob", "carol")
HOLDERS: Final = {name: ed_key(name) if name == "bob" else ec_key(name) for name in (*HONEST, "thief")}
BY_THUMBPRINT: Final = {key.public.thumbprint: key for key in HOLDERS.values()}
ALL_PINNED: Final = Expectation.delegator_signed(
    issuers=SERVICES,
    audiences=[API, FILES],
    agent_keys={(iss, name): [HOLDERS[name].public.thumbprint] for iss in SERVICES for name in HONEST},
)
FIRST_PINNED: Final = Expectation.delegator_signed(
    issuers=SERVICES, audiences=[API, FILES], agent_keys={(ISSUER, "alice"): [HOLDERS["alice"].public.thumbprint]}
)
# The order of a P-256 group: (r, s) and (r, n - s) sign the same.
ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

Verdict = VerifiedToken | Reason
Verify = Callable[..., VerifiedToken]


@dataclass(frozen=True, slots=True)
class Link:
    """An entry: what it says, and the text that says it where it is signed."""

    members: Members
    jws: str | None = None

    @property
    def entry(self) -> Members:
        return self.members if self.jws is None else {"jws": self.jws}


@dataclass(slots=True)
class Campaign:
    rng: Random
    # The whole truth: who signed which payload.
    log: set[tuple[str, str]] = field(default_factory=set)
    lineages: list[tuple[str, str, list[Link]]] = field(default_factory=list)
    count: int = 0

    def fresh(self) -> str:
        self.count += 1
        return jti(f"campaign {self.count}")

    def bind(self, name: str) -> Members:
        return {"jkt": HOLDERS[name].public.thumbprint}

    def root(self, iss: str, sub: str, **members: object) -> Members:
        return SERVICES[iss].root(sub=sub, **{"jti": self.fresh(), **members})

    def hop(self, above: Members, actor: str, **members: object) -> Members:
        return SERVICES[ISSUER].hop(above, actor, **{"cnf": self.bind(actor), "jti": self.fresh(), **members})

    def grant(self, chain: list[Link], iss: str, sub: str, actor: str, *, signer: str) -> Link:
        above = chain[-1].members
        place = {"iss": above["actor"], "sub": sub, "aud": iss, "root": chain[0].members["jti"], "index": len(chain)}
        members = {**plainly(self.hop(above, actor)), **place}
        key = HOLDERS[signer]
        text = seal({"typ": "delegation-grant+jwt", "alg": str(key.alg), "jwk": jwk(key)}, members, key)
        if signer in HONEST:
            self.log.add((signer, text.split(".")[1]))
        return Link(members, text)

    def begin(self) -> None:
        """An honest lineage of two to four agents, the thief among them at times."""
        iss, sub = self.rng.choice([*SERVICES]), self.rng.choice([USER, "user-2"])
        first, *others = self.rng.sample([*HONEST, "thief"], self.rng.randint(2, 4))
        root = self.root(iss, sub)
        chain = [Link(root), Link(self.hop(root, first))]
        for actor in others:
            chain.append(self.grant(chain, iss, sub, actor, signer=chain[-1].members["actor"]))
        self.lineages.append((iss, sub, chain))

    def forge(self) -> tuple[str, Members, VerifiedProof]:
        """A token by the service's own key, its claims, and a proof by whoever holds the key that it is bound to."""
        iss, sub, chain = self.rng.choice(self.lineages)
        chain = [*chain]
        for trick in self.rng.choices(
            [
                self.rewrite_root,
                self.rewrite_first,
                self.splice,
                self.lift,
                self.graft,
                self.cut,
                self.respell,
                self.steal,
            ],
            k=self.rng.choice([0, 1, 1, 2, 3]),
        ):
            chain = trick(chain)
        if self.rng.random() < 0.1:
            iss, sub = self.rng.choice([*SERVICES]), self.rng.choice([USER, "user-2"])
        if self.rng.random() < 0.2:
            chain.append(self.grant(chain, iss, sub, self.rng.choice([*HOLDERS]), signer="thief"))
        leaf = chain[-1].members
        claims = SERVICES[iss].claims([link.members for link in chain], jti=self.fresh(), sub=sub, cnf=leaf["cnf"])
        actors = [link.members["actor"] for link in chain[1:]]
        claims |= {"act": act(*reversed(actors)), "grant_chain": [link.entry for link in chain]}
        token = SERVICES[iss].token(claims)
        return token, claims, judge(proof(token, key=BY_THUMBPRINT[leaf["cnf"]["jkt"]]))

    # What the attacker does to a chain.

    def rewrite_root(self, chain: list[Link]) -> list[Link]:
        old = chain[0].members
        return [Link(self.root(old["iss"], old["sub"], jti=old["jti"], exp=NOW + 9000)), *chain[1:]]

    def rewrite_first(self, chain: list[Link]) -> list[Link]:
        actor = self.rng.choice([chain[1].members["actor"], *HOLDERS])
        bound = {"cnf": self.bind(self.rng.choice([actor, "thief"])), "jti": chain[1].members["jti"]}
        return [chain[0], Link(self.hop(chain[0].members, actor, **bound)), *chain[2:]]

    def splice(self, chain: list[Link]) -> list[Link]:
        grants = [link for _, _, known in self.lineages for link in known[2:]]
        stolen = self.rng.choice(grants)
        return [*chain[: min(len(chain), stolen.members["index"])], stolen]

    def lift(self, chain: list[Link]) -> list[Link]:
        """A genuine grant right below a first hop that was made for it: its delegator, its key, the id it names."""
        stolen = self.rng.choice([link for _, _, known in self.lineages for link in known[2:]])
        old, grant = chain[0].members, stolen.members
        root = self.root(old["iss"], old["sub"], jti=self.rng.choice([grant["root"], self.fresh()]))
        return [Link(root), Link(self.hop(root, grant["iss"], jti=grant["parent"])), stolen]

    def graft(self, chain: list[Link]) -> list[Link]:
        _, _, other = self.rng.choice(self.lineages)
        keep = self.rng.choice([1, 2])
        return [*other[:keep], *chain[keep:]]

    def cut(self, chain: list[Link]) -> list[Link]:
        return chain[: self.rng.randint(2, len(chain))]

    def respell(self, chain: list[Link]) -> list[Link]:
        signed = [index for index, link in enumerate(chain) if link.jws is not None]
        if not signed:
            return chain
        index = self.rng.choice(signed)
        return [*chain[:index], self.respelt(chain[index]), *chain[index + 1 :]]

    def respelt(self, link: Link) -> Link:
        """The same members, or others, under a signature that is not of these bytes, or of another key."""
        header, payload, signature = str(link.jws).split(".")
        other = {**link.members, "exp": link.members["exp"] - self.rng.randint(1, 9)}
        raw, thief = decode(signature), HOLDERS["thief"]
        shown = parse_json_object(decode(header))
        high = raw[:32] + (ORDER - int.from_bytes(raw[32:]) % ORDER).to_bytes(32)
        return self.rng.choice(
            [
                Link(plainly(link.members)),
                Link(other, f"{header}.{b64(encode(other))}.{signature}"),
                Link(other, seal(shown, other, thief)),
                Link(other, seal({**shown, "alg": "ES256", "jwk": jwk(thief)}, other, thief)),
                Link(link.members, f"{header}.{payload}.{b64(high)}"),
                Link(link.members, f"{header}.{payload}.{b64(bytes(64))}"),
                Link(link.members, f"{header}.{payload}.{signature}="),
            ]
        )

    def steal(self, chain: list[Link]) -> list[Link]:
        """The last hop goes to the thief's key, on the word of the service."""
        *above, leaf = chain
        return [*above, Link({**plainly(leaf.members), "cnf": self.bind("thief")})] if len(above) > 1 else chain


def plainly(members: Members) -> Members:
    return {name: value for name, value in members.items() if name not in {"iss", "sub", "aud", "root", "index"}}


def decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def never_signed(claims: Members, log: set[tuple[str, str]], pinned: frozenset[str]) -> list[int]:
    """The places from 2 on whose delegator, an honest one, never signed what stands there for this place.

    Below the thief an agent that is not pinned is the thief's word.
    """
    root, *hops = claims["grant_chain"]
    actors = [(hop if "jws" not in hop else read(hop))["actor"] for hop in hops]
    places = []
    for place, (delegator, hop) in enumerate(zip(actors, hops[1:], strict=False), start=2):
        if delegator in pinned or (delegator in HONEST and "thief" not in actors[: place - 1]):
            meant = {"iss": delegator, "sub": claims["sub"], "aud": claims["iss"], "root": root["jti"], "index": place}
            is_signed = "jws" in hop and (delegator, hop["jws"].split(".")[1]) in log
            if not is_signed or not meant.items() <= read(hop).items():
                places.append(place)
    return places


def read(hop: Members) -> Members:
    return {**parse_json_object(decode(hop["jws"].split(".")[1]))}


def forget_everything() -> None:
    """Empty every cache of the package."""
    for module in [module for name, module in sys.modules.items() if name.startswith("tokensvc.")]:
        for each in vars(module).values():
            if callable(clear := getattr(each, "cache_clear", None)):
                clear()


@pytest.mark.parametrize("seed", range(4))
def test_no_hop_passes_that_its_delegator_never_signed_and_no_token_without_its_proof(seed: int) -> None:
    campaign = Campaign(Random(seed))  # noqa: S311 - which forgery comes next is no secret
    for _ in range(12):
        campaign.begin()
    cached, accepted = CachedVerifier(), 0
    for number in range(250):
        token, claims, proven = campaign.forge()
        for expect in (ALL_PINNED, FIRST_PINNED):
            ask = partial(verdict, token, expect)
            said = ask(verify_token, proven)
            assert [ask(cached.verify_token, proven) for _ in range(2)] == [said] * 2
            if number % 10 == 0:
                forget_everything()
                assert ask(verify_token, proven) == said
            if isinstance(said, Reason):
                continue
            accepted += 1
            pinned = frozenset(agent for iss, agent in expect.agent_keys if iss == claims["iss"])
            assert never_signed(claims, campaign.log, pinned) == []
            others = [key for key in HOLDERS.values() if key.public.thumbprint != proven.jkt]
            unfit = [judge(proof(token, key=key)) for key in others] + [judge(proof(key=BY_THUMBPRINT[proven.jkt]))]
            for other in (None, *unfit):
                assert ask(verify_token, other) is ask(cached.verify_token, other) is Reason.HOLDER_UNPROVEN
    assert accepted > 40


def verdict(token: str, expect: Expectation, verify: Verify, proven: VerifiedProof | None) -> Verdict:
    try:
        return verify(token, keys=KEYS, expect=expect, now=NOW, revocations=LifetimeOnly(max_s=900), proof=proven)
    except TokenRefused as refusal:
        return refusal.reason
