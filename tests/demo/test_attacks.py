"""Every attack is refused for its stated reason, and a demo whose expectation does not hold says so and fails."""

from collections.abc import Iterator
from dataclasses import replace
from io import StringIO

import httpx2
import pytest
from rich.console import Console

from tokensvc.demo.attacks import ATTACKS, ATTACKS_BY_EVIDENCE, Attack, Scene, Tried, try_attack
from tokensvc.demo.attacks.attempt import Group, Place
from tokensvc.demo.attacks.forging import FORGING
from tokensvc.demo.attacks.misuse import delegator_calls
from tokensvc.demo.attacks.revocation import introspect_below_a_revoked_hop
from tokensvc.demo.forge import Workpiece
from tokensvc.demo.play import Report, play, render_report
from tokensvc.demo.report import show_report
from tokensvc.demo.walk import verify_offline, walk
from tokensvc.demo.wire import Answer, Wire
from tokensvc.demo.world import World, open_world
from tokensvc.errors import TokenRefused, Unavailable
from tokensvc.verify import Evidence

YES = Answer(status=200, body={})
NO = Answer(status=400, body={"error": "invalid_scope", "reason": "not_proper"})

# What the demo promises, written down a second time: a changed expectation has to be changed here as well.
PROMISED = {
    "more_than_the_user": "root_exceeded",
    "more_than_registered": "ceiling_exceeded",
    "wider_scope": "not_narrower",
    "equal_scope": "not_proper",
    "omitted_scope": "scope_missing",
    "resurrected_scope": "not_narrower",
    "longer_life": "lifetime_exceeded",
    "other_resource": "target_not_allowed",
    "unlisted_delegatee": "delegatee_not_allowed",
    "unnamed_delegatee": "actor_required",
    "second_agent": "subject_token_invalid",
    "stolen_token": "not_current_actor",
    "delegator_picks_up": "not_current_actor",
    "delegator_calls": "wrong_audience",
    "wrong_audience": "wrong_audience",
    "insufficient_scope": "insufficient_scope",
    "widened_hop": "not_narrower",
    "equal_hop": "not_proper",
    "outliving_hop": "not_narrower",
    "widened_token": "token_exceeds_grant",
    "dropped_act": "malformed",
    "dropped_chain": "chain_missing",
    "erased_planner": "chain_misaligned",
    "spliced_chain": "chain_misaligned",
    "expired_token": "expired",
    "foreign_key": "bad_signature",
    "renew_below_a_revoked_hop": "revoked",
    "introspect_below_a_revoked_hop": "inactive",
}
FORGED = {attack.name for attack in FORGING}


# The same with agents that hold keys and sign what they delegate.
PROMISED_BY_DELEGATORS = {
    **{name: reason for name, reason in PROMISED.items() if name not in FORGED},
    "stolen_token": "holder_unproven",
    "delegator_picks_up": "holder_unproven",
    "stolen_as_bearer": "holder_unproven",
    "stolen_with_another_key": "holder_unproven",
    "stolen_with_its_proof": "proof_invalid",
    "stolen_with_credentials": "holder_unproven",
    "hop_of_the_service": "evidence_insufficient",
    "hop_above_rewritten": "evidence_insufficient",
    "grant_with_a_key_of_the_service": "grant_invalid",
    "grant_with_other_words": "grant_invalid",
    "grant_of_another_chain": "chain_misaligned",
    "planner_played": "evidence_insufficient",
}
SIGNED = ATTACKS_BY_EVIDENCE[Evidence.DELEGATOR]


@pytest.fixture(scope="module")
def signed_scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with open_world(tmp_path_factory.mktemp("signed"), evidence=Evidence.DELEGATOR) as world:
        yield Scene(world=world, lineage=walk(world))


@pytest.fixture(scope="module")
def scene(world: World) -> Scene:
    return Scene(world=world, lineage=walk(world))


