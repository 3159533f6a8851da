"""Whatever arrives on the wire at any endpoint: an answer of ours or a closed connection, and no secret given away.

Over real sockets, so that the HTTP of the server is in it too. Requests are mostly right and then changed: noise alone
would get no further than the first check. Same examples in every run where `TOKENSVC_REQUIRE_ALL=1`.
"""

import json
import os
import socket
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from typing import Any, Final
from urllib.parse import quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.interop.service import API, FILES, TIMEOUT_S, Service, key_of, secret_of, serving
from tests.simulator import seal
from tokensvc.exchange.request import ACCESS_TOKEN_TYPE, GRANT_TYPE, ID_TOKEN_TYPE, JWT_TYPE
from tokensvc.server.client_auth import ASSERTION_TYPE
from tokensvc.wiring import system_clock

IS_SAME_EVERY_TIME: Final = os.environ.get("TOKENSVC_REQUIRE_ALL") == "1"

PROTECTED: Final = ("/token", "/introspect", "/revoke", "/operator/revocations")
PUBLIC: Final = (
    "/.well-known/jwks.json",
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
    "/healthz",
    "/readyz",
)
FORM_TYPE: Final = b"application/x-www-form-urlencoded"
BASIC, POST, KEY = "planner.client_secret_basic", "planner.client_secret_post", "planner.ES256"
SURVIVOR: Final = "planner.RS256"
"""No request names it, so no operator bars it; nor its user."""

# Stand for what is only known once the service runs.
USER_TOKEN, OURS, EXCHANGE_ONLY, ASSERTION, SECRET = "<user>", "<ours>", "<exchange-only>", "<assertion>", "<secret>"

NAMES: Final = [
    *("grant_type", "subject_token", "subject_token_type", "actor_token", "actor_token_type", "requested_token_type"),
    *("scope", "resource", "audience", "requested_actor", "requested_lifetime_s", "requested_max_depth"),
    *("authorization_details", "client_id", "client_secret", "client_assertion", "client_assertion_type"),
    *("token", "token_type_hint", "hop", "kind", "id", "delegation_grant", "options"),
]
VALUES: Final = [
    *(USER_TOKEN, OURS, EXCHANGE_ONLY, ASSERTION, SECRET, GRANT_TYPE, ACCESS_TOKEN_TYPE, JWT_TYPE, ID_TOKEN_TYPE),
    *(ASSERTION_TYPE, API, FILES, "crm", BASIC, POST, KEY, "researcher.client_secret_basic", "crm-api", "ops"),
    *("crm.read", "crm.read crm.write", "crm.*", "crm.read  crm.read", "user", "actor", "issuer", "entry", "key"),
    *("", "0", "1", "-1", "300", "999999999999", "1e9", "²", "a.b.c", "e30.e30.AA", "..", "[]", "{}", "null", "[[]]"),
    *("\x00", "\r\nX: y", "\ud7ff", "\U0001f600", "'\"<script>", "../../etc/passwd", "%00", "https://[::1", "x" * 9000),
    '[{"type":"attenuating_agent_token"}]',
    "[" * 5000,
]
texts = st.sampled_from(VALUES) | st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
parameters = st.tuples(st.sampled_from(NAMES) | texts, texts)

