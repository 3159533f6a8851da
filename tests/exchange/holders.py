"""Agents that hold keys: a world in which planner, researcher and fetcher have one each, and proofs by them."""

from collections.abc import Mapping
from itertools import count
from typing import Any, Final

from tests.exchange.parties import ISSUER, make_registry
from tests.exchange.world import World, make_world
from tests.simulator import Members, ec_key, jwk, seal
from tokensvc.core.jws import SigningKey
from tokensvc.exchange.holder import Presented
from tokensvc.exchange.registry import Registry

__all__ = ["TOKEN_ENDPOINT", "holder", "make_bound_world", "presented", "proof", "registry_with_keys"]

TOKEN_ENDPOINT: Final = f"{ISSUER}/token"
_HOLDERS: Final = ("planner", "researcher", "fetcher")
_serial: Final = count()


def holder(name: str) -> SigningKey:
    """The holder key of that agent."""
    return ec_key(f"{name} holder")


def proof(key: SigningKey, now: int, *, header: Members | None = None, **claims: object) -> str:
    """A new DPoP proof for the token endpoint; each claim and header member replaceable, None leaves one out."""
    plain = {"jti": f"proof {next(_serial)}", "htm": "POST", "htu": TOKEN_ENDPOINT, "iat": now, **claims}
    head = {"typ": "dpop+jwt", "alg": str(key.alg), "jwk": jwk(key), **(header or {})}
    return seal(_present(head), _present(plain), key)


def presented(key: SigningKey, world: World, **members: Any) -> Presented:  # noqa: ANN401 - any claim, or header
    """The same as it comes with a request now."""
    return Presented(dpop=(proof(key, world.clock.now, **members),))


def registry_with_keys(**agents: Any) -> Registry:  # noqa: ANN401 - anything that make_registry takes
    """Everybody, three of them with a holder key; `agents` replaces members."""
    keys: dict[str, Any] = {name: {"holder_keys": (holder(name).public,), **agents.get(name, {})} for name in _HOLDERS}
    return make_registry(**{**agents, **keys})


async def make_bound_world(**agents: Mapping[str, Any]) -> World:
    """A service where planner, researcher and fetcher have registered a holder key."""
    return await make_world(registry=registry_with_keys(**agents))


def _present(members: Members) -> Members:
    return {name: member for name, member in members.items() if member is not None}
