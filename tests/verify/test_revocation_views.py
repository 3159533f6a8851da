from dataclasses import dataclass

import pytest

from tests.simulator import NOW, Members, Simulator, jti, thumbprint
from tokensvc.core.revocation import Revocable, Revocation, RevocationKind
from tokensvc.errors import Reason, Unavailable
from tokensvc.verify import LifetimeOnly, RevocationList
from tokensvc.verify.revocations import UnsafeRevocationElsewhere
from tokensvc.verify.verified import UncheckedStep
from tokensvc.verify.verifier import UnsafeHolderProvenUpstream

SIM = Simulator()
CHAIN = SIM.chain("planner", "mailer")
TOKEN = SIM.token(SIM.claims(CHAIN))
ROOT_IAT = CHAIN[0]["iat"]


def revoked(kind: RevocationKind, subject: str, not_before: int | None = None) -> RevocationList:
    revocation = Revocation(kind=kind, id=subject, not_before=not_before, until=None)
    return RevocationList((revocation,), as_of=NOW, max_staleness_s=10)


def fresh(*revocations: Revocation) -> RevocationList:
    return RevocationList(revocations, as_of=NOW, max_staleness_s=10)


def test_a_token_that_no_revocation_hits_is_accepted_and_fully_checked() -> None:
    assert SIM.verify(TOKEN, revocations=fresh()).not_performed == frozenset()
    assert fresh().as_of == NOW
    assert fresh().max_staleness_s == 10


@pytest.mark.parametrize("index", [0, 1, 2])
def test_any_entry_revoked_is_every_token_below_revoked(index: int) -> None:
    view = revoked(RevocationKind.ENTRY, CHAIN[index]["jti"])

    assert SIM.reason(TOKEN, revocations=view) is Reason.REVOKED
    for depth in (1, 2):
        token = SIM.token(SIM.claims(CHAIN[: depth + 1]))
        assert SIM.reason(token, revocations=view) is (Reason.REVOKED if depth >= index else None)


@pytest.mark.parametrize(
    ("kind", "subject"),
    [
        (RevocationKind.USER, "user-1"),
        (RevocationKind.ISSUER, SIM.iss),
        (RevocationKind.ACTOR, "planner"),
        (RevocationKind.ACTOR, "mailer"),
    ],
)
def test_user_issuer_and_actors_are_revoked_up_to_a_moment(kind: RevocationKind, subject: str) -> None:
    assert SIM.reason(TOKEN, revocations=revoked(kind, subject, ROOT_IAT)) is Reason.REVOKED
    assert SIM.reason(TOKEN, revocations=revoked(kind, subject, ROOT_IAT - 1)) is None
    assert SIM.reason(TOKEN, revocations=revoked(kind, subject)) is Reason.REVOKED
    assert SIM.reason(TOKEN, revocations=revoked(kind, subject + "x")) is None


def test_an_actor_is_judged_by_the_age_of_its_hop_and_never_by_that_of_the_token() -> None:
    chain: list[Members] = SIM.chain("planner", "mailer")
    chain[2]["iat"] = NOW - 20
    renewed = SIM.token(SIM.claims(chain, iat=NOW))

    assert SIM.reason(renewed, revocations=revoked(RevocationKind.ACTOR, "mailer", NOW - 20)) is Reason.REVOKED
    assert SIM.reason(renewed, revocations=revoked(RevocationKind.ACTOR, "mailer", NOW - 21)) is None
    assert SIM.reason(renewed, revocations=revoked(RevocationKind.USER, "user-1", ROOT_IAT)) is Reason.REVOKED


def test_the_identifier_of_the_token_itself_revokes_nothing() -> None:
    assert SIM.reason(TOKEN, revocations=revoked(RevocationKind.ENTRY, jti("token"))) is None


