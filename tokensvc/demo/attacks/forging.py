"""Tokens forged with the token service's own private key, shown to the API, which checks them offline.

Each is a genuine token taken apart, changed in one thing and truly signed again. The control is the same token signed
again with nothing changed: it is the change that is refused.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from tokensvc.core.authority import Authority
from tokensvc.core.jws import SigningKey
from tokensvc.demo.attacks.attempt import Attack, Group, Place, Scene, Tried
from tokensvc.demo.cast import DELETE, SIGNING_ALGORITHM
from tokensvc.demo.forge import Workpiece
from tokensvc.demo.walk import walk
from tokensvc.errors import Reason
from tokensvc.signing.keyfiles import make_key

__all__ = ["FORGING"]

# Past the end by more than any leeway.
_LONG_AGO_S: Final = 1000
_LIFETIME_S: Final = 300
_HOUR_S: Final = 3600


def _show(scene: Scene, genuine: Workpiece, forged: str) -> Tried:
    """`forged` shown to the API, and `genuine` signed again as it is."""
    wire, key = scene.world.wire, scene.world.signing_key
    return Tried(attack=wire.read_customers(forged), control=wire.read_customers(genuine.seal(key)))


def _forge(scene: Scene, change: Callable[[Workpiece], Workpiece], *, without: frozenset[str] = frozenset()) -> Tried:
    """Fetcher's token, changed, `without` some claims, and signed with the service's key."""
    genuine = Workpiece.of(scene.lineage.fetcher.token)
    return _show(scene, genuine, change(genuine).seal(scene.world.signing_key, without=without))


def widened_hop(scene: Scene) -> Tried:
    """The last hop, and the token with it, carries a scope that the hop above does not."""
    return _forge(scene, lambda token: token.with_last_scope(token.claims.scope | {DELETE}))


def equal_hop(scene: Scene) -> Tried:
    """The last hop carries exactly what the hop above does."""
    return _forge(scene, lambda token: token.with_last_scope(token.chain.hops[-2].authority.scope))


def outliving_hop(scene: Scene) -> Tried:
    """The last hop lasts an hour longer than the hop above."""

    def outlive(token: Workpiece) -> Workpiece:
        authority = replace(token.leaf.authority, exp=token.leaf.authority.exp + _HOUR_S)
        return token.with_last_hop(replace(token.leaf, authority=authority))

    return _forge(scene, outlive)


def widened_token(scene: Scene) -> Tried:
    """The chain is left as it is; the token itself claims one scope more."""

    def widen(token: Workpiece) -> Workpiece:
        return replace(token, claims=replace(token.claims, scope=token.claims.scope | {DELETE}))

    return _forge(scene, widen)


def dropped_act(scene: Scene) -> Tried:
    """The token says no more who acts."""
    return _forge(scene, lambda token: token, without=frozenset({"act"}))


def dropped_chain(scene: Scene) -> Tried:
    """An ordinary access token: neither `act` nor chain."""
    return _forge(scene, lambda token: token, without=frozenset({"act", "grant_chain", "grant_profile"}))


def erased_planner(scene: Scene) -> Tried:
    """Planner is taken out of `act` and chain, as if alice had delegated to researcher herself."""
    return _forge(scene, lambda token: token.with_hops(token.chain.hops[1:]))


def spliced_chain(scene: Scene) -> Tried:
    """Two genuine walks: the root of one, the hops of the other."""
    other = Workpiece.of(walk(scene.world).fetcher.token)

    def splice(token: Workpiece) -> Workpiece:
        return token.with_hops((token.chain.hops[0], *other.chain.hops[1:]))

    return _forge(scene, splice)


def expired_token(scene: Scene) -> Tried:
    """The same token, had it been issued a thousand seconds ago."""

    def earlier(authority: Authority) -> Authority:
        return replace(authority, iat=authority.iat - _LONG_AGO_S)

    def age(token: Workpiece) -> Workpiece:
        root = replace(token.chain.root, authority=earlier(token.chain.root.authority))
        hops = tuple(replace(hop, authority=earlier(hop.authority)) for hop in token.chain.hops)
        iat = token.claims.iat - _LONG_AGO_S
        claims = replace(token.claims, iat=iat, exp=iat + _LIFETIME_S)
        return Workpiece(claims=claims, chain=replace(token.chain, root=root, hops=hops))

    return _forge(scene, age)


def foreign_key(scene: Scene) -> Tried:
    """Nothing is changed, but the key is one that only calls itself the service's."""
    genuine = Workpiece.of(scene.lineage.fetcher.token)
    jwk = make_key(SIGNING_ALGORITHM).unsafe_private_jwk()
    namesake = SigningKey.from_jwk({**jwk, "kid": scene.world.signing_key.kid})
    return _show(scene, genuine, genuine.seal(namesake))


def _attack(title: str, expected: Reason, perform: Callable[[Scene], Tried]) -> Attack:
    return Attack(group=Group.FORGING, title=title, place=Place.API, expected=expected, perform=perform)


FORGING: Final = (
    _attack("a hop that is wider than the one above", Reason.NOT_NARROWER, widened_hop),
    _attack("a hop that equals the one above", Reason.NOT_PROPER, equal_hop),
    _attack("a hop that outlives the one above", Reason.NOT_NARROWER, outliving_hop),
    _attack("a token that is wider than its last hop", Reason.TOKEN_EXCEEDS_GRANT, widened_token),
    _attack("act dropped: nobody acted", Reason.MALFORMED, dropped_act),
    _attack("act and chain dropped: an ordinary token", Reason.CHAIN_MISSING, dropped_chain),
    _attack("planner erased from act and chain", Reason.CHAIN_MISALIGNED, erased_planner),
    _attack("a chain spliced from two genuine ones", Reason.CHAIN_MISALIGNED, spliced_chain),
    _attack("a token of a quarter of an hour ago", Reason.EXPIRED, expired_token),
    _attack("the same with some other key", Reason.BAD_SIGNATURE, foreign_key),
)
