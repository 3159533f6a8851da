"""Verification of tokens that were verified before, with the same result as `verify_token` at a fraction of its cost.

A resource server sees a token many times. Its bytes cannot change, and with them the signatures, the claims, and what
the chain says by one `Expectation`; that is remembered. What can change is judged anew each time, in the same order:

     4 the keys: the key source still gives the keys that the signatures verified with
     6 time, lifetime cap            8 holder, whose proof is another one each time            14 revocation

Where a key or the expectation differs, the whole procedure runs. Only accepted tokens are remembered, so nobody without
one fills the memory, and by the SHA-256 of their bytes, so what lies in memory is no credential.
"""

from collections import OrderedDict
from dataclasses import dataclass, replace
from hashlib import sha256
from threading import Lock
from typing import Final, cast

from tokensvc.core.claims import AccessTokenClaims
from tokensvc.core.jws import encode_base64url
from tokensvc.core.keyset import PublicKey
from tokensvc.core.revocation import Revocable
from tokensvc.verify.expectation import Expectation
from tokensvc.verify.keysource import KeySource
from tokensvc.verify.verified import VerifiedToken
from tokensvc.verify.verifier import (
    HolderProof,
    Revocations,
    Trace,
    _Terms,
    _terms,
    _verify,
    not_performed,
    require_current,
    require_holder,
    require_not_revoked,
    require_sound,
)

__all__ = ["CachedVerifier"]

# Some thousand tokens of three hops, which take 4 MB. A token is its size times two in memory, or times sixty where an
# agent filled its details with empty objects: it is the bytes that have to be bounded, not the number.
DEFAULT_MAX_BYTES: Final = 2 * 1024 * 1024

_Found = tuple[str, str, PublicKey | None]
"""An issuer, a `kid`, and what the key source said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """An accepted token: by which terms, with which keys, and what of it is judged again."""

    size: int
    expect: Expectation
    token_key: _Found
    entry_keys: tuple[_Found, ...]
    claims: AccessTokenClaims
    # What a proof for this token names; every use of a bound token brings a new proof.
    ath: str
    verified: VerifiedToken
    revocables: tuple[Revocable, ...]


class CachedVerifier:
    """A verifier that remembers the tokens it accepted last, as many as have `max_bytes` together.

    Keep one `Expectation` and pass it each time: a token that was judged by another one is judged as if it were new.
    Threads may share it. Raises: ValueError unless `max_bytes` is a positive integer.
    """

    __slots__ = ("_bytes", "_known", "_lock", "_max_bytes")

    def __init__(self, *, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        if type(max_bytes) is not int or max_bytes < 1:
            raise ValueError("max_bytes is a positive integer")
        self._max_bytes = max_bytes
        self._bytes = 0
        # Oldest use first.
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._known)

    def verify_token(
        self,
        token: str,
        *,
        keys: KeySource,
        expect: Expectation,
        now: int,
        revocations: Revocations,
        proof: HolderProof | None = None,
    ) -> VerifiedToken:
        """What `verify_token` returns for the same arguments; it raises what that raises."""
        terms = _terms(
            keys=keys, expect=expect, now=now, revocations=revocations, proof=proof, check_expiry=True, ath=None
        )
        require_sound(terms)
        if type(token) is not str or len(token) > expect.max_token_bytes:
            # Refused at step 1, before any work that grows with its size.
            return _verify(token, terms, Trace())
        digest = sha256(token.encode("utf-8", "surrogatepass")).digest()
        known = self._find(digest)
        if known is not None and (known.expect is expect or known.expect == expect):
            verified = _verify_again(known, terms)
            if verified is not None:
                return verified
        return self._verify_first(token, digest, terms)

    def _verify_first(self, token: str, digest: bytes, terms: _Terms) -> VerifiedToken:
        keys, trace = _RecordedKeys(terms.keys), Trace()
        # Of ASCII text, which is all that passes step 1, `digest` is what `token_hash` takes as well.
        ath = encode_base64url(digest).decode("ascii")
        verified = _verify(token, replace(terms, keys=keys, ath=ath), trace)
        token_key, *entry_keys = keys.found
        known = _Known(
            size=len(token),
            expect=terms.expect,
            token_key=token_key,
            entry_keys=tuple(entry_keys),
            # Of an accepted token they are there.
            claims=cast("AccessTokenClaims", trace.claims),
            ath=ath,
            verified=verified,
            revocables=verified.revocables(),
        )
        self._keep(digest, known)
        return verified

    def _find(self, digest: bytes) -> _Known | None:
        with self._lock:
            known = self._known.get(digest)
            if known is not None:
                self._known.move_to_end(digest)
            return known

    def _keep(self, digest: bytes, known: _Known) -> None:
        with self._lock:
            before = self._known.pop(digest, None)
            self._bytes += known.size - (0 if before is None else before.size)
            self._known[digest] = known
            while self._bytes > self._max_bytes:
                _digest, oldest = self._known.popitem(last=False)
                self._bytes -= oldest.size


def _verify_again(known: _Known, terms: _Terms) -> VerifiedToken | None:
    """The token, judged by what can have changed; None when it has to be judged from the beginning."""
    if not _is_still_found(known.token_key, terms.keys):  # step 4
        return None
    require_current(known.claims, terms)  # step 6
    require_holder(known.claims, terms, lambda: known.ath)  # step 8
    for entry_key in known.entry_keys:  # step 11
        if not _is_still_found(entry_key, terms.keys):
            return None
    require_not_revoked(lambda: known.revocables, terms)  # step 14
    unchecked = not_performed(known.claims, terms)
    if unchecked == known.verified.not_performed:
        return known.verified
    return replace(known.verified, not_performed=unchecked)


def _is_still_found(found: _Found, keys: KeySource) -> bool:
    iss, kid, key = found
    # The very object: an equal key that was imported anew costs one more verification, and no thought.
    return keys.find(iss, kid) is key


class _RecordedKeys:
    """A key source that writes down what it is asked and what it says."""

    __slots__ = ("_keys", "found")

    def __init__(self, keys: KeySource) -> None:
        self._keys = keys
        self.found: list[_Found] = []

    def find(self, iss: str, kid: str) -> PublicKey | None:
        """The key that the source finds."""
        key = self._keys.find(iss, kid)
        self.found.append((iss, kid, key))
        return key
