"""THE LAW: the order on authority, in one place, for the token service and for every verifier.

Authority is what a chain entry grants: scope x resources x lifetime x depth, and whether it is tied to a holder key.
`covers(parent, child)` is a partial order: reflexive, transitive, antisymmetric up to equality. A chain in which every
hop is covered by the entry before it is therefore covered by its root: one comparison a hop is enough.
A delegation must also be *proper*: the child's scopes do not cover the parent's. Both together are `attenuates`.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import AddressValueError, IPv6Address
from typing import Final

from tokensvc.core.scope import ScopeSet

__all__ = [
    "ATTENUATION",
    "PROPER_FROM",
    "Authority",
    "Dimension",
    "attenuates",
    "covers",
    "is_proper",
    "is_resource",
    "widened",
]

# How `proper` is judged, and from which hop on; metadata shows both so that verifiers can state them alike.
ATTENUATION: Final = "scope"
PROPER_FROM: Final = 1

# RFC 3986 s3 and s4.3 (absolute-URI has no fragment). It only says whether the text is one: nothing is normalised.
_PCHAR: Final = r"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
_HOST: Final = r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+)(?::[0-9]*)?"
_ABSOLUTE_URI: Final = re.compile(
    rf"[A-Za-z][A-Za-z0-9+.-]*:(?://{_HOST}(?:/{_PCHAR}*)*|/?{_PCHAR}+(?:/{_PCHAR}*)*)(?:\?(?:{_PCHAR}|[/?])*)?"
)


class Dimension(StrEnum):
    """The ways in which authority can be more or less."""

    SCOPE = "scope"
    RESOURCES = "resources"
    LIFETIME = "lifetime"
    DEPTH = "depth"
    HOLDER = "holder"


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """What one entry of a chain grants.

    `scope` and `resources` (absolute URIs) are compared byte for byte; `iat` and `exp` are epoch seconds; `max_depth`
    is the highest hop index that may ever stand below; `bound` says whether a holder key must be proven to use it.
    """

    scope: ScopeSet
    resources: frozenset[str]
    iat: int
    exp: int
    max_depth: int
    bound: bool


def widened(parent: Authority, child: Authority) -> Dimension | None:
    """The first dimension in which `child` is more than `parent`, or None when `child <= parent`."""
    if not child.scope <= parent.scope:
        return Dimension.SCOPE
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


def covers(parent: Authority, child: Authority) -> bool:
    """True when `child <= parent` in every dimension."""
    return widened(parent, child) is None


def is_proper(parent: Authority, child: Authority) -> bool:
    """True when the child's scopes do not cover the parent's: something that the parent may do is gone."""
    return not parent.scope <= child.scope


def attenuates(parent: Authority, child: Authority) -> bool:
    """True when `child < parent`: covered, and properly less."""
    return covers(parent, child) and is_proper(parent, child)


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
