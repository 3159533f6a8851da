"""The subject token, where it is one of ours: it goes through the public verifier (step 5).

Before the signature is known to be ours every fault is the same `subject_token_invalid`, as for what is no token at
all: a stranger must not learn whether a token was forged, expired or never existed.
"""

from typing import Final

from tokensvc.core.jsontext import parse_json_object
from tokensvc.core.jws import split_compact
from tokensvc.errors import Malformed, OAuthError, OAuthRefused, Reason, TokenRefused
from tokensvc.verify import KeySource, VerifiedToken
from tokensvc.verify.expectation import MAX_TOKEN_BYTES, Expectation
from tokensvc.verify.revocations import UnsafeRevocationElsewhere
from tokensvc.verify.verifier import unsafe_verify_token_of_any_age

__all__ = ["audience_of", "issuer_of", "subject_of", "subject_token_invalid", "verify_own_token"]

# Before the signature is known to be ours, a reason would tell a forger how far the forgery got.
_BEFORE_SIGNATURE: Final = frozenset(
    {
        Reason.TOO_LARGE,
        Reason.MALFORMED,
        Reason.WRONG_TYPE,
        Reason.UNTRUSTED_ISSUER,
        Reason.UNKNOWN_KEY,
        Reason.BAD_SIGNATURE,
    }
)


def issuer_of(token: str) -> str | None:
    """The `iss` that an unverified token claims: a hint which check applies, nothing more."""
    return _claimed(token, "iss")


def audience_of(token: str) -> str | None:
    """The `aud` that an unverified token claims. Worth something only once the token verified."""
    return _claimed(token, "aud")


def subject_of(token: str) -> str | None:
    """The `sub` that an unverified token claims: a hint whose key to look for."""
    return _claimed(token, "sub")


def _claimed(token: str, name: str) -> str | None:
    try:
        claim = parse_json_object(split_compact(token, max_bytes=MAX_TOKEN_BYTES).payload).get(name)
    except Malformed:
        return None
    return claim if isinstance(claim, str) and claim else None


def verify_own_token(token: str, keys: KeySource, *, expect: Expectation, now: int) -> VerifiedToken:
    """The proof that `token` is one of ours, whatever its age. Revocation is the store's answer and comes later.

    Raises: OAuthRefused (`invalid_request`), with the verifier's reason once the signature verified.
    """
    try:
        return unsafe_verify_token_of_any_age(
            token, keys=keys, expect=expect, now=now, revocations=UnsafeRevocationElsewhere()
        )
    except TokenRefused as exc:
        if exc.reason in _BEFORE_SIGNATURE:
            raise subject_token_invalid(str(exc)) from exc
        raise OAuthRefused(OAuthError.INVALID_REQUEST, exc.reason, f"subject_token: {exc.description}") from exc


def subject_token_invalid(detail: str) -> OAuthRefused:
    """The one refusal; `detail` is for the record."""
    return OAuthRefused(
        OAuthError.INVALID_REQUEST, Reason.SUBJECT_TOKEN_INVALID, "the subject_token is not acceptable", detail=detail
    )
