"""Which proofs were used: each is good for one request (RFC 9449 s11.1), and somebody has to remember that."""

import heapq
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from hashlib import sha256
from threading import Lock
from typing import Final, Protocol

from tokensvc.errors import Unavailable

__all__ = ["ProofMemory", "ProofStore"]

# Two thousand requests a second, each remembered for two minutes. At some 100 bytes each they take 25 MB.
DEFAULT_MAX_PROOFS: Final = 250_000
# What of a SHA-256 is kept: as good as all of it against chance, and nobody gains by two proofs that look alike.
_DIGEST_BYTES: Final = 16


class ProofStore(Protocol):
    """Where used proofs are remembered. Several processes of one resource need one that they share, over Redis say."""

    def claim(self, once: str, until: int) -> bool | Awaitable[bool]:
        """True for the first claim of `once`, and never again while it is remembered; one atomic step.

        After `until` (epoch seconds) no proof with it is accepted any more, and it may be forgotten. A coroutine is
        awaited. Whatever else than True counts as used; whatever is raised refuses the request as unavailable.
        """
        ...


class ProofMemory:
    """The proofs that one process saw. Threads may share it.

    It holds `max_proofs` at most and refuses further ones rather than forget: who has a valid token could else have its
    own proof forgotten. `clock` gives epoch seconds, the time of this machine by default.
    Raises: ValueError unless `max_proofs` is a positive integer.
    """

    __slots__ = ("_by_until", "_clock", "_forgotten", "_lock", "_max_proofs", "_seen", "_untils")

    def __init__(
        self, *, max_proofs: int = DEFAULT_MAX_PROOFS, clock: Callable[[], int] = lambda: int(time.time())
    ) -> None:
        if type(max_proofs) is not int or max_proofs < 1:
            raise ValueError("max_proofs is a positive integer")
        self._max_proofs = max_proofs
        self._clock = clock
        # Digests: a jti is as long as its maker likes, and these are all of one size.
        self._seen: set[bytes] = set()
        self._by_until: defaultdict[int, list[bytes]] = defaultdict(list)
        self._untils: list[int] = []
        self._forgotten = -1
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._seen)

    def claim(self, once: str, until: int) -> bool:
        """True for the first claim of `once`. Raises: Unavailable when no more can be remembered."""
        digest = sha256(once.encode("utf-8")).digest()[:_DIGEST_BYTES]
        with self._lock:
            self._forget(self._clock())
            # After the clock was set back a proof can be current again whose use is forgotten.
            if digest in self._seen or until <= self._forgotten:
                return False
            if len(self._seen) >= self._max_proofs:
                raise Unavailable("no more proofs can be remembered")
            self._seen.add(digest)
            if until not in self._by_until:
                heapq.heappush(self._untils, until)
            self._by_until[until].append(digest)
            return True

    def _forget(self, now: int) -> None:
        while self._untils and self._untils[0] < now:
            self._forgotten = heapq.heappop(self._untils)
            self._seen.difference_update(self._by_until.pop(self._forgotten))
