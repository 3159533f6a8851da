"""The law over any history: every token that verifies is within every entry above it, or is dead for a stated reason.

A machine starts, delegates, narrows, renews, revokes, disables agents, steps the clock, and tampers with tokens under
the service's own key. What must be granted and what must be refused is told by a model in plain words.
"""

import copy
from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, rule

from tests.exchange.lineages import faults, words
from tests.exchange.parties import CRM, FILES, ISSUER, START_SCOPE, agent, make_registry
from tests.exchange.watched import finish
from tests.exchange.world import Parameter, World, claims_of, form, make_world
from tests.simulator import Members, Simulator, act, ec_key
from tokensvc.core.revocation import Revocation, RevocationKind
from tokensvc.errors import OAuthRefused, Reason, TokenRefused
from tokensvc.exchange.registry import Registry
from tokensvc.verify import Expectation, RevocationList, StaticKeys, VerifiedToken, verify_token

AGENTS = ("planner", "researcher", "fetcher", "mailer")
FORGER = Simulator(iss=ISSUER, key=ec_key("service"))
MEANING = {CRM: {"crm.delete", "crm.export", "crm.read", "crm.write"}, FILES: {"files.read", "files.write"}}
LEEWAY_S = 30
DEPTH = 4
LIFETIMES = st.none() | st.integers(1, 4000)


def registry_without(disabled: frozenset[str]) -> Registry:
    """Agents that may all delegate to each other, some of them disabled."""
    known = make_registry()
    everybody = [agent(name, START_SCOPE, *AGENTS, enabled=name not in disabled) for name in AGENTS]
    return Registry(agents=everybody, resources=known.resources.values(), issuers=known.issuers.values())


