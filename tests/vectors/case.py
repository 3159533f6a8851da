"""Golden cases as they are collected: each refused one beside its control, the accepted case one change apart."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.vectors.parties import API, AS, NOW, Draft, Members

__all__ = ["DEFAULTS", "FLOORS_STRICT", "Cases", "rows"]

DEFAULTS: Final[Members] = {
    "now": NOW,
    "holder_proven_upstream": False,
    "revocations": {"lifetime_only_s": 900},
    "expect": {
        "issuers": [AS],
        "audiences": [API],
        "root_floor": "issuer",
        "hop_floor": "issuer",
        "order": {"scope_grammar": "exact", "attenuation": "scope", "proper_from": 1},
        "authorities": [],
        "agent_keys": [],
        "leeway_s": 30,
        "max_depth": 5,
        "max_token_bytes": 16384,
    },
}
FLOORS_STRICT: Final[Members] = {"root_floor": "authority", "hop_floor": "delegator"}

_STEPS: Final[Mapping[str, int]] = {
    "wrong_type": 2,
    "untrusted_issuer": 3,
    "unknown_key": 4,
    "bad_signature": 4,
    "expired": 6,
    "not_yet_valid": 6,
    "lifetime_exceeded": 6,
    "wrong_audience": 7,
    "holder_unproven": 8,
    "chain_missing": 9,
    "chain_misaligned": 10,
    "root_invalid": 11,
    "grant_invalid": 12,
    "evidence_insufficient": 12,
    "not_narrower": 12,
    "not_proper": 12,
    "depth_exceeded": 12,
    "token_exceeds_grant": 13,
    "revoked": 14,
    "revocation_stale": 14,
}


def rows(*named: tuple[str, Any]) -> tuple[tuple[str, Any], ...]:
    """A table of names and JSON values of any type."""
    return named


@dataclass(slots=True, kw_only=True)
class Cases:
    """The cases of one file. `step` is where its `malformed` tokens are found, unless a case says another."""

    about: str
    step: int = 1
    expect: Members = field(default_factory=dict)
    collected: list[Members] = field(default_factory=list)

    def accept(self, name: str, comment: str, draft: Draft, *, calls: Iterable[Members] = (), **terms: Any) -> None:  # noqa: ANN401 - terms are JSON
        """A token that is accepted, on the terms named by keyword; `token` replaces its text."""
        case = self._case(name, comment, draft, terms)
        case["result"] = {"ok": draft.facts()}
        if calls:
            case["calls"] = list(calls)

    def refuse(self, name: str, comment: str, draft: Draft, reason: str, **terms: Any) -> None:  # noqa: ANN401 - as above
        """A token that is refused for `reason`; its control is the last accepted case, or the one named `control`."""
        control = terms.pop("control", None) or self._last_accepted()
        step = terms.pop("step", _STEPS.get(reason, self.step))
        hop = terms.pop("hop", None)
        if step == 12 and hop is None:
            (hop,) = {*draft.entries, *draft.spoil, *draft.headers, *draft.signers, *draft.texts} - {0} or {1}
        case = self._case(name, comment, draft, terms)
        case["result"] = {"refused": reason, "step": step, **({} if hop is None else {"hop": hop})}
        case["control"] = control

    def judge(self, name: str, comment: str, draft: Draft, reason: str | None, **terms: Any) -> None:  # noqa: ANN401 - as above
        """Accepted without a `reason`, refused with one: for tables that hold both."""
        if reason is None:
            terms = {term: value for term, value in terms.items() if term not in {"hop", "step"}}
            self.accept(name, comment, draft, **terms)
        else:
            self.refuse(name, comment, draft, reason, **terms)

    def _case(self, name: str, comment: str, draft: Draft, terms: Members) -> Members:
        case: Members = {"id": name, "comment": comment, "token": terms.pop("token", None)}
        if case["token"] is None:
            case["token"] = draft.token()
        if draft.bound:
            terms.setdefault("holder_proven_upstream", True)
        if expect := {**self.expect, **terms.pop("expect", {})}:
            terms["expect"] = expect
        if unknown := terms.keys() - DEFAULTS.keys():
            raise TypeError(f"no such terms: {sorted(unknown)}")
        case.update({name: value for name, value in terms.items() if value != DEFAULTS[name]})
        self.collected.append(case)
        return case

    def _last_accepted(self) -> str:
        return next(str(case["id"]) for case in reversed(self.collected) if "ok" in case["result"])
