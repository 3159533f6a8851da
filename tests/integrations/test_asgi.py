"""What reaches the app, and what of a verified token or of none the middleware answers itself."""

import json

import pytest

from tests.integrations.asgi_calls import (
    ALSO_DPOP,
    DOCUMENT,
    EXPIRED,
    SIM,
    TOKEN,
    URL,
    Api,
    call,
    drive,
    http_scope,
    protect,
)
from tests.simulator import API, FILES, ISSUER, NOW, Simulator, ec_key, jti
from tokensvc.core.revocation import Revocation, RevocationKind
from tokensvc.errors import Malformed
from tokensvc.integrations.asgi import verified_token
from tokensvc.verify import Expectation, RevocationList


async def test_a_valid_token_reaches_the_app_as_a_verified_token() -> None:
    api = Api()
    response = await call(protect(api), f"Bearer {TOKEN}")
    assert (response.status_code, response.text) == (200, "user-1")
    assert [token.actors for token in api.seen] == [("planner",)]


@pytest.mark.parametrize("prefix", ["bearer ", "BEARER ", "BeArEr ", "Bearer    "])
async def test_the_scheme_is_case_insensitive_and_may_be_followed_by_several_spaces(prefix: str) -> None:
    assert (await call(protect(Api()), prefix + TOKEN)).status_code == 200


async def test_a_header_name_in_capitals_counts_as_the_same_header() -> None:
    api = Api()
    one, two = http_scope(f"Bearer {TOKEN}"), http_scope(f"Bearer {TOKEN}", "Bearer other")
    for scope in (one, two):
        scope["headers"][0] = (b"Authorization", scope["headers"][0][1])
    statuses = [(await drive(protect(api), scope))[0]["status"] for scope in (one, two)]
    assert (statuses, len(api.seen)) == ([200, 400], 1)


async def test_the_scope_of_the_server_is_not_changed() -> None:
    scope = http_scope(f"Bearer {TOKEN}")
    before = dict(scope)
    assert (await drive(protect(Api()), scope))[0]["status"] == 200
    assert scope == before


def test_without_the_middleware_there_is_no_verified_token() -> None:
    with pytest.raises(LookupError):
        verified_token({"type": "http"})


async def test_an_error_of_the_app_itself_passes_through() -> None:
    async def app(_scope: object, _receive: object, _send: object) -> None:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        await call(protect(app), f"Bearer {TOKEN}")


async def test_a_scope_that_every_call_needs_is_asked_for_in_the_challenge() -> None:
    app = protect(Api(), scope="mail.send crm.read")
    none, refused, held = (
        await call(app),
        await call(app, f"Bearer {EXPIRED}"),
        await call(app, f"Bearer {TOKEN}"),
    )
    assert none.headers["www-authenticate"] == ", ".join(
        f'{scheme} scope="crm.read mail.send", resource_metadata="{URL}"'
        for scheme in ("Bearer", 'DPoP algs="ES256 Ed25519 RS256",')
    )
    assert 'scope="crm.read mail.send"' in refused.headers["www-authenticate"]
    assert held.status_code == 200


async def test_a_token_without_the_scope_that_every_call_needs_is_refused_before_the_app() -> None:
    api = Api(needs=None)
    response = await call(protect(api, scope="crm.delete"), f"Bearer {TOKEN}")
    control = await call(protect(api, scope="crm.read"), f"Bearer {TOKEN}")
    assert (response.status_code, response.json()["error"]) == (403, "insufficient_scope")
    assert response.json()["reason"] == "insufficient_scope"
    assert response.headers["www-authenticate"].startswith('Bearer error="insufficient_scope", ')
    assert 'scope="crm.delete"' in response.headers["www-authenticate"]
    assert (control.status_code, len(api.seen)) == (200, 1)


@pytest.mark.parametrize(("needs", "status"), [("crm.delete", 403), ("crm.read", 200), ("crm.read  x", 403)])
async def test_what_a_handler_requires_and_the_token_lacks_is_answered_with_403(needs: str, status: int) -> None:
    api = Api(needs=needs)
    response = await call(protect(api), f"Bearer {TOKEN}")
    assert (response.status_code, len(api.seen)) == (status, 1)
    challenge = response.headers.get("www-authenticate", "")
    assert ('error="insufficient_scope"' in challenge) is (status == 403)
    # What the handler needs, so that the client can come back with it; what is no scope helps nobody.
    assert ('scope="crm.delete"' in challenge) is (needs == "crm.delete")


