"""Whatever answers, an agent ends with one of its own errors, or with a token that is in order."""

import json
from typing import Any, Final

import httpx2
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.client.standin import ISSUER, StandIn, holder
from tokensvc.client import AnswerMalformed, ExchangeRefused, ServiceUnavailable

# Bodies that JSON has: NaN is refused by who renders them.
JSON: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
MEMBERS: Final = st.sampled_from(["access_token", "token_type", "issued_token_type", "expires_in", "scope"])
HEADERS: Final = st.dictionaries(
    st.sampled_from(["retry-after", "dpop-nonce", "www-authenticate", "location", "content-encoding"]),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=12),
    max_size=3,
)
BOUND, PLAIN = StandIn(key=holder()), StandIn()
AGENTS: Final = {id(standin): standin.agent() for standin in (BOUND, PLAIN)}


def outcome(standin: StandIn) -> str:
    try:
        AGENTS[id(standin)].receive(standin.token(aud=ISSUER)).token()
    except (AnswerMalformed, ExchangeRefused, ServiceUnavailable) as exc:
        return type(exc).__name__
    return "token"


@settings(max_examples=60)
@given(status=st.sampled_from([200, 204, 301, 400, 401, 403, 404, 429, 500, 502]), body=JSON, headers=HEADERS)
def test_any_other_answer_is_refused(status: int, body: Any, headers: dict[str, str]) -> None:  # noqa: ANN401 - JSON
    text = json.dumps(body).encode()

    def answered(_request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(status, content=text, headers={"content-type": "application/json", **headers})

    BOUND.script = [answered] * 2  # once more where it demands a nonce
    assert outcome(BOUND) != "token"
    BOUND.script = []
    assert outcome(BOUND) == "token"


@settings(max_examples=60)
@given(member=MEMBERS, value=JSON)
def test_a_good_answer_with_another_member_is_used_only_for_another_lifetime(member: str, value: Any) -> None:  # noqa: ANN401 - JSON
    PLAIN.changed = {member: value}
    is_lifetime = member == "expires_in" and type(value) is int and 0 < value <= 86_400
    assert outcome(PLAIN) == ("token" if is_lifetime else "AnswerMalformed")
