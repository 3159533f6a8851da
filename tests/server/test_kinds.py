"""Every kind of JWT in every place of the service that takes one: one kind passes in each, and all others say nothing.

In each place the right kind is the control. What is refused is told from nothing else, is recorded without a word of it
and stands in no log.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest

from tests.server.kinds import KINDS, Site, make
from tests.server.world import basic
from tokensvc.exchange.request import ACCESS_TOKEN_TYPE, ID_TOKEN_TYPE, JWT_TYPE
from tokensvc.ports import Outcome

INACTIVE: Final = {"active": False}
NO_CLIENT: Final = {"error": "invalid_client", "error_description": "client authentication failed"}
TYPES: Final = (ACCESS_TOKEN_TYPE, JWT_TYPE, ID_TOKEN_TYPE)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    world = make(tmp_path)
    async with world.running() as client:
        yield await Site.make(world, client)


def require_silent(site: Site, kind: str, answer: httpx2.Response) -> None:
    """Nothing of the JWT is in the answer, in the log, or in a record."""
    for part in site.jwts[kind].split("."):
        assert part not in answer.text
        assert part not in site.world.log.getvalue()
        assert all(part not in repr(record) for record in site.records)


async def passes(site: Site, place: str, text: str, kind: str | None = None) -> httpx2.Response:
    """The answer to planner with `text` in that place of a request that is good otherwise."""
    match place:
        case "subject token":
            begins = {"requested_actor": None} if kind in BEGINNINGS else {}
            return await site.exchange(
                subject_token=text, subject_token_type=TYPE_OF.get(kind or "", JWT_TYPE), **begins
            )
        case "actor token":
            return await site.exchange(actor_token=text, actor_token_type=JWT_TYPE)
        case "client assertion":
            return await site.exchange(**site.assertion(text))
        case "grant":
            return await site.exchange(delegation_grant=text, requested_actor=None, scope=None, resource=None)
        case _:
            return await site.exchange(dpop=text)


PLATFORMS: Final = frozenset({"JWT-SVID", "service account token"})
BEGINNINGS: Final = {"root", "user's access token", "ID token"}
TYPE_OF: Final = {"root": JWT_TYPE, "user's access token": ACCESS_TOKEN_TYPE, "ID token": ID_TOKEN_TYPE}
RIGHT: Final[dict[str, frozenset[str]]] = {
    "subject token": frozenset({"access token", "exchange-only token", *BEGINNINGS}),
    "actor token": frozenset({"actor token", "actor token of the provider"}),
    "client assertion": frozenset({"client assertion"}),
    "grant": frozenset({"grant"}),
    "proof": frozenset({"proof"}),
}
REFUSED: Final[dict[str, tuple[str, str | None]]] = {
    "subject token": ("invalid_request", "subject_token_invalid"),
    "actor token": ("invalid_request", "actor_token_invalid"),
    "client assertion": ("invalid_client", None),
    "grant": ("invalid_request", "grant_invalid"),
    "proof": ("invalid_dpop_proof", "proof_invalid"),
}


@pytest.mark.requirement("JWT-BCP-TYP")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", RIGHT)
async def test_at_the_token_endpoint_only_its_own_kind_passes(site: Site, place: str, kind: str) -> None:
    answer = await passes(site, place, site.jwts[kind], kind)
    if kind in RIGHT[place]:
        assert (answer.status_code, answer.json()["token_type"]) == (200, "DPoP")
        return
    # A platform's token is a good client assertion: of an agent of its own, who is not this chain's.
    is_other_agent = place == "client assertion" and kind in PLATFORMS
    expected = ("invalid_request", "not_current_actor") if is_other_agent else REFUSED[place]
    body = answer.json()
    assert (body["error"], body.get("reason")) == expected
    require_silent(site, kind, answer)
    for right in RIGHT[place]:
        assert (await passes(site, place, site.jwts[right], right)).status_code == 200


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in RIGHT["subject token"]])
@pytest.mark.parametrize("stated", TYPES)
async def test_no_stated_type_makes_a_subject_token_of_another_kind(site: Site, kind: str, stated: str) -> None:
    for actor in ("planner", None):
        answer = await site.exchange(subject_token=site.jwts[kind], subject_token_type=stated, requested_actor=actor)
        assert answer.json()["reason"] == "subject_token_invalid"
    assert (await site.exchange()).status_code == 200


@pytest.mark.parametrize("kind", KINDS)
async def test_introspection_knows_access_tokens_alone(site: Site, kind: str) -> None:
    asked = await site.ask("/introspect", site.jwts[kind])
    of_resource = await site.client.post("/introspect", data={"token": site.jwts[kind]}, headers=basic("crm-api"))
    expected = {"access token": (True, True), "exchange-only token": (True, False)}.get(kind, (False, False))
    assert (asked.json()["active"], of_resource.json()["active"]) == expected
    for answer, is_known in zip((asked, of_resource), expected, strict=True):
        assert is_known or answer.json() == INACTIVE


@pytest.mark.parametrize("kind", KINDS)
async def test_revocation_ends_access_tokens_and_grants_and_passes_over_the_rest(site: Site, kind: str) -> None:
    answer = await site.ask("/revoke", site.jwts[kind])
    assert (answer.status_code, answer.content) == (200, b"")
    is_token = kind in {"access token", "exchange-only token"}
    revoked = [record for record in site.records if record.outcome is Outcome.REVOKED]
    assert len(revoked) == (1 if is_token or kind == "grant" else 0)
    after = {place: (await passes(site, place, site.jwts[right], right)).json().get("reason") for place, right in ONE}
    assert after == {place: "revoked" if is_token or (place, kind) == ("grant", "grant") else None for place, _ in ONE}


# Of each place a kind that is not used up, below planner's chain.
ONE: Final = (("subject token", "access token"), ("grant", "grant"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", ["/token", "/introspect", "/revoke", "/agents/researcher", "/operator/revocations"])
async def test_a_client_assertion_is_nothing_else_anywhere(site: Site, path: str, kind: str) -> None:
    form: dict[str, Any] = {"token": "x", **site.assertion(site.jwts[kind])}
    answer = await site.client.post(path, data=form)
    is_known = kind in {"client assertion", *PLATFORMS}
    assert (answer.status_code == 401) is not is_known
    if not is_known:
        assert answer.json() == NO_CLIENT
        require_silent(site, kind, answer)
        assert (await site.ask("/introspect", site.jwts["access token"])).json()["active"] is True


@pytest.mark.parametrize("used", ["client assertion", "actor token", "proof"])
async def test_what_is_used_once_is_refused_the_second_time_in_its_place(site: Site, used: str) -> None:
    first = await passes(site, used, site.jwts[used])
    second = await passes(site, used, site.jwts[used])
    fresh = await passes(site, used, site.made()[used])
    assert [answer.status_code for answer in (first, fresh)] == [200, 200]
    assert second.status_code in {400, 401}
    require_silent(site, used, second)


async def test_the_platforms_agents_are_known_by_their_tokens(site: Site) -> None:
    """Controls of the table: these are good, and of other agents."""
    for kind in PLATFORMS:
        answer = await site.client.post("/introspect", data={"token": "x", **site.assertion(site.jwts[kind])})
        assert (answer.status_code, answer.json()) == (200, INACTIVE)
    assert set(site.jwts) == set(KINDS)
