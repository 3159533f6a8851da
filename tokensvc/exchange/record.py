"""The record of a decision: who asked, on what chain, for what, and what came of it. Never a token, secret or key."""

import re
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Final

from tokensvc.core.chain import GrantChain, Hop, render_grant_chain
from tokensvc.core.details import render_details
from tokensvc.core.entry import Entry, Evidence
from tokensvc.core.jsontext import JsonValue
from tokensvc.core.scope import render_scope
from tokensvc.errors import OAuthRefused
from tokensvc.exchange.request import ExchangeRequest
from tokensvc.ports import Outcome, Record
from tokensvc.verify import VerifiedToken

__all__ = [
    "describe_grant",
    "describe_lone_grant",
    "describe_request",
    "describe_subject",
    "record_granted",
    "record_refused",
    "without_secrets",
]

# What could be a token or secret that a client put into the wrong parameter is not written down: 128 bits or more in
# hex or base64url. Names that people give have no letters of both cases and digits in so long a word.
_SECRET_LIKE: Final = re.compile(
    r"[A-Za-z0-9_-]{40,}(?:\.[A-Za-z0-9_-]*)*"
    r"|\b[0-9a-f]{32,}\b"
    r"|(?<![A-Za-z0-9_-])(?=[A-Za-z_-]*[0-9])(?=[a-z0-9_-]*[A-Z])(?=[A-Z0-9_-]*[a-z])[A-Za-z0-9_-]{22,}"
)
# A record keeps enough of a parameter to see what was meant, and no more: a request may be 64 KiB, and a refusal costs
# the asker nothing.
_MAX_TEXT: Final = 200
# More targets than this in one request are a mistake; the record says enough with the first ones.
_MAX_ITEMS: Final = 4


def describe_request(request: ExchangeRequest) -> dict[str, JsonValue]:
    """The parameters of a request, the subject token excepted."""
    return {
        "subject_token_type": request.subject_token_type,
        "resource": [_safe(resource) for resource in request.resource[:_MAX_ITEMS]],
        "audience": [_safe(audience) for audience in request.audience[:_MAX_ITEMS]],
        "scope": None if request.scope is None else _safe(request.scope),
        "authorization_details": None
        if request.authorization_details is None
        else _safe(request.authorization_details),
        "requested_actor": None if request.requested_actor is None else _safe(request.requested_actor),
        "requested_lifetime_s": request.requested_lifetime_s,
        "requested_max_depth": request.requested_max_depth,
        "issued_token_type": request.issued_token_type,
    }


def describe_subject(token: VerifiedToken) -> dict[str, JsonValue]:
    """The chain that was presented."""
    return {"sub": token.sub, "lineage": token.lineage, **_describe_chain(token.chain)}


def describe_grant(token: VerifiedToken) -> dict[str, JsonValue]:
    """The token that was granted, by its identifiers and authority."""
    return {
        "jti": token.jti,
        "sub": token.sub,
        "aud": token.audience,
        "scope": render_scope(token.scope),
        "authorization_details": render_details(token.details),
        "exp": token.exp,
        **_describe_chain(token.chain),
    }


def _describe_chain(chain: GrantChain) -> dict[str, JsonValue]:
    """What the entries say, each as if it were plain, and whose word each is.

    Of one that was signed by others the SHA-256 stands beside, and no signature: such texts stay out.
    """
    entries: tuple[Entry, ...] = (chain.root, *chain.hops)
    signed: dict[str, JsonValue] = {
        entry.jti: sha256(entry.claim.signed.jws.signing_input).hexdigest()
        for entry in entries
        if entry.claim is not None
    }
    plain = GrantChain(root=replace(chain.root, claim=None), hops=tuple(replace(hop, claim=None) for hop in chain.hops))
    root = Evidence.ISSUER if chain.root.claim is None else Evidence.AUTHORITY
    hops = [Evidence.ISSUER if hop.claim is None else Evidence.DELEGATOR for hop in chain.hops]
    described: dict[str, JsonValue] = {"grant_chain": list(render_grant_chain(plain)), "evidence": [root, *hops]}
    return {**described, "signed_entries": signed} if signed else described


def describe_lone_grant(grant: Hop) -> dict[str, JsonValue]:
    """A grant that may stand in no chain: whose word it says it is, and for whom."""
    iss = None if grant.claim is None else _safe(grant.claim.iss)
    return {"jti": grant.jti, "iss": iss, "actor": _safe(grant.actor)}


def record_granted(
    *, record_id: str, now: int, client_id: str, token: VerifiedToken, inputs: Mapping[str, JsonValue]
) -> Record:
    """The record of a token about to be released."""
    return Record(
        id=record_id,
        at=now,
        outcome=Outcome.GRANTED,
        client_id=client_id,
        reason=None,
        lineage=token.lineage,
        inputs={**inputs, "granted": describe_grant(token)},
    )


def record_refused(
    *,
    record_id: str,
    now: int,
    client_id: str,
    refusal: OAuthRefused,
    lineage: str | None,
    inputs: Mapping[str, JsonValue],
) -> Record:
    """The record of a refusal, with the exact fault for the operator."""
    fault: dict[str, JsonValue] = {
        "error": refusal.error,
        "description": without_secrets(refusal.description),
        "detail": without_secrets(refusal.detail),
    }
    return Record(
        id=record_id,
        at=now,
        outcome=Outcome.REFUSED,
        client_id=client_id,
        reason=refusal.reason,
        lineage=lineage,
        inputs={**inputs, "refusal": fault},
    )


def without_secrets(text: str) -> str:
    """`text` with everything that could be a token or secret replaced."""
    return _SECRET_LIKE.sub("[long value]", text)


def _safe(text: str) -> str:
    shown = without_secrets(text)
    return shown if len(shown) <= _MAX_TEXT else shown[:_MAX_TEXT] + "..."
