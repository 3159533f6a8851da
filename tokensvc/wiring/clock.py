"""The clock of the system, for everybody who is not given another."""

import time

__all__ = ["system_clock"]


def system_clock() -> int:
    """The time of the system in whole epoch seconds."""
    return int(time.time())
