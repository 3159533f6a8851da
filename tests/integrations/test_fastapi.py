"""FastAPI apps behind `TokenGuard`, called as a server calls them. Every refusal stands beside a call that passes."""

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

import httpx2
import pytest
from fastapi import APIRouter, Body, Depends, FastAPI, Security, WebSocket
from fastapi.responses import StreamingResponse

from tests.integrations.asgi_calls import (
    ALSO_DPOP,
    EXPIRED,
    SIM,
    TOKEN,
    URL,
    Api,
    Message,
    call,
    drive,
    http_scope,
    protect,
)
from tests.simulator import API, FILES, ISSUER, NOW, Simulator, ec_key, ed_key, jti
from tokensvc.core.keyset import PublicKey
from tokensvc.core.revocation import Revocation, RevocationKind
from tokensvc.errors import AccessDenied, Malformed, Unavailable
from tokensvc.integrations.fastapi import TokenGuard, refusal_responses
from tokensvc.verify import Expectation, LifetimeOnly, RevocationList, VerifiedToken

BARE: Final = f'Bearer resource_metadata="{URL}"{ALSO_DPOP}'
BEARER: Final = f"Bearer {TOKEN}"


def make_guard(**terms: Any) -> TokenGuard:  # noqa: ANN401 - any term
    defaults = {
        "keys": SIM.keys(),
        "expect": SIM.expect(),
        "revocations": LifetimeOnly(max_s=900),
        "resource_metadata": URL,
        "clock": lambda: NOW,
    }
    return TokenGuard(**{**defaults, **terms})


@dataclass
class World:
    """An app with a handler of every kind, and the tokens that reached them."""

    guard: TokenGuard = field(default_factory=make_guard)
    seen: list[VerifiedToken] = field(default_factory=list)

    def app(self) -> FastAPI:
        guard, seen = self.guard, self.seen
        app = FastAPI(responses=refusal_responses())
        any_token = Annotated[VerifiedToken, Depends(guard.require())]

        @app.get("/customers")
        async def read(token: Annotated[VerifiedToken, Depends(guard.require(scope="crm.read"))]) -> str:
            seen.append(token)
            return token.sub

        @app.get("/sync")
        def read_sync(token: Annotated[VerifiedToken, Depends(guard.require(scope="crm.read"))]) -> str:
            seen.append(token)
            return token.sub

        @app.get("/delete")
        async def delete(token: Annotated[VerifiedToken, Depends(guard.require(scope="crm.delete"))]) -> str:
            seen.append(token)
            return token.sub

        @app.get("/judged")
        async def judged(token: any_token, needs: str) -> str:
            seen.append(token)
            token.require(scope=needs)
            return token.sub

        @app.get("/judged-sync")
        def judged_sync(token: any_token, needs: str) -> str:
            seen.append(token)
            token.require(scope=needs)
            return token.sub

        @app.post("/write")
        async def write(token: any_token, body: Annotated[dict[str, int], Body()]) -> int:
            seen.append(token)
            return len(body)

        @app.get("/public")
        async def public() -> str:
            return "anybody"

        return app


# What passes


@pytest.mark.parametrize("path", ["/customers", "/sync", "/judged?needs=crm.read", "/judged-sync?needs=crm.read"])
async def test_a_handler_gets_the_verified_token(path: str) -> None:
    world = World()
    response = await call(world.app(), BEARER, path=path)
    assert (response.status_code, response.json()) == (200, "user-1")
    assert [token.actors for token in world.seen] == [("planner",)]


async def test_a_token_under_an_ed25519_key_passes() -> None:
    sim = Simulator(key=ed_key("service"))
    token = sim.token(sim.claims(sim.chain("planner")))
    accepted = await call(World(guard=make_guard(keys=sim.keys())).app(), f"Bearer {token}")
    refused = await call(World().app(), f"Bearer {token}")
    assert (accepted.status_code, refused.status_code) == (200, 401)


async def test_a_route_without_the_dependency_is_open() -> None:
    assert (await call(World().app(), path="/public")).json() == "anybody"


# What is refused