Pairs = tuple[tuple[str, str], ...]
START: Final[Pairs] = (
    *(("grant_type", GRANT_TYPE), ("subject_token", USER_TOKEN), ("subject_token_type", ACCESS_TOKEN_TYPE)),
    *(("scope", "crm.export crm.read crm.write"), ("resource", API)),
)
DELEGATE: Final[Pairs] = (
    *(("grant_type", GRANT_TYPE), ("subject_token", OURS), ("subject_token_type", ACCESS_TOKEN_TYPE)),
    *(("scope", "crm.read"), ("requested_actor", "researcher.client_secret_basic"), ("audience", "crm")),
)
FORMS: Final[Mapping[str, tuple[Pairs, ...]]] = {
    "/token": (START, DELEGATE),
    "/introspect": ((("token", OURS),), (("token", EXCHANGE_ONLY),)),
    "/revoke": ((("token", EXCHANGE_ONLY),), (("token", OURS), ("hop", "x"))),
    "/operator/revocations": ((("kind", "user"), ("id", "user-2")), (("kind", "actor"), ("id", "nobody"))),
}
CALLERS: Final = {
    "/token": BASIC,
    "/introspect": "crm-api",
    "/revoke": BASIC,
    "/operator/revocations": "ops",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class Target:
    """The service and what stands for the placeholders."""

    service: Service
    known: dict[str, str] = field(default_factory=dict, repr=False)
    given_out: set[str] = field(default_factory=set, repr=False)
    """Every token and secret that was ever sent or received."""

    def renew(self) -> None:
        """Tokens that are alive, whatever was revoked before."""
        user_token = self.service.user_token(BASIC)
        ours = self.service.exchange(BASIC, user_token, scope="crm.export crm.read crm.write")
        to = {"scope": "crm.read", "requested_actor": "researcher.client_secret_basic"}
        handed_on = self.service.exchange(BASIC, ours, **to)
        self.known |= {USER_TOKEN: user_token, OURS: ours, EXCHANGE_ONLY: handed_on, SECRET: secret_of(POST)}
        self.given_out |= {*self.known.values()}

    def fill(self, text: str) -> str:
        """`text` with the placeholders replaced; an assertion is a new one each time."""
        if text == ASSERTION:
            now = system_clock()
            claims = {"iss": KEY, "sub": KEY, "aud": self.service.issuer, "exp": now + 60, "jti": os.urandom(8).hex()}
            return self.sign({}, claims)
        return self.known.get(text, text)

    def sign(self, header: Mapping[str, object], claims: object) -> str:
        """A JWT of the agent with a key."""
        assertion = seal({"alg": "ES256", "kid": KEY, **header}, claims, key_of(KEY))
        self.given_out.add(assertion)
        return assertion

    def encode(self, pairs: list[tuple[str, str]]) -> bytes:
        return "&".join(
            f"{quote_plus(self.fill(name))}={quote_plus(self.fill(value))}" for name, value in pairs
        ).encode()

    def send(self, request: bytes, *, method: str) -> Answer | None:
        """The answer to these bytes, after which nothing follows; None where the connection was closed without one."""
        with socket.create_connection(("127.0.0.1", self.service.port), timeout=TIMEOUT_S) as connection:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            response = HTTPResponse(connection, method=method)
            try:
                response.begin()
                body = response.read()
            except (HTTPException, ConnectionError):
                return None
            finally:
                response.close()
        return Answer(status=response.status, headers=dict(response.getheaders()), body=body)

    def post(self, path: str, body: bytes, *headers: tuple[bytes, bytes]) -> Answer:
        """The answer to a well-formed request, which there always is."""
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in (*headers, (b"Content-Type", FORM_TYPE)))
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
        answer = self.send(head.encode() + lines + b"\r\n" + body, method="POST")
        assert answer is not None
        return answer

    def require_ours(self, answer: Answer, *, is_head: bool = False) -> None:
        """A documented status; where it is a refusal, JSON with `error` that repeats no token or secret."""
        assert answer.status in {200, 400, 401, 404, 405, 431}
        assert b"Traceback" not in answer.body
        if answer.status == 200:
            return
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "no-store"
        if is_head:
            return
        said = json.loads(answer.body)
        assert {"error", "error_description"} <= said.keys() <= {"error", "error_description", "reason", "record"}
        assert all(isinstance(value, str) and value.isascii() for value in said.values())
        assert not [text for text in self.given_out if text in answer.body.decode()]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with serving(tmp_path_factory.mktemp("service")) as service:
        found = Target(service)
        found.renew()
        yield found


def basic(client_id: str, secret: str | None = None) -> tuple[bytes, bytes]:
    text = f"{client_id}:{secret_of(client_id) if secret is None else secret}"
    return b"Authorization", b"Basic " + b64encode(text.encode())


CREDENTIALS: Final = {
    "none": ([], []),
    "wrong": ([basic(BASIC, "wrong")], []),
    "unknown": ([basic("nobody")], []),
    "disguised": ([basic(POST)], []),
    "twice": ([basic(BASIC), basic(BASIC)], []),
    "bearer": ([(b"Authorization", b"Bearer " + secret_of(BASIC).encode())], []),
    "broken": ([(b"Authorization", b"Basic \xff\xfe")], []),
    **{name: ([basic(name)], []) for name in (BASIC, "crm-api", "ops", "researcher.client_secret_basic")},
    POST: ([], [("client_id", POST), ("client_secret", SECRET)]),
    KEY: ([], [("client_assertion_type", ASSERTION_TYPE), ("client_assertion", ASSERTION)]),
}
"""Headers and parameters, by whom they prove or what is wrong with them."""
STRANGERS: Final = ("none", "wrong", "unknown", "disguised", "twice", "bearer", "broken")


