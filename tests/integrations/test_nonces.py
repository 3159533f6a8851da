"""Nonces of the resource server (RFC 9449 s8, s9)."""

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.integrations.asgi_calls import BOUND, TOKEN, Api, call, present, protect
from tests.proofs import proof
from tests.simulator import NOW, jti
from tokensvc.errors import OAuthError, OAuthRefused
from tokensvc.integrations.nonces import ServerNonces

SECRET: Final = bytes(range(32))
NONCES: Final = ServerNonces(SECRET)


def refuses(nonces: ServerNonces, nonce: str | None, now: int = NOW) -> bool:
    try:
        nonces.require_current(nonce, now)
    except OAuthRefused as refused:
        return refused.error is OAuthError.USE_DPOP_NONCE
    return False


@pytest.mark.parametrize(("age", "is_current"), [(-61, False), (-60, True), (0, True), (300, True), (301, False)])
def test_a_nonce_is_good_for_its_lifetime(age: int, is_current: bool) -> None:
    assert refuses(NONCES, NONCES.make(NOW - age)) is not is_current


@given(st.text(max_size=60) | st.none() | st.binary(min_size=24, max_size=24).map(lambda raw: raw.hex()))
def test_what_we_did_not_give_is_no_nonce(nonce: str | None) -> None:
    assert refuses(NONCES, nonce)


def test_a_nonce_with_a_letter_changed_or_of_another_secret_is_none() -> None:
    nonce = NONCES.make(NOW)
    for position, letter in enumerate(nonce):
        assert refuses(NONCES, nonce[:position] + ("B" if letter == "A" else "A") + nonce[position + 1 :])
    assert refuses(ServerNonces(bytes(32)), nonce)
    assert not refuses(ServerNonces(SECRET), nonce)
    for cut in (nonce[:-1], nonce[:8], "", nonce + "AAAA", nonce + "="):
        assert refuses(NONCES, cut)


def test_a_nonce_is_renewed_in_the_second_half_of_its_time() -> None:
    for age, is_renewed in ((-60, False), (0, False), (150, False), (151, True), (300, True)):
        assert NONCES.require_current(NONCES.make(NOW - age), NOW) == (NONCES.make(NOW) if is_renewed else None)


@pytest.mark.parametrize(
    ("secret", "lifetime_s"),
    [
        (b"", 300),
        (bytes(31), 300),
        ("x" * 32, 300),
        (bytearray(32), 300),
        *[(SECRET, wrong) for wrong in (0, -1, 1.5, True)],
    ],
)
def test_a_secret_that_can_be_guessed_and_a_lifetime_that_is_none_are_refused(secret: Any, lifetime_s: Any) -> None:  # noqa: ANN401 - of any type
    with pytest.raises(ValueError, match=r"secret|lifetime"):
        ServerNonces(secret, lifetime_s=lifetime_s)
    assert ServerNonces(SECRET, lifetime_s=1).make(NOW) == NONCES.make(NOW)
    assert SECRET.hex() not in repr(NONCES)


@pytest.mark.requirement("DPOP-NONCE")
async def test_without_a_nonce_the_client_is_told_which_to_use_and_with_it_passes() -> None:
    api = Api()
    app = protect(api, nonces=NONCES)
    first = await present(app, BOUND, proof(BOUND))
    assert (first.status_code, first.json()["error"], first.json()["reason"]) == (
        401,
        "use_dpop_nonce",
        "proof_invalid",
    )
    assert first.headers["www-authenticate"].startswith('DPoP algs="ES256 Ed25519 RS256", error="use_dpop_nonce", ')
    assert first.headers["cache-control"] == "no-store"
    assert api.seen == []

    nonce = first.headers["dpop-nonce"]
    again = await present(app, BOUND, proof(BOUND, nonce=nonce))
    # The first proof was not used up; a nonce may be used again.
    assert (again.status_code, "dpop-nonce" in again.headers) == (200, False)
    assert (await present(app, BOUND, proof(BOUND, nonce=nonce, jti=jti("second")))).status_code == 200


@pytest.mark.requirement("DPOP-NONCE")
async def test_a_nonce_that_is_stale_or_forged_is_answered_with_a_new_one() -> None:
    app = protect(Api(), nonces=NONCES)
    for nonce in (NONCES.make(NOW - 301), ServerNonces(bytes(32)).make(NOW), "x"):
        response = await present(app, BOUND, proof(BOUND, nonce=nonce))
        assert (response.status_code, response.json()["error"]) == (401, "use_dpop_nonce")
        assert response.headers["dpop-nonce"] == NONCES.make(NOW)


async def test_a_nonce_that_grows_old_is_renewed_on_success() -> None:
    app = protect(Api(), nonces=NONCES)
    response = await present(app, BOUND, proof(BOUND, nonce=NONCES.make(NOW - 200)))
    assert (response.status_code, response.headers["dpop-nonce"]) == (200, NONCES.make(NOW))


async def test_other_refusals_and_bearer_tokens_have_no_nonce() -> None:
    app = protect(Api(), nonces=NONCES)
    wrong = await present(app, BOUND, proof(BOUND, htm="POST", nonce=NONCES.make(NOW)))
    none = await call(app)
    bearer = await present(app, TOKEN, scheme="Bearer")
    assert [response.status_code for response in (wrong, none, bearer)] == [401, 401, 200]
    assert not any("dpop-nonce" in response.headers for response in (wrong, none, bearer))


async def test_where_no_nonces_are_given_one_in_a_proof_says_nothing() -> None:
    assert (await present(protect(Api()), BOUND, proof(BOUND, nonce="whatever"))).status_code == 200
