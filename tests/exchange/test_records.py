"""The record: every grant and refusal with its reason and inputs, before the answer; never a token or a secret."""

import json
from typing import Any

import pytest

from tests.exchange.parties import CRM, FILES, ISSUER, START_SCOPE, secret_of
from tests.exchange.world import World, claims_of, form
from tests.simulator import USER
from tokensvc.errors import OAuthRefused, Reason
from tokensvc.exchange.authenticate import ClientSecret
from tokensvc.exchange.parties import AuthMethod
from tokensvc.exchange.request import ACCESS_TOKEN_TYPE, JWT_TYPE
from tokensvc.ports import Outcome, Record


def text_of(record: Record) -> str:
    """Everything that a record says."""
    return repr(record) + json.dumps(dict(record.inputs))


async def test_a_start_is_recorded_with_what_it_was_decided_on(world: World) -> None:
    user_token = world.user_token()
    issued = await world.exchange("planner", world.starting(user_token, requested_lifetime_s="600"))
    claims = claims_of(issued.access_token)

    (record,) = world.store.records
    assert (record.outcome, record.client_id, record.reason) == (Outcome.GRANTED, "planner", None)
    assert (record.at, record.lineage) == (world.clock.now, claims["grant_chain"][0]["jti"])
    assert (record.inputs["configuration"], record.inputs["client_auth"]) == ("c0ffee", "client_secret_basic")
    assert record.inputs["shape"] == "start"
    assert record.inputs["request"] == {
        "subject_token_type": ACCESS_TOKEN_TYPE,
        "resource": [CRM, FILES],
        "audience": [],
        "scope": START_SCOPE,
        "authorization_details": None,
        "requested_actor": None,
        "requested_lifetime_s": 600,
        "requested_max_depth": None,
        "issued_token_type": ACCESS_TOKEN_TYPE,
    }
    subject: Any = record.inputs["subject"]
    assert (subject["iss"], subject["sub"]) == ("https://idp.example", USER)
    assert len(subject["sha256"]) == 64
    granted: Any = record.inputs["granted"]
    stated = {name: claims[name] for name in ("jti", "sub", "aud", "scope", "exp", "grant_chain")}
    stated["evidence"] = ["issuer", "issuer"]
    assert granted == {**stated, "authorization_details": []}


async def test_each_shape_is_recorded_under_its_name_and_lineage(world: World) -> None:
    _, second, third = await world.chain()
    renewed = await world.renew(third)
    await world.renew(second, scope="crm.read", requested_token_type=JWT_TYPE)

    shapes = [record.inputs["shape"] for record in world.store.records]
    assert shapes == ["start", "delegate", "delegate", "renew", "narrow"]
    assert {record.lineage for record in world.store.records} == {world.read(renewed).lineage}
    subject: Any = world.store.records[3].inputs["subject"]
    assert subject["grant_chain"] == claims_of(third)["grant_chain"]
    assert len({record.id for record in world.store.records}) == 5


async def test_a_refusal_is_recorded_before_it_is_answered_and_named_in_the_answer(world: World) -> None:
    first = await world.start()
    refusal = await world.refused("planner", world.delegation(first, scope="crm.delete"))

    record = await world.store.find(refusal.record or "")
    assert record == world.store.records[-1]
    assert (record.outcome, record.client_id, record.reason) == (Outcome.REFUSED, "planner", Reason.NOT_NARROWER)
    assert record.lineage == world.read(first).lineage
    fault: Any = record.inputs["refusal"]
    assert fault == {"error": "invalid_scope", "description": refusal.description, "detail": ""}
    request: Any = record.inputs["request"]
    assert (request["scope"], request["requested_actor"]) == ("crm.delete", "researcher")


async def test_the_exact_fault_of_a_bad_token_is_in_the_record_and_not_in_the_answer(world: World) -> None:
    refusal = await world.refused("planner", world.starting(world.user_token(aud="other")))

    record = await world.store.find(refusal.record or "")
    assert record is not None
    fault: Any = record.inputs["refusal"]
    assert fault["detail"] == "aud does not name this service"
    assert "aud" not in refusal.description


async def test_a_refusal_to_a_client_that_may_not_use_the_endpoint_is_recorded(world: World) -> None:
    refusal = await world.refused("crm-api", world.starting())

    record = await world.store.find(refusal.record or "")
    assert record is not None
    assert (record.client_id, record.reason, record.outcome) == ("crm-api", None, Outcome.REFUSED)


async def test_every_request_leaves_exactly_one_record(world: World) -> None:
    first, second, _ = await world.chain()
    await world.renew(first)
    await world.refused("planner", form("foo"))
    await world.refused("planner", {})
    await world.refused("fetcher", world.renewal(second))

    assert len(world.store.records) == 7


PARAMETERS = ("scope", "requested_actor", "resource", "audience", "subject_token_type")


