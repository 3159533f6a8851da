"""How long the tests of this folder try: a few rounds each, or as many as `make faults` says."""

import os
from typing import Final

__all__ = ["ROUNDS"]

ROUNDS: Final = int(os.environ.get("FAULT_ROUNDS", "0"))
"""Rounds of each test on each site; 0 for as few as a test of every day should take."""
