"""What somebody might try, each tried for real, and what has to stop it."""

from typing import Final

from tokensvc.demo.attacks.attempt import Attack, Finding, Scene, Tried, try_attack
from tokensvc.demo.attacks.forging import FORGING
from tokensvc.demo.attacks.greed import GREED
from tokensvc.demo.attacks.misuse import MISUSE
from tokensvc.demo.attacks.revocation import REVOCATION

__all__ = ["ATTACKS", "Attack", "Finding", "Scene", "Tried", "try_attack"]

ATTACKS: Final[tuple[Attack, ...]] = (*GREED, *MISUSE, *FORGING, *REVOCATION)
"""Every attack, in the order of the story."""