def attack(*, expected: str, tried: Tried) -> Attack:
    """An attack whose answers are given."""
    return Attack(
        group=Group.GREED, title="an attack", place=Place.TOKEN, expected=expected, perform=lambda _scene: tried
    )


def test_the_attacks_are_those_that_are_promised() -> None:
    assert {attack.name: attack.expected for attack in ATTACKS} == PROMISED
    assert len(ATTACKS) == len(PROMISED)
    assert {attack.name: attack.expected for attack in SIGNED} == PROMISED_BY_DELEGATORS
    assert len(SIGNED) == len(PROMISED_BY_DELEGATORS)


@pytest.mark.parametrize("attack", SIGNED, ids=lambda attack: attack.name)
def test_with_signed_delegations_the_attack_is_refused_for_its_reason(attack: Attack, signed_scene: Scene) -> None:
    found = try_attack(attack, signed_scene)
    assert found.problem == ""


def test_the_agents_of_signed_delegations_are_proven_by_their_own_word(signed_scene: Scene) -> None:
    token = verify_offline(signed_scene.world, signed_scene.lineage.fetcher.token)
    assert token.hop_evidence == (Evidence.ISSUER, Evidence.DELEGATOR, Evidence.DELEGATOR)
    assert token.cnf is not None


@pytest.mark.parametrize(
    ("name", "named"),
    [("hop_of_the_service", "hop 3"), ("hop_above_rewritten", "hop 2"), ("grant_with_a_key_of_the_service", "hop 3")],
)
def test_the_verifier_names_the_hop_that_a_bad_token_service_made(signed_scene: Scene, name: str, named: str) -> None:
    (attack,) = (attack for attack in SIGNED if attack.name == name)
    found = try_attack(attack, signed_scene)
    assert found.tried is not None
    assert named in found.tried.attack.description
    assert found.tried.attack.description in shown_report(Report(walked=None, findings=(found,), failures=()))


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_the_attack_is_refused_for_its_reason_and_accepted_without_its_fault(attack: Attack, scene: Scene) -> None:
    found = try_attack(attack, scene)
    assert found.problem == ""
    assert found.tried is not None
    assert found.tried.attack.reason == PROMISED[attack.name]
    assert found.tried.control.status == 200


def test_attacks_do_not_depend_on_their_order(scene: Scene) -> None:
    report = play(scene.world, tuple(reversed(ATTACKS)))
    assert report.failures == ()


@pytest.mark.parametrize(
    ("expected", "tried", "problem"),
    [
        ("not_proper", Tried(attack=NO, control=YES), ""),
        ("not_narrower", Tried(attack=NO, control=YES), "was refused as not_proper, and not as not_narrower"),
        ("not_proper", Tried(attack=YES, control=YES), "was accepted, and not refused as not_proper"),
        ("not_proper", Tried(attack=NO, control=NO), "is refused even without the fault: not_proper"),
        (
            "not_proper",
            Tried(attack=Answer(status=500, body={}), control=YES),
            "was refused as 500, and not as not_proper",
        ),
        (
            "not_proper",
            Tried(attack=NO, control=Answer(status=500, body={})),
            "is refused even without the fault: 500",
        ),
    ],
)
def test_an_expectation_that_does_not_hold_is_a_problem(
    scene: Scene, expected: str, tried: Tried, problem: str
) -> None:
    found = try_attack(attack(expected=expected, tried=tried), scene)
    assert found.problem == problem
    assert found.ok == (problem == "")


def test_an_attack_that_cannot_be_tried_is_a_problem_and_no_error(scene: Scene) -> None:
    def perform(_scene: Scene) -> Tried:
        raise Unavailable("no answer")

    found = try_attack(replace(ATTACKS[0], perform=perform), scene)
    assert (found.problem, found.tried) == ("could not be tried: no answer", None)
    shown = shown_report(Report(walked=None, findings=(found,), failures=(found.problem,)))
    assert "could not be tried" in shown
    assert "0 of 1 attacks" in shown


def shown_report(report: Report) -> str:
    stream = StringIO()
    show_report(Console(file=stream, width=200), report)
    return stream.getvalue()


