"""The floors: whether the evidence of an entry is enough for this verifier (the second part of step 12).

With the hop floor `delegator`, a token service that turns bad can neither widen nor invent a hop: every hop from the
second on carries a signature that it cannot make, made with a key that it did not choose. That holds only if the first
agent's key is not the service's word either, so it has to be in an authority's root, or pinned by this verifier. The
keys of the agents below are their delegators' word, who may have been lied to: only a pin makes them more.
"""

from typing import Final

from tokensvc.core.chain import GrantChain
from tokensvc.core.entry import Evidence
from tokensvc.errors import Reason, TokenRefused
from tokensvc.verify.expectation import Expectation

__all__ = ["require_floors"]

# Until Python 3.12 a member of an enum costs ten times a global name, and these stand in the loop over the hops.
_AUTHORITY: Final = Evidence.AUTHORITY
_DELEGATOR: Final = Evidence.DELEGATOR


def require_floors(chain: GrantChain, *, index: int, iss: str, expect: Expectation) -> None:
    """Return when hop `index` of `chain` (the first is 1), and the root above the first, have evidence enough.

    Raises: TokenRefused (`evidence_insufficient`).
    """
    hop = chain.hops[index - 1]
    pinned = expect.agent_keys.get((iss, hop.actor))
    if pinned is not None and hop.jkt not in pinned:
        # A pin binds at every index, whatever the root says.
        raise _insufficient(f"hop {index} names a pinned agent without one of its keys")
    if index == 1 and expect.root_floor is _AUTHORITY and chain.root.claim is None:
        raise _insufficient("the root is not signed by an authority")
    if expect.hop_floor is not _DELEGATOR:
        return
    if index == 1 and pinned is None and chain.root.claim is None:
        raise _insufficient("the first agent's key is neither pinned nor in a root that an authority signed")
    if index > 1 and hop.claim is None:
        raise _insufficient(f"hop {index} is not signed by its delegator")


def _insufficient(description: str) -> TokenRefused:
    return TokenRefused(Reason.EVIDENCE_INSUFFICIENT, description)