def subsets(values: list[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(sorted(values)), min_size=1, max_size=len(values), unique=True)


class Delegations(RuleBasedStateMachine):
    tokens = Bundle("tokens")

    def __init__(self) -> None:
        super().__init__()
        self.world: World = replace(finish(make_world(max_depth=DEPTH)), registry=registry_without(frozenset()))
        self.revoked: set[str] = set()
        self.disabled: frozenset[str] = frozenset()
        self.issued: list[str] = []

    @property
    def now(self) -> int:
        return self.world.clock.now

    def ask(self, client: str, subject: str, parameters: dict[str, Parameter]) -> Members | Reason | None:
        """The claims of what is issued, or the reason of the refusal."""
        try:
            issued = finish(self.world.exchange(client, form(subject, **parameters)))
        except OAuthRefused as refusal:
            return refusal.reason
        self.issued.append(issued.access_token)
        claims = claims_of(issued.access_token)
        assert faults(claims) == []
        assert issued.expires_in == claims["exp"] - self.now > 0
        return claims

    def is_dead(self, claims: Members) -> bool:
        """Something of the chain was revoked, or an agent in it is disabled."""
        entries = claims["grant_chain"]
        actors = {entry["actor"] for entry in entries[1:]}
        return bool(self.revoked & {entry["jti"] for entry in entries}) or bool(self.disabled & actors)

    def is_usable(self, claims: Members) -> bool:
        """The current actor may exchange it: alive, and current or a late pick-up."""
        in_time = self.now < claims["exp"] + LEEWAY_S or claims["aud"] == ISSUER
        return in_time and self.now < claims["grant_chain"][-1]["exp"] and not self.is_dead(claims)

    @initialize(target=tokens)
    def first(self) -> str:
        claims = self.ask("planner", self.world.user_token(), {"scope": START_SCOPE, "resource": [CRM, FILES]})
        assert isinstance(claims, dict)
        return self.issued[-1]

    @rule(target=tokens, scope=subsets([*START_SCOPE.split(), "crm.delete"]), lifetime=st.integers(1, 5000))
    def start(self, scope: list[str], lifetime: int) -> str:
        parameters: dict[str, Parameter] = {"scope": " ".join(scope), "resource": [CRM, FILES]}
        parameters["requested_lifetime_s"] = str(lifetime)
        claims = self.ask("planner", self.world.user_token(), parameters)

        # planner is not registered for crm.delete, which the user holds.
        if "crm.delete" in scope or lifetime > 3600:
            assert claims in {Reason.CEILING_EXCEEDED, Reason.LIFETIME_EXCEEDED, Reason.NOT_PROPER}
            return self.issued[0]
        assert isinstance(claims, dict)
        return self.issued[-1]

    @rule(target=tokens, data=st.data(), token=tokens, actor=st.sampled_from(AGENTS[1:]))
    def delegate_modestly(self, data: st.DataObject, token: str, actor: str) -> str:
        """One scope less and everything else as it is: chains grow long by this."""
        leaf = claims_of(token)["grant_chain"][-1]
        scope = sorted(words(leaf))
        if len(scope) > 1:
            scope.remove(data.draw(st.sampled_from(scope)))
        return self.delegate(token, actor, scope, leaf["resources"], None)

    @rule(target=tokens, data=st.data(), token=tokens, actor=st.sampled_from(AGENTS), lifetime=LIFETIMES)
    def delegate_or_narrow(self, data: st.DataObject, token: str, actor: str, lifetime: int | None) -> str:
        leaf = claims_of(token)["grant_chain"][-1]
        scope = data.draw(st.one_of(subsets(leaf["scope"].split()), subsets([*START_SCOPE.split(), "crm.delete"])))
        resources = data.draw(st.one_of(subsets(leaf["resources"]), subsets([CRM, FILES])))
        return self.delegate(token, actor, scope, resources, lifetime)

    @rule(target=tokens, token=tokens, resource=st.sampled_from([CRM, FILES]))
    def renew(self, token: str, resource: str) -> str:
        claims = claims_of(token)
        return self.delegate(token, claims["client_id"], claims["scope"].split(), [resource], None)

    def delegate(self, token: str, actor: str, scope: list[str], resources: list[str], lifetime: int | None) -> str:
        """A token below `token`, or `token` itself where that is refused. Granted exactly when it is lawful."""
        above = claims_of(token)
        client, leaf = above["client_id"], above["grant_chain"][-1]
        if actor == client and set(scope) == words(leaf) and set(resources) <= set(leaf["resources"]):
            lifetime = None  # a renewal, which takes none
        parameters: dict[str, Parameter] = {"scope": " ".join(scope), "resource": resources, "requested_actor": actor}
        parameters["requested_lifetime_s"] = None if lifetime is None else str(lifetime)

        below = self.ask(client, token, parameters)

        lawful = self.is_usable(above) and set(resources) <= set(leaf["resources"])
        if actor == client and set(scope) == words(leaf):
            assert isinstance(below, dict) is lawful
        else:
            lawful = lawful and set(scope) < words(leaf)
            lawful = lawful and set(scope) <= set().union(*(MEANING[resource] for resource in resources))
            lawful = lawful and len(above["grant_chain"]) <= DEPTH
            lawful = lawful and (lifetime is None or self.now + lifetime <= leaf["exp"])
            lawful = lawful and actor not in self.disabled
            earlier = {entry["actor"] for entry in above["grant_chain"][1:]}
            lawful = lawful and (actor == client or actor not in earlier)
            assert isinstance(below, dict) is lawful, below
        if not isinstance(below, dict):
            return token
        assert below["client_id"] == actor
        assert below["aud"] == ISSUER or (actor == client and resources == [below["aud"]])
        return self.issued[-1]

    @rule(token=tokens, client=st.sampled_from(AGENTS), actor=st.sampled_from((*AGENTS, None)))
    def steal(self, token: str, client: str, actor: str | None) -> None:
        claims = claims_of(token)
        if client == claims["client_id"]:
            return
        wanted: dict[str, Parameter] = {"requested_actor": actor, "scope": claims["scope"], "resource": CRM}
        assert self.ask(client, token, wanted) in {Reason.NOT_CURRENT_ACTOR, Reason.EXPIRED}

    @rule(token=tokens, by=st.integers(0, 5), hop=st.integers(0, 5))
    def revoke(self, token: str, by: int, hop: int) -> None:
        entries = claims_of(token)["grant_chain"]
        hop, by = 1 + hop % (len(entries) - 1), 1 + by % (len(entries) - 1)
        caller = entries[by]["actor"]
        may = caller in {entry["actor"] for entry in entries[1 : hop + 1]}
        try:
            finish(self.world.revoke(token, caller, hop=entries[hop]["jti"]))
        except OAuthRefused:
            assert not may
        else:
            assert may
            self.revoked.add(entries[hop]["jti"])

    @rule(name=st.sampled_from(AGENTS[1:]))
    def disable(self, name: str) -> None:
        self.registered(self.disabled | {name})

    @rule()
    def enable_all(self) -> None:
        self.registered(frozenset())

    def registered(self, disabled: frozenset[str]) -> None:
        self.disabled = disabled
        self.world = replace(self.world, registry=registry_without(disabled))

    @rule(seconds=st.one_of(st.integers(1, 60), st.integers(1, 60), st.integers(1, 1500)))
    def step_the_clock(self, seconds: int) -> None:
        self.world.clock.now += seconds

    @rule(token=tokens, data=st.data())
    def tamper(self, token: str, data: st.DataObject) -> None:
        claims = copy.deepcopy(claims_of(token))
        _change(claims, data)
        forged = FORGER.token(claims)
        verified = self.verified(forged)
        if verified is not None:
            assert faults(claims) == []
            assert self.revoked.isdisjoint(verified.chain.entry_ids)
        answer = finish(self.world.introspect(forged, data.draw(st.sampled_from(AGENTS))))
        assert answer == {"active": False} or faults(claims) == []

    @rule(token=consumes(tokens))
    def look(self, token: str) -> None:
        self.judge(token)

    def verified(self, token: str) -> VerifiedToken | None:
        """What an offline verifier with every revocation at hand says of it now."""
        entries = tuple(
            Revocation(kind=RevocationKind.ENTRY, id=jti, not_before=None, until=None) for jti in self.revoked
        )
        try:
            return verify_token(
                token,
                keys=StaticKeys({ISSUER: self.world.signer.public_keys()}),
                expect=Expectation.bearer(issuers=[ISSUER], audiences=[ISSUER, CRM, FILES]),
                now=self.now,
                revocations=RevocationList(entries, as_of=self.now, max_staleness_s=0),
            )
        except TokenRefused as refused:
            self.refusal = refused.reason
            return None

    def judge(self, token: str) -> None:
        """It is within everything above it, or dead for a reason that is true of it."""
        claims = claims_of(token)
        entries = {entry["jti"] for entry in claims["grant_chain"]}
        assert faults(claims) == []
        expired, revoked = self.now >= claims["exp"] + LEEWAY_S, bool(self.revoked & entries)
        if self.verified(token) is None:
            assert self.refusal is (Reason.EXPIRED if expired else Reason.REVOKED)
        assert (self.verified(token) is None) is (expired or revoked)
        answer = finish(self.world.introspect(token, claims["client_id"]))
        assert answer["active"] is not (expired or self.is_dead(claims))

    def teardown(self) -> None:
        for token in self.issued:
            self.judge(token)


def _change(claims: Members, data: st.DataObject) -> None:
    """One member of the token or an entry, set to something that fits its form."""
    root, *hops = claims["grant_chain"]
    place = data.draw(st.sampled_from([claims, root, *hops]))
    name = data.draw(st.sampled_from([*sorted(place.keys() - {"grant_chain", "grant_profile", "act"}), "drop", "swap"]))
    others = [entry[name] for entry in [claims, root, *hops] if name in entry and entry is not place]
    match name:
        case "scope":
            place[name] = " ".join(data.draw(subsets([*START_SCOPE.split(), "crm.delete", "admin"])))
        case "resources":
            place[name] = data.draw(subsets([CRM, FILES, "urn:x"]))
        case "iat" | "exp":
            place[name] += data.draw(st.integers(-5000, 5000))
        case "max_depth":
            place[name] = data.draw(st.integers(0, 10))
        case "actor" | "client_id" | "sub":
            place[name] = data.draw(st.sampled_from([*AGENTS, "admin"]))
        case "aud" | "iss":
            place[name] = data.draw(st.sampled_from([CRM, FILES, ISSUER, "https://evil.example"]))
        case "jti" | "parent":
            place[name] = data.draw(st.sampled_from([*others, "A" * 22]))
        case "drop":
            claims["grant_chain"].remove(data.draw(st.sampled_from([root, *hops])))
        case _:
            claims["grant_chain"] = data.draw(st.permutations([root, *hops]))
    if (
        data.draw(st.booleans())
        and len(claims["grant_chain"]) > 1
        and all("actor" in e for e in claims["grant_chain"][1:])
    ):
        # A careful forger makes the token fit its chain again.
        leaf = claims["grant_chain"][-1]
        claims["act"] = act(*(entry["actor"] for entry in reversed(claims["grant_chain"][1:])))
        claims.update(client_id=leaf["actor"], scope=leaf["scope"])


TestDelegations = Delegations.TestCase
TestDelegations.settings = settings(max_examples=120, stateful_step_count=40)
