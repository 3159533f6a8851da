"""How many bytes tokens take: the compact text that goes into the Authorization header, 1 KB being 1,000 bytes.

Every hop is bound to its agent's key, the last one has three scopes, and the names are as long as real ones. The public
verifier accepts each token that is counted, so nothing that the profile asks for was left out.

Run: .venv/bin/python -m bench.sizes [--json] [--quick]
"""

from collections.abc import Iterator
from typing import Final

from bench._measure import Goal, Plan, Row, progress, run_script
from bench._tokens import Chain, Terms, agent_keys, delegated, issued

GROUP: Final = "size"
ISSUER_GOALS: Final = {1: 1600, 3: 2500, 8: 5200}
DELEGATOR_DEPTH: Final = 3
DELEGATOR_GOAL: Final = 4400
_LEAF_SCOPES: Final = 3


def measure(_plan: Plan) -> Iterator[Row]:
    """A row for each token with a goal; one with a root that an authority signed for information."""
    progress(GROUP)
    for depth, bound in ISSUER_GOALS.items():
        chain = issued(depth, depth + _LEAF_SCOPES, agent_keys(depth))
        yield _row(chain, Terms.issuer(), f"issuer evidence, depth {depth}", Goal("<=", bound))
    keys, scopes = agent_keys(DELEGATOR_DEPTH), DELEGATOR_DEPTH + _LEAF_SCOPES
    terms, name = Terms.delegator(keys[:1]), f"delegator evidence, depth {DELEGATOR_DEPTH}"
    yield _row(delegated(scopes, keys), terms, name, Goal("<=", DELEGATOR_GOAL))
    yield _row(delegated(scopes, keys, root_is_signed=True), terms, f"{name}, signed root")


def _row(chain: Chain, terms: Terms, name: str, goal: Goal | None = None) -> Row:
    token = chain.token()
    terms.verify(token)
    size = len(token.encode())
    return Row(group=GROUP, name=f"token size, {name}", figure=size, unit="bytes", goal=goal, is_timed=False)


if __name__ == "__main__":
    run_script(measure, "Sizes of tokens.")
