"""A token whose root an authority signed and whose hops their delegators signed, to be spoilt part by part."""

from dataclasses import dataclass, replace
from typing import Any, Final

from tests.simulator import (
    AUTHORITY,
    ISSUER,
    PREFIX,
    USER,
    Members,
    Simulator,
    ec_key,
    ed_key,
    jti,
    jwk,
    seal,
)
from tokensvc.core.jws import SigningKey
from tokensvc.errors import Reason
from tokensvc.verify import Evidence, Expectation, KeySet, StaticKeys, VerifiedToken
from tokensvc.verify.verifier import UnsafeHolderProvenUpstream

__all__ = ["AGENTS", "AUTHORITY_KEY", "FLOORS", "KEYS", "PROVEN", "SIGNED", "SIM", "Draft", "Part", "holder"]

SIM: Final = Simulator()
AUTHORITY_KEY: Final = ec_key("root signer")
AGENTS: Final = ("planner", "mailer", "printer")
PROVEN: Final = UnsafeHolderProvenUpstream()
KEYS: Final = StaticKeys({ISSUER: KeySet([SIM.key.public]), AUTHORITY: KeySet([AUTHORITY_KEY.public])})
SIGNED: Final = replace(SIM.expect(), authorities={(ISSUER, AUTHORITY): PREFIX})
"""The authority is trusted, and the word of the token service is enough."""
FLOORS: Final = replace(SIGNED, root_floor=Evidence.AUTHORITY, hop_floor=Evidence.DELEGATOR)


def holder(agent: str) -> SigningKey:
    """The agent's key: Ed25519 for the mailer, ES256 for everybody else."""
    return ed_key(agent) if agent == "mailer" else ec_key(agent)


@dataclass(slots=True, kw_only=True)
class Part:
    """An entry of the chain as it is about to be signed, with `key` unless that is None."""

    payload: Any
    header: Any
    key: SigningKey | None

    @property
    def entry(self) -> Members:
        """The entry as it stands in the chain."""
        if self.key is None:
            plain: Members = self.payload
            return plain
        return {"jws": seal(self.header, self.payload, self.key)}


@dataclass(slots=True, kw_only=True)
class Draft:
    """`chain` says plainly what the parts say; `claims` are the token's."""

    chain: list[Members]
    parts: list[Part]
    claims: Members
    expect: Expectation = FLOORS

    @classmethod
    def of(cls, *actors: str, root: str = "root", sub: str = PREFIX + USER, sim: Simulator = SIM) -> "Draft":
        """A root signed by the authority, the first hop plain, the others signed by the one above."""
        actors = actors or AGENTS
        chain = [sim.root(sub=sub, jti=jti(root))]
        for actor in actors:
            chain.append(sim.hop(chain[-1], actor, cnf={"jkt": holder(actor).public.thumbprint}))
        root_header = {"typ": "delegation-root+jwt", "alg": "ES256", "kid": AUTHORITY_KEY.kid}
        signed_root = sim.signed_root(chain[0], actors[0], holder(actors[0]))
        parts = [Part(payload=signed_root, header=root_header, key=AUTHORITY_KEY)]
        parts += [Part(payload=chain[1], header=None, key=None)]
        for index in range(2, len(chain)):
            key = holder(chain[index - 1]["actor"])
            header = {"typ": "delegation-grant+jwt", "alg": str(key.alg), "jwk": jwk(key)}
            parts.append(Part(payload=sim.signed_hop(chain, index), header=header, key=key))
        return cls(chain=chain, parts=parts, claims=sim.claims(chain, cnf=chain[-1]["cnf"]))

    def plain(self, *indexes: int) -> "Draft":
        """The same with these entries plain: the token service's word."""
        for index in indexes:
            self.parts[index] = Part(payload=self.chain[index], header=None, key=None)
        return self

    def token(self) -> str:
        """The token around the parts, signed by the token service."""
        return SIM.token({**self.claims, "grant_chain": [part.entry for part in self.parts]})

    def verify(self, **terms: Any) -> VerifiedToken:  # noqa: ANN401 - any term of verify_token
        """What the public verifier says of it."""
        return SIM.verify(self.token(), **{"keys": KEYS, "expect": self.expect, "proof": PROVEN, **terms})

    def reason(self, **terms: Any) -> Reason | None:  # noqa: ANN401 - any term of verify_token
        """Why the public verifier refuses it, or None."""
        return SIM.reason(self.token(), **{"keys": KEYS, "expect": self.expect, "proof": PROVEN, **terms})
