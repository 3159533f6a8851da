"""Nonces that a resource server gives for DPoP proofs (RFC 9449 s9): a proof with one was made after it was given.

So nobody who has the key for an hour can make proofs for the week after. A nonce is its time and a MAC over it; nothing
is stored, and all processes with one secret know each other's.
"""

import hmac
from typing import Final

from tokensvc.core.jws import decode_base64url, encode_base64url
from tokensvc.errors import Malformed, OAuthError, OAuthRefused, Reason

__all__ = ["ServerNonces"]

# A client repeats one request in five minutes; a proof that was made in advance is of no use after that.
DEFAULT_LIFETIME_S: Final = 300
# The clocks of several processes agree to within this.
_AHEAD_S: Final = 60
# As long as the output of the hash: shorter ones make the MAC weaker (RFC 2104 s3).
_MIN_SECRET_BYTES: Final = 32
_TIME_BYTES: Final = 8
_MAC_BYTES: Final = 16
_PURPOSE: Final = b"tokensvc DPoP-Nonce 1:"


class ServerNonces:
    """Nonces under `secret`, 32 random bytes or more that no other purpose has, each good for `lifetime_s` seconds.

    Raises: ValueError for a secret that is shorter, or a lifetime that is no positive integer.
    """

    __slots__ = ("_lifetime_s", "_secret")

    def __init__(self, secret: bytes, *, lifetime_s: int = DEFAULT_LIFETIME_S) -> None:
        if type(secret) is not bytes or len(secret) < _MIN_SECRET_BYTES:
            raise ValueError(f"the secret of nonces is at least {_MIN_SECRET_BYTES} random bytes")
        if type(lifetime_s) is not int or lifetime_s < 1:
            raise ValueError("lifetime_s is a positive number of seconds")
        self._secret = secret
        self._lifetime_s = lifetime_s

    def make(self, now: int) -> str:
        """A nonce that was given at `now`, in epoch seconds."""
        made = now.to_bytes(_TIME_BYTES)
        return encode_base64url(made + self._mac(made)).decode("ascii")

    def require_current(self, nonce: str | None, now: int) -> str | None:
        """Return when `nonce` is ours and current: the one to use from now on, when half of its time is over, or None.

        Raises: OAuthRefused (`use_dpop_nonce`).
        """
        made = None if nonce is None else self._made(nonce)
        if made is None or not -_AHEAD_S <= now - made <= self._lifetime_s:
            description = "put the nonce of the header DPoP-Nonce into the proof"
            raise OAuthRefused(OAuthError.USE_DPOP_NONCE, Reason.PROOF_INVALID, description)
        return self.make(now) if now - made > self._lifetime_s // 2 else None

    def _made(self, nonce: str) -> int | None:
        """When the nonce was given, or None for one that is not ours."""
        try:
            said = decode_base64url(nonce.encode("utf-8"))
        except Malformed:
            return None
        made, mac = said[:_TIME_BYTES], said[_TIME_BYTES:]
        return int.from_bytes(made) if hmac.compare_digest(mac, self._mac(made)) else None

    def _mac(self, made: bytes) -> bytes:
        return hmac.digest(self._secret, _PURPOSE + made, "sha256")[:_MAC_BYTES]
