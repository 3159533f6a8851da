"""Tokens that are bound to a key, through the middleware (RFC 9449 s7): each refusal beside a call that passes."""

from collections.abc import Awaitable
from dataclasses import dataclass, field, replace
from typing import Any, Final

import httpx2
import pytest

from tests.integrations.asgi_calls import BOUND, SIM, TOKEN, URL, Api, call, drive, present, protect
from tests.proofs import HOLDER, HTU, proof
from tests.simulator import ABSENT, NOW, ec_key, ed_key, jti, rsa_key, thumbprint
from tokensvc.errors import Unavailable
from tokensvc.integrations.proof_memory import ProofMemory
from tokensvc.verify import HolderFloor

STRICT: Final = {"expect": replace(SIM.expect(), holder=HolderFloor.PROOF)}
ALGS: Final = 'algs="ES256 Ed25519 RS256"'


def told(response: httpx2.Response) -> tuple[int, str, str]:
    """Status, error and reason of an answer."""
    body = response.json()
    return response.status_code, body["error"], body["reason"]


INVALID_PROOF: Final = (401, "invalid_dpop_proof", "proof_invalid")
UNPROVEN: Final = (401, "invalid_token", "holder_unproven")


@pytest.mark.parametrize("terms", [{}, STRICT], ids=["bearer", "proof"])
@pytest.mark.parametrize("scheme", ["DPoP", "dpop", "DPOP", "DPoP  "])
async def test_a_bound_token_with_its_proof_reaches_the_app(terms: dict[str, Any], scheme: str) -> None:
    api = Api()
    response = await present(protect(api, **terms), BOUND, proof(BOUND), scheme=scheme)
    assert (response.status_code, response.text) == (200, "user-1")
    assert [token.cnf for token in api.seen] == [("jkt", HOLDER.public.thumbprint)]
    assert "holder" not in api.seen[0].not_performed


@pytest.mark.parametrize("make_key", [ec_key, ed_key, rsa_key])
async def test_a_key_of_each_algorithm_that_the_challenge_names_is_taken(make_key: Any) -> None:  # noqa: ANN401
    key = make_key("agent")
    token = SIM.token(SIM.claims(SIM.chain("planner"), cnf={"jkt": key.public.thumbprint}))
    assert (await present(protect(Api()), token, proof(token, key=key))).status_code == 200
    assert told(await present(protect(Api()), token, proof(token, key=HOLDER))) == UNPROVEN


@pytest.mark.requirement("DPOP-DOWNGRADE")
async def test_a_bound_token_as_a_bearer_token_is_refused_whatever_stands_beside_it() -> None:
    api = Api()
    app = protect(api)
    for proofs in ([], [proof(BOUND)]):
        response = await present(app, BOUND, *proofs, scheme="Bearer")
        assert told(response) == UNPROVEN
        assert response.headers["www-authenticate"].startswith('Bearer error="invalid_token", ')
        assert f", DPoP {ALGS}, resource_metadata=" in response.headers["www-authenticate"]
    assert api.seen == []
    assert (await present(app, BOUND, proof(BOUND))).status_code == 200


async def test_an_unbound_token_under_the_scheme_dpop_is_refused() -> None:
    api = Api()
    assert told(await present(protect(api), TOKEN, proof(TOKEN))) == UNPROVEN
    assert told(await present(protect(api), TOKEN)) == INVALID_PROOF
    assert api.seen == []
    # As a bearer token it is one, and a header that is not asked for is not looked at.
    assert (await present(protect(api), TOKEN, "nonsense", scheme="Bearer")).status_code == 200


async def test_where_a_proof_is_required_only_dpop_is_offered() -> None:
    api = Api()
    app = protect(api, **STRICT)
    unbound = await present(app, TOKEN, scheme="Bearer")
    assert told(unbound) == UNPROVEN
    for response in (unbound, await call(app), await present(app, BOUND, scheme="Bearer")):
        assert response.headers["www-authenticate"].startswith(f"DPoP {ALGS}, ")
        assert "Bearer" not in response.headers["www-authenticate"]
    assert api.seen == []


# The proof


