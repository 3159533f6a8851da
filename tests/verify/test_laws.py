"""Properties of verification: whatever the service itself signs, an accepted token is within all its ancestors."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulator import API, FILES, ISSUER, NOW, Members, act, encode, jti, thumbprint
from tests.verify.lineages import RESOURCES, SIM, chains, claims, faults
from tokensvc.errors import TokenRefused, TokensvcError
from tokensvc.verify import Expectation, LifetimeOnly, RevocationList, VerifiedToken

EVERYWHERE = Expectation.bearer(issuers=[ISSUER], audiences=[*RESOURCES, ISSUER])

NO_REVOCATIONS = RevocationList((), as_of=NOW, max_staleness_s=1)


def verified(payload: object) -> VerifiedToken | None:
    try:
        return SIM.verify(SIM.token(payload), expect=EVERYWHERE, revocations=NO_REVOCATIONS)
    except TokenRefused:
        return None


def require_lawful_if_accepted(token: Members) -> bool:
    result = verified(token)
    if result is None:
        return False
    assert faults(token) == []
    assert result.scope == set(token["scope"].split(" "))
    assert (result.sub, result.audience, result.exp) == (token["sub"], token["aud"], token["exp"])
    assert result.actors == tuple(hop["actor"] for hop in reversed(token["grant_chain"][1:]))
    return True


@settings(max_examples=300)
@given(claims())
def test_every_lawful_token_is_accepted(token: Members) -> None:
    assert faults(token) == []
    assert require_lawful_if_accepted(token)


def is_current(token: Members) -> bool:
    return bool(token["exp"] + EVERYWHERE.leeway_s > NOW >= token["iat"] - EVERYWHERE.leeway_s)


def places(value: object) -> Iterator[tuple[Any, Any]]:
    """Every (container, key or index) in a JSON value."""
    if isinstance(value, dict):
        for name, member in list(value.items()):
            yield value, name
            yield from places(member)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield value, index
            yield from places(item)


VALUES: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(
        [API, FILES, "urn:three", ISSUER, "a", "b", "a b", "a b c", "a b c d e f g", "agent-0", "agent-1", "admin"]
    ),
    st.sampled_from(
        [jti("one"), jti("one 0"), jti("x"), thumbprint("x"), {"jkt": thumbprint("x")}, act("agent-0"), [API]]
    ),
    st.integers(-1, 12) | st.integers(NOW - 70, NOW + 4000),
    st.none() | st.booleans() | st.floats(0, 10) | st.text(max_size=5) | st.just([]) | st.just({}),
)
NAMES = st.sampled_from(
    ["cnf", "scope", "resources", "x", "jws", "act", "authorization_details", "nbf", "max_depth", "parent"]
)


def mutate_anywhere(token: Members, data: st.DataObject) -> None:
    everywhere = list(places(token))
    container, key = data.draw(st.sampled_from(everywhere))
    other, other_key = data.draw(st.sampled_from(everywhere))
    match data.draw(st.sampled_from(["change", "delete", "add", "duplicate", "swap", "reorder"])):
        case "change":
            container[key] = data.draw(VALUES)
        case "delete":
            del container[key]
        case "add" if isinstance(container, dict):
            container[data.draw(NAMES)] = data.draw(VALUES)
        case "duplicate" if isinstance(container, list):
            container.insert(data.draw(st.integers(0, len(container))), deepcopy(container[key]))
        case "swap":
            container[key], other[other_key] = deepcopy(other[other_key]), deepcopy(container[key])
        case "reorder" if isinstance(container, list):
            container[:] = data.draw(st.permutations(container))
        case _:
            pass


def mutate_knowingly(token: Members, data: st.DataObject) -> None:
    """One change of the kind that an attacker who knows the rules would make."""
    holders = [token, *token["grant_chain"]]
    match data.draw(
        st.sampled_from(["lift", "lift", "nudge", "shallow", "trim", "audience", "rename", "disown", "bind"])
    ):
        case "lift":
            name = data.draw(st.sampled_from(["scope", "resources", "exp", "iat", "max_depth", "jti", "parent"]))
            to, source = data.draw(
                st.permutations([holder for holder in holders if name in holder]).map(lambda p: (p[0], p[-1]))
            )
            to[name] = source[name]
        case "nudge":
            holder = data.draw(st.sampled_from(holders))
            name = data.draw(st.sampled_from([name for name in ("exp", "iat", "max_depth") if name in holder]))
            holder[name] += data.draw(st.sampled_from([-1, 1, -3, 3, 1000]))
        case "shallow":
            max_depth = data.draw(st.integers(0, 4))
            for entry in token["grant_chain"][data.draw(st.integers(0, 2)) :]:
                entry["max_depth"] = min(entry["max_depth"], max_depth)
        case "trim":
            scope = token["scope"].split(" ")
            token["scope"] = " ".join(data.draw(st.lists(st.sampled_from(scope), min_size=1, unique=True)))
        case "disown":
            actors = [hop["actor"] for hop in token["grant_chain"][1:]]
            earlier = data.draw(st.lists(st.sampled_from([*actors, "admin"]), max_size=4))
            token["act"] = act(actors[-1], *earlier)
        case "audience":
            token["aud"] = data.draw(st.sampled_from([*RESOURCES, ISSUER]))
        case "rename":
            hops = token["grant_chain"][1:]
            data.draw(st.sampled_from(hops))["actor"] = data.draw(st.sampled_from(hops))["actor"]
            token["act"], token["client_id"] = act(*(hop["actor"] for hop in reversed(hops))), hops[-1]["actor"]
        case _:
            data.draw(st.sampled_from(token["grant_chain"][1:]))["cnf"] = {"jkt": thumbprint("x")}


@settings(max_examples=600)
@given(claims(), st.data())
def test_a_token_changed_with_knowledge_and_signed_anew_is_refused_or_still_lawful(
    token: Members, data: st.DataObject
) -> None:
    changed = deepcopy(token)
    mutate_knowingly(changed, data)

    assert require_lawful_if_accepted(changed) == (faults(changed) == [] and is_current(changed))


@settings(max_examples=400)
@given(claims(), st.data())
def test_a_token_changed_anywhere_and_signed_anew_is_refused_or_still_lawful(
    token: Members, data: st.DataObject
) -> None:
    changed = deepcopy(token)
    for _ in range(data.draw(st.integers(1, 2))):
        mutate_anywhere(changed, data)

    require_lawful_if_accepted(changed)


@given(claims(), st.data())
def test_a_token_with_any_member_named_twice_is_refused(token: Members, data: st.DataObject) -> None:
    objects = [token, *(container[key] for container, key in places(token) if isinstance(container[key], dict))]
    which = data.draw(st.integers(0, len(objects) - 1))
    name = data.draw(st.sampled_from(sorted(objects[which])))
    objects[which]["TWICE"] = objects[which][name]
    text = encode(token)

    assert verified(text.replace(b'"TWICE"', encode(name))) is None
    del objects[which]["TWICE"]
    assert verified(token) is not None


@given(chains("one"), chains("other"), st.data())
def test_pieces_of_two_lineages_are_no_chain(one: list[Members], other: list[Members], data: st.DataObject) -> None:
    head = data.draw(st.integers(1, len(one) - 1))
    tail = data.draw(st.integers(1, len(other) - 1))
    spliced = [*one[:head], *other[tail:]]

    assert verified(SIM.claims(one)) is not None
    assert verified(SIM.claims(other)) is not None
    assert verified(SIM.claims(spliced)) is None
    # Even where the service itself forges the links, nothing comes out wider than the head allows.
    spliced[head]["parent"] = one[head - 1]["jti"]
    require_lawful_if_accepted(SIM.claims(spliced))


@given(chains(), st.data())
def test_any_one_hop_widened_in_any_dimension_is_refused(entries: list[Members], data: st.DataObject) -> None:
    index = data.draw(st.integers(1, len(entries) - 1))
    hop, above = entries[index], entries[index - 1]
    assert verified(SIM.claims(entries, aud=ISSUER)) is not None
    member, value = data.draw(
        st.sampled_from(
            [
                ("scope", hop["scope"] + " z"),
                ("scope", above["scope"]),
                ("resources", [*hop["resources"], "urn:new"]),
                ("exp", above["exp"] + 1),
                ("iat", above["iat"] - 1),
                ("max_depth", above["max_depth"] + 1),
            ]
        )
    )
    hop[member] = value

    assert verified(SIM.claims(entries, aud=ISSUER)) is None


@settings(max_examples=300)
@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda data: data.decode("latin-1")))
def test_no_text_makes_verification_raise_anything_but_a_refusal(text: str) -> None:
    with pytest.raises(TokenRefused):
        SIM.verify(text)


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | VALUES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["sub", "act", "scope", "jws", "jti", "jkt", "exp", "iat"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)
CLAIMS = st.sampled_from(
    [
        "iss",
        "sub",
        "aud",
        "client_id",
        "scope",
        "iat",
        "exp",
        "nbf",
        "jti",
        "cnf",
        "act",
        "grant_profile",
        "grant_chain",
    ]
)


@given(claims(), st.dictionaries(CLAIMS | st.text(max_size=4), JSON, max_size=3), st.booleans())
def test_no_json_value_makes_verification_raise_anything_but_our_errors(
    token: Members, change: Members, listed: bool
) -> None:
    revocations = RevocationList((), as_of=NOW, max_staleness_s=1) if listed else LifetimeOnly(max_s=900)
    payloads: list[object] = [{**token, **change}, change, list(change.values())]
    for payload in payloads:
        try:
            SIM.verify(SIM.token(payload), expect=EVERYWHERE, revocations=revocations)
        except TokensvcError:
            continue


@settings(max_examples=300)
@given(st.binary(max_size=300), st.binary(max_size=300))
def test_no_bytes_in_header_or_payload_make_verification_raise_anything_but_a_refusal(
    first: bytes, second: bytes
) -> None:
    for token in (SIM.token(first), SIM.token({}, header=first), SIM.token(second, header=first)):
        with pytest.raises(TokenRefused):
            SIM.verify(token)