def test_a_holder_key_of_any_hop_is_among_what_is_looked_up() -> None:
    chain = SIM.chain("planner", "mailer")
    for hop in chain[1:]:
        hop["cnf"] = {"jkt": thumbprint(hop["actor"])}

    token = SIM.token(SIM.claims(chain, cnf=chain[2]["cnf"]))

    for actor in ("planner", "mailer"):
        view = revoked(RevocationKind.KEY, thumbprint(actor))
        assert SIM.reason(token, revocations=view, proof=UnsafeHolderProvenUpstream()) is Reason.REVOKED
    other = revoked(RevocationKind.KEY, thumbprint("other"))
    assert SIM.reason(token, revocations=other, proof=UnsafeHolderProvenUpstream()) is None


@pytest.mark.parametrize("member", ["jkt", "x5t#S256"])
def test_the_key_that_only_the_token_is_bound_to_can_be_revoked(member: str) -> None:
    token = SIM.token(SIM.claims(CHAIN, cnf={member: thumbprint("token")}))

    for key, reason in (("token", Reason.REVOKED), ("other", None)):
        view = revoked(RevocationKind.KEY, thumbprint(key))
        assert SIM.reason(token, revocations=view, proof=UnsafeHolderProvenUpstream()) is reason


def test_one_of_several_revocations_of_a_subject_is_enough() -> None:
    early = Revocation(kind=RevocationKind.USER, id="user-1", not_before=1, until=None)
    late = Revocation(kind=RevocationKind.USER, id="user-1", not_before=NOW, until=None)

    assert SIM.reason(TOKEN, revocations=fresh(early, late)) is Reason.REVOKED
    assert SIM.reason(TOKEN, revocations=fresh(late, early)) is Reason.REVOKED
    assert SIM.reason(TOKEN, revocations=fresh(early)) is None


@pytest.mark.parametrize(
    ("as_of", "stale"),
    [(NOW, False), (NOW - 10, False), (NOW - 11, True), (0, True), (NOW + 30, False), (NOW + 31, True)],
)
def test_a_view_that_is_too_old_or_from_the_future_clears_nobody(as_of: int, stale: bool) -> None:
    view = RevocationList((), as_of=as_of, max_staleness_s=10)

    assert SIM.reason(TOKEN, revocations=view) is (Reason.REVOCATION_STALE if stale else None)


def test_a_stale_view_is_stale_even_where_it_holds_the_revocation() -> None:
    revocation = Revocation(kind=RevocationKind.USER, id="user-1", not_before=None, until=None)

    for max_staleness_s, expected in ((-1, Reason.REVOCATION_STALE), (0, Reason.REVOKED)):
        view = RevocationList((revocation,), as_of=NOW, max_staleness_s=max_staleness_s)
        assert SIM.reason(TOKEN, revocations=view) is expected


@dataclass(frozen=True)
class UnavailableView:
    as_of: int = NOW
    max_staleness_s: int = 10

    def is_revoked(self, revocables: tuple[Revocable, ...]) -> bool:
        raise Unavailable(f"{len(revocables)} lookups failed")


def test_a_view_that_cannot_answer_is_no_clearance() -> None:
    with pytest.raises(Unavailable):
        SIM.verify(TOKEN, revocations=UnavailableView())


def test_what_was_not_checked_is_reported() -> None:
    for revocations in (LifetimeOnly(max_s=900), UnsafeRevocationElsewhere()):
        assert SIM.verify(TOKEN, revocations=revocations).not_performed == {UncheckedStep.REVOCATION}


def test_a_long_life_is_allowed_where_revocations_are_looked_at() -> None:
    token = SIM.token(SIM.claims(CHAIN, exp=NOW + 3600))

    assert SIM.reason(token, revocations=fresh()) is None
    assert SIM.reason(token, revocations=UnsafeRevocationElsewhere()) is None
    assert SIM.reason(token, revocations=LifetimeOnly(max_s=3600)) is Reason.LIFETIME_EXCEEDED
