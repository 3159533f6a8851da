import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokensvc.core.revocation import Revocable, Revocation, RevocationKind

kinds = st.sampled_from(RevocationKind)


ids = st.sampled_from("ab")


@given(
    st.builds(Revocation, kind=kinds, id=ids, not_before=st.none() | st.integers(0, 4), until=st.none()),
    st.builds(Revocable, kind=kinds, id=ids, iat=st.integers(0, 4)),
)
def test_a_revocation_hits_its_own_kind_and_id_up_to_its_moment(revocation: Revocation, subject: Revocable) -> None:
    same = (revocation.kind, revocation.id) == (subject.kind, subject.id)
    in_time = revocation.not_before is None or subject.iat <= revocation.not_before

    assert revocation.hits(subject) == (same and in_time)


@pytest.mark.parametrize(("iat", "hit"), [(99, True), (100, True), (101, False)])
def test_what_was_issued_at_the_not_before_is_dead_and_later_ones_live(iat: int, hit: bool) -> None:
    revocation = Revocation(kind=RevocationKind.USER, id="u", not_before=100, until=None)

    assert revocation.hits(Revocable(kind=RevocationKind.USER, id="u", iat=iat)) is hit


def test_ids_are_compared_byte_for_byte() -> None:
    revocation = Revocation(kind=RevocationKind.ACTOR, id="agent", not_before=None, until=None)

    for other in ("Agent", "agent ", "agen", "agent\0", ""):
        assert not revocation.hits(Revocable(kind=RevocationKind.ACTOR, id=other, iat=0))
    assert revocation.hits(Revocable(kind=RevocationKind.ACTOR, id="agent", iat=0))
