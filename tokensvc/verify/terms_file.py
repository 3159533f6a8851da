"""The terms of a verifier as a TOML file, so that they are stated once for every service and for `tokensvc verify`.

    preset = "proof_required"            # bearer, proof_required or delegator_signed
    audiences = ["https://api.example"]
    # root_floor, hop_floor, holder: to demand more than the preset does

    [order]                              # as the metadata of the token service shows it
    attenuation = "scope"
    proper_from = 1
    scope_grammar = "exact"

    [limits]
    leeway_s = 30
    max_depth = 5
    max_token_bytes = 16384

    [[issuer]]                           # a token service
    iss = "https://tokens.example"
    jwks_file = "tokens.jwks"            # its keys, for load_terms

    [[authority]]                        # who may sign roots for the issuer
    iss = "https://idp.example"
    issuer = "https://tokens.example"    # where there is one issuer it may be left out, here and below
    subject_prefix = "corp:"
    jwks_file = "idp-roots.jwks"

    [[agent]]                            # whose hops carry one of these keys
    id = "planner"
    thumbprints = ["0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"]
    jwks_file = "planner.jwks"           # or the keys themselves; or both

Revocation is not among them: what a verifier knows of it is no text.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar, assert_never

from tokensvc.core.authority import Attenuation, Order
from tokensvc.core.keyset import KeySet
from tokensvc.core.members import parse_thumbprint
from tokensvc.core.scope import ScopeGrammar
from tokensvc.errors import Malformed
from tokensvc.verify.expectation import Evidence, Expectation, HolderFloor, OptionalTerms
from tokensvc.verify.keyfile import read_jwks
from tokensvc.verify.keysource import StaticKeys
from tokensvc.verify.toml_table import Table, read_toml

__all__ = ["StatedTerms", "load_expectation", "load_terms"]

_TOP: Final = (
    "preset",
    "audiences",
    "root_floor",
    "hop_floor",
    "holder",
    "order",
    "limits",
    "issuer",
    "authority",
    "agent",
)
_ORDER: Final = ("attenuation", "proper_from", "scope_grammar")
_LIMITS: Final = ("leeway_s", "max_depth", "max_token_bytes")
_ISSUER: Final = ("iss", "jwks_file")
_AUTHORITY: Final = ("iss", "issuer", "subject_prefix", "jwks_file")
_AGENT: Final = ("id", "issuer", "thumbprints", "jwks_file")
_NO_FILES: Final[Mapping[str, Path]] = MappingProxyType({})

_Choice = TypeVar("_Choice", bound=StrEnum)


class _Preset(StrEnum):
    BEARER = "bearer"
    PROOF_REQUIRED = "proof_required"
    DELEGATOR_SIGNED = "delegator_signed"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedTerms:
    """What a file of terms states: arguments of `verify_token` and of the middleware."""

    expect: Expectation
    keys: StaticKeys


def load_expectation(path: Path) -> Expectation:
    """The expectation that the file at `path` states, for who takes the issuers' keys from elsewhere.

    Raises: ConfigurationError with what to do.
    """
    return _expectation(read_toml(path, known=_TOP))


def load_terms(path: Path, *, jwks_files: Mapping[str, Path] = _NO_FILES) -> StatedTerms:
    """The expectation and the keys that the file at `path` states. Every issuer and authority needs a `jwks_file`.

    `jwks_files`, by issuer or authority, go before those that the file names. Raises: ConfigurationError.
    """
    top = read_toml(path, known=_TOP)
    expect = _expectation(top)
    key_sets: dict[str, KeySet] = {}
    for table in (*top.tables("issuer", known=_ISSUER), *top.tables("authority", known=_AUTHORITY)):
        iss = table.text("iss")
        file = jwks_files.get(iss, table.path("jwks_file"))
        # One authority may sign for two issuers, and stands twice then.
        if iss in key_sets and file is None:
            continue
        if file is None:
            raise table.refuse("jwks_file", f"no file has the keys of {iss}", "Name the JWK Set that it publishes.")
        key_sets[iss] = read_jwks(file)
    return StatedTerms(expect=expect, keys=StaticKeys(key_sets))


def _expectation(top: Table) -> Expectation:
    issuers = [table.text("iss") for table in top.tables("issuer", known=_ISSUER)]
    if not issuers:
        raise top.refuse("issuer", "it names no token service", 'Add [[issuer]] with iss = "https://..."')
    audiences = top.texts("audiences")
    if not audiences:
        raise top.refuse("audiences", "it names no audience", 'Write the resource: audiences = ["https://..."]')
    preset = _choice(top, "preset", list(_Preset), None)
    pins = _agent_keys(top, issuers)
    try:
        terms = _optional_terms(top, issuers)
        match preset:
            case _Preset.BEARER:
                expect = Expectation.bearer(issuers=issuers, audiences=audiences, agent_keys=pins, **terms)
            case _Preset.PROOF_REQUIRED:
                expect = Expectation.proof_required(issuers=issuers, audiences=audiences, agent_keys=pins, **terms)
            case _Preset.DELEGATOR_SIGNED:
                expect = Expectation.delegator_signed(issuers=issuers, audiences=audiences, agent_keys=pins, **terms)
            case _:
                assert_never(preset)
        return _with_floors(top, expect)
    except ValueError as exc:
        raise top.refuse("", f"no terms can be meant so: {exc}", "Mend what it names.") from exc


def _with_floors(top: Table, expect: Expectation) -> Expectation:
    """`expect` with what the file demands beyond its preset. Less would make the name of the preset untrue."""
    root_floor = _choice(top, "root_floor", [Evidence.ISSUER, Evidence.AUTHORITY], expect.root_floor)
    hop_floor = _choice(top, "hop_floor", [Evidence.ISSUER, Evidence.DELEGATOR], expect.hop_floor)
    holder = _choice(top, "holder", list(HolderFloor), expect.holder)
    lowered = {
        "hop_floor": hop_floor is Evidence.ISSUER and expect.hop_floor is not Evidence.ISSUER,
        "holder": holder is HolderFloor.BEARER and expect.holder is not HolderFloor.BEARER,
    }
    for name, is_lower in lowered.items():
        if is_lower:
            raise top.refuse(name, "it asks for less than the preset", "Leave it out, or choose another preset.")
    if root_floor is Evidence.AUTHORITY and not expect.authorities:
        raise top.refuse("root_floor", "no root could meet it", "Add the [[authority]] that signs roots.")
    if hop_floor is Evidence.DELEGATOR and not expect.authorities and not expect.agent_keys:
        raise top.refuse("hop_floor", "no chain could meet it", "Add an [[agent]] with its keys, or an [[authority]].")
    return replace(expect, root_floor=root_floor, hop_floor=hop_floor, holder=holder)


def _optional_terms(top: Table, issuers: list[str]) -> OptionalTerms:
    order, usual = top.table("order", known=_ORDER), Order()
    proper_from = order.integer("proper_from")
    terms = OptionalTerms(
        authorities=_authorities(top, issuers),
        order=Order(
            grammar=_choice(order, "scope_grammar", list(ScopeGrammar), usual.grammar),
            attenuation=_choice(order, "attenuation", list(Attenuation), usual.attenuation),
            proper_from=usual.proper_from if proper_from is None else proper_from,
        ),
    )
    limits = top.table("limits", known=_LIMITS)
    if (leeway_s := limits.integer("leeway_s")) is not None:
        terms["leeway_s"] = leeway_s
    if (max_depth := limits.integer("max_depth")) is not None:
        terms["max_depth"] = max_depth
    if (max_token_bytes := limits.integer("max_token_bytes")) is not None:
        terms["max_token_bytes"] = max_token_bytes
    return terms


def _authorities(top: Table, issuers: list[str]) -> dict[tuple[str, str], str]:
    prefixes: dict[tuple[str, str], str] = {}
    for table in top.tables("authority", known=_AUTHORITY):
        pair = (_issuer_of(table, issuers), table.text("iss"))
        if pair in prefixes:
            raise table.refuse("iss", "this authority stands twice", "Remove one of the two.")
        prefixes[pair] = table.text("subject_prefix", "")
    return prefixes


def _agent_keys(top: Table, issuers: list[str]) -> dict[tuple[str, str], frozenset[str]]:
    pins: dict[tuple[str, str], frozenset[str]] = {}
    for table in top.tables("agent", known=_AGENT):
        pair = (_issuer_of(table, issuers), table.text("id"))
        if pair in pins:
            raise table.refuse("id", "this agent stands twice", "Write all of its keys in one [[agent]].")
        thumbprints = set(table.texts("thumbprints"))
        for thumbprint in thumbprints:
            _require_thumbprint(table, thumbprint)
        if (file := table.path("jwks_file")) is not None:
            thumbprints.update(key.thumbprint for key in read_jwks(file))
        if not thumbprints:
            raise table.refuse("thumbprints", "the agent has no key", "Write thumbprints or jwks_file.")
        pins[pair] = frozenset(thumbprints)
    return pins


def _require_thumbprint(table: Table, text: str) -> None:
    try:
        parse_thumbprint(text)
    except Malformed as exc:
        raise table.refuse("thumbprints", exc.description, "Write the RFC 7638 thumbprint of the key.") from exc


def _issuer_of(table: Table, issuers: list[str]) -> str:
    issuer = table.text("issuer", issuers[0] if len(issuers) == 1 else None)
    if issuer not in issuers:
        raise table.refuse("issuer", "it is no issuer of this file", f"Write one of {', '.join(issuers)}.")
    return issuer


def _choice(table: Table, name: str, choices: list[_Choice], default: _Choice | None) -> _Choice:
    text = table.text(name, None if default is None else str(default))
    for choice in choices:
        if choice == text:
            return choice
    raise table.refuse(name, "there is no such choice", f"Write one of {', '.join(choices)}.")