@pytest.mark.parametrize(
    "spoilt",
    [
        proof(),
        proof(BOUND + "x"),
        proof(BOUND, key=ec_key("thief")),
        proof(BOUND, ath=ABSENT),
        proof(BOUND, ath=thumbprint("another token")),
    ],
    ids=["no-token", "another-token", "another-key", "no-ath", "wrong-ath"],
)
@pytest.mark.requirement("DPOP-ATH")
async def test_a_good_proof_that_is_not_for_this_token_is_an_invalid_token(spoilt: str) -> None:
    api = Api()
    response = await present(protect(api), BOUND, spoilt)
    assert told(response) == UNPROVEN
    description = response.json()["error_description"]
    assert response.headers["www-authenticate"] == (
        f'DPoP {ALGS}, error="invalid_token", error_description="{description}", resource_metadata="{URL}", '
        f'Bearer resource_metadata="{URL}"'
    )
    assert api.seen == []
    assert (await present(protect(api), BOUND, proof(BOUND))).status_code == 200


@pytest.mark.parametrize(
    "spoilt",
    [
        "",
        "x",
        TOKEN,
        b"\xff\xfe",
        proof(BOUND, htm="POST"),
        proof(BOUND, htu="https://crm.example/other"),
        proof(BOUND, htu="https://thief.example/customers"),
        proof(BOUND, iat=NOW - 91),
        proof(BOUND, iat=NOW + 31),
        proof(BOUND, jti=ABSENT),
        proof(BOUND)[:-6] + "AAAAAA",
        f"{proof(BOUND)}, {proof(BOUND)}",
    ],
)
@pytest.mark.requirement("DPOP-CHALLENGE")
async def test_what_is_no_proof_of_this_call_is_an_invalid_proof(spoilt: str | bytes) -> None:
    api = Api()
    response = await present(protect(api), BOUND, spoilt)
    assert told(response) == INVALID_PROOF
    assert response.headers["www-authenticate"].startswith(f'DPoP {ALGS}, error="invalid_dpop_proof", ')
    assert response.headers["cache-control"] == "no-store"
    assert api.seen == []
    assert (await present(protect(api), BOUND, proof(BOUND))).status_code == 200


@pytest.mark.requirement("DPOP-ONE-HEADER")
async def test_two_proofs_are_an_invalid_request_and_none_is_an_invalid_proof() -> None:
    api = Api()
    two = await present(protect(api), BOUND, proof(BOUND), proof(BOUND, jti="another"))
    assert told(two) == (400, "invalid_request", "parameter_repeated")
    assert told(await present(protect(api), BOUND)) == INVALID_PROOF
    assert api.seen == []


async def test_a_token_that_is_none_is_refused_under_the_scheme_that_was_used() -> None:
    response = await present(protect(Api()), f"{BOUND} {BOUND}", proof(BOUND))
    assert told(response) == (401, "invalid_token", "malformed")
    assert response.headers["www-authenticate"].startswith(f'DPoP {ALGS}, error="invalid_token"')
    assert "DPoP and one token" in response.json()["error_description"]


async def test_a_scope_that_is_missing_is_asked_for_under_the_scheme_that_was_used() -> None:
    by_handler = await present(protect(Api(needs="crm.delete")), BOUND, proof(BOUND))
    by_middleware = await present(protect(Api(), scope="crm.delete"), BOUND, proof(BOUND))
    as_bearer = await present(protect(Api(needs="crm.delete")), TOKEN, scheme="Bearer")
    for response, start in ((by_handler, "DPoP algs="), (by_middleware, "DPoP algs="), (as_bearer, "Bearer error=")):
        assert told(response) == (403, "insufficient_scope", "insufficient_scope")
        assert response.headers["www-authenticate"].startswith(start)
        assert 'scope="crm.delete"' in response.headers["www-authenticate"]


# The URI


async def test_the_uri_of_a_request_is_never_what_the_caller_says() -> None:
    api = Api()
    app = protect(api)
    forwarded = {"X-Forwarded-Host": "thief.example", "X-Forwarded-Proto": "http", "Forwarded": "host=thief.example"}
    elsewhere = proof(BOUND, htu="https://thief.example/customers")
    assert told(await present(app, BOUND, elsewhere, Host="thief.example", **forwarded)) == INVALID_PROOF
    assert api.seen == []
    assert (await present(app, BOUND, proof(BOUND), Host="thief.example", **forwarded)).status_code == 200


