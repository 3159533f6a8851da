"""Roots that authorities signed, right by default and forged wherever a test says so, and a world that takes them.

Two authorities: `IDP` signs roots besides logging users in, with another key; `OTHER` only signs roots. planner,
researcher and fetcher hold keys.
"""

from itertools import count
from typing import Any, Final

from tests.exchange.holders import holder, presented, registry_with_keys
from tests.exchange.parties import CRM, FILES, IDP, ISSUER, START_SCOPE, authority, identity_provider, root_key
from tests.exchange.world import Parameter, World, form, make_world
from tests.simulator import ABSENT, USER, Members, jti, seal
from tokensvc.core.jws import SigningKey
from tokensvc.exchange.holder import Presented
from tokensvc.exchange.parties import Authority
from tokensvc.exchange.request import JWT_TYPE, Form
from tokensvc.exchange.service import Issued

__all__ = [
    "OTHER",
    "PREFIX",
    "ROOT_SCOPE",
    "authorities",
    "by",
    "make_root_world",
    "root_claims",
    "sign",
    "start",
    "starting",
]

OTHER: Final = "https://other.example"
PREFIX: Final = "corp:"
"""What turns the users of `IDP` into those of the service."""
ROOT_SCOPE: Final = f"crm.delete {START_SCOPE}"
_serial: Final = count()


def authorities(**members: Any) -> list[Authority]:  # noqa: ANN401 - any field of Authority
    """Both, the first with `members`."""
    return [authority(IDP, PREFIX, **members), authority(OTHER, "other:")]


async def make_root_world(*without: str, **members: Any) -> World:  # noqa: ANN401 - any field of Authority
    """A service that takes roots of both but those of `without`; `members` replace what is registered of the first."""
    known = [one for one in authorities(**members) if one.iss not in without]
    registry = registry_with_keys(provider=identity_provider(subject_prefix=PREFIX), authorities=known)
    return await make_world(registry=registry, authorities=frozenset((one.iss, one.subject_prefix) for one in known))


def root_claims(world: World, **members: object) -> Members:
    """What `IDP` says for planner, each member replaceable; `ABSENT` leaves one out."""
    now = world.clock.now
    plain = {
        "iss": IDP,
        "sub": USER,
        "aud": ISSUER,
        "actor": "planner",
        "cnf": {"jkt": holder("planner").public.thumbprint},
        "scope": ROOT_SCOPE,
        "resources": [CRM, FILES],
        "max_depth": 4,
        "iat": now - 10,
        "exp": now + 3600,
        "jti": jti(f"signed root {next(_serial)}"),
    }
    return {name: member for name, member in {**plain, **members}.items() if member is not ABSENT}


def sign(claims: Members, *, key: SigningKey | None = None, **header: object) -> str:
    """`claims` as the authority that they name signs them; `key` and members of the header are replaceable."""
    with_key = root_key(claims["iss"]) if key is None else key
    members = {"typ": "delegation-root+jwt", "alg": str(with_key.alg), "kid": with_key.kid, **header}
    return seal({name: member for name, member in members.items() if member is not ABSENT}, claims, with_key)


def starting(root: str, **parameters: Parameter) -> Form:
    """The form of a start with `root`."""
    wanted: dict[str, Parameter] = {"subject_token_type": JWT_TYPE, "scope": START_SCOPE, "resource": [CRM, FILES]}
    return form(root, **{**wanted, **parameters})


def by(world: World, name: str = "planner") -> Presented:
    """A new proof of the key that the agent holds."""
    return presented(holder(name), world)


async def start(world: World, **members: object) -> Issued:
    """What planner gets for a root with `members`."""
    return await world.exchange("planner", starting(sign(root_claims(world, **members))), by(world))
