"""The verdict on the credentials of one call, for every adapter: a verified token, or the answer to give instead."""

import inspect
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tokensvc.core.proof import PROOF_AGE_S, VerifiedProof, verify_proof
from tokensvc.errors import OAuthError, OAuthRefused, Reason, TokenRefused
from tokensvc.integrations.answer import Answer, Challenges
from tokensvc.integrations.connection import CertificateSource, base_of, certificate_of, method_of, uri_of
from tokensvc.integrations.credentials import Credentials, Scheme, parse_credentials, parse_proof
from tokensvc.integrations.nonces import ServerNonces
from tokensvc.integrations.proof_memory import ProofMemory, ProofStore
from tokensvc.integrations.resource_metadata import require_http_url
from tokensvc.ports import Clock
from tokensvc.verify import Expectation, HolderFloor, HolderProof, KeySource, Revocations, VerifiedToken
from tokensvc.verify.cached import CachedVerifier

__all__ = ["Admission", "TokenJudge", "system_clock"]

_NONCE: Final = b"dpop-nonce"


def system_clock() -> int:
    """The time of this machine, in whole epoch seconds."""
    return int(time.time())


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """A call that may go on: its verified token, and headers that its answer has to carry."""

    token: VerifiedToken
    headers: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenJudge:
    """The terms on which a resource server takes tokens, of the schemes `Bearer` and `DPoP`.

    `revocations` may be a function that gives the current view. `resource_metadata` is the URL that challenges name
    (RFC 9728 s5.1). `base_url` is what clients write before the paths of this app, by default the origin of
    `resource_metadata`. `proofs` remembers used proofs, `nonces` asks for one of ours in each. `certificate` finds the
    client's certificate where a proxy ends TLS. Raises: ValueError for terms that cannot be meant.
    """

    keys: KeySource
    expect: Expectation
    revocations: Revocations | Callable[[], Revocations]
    resource_metadata: str
    clock: Clock
    base_url: str | None = None
    proofs: ProofStore | None = None
    nonces: ServerNonces | None = None
    certificate: CertificateSource | None = None
    # A client sends its token with every call.
    _verifier: CachedVerifier = field(default_factory=CachedVerifier, init=False, repr=False, compare=False)
    _base: str = field(init=False, repr=False, compare=False)
    _store: ProofStore = field(init=False, repr=False, compare=False)
    _challenges: Challenges = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse what would break a header, or let in tokens that are not for a resource."""
        require_http_url("resource_metadata", self.resource_metadata)
        if self.expect.audiences & self.expect.issuers:
            raise ValueError("an issuer is no audience here: it would let in tokens for the token endpoint")
        needs_proof = self.expect.holder is HolderFloor.PROOF
        schemes = (Scheme.DPOP,) if needs_proof else (Scheme.BEARER, Scheme.DPOP)
        challenges = Challenges(schemes=schemes, resource_metadata=self.resource_metadata)
        object.__setattr__(self, "_challenges", challenges)
        object.__setattr__(self, "_base", base_of(self.base_url, resource_metadata=self.resource_metadata))
        object.__setattr__(self, "_store", ProofMemory(clock=self.clock) if self.proofs is None else self.proofs)

    async def judge(self, connection: Mapping[str, Any], *, scope: str | None) -> Admission | Answer:
        """The one token of an ASGI connection, verified and carrying `scope`; else the answer. Raises nothing."""
        credentials, now = None, None
        try:
            now = self.clock()
            credentials = parse_credentials(connection["headers"])
            if credentials is None:
                return self._challenges.answer(None, scheme=None, scope=scope)
            admission = await self._admit(credentials, connection, now)
            if scope is not None:
                admission.token.require(scope=scope)
        except Exception as exc:  # noqa: BLE001 - whatever it is, there is no verdict, so there is no call
            scheme = None if credentials is None else credentials.scheme
            answer = self._challenges.answer(exc, scheme=scheme, scope=scope)
            return self._with_nonce(answer, exc, now)
        return admission

    def deny(self, exc: Exception, token: VerifiedToken, *, scope: str | None) -> Answer:
        """The answer for what a handler refused of a call with `token`."""
        is_proven = token.cnf is not None and token.cnf[0] == "jkt"
        return self._challenges.answer(exc, scheme=Scheme.DPOP if is_proven else Scheme.BEARER, scope=scope)

    async def _admit(self, credentials: Credentials, connection: Mapping[str, Any], now: int) -> Admission:
        token, renewed = credentials.token(), None
        revocations = self.revocations() if callable(self.revocations) else self.revocations
        proof: HolderProof | None
        if credentials.scheme is Scheme.DPOP:
            proof = verify_proof(
                parse_proof(connection["headers"]),
                htm=method_of(connection),
                htu=uri_of(connection, self._base),
                now=now,
                leeway_s=self.expect.leeway_s,
            )
            renewed = None if self.nonces is None else self.nonces.require_current(proof.nonce, now)
        else:
            # Never the header DPoP: a bound token that comes as a bearer token is refused (RFC 9449 s7.2).
            proof = certificate_of(connection, self.certificate)
        verified = self._verifier.verify_token(
            token, keys=self.keys, expect=self.expect, now=now, revocations=revocations, proof=proof
        )
        if isinstance(proof, VerifiedProof):
            await self._claim(proof)
        return Admission(token=verified, headers=() if renewed is None else ((_NONCE, renewed.encode("ascii")),))

    async def _claim(self, proof: VerifiedProof) -> None:
        """Not before the token verified: only who holds a valid one can fill the memory."""
        claimed = self._store.claim(proof.once, proof.iat + PROOF_AGE_S + self.expect.leeway_s)
        if (await claimed if inspect.isawaitable(claimed) else claimed) is not True:
            raise TokenRefused(Reason.PROOF_INVALID, "DPoP: the proof was used before; make one for each request")

    def _with_nonce(self, answer: Answer, exc: Exception, now: int | None) -> Answer:
        is_asked_for = isinstance(exc, OAuthRefused) and exc.error is OAuthError.USE_DPOP_NONCE
        if self.nonces is None or now is None or not is_asked_for:
            return answer
        nonce = (_NONCE, self.nonces.make(now).encode("ascii"))
        return Answer(status=answer.status, headers=(*answer.headers, nonce), body=answer.body)
