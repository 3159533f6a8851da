"""Grants that delegators sign, right by default and spoilt member by member.

site = await Site.make()                    # planner has started, bound to its key; researcher is registered
draft = site.draft(scope="crm.read")        # planner's grant for researcher
issued = await site.redeem(draft)           # researcher: proves its key, and sends planner's token and the grant
issued = await site.delegate(draft)         # planner: sends the grant, and gets a token for researcher
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from tests.exchange.holders import holder, make_bound_world, presented
from tests.exchange.parties import CRM, FILES, ISSUER, START_SCOPE
from tests.exchange.world import World, form
from tests.simulator import ABSENT, Members, jwk, seal
from tokensvc.core.jws import SigningKey
from tokensvc.errors import OAuthError, OAuthRefused, Reason
from tokensvc.exchange.holder import NOTHING_PRESENTED, Presented
from tokensvc.exchange.request import Form
from tokensvc.exchange.service import Issued, new_id
from tokensvc.ports import Outcome

__all__ = ["DELEGATED", "INVALID", "Draft", "Site", "Verdict"]

Verdict = tuple[OAuthError, Reason | None] | None

DELEGATED: Final = "crm.read crm.write files.read"
INVALID: Final = (OAuthError.INVALID_REQUEST, Reason.GRANT_INVALID)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A grant about to be signed with `key`."""

    payload: Members
    key: SigningKey
    header: Members = field(default_factory=dict)

    def but(self, **members: object) -> "Draft":
        """The same with members of the payload replaced; ABSENT leaves one out."""
        changed = {**self.payload, **members}
        return replace(self, payload={name: value for name, value in changed.items() if value is not ABSENT})

    def text(self) -> str:
        """The compact JWS, truly signed."""
        header = {"typ": "delegation-grant+jwt", "alg": str(self.key.alg), "jwk": jwk(self.key), **self.header}
        return seal({name: value for name, value in header.items() if value is not ABSENT}, self.payload, self.key)

    @property
    def jti(self) -> str:
        """The id of the hop."""
        jti: str = self.payload["jti"]
        return jti


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A world in which `token` is exchange-only, of planner unless it is handed on, and bound to its actor's key."""

    world: World
    token: str

    @classmethod
    async def make(cls, **agents: Mapping[str, Any]) -> "Site":
        """planner has started. `agents` replaces members of agents."""
        world = await make_bound_world(**agents)
        return cls(world=world, token=await _start(world))

    async def again(self) -> "Site":
        """The same world and another start."""
        return replace(self, token=await _start(self.world))

    def at(self, world: World) -> "Site":
        """The same token after a change of the settings."""
        return replace(self, world=world)

    @property
    def actor(self) -> str:
        """Whose token it is."""
        return self.world.read(self.token).actor

    def draft(self, actor: str = "researcher", *, key: SigningKey | None = None, **members: object) -> Draft:
        """The current actor's grant for `actor`, of two scopes less than planner has."""
        subject = self.world.read(self.token)
        leaf = subject.chain.leaf
        payload: Members = {
            "iss": leaf.actor,
            "sub": subject.sub,
            "aud": ISSUER,
            "root": subject.lineage,
            "index": subject.depth + 1,
            "actor": actor,
            "scope": DELEGATED if subject.depth == 1 else "crm.read files.read",
            "resources": [CRM, FILES],
            "max_depth": leaf.authority.max_depth,
            "iat": max(self.world.clock.now, leaf.authority.iat),
            "exp": leaf.authority.exp,
            "jti": new_id(),
            "parent": leaf.jti,
            "cnf": {"jkt": holder(actor).public.thumbprint},
        }
        return Draft(payload=payload, key=holder(leaf.actor) if key is None else key).but(**members)

    def form(self, grant: Draft | str, **parameters: Any) -> Form:  # noqa: ANN401 - as `world.form`
        """A request with nothing but the token and the grant, and `parameters`."""
        text = grant.text() if isinstance(grant, Draft) else grant
        return form(self.token, delegation_grant=text, **parameters)

    def proof(self, agent: str) -> Presented:
        """That agent's key, proven."""
        return presented(holder(agent), self.world)

    async def delegate(self, grant: Draft | str, **parameters: Any) -> Issued:  # noqa: ANN401 - as above
        """The delegator sends its grant, and proves no key besides."""
        return await self.world.exchange(self.actor, self.form(grant, **parameters))

    async def redeem(self, grant: Draft, **parameters: Any) -> Issued:  # noqa: ANN401 - as above
        """The delegatee sends the grant, and proves its key."""
        actor = grant.payload["actor"]
        return await self.world.exchange(actor, self.form(grant, **parameters), self.proof(actor))

    async def handed_on(self, grant: Draft) -> "Site":
        """The site of the delegatee."""
        return replace(self, token=(await self.delegate(grant)).access_token)

    async def verdict(
        self,
        client: str,
        grant: Draft | str,
        presented: Presented = NOTHING_PRESENTED,
        **parameters: Any,  # noqa: ANN401 - as above
    ) -> Verdict:
        """Error and reason of a refusal, of which nothing but its record remains; None when a token is issued."""
        store = self.world.store
        kept = len(store.records)
        try:
            await self.world.exchange(client, self.form(grant, **parameters), presented)
        except OAuthRefused as refusal:
            assert [record.outcome for record in store.records[kept:]] == [Outcome.REFUSED]
            jti = grant.payload.get("jti") if isinstance(grant, Draft) else None
            assert not isinstance(jti, str) or await store.note_of(jti) is None
            return refusal.error, refusal.reason
        return None

    async def verdicts(self, grant: Draft, **parameters: Any) -> tuple[Verdict, Verdict]:  # noqa: ANN401 - as above
        """What the delegator and the delegatee are told of the grant."""
        actor = grant.payload["actor"]
        return (
            await self.verdict(self.actor, grant, **parameters),
            await self.verdict(actor, grant, self.proof(actor), **parameters),
        )


async def _start(world: World) -> str:
    issued = await world.exchange("planner", world.starting(scope=START_SCOPE), presented(holder("planner"), world))
    return issued.access_token