@st.composite
def changed_forms(draw: st.DrawFn, path: str) -> list[tuple[str, str]]:
    """A form that this endpoint takes, with up to three changes."""
    pairs = list(draw(st.sampled_from(FORMS[path])))
    for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2, 3]))):
        at = draw(st.integers(0, len(pairs)))
        match draw(st.sampled_from(["add", "drop", "value", "twice", "swap"])):
            case "add":
                pairs.insert(at, draw(parameters))
            case "drop":
                del pairs[at : at + 1]
            case "value" if at < len(pairs):
                pairs[at] = (pairs[at][0], draw(texts))
            case "twice" if at < len(pairs):
                pairs.append(pairs[at])
            case _:
                pairs.reverse()
    return pairs


@settings(max_examples=450, derandomize=IS_SAME_EVERY_TIME)
@given(data=st.data(), path=st.sampled_from(["/token", "/token", *PROTECTED]))
def test_any_form_of_anybody_gets_an_answer_of_ours(target: Target, data: st.DataObject, path: str) -> None:
    who = data.draw(st.sampled_from([CALLERS[path]] * 20 + sorted(CREDENTIALS)))
    headers, credentials = CREDENTIALS[who]
    pairs = [*data.draw(changed_forms(path)), *credentials]

    answer = target.post(path, target.encode(pairs), *headers)

    target.require_ours(answer)
    # A form can bring a secret or an assertion that proves somebody only where its header brings nothing.
    if who in STRANGERS and (headers or not {"client_secret", "client_assertion"} & {name for name, _ in pairs}):
        assert answer.status in {400, 401}
    if answer.status == 200 and path == "/token":
        said = json.loads(answer.body)
        target.given_out.add(said["access_token"])
        assert {"issued_token_type", "token_type", "expires_in", "scope"} <= said.keys()
    if answer.status == 200 and path == "/revoke":
        target.renew()