@pytest.mark.parametrize(
    ("base_url", "htu"),
    [
        (None, "https://crm.example/customers"),
        ("https://crm.example", "https://crm.example/customers"),
        ("https://crm.example/", "https://crm.example/customers"),
        ("https://gateway.example/crm", "https://gateway.example/crm/customers"),
        ("https://gateway.example/crm/", "https://gateway.example/crm/customers"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/customers"),
    ],
)
async def test_the_uri_is_the_base_url_and_the_path(base_url: str | None, htu: str) -> None:
    app = protect(Api(), base_url=base_url)
    assert (await present(app, BOUND, proof(BOUND, htu=htu))).status_code == 200
    assert (await present(app, BOUND, proof(BOUND, htu=f"{htu}?a=b", jti=jti("2")), path="/customers?c=d")).is_success
    assert told(await present(app, BOUND, proof(BOUND, htu=f"{htu}/x"))) == INVALID_PROOF


@pytest.mark.parametrize("base_url", ["crm.example", "https://crm.example/?a=b", "https://crm.example/#x", "ftp://x"])
def test_a_base_url_that_is_none_is_refused_when_the_app_is_made(base_url: str) -> None:
    protect(Api(), base_url="https://crm.example")
    with pytest.raises(ValueError, match="base_url"):
        protect(Api(), base_url=base_url)


def raw_scope(proof_text: str, **members: object) -> dict[str, Any]:
    headers = [(b"authorization", f"DPoP {BOUND}".encode()), (b"dpop", proof_text.encode())]
    scope = {"type": "http", "method": "GET", "path": "/customers", "headers": headers, **members}
    return {name: member for name, member in scope.items() if member is not ABSENT}


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"path": "/a b/\u00e9"}, "/a%20b/%C3%A9"),
        ({"path": "/a;b=c,d/@me:1"}, "/a;b=c,d/@me:1"),
        ({"path": "/a/b", "raw_path": b"/a%2Fb"}, "/a%2fb"),
        ({"path": "/a", "raw_path": b"/a?b=c"}, "/a"),
        ({"path": "/a", "raw_path": None}, "/a"),
        ({"path": "/", "raw_path": b"//thief.example/"}, "//thief.example/"),
    ],
)
async def test_the_path_is_the_one_that_was_sent(members: dict[str, object], path: str) -> None:
    right, wrong = proof(BOUND, htu=f"https://crm.example{path}"), proof(BOUND, htu="https://crm.example/a/b/c")
    assert (await drive(protect(Api()), raw_scope(right, **members)))[0]["status"] == 200
    assert (await drive(protect(Api()), raw_scope(wrong, **members)))[0]["status"] == 401


@pytest.mark.parametrize(
    ("raw_path", "htu"),
    [
        (b"*", "https://crm.example*"),
        (b".thief.example/", "https://crm.example.thief.example/"),
        (b"@thief.example/", "https://crm.example@thief.example/"),
        (b"http://thief.example/", "http://thief.example/"),
        (b"", "https://crm.example/"),
        (b"/\xff", "https://crm.example/%FF"),
        # To an app behind it this is another path than the one that the proof names.
        (b"/customers#7", "https://crm.example/customers"),
    ],
)
async def test_what_is_no_path_makes_no_uri(raw_path: bytes, htu: str) -> None:
    api = Api()
    sent = await drive(protect(api), raw_scope(proof(BOUND, htu=htu), raw_path=raw_path))
    assert (sent[0]["status"], api.seen) == (401, [])
    assert (await drive(protect(api), raw_scope(proof(BOUND), raw_path=b"/customers")))[0]["status"] == 200


async def test_a_websocket_opens_with_a_proof_for_get() -> None:
    reached = []

    async def app(scope: Any, _receive: object, _send: object) -> None:  # noqa: ANN401 - an ASGI scope
        reached.append(scope["type"])

    for htm in ("GET", "POST"):
        scope = raw_scope(proof(BOUND, htm=htm, htu=HTU), type="websocket", method=ABSENT)
        await drive(protect(app), scope)
    assert reached == ["websocket"]


# Once