@pytest.mark.parametrize("parameter", [*PARAMETERS, "requested_token_type", "requested_lifetime_s", "grant_type"])
@pytest.mark.parametrize("prefix", ["", "crm.read "])
async def test_a_token_or_secret_in_the_wrong_parameter_is_not_written_down(
    world: World, parameter: str, prefix: str
) -> None:
    first = await world.start()
    for value in (first, world.user_token(), secret_of("planner")):
        for request in (world.starting(**{parameter: prefix + value}), world.delegation(first, **{parameter: value})):
            refusal = await world.refused("planner", request)
            record = await world.store.find(refusal.record or "")
            assert record is not None
            for part in (value, value[:60], value[-60:], value[-86:-20]):
                assert part not in text_of(record)
                assert part not in repr(refusal) + str(refusal) + refusal.detail
    assert await world.verdict("planner", world.delegation(first)) is None


@pytest.mark.parametrize(
    ("word", "is_written"),
    [
        ("Zm9vYmFyYmF6cXV4MTIzNA", False),
        ("0123456789abcdef0123456789abcdef", False),
        ("crm.read_all_customers-of-region.eu2", True),
        ("a-very-long-agent-name-for-region-2", True),
    ],
)
async def test_128_bits_in_hex_or_base64url_are_not_written_down_and_long_names_are(
    world: World, word: str, *, is_written: bool
) -> None:
    await world.refused("planner", world.starting(scope=word, requested_actor=word))

    assert (word in text_of(world.store.records[-1])) is is_written


async def test_a_secret_that_became_a_parameter_name_is_not_written_down(world: World) -> None:
    request = {**world.starting(), secret_of("planner"): ("a", "b")}
    refusal = await world.refused("planner", request)

    assert refusal.reason is Reason.PARAMETER_REPEATED
    assert secret_of("planner") not in text_of(world.store.records[-1])


async def test_no_token_and_no_secret_stands_in_any_record_or_representation(world: World) -> None:
    user_token = world.user_token()
    issued = [await world.exchange("planner", world.starting(user_token))]
    tokens = [user_token, issued[0].access_token, *await world.chain()]
    tokens += [await world.renew(tokens[3]), await world.renew(tokens[3], scope="crm.read")]
    refusals = [
        await world.refused("planner", world.delegation(tokens[1], scope="crm.delete")),
        await world.refused("mailer", world.delegation(tokens[1])),
        await world.refused("planner", world.starting(user_token, requested_actor="mailer")),
        await world.refused("planner", form(f"{tokens[1]}x")),
    ]
    await world.revoke(tokens[3], "planner")
    with pytest.raises(OAuthRefused) as caught:
        await world.revoke(tokens[2], "mailer")
    credentials = ClientSecret(
        method=AuthMethod.CLIENT_SECRET_BASIC, readings=(("planner", secret_of("planner")),), body_client_id=None
    )
    values = [*issued, *refusals, caught.value, credentials, world.registry.agents["planner"], world.read(tokens[1])]
    values += [world.registry.resources[CRM], world.exchange_service(), world.signer.signing_key()]

    said = "".join([*map(text_of, world.store.records), *map(repr, values), *map(str, values)])

    assert len(world.store.records) == 12
    secrets = [secret_of(name) for name in ("planner", "researcher", "fetcher", "crm-api")]
    digests = [digest for agent in world.registry.agents.values() for digest in agent.secret_sha256]
    for token in tokens:
        header, payload, signature = token.split(".")
        assert not [part for part in (header, payload, signature) if part in said]
    assert not [secret for secret in (*secrets, *digests) if secret in said]


@pytest.mark.parametrize("name", ["\r\nSet-Cookie: a=b", "<script>", "\x1b[31m", "=cmd|' /C calc'!A0", "a\x00b", "ﬁ"])
async def test_odd_text_from_a_client_stays_harmless(world: World, name: str) -> None:
    first = await world.start()
    requests = [world.delegation(first, **{name_of: name}) for name_of in ("requested_actor", "scope", "audience")]
    requests.append({**world.delegation(first), name: ("a", "b")})
    for request in requests:
        refusal = await world.refused("planner", request)
        assert refusal.description.isascii()
        assert refusal.description.isprintable()
        assert not set(refusal.description) & {'"', "\\"}
        assert await world.store.find(refusal.record or "") == world.store.records[-1]


async def test_a_huge_parameter_is_recorded_in_part(world: World) -> None:
    first = await world.start()
    request = world.delegation(first, scope="a " * 30_000 + "b", resource=[f"urn:{n}" for n in range(1000)])
    refusal = await world.refused("planner", request)

    record = await world.store.find(refusal.record or "")
    assert record is not None
    assert len(text_of(record)) < 10_000


async def test_the_issuer_alone_says_nothing_of_the_token_it_is_in(world: World) -> None:
    # A forged token of ours: no lineage is believed before the signature.
    header, payload, _ = (await world.start()).split(".")
    refusal = await world.refused("planner", world.starting(f"{header}.{payload}.AAAA"))

    record = await world.store.find(refusal.record or "")
    assert record is not None
    assert (record.lineage, record.reason) == (None, Reason.SUBJECT_TOKEN_INVALID)
    assert ISSUER not in text_of(record)
