"""THE LAW: the order on authority, in one place, for the token service and for every verifier.

Authority is what a chain entry grants: scope x details x resources x lifetime x depth, and whether it is tied to a
holder key. `covers(parent, child)` is a partial order: reflexive, transitive, antisymmetric up to equal authority. A
chain in which every hop is covered by the entry before it is therefore covered by its root: one comparison a hop is
enough. A delegation must also be *proper*: something that the parent may do is gone. Both together are `attenuates`.

An `Order` says how the comparison is made. Service and verifier state it alike; where they differ, tokens are refused.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import AddressValueError, IPv6Address
from typing import Final

from tokensvc.core.details import NO_DETAILS, Details, details_cover, loses_entry_or_tool
from tokensvc.core.scope import ScopeGrammar, ScopeSet, scope_covers

__all__ = [
    "Attenuation",
    "Authority",
    "Dimension",
    "Order",
    "attenuates",
    "covers",
    "is_proper",
    "is_resource",
    "widened",
]

# RFC 3986 s3 and s4.3 (absolute-URI has no fragment). It only says whether the text is one: nothing is normalised.
_PCHAR: Final = r"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
_HOST: Final = r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+)(?::[0-9]*)?"
_ABSOLUTE_URI: Final = re.compile(
    rf"[A-Za-z][A-Za-z0-9+.-]*:(?://{_HOST}(?:/{_PCHAR}*)*|/?{_PCHAR}+(?:/{_PCHAR}*)*)(?:\?(?:{_PCHAR}|[/?])*)?"
)


class Dimension(StrEnum):
    """The ways in which authority can be more or less."""

    SCOPE = "scope"
    DETAILS = "authorization_details"
    RESOURCES = "resources"
    LIFETIME = "lifetime"
    DEPTH = "depth"
    HOLDER = "holder"


class Attenuation(StrEnum):
    """What has to be gone for a delegation to be proper. There is no mode in which nothing has to be."""

    SCOPE = "scope"
    """The child's scopes do not cover the parent's."""
    AUTHORITY = "authority"
    """A scope, a resource, a whole entry of another type or a tool name is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """How authority is compared.

    `proper_from` is the first hop that has to be properly less: 1, or 2 to let the first hop equal the root.
    Raises: ValueError for any other `proper_from`, and for a grammar or mode that is mere text: it would compare as
    none of them.
    """

    grammar: ScopeGrammar = ScopeGrammar.EXACT
    attenuation: Attenuation = Attenuation.SCOPE
    proper_from: int = 1

    def __post_init__(self) -> None:
        """Refuse what would switch the rule off for the hops between agents."""
        if type(self.grammar) is not ScopeGrammar or type(self.attenuation) is not Attenuation:
            raise ValueError("grammar is a ScopeGrammar and attenuation an Attenuation")
        if type(self.proper_from) is not int or self.proper_from not in {1, 2}:
            raise ValueError("proper_from is 1 or 2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """What one entry of a chain grants.

    `resources` (absolute URIs) are compared byte for byte; `details` grant tools and arguments, none by default; `iat`
    and `exp` are epoch seconds; `max_depth` is the highest hop index that may ever stand below; `bound` says whether a
    holder key must be proven to use it.
    """

    scope: ScopeSet
    details: Details = NO_DETAILS
    resources: frozenset[str]
    iat: int
    exp: int
    max_depth: int
    bound: bool


def widened(parent: Authority, child: Authority, order: Order) -> Dimension | None:
    """The first dimension in which `child` is more than `parent`, or None when `child <= parent`.

    Raises: Malformed (`too_large`) when comparing details costs more than its bound.
    """
    if not scope_covers(parent.scope, child.scope, order.grammar):
        return Dimension.SCOPE
    if not details_cover(parent.details, child.details):
        return Dimension.DETAILS
    if not child.resources <= parent.resources:
        return Dimension.RESOURCES
    if child.exp > parent.exp or child.iat < parent.iat:
        return Dimension.LIFETIME
    if child.max_depth > parent.max_depth:
        return Dimension.DEPTH
    if parent.bound and not child.bound:
        # A bearer credential below a bound one would be usable by whoever finds it.
        return Dimension.HOLDER
    return None


def covers(parent: Authority, child: Authority, order: Order) -> bool:
    """True when `child <= parent` in every dimension."""
    return widened(parent, child, order) is None


def is_proper(parent: Authority, child: Authority, order: Order) -> bool:
    """True when something that the parent may do is gone, judged by the order and not by spelling.

    Narrower arguments never count: equal authority can be spelt in many ways.
    """
    if not scope_covers(child.scope, parent.scope, order.grammar):
        return True
    if order.attenuation is Attenuation.SCOPE:
        return False
    return not parent.resources <= child.resources or loses_entry_or_tool(parent.details, child.details)


def attenuates(parent: Authority, child: Authority, order: Order) -> bool:
    """True when `child < parent`: covered, and properly less."""
    return covers(parent, child, order) and is_proper(parent, child, order)


def is_resource(text: str) -> bool:
    """True for an absolute URI without a fragment (RFC 3986 s4.3, RFC 8707 s2)."""
    match = _ABSOLUTE_URI.fullmatch(text)
    if match is None:
        return False
    if match["ipv6"] is None:
        return True
    try:
        IPv6Address(match["ipv6"])
    except AddressValueError:
        return False
    return True