@pytest.mark.parametrize("path", ["/customers", "/sync", "/judged?needs=crm.read"])
@pytest.mark.parametrize(
    "authorization",
    [[], [b""], [b"Basic dXNlcjpwYXNz"], [f"DPoPx {TOKEN}".encode()], [f"Bearer\t{TOKEN}".encode()], [b"\xff\xfe"]],
    ids=["none", "empty", "basic", "dpopx", "tab", "bytes"],
)
async def test_a_call_without_credentials_is_told_where_to_look_and_what_to_ask_for(
    path: str, authorization: list[bytes]
) -> None:
    world = World()
    response = await call(world.app(), *authorization, path=path)
    scope = "" if "judged" in path else 'scope="crm.read", '
    assert (response.status_code, response.json(), world.seen) == (401, {"detail": {}}, [])
    assert response.headers["www-authenticate"] == (
        f'Bearer {scope}resource_metadata="{URL}", DPoP algs="ES256 Ed25519 RS256", {scope}resource_metadata="{URL}"'
    )
    assert response.headers["cache-control"] == "no-store"
    assert (await call(world.app(), BEARER, path=path)).status_code == 200


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (EXPIRED, "expired"),
        (SIM.token(SIM.claims(SIM.chain("planner"), aud=FILES)), "wrong_audience"),
        (SIM.token(SIM.claims(SIM.chain("planner"), aud=ISSUER)), "wrong_audience"),
        (SIM.token(SIM.claims(SIM.chain("planner"), exp=NOW + 1000)), "lifetime_exceeded"),
        (TOKEN[:-2] + "AA", "bad_signature"),
        (SIM.token({}), "malformed"),
        ("a" * 100_000, "too_large"),
        (f"{TOKEN} {TOKEN}", "malformed"),
        (Simulator(key=ec_key("thief")).token(SIM.claims(SIM.chain("planner")), header=SIM.header()), "bad_signature"),
    ],
    ids=["expired", "audience", "exchange-only", "lifetime", "cut", "claims", "large", "two", "forged"],
)
async def test_a_refused_token_is_answered_with_invalid_token_and_its_reason(token: str, reason: str) -> None:
    world = World()
    response = await call(world.app(), f"Bearer {token}")
    detail = response.json()["detail"]
    assert (response.status_code, detail["error"], detail["reason"], world.seen) == (401, "invalid_token", reason, [])
    assert response.headers["www-authenticate"] == (
        f'Bearer error="invalid_token", error_description="{detail["error_description"]}", scope="crm.read", '
        f'resource_metadata="{URL}", DPoP algs="ES256 Ed25519 RS256", scope="crm.read", resource_metadata="{URL}"'
    )
    assert response.headers["content-type"] == "application/json"
    assert token not in response.text
    assert (await call(world.app(), BEARER)).status_code == 200


@pytest.mark.parametrize("second", [BEARER, "Basic dXNlcjpwYXNz", ""])
async def test_two_authorization_headers_are_an_invalid_request(second: str) -> None:
    world = World()
    response = await call(world.app(), BEARER, second)
    assert (response.status_code, response.json()["detail"]["reason"]) == (400, "parameter_repeated")
    assert response.headers["www-authenticate"].startswith('Bearer error="invalid_request", ')
    assert world.seen == []


async def test_a_token_in_the_query_or_the_body_is_never_looked_at() -> None:
    world = World()
    query = await call(world.app(), path=f"/judged?needs=crm.read&access_token={TOKEN}")
    body = await call(world.app(), method="POST", path="/write", json={"access_token": 1})
    assert [query.headers["www-authenticate"], body.headers["www-authenticate"]] == [BARE, BARE]
    assert world.seen == []


async def test_a_scope_that_the_token_lacks_is_refused_before_the_handler_and_asked_for() -> None:
    world = World()
    response = await call(world.app(), BEARER, path="/delete")
    assert (response.status_code, response.json()["detail"]["error"], world.seen) == (403, "insufficient_scope", [])
    assert 'error="insufficient_scope"' in response.headers["www-authenticate"]
    assert 'scope="crm.delete"' in response.headers["www-authenticate"]
    assert (await call(world.app(), BEARER)).status_code == 200


