"""What a request would grant, as a value: the chain of the token to be issued, and what of it is new."""

from dataclasses import dataclass
from enum import StrEnum

from tokensvc.core.chain import GrantChain, Hop, Root
from tokensvc.core.revocation import Revocable

__all__ = ["NewEntry", "Proposal", "Shape"]


class Shape(StrEnum):
    """What kind of exchange a request is, told by who asks."""

    START = "start"
    DELEGATE = "delegate"
    ACCEPT = "accept"
    """An agent redeems what another one signed for it, or a server goes on with what was presented to it."""
    RENEW = "renew"
    NARROW = "narrow"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEntry:
    """An entry that is about to exist. `made_from`, of a root: the SHA-256 of its subject token, unsigned.

    A root that an authority signed may have been used before; it is the same when that is the same.
    """

    entry: Root | Hop
    made_from: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """The chain, the audience and the `cnf` (member, value) of the token to be issued.

    `new_entries` did not exist before; `also_revocable` is what has to be clear of revocations besides the chain.
    """

    shape: Shape
    chain: GrantChain
    audience: str
    cnf: tuple[str, str] | None
    new_entries: tuple[NewEntry, ...]
    also_revocable: tuple[Revocable, ...] = ()
