"""What an agent asks for: scopes, resources and tools as its code names them, and the parameters that say so."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from tokensvc.core.authority import is_resource
from tokensvc.core.details import NO_DETAILS, TOOL_DETAIL_TYPE, Details, parse_details, render_details
from tokensvc.core.jsontext import render_json
from tokensvc.core.scope import ScopeSet, parse_requested_scope, render_scope
from tokensvc.errors import Malformed

__all__ = [
    "ACCESS_TOKEN",
    "SIGNED_ROOT",
    "Asked",
    "Names",
    "Tools",
    "parse_asked_details",
    "parse_asked_resources",
    "parse_asked_scope",
]

ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"
SIGNED_ROOT: Final = "urn:ietf:params:oauth:token-type:jwt"
"""The `subject_token_type` of a root that an authority signed, to start from."""
Names = str | Iterable[str]
"""Scopes or resources: one text, or several. A text of scopes may hold several, separated by spaces."""
Tools = Mapping[str, Mapping[str, object]] | Iterable[str]
"""Tools with the constraints on their arguments, `{tool: {argument: constraint}}`, or names of tools alone."""

# A tool whose arguments may be anything. `{}` would say the same; some read it as no arguments at all.
_ANY_ARGUMENTS: Final = {"*": {"constraint_type": "wildcard"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The parameters of one exchange, None for what is left out.

    Of `details`, None asks for none, and empty ones drop those that there are. Lifetimes in seconds.
    """

    scope: ScopeSet | None
    resources: frozenset[str] = frozenset()
    details: Details | None = None
    actor: str | None = None
    max_depth: int | None = None
    lifetime_s: int | None = None
    grant: str | None = field(default=None, repr=False)

    def form(self) -> dict[str, str | list[str]]:
        """The parameters as the token endpoint takes them (RFC 8693 s2.1, RFC 9396 s5)."""
        optional = {
            "scope": None if self.scope is None else render_scope(self.scope),
            "authorization_details": None if self.details is None else _render(self.details),
            "requested_actor": self.actor,
            "requested_max_depth": None if self.max_depth is None else str(self.max_depth),
            "requested_lifetime_s": None if self.lifetime_s is None else str(self.lifetime_s),
            "delegation_grant": self.grant,
        }
        return {"resource": sorted(self.resources)} | {
            name: value for name, value in optional.items() if value is not None
        }


def parse_asked_scope(scope: Names) -> ScopeSet:
    """The set of scopes. Raises: Malformed, also for none."""
    return parse_requested_scope(scope if isinstance(scope, str) else " ".join(scope))


def parse_asked_resources(resource: Names | None) -> frozenset[str]:
    """The set of resources, empty for None. Raises: Malformed for what is no absolute URI without fragment."""
    resources = frozenset({resource} if isinstance(resource, str) else resource or ())
    if not all(map(is_resource, resources)):
        raise Malformed("a resource is an absolute URI without fragment")
    return resources


def parse_asked_details(tools: Tools | None, entries: Iterable[Mapping[str, object]] | None) -> Details | None:
    """The authorization details of both: one entry for `tools`, and `entries` as they are; None when neither is given.

    Raises: Malformed.
    """
    if tools is None and entries is None:
        return None
    listed: list[object] = [] if entries is None else [*entries]
    if tools is not None:
        named = tools if isinstance(tools, Mapping) else dict.fromkeys(_names(tools), _ANY_ARGUMENTS)
        if named:
            listed.append({"type": TOOL_DETAIL_TYPE, "tools": {name: named[name] or _ANY_ARGUMENTS for name in named}})
    return parse_details(_plain(listed))


def _names(tools: Iterable[str]) -> Iterable[str]:
    if isinstance(tools, str):
        # Its letters would be taken for tools.
        raise Malformed("tools is a list of names, or a mapping")
    return tools


def _plain(value: object) -> object:
    """Mappings as dicts: `parse_details` takes nothing that JSON does not have."""
    if isinstance(value, Mapping):
        return {name: _plain(member) for name, member in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _render(details: Details) -> str:
    return render_json(render_details(details or NO_DETAILS)).decode("utf-8")
