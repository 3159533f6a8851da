"""A token of delegator evidence, whose hops from the second on carry signatures of the agents above.

Cold: every signature in the token is new to the verifier, and the yardstick is the raw verification of all of them,
each over its own bytes. Parent seen: the parent's token was verified just before, and each call gets another child of
it, so two signatures are new, the child's own and the last hop's; the yardstick is one raw verification, of the child's
own. The first agent's key is pinned and the other agents' keys were seen in other tokens, as an agent keeps its key;
one row is for keys that were not.

Run: .venv/bin/python -m bench.verify_delegator [--json] [--quick]
"""

from collections.abc import Iterator, Sequence
from typing import Final

from bench._measure import Goal, Plan, Row, Side, detail, interleave, progress, ratio, run_script
from bench._tokens import (
    Chain,
    Key,
    RawSignature,
    Terms,
    agent_keys,
    delegated,
    least_scopes,
    own_signature,
    signatures,
)

GROUP: Final = "verify, delegator evidence"
COLD: Final = Goal("<=", 1.35)
PARENT_SEEN: Final = Goal("<=", 2.6)
# The first hop is never signed, so a chain of one has no such evidence.
DEPTHS: Final = (2, 3, 5, 8)
_ANY: Final = 5


def measure(plan: Plan) -> Iterator[Row]:
    """Rows for each depth, cold and with the parent seen; keys never seen for information."""
    for depth in DEPTHS:
        chains = [delegated(least_scopes(depth), agent_keys(depth)) for _ in range(plan.inputs)]
        yield _cold(plan, chains, f"depth {depth}", COLD)
    for depth in DEPTHS:
        yield _parent_seen(plan, depth)
    chains = [delegated(least_scopes(_ANY), [Key.new() for _ in range(_ANY)]) for _ in range(plan.inputs)]
    yield _cold(plan, chains, f"depth {_ANY}, agents' keys never seen")


def _cold(plan: Plan, chains: Sequence[Chain], name: str, goal: Goal | None = None) -> Row:
    progress(f"{GROUP}: cold, {name}")
    terms = Terms.delegator(chain.keys[0] for chain in chains)
    tokens = [chain.token() for chain in chains]
    taken = interleave(
        plan,
        {
            "raw": Side(work=_verify_all, inputs=list(map(signatures, chains, tokens))),
            "verify": Side(work=terms.verify, inputs=tokens),
        },
    )
    return Row(
        group=GROUP,
        name=f"verify cold, delegator evidence, {name}",
        figure=ratio(taken["verify"], taken["raw"]),
        unit="x all signatures",
        goal=goal,
        detail=detail("verify", "raw", taken)
        | {"signatures": len(signatures(chains[0], tokens[0])), "token_bytes": len(tokens[0])},
    )


def _parent_seen(plan: Plan, depth: int) -> Row:
    progress(f"{GROUP}: parent seen, depth {depth}")
    keys = agent_keys(depth)
    parent = delegated(least_scopes(depth), keys[:-1])
    terms, parent_token = Terms.delegator(keys[:1]), parent.token()
    tokens = [parent.delegate(keys[-1]).token() for _ in range(plan.inputs)]
    taken = interleave(
        plan,
        {
            "raw": Side(work=RawSignature.verify, inputs=[own_signature(token) for token in tokens]),
            "verify": Side(work=terms.verify, inputs=tokens, prime=lambda: terms.verify(parent_token)),
        },
    )
    return Row(
        group=GROUP,
        name=f"verify, delegator evidence, parent seen, depth {depth}",
        figure=ratio(taken["verify"], taken["raw"]),
        unit="x raw",
        goal=PARENT_SEEN,
        detail=detail("verify", "raw", taken) | {"token_bytes": len(tokens[0])},
    )


def _verify_all(signed: Sequence[RawSignature]) -> None:
    for each in signed:
        each.verify()


if __name__ == "__main__":
    run_script(measure, "Verification of tokens of delegator evidence.")
