"""The four places at which the token endpoint takes a JWT, each with one that is good there.

good = await Good.at(Place.USER, world)
token = good.seal(header={**good.header, "crit": ["exp"]})
assert await judged(world, good.place, token) == REFUSED[good.place]
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from tests.exchange.parties import CRM, ISSUER, START_SCOPE, make_registry
from tests.exchange.world import World, claims_of, form
from tests.simulator import ABSENT, Members, ec_key, seal
from tokensvc.core.jws import SigningKey
from tokensvc.core.keyset import KeySet
from tokensvc.errors import OAuthError, OAuthRefused, Reason
from tokensvc.exchange.authenticate import ClientAssertion, ClientAuthenticator
from tokensvc.exchange.parties import AuthMethod
from tokensvc.exchange.registry import Registry
from tokensvc.exchange.request import JWT_TYPE
from tokensvc.exchange.service import new_id

__all__ = ["REFUSED", "Good", "Place", "Verdict", "judged", "registry_by_key"]

Verdict = tuple[OAuthError, Reason | None] | None
"""Error and reason of a refusal; None when the JWT was taken."""


class Place(StrEnum):
    """Where a JWT is presented."""

    USER = "subject_token of the identity provider"
    OWN = "subject_token of ours"
    ACTOR = "actor_token"
    ASSERTION = "client_assertion"


REFUSED: Final[dict[Place, Verdict]] = {
    Place.USER: (OAuthError.INVALID_REQUEST, Reason.SUBJECT_TOKEN_INVALID),
    Place.OWN: (OAuthError.INVALID_REQUEST, Reason.SUBJECT_TOKEN_INVALID),
    Place.ACTOR: (OAuthError.INVALID_REQUEST, Reason.ACTOR_TOKEN_INVALID),
    Place.ASSERTION: (OAuthError.INVALID_CLIENT, None),
}
"""What a JWT gets that is no good at its place."""


def registry_by_key(keys: KeySet | None = None, **agents: Any) -> Registry:  # noqa: ANN401 - as `make_registry`
    """Everybody; planner authenticates by its key."""
    own = KeySet([ec_key("planner").public]) if keys is None else keys
    return make_registry(planner={"auth": AuthMethod.PRIVATE_KEY_JWT, "secret_sha256": (), "keys": own}, **agents)


@dataclass(frozen=True, slots=True, kw_only=True)
class Good:
    """A JWT that is good at its place, as parts that a test changes."""

    place: Place
    header: Members
    claims: Members
    key: SigningKey

    @classmethod
    async def at(cls, place: Place, world: World) -> "Good":
        """One of planner's, that was not used yet."""
        now = world.clock.now
        own_word = {"iss": "planner", "sub": "planner", "aud": ISSUER, "iat": now, "exp": now + 60, "jti": new_id()}
        match place:
            case Place.USER:
                return cls._of(place, "at+jwt", claims_of(world.user_token()), ec_key("idp"))
            case Place.OWN:
                return cls._of(place, "at+jwt", claims_of(await world.start()), ec_key("service"))
            case Place.ACTOR:
                return cls._of(place, "actor+jwt", own_word, ec_key("planner"))
            case Place.ASSERTION:
                return cls._of(place, "client-authentication+jwt", own_word, ec_key("planner"))

    @classmethod
    def _of(cls, place: Place, typ: str, claims: Members, key: SigningKey) -> "Good":
        return cls(place=place, header={"typ": typ, "alg": "ES256", "kid": key.kid}, claims=claims, key=key)

    def seal(self, *, header: Members | None = None, claims: object = None) -> str:
        """The JWT, truly signed; `claims` may be JSON text, ABSENT leaves a member of `header` out."""
        members = {name: member for name, member in {**self.header, **(header or {})}.items() if member is not ABSENT}
        return seal(members, self.claims if claims is None else claims, self.key)


async def judged(world: World, place: Place, token: str) -> Verdict:
    """What planner is told when it presents `token` at `place`."""
    match place:
        case Place.USER:
            return await world.verdict("planner", world.starting(token))
        case Place.OWN:
            renewal = form(token, requested_actor="planner", scope=START_SCOPE, resource=CRM)
            return await world.verdict("planner", renewal)
        case Place.ACTOR:
            request = world.starting(actor_token=token, actor_token_type=JWT_TYPE)
            return await world.verdict("planner", request)
        case Place.ASSERTION:
            authenticator = ClientAuthenticator(
                registry=world.registry, terms=world.terms, store=world.store, clock=world.clock
            )
            try:
                party = await authenticator.authenticate(ClientAssertion(assertion=token, body_client_id=None))
            except OAuthRefused as refusal:
                return refusal.error, refusal.reason
            assert party.client_id == "planner"
            return None
