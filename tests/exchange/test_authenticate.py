"""Client authentication: one source of a client's identity, and one answer to everything that is wrong."""

from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from tests.exchange.parties import make_registry, secret_of
from tokensvc.errors import OAuthError, OAuthRefused
from tokensvc.exchange.authenticate import ClientCredentials, authenticate_client
from tokensvc.exchange.parties import AuthMethod, Registry

BASIC = AuthMethod.CLIENT_SECRET_BASIC


def credentials(*readings: tuple[str, str], **members: Any) -> ClientCredentials:  # noqa: ANN401 - any field
    plain = ClientCredentials(method=BASIC, readings=readings, body_client_id=None)
    return replace(plain, **members)


GOOD = credentials(("planner", secret_of("planner")))


def refused(presented: ClientCredentials | None, registry: Registry) -> OAuthRefused:
    with pytest.raises(OAuthRefused) as caught:
        authenticate_client(presented, registry)
    return caught.value


@pytest.mark.parametrize("client_id", ["planner", "researcher", "crm-api"])
def test_a_client_with_its_secret_is_who_it_says(client_id: str) -> None:
    registry = make_registry()
    party = authenticate_client(credentials((client_id, secret_of(client_id))), registry)

    assert party is registry.party(client_id)


@pytest.mark.parametrize(
    "presented",
    [
        None,
        credentials(),
        credentials(("planner", "")),
        credentials(("planner", "wrong")),
        credentials(("planner", secret_of("planner") + " ")),
        credentials(("planner", secret_of("planner").upper())),
        credentials(("planner", secret_of("planner")[:-1])),
        credentials(("planner", secret_of("researcher"))),
        credentials(("planner", sha256(secret_of("planner").encode()).hexdigest())),
        credentials(("Planner", secret_of("planner"))),
        credentials(("nobody", secret_of("planner"))),
        credentials(("nobody", "0" * 64)),
        credentials(("", "")),
        credentials(("retired", secret_of("retired"))),
        replace(GOOD, method=AuthMethod.CLIENT_SECRET_POST),
        replace(GOOD, body_client_id="researcher"),
        replace(GOOD, body_client_id=""),
    ],
)
def test_whatever_is_wrong_the_answer_is_the_same(presented: ClientCredentials | None) -> None:
    registry = make_registry()
    refusal = refused(presented, registry)

    assert (refusal.error, refusal.reason, refusal.detail) == (OAuthError.INVALID_CLIENT, None, "")
    assert refusal.description == refused(credentials(("nobody", "x")), registry).description
    assert authenticate_client(GOOD, registry).client_id == "planner"


def test_the_body_may_repeat_the_client_that_authenticated() -> None:
    assert authenticate_client(replace(GOOD, body_client_id="planner"), make_registry()).client_id == "planner"


def test_any_reading_of_the_credentials_may_be_the_right_one() -> None:
    right, wrong = ("planner", secret_of("planner")), ("planner", "x")
    for readings in ((right, wrong), (wrong, right)):
        assert authenticate_client(credentials(*readings), make_registry()).client_id == "planner"
    refused(credentials(wrong, wrong), make_registry())


def test_an_old_and_a_new_secret_are_good_while_both_are_registered() -> None:
    both = tuple(sha256(secret.encode()).hexdigest() for secret in ("old", "new"))
    registry = make_registry(planner={"secret_sha256": both})
    only_new = make_registry(planner={"secret_sha256": both[1:]})

    for secret in ("old", "new"):
        assert authenticate_client(credentials(("planner", secret)), registry).client_id == "planner"
    refused(credentials(("planner", "old")), only_new)
    refused(GOOD, registry)


def test_a_disabled_agent_is_back_once_it_is_enabled() -> None:
    presented = credentials(("retired", secret_of("retired")))
    refused(presented, make_registry())

    assert authenticate_client(presented, make_registry(retired={"enabled": True})).client_id == "retired"
