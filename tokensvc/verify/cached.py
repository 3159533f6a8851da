"""Verification of tokens that were verified before, with the same result as `verify_token` at a fraction of its cost.

A resource server sees a token many times. Its bytes cannot change, and with them the signatures, the claims, and what
the chain says by one `Expectation`; that is remembered. What can change is judged anew each time, in the same order:

     4 the keys: the key source still gives the keys that the signatures verified with
     6 time, lifetime cap            8 holder            14 revocation

Where a key or the expectation differs, the whole procedure runs. Only accepted tokens are remembered, so nobody without
one fills the memory, and by the SHA-256 of their bytes, so what lies in memory is no credential.
"""

from collections import OrderedDict
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final, cast

from tokensvc.core.claims import AccessTokenClaims
from tokensvc.core.keyset import PublicKey
from tokensvc.core.revocation import Revocable
from tokensvc.verify.expectation import Expectation
from tokensvc.verify.keysource import KeySource
from tokensvc.verify.verified import VerifiedToken
from tokensvc.verify.verifier import (
    Revocations,
    Trace,
    UnsafeHolderProvenUpstream,
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

# The tokens in use at one resource within a token's lifetime. One takes some 10 KB, the largest possible some 200 KB.
DEFAULT_MAX_ENTRIES: Final = 1024

_Found = tuple[str, str, PublicKey | None]
"""An issuer, a `kid`, and what the key source said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """An accepted token: by which terms, with which keys, and what of it is judged again."""

    expect: Expectation
    token_key: _Found
    entry_keys: tuple[_Found, ...]
    claims: AccessTokenClaims
    verified: VerifiedToken
    revocables: tuple[Revocable, ...]


class CachedVerifier:
    """A verifier that remembers the last `max_entries` tokens it accepted. Raises: ValueError unless that is positive.

    Keep one `Expectation` and pass it each time: a token that was judged by another one is judged as if it were new.
    """

    __slots__ = ("_known", "_max_entries")

    def __init__(self, *, max_entries: int = DEFAULT_MAX_ENTRIES) -> None:
        if type(max_entries) is not int or max_entries < 1:
            raise ValueError("max_entries is a positive integer")
        self._max_entries = max_entries
        self._known: OrderedDict[bytes, _Known] = OrderedDict()

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
        proof: UnsafeHolderProvenUpstream | None = None,
    ) -> VerifiedToken:
        """What `verify_token` returns for the same arguments; it raises what that raises."""
        terms = _terms(keys=keys, expect=expect, now=now, revocations=revocations, proof=proof, check_expiry=True)
        require_sound(terms)
        if type(token) is not str or len(token) > expect.max_token_bytes:
            # Refused at step 1, before any work that grows with its size.
            return _verify(token, terms, Trace())
        digest = sha256(token.encode("utf-8", "surrogatepass")).digest()
        # Each step on the table is one call, so threads may share it: at worst a token is judged as if it were new.
        known = self._known.pop(digest, None)
        if known is not None and (known.expect is expect or known.expect == expect):
            self._known[digest] = known
            verified = _verify_again(known, terms)
            if verified is not None:
                return verified
        return self._verify_first(token, digest, terms)

    def _verify_first(self, token: str, digest: bytes, terms: _Terms) -> VerifiedToken:
        keys, trace = _RecordedKeys(terms.keys), Trace()
        verified = _verify(token, replace(terms, keys=keys), trace)
        token_key, *entry_keys = keys.found
        known = _Known(
            expect=terms.expect,
            token_key=token_key,
            entry_keys=tuple(entry_keys),
            # Of an accepted token they are there.
            claims=cast("AccessTokenClaims", trace.claims),
            verified=verified,
            revocables=verified.revocables(),
        )
        self._known[digest] = known
        while len(self._known) > self._max_entries:
            self._known.popitem(last=False)
        return verified


def _verify_again(known: _Known, terms: _Terms) -> VerifiedToken | None:
    """The token, judged by what can have changed; None when it has to be judged from the beginning."""
    if not _is_still_found(known.token_key, terms.keys):  # step 4
        return None
    require_current(known.claims, terms)  # step 6
    require_holder(known.claims, terms)  # step 8
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
