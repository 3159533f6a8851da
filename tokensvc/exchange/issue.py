"""The product: claims built, signed, and checked by the public verifier before anybody sees it (steps 13 and 14)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from tokensvc.core.chain import GrantChain
from tokensvc.core.claims import AccessTokenClaims, render_access_token
from tokensvc.core.jws import SigningKey, seal_compact
from tokensvc.core.keyset import KeySet, PublicKey
from tokensvc.errors import OAuthError, OAuthRefused, Reason, TokenRefused, Unavailable
from tokensvc.exchange.chain_keys import ChainKeys
from tokensvc.exchange.parties import Authority, Terms
from tokensvc.verify import Expectation, VerifiedToken, verify_token
from tokensvc.verify.revocations import UnsafeRevocationElsewhere
from tokensvc.verify.verifier import UnsafeHolderProvenUpstream

__all__ = ["ACCESS_TOKEN_TYP", "Product", "build_token"]

# RFC 9068 s2.1.
ACCESS_TOKEN_TYP = "at+jwt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A signed token and what the public verifier says of it."""

    access_token: str = field(repr=False)
    verified: VerifiedToken


def build_token(
    chain: GrantChain,
    audience: str,
    *,
    cnf: tuple[str, str] | None,
    until: int | None,
    terms: Terms,
    key: SigningKey,
    authorities: Mapping[str, Authority],
    now: int,
    new_id: Callable[[], str],
) -> Product:
    """The token for the leaf of `chain`, bound as `cnf` says, verified.

    `until` is when a credential behind it ends, if one does.

    Raises: OAuthRefused (`expired`, `too_large`); Unavailable when our own verifier refuses it, which only a fault in
    the service can cause.
    """
    leaf = chain.leaf
    exp = min(leaf.authority.exp, now + terms.token_lifetime_s, *([] if until is None else [until]))
    if exp <= now:
        raise OAuthRefused(OAuthError.INVALID_REQUEST, Reason.EXPIRED, "what was delegated has ended")
    claims = AccessTokenClaims(
        iss=terms.issuer,
        sub=terms.user_of(chain.root),
        aud=audience,
        client_id=leaf.actor,
        scope=leaf.authority.scope,
        iat=max(now, leaf.authority.iat),
        exp=exp,
        nbf=None,
        jti=new_id(),
        cnf=cnf,
        details=leaf.authority.details,
    )
    token = seal_compact(render_access_token(claims, chain), typ=ACCESS_TOKEN_TYP, key=key)
    if len(token) > terms.max_issued_bytes:
        raise OAuthRefused(
            OAuthError.INVALID_REQUEST,
            Reason.TOO_LARGE,
            f"the token would have {len(token)} bytes of {terms.max_issued_bytes} allowed; ask for fewer scopes",
        )
    keys = ChainKeys(issuer=terms.issuer, own=_key_set_of(key.public), authorities=authorities)
    return Product(access_token=token, verified=_verify_product(token, audience, terms=terms, keys=keys, now=now))


def _verify_product(token: str, audience: str, *, terms: Terms, keys: ChainKeys, now: int) -> VerifiedToken:
    expect = _expectation_at(terms, audience)
    try:
        return verify_token(
            token,
            keys=keys,
            expect=expect,
            now=now,
            revocations=UnsafeRevocationElsewhere(),
            # Nobody holds it yet.
            proof=UnsafeHolderProvenUpstream(),
        )
    except TokenRefused as exc:
        raise Unavailable(f"the token built does not pass the verifier ({exc.reason})") from exc


# The same in every exchange with one key, or for one audience; to make them is a tenth of the verification. Both are
# values of nothing but their arguments, which stay as they are.
@lru_cache(maxsize=16)
def _key_set_of(key: PublicKey) -> KeySet:
    return KeySet([key])


@lru_cache(maxsize=256)
def _expectation_at(terms: Terms, audience: str) -> Expectation:
    return terms.expect(frozenset({audience}))
