"""The steps of verification in their order: of two faults in one token the earlier step's is reported."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import combinations

import pytest

from tests.simulator import API, NOW, SCOPE, Members, Simulator, ec_key, encode, thumbprint
from tests.verify import signed
from tokensvc.core.revocation import Revocation, RevocationKind
from tokensvc.errors import Reason
from tokensvc.verify import Evidence, Expectation, LifetimeOnly, RevocationList
from tokensvc.verify.verifier import Revocations

SIM = Simulator()
THIEF = Simulator(key=ec_key("thief"))
REVOKED = Revocation(kind=RevocationKind.USER, id="user-1", not_before=None, until=None)


@dataclass(slots=True, kw_only=True)
class Draft:
    """A good token and the terms that it meets, to be spoilt."""

    header: Members = field(default_factory=SIM.header)
    claims: Members = field(default_factory=lambda: SIM.claims(SIM.chain("planner", "mailer")))
    tail: bytes = b""
    signer: Simulator = SIM
    expect: Expectation = field(default_factory=SIM.expect)
    revocations: Revocations = field(default_factory=lambda: LifetimeOnly(max_s=900))

    @property
    def chain(self) -> list[Members]:
        entries: list[Members] = self.claims["grant_chain"]
        return entries

    def reason(self) -> Reason | None:
        token = self.signer.token(encode(self.claims) + self.tail, header=self.header)
        return SIM.reason(token, expect=self.expect, revocations=self.revocations)


def too_large(draft: Draft) -> None:
    draft.expect = replace(draft.expect, max_token_bytes=100)


def wrong_type(draft: Draft) -> None:
    draft.header["typ"] = "JWT"


def bad_header(draft: Draft) -> None:
    draft.header["crit"] = ["x"]


def bad_payload(draft: Draft) -> None:
    draft.tail = b"x"


def untrusted(draft: Draft) -> None:
    draft.expect = replace(draft.expect, issuers=frozenset({"https://another.example"}))


def unknown_key(draft: Draft) -> None:
    draft.header["kid"] = "x"


def bad_signature(draft: Draft) -> None:
    draft.signer = THIEF


def bad_claim(draft: Draft) -> None:
    draft.claims["client_id"] = 5


def expired(draft: Draft) -> None:
    draft.claims["exp"] = NOW - 40


def not_yet_valid(draft: Draft) -> None:
    draft.claims["nbf"] = NOW + 40


def lifetime_exceeded(draft: Draft) -> None:
    draft.claims["iat"] = NOW - 60
    draft.revocations = LifetimeOnly(max_s=5)


def wrong_audience(draft: Draft) -> None:
    draft.expect = replace(draft.expect, audiences=frozenset({"https://another.example"}))


def bound(draft: Draft) -> None:
    draft.claims["cnf"] = {"jkt": thumbprint("x")}


def chain_missing(draft: Draft) -> None:
    del draft.claims["grant_chain"]


def bad_chain(draft: Draft) -> None:
    draft.chain[1]["x"] = 1


def misaligned(draft: Draft) -> None:
    draft.chain[2]["parent"] = draft.chain[0]["jti"]


def root_invalid(draft: Draft) -> None:
    draft.chain[0]["sub"] = "user-2"


def evidence(draft: Draft) -> None:
    draft.expect = replace(draft.expect, hop_floor=Evidence.DELEGATOR)


def not_narrower(draft: Draft) -> None:
    draft.chain[1]["resources"] = [API, "urn:x"]


def not_proper(draft: Draft) -> None:
    draft.chain[1]["scope"] = SCOPE


def too_deep(draft: Draft) -> None:
    for entry in draft.chain:
        entry["max_depth"] = 0


def exceeds(draft: Draft) -> None:
    draft.claims["scope"] = SCOPE


def stale(draft: Draft) -> None:
    draft.revocations = RevocationList((REVOKED,), as_of=NOW - 100, max_staleness_s=10)


def revoked(draft: Draft) -> None:
    draft.revocations = RevocationList((REVOKED,), as_of=NOW, max_staleness_s=10)


STEPS: list[tuple[Callable[[Draft], None], Reason]] = [
    (too_large, Reason.TOO_LARGE),
    (wrong_type, Reason.WRONG_TYPE),
    (bad_header, Reason.MALFORMED),
    (bad_payload, Reason.MALFORMED),
    (untrusted, Reason.UNTRUSTED_ISSUER),
    (unknown_key, Reason.UNKNOWN_KEY),
    (bad_signature, Reason.BAD_SIGNATURE),
    (bad_claim, Reason.MALFORMED),
    (expired, Reason.EXPIRED),
    (not_yet_valid, Reason.NOT_YET_VALID),
    (lifetime_exceeded, Reason.LIFETIME_EXCEEDED),
    (wrong_audience, Reason.WRONG_AUDIENCE),
    (bound, Reason.HOLDER_UNPROVEN),
    (chain_missing, Reason.CHAIN_MISSING),
    (bad_chain, Reason.MALFORMED),
    (misaligned, Reason.CHAIN_MISALIGNED),
    (root_invalid, Reason.ROOT_INVALID),
    (evidence, Reason.EVIDENCE_INSUFFICIENT),
    (not_narrower, Reason.NOT_NARROWER),
    (not_proper, Reason.NOT_PROPER),
    (too_deep, Reason.DEPTH_EXCEEDED),
    (exceeds, Reason.TOKEN_EXCEEDS_GRANT),
    (stale, Reason.REVOCATION_STALE),
    (revoked, Reason.REVOKED),
]


def test_the_token_without_any_fault_is_accepted() -> None:
    assert Draft().reason() is None


@pytest.mark.parametrize(("spoil", "reason"), STEPS, ids=[spoil.__name__ for spoil, _ in STEPS])
def test_each_fault_alone_is_refused_with_its_reason(spoil: Callable[[Draft], None], reason: Reason) -> None:
    draft = Draft()
    spoil(draft)

    assert draft.reason() is reason


@pytest.mark.requirement("JWT-BCP-VALIDATE-ALL")
def test_of_any_two_faults_the_earlier_one_decides() -> None:
    wrong = []
    for (earlier, reason), (later, _) in combinations(STEPS, 2):
        draft = Draft()
        later(draft)
        earlier(draft)
        if draft.reason() is not reason:
            wrong.append((earlier.__name__, later.__name__, draft.reason()))
    assert wrong == []


def test_every_reason_that_verification_can_give_is_met_here_or_with_signed_entries() -> None:
    verification = list(Reason)[: list(Reason).index(Reason.INSUFFICIENT_SCOPE)]

    # A proof is judged before the token that it came with (tests/core/test_proof.py).
    elsewhere = {Reason.GRANT_INVALID, Reason.PROOF_INVALID}
    assert set(verification) == {reason for _, reason in STEPS} | elsewhere
    for index, reason in ((0, Reason.ROOT_INVALID), (2, Reason.GRANT_INVALID)):
        draft = signed.Draft.of()
        draft.parts[index].header["typ"] = "x"
        assert draft.reason() is reason
