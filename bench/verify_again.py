"""A token that the verifier has seen: time, audience and revocation are checked again, in raw ES256 verifications.

As many tokens as a resource server meets at one time are verified once, untimed, and then again and again in turn. The
yardstick is one call of `cryptography` over the same token's bytes.

Run: .venv/bin/python -m bench.verify_again [--json] [--quick]
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import cycle, islice
from typing import Final

from bench._measure import Goal, Plan, Row, Side, detail, interleave, progress, ratio, run_script
from bench._tokens import RawSignature, Terms, issued, least_scopes, own_signature
from tokensvc.verify import CachedVerifier

GROUP: Final = "verify again"
NAME: Final = "verify again, issuer evidence, depth 5"
GOAL: Final = Goal("<=", 0.08)
_DEPTH: Final = 5
_TOKENS: Final = 100


def measure(plan: Plan) -> Iterator[Row]:
    """One row."""
    yield row(plan, replace(Terms.issuer(), verify_token=CachedVerifier().verify_token).verify)


def row(plan: Plan, verify: Callable[[str], object]) -> Row:
    """The row for `verify`, which remembers tokens."""
    progress(GROUP)
    tokens = [issued(_DEPTH, least_scopes(_DEPTH)).token() for _ in range(_TOKENS)]
    for token in tokens:
        verify(token)
    again = list(islice(cycle(tokens), plan.inputs))
    taken = interleave(
        plan,
        {
            "raw": Side(work=RawSignature.verify, inputs=list(map(own_signature, again))),
            "verify": Side(work=verify, inputs=again),
        },
    )
    figure = ratio(taken["verify"], taken["raw"])
    return Row(group=GROUP, name=NAME, figure=figure, unit="x raw", goal=GOAL, detail=detail("verify", "raw", taken))


if __name__ == "__main__":
    run_script(measure, "Verification of tokens seen before.")
