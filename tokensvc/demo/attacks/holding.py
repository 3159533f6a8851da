"""A token that is bound to a key, in the hands of somebody who has everything but the key.

Each control is the same with the key.
"""

from collections.abc import Callable
from typing import Final

from tokensvc.client import make_proof
from tokensvc.core.jws import SigningKey
from tokensvc.demo.attacks.attempt import Attack, Group, Place, Scene, Tried
from tokensvc.demo.cast import FETCHER_SCOPES
from tokensvc.demo.wire import Answer
from tokensvc.errors import Reason
from tokensvc.signing.keyfiles import make_key
from tokensvc.wiring import system_clock

__all__ = ["HOLDING"]


def _call(scene: Scene, proven_by: SigningKey | None) -> Answer:
    return scene.world.wire.read_customers(scene.lineage.fetcher.token, proven_by=proven_by)


def _key(scene: Scene) -> SigningKey:
    key = scene.world.cast.fetcher.holder_key
    if key is None:
        raise TypeError("these are for agents that hold keys")
    return key


def _other_key(scene: Scene) -> SigningKey:
    return make_key(_key(scene).alg)


def stolen_as_bearer(scene: Scene) -> Tried:
    """Fetcher's token is sent as a Bearer token."""
    return Tried(attack=_call(scene, None), control=_call(scene, _key(scene)))


def stolen_with_another_key(scene: Scene) -> Tried:
    """Fetcher's token is sent with a proof of the thief's own key."""
    return Tried(attack=_call(scene, _other_key(scene)), control=_call(scene, _key(scene)))


def stolen_with_its_proof(scene: Scene) -> Tried:
    """Fetcher's token is sent with the proof that fetcher sent with it a moment ago."""
    world, token = scene.world, scene.lineage.fetcher.token
    proof = make_proof(_key(scene), method="GET", url=world.api_url, now=system_clock(), token=token)
    first, again = (world.wire.send_with_proof("GET", world.api_url, token, proof) for _ in range(2))
    return Tried(attack=again, control=first)


def stolen_with_credentials(scene: Scene) -> Tried:
    """At /token, with fetcher's own client secret: a longer life for what was stolen."""
    world = scene.world

    def renew(proven_by: SigningKey | None) -> Answer:
        return world.wire.exchange(
            world.cast.fetcher,
            scene.lineage.fetcher.token,
            scope=FETCHER_SCOPES,
            resource=world.addresses.crm,
            requested_actor=world.cast.fetcher.client_id,
            proven_by=proven_by,
        )

    return Tried(attack=renew(None), control=renew(_key(scene)))


def _attack(title: str, place: Place, expected: Reason, perform: Callable[[Scene], Tried]) -> Attack:
    return Attack(group=Group.HOLDING, title=title, place=place, expected=expected, perform=perform)


HOLDING: Final = (
    _attack("sent to the API as a Bearer token", Place.API, Reason.HOLDER_UNPROVEN, stolen_as_bearer),
    _attack("sent with a proof of the thief's key", Place.API, Reason.HOLDER_UNPROVEN, stolen_with_another_key),
    _attack("sent with a proof that was seen as well", Place.API, Reason.PROOF_INVALID, stolen_with_its_proof),
    _attack("renewed with fetcher's client secret", Place.TOKEN, Reason.HOLDER_UNPROVEN, stolen_with_credentials),
)
