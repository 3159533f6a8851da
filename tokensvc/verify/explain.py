"""`explain_token`: how far a token comes in `verify_token`, where it fails, and what every hop does to authority.

It is no second verifier: the one procedure runs, keeps a trace, and stops at its first failure. What is told afterwards
is read from the trace, and changes of authority are found by asking the law of `core.authority` both ways, one
dimension at a time. Only what somebody's verified signature vouches for is told: nothing of a token before its own
signature verified, nothing of a signed entry before that entry's did.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final, assert_never

from tokensvc.core.authority import Authority, Dimension, Order, is_proper, widened
from tokensvc.core.chain import GrantChain
from tokensvc.core.claims import AccessTokenClaims
from tokensvc.core.entry import Entry, Evidence, Hop, Root
from tokensvc.core.scope import ScopeSet, uncovered
from tokensvc.errors import Malformed, Reason, TokenRefused
from tokensvc.verify.expectation import Expectation
from tokensvc.verify.keysource import KeySource
from tokensvc.verify.revocations import LifetimeOnly, UnsafeRevocationElsewhere
from tokensvc.verify.verified import VerifiedToken
from tokensvc.verify.verifier import HolderProof, Revocations, Trace, UnsafeHolderProvenUpstream, _Terms, _verify

__all__ = [
    "Change",
    "Comparison",
    "ExplainedHop",
    "ExplainedRoot",
    "ExplainedStep",
    "Explanation",
    "Failure",
    "State",
    "explain_token",
]

# As the verifier numbers and names them.
_STEPS: Final = {
    1: "size and alphabet",
    2: "header",
    3: "payload, issuer",
    4: "key and signature",
    5: "required claims",
    6: "time, lifetime cap",
    7: "audience",
    8: "holder",
    9: "act and grant chain",
    10: "alignment",
    11: "the root",
    12: "every hop against the entry before it",
    13: "the token against the last hop",
    14: "revocation",
    15: "the answer",
}
_HOLDER: Final = 8
_ROOT: Final = 11
_HOPS: Final = 12
_REVOCATION: Final = 14
# The refusals of step 12 that come when a hop is compared: before them its evidence was judged, and found enough.
_OF_COMPARISON: Final = frozenset({Reason.NOT_NARROWER, Reason.NOT_PROPER, Reason.DEPTH_EXCEEDED, Reason.TOO_LARGE})
# To have one dimension alone judged by the law, which is reflexive in all the others.
_NOTHING: Final = Authority(scope=frozenset(), resources=frozenset(), iat=0, exp=0, max_depth=0, bound=False)


class State(StrEnum):
    """What became of a step, or of a hop in step 12."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_REACHED = "not_reached"
    """Something before it failed."""
    NOT_PERFORMED = "not_performed"
    """It was reached, and the caller had chosen not to make the check."""


class Change(StrEnum):
    """What a hop did to one dimension of the authority above it."""

    KEPT = "kept"
    NARROWED = "narrowed"
    WIDENED = "widened"
    """It holds something that is not above it, whatever else is gone."""
    UNJUDGED = "unjudged"
    """To compare the authorization details costs more than its bound: forth (`too_large`), or only back (accepted)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedStep:
    """A step of the verifier by its number and name."""

    number: int
    name: str
    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The first check that failed, as `verify_token` would have raised it. `hop` (the first is 1) is set in step 12."""

    step: int
    hop: int | None
    reason: Reason
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A hop against the entry before it.

    `scope_gone` are scopes above that the hop does not cover, `scope_new` scopes of the hop that are not covered above;
    likewise `resources_gone` and `resources_new`, by their text. `ends_earlier_s`, `starts_later_s` (seconds) and
    `depth_gone` are what is gone of lifetime and depth; below zero is wider. `is_proper` says whether something is gone
    that counts in the verifier's order.
    """

    changes: Mapping[Dimension, Change] = field(hash=False)
    scope_gone: ScopeSet
    scope_new: ScopeSet
    resources_gone: frozenset[str]
    resources_new: frozenset[str]
    ends_earlier_s: int
    starts_later_s: int
    depth_gone: int
    is_proper: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedRoot:
    """The root and whose word it is. Both are None for a signed root whose signature was not reached, or failed."""

    root: Root | None
    evidence: Evidence | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedHop:
    """Hop `index` (the first is 1), whose word it is, and how it compares with the entry before it.

    `hop` and `evidence` are None for a signed hop that was not reached, or whose evidence failed. `comparison` is None
    when verification ended before the hop was compared.
    """

    index: int
    state: State
    hop: Hop | None
    evidence: Evidence | None
    comparison: Comparison | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a token is accepted (`verified` is set) or refused (`failure` is set).

    `claims` is None until the signature verified and the claims were well-formed. `actors` (current one first), `root`
    and `hops` (oldest first) are empty until the chain was read. In a refused token they are the issuer's word, not a
    verdict: decide by `verified` alone.
    """

    steps: tuple[ExplainedStep, ...]
    failure: Failure | None
    claims: AccessTokenClaims | None
    actors: tuple[str, ...]
    root: ExplainedRoot | None
    hops: tuple[ExplainedHop, ...]
    verified: VerifiedToken | None


