"""Who proved to hold which key (step 6), and which key that makes a new hop and its token bound to.

A key is proven by a DPoP proof on this request (RFC 9449), or by the certificate of its connection for an agent whose
tokens are bound to certificates (RFC 8705 s3). Client authentication as such proves no key and binds nothing.

    a token presented that is bound      needs a proof of its key; not from a server, to which its actor proved it
    a hop of the client itself           is bound to the key proven: one of its registered holder keys, where it has any
    a hop of another agent               is bound to that agent's first registered holder key
    a hop below a bound one              is bound
    a renewal, a self-narrowing          keeps the key of the hop
"""

from dataclasses import dataclass, field
from typing import Final

from tokensvc.core.proof import PROOF_AGE_S, VerifiedProof, token_hash, verify_proof
from tokensvc.errors import OAuthError, OAuthRefused, Reason, TokenRefused
from tokensvc.exchange.parties import REMEMBER_S, Agent, Terms
from tokensvc.ports import OneTimeValue

__all__ = [
    "NOTHING_PRESENTED",
    "NOTHING_PROVEN",
    "Presented",
    "Proven",
    "bad_proof",
    "judge_proof",
    "once_of",
    "require_holder",
    "token_type_of",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """What came with a request besides its form, nothing proven: its `DPoP` headers.

    `certificate` is the SHA-256 thumbprint (`x5t#S256`) of the certificate that the client's connection proved.
    """

    dpop: tuple[str, ...] = field(default=(), repr=False)
    certificate: str | None = None


NOTHING_PRESENTED: Final = Presented()


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """The keys that the sender of a request holds: `jkt` by a proof, `certificate` by its connection."""

    jkt: str | None = None
    certificate: str | None = None

    def holds(self, cnf: tuple[str, str]) -> bool:
        """True when the key that `cnf` (member, value) names is proven."""
        return cnf in {("jkt", self.jkt), ("x5t#S256", self.certificate)}

    def key_of_hop(self, actor: Agent) -> str | None:
        """The thumbprint that a hop of the sender itself is bound to; None: unbound.

        An agent with registered holder keys gets nothing without one of them: who took its client credentials alone
        has nothing. Raises: OAuthRefused (`holder_unproven`).
        """
        registered = frozenset(key.thumbprint for key in actor.holder_keys)
        if not registered or self.jkt in registered:
            return self.jkt
        if self.jkt is None:
            raise _unproven("the client's tokens are bound to its holder keys: send a DPoP proof of one")
        raise _unproven("the DPoP proof is of a key that is no registered holder key of the client")

    def cnf_of_token(self, actor: Agent, hop_jkt: str | None) -> tuple[str, str] | None:
        """The `cnf` of a token of the sender itself, whose hop is bound to `hop_jkt`.

        A hop without a key leaves it to the token to add one. Raises: OAuthRefused (`holder_unproven`).
        """
        bound_to = self.certificate if actor.certificate_bound else None
        if actor.certificate_bound and bound_to is None:
            # Before any other key: whoever took the credentials alone has a key of its own to prove.
            raise _unproven("the client's tokens are bound to its certificate: connect with it")
        jkt = self.key_of_hop(actor) if hop_jkt is None else hop_jkt
        if jkt is not None:
            return ("jkt", jkt)
        return None if bound_to is None else ("x5t#S256", bound_to)


NOTHING_PROVEN: Final = Proven()


def judge_proof(presented: Presented, *, subject_token: str, terms: Terms, now: int) -> VerifiedProof | None:
    """The one DPoP proof of a token request, or None where there is none (RFC 9449 s5, s4.3).

    It need not say for which token it was made; where it does, it is this one. Whether it was used before is for the
    store to say. Raises: OAuthRefused (`invalid_dpop_proof`).
    """
    if not presented.dpop:
        return None
    if len(presented.dpop) > 1:
        raise bad_proof(Reason.PROOF_INVALID, "there is more than one DPoP header")
    try:
        proof = verify_proof(presented.dpop[0], htm="POST", htu=terms.token_endpoint, now=now, leeway_s=terms.leeway_s)
    except TokenRefused as exc:
        raise bad_proof(Reason.PROOF_INVALID, exc.description) from exc
    if proof.ath is not None and proof.ath != token_hash(subject_token):
        raise bad_proof(Reason.PROOF_INVALID, "DPoP: ath is not the hash of the subject_token")
    return proof


def once_of(proof: VerifiedProof, terms: Terms) -> OneTimeValue:
    """What is claimed, so that the proof is used once."""
    until = proof.iat + PROOF_AGE_S + terms.leeway_s + REMEMBER_S
    return OneTimeValue(value=proof.once, until=until, made=proof.iat)


def require_holder(cnf: tuple[str, str] | None, proven: Proven) -> None:
    """Return when the key that the subject token is bound to, if it is, is proven. Raises: OAuthRefused."""
    if cnf is not None and not proven.holds(cnf):
        raise _unproven("subject_token: the token is bound to a key, and this request does not prove that key")


def token_type_of(cnf: tuple[str, str] | None) -> str:
    """How a token bound by `cnf` is sent (RFC 9449 s5): one that is bound to a certificate is a Bearer token still."""
    return "DPoP" if cnf is not None and cnf[0] == "jkt" else "Bearer"


def _unproven(description: str) -> OAuthRefused:
    return OAuthRefused(OAuthError.INVALID_REQUEST, Reason.HOLDER_UNPROVEN, description)


def bad_proof(reason: Reason, description: str) -> OAuthRefused:
    """The refusal for a proof that is at fault (RFC 9449 s5)."""
    return OAuthRefused(OAuthError.INVALID_DPOP_PROOF, reason, description)
