"""A token of issuer evidence that the verifier never saw: the whole procedure, in raw ES256 verifications.

Every call gets a token of its own, signed before, with ids that stand in no other, so no cache can know it. What may be
warm is what is warm in a service too: the token service's key and header, scope lists and resources that stand in many
tokens. The yardstick is one call of `cryptography` over the same token's bytes, all decoding done. Revocations are
looked up among 10,000.

Run: .venv/bin/python -m bench.verify [--json] [--quick]
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from bench._measure import Goal, Plan, Row, Side, detail, interleave, progress, ratio, run_script
from bench._tokens import Chain, RawSignature, Terms, agent_keys, issued, least_scopes, own_signature

GROUP: Final = "verify, issuer evidence"
GOALS: Final = {1: 1.5, 3: 1.6, 5: 1.75, 8: 2.0}
_ANY: Final = 5
_MANY: Final = 20


def measure(plan: Plan) -> Iterator[Row]:
    """A row for each depth with a goal; then, for information, what else such a token can be."""
    terms = Terms.issuer()
    few = least_scopes(_ANY)
    for depth, bound in GOALS.items():
        chain = partial(issued, depth, least_scopes(depth))
        yield _row(plan, terms, chain, f"depth {depth}", Goal("<=", bound))
    yield _row(plan, terms, partial(issued, _ANY, _MANY), f"depth {_ANY}, {_MANY} scopes at the root")
    yield _row(plan, terms, partial(issued, _ANY, few, agent_keys(_ANY)), f"depth {_ANY}, bound keys")
    yield _row(plan, Terms.lifetime_only(), partial(issued, _ANY, few), f"depth {_ANY}, no revocations looked at")


def _row(plan: Plan, terms: Terms, chain: Callable[[], Chain], name: str, goal: Goal | None = None) -> Row:
    progress(f"{GROUP}: {name}")
    tokens = [chain().token() for _ in range(plan.inputs)]
    taken = interleave(
        plan,
        {
            "raw": Side(work=RawSignature.verify, inputs=[own_signature(token) for token in tokens]),
            "verify": Side(work=terms.verify, inputs=tokens),
        },
    )
    return Row(
        group=GROUP,
        name=f"verify cold, issuer evidence, {name}",
        figure=ratio(taken["verify"], taken["raw"]),
        unit="x raw",
        goal=goal,
        detail=detail("verify", "raw", taken) | {"token_bytes": len(tokens[0])},
    )


if __name__ == "__main__":
    run_script(measure, "Cold verification of tokens of issuer evidence.")
