"""The golden tokens: the files are what the script makes, and our verifier gives every stated verdict."""

import json
from collections import Counter
from functools import cache
from typing import Any, Final

import pytest

from tests.vectors.make import FILES, FOLDER, make
from tokensvc.core.authority import Attenuation, Order
from tokensvc.core.details import render_details
from tokensvc.core.jsontext import parse_json_object
from tokensvc.core.revocation import Revocation, RevocationKind
from tokensvc.core.scope import ScopeGrammar
from tokensvc.errors import AccessDenied, KeyRefused, Malformed, Reason, TokenRefused
from tokensvc.verify import (
    Evidence,
    Expectation,
    HolderFloor,
    LifetimeOnly,
    RevocationList,
    StaticKeys,
    VerifiedToken,
    parse_jwks,
    verify_token,
)
from tokensvc.verify.revocations import UnsafeRevocationElsewhere
from tokensvc.verify.verifier import Revocations, Trace, UnsafeHolderProvenUpstream, _Terms, _verify

Members = dict[str, Any]


def read(name: str) -> Members:
    members: Members = json.loads((FOLDER / f"{name}.json").read_text("ascii"))
    return members


SETUP: Final = read("setup")
DEFAULTS: Final[Members] = SETUP["defaults"]
CASES: Final = [(name, case) for name in FILES for case in read(name)["cases"]]
KEY_SETS: Final[list[Members]] = read("key-sets")["cases"]


@cache
def keys() -> StaticKeys:
    return StaticKeys({issuer: parse_jwks(jwks) for issuer, jwks in SETUP["keys"].items()})


def expectation(case: Members) -> Expectation:
    stated: Members = {**DEFAULTS["expect"], **case.get("expect", {})}
    order = stated["order"]
    return Expectation(
        issuers=frozenset(stated["issuers"]),
        audiences=frozenset(stated["audiences"]),
        root_floor=Evidence(stated["root_floor"]),
        hop_floor=Evidence(stated["hop_floor"]),
        holder=HolderFloor.BEARER,
        order=Order(
            grammar=ScopeGrammar(order["scope_grammar"]),
            attenuation=Attenuation(order["attenuation"]),
            proper_from=order["proper_from"],
        ),
        authorities={(one["issuer"], one["authority"]): one["prefix"] for one in stated["authorities"]},
        agent_keys={(pin["issuer"], pin["agent"]): frozenset(pin["thumbprints"]) for pin in stated["agent_keys"]},
        leeway_s=stated["leeway_s"],
        max_depth=stated["max_depth"],
        max_token_bytes=stated["max_token_bytes"],
    )


def revocations(case: Members) -> Revocations:
    stated: Members = {**DEFAULTS, **case}["revocations"]
    if "lifetime_only_s" in stated:
        return LifetimeOnly(max_s=stated["lifetime_only_s"])
    if "elsewhere" in stated:
        return UnsafeRevocationElsewhere()
    listed = [
        Revocation(kind=RevocationKind(one["kind"]), id=one["id"], not_before=one.get("not_before"), until=None)
        for one in stated["list"]
    ]
    return RevocationList(tuple(listed), as_of=stated["as_of"], max_staleness_s=stated["max_staleness_s"])


def terms(case: Members) -> Members:
    stated: Members = {**DEFAULTS, **case}
    return {
        "keys": keys(),
        "expect": expectation(case),
        "now": stated["now"],
        "revocations": revocations(case),
        "proof": UnsafeHolderProvenUpstream() if stated["holder_proven_upstream"] else None,
    }


def judged(case: Members) -> VerifiedToken:
    return verify_token(case["token"], **terms(case))


def place(case: Members) -> Members:
    """Where verification of a refused case ends."""
    trace = Trace()
    with pytest.raises(TokenRefused):
        _verify(case["token"], _Terms(**terms(case), check_expiry=True), trace)
    return {"step": trace.step, **({"hop": trace.hop} if trace.step == 12 else {})}


def facts(token: VerifiedToken) -> Members:
    return {
        "iss": token.iss,
        "sub": token.sub,
        "actors": list(token.actors),
        "audience": token.audience,
        "exchange_only": token.is_exchange_only,
        "scope": sorted(token.scope),
        "authorization_details": render_details(token.details),
        "cnf": None if token.cnf is None else dict([token.cnf]),
        "iat": token.iat,
        "exp": token.exp,
        "jti": token.jti,
        "lineage": token.lineage,
        "root_evidence": token.root_evidence,
        "hop_evidence": list(token.hop_evidence),
    }


def result(case: Members) -> Members:
    """What our verifier makes of the case, as the case would say it."""
    try:
        token = judged(case)
    except TokenRefused as refused:
        return {"refused": refused.reason, **place(case)}
    return {"ok": facts(token)}


def denial(token: VerifiedToken, call: Members) -> Reason | None:
    arguments = json.loads(call["arguments_text"]) if "arguments_text" in call else call.get("arguments")
    try:
        token.require(scope=call.get("scope"), tool=call.get("tool"), arguments=arguments)
    except AccessDenied as denied:
        return denied.reason
    return None


def test_the_script_makes_the_files_byte_for_byte() -> None:
    made = make()

    assert {path.name for path in FOLDER.glob("*.json")} == set(made)
    assert [name for name, content in made.items() if (FOLDER / name).read_bytes() != content] == []


@pytest.mark.parametrize("name", FILES)
def test_our_verifier_gives_every_stated_verdict(name: str) -> None:
    judgements = {case["id"]: (case["result"], result(case)) for file, case in CASES if file == name}

    assert {case: verdicts for case, verdicts in judgements.items() if verdicts[0] != verdicts[1]} == {}


def test_every_refused_case_has_an_accepted_control_in_its_file() -> None:
    accepted = {(name, case["id"]) for name, case in CASES if "ok" in case["result"]}
    refused = [(name, case["control"]) for name, case in CASES if "refused" in case["result"]]

    assert [control for control in refused if control not in accepted] == []
    assert len(accepted) + len(refused) == len(CASES)
    assert [one for one, times in Counter(case["id"] for _, case in CASES).items() if times > 1] == []


def test_calls_are_admitted_and_denied_as_stated() -> None:
    wrong = []
    for _, case in CASES:
        for call in case.get("calls", []):
            stated = None if call["admitted"] else call["reason"]
            if denial(judged(case), call) != stated:
                wrong.append((case["id"], call))
    assert wrong == []
    assert sum(len(case.get("calls", [])) for _, case in CASES) > 150


def test_every_reason_of_verification_and_of_calls_is_met() -> None:
    met = {case["result"].get("refused") for _, case in CASES}
    denied = {call.get("reason") for _, case in CASES for call in case.get("calls", [])}
    last = list(Reason).index(Reason.ARGUMENT_DENIED)
    # How a proof is checked is not part of the profile.
    named = set(list(Reason)[: last + 1]) - {Reason.PROOF_INVALID}

    assert (met | denied) - {None} == {str(reason) for reason in named}


@pytest.mark.parametrize("case", KEY_SETS, ids=[case["id"] for case in KEY_SETS])
def test_key_sets_are_read_and_refused_as_stated(case: Members) -> None:
    text = case["jwks_text"] if "jwks_text" in case else json.dumps(case["jwks"])
    if case["result"] == "refused":
        with pytest.raises((KeyRefused, Malformed)):
            parse_jwks(parse_json_object(text.encode("ascii")))
    else:
        keys = parse_jwks(parse_json_object(text.encode("ascii")))
        found = [{"kid": key.kid, "alg": key.alg, "thumbprint": key.thumbprint} for key in keys]
        assert found == case["result"]["ok"]