@pytest.mark.parametrize("path", ["/judged", "/judged-sync"])
@pytest.mark.parametrize(("needs", "status"), [("crm.delete", 403), ("crm.read", 200), ("crm.read  x", 403)])
async def test_what_a_handler_requires_and_the_token_lacks_is_answered_with_403(
    path: str, needs: str, status: int
) -> None:
    world = World()
    response = await call(world.app(), BEARER, path=path, params={"needs": needs})
    assert (response.status_code, len(world.seen)) == (status, 1)
    challenge = response.headers.get("www-authenticate", "")
    assert ('error="insufficient_scope"' in challenge) is (status == 403)
    assert ('scope="crm.delete"' in challenge) is (needs == "crm.delete")
    assert (response.headers.get("cache-control") == "no-store") is (status == 403)


async def test_a_revoked_token_is_refused_and_a_view_without_it_accepts_it() -> None:
    def world(entry: str) -> FastAPI:
        revoked = Revocation(kind=RevocationKind.ENTRY, id=jti(entry), not_before=None, until=None)
        view = RevocationList((revoked,), as_of=NOW, max_staleness_s=60)
        return World(guard=make_guard(revocations=lambda: view)).app()

    revoked, control = await call(world("root"), BEARER), await call(world("another root"), BEARER)
    assert (revoked.status_code, revoked.json()["detail"]["reason"], control.status_code) == (401, "revoked", 200)


async def test_a_stale_view_of_revocations_is_answered_with_503_and_when_to_come_back() -> None:
    stale = World(guard=make_guard(revocations=RevocationList((), as_of=NOW - 61, max_staleness_s=60)))
    fresh = World(guard=make_guard(revocations=RevocationList((), as_of=NOW - 60, max_staleness_s=60)))
    response = await call(stale.app(), BEARER)
    assert (response.status_code, response.json()["detail"]["reason"], stale.seen) == (503, "revocation_stale", [])
    assert (response.headers["retry-after"], response.headers["cache-control"]) == ("5", "no-store")
    assert "www-authenticate" not in response.headers
    assert (await call(fresh.app(), BEARER)).status_code == 200


@pytest.mark.parametrize("error", [Unavailable("no keys"), RuntimeError(TOKEN), RecursionError(), AttributeError()])
async def test_whatever_fails_inside_verification_the_handler_is_not_called(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    class Keys:
        def find(self, _iss: str, _kid: str) -> PublicKey | None:
            raise error

    def view() -> LifetimeOnly:
        raise error

    def clock() -> int:
        raise error

    for terms in ({"keys": Keys()}, {"revocations": view}, {"clock": clock}, {"clock": lambda: float("nan")}):
        world = World(guard=make_guard(**terms))
        with caplog.at_level(logging.DEBUG):
            response = await call(world.app(), BEARER)
        assert (response.status_code, response.json()["detail"]["error"]) == (503, "temporarily_unavailable")
        assert (response.headers["retry-after"], world.seen) == ("5", [])
        assert TOKEN not in caplog.text + response.text
    assert (await call(World().app(), BEARER)).status_code == 200


async def test_an_error_of_the_handler_itself_passes_through() -> None:
    app, guard = FastAPI(), make_guard()

    @app.get("/customers", dependencies=[Depends(guard.require())])
    async def broken() -> None:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        await call(app, BEARER)
    assert (await call(app)).status_code == 401


@pytest.mark.parametrize(
    "authorization", [[], [b"Bearer"], [f"Bearer {EXPIRED}".encode()], [BEARER.encode()], [BEARER.encode()] * 2]
)
async def test_the_middleware_answers_alike(authorization: list[bytes]) -> None:
    app, guard = FastAPI(), make_guard()

    @app.get("/customers")
    async def delete(_: Annotated[VerifiedToken, Depends(guard.require(scope="crm.delete"))]) -> None:
        raise AssertionError

    ours = await call(app, *authorization)
    theirs = await call(protect(Api(), scope="crm.delete"), *authorization)

    def told(response: httpx2.Response) -> dict[str, str]:
        return {name: value for name, value in response.headers.items() if name != "content-length"}

    assert (ours.status_code, told(ours)) == (theirs.status_code, told(theirs))
    assert ours.json() == {"detail": theirs.json()}


async def test_a_body_is_read_before_the_token_is_and_the_handler_still_not_called() -> None:
    # FastAPI's order, and said in the documentation: who must not parse strangers' bodies uses the middleware.
    world = World()
    junk = {"content": b"{", "headers": {"content-type": "application/json"}}
    stranger = await call(world.app(), method="POST", path="/write", json={"a": 1})
    assert (stranger.status_code, world.seen) == (401, [])
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=world.app()), base_url=API) as client:
        assert (await client.post("https://crm.example/write", **junk)).status_code == 422  # type: ignore[arg-type]
    assert (await call(world.app(), BEARER, method="POST", path="/write", json={"a": 1})).json() == 1


