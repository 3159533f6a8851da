"""Against PyJWT and joserfc, by their own `jwt.decode`: the same cases, judged by the same two rules.

Left at their defaults but for what every caller has to state: keys by `kid`, algorithms, audience, issuer, the time.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

import jwt
import jwt.api_jwt
import pytest
from joserfc import jwk as joserfc_jwk
from joserfc import jwt as joserfc_jwt
from joserfc.errors import JoseError
from jwt.algorithms import OKPAlgorithm

from tests.oracles.jws_cases import ACCEPTED, LEEWAY_S, STRICTER, our_reason, public_jwks, token_cases
from tests.simulator import API, ISSUER, NOW

Judge = Callable[[str], bool]
ALGORITHMS: Final = ("ES256", "Ed25519", "EdDSA", "RS256")


class FrozenTime(datetime):
    """The time that the tokens are made for, for a library that takes none."""

    @classmethod
    def now(cls, tz: Any = None) -> "FrozenTime":  # noqa: ANN401 - as the standard library has it
        return cls.fromtimestamp(NOW, tz)


@pytest.fixture
def pyjwt(monkeypatch: pytest.MonkeyPatch) -> Iterator[Judge]:
    """PyJWT with each key under the name of its algorithm; it knows Ed25519 by the old name only."""
    monkeypatch.setattr(jwt.api_jwt, "datetime", FrozenTime)
    keys = {key["kid"]: jwt.PyJWK(key, None if "alg" in key else "EdDSA").key for key in public_jwks()["keys"]}
    jwt.register_algorithm("Ed25519", OKPAlgorithm())

    def accepts(token: str) -> bool:
        try:
            key = keys[jwt.get_unverified_header(token)["kid"]]
            jwt.decode(token, key, algorithms=ALGORITHMS, audience=API, issuer=ISSUER, leeway=LEEWAY_S)
        # RecursionError, UnicodeError and the like: no acceptance either.
        except (jwt.PyJWTError, KeyError, TypeError, ValueError, RecursionError):
            return False
        return True

    yield accepts
    jwt.unregister_algorithm("Ed25519")


@pytest.fixture
def joserfc() -> Judge:
    """joserfc with the claims that it is told to ask for."""
    keys = joserfc_jwk.KeySet.import_key_set(public_jwks())  # type: ignore[arg-type]
    claims = joserfc_jwt.JWTClaimsRegistry(
        now=NOW,
        leeway=LEEWAY_S,
        iss={"essential": True, "value": ISSUER},
        aud={"essential": True, "value": API},
        exp={"essential": True},
    )

    def accepts(token: str) -> bool:
        try:
            claims.validate(joserfc_jwt.decode(token, keys, algorithms=list(ALGORITHMS)).claims)
        except (JoseError, TypeError, ValueError, AttributeError, RecursionError):
            return False
        return True

    return accepts


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
@pytest.mark.parametrize("library", ["pyjwt", "joserfc"])
def test_whatever_we_accept_they_accept_and_where_they_accept_more_it_is_by_design(
    library: str, request: pytest.FixtureRequest
) -> None:
    accepts: Judge = request.getfixturevalue(library)
    missed, lenient = [], set()
    for case in token_cases():
        ours, theirs = our_reason(case.token) is None, accepts(case.token)
        assert ours == (case.kind in ACCEPTED), case
        if ours and not theirs:
            missed.append((case.alg, case.kind, case.name))
        if theirs and not ours:
            lenient.add(case.kind)

    assert missed == []
    assert lenient - STRICTER.keys() == set()
    assert lenient


@pytest.mark.parametrize("library", ["pyjwt", "joserfc"])
def test_a_token_that_is_stale_by_the_clock_is_judged_alike(library: str, request: pytest.FixtureRequest) -> None:
    """The control of the frozen time: at the boundary all agree to the second."""
    accepts: Judge = request.getfixturevalue(library)
    judged = {
        (case.kind, our_reason(case.token) is None, accepts(case.token))
        for case in token_cases()
        if case.kind in {"time", "time in leeway"}
    }

    assert datetime.now(UTC).timestamp() != NOW
    assert judged == {("time", False, False), ("time in leeway", True, True)}