def explain_token(
    token: str,
    *,
    keys: KeySource,
    expect: Expectation,
    now: int,
    revocations: Revocations,
    proof: HolderProof | None = None,
) -> Explanation:
    """What `verify_token` says of `token` on the same terms, and why. A refusal is part of the answer.

    For people who look for a fault; it compares more than verification does and has no place on the way of a request.
    Raises: Unavailable and TypeError as `verify_token` does.
    """
    terms = _Terms(keys=keys, expect=expect, now=now, revocations=revocations, proof=proof, check_expiry=True)
    trace = Trace()
    verified, failure = None, None
    try:
        verified = _verify(token, terms, trace)
    except TokenRefused as exc:
        hop = trace.hop if trace.step == _HOPS else None
        failure = Failure(step=trace.step, hop=hop, reason=exc.reason, description=exc.description)
    chain = None if trace.delegation is None else trace.delegation.chain
    return Explanation(
        steps=tuple(_explain_steps(trace, terms, failure)),
        failure=failure,
        claims=trace.claims,
        actors=() if trace.delegation is None else trace.delegation.act,
        root=None if chain is None else _explain_root(chain.root, trace),
        hops=() if chain is None else _explain_hops(chain, trace, failure, expect.order),
        verified=verified,
    )


def _explain_steps(trace: Trace, terms: _Terms, failure: Failure | None) -> Iterator[ExplainedStep]:
    left_out = set()
    is_bound = trace.claims is not None and trace.claims.cnf is not None
    if is_bound and isinstance(terms.proof, UnsafeHolderProvenUpstream):
        left_out.add(_HOLDER)
    if isinstance(terms.revocations, LifetimeOnly | UnsafeRevocationElsewhere):
        left_out.add(_REVOCATION)
    for number, name in _STEPS.items():
        if number > trace.step:
            state = State.NOT_REACHED
        elif failure is not None and number == failure.step:
            state = State.FAILED
        else:
            state = State.NOT_PERFORMED if number in left_out else State.PASSED
        yield ExplainedStep(number=number, name=name, state=state)


def _explain_root(root: Root, trace: Trace) -> ExplainedRoot:
    if root.claim is None:
        return ExplainedRoot(root=root, evidence=Evidence.ISSUER)
    if trace.step <= _ROOT:
        return ExplainedRoot(root=None, evidence=None)
    return ExplainedRoot(root=root, evidence=Evidence.AUTHORITY)


def _explain_hops(chain: GrantChain, trace: Trace, failure: Failure | None, order: Order) -> tuple[ExplainedHop, ...]:
    """Every hop: those that passed, the one that failed if one did, those that were not reached."""
    passed = 0 if trace.step < _HOPS else len(chain.hops)
    compared = passed
    if failure is not None and failure.hop is not None:
        passed = failure.hop - 1
        compared = failure.hop if failure.reason in _OF_COMPARISON else passed
    hops = []
    above: Entry = chain.root
    for index, hop in enumerate(chain.hops, start=1):
        state = State.PASSED if index <= passed else State.NOT_REACHED
        if failure is not None and index == failure.hop:
            state = State.FAILED
        evidence = _hop_evidence(hop, is_proven=index <= compared)
        comparison = _compare(above.authority, hop.authority, order) if index <= compared else None
        shown = None if evidence is None else hop
        hops.append(ExplainedHop(index=index, state=state, hop=shown, evidence=evidence, comparison=comparison))
        above = hop
    return tuple(hops)


def _hop_evidence(hop: Hop, *, is_proven: bool) -> Evidence | None:
    if hop.claim is None:
        return Evidence.ISSUER
    return Evidence.DELEGATOR if is_proven else None


def _compare(above: Authority, below: Authority, order: Order) -> Comparison:
    return Comparison(
        changes=MappingProxyType({dimension: _change(above, below, dimension, order) for dimension in Dimension}),
        scope_gone=uncovered(below.scope, above.scope, order.grammar),
        scope_new=uncovered(above.scope, below.scope, order.grammar),
        resources_gone=above.resources - below.resources,
        resources_new=below.resources - above.resources,
        ends_earlier_s=above.exp - below.exp,
        starts_later_s=below.iat - above.iat,
        depth_gone=above.max_depth - below.max_depth,
        is_proper=is_proper(above, below, order),
    )


def _change(above: Authority, below: Authority, dimension: Dimension, order: Order) -> Change:
    had, has = _only(dimension, above), _only(dimension, below)
    try:
        if widened(had, has, order) is not None:
            return Change.WIDENED
        return Change.KEPT if widened(has, had, order) is None else Change.NARROWED
    except Malformed:
        # The law gave up. Where that refuses the hop, verification has said so already.
        return Change.UNJUDGED


def _only(dimension: Dimension, authority: Authority) -> Authority:
    """`authority` in that one dimension and nothing in all the others."""
    match dimension:
        case Dimension.SCOPE:
            return replace(_NOTHING, scope=authority.scope)
        case Dimension.DETAILS:
            return replace(_NOTHING, details=authority.details)
        case Dimension.RESOURCES:
            return replace(_NOTHING, resources=authority.resources)
        case Dimension.LIFETIME:
            return replace(_NOTHING, iat=authority.iat, exp=authority.exp)
        case Dimension.DEPTH:
            return replace(_NOTHING, max_depth=authority.max_depth)
        case Dimension.HOLDER:
            return replace(_NOTHING, bound=authority.bound)
        case _:
            assert_never(dimension)