# How it is put together


async def test_a_router_is_guarded_as_a_whole_and_a_handler_may_need_more() -> None:
    guard = make_guard()
    router = APIRouter(prefix="/v1", dependencies=[Depends(guard.require(scope="crm.read"))])

    @router.get("/customers")
    async def read() -> str:
        return "read"

    @router.get("/both")
    async def both(token: Annotated[VerifiedToken, Depends(guard.require())], needs: str) -> str:
        token.require(scope=needs)
        return token.sub

    app = FastAPI()
    app.include_router(router)
    paths = ["/v1/customers", "/v1/both?needs=crm.write", "/v1/both?needs=crm.delete"]
    assert [(await call(app, BEARER, path=path)).status_code for path in paths] == [200, 200, 403]
    assert [(await call(app, path=path)).status_code for path in paths] == [401, 401, 401]


async def test_a_dependency_of_ones_own_may_deny_too() -> None:
    guard, app = make_guard(), FastAPI()

    def owned(token: Annotated[VerifiedToken, Depends(guard.require())], owner: str) -> Iterator[str]:
        if token.sub != owner:
            token.require(scope="crm.delete")
        yield owner

    @app.get("/customers")
    async def read(owner: Annotated[str, Depends(owned)]) -> str:
        return owner

    denied, allowed = [await call(app, BEARER, path=f"/customers?owner={owner}") for owner in ("user-2", "user-1")]
    assert (denied.status_code, allowed.status_code) == (403, 200)
    assert 'scope="crm.delete"' in denied.headers["www-authenticate"]


@pytest.mark.parametrize("direct", [True, False])
async def test_scopes_that_security_demands_on_the_way_are_checked_and_asked_for(direct: bool) -> None:
    guard, app = make_guard(), FastAPI()
    dependency = guard if direct else guard.require(scope="crm.read")

    @app.get("/delete")
    async def delete(_: Annotated[VerifiedToken, Security(dependency, scopes=["crm.delete"])]) -> None:
        raise AssertionError

    @app.get("/write")
    async def write(token: Annotated[VerifiedToken, Security(dependency, scopes=["crm.write"])]) -> str:
        return token.sub

    denied, allowed = await call(app, BEARER, path="/delete"), await call(app, BEARER, path="/write")
    needed = "crm.delete" if direct else "crm.delete crm.read"
    assert (denied.status_code, allowed.status_code) == (403, 200)
    assert f'scope="{needed}"' in denied.headers["www-authenticate"]


async def test_a_call_is_verified_once_for_all_that_ask_for_the_same() -> None:
    asked: list[str] = []

    class Keys:
        def find(self, iss: str, kid: str) -> PublicKey | None:
            asked.append(kid)
            return SIM.keys().find(iss, kid)

    guard, app = make_guard(keys=Keys()), FastAPI()

    @app.get("/customers", dependencies=[Depends(guard.require(scope="crm.read"))])
    async def read(
        one: Annotated[VerifiedToken, Depends(guard.require(scope="crm.read"))],
        two: Annotated[VerifiedToken, Depends(guard.require(scope="crm.read"))],
    ) -> bool:
        return one is two

    assert (await call(app, BEARER)).json() is True
    assert asked == ["service"]


async def test_two_guards_in_one_app_do_not_know_each_other() -> None:
    crm, files = make_guard(), make_guard(expect=Expectation.bearer(issuers=[ISSUER], audiences=[FILES]))
    app = FastAPI()

    @app.get("/crm", dependencies=[Depends(crm.require())])
    async def of_crm() -> str:
        return "crm"

    @app.get("/files", dependencies=[Depends(files.require())])
    async def of_files() -> str:
        return "files"

    for_files = SIM.token(SIM.claims(SIM.chain("planner"), aud=FILES))
    verdicts = {
        (path, token == TOKEN): (await call(app, f"Bearer {token}", path=path)).status_code
        for path in ("/crm", "/files")
        for token in (TOKEN, for_files)
    }
    assert verdicts == {("/crm", True): 200, ("/crm", False): 401, ("/files", True): 401, ("/files", False): 200}


