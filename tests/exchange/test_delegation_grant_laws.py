"""Whatever the service accepts with grants, a verifier that believes none of its words about hops accepts as well."""

import base64
import json
from dataclasses import dataclass
from typing import Any

from hypothesis import event, given
from hypothesis import strategies as st

from tests.exchange.grants import Draft, Site
from tests.exchange.holders import holder
from tests.exchange.lineages import faults
from tests.exchange.parties import CRM, FILES, ISSUER, START_SCOPE, agent, make_registry
from tests.exchange.watched import finish
from tests.exchange.world import claims_of
from tests.simulator import Members
from tokensvc.errors import OAuthRefused, Reason, TokenRefused
from tokensvc.exchange.registry import Registry
from tokensvc.exchange.service import Issued
from tokensvc.verify import Expectation, LifetimeOnly, StaticKeys, verify_token
from tokensvc.verify.verifier import UnsafeHolderProvenUpstream

AGENTS = ("planner", "researcher", "fetcher", "mailer")
SCOPES = sorted({*START_SCOPE.split(), "crm.delete"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One grant: for whom, who sends it, what it says otherwise than the modest draft, and how late it is."""

    actor: str
    by_delegatee: bool
    said: Members
    shifts: Members
    resource: str | None
    late_s: int
    again: bool


members = st.fixed_dictionaries(
    {},
    optional={
        "scope": st.lists(st.sampled_from(SCOPES), min_size=1, max_size=4, unique=True).map(" ".join),
        "resources": st.lists(st.sampled_from([CRM, FILES]), min_size=1, unique=True),
        "max_depth": st.integers(0, 7),
        "index": st.integers(1, 5),
        "iss": st.sampled_from(AGENTS),
    },
)
shifts = st.fixed_dictionaries({}, optional={"iat": st.integers(-40, 40), "exp": st.integers(-4000, 40)})


def steps_that_say(said: st.SearchStrategy[Members], shifts: st.SearchStrategy[Members]) -> st.SearchStrategy[Step]:
    return st.builds(
        Step,
        actor=st.sampled_from(AGENTS),
        by_delegatee=st.booleans(),
        said=said,
        shifts=shifts,
        resource=st.none() | st.sampled_from([CRM, FILES]),
        late_s=st.sampled_from([0, 0, 5, 400]),
        again=st.booleans(),
    )


modest = steps_that_say(st.just({}), st.just({}))
steps = modest | steps_that_say(members | st.just({}), shifts | st.just({}))


def registry() -> Registry:
    """Agents that may all delegate to each other, each with its key."""
    known = make_registry()
    everybody = [agent(name, START_SCOPE, *AGENTS, holder_keys=(holder(name).public,)) for name in AGENTS]
    return Registry(agents=everybody, resources=known.resources.values(), issuers=known.issuers.values())


def drafted(site: Site, step: Step) -> Draft:
    """The grant of that step below the site's token: one scope less, and what the step says."""
    leaf = site.world.read(site.token).chain.leaf
    scope = sorted(leaf.authority.scope)
    draft = site.draft(step.actor, scope=" ".join(scope[1:] or scope), resources=sorted(leaf.authority.resources))
    shifted = {name: draft.payload[name] + by for name, by in step.shifts.items()}
    return draft.but(**{**shifted, **step.said})


def answered(site: Site, step: Step, draft: Draft) -> Issued | Reason | None:
    """What the sender gets."""
    sender = step.actor if step.by_delegatee else site.actor
    named: Any = {} if step.resource is None else {"resource": step.resource}
    try:
        return finish(site.world.exchange(sender, site.form(draft, **named), site.proof(sender)))
    except OAuthRefused as refusal:
        return refusal.reason


def said_in(jws: str) -> Members:
    """The payload of a grant."""
    payload = jws.split(".")[1]
    said: Members = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return said


def in_plain(claims: Members) -> Members:
    """The claims with each grant as the hop that it says."""
    names = {"actor", "scope", "resources", "max_depth", "iat", "exp", "jti", "parent", "cnf"}

    def plain(entry: Members) -> Members:
        if "jws" not in entry:
            return entry
        return {name: value for name, value in said_in(entry["jws"]).items() if name in names}

    return {**claims, "grant_chain": [plain(entry) for entry in claims["grant_chain"]]}


def require_proven(site: Site, token: str) -> None:
    """A verifier accepts it that pins planner's key, and takes no hop for the service's word."""
    expect = Expectation.delegator_signed(
        issuers=[ISSUER],
        audiences=[CRM, FILES, ISSUER],
        agent_keys={(ISSUER, "planner"): {holder("planner").public.thumbprint}},
    )
    try:
        verify_token(
            token,
            keys=StaticKeys({ISSUER: site.world.signer.public_keys()}),
            expect=expect,
            now=site.world.clock.now,
            revocations=LifetimeOnly(max_s=900),
            proof=UnsafeHolderProvenUpstream(),
        )
    except TokenRefused as refused:
        raise AssertionError(str(refused)) from refused


@given(script=st.lists(steps, min_size=1, max_size=4))
def test_what_is_issued_on_grants_is_proven_to_whoever_pins_the_first_key(script: list[Step]) -> None:
    made = finish(Site.make())
    site = Site(world=made.world.but(registry=registry()), token=made.token)
    depth = 1
    for step in script:
        site.world.clock.now += step.late_s
        draft = drafted(site, step)
        issued = answered(site, step, draft)
        if not isinstance(issued, Issued):
            event(f"refused: {issued}")
            assert finish(site.world.store.note_of(draft.jti)) is None
            continue
        token = issued.access_token
        assert faults(in_plain(claims_of(token))) == []
        assert said_in(claims_of(token)["grant_chain"][-1]["jws"]) == draft.payload
        require_proven(site, token)
        if step.again:
            repeated = answered(site, step, draft)
            assert isinstance(repeated, Issued)
            assert site.world.read(repeated.access_token).chain.leaf.jti == draft.jti
        depth += 1
        event(f"depth {depth}")
        if site.world.read(token).is_exchange_only:
            site = Site(world=site.world, token=token)


@given(step=modest)
def test_a_modest_grant_is_taken(step: Step) -> None:
    """The control: where nothing is said otherwise, what is refused is a loop or a target that was not named so."""
    made = finish(Site.make())
    site = Site(world=made.world.but(registry=registry()), token=made.token)
    site.world.clock.now += step.late_s
    issued = answered(site, step, drafted(site, step))
    is_self = step.actor == "planner"
    if step.resource is not None and not (step.by_delegatee or is_self):
        assert issued is Reason.GRANT_INVALID
    else:
        assert isinstance(issued, Issued)