@pytest.mark.requirement("DPOP-REPLAY")
async def test_a_proof_is_good_for_one_call() -> None:
    api = Api()
    app = protect(api)
    first, second = proof(BOUND), proof(BOUND, jti=jti("second"))
    assert (await present(app, BOUND, first)).status_code == 200
    replayed = await present(app, BOUND, first)
    assert told(replayed) == INVALID_PROOF
    assert "used before" in replayed.json()["error_description"]
    assert (await present(app, BOUND, second)).status_code == 200
    # Made anew with the same jti it is the same.
    assert told(await present(app, BOUND, proof(BOUND, iat=NOW - 1))) == INVALID_PROOF
    assert len(api.seen) == 2


async def test_a_proof_that_came_with_a_call_that_was_denied_is_used_up() -> None:
    app = protect(Api(needs=None), scope="crm.delete")
    assert (await present(app, BOUND, proof(BOUND))).status_code == 403
    assert told(await present(app, BOUND, proof(BOUND))) == INVALID_PROOF


async def test_a_proof_whose_token_did_not_verify_takes_no_memory() -> None:
    memory = ProofMemory(clock=lambda: NOW, max_proofs=1)
    app = protect(Api(), proofs=memory)
    thief = ec_key("thief")
    assert told(await present(app, BOUND, proof(BOUND, key=thief))) == UNPROVEN
    assert told(await present(app, BOUND[:-4] + "AAAA", proof(BOUND[:-4] + "AAAA")))[2] == "bad_signature"
    assert len(memory) == 0
    assert (await present(app, BOUND, proof(BOUND))).status_code == 200
    assert len(memory) == 1


async def test_a_memory_that_is_full_refuses_as_unavailable_and_forgets_nothing() -> None:
    now = [NOW]
    app = protect(Api(), proofs=ProofMemory(clock=lambda: now[0], max_proofs=1), clock=lambda: now[0])
    assert (await present(app, BOUND, proof(BOUND))).status_code == 200
    full = await present(app, BOUND, proof(BOUND, jti=jti("second")))
    assert told(full) == (503, "temporarily_unavailable", "temporarily_unavailable")
    assert full.headers["retry-after"] == "5"
    assert told(await present(app, BOUND, proof(BOUND))) == INVALID_PROOF
    now[0] = NOW + 91
    assert (await present(app, BOUND, proof(BOUND, jti=jti("second"), iat=NOW + 91))).status_code == 200


@dataclass
class SharedStore:
    """As a user would write one over Redis: it waits, and answers with whatever its client says."""

    answer: object = True
    claimed: list[tuple[str, int]] = field(default_factory=list)

    def claim(self, once: str, until: int) -> Awaitable[bool]:
        async def answered() -> Any:  # noqa: ANN401 - anything at all
            self.claimed.append((once, until))
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer

        return answered()


@pytest.mark.parametrize(
    ("answer", "status"),
    [(True, 200), (False, 401), (None, 401), (1, 401), ("OK", 401), (Unavailable("x"), 503), (OSError(), 503)],
)
async def test_a_store_of_ones_own_is_asked_once_for_each_call(answer: object, status: int) -> None:
    store, api = SharedStore(answer), Api()
    response = await present(protect(api, proofs=store), BOUND, proof(BOUND, iat=NOW - 5))
    assert response.status_code == status
    assert (len(api.seen) == 1) == (status == 200)
    assert store.claimed == [(f"dpop {HOLDER.public.thumbprint} {jti('proof')}", NOW - 5 + 60 + 30)]


async def test_a_token_in_the_cache_is_taken_with_each_new_proof_and_not_without() -> None:
    api = Api()
    app = protect(api)
    for number in range(5):
        assert (await present(app, BOUND, proof(BOUND, jti=f"proof {number}"))).status_code == 200
    assert told(await present(app, BOUND, proof(jti="no ath"))) == UNPROVEN
    assert told(await present(app, BOUND, scheme="Bearer")) == UNPROVEN
    assert len(api.seen) == 5


async def test_nothing_of_a_proof_or_token_is_in_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    text = proof(BOUND, htm="POST")
    response = await present(protect(Api(), proofs=SharedStore(RuntimeError(text))), BOUND, text)
    assert response.status_code == 401
    broken = await present(protect(Api(), proofs=SharedStore(RuntimeError(text))), BOUND, proof(BOUND))
    assert broken.status_code == 503
    for part in (*text.split("."), *BOUND.split(".")):
        assert part not in response.text + broken.text + caplog.text + str(response.headers)