def test_a_report_with_a_failure_is_not_ok_and_names_it(scene: Scene) -> None:
    wrong = replace(ATTACKS[3], expected="not_narrower")
    report = play(scene.world, (ATTACKS[0], wrong))
    assert not report.ok
    assert report.failures == ("equal_scope was refused as not_proper, and not as not_narrower",)
    rendered = render_report(report)
    assert rendered["ok"] is False
    assert rendered["failures"] == report.failures
    assert "FAILED  equal_scope was refused as not_proper" in shown_report(report)
    assert "Expectations that did not hold: 1." in shown_report(report)


def test_without_a_walk_there_is_a_failure_and_no_attack(world: World) -> None:
    report = play(replace(world, subject_token="no.token.atall"), ATTACKS)
    assert (report.walked, report.findings) == (None, ())
    (failure,) = report.failures
    assert failure.startswith("the walk did not come to its end: invalid_request (subject_token_invalid)")
    assert render_report(report)["walk"] == []
    assert "did not come to its end" in shown_report(report)


@pytest.fixture
def api_is_down(world: World) -> Iterator[World]:
    """The world with an API that answers every read with 503."""
    real = httpx2.HTTPTransport()

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/customers":
            return httpx2.Response(503, json={"error": "temporarily_unavailable"})
        forwarded = real.handle_request(request)
        return httpx2.Response(forwarded.status_code, content=forwarded.read())

    with real, httpx2.Client(transport=httpx2.MockTransport(answer), trust_env=False) as http:
        yield replace(world, wire=Wire(http, world.addresses))


def test_an_api_that_does_not_say_200_in_the_walk_is_a_failure_each_time(api_is_down: World) -> None:
    report = play(api_is_down, ())
    assert report.failures == tuple(
        f"the API answered {agent} with 503 temporarily_unavailable" for agent in ("planner", "researcher", "fetcher")
    )
    assert "API 503" in shown_report(report)


def test_a_server_that_does_not_answer_is_unavailable(world: World) -> None:
    def refuse(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused", request=request)

    with httpx2.Client(transport=httpx2.MockTransport(refuse)) as http, pytest.raises(Unavailable, match="no answer"):
        Wire(http, world.addresses).discover()


def test_an_answer_that_is_not_json_is_unavailable(world: World) -> None:
    html = httpx2.MockTransport(lambda _request: httpx2.Response(200, text="<html>"))
    with httpx2.Client(transport=html) as http, pytest.raises(Unavailable, match="Malformed"):
        Wire(http, world.addresses).discover()


def test_the_offline_api_takes_a_revoked_token_until_its_end_as_the_report_says(scene: Scene) -> None:
    lineage = walk(scene.world)
    scene.world.wire.revoke(scene.world.cast.planner, lineage.researcher.exchange_only)
    assert not scene.world.wire.introspect(scene.world.cast.crm, lineage.fetcher.token).is_yes
    assert scene.world.wire.read_customers(lineage.fetcher.token).is_yes
    token = verify_offline(scene.world, lineage.fetcher.token)
    assert token.exp - token.iat <= 300


def test_revocations_of_the_demo_hit_only_their_own_walk(scene: Scene) -> None:
    introspect_below_a_revoked_hop(scene)
    assert scene.world.wire.introspect(scene.world.cast.crm, scene.lineage.fetcher.token).is_yes


def test_what_is_refused_at_the_api_is_refused_by_the_public_verifier(scene: Scene) -> None:
    with pytest.raises(TokenRefused) as refused:
        verify_offline(scene.world, scene.lineage.researcher.exchange_only)
    assert refused.value.reason == delegator_calls(scene).attack.reason


def test_a_token_sealed_again_as_it_was_says_the_same(scene: Scene) -> None:
    genuine = Workpiece.of(scene.lineage.fetcher.token)
    again = Workpiece.of(genuine.seal(scene.world.signing_key))
    assert again == genuine