header_names = st.sampled_from(
    [
        *(b"Content-Type", b"Content-Length", b"Content-Encoding", b"Transfer-Encoding", b"Expect", b"Upgrade"),
        *(b"Authorization", b"DPoP", b"Host", b"Cookie", b"Origin", b"Accept", b"X-Forwarded-Host", b"Range"),
        *(b"Connection", b"Trailer", b"X-HTTP-Method-Override", b"Content-Disposition", b"Forwarded"),
    ]
)
header_values = st.sampled_from(
    [
        *(FORM_TYPE, FORM_TYPE.upper() + b" ; charset=utf-16", b"application/json", b"multipart/form-data"),
        *(b"gzip", b"chunked", b"identity", b"100-continue", b"0", b"-1", b"+3", b"3, 3", b"9" * 20, b"bytes=0-1"),
        *(b"close", b"keep-alive, Upgrade", b"h2c", b"websocket", b"evil.example", b"DELETE", b"\xff\xfe", b"x" * 9000),
    ]
)
odd_headers = st.tuples(header_names, header_values) | st.tuples(
    header_names | st.binary(min_size=1, max_size=12), header_values | st.binary(max_size=30)
)
paths = st.sampled_from([*PROTECTED, *PUBLIC]) | st.sampled_from(
    [
        *("/", "*", "/token/", "//token", "/token%00", "/%74oken", "/TOKEN", "/token;x=1", "/token?a=b", "/token#x"),
        *("/.well-known/jwks.json/..", "/../token", "http://evil.example/token", "/.env", "/docs", "/openapi.json"),
    ]
)
methods = st.sampled_from(["POST"] * 4 + ["GET", "GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "BREW"])


@settings(max_examples=450, derandomize=IS_SAME_EVERY_TIME)
@given(
    data=st.data(),
    method=methods,
    path=paths,
    headers=st.lists(odd_headers, max_size=2),
    framing=st.sampled_from(["length"] * 4 + ["chunked", "bare chunks", "short", "long", "both", "none"]),
    version=st.sampled_from(["HTTP/1.1"] * 9 + ["HTTP/1.0", "HTTP/2.0", "HTTP/9", ""]),
    noise=st.none() | st.none() | st.binary(max_size=200) | st.just(b"x" * 70_000) | st.just(b"&" * 100),
)
def test_any_request_gets_an_answer_of_ours_or_a_closed_connection(
    target: Target,
    data: st.DataObject,
    *,
    method: str,
    path: str,
    headers: list[tuple[bytes, bytes]],
    framing: str,
    version: str,
    noise: bytes | None,
) -> None:
    who = data.draw(st.sampled_from(sorted(CREDENTIALS)))
    proof, credentials = CREDENTIALS[who]
    pairs = [*data.draw(changed_forms(path if path in PROTECTED else "/token")), *credentials]
    body = target.encode(pairs) if noise is None else noise
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
    framed: dict[str, tuple[bytes, bytes]] = {
        "length": (b"Content-Length: %d\r\n" % len(body), body),
        "chunked": (b"Transfer-Encoding: chunked\r\n", chunks),
        "bare chunks": (b"Transfer-Encoding: chunked\r\n", body),
        "short": (b"Content-Length: %d\r\n" % (len(body) // 2), body),
        "long": (b"Content-Length: %d\r\n" % (len(body) + 5), body),
        "both": (b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n" % len(body), chunks),
        "none": (b"", body),
    }
    length, content = framed[framing]
    plain = [(b"Host", b"127.0.0.1"), (b"Connection", b"close"), (b"Content-Type", FORM_TYPE)]
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in (*plain, *proof, *headers))
    line = f"{method} {path} {version}".rstrip().encode()

    answer = target.send(line + b"\r\n" + lines + length + b"\r\n" + content, method=method)

    if answer is None:
        return
    target.require_ours(answer, is_head=method == "HEAD")
    if answer.status == 200 and path == "/revoke":
        target.renew()
    if who == "wrong" and path in PROTECTED:
        assert answer.status != 200


claim_values = st.one_of(
    st.sampled_from([KEY, BASIC, "", "*", 0, 1, -1, 2**53, 1e300, True, None, [], {}, [KEY], {"sub": KEY}, "x" * 5000]),
    st.integers(),
    st.floats(),
    st.text(max_size=10),
)


@settings(max_examples=150, derandomize=IS_SAME_EVERY_TIME)
@given(
    header=st.dictionaries(
        st.sampled_from(["typ", "alg", "kid", "crit", "jwk", "jku", "b64", "x5c", "zip"]) | st.text(max_size=4),
        claim_values,
        max_size=1,
    ),
    changes=st.dictionaries(
        st.sampled_from(["iss", "sub", "aud", "exp", "iat", "nbf", "jti", "act", "azp"]) | st.text(max_size=4),
        claim_values,
        max_size=2,
    ),
    cut=st.integers(0, 3),
)
def test_any_assertion_is_taken_or_refused(
    target: Target, header: dict[str, Any], changes: dict[str, Any], cut: int
) -> None:
    now = system_clock()
    claims = {"iss": KEY, "sub": KEY, "aud": target.service.issuer, "exp": now + 60, "jti": os.urandom(8).hex()}
    assertion = target.sign(header, {**claims, **changes})
    assertion = assertion[: len(assertion) - cut]
    form = [("token", "x"), ("client_assertion_type", ASSERTION_TYPE), ("client_assertion", assertion)]

    answer = target.post("/introspect", target.encode(form))

    target.require_ours(answer)
    assert answer.status in ({400, 401} if cut else {200, 400, 401})
    if any(changes.get(name, KEY) != KEY for name in ("iss", "sub")):
        assert answer.status == 401


def test_the_fuzzed_service_still_works_and_wrote_no_token_and_no_secret(target: Target) -> None:
    user_token = target.service.user_token(BASIC, sub="user-3")
    token = target.service.exchange(BASIC, user_token, scope="crm.read", resource=API)

    assert target.service.introspect(token)["active"] is True
    assert {event["event"] for event in target.service.events()}.isdisjoint({"fault", "unavailable"})
    log = target.service.log.getvalue()
    assert "client_authentication_failed" in log
    assert len(target.given_out) > 100
    assert [text for text in target.given_out | {secret_of(client) for client in (BASIC, "ops")} if text in log] == []