async def test_a_test_may_replace_the_guard_and_still_learns_of_a_missing_scope() -> None:
    world = World()
    app = world.app()
    app.dependency_overrides[world.guard] = lambda: SIM.verify(TOKEN)

    statuses = [
        (await call(app, path=path)).status_code for path in ("/customers", "/delete", "/judged?needs=crm.delete")
    ]
    app.dependency_overrides.clear()

    assert statuses == [200, 403, 403]
    assert (await call(app)).status_code == 401


async def test_a_denial_after_the_response_started_is_raised() -> None:
    guard, app = make_guard(), FastAPI()

    @app.get("/")
    async def stream(token: Annotated[VerifiedToken, Depends(guard.require())]) -> StreamingResponse:
        async def lines() -> AsyncIterator[str]:
            yield "one\n"
            token.require(scope="crm.delete")

        return StreamingResponse(lines())

    sent: list[Message] = []
    with pytest.raises(RuntimeError) as raised:
        await drive(app, full_scope(), on_send=sent.append)
    chain: list[BaseException] = [raised.value]
    while (cause := chain[-1].__cause__) is not None:
        chain.append(cause)
    assert isinstance(chain[-1], AccessDenied)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]


def full_scope() -> dict[str, Any]:
    return {**http_scope(BEARER), "http_version": "1.1", "query_string": b"", "asgi": {"spec_version": "2.4"}}


@pytest.mark.parametrize(
    "terms",
    [
        {"resource_metadata": "/.well-known/oauth-protected-resource"},
        {"resource_metadata": f"{URL}\r\nset-cookie: a=b"},
        {"resource_metadata": f'{URL}", error="'},
        {"expect": Expectation.bearer(issuers=[ISSUER], audiences=[API, ISSUER])},
    ],
)
def test_terms_that_cannot_be_meant_are_refused_when_the_guard_is_made(terms: dict[str, object]) -> None:
    make_guard()
    with pytest.raises(ValueError, match=r"URL|issuer"):
        make_guard(**terms)


@pytest.mark.parametrize("scope", ["", 'crm.read" x', "crm.read  crm.write", "\u00e9t\u00e9"])
def test_a_scope_that_is_none_is_refused_when_the_route_is_made(scope: str) -> None:
    make_guard().require(scope="crm.read")
    with pytest.raises(Malformed):
        make_guard().require(scope=scope)


async def test_a_scope_that_is_none_and_came_past_require_lets_nobody_in() -> None:
    app = FastAPI()

    @app.get("/customers")
    async def read(_: Annotated[VerifiedToken, Security(make_guard(), scopes=['x"y'])]) -> None:
        raise AssertionError

    for authorization in ([], [BEARER]):
        with pytest.raises(Malformed):
            await call(app, *authorization)


async def test_the_default_clock_is_the_time_of_the_day() -> None:
    guard = TokenGuard(keys=SIM.keys(), expect=SIM.expect(), revocations=LifetimeOnly(max_s=900), resource_metadata=URL)
    # Issued in 2030.
    response = await call(World(guard=guard).app(), BEARER)
    assert response.json()["detail"]["reason"] == "not_yet_valid"


# The OpenAPI document


async def test_the_document_says_which_routes_need_a_token_and_which_scopes() -> None:
    document = (await call(World().app(), path="/openapi.json")).json()

    scheme = document["components"]["securitySchemes"]
    assert {name: (one["type"], one["scheme"], one["bearerFormat"]) for name, one in scheme.items()} == {
        "Bearer": ("http", "bearer", "JWT")
    }
    assert URL in scheme["Bearer"]["description"]
    operations = {path: next(iter(item.values())) for path, item in document["paths"].items()}
    assert {path: operation.get("security") for path, operation in operations.items()} == {
        "/customers": [{"Bearer": ["crm.read"]}],
        "/sync": [{"Bearer": ["crm.read"]}],
        "/delete": [{"Bearer": ["crm.delete"]}],
        "/judged": [{"Bearer": []}],
        "/judged-sync": [{"Bearer": []}],
        "/write": [{"Bearer": []}],
        "/public": None,
    }
    assert "parameters" not in operations["/customers"]