async def test_what_a_handler_missed_is_not_said_to_be_the_scope_that_every_call_needs() -> None:
    response = await call(protect(Api(needs="crm.delete"), scope="crm.read"), f"Bearer {TOKEN}")
    assert response.status_code == 403
    # The token holds crm.read: a client told to ask for it would come back with the same token.
    assert "crm.read" not in response.headers["www-authenticate"]


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (EXPIRED, "expired"),
        (SIM.token(SIM.claims(SIM.chain("planner"), aud=FILES)), "wrong_audience"),
        (SIM.token(SIM.claims(SIM.chain("planner"), aud=ISSUER)), "wrong_audience"),
        (SIM.token(SIM.claims(SIM.chain("planner"), exp=NOW + 1000)), "lifetime_exceeded"),
        (Simulator(key=ec_key("service")).token(SIM.claims(SIM.chain("planner")))[:-2] + "AA", "bad_signature"),
        (SIM.token({}), "malformed"),
    ],
    ids=["expired", "audience", "exchange-only", "lifetime", "signature", "claims"],
)
async def test_a_refused_token_is_answered_with_invalid_token_and_its_reason(token: str, reason: str) -> None:
    api = Api()
    response = await call(protect(api), f"Bearer {token}")
    body = response.json()
    assert (response.status_code, body["error"], body["reason"], api.seen) == (401, "invalid_token", reason, [])
    assert response.headers["www-authenticate"] == (
        f'Bearer error="invalid_token", error_description="{body["error_description"]}", resource_metadata="{URL}"'
        + ALSO_DPOP
    )
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert token not in response.text


async def test_a_revoked_token_is_refused_and_a_view_without_it_accepts_it() -> None:
    def view(entry: str) -> RevocationList:
        revoked = Revocation(kind=RevocationKind.ENTRY, id=jti(entry), not_before=None, until=None)
        return RevocationList((revoked,), as_of=NOW, max_staleness_s=60)

    revoked = await call(protect(Api(), revocations=view("root")), f"Bearer {TOKEN}")
    control = await call(protect(Api(), revocations=view("another root")), f"Bearer {TOKEN}")
    assert (revoked.status_code, revoked.json()["reason"], control.status_code) == (401, "revoked", 200)


async def test_a_stale_view_of_revocations_is_answered_with_503_and_when_to_come_back() -> None:
    api = Api()
    app = protect(api, revocations=RevocationList((), as_of=NOW - 61, max_staleness_s=60))
    fresh = protect(api, revocations=RevocationList((), as_of=NOW - 60, max_staleness_s=60))
    response = await call(app, f"Bearer {TOKEN}")
    assert (response.status_code, response.json()["reason"], api.seen) == (503, "revocation_stale", [])
    assert (response.headers["retry-after"], response.headers["cache-control"]) == ("5", "no-store")
    assert "www-authenticate" not in response.headers
    assert (await call(fresh, f"Bearer {TOKEN}")).status_code == 200


async def test_a_function_that_gives_the_view_is_asked_at_every_call() -> None:
    views = [
        RevocationList((), as_of=NOW - 100, max_staleness_s=60),
        RevocationList((), as_of=NOW, max_staleness_s=60),
    ]
    app = protect(Api(), revocations=lambda: views.pop(0))
    assert [(await call(app, f"Bearer {TOKEN}")).status_code for _ in range(2)] == [503, 200]


async def test_the_body_of_an_answer_has_exactly_three_members() -> None:
    response = await call(protect(Api()), f"Bearer {EXPIRED}")
    assert set(json.loads(response.content)) == {"error", "error_description", "reason"}


@pytest.mark.parametrize(
    "terms",
    [
        {"resource_metadata": "/.well-known/oauth-protected-resource"},
        {"resource_metadata": f'{URL}", error="'},
        {"resource_metadata": f"{URL}\r\nset-cookie: a=b"},
        {"resource_metadata": "https://crm.example/\u00e9"},
        {"resource_metadata": "ftp://crm.example/x"},
        {"metadata": {**DOCUMENT, "resource": FILES}},
        {"metadata": {"authorization_servers": [ISSUER]}},
        {"expect": Expectation.bearer(issuers=[ISSUER], audiences=[API, ISSUER])},
    ],
)
def test_terms_that_cannot_be_meant_are_refused_when_the_app_is_made(terms: dict[str, object]) -> None:
    protect(Api(), metadata=DOCUMENT)
    with pytest.raises(ValueError, match=r"URL|resource|issuer"):
        protect(Api(), **terms)


@pytest.mark.parametrize("scope", ["", 'crm.read" x', "crm.read  crm.write", "\u00e9t\u00e9"])
def test_a_scope_that_is_none_is_refused_when_the_app_is_made(scope: str) -> None:
    protect(Api(), scope="crm.read")
    with pytest.raises(Malformed):
        protect(Api(), scope=scope)
