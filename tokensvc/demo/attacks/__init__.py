"""What somebody might try, each tried for real, and what has to stop it."""

from collections.abc import Mapping
from typing import Final

from tokensvc.demo.attacks.attempt import Attack, Finding, Scene, Tried, try_attack
from tokensvc.demo.attacks.forging import FORGING
from tokensvc.demo.attacks.greed import GREED
from tokensvc.demo.attacks.holding import HOLDING
from tokensvc.demo.attacks.misuse import MISUSE, MISUSE_OF_BOUND
from tokensvc.demo.attacks.revocation import REVOCATION
from tokensvc.demo.attacks.turned import TURNED
from tokensvc.verify import Evidence

__all__ = ["ATTACKS", "ATTACKS_BY_EVIDENCE", "Attack", "Finding", "Scene", "Tried", "try_attack"]

ATTACKS: Final[tuple[Attack, ...]] = (*GREED, *MISUSE, *FORGING, *REVOCATION)
"""Every attack on bearer tokens, in the order of the story."""
ATTACKS_BY_EVIDENCE: Final[Mapping[Evidence, tuple[Attack, ...]]] = {
    Evidence.ISSUER: ATTACKS,
    Evidence.DELEGATOR: (*GREED, *MISUSE_OF_BOUND, *HOLDING, *TURNED, *REVOCATION),
}
"""Those that are tried, by whose word the hops of the demo are."""
