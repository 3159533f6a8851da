"""Client authentication: one source of a client's identity, and one answer to everything that is wrong."""

from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from tests.exchange.parties import make_registry, secret_of
from tests.exchange.world import make_world
from tokensvc.errors import OAuthError, OAuthRefused
from tokensvc.exchange.authenticate import ClientAuthenticator, ClientSecret
from tokensvc.exchange.parties import AuthMethod, Party
from tokensvc.exchange.registry import Registry

BASIC = AuthMethod.CLIENT_SECRET_BASIC


def credentials(*readings: tuple[str, str], **members: Any) -> ClientSecret:  # noqa: ANN401 - any field
    plain = ClientSecret(method=BASIC, readings=readings, body_client_id=None)
    return replace(plain, **members)


GOOD = credentials(("planner", secret_of("planner")))


async def authenticate_client(presented: ClientSecret | None, registry: Registry) -> Party:
    world = await make_world(registry=registry)
    authenticator = ClientAuthenticator(registry=registry, terms=world.terms, store=world.store, clock=world.clock)
    return await authenticator.authenticate(presented)


async def refused(presented: ClientSecret | None, registry: Registry) -> OAuthRefused:
    with pytest.raises(OAuthRefused) as caught:
        await authenticate_client(presented, registry)
    return caught.value


@pytest.mark.parametrize("client_id", ["planner", "researcher", "crm-api"])
async def test_a_client_with_its_secret_is_who_it_says(client_id: str) -> None:
    registry = make_registry()
    party = await authenticate_client(credentials((client_id, secret_of(client_id))), registry)

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
async def test_whatever_is_wrong_the_answer_is_the_same(presented: ClientSecret | None) -> None:
    registry = make_registry()
    refusal = await refused(presented, registry)

    assert (refusal.error, refusal.reason, refusal.detail) == (OAuthError.INVALID_CLIENT, None, "")
    assert refusal.description == (await refused(credentials(("nobody", "x")), registry)).description
    assert (await authenticate_client(GOOD, registry)).client_id == "planner"


async def test_the_body_may_repeat_the_client_that_authenticated() -> None:
    assert (await authenticate_client(replace(GOOD, body_client_id="planner"), make_registry())).client_id == "planner"


async def test_any_reading_of_the_credentials_may_be_the_right_one() -> None:
    right, wrong = ("planner", secret_of("planner")), ("planner", "x")
    for readings in ((right, wrong), (wrong, right)):
        assert (await authenticate_client(credentials(*readings), make_registry())).client_id == "planner"
    await refused(credentials(wrong, wrong), make_registry())


async def test_an_old_and_a_new_secret_are_good_while_both_are_registered() -> None:
    both = tuple(sha256(secret.encode()).hexdigest() for secret in ("old", "new"))
    registry = make_registry(planner={"secret_sha256": both})
    only_new = make_registry(planner={"secret_sha256": both[1:]})

    for secret in ("old", "new"):
        assert (await authenticate_client(credentials(("planner", secret)), registry)).client_id == "planner"
    await refused(credentials(("planner", "old")), only_new)
    await refused(GOOD, registry)


async def test_a_disabled_agent_is_back_once_it_is_enabled() -> None:
    presented = credentials(("retired", secret_of("retired")))
    await refused(presented, make_registry())

    assert (await authenticate_client(presented, make_registry(retired={"enabled": True}))).client_id == "retired"
