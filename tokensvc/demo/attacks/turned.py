"""A token service that turned bad: it signs what it likes with its own key, and the API refuses it all the same.

Every hop from the second on is signed by the agent that delegated, with a key that the service never had; the key of
the first is one that the API was told. The sender holds the key of the token: it works together with the service.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from tokensvc.client import make_delegation_grant
from tokensvc.core.chain import Hop
from tokensvc.core.entry import parse_hop
from tokensvc.core.jws import SigningKey, encode_base64url
from tokensvc.demo.attacks.attempt import Attack, Group, Place, Scene, Tried
from tokensvc.demo.cast import READ
from tokensvc.demo.forge import Workpiece
from tokensvc.demo.walk import walk
from tokensvc.errors import Reason
from tokensvc.signing.keyfiles import make_key

__all__ = ["TURNED"]

# Within what researcher holds, properly less, and yet not what researcher delegated.
_OTHER_SCOPES: Final = (READ, "crm.update")


def _show(scene: Scene, forged: Workpiece, *, holder: SigningKey | None) -> Tried:
    """`forged` shown to the API by `holder`, and fetcher's own token, both signed by the service now."""
    world, genuine = scene.world, Workpiece.of(scene.lineage.fetcher.token)
    return Tried(
        attack=world.wire.read_customers(forged.seal(world.signing_key), proven_by=holder),
        control=world.wire.read_customers(genuine.seal(world.signing_key), proven_by=world.cast.fetcher.holder_key),
    )


def _forge(scene: Scene, change: Callable[[Workpiece], Workpiece]) -> Tried:
    forged = change(Workpiece.of(scene.lineage.fetcher.token))
    return _show(scene, forged, holder=scene.world.cast.fetcher.holder_key)


def hop_of_the_service(scene: Scene) -> Tried:
    """Hop 3 is the service's own: less than researcher holds, and not what researcher delegated."""

    def rewrite(token: Workpiece) -> Workpiece:
        plain = token.with_last_hop(replace(token.leaf, claim=None))
        return plain.with_last_scope(_OTHER_SCOPES)

    return _forge(scene, rewrite)


def hop_above_rewritten(scene: Scene) -> Tried:
    """Hop 2 lets researcher have all that planner has; fetcher's signed hop below it is left alone."""

    def widen(token: Workpiece) -> Workpiece:
        first, second, *below = token.chain.hops
        authority = replace(second.authority, scope=first.authority.scope)
        return token.with_hops((first, replace(second, authority=authority, claim=None), *below))

    return _forge(scene, widen)


def grant_with_a_key_of_the_service(scene: Scene) -> Tried:
    """Hop 3 is signed, by a key that the service made for it."""
    return _forge(scene, lambda token: _sign_again(scene, token, make_key(_key_of(scene).alg)))


def grant_with_other_words(scene: Scene) -> Tried:
    """Researcher's signature stands under hop 3, and what it signed has one scope exchanged."""

    def reword(token: Workpiece) -> Workpiece:
        claim = token.leaf.claim
        if claim is None:
            raise TypeError("these are for hops that are signed")
        header, _, signature = claim.signed.text.split(".")
        payload = claim.signed.jws.payload.replace(b"crm.comment", b"crm.update")
        text = f"{header}.{encode_base64url(payload).decode('ascii')}.{signature}"
        hop = parse_hop({"jws": text})
        changed = token.with_last_hop(hop)
        return replace(changed, claims=replace(token.claims, scope=hop.authority.scope))

    return _forge(scene, reword)


def grant_of_another_chain(scene: Scene) -> Tried:
    """Hop 3 is a genuine one, which researcher signed for another piece of work."""
    other = Workpiece.of(walk(scene.world).fetcher.token)
    return _forge(scene, lambda token: token.with_last_hop(replace(other.leaf, parent=token.leaf.parent)))


def planner_played(scene: Scene) -> Tried:
    """Hop 1 names planner with a key of the service's, which then signs all that follows."""
    played = make_key(_key_of(scene).alg)

    def play(token: Workpiece) -> Workpiece:
        first = replace(token.chain.hops[0], jkt=played.public.thumbprint)
        claims = replace(
            token.claims,
            client_id=first.actor,
            scope=first.authority.scope,
            cnf=("jkt", played.public.thumbprint),
        )
        return replace(token.with_hops((first,)), claims=claims)

    return _show(scene, play(Workpiece.of(scene.lineage.fetcher.token)), holder=played)


def _key_of(scene: Scene) -> SigningKey:
    key = scene.world.cast.researcher.holder_key
    if key is None:
        raise TypeError("these are for agents that hold keys")
    return key


def _sign_again(scene: Scene, token: Workpiece, key: SigningKey) -> Workpiece:
    """Hop 3 in words of the service, signed with `key`, which hop 2 does not name."""
    above = token.with_hops(token.chain.hops[:-1])
    parent = above.leaf
    bound = replace(above.claims, client_id=parent.actor, scope=parent.authority.scope)
    pretended = replace(
        above.with_last_hop(replace(parent, jkt=key.public.thumbprint, claim=None)),
        claims=replace(bound, cnf=("jkt", key.public.thumbprint)),
    )
    text = make_delegation_grant(
        pretended.seal(scene.world.signing_key),
        key=key,
        to=token.leaf.actor,
        holder_jkt=str(token.leaf.jkt),
        scope=_OTHER_SCOPES,
        resource=parent.authority.resources,
        lifetime_s=token.leaf.authority.exp - token.leaf.authority.iat,
    )
    hop: Hop = parse_hop({"jws": text})
    times = replace(token.claims, scope=hop.authority.scope, iat=hop.authority.iat)
    return replace(token.with_last_hop(hop), claims=times)


def _attack(title: str, expected: Reason, perform: Callable[[Scene], Tried]) -> Attack:
    return Attack(group=Group.TURNED, title=title, place=Place.API, expected=expected, perform=perform)


TURNED: Final = (
    _attack("a hop that researcher never signed", Reason.EVIDENCE_INSUFFICIENT, hop_of_the_service),
    _attack("a wider hop above one that is signed", Reason.EVIDENCE_INSUFFICIENT, hop_above_rewritten),
    _attack("a hop signed with a key of the service", Reason.GRANT_INVALID, grant_with_a_key_of_the_service),
    _attack("other words over researcher's signature", Reason.GRANT_INVALID, grant_with_other_words),
    _attack("a hop that was signed for other work", Reason.CHAIN_MISALIGNED, grant_of_another_chain),
    _attack("planner, with a key that it never had", Reason.EVIDENCE_INSUFFICIENT, planner_played),
)
