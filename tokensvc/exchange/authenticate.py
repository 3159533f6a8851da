"""Client authentication by secret (RFC 6749 s2.3.1). The one source of a client's identity.

Whatever is wrong, the answer is the same `invalid_client`: an unknown client, a wrong secret, the wrong method and a
disabled agent are not told apart.
"""

import hmac
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from tokensvc.errors import OAuthError, OAuthRefused
from tokensvc.exchange.parties import Agent, AuthMethod, Party, Registry

__all__ = ["ClientCredentials", "authenticate_client"]

# No secret has this digest of nothing but zeros; it costs an unknown client what a known one costs.
_NO_DIGEST: Final = ("0" * 64,)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCredentials:
    """What a client presented. `readings` are (client_id, secret) pairs.

    There is more than one where clients disagree on encoding: RFC 6749 s2.3.1 form-encodes both parts of Basic,
    and many clients do not.
    """

    method: AuthMethod
    readings: tuple[tuple[str, str], ...] = field(repr=False)
    body_client_id: str | None


def authenticate_client(credentials: ClientCredentials | None, registry: Registry) -> Party:
    """The agent or resource that `credentials` prove. Raises: OAuthRefused (`invalid_client`), always the same."""
    proven: Party | None = None
    if credentials is not None:
        # Every reading is tried to the end, so that the time tells nothing about which one was right.
        for client_id, secret in credentials.readings:
            party = registry.party(client_id)
            if _is_secret_of(party, secret) and _is_usable(party, credentials):
                proven = party
    if proven is None:
        raise OAuthRefused(OAuthError.INVALID_CLIENT, None, "client authentication failed")
    return proven


def _is_secret_of(party: Party | None, secret: str) -> bool:
    digest = sha256(secret.encode("utf-8")).hexdigest()
    matches = [hmac.compare_digest(digest, known) for known in (party.secret_sha256 if party else _NO_DIGEST)]
    return party is not None and any(matches)


def _is_usable(party: Party | None, credentials: ClientCredentials) -> bool:
    if party is None or party.auth is not credentials.method:
        return False
    if isinstance(party, Agent) and not party.enabled:
        return False
    return credentials.body_client_id in {None, party.client_id}
