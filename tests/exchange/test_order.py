"""The first failure decides: of two faults in one request the answer names the one that TOKEN.md s5 looks at first."""

from dataclasses import dataclass

import pytest

from tests.exchange.parties import FILES, make_registry
from tests.exchange.world import Parameter, World
from tokensvc.errors import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing wrong with a delegation by planner: a parameter, who asks, or what happened before."""

    reason: Reason
    parameters: dict[str, Parameter] | None = None
    client: str = "planner"
    revoked: bool = False
    disabled: bool = False
    late_s: int = 0
    max_depth: int = 5


# In the order of the steps. `disabled` is an agent of the chain, `max_depth` the service's own cap.
STEPS = (
    Fault(reason=Reason.PARAMETER_REPEATED, parameters={"requested_token_type": ["a", "b"]}),
    Fault(reason=Reason.PARAMETER_UNSUPPORTED, parameters={"subject_token_type": "x"}),
    Fault(reason=Reason.EXPIRED, late_s=4000),
    Fault(reason=Reason.NOT_CURRENT_ACTOR, client="mailer"),
    Fault(reason=Reason.ACTOR_REQUIRED, parameters={"requested_actor": None}),
    Fault(reason=Reason.REVOKED, revoked=True),
    Fault(reason=Reason.DEPTH_EXCEEDED, max_depth=1),
    Fault(reason=Reason.TARGET_NOT_ALLOWED, parameters={"resource": "https://other.example"}),
    Fault(reason=Reason.SCOPE_MISSING, parameters={"scope": None}),
    Fault(reason=Reason.LIFETIME_EXCEEDED, parameters={"requested_lifetime_s": "999999"}),
)


async def outcome(world: World, *faults: Fault) -> Reason | None:
    """Why a delegation with these faults is refused."""
    token = await world.start()
    parameters: dict[str, Parameter] = {}
    client = "planner"
    for fault in faults:
        parameters.update(fault.parameters or {})
        client = fault.client if fault.client != "planner" else client
        if fault.revoked:
            await world.revoke(token, "planner")
        world.clock.now += fault.late_s
        world = world.but(max_depth=min(world.terms.max_depth, fault.max_depth))
    request = world.delegation(token, **parameters)
    verdict = await world.verdict(client, request)
    return None if verdict is None else verdict[1]


@pytest.mark.parametrize("fault", STEPS, ids=lambda fault: fault.reason)
async def test_each_fault_alone_is_refused_for_its_own_reason(world: World, fault: Fault) -> None:
    assert await outcome(world) is None
    assert await outcome(world, fault) is fault.reason


PAIRS = [(first, then) for index, first in enumerate(STEPS) for then in STEPS[index + 1 :]]


@pytest.mark.parametrize(("first", "then"), PAIRS, ids=[f"{first.reason}-{then.reason}" for first, then in PAIRS])
async def test_of_two_faults_the_earlier_step_decides(world: World, first: Fault, then: Fault) -> None:
    assert await outcome(world, first, then) is first.reason


@pytest.mark.parametrize(
    "later",
    [
        {"audience": "nothing"},
        {"resource": "https://other.example"},
        {"scope": "crm.delete"},
        {"requested_lifetime_s": "999999"},
    ],
)
async def test_a_delegatee_that_is_not_allowed_is_the_answer_whatever_else_is_wrong(
    world: World, later: dict[str, Parameter]
) -> None:
    request = world.delegation(await world.start(), **{"requested_actor": "mailer", **later})

    assert (await world.refused("planner", request)).reason is Reason.DELEGATEE_NOT_ALLOWED


async def test_a_delegatee_is_judged_before_revocation_and_a_loop_before_the_target(world: World) -> None:
    first, second, _ = await world.chain()
    loop = world.delegation(second, requested_actor="planner", audience="nothing", scope="crm.read")
    assert (await world.refused("researcher", loop)).reason is Reason.LOOP

    await world.revoke(first, "planner")
    request = world.delegation(first, requested_actor="mailer")
    assert (await world.refused("planner", request)).reason is Reason.DELEGATEE_NOT_ALLOWED


async def test_a_thief_does_not_learn_that_the_theft_was_noticed(world: World) -> None:
    first, _, _ = await world.chain()
    before = await world.refused("mailer", world.delegation(first))
    await world.revoke(first, "planner")
    after = await world.refused("mailer", world.delegation(first))

    assert (before.error, before.reason, before.description) == (after.error, after.reason, after.description)


async def test_a_start_looks_at_the_actor_then_at_the_target_then_at_the_scope(world: World) -> None:
    user_token = world.user_token(scope="openid")
    parameters: dict[str, Parameter] = {"requested_actor": "researcher", "resource": "https://other.example"}
    request = world.starting(user_token, **parameters)
    assert (await world.refused("planner", request)).reason is Reason.DELEGATEE_NOT_ALLOWED

    request = world.starting(user_token, resource="https://other.example")
    assert (await world.refused("planner", request)).reason is Reason.TARGET_NOT_ALLOWED

    request = world.starting(user_token, resource=FILES)
    assert (await world.refused("planner", request)).reason is Reason.ROOT_EXCEEDED


async def test_a_withdrawn_permission_is_looked_at_after_revocation(world: World) -> None:
    _, second, _ = await world.chain()
    changed = world.but(registry=make_registry(planner={"may_delegate_to": frozenset()}))
    request = world.renewal(second)
    assert (await changed.refused("researcher", request)).reason is Reason.DELEGATEE_NOT_ALLOWED

    await world.revoke(second, "researcher")
    assert (await changed.refused("researcher", request)).reason is Reason.REVOKED