async def test_the_document_says_what_a_refusal_looks_like() -> None:
    document = (await call(World().app(), path="/openapi.json")).json()

    responses = document["paths"]["/customers"]["get"]["responses"]
    assert responses.keys() == {"200", "400", "401", "403", "503"}
    assert [set(responses[status]["headers"]) for status in ("400", "401", "403", "503")] == [
        {"WWW-Authenticate"},
        {"WWW-Authenticate"},
        {"WWW-Authenticate"},
        {"Retry-After"},
    ]
    schema = responses["401"]["content"]["application/json"]["schema"]
    refusal = (await call(World().app(), f"Bearer {EXPIRED}")).json()
    assert refusal.keys() == set(schema["required"]) == set(schema["properties"])
    assert refusal["detail"].keys() == schema["properties"]["detail"]["properties"].keys()


def test_two_apps_do_not_share_the_description_of_refusals() -> None:
    assert refusal_responses() == refusal_responses()
    refusal_responses()[401]["headers"].clear()
    assert refusal_responses()[401]["headers"]


# Websockets


def websocket_app() -> FastAPI:
    guard, app = make_guard(), FastAPI()

    @app.websocket("/feed")
    async def feed(
        websocket: WebSocket,
        token: Annotated[VerifiedToken, Depends(guard.require(scope="crm.read"))],
        needs: str = "crm.read",
        needs_later: str = "crm.read",
    ) -> None:
        token.require(scope=needs)
        await websocket.accept()
        token.require(scope=needs_later)
        await websocket.send_text(token.sub)

    return app


async def converse(*authorization: str, query: str = "", **members: object) -> list[Message]:
    headers = [(b"authorization", value.encode()) for value in authorization]
    scope = {"type": "websocket", "path": "/feed", "headers": headers, "query_string": query.encode(), **members}
    return await drive(websocket_app(), scope, {"type": "websocket.connect"})


ANSWERS: Final[dict[str, Any]] = {"extensions": {"websocket.http.response": {}}}


@pytest.mark.parametrize("server", [ANSWERS, {}])
async def test_a_websocket_with_a_valid_token_is_opened(server: dict[str, Any]) -> None:
    sent = await converse(BEARER, **server)
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.send"]
    assert sent[1]["text"] == "user-1"


@pytest.mark.parametrize(
    ("authorization", "query", "error"),
    [
        ([], "", ""),
        ([f"Bearer {EXPIRED}"], "", "invalid_token"),
        ([BEARER, BEARER], "", "invalid_request"),
        ([BEARER], "needs=crm.delete", "insufficient_scope"),
    ],
)
@pytest.mark.parametrize("extensions", [{}, {"extensions": None}, {"extensions": {"tls": {}}}])
async def test_a_refused_websocket_is_closed_before_it_is_accepted(
    authorization: list[str], query: str, error: str, extensions: dict[str, Any]
) -> None:
    sent = await converse(*authorization, query=query, **extensions)
    assert sent == [{"type": "websocket.close", "code": 1008, "reason": error}]


@pytest.mark.parametrize(
    ("authorization", "query", "status"),
    [([], "", 401), ([f"Bearer {EXPIRED}"], "", 401), ([BEARER], "needs=crm.delete", 403)],
)
async def test_a_refused_websocket_gets_the_full_answer_where_the_server_can_give_it(
    authorization: list[str], query: str, status: int
) -> None:
    start, body = await converse(*authorization, query=query, **ANSWERS)
    assert (start["type"], start["status"]) == ("websocket.http.response.start", status)
    assert dict(start["headers"])[b"www-authenticate"].startswith(b"Bearer ")
    assert body["type"] == "websocket.http.response.body"


@pytest.mark.parametrize("server", [ANSWERS, {}])
async def test_a_denial_on_an_open_websocket_closes_it(server: dict[str, Any]) -> None:
    sent = await converse(BEARER, query="needs_later=crm.delete", **server)
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.close"]
    assert (sent[1]["code"], sent[1]["reason"]) == (1008, "insufficient_scope")


def _typed(_: Callable[..., AsyncIterator[VerifiedToken]]) -> None:
    """`require` gives what `Depends` takes; mypy judges this line, and the tests above that it works."""


_typed(make_guard().require(scope="crm.read"))
