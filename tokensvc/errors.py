"""Every exception of tokensvc, and the stable codes that callers and tests match on.

    TokensvcError
    |-- Malformed            bytes or values that break a grammar (JSON, JWS, scope, URI, claims)
    |-- TokenRefused         a token that did not pass verification
    |-- AccessDenied         a verified token that does not allow the call in question
    |-- KeyRefused           key material that must not be used
    |-- OAuthRefused         a request that is answered with an OAuth error
    |-- Unavailable          a store or key set that cannot answer: no token and no access
    `-- ConfigurationError   a setting that cannot be used; names file, key and remedy

`description` is safe for a stranger: ASCII, no token, no secret, no oracle. `detail` is for the operator's record only.
"""

import re
from enum import StrEnum
from typing import Final

__all__ = [
    "AccessDenied",
    "ConfigurationError",
    "KeyRefused",
    "Malformed",
    "OAuthError",
    "OAuthRefused",
    "Reason",
    "TokenRefused",
    "TokensvcError",
    "Unavailable",
    "printable",
]


class Reason(StrEnum):
    """Why something was refused. The values are part of the public interface and never change.

    Each says what it means; `Where` it is met (steps of the verifier or of the exchange) and the error code that goes
    with it; and what the caller does `Then`. docs/errors.md is made from these texts by docs/generate.py.
    """

    # Verification of a token, in the order of the steps.
    TOO_LARGE = "too_large"
    """More bytes, values or comparisons than the limit that the description names.

    Where: verifier 1, 12: invalid_token; request 1: invalid_request; exchange 11: invalid_authorization_details;
        exchange 14: invalid_request
    Then: send less; ask for fewer scopes or details, or for a shorter chain.
    """
    MALFORMED = "malformed"
    """It breaks a grammar: JSON, compact JWS, a claim, a scope, a form. The description names the rule.

    Where: resource: invalid_token; verifier 1, 2, 3, 5, 9: invalid_token; request 1: invalid_request;
        exchange 11: invalid_scope, invalid_authorization_details
    Then: mend what is sent; a token of another kind is no token here.
    """
    WRONG_TYPE = "wrong_type"
    """The header's `typ` is not that of an access token: an ID token, a DPoP proof or a grant is none.

    Where: verifier 2: invalid_token
    Then: send the access token.
    """
    UNTRUSTED_ISSUER = "untrusted_issuer"
    """The `iss` is none of the verifier's `issuers`, byte for byte.

    Where: verifier 3: invalid_token
    Then: use the token service that this resource trusts; compare its `issuer` with the verifier's.
    """
    UNKNOWN_KEY = "unknown_key"
    """No key of the issuer fits the header's `kid` and `alg`.

    Where: verifier 4: invalid_token
    Then: get a new token. Operators: look whether the verifier's key set is the issuer's and fresh.
    """
    BAD_SIGNATURE = "bad_signature"
    """The named key did not make the signature over these bytes: the token was changed or forged.

    Where: verifier 4: invalid_token
    Then: get a new token, and find out where this one was changed.
    """
    EXPIRED = "expired"
    """The token, or what was delegated, has ended.

    Where: verifier 6: invalid_token; exchange 5, 13: invalid_request
    Then: renew the token while its delegation lives; after that ask the delegator again.
    """
    NOT_YET_VALID = "not_yet_valid"
    """The `iat` or `nbf` lies ahead of the verifier's clock by more than its leeway.

    Where: verifier 6: invalid_token; exchange 13: invalid_request
    Then: set the clocks right.
    """
    LIFETIME_EXCEEDED = "lifetime_exceeded"
    """A token that lives longer than a verifier without a view of revocations allows, or a longer life than there is.

    Where: verifier 6: invalid_token; exchange 13: invalid_request
    Then: ask for a shorter life; the description names the longest.
    """
    WRONG_AUDIENCE = "wrong_audience"
    """The `aud` is none of the audiences expected here, byte for byte.

    Where: verifier 7: invalid_token
    Then: get a token for this resource; an exchange-only token is good at the token endpoint alone.
    """
    HOLDER_UNPROVEN = "holder_unproven"
    """The token is bound to a key (`cnf`), and the sender did not prove that it holds it; or it is bound to none, and
    a proof came with it or is required.

    Where: verifier 8: invalid_token; exchange 6: invalid_request
    Then: prove the key of `cnf`: by a DPoP proof that names this token, or a TLS connection with that certificate; get
        a token that is bound where a proof is required, and send one that is not bound as a bearer token.
    """
    PROOF_INVALID = "proof_invalid"
    """The DPoP proof does not fit the request, or is no proof at all (RFC 9449 s4.3). The description names the rule.

    Where: resource: invalid_dpop_proof, use_dpop_nonce; exchange 6: invalid_dpop_proof, use_dpop_nonce
    Then: make a new proof for each request, with `htm` and `htu` of that request and the time of now; with
        `use_dpop_nonce` put the nonce of the header `DPoP-Nonce` into it.
    """
    CHAIN_MISSING = "chain_missing"
    """The token carries no `grant_chain`: nothing shows how its authority came about.

    Where: verifier 9: invalid_token
    Then: get the token from a token service of this profile.
    """
    CHAIN_MISALIGNED = "chain_misaligned"
    """`act` and `grant_chain` do not name the same actors, an entry is not linked to the one before, or one repeats.

    Where: verifier 10: invalid_token
    Then: get a new token, and tell the operator of the token service: it signed a chain that does not hold together.
    """
    ROOT_INVALID = "root_invalid"
    """The root is of another issuer or user, or signed by no authority that is trusted for this one.

    Where: verifier 11: invalid_token; exchange 8: invalid_request
    Then: start again from a user's token, or a root, of an identity provider or authority that is registered now.
    """
    GRANT_INVALID = "grant_invalid"
    """The signed grant of a hop is not its delegator's word for this place in this chain.

    Where: verifier 12: invalid_token; exchange 6, 7, 10: invalid_request
    Then: have the delegator sign a grant for this chain with the key that it is bound to; leave out parameters that
        say something else than the grant.
    """
    EVIDENCE_INSUFFICIENT = "evidence_insufficient"
    """An entry rests on less than the verifier demands: it wants an authority's root, signed hops, or a pinned key.

    Where: verifier 12: invalid_token; exchange 11: invalid_request
    Then: have root and hops signed, by a `delegation_grant`; or lower the floors of the verifier, if the token
        service's word is enough.
    """
    NOT_NARROWER = "not_narrower"
    """A hop has more than the entry before it, in the dimension that the description names.

    Where: verifier 12: invalid_token; exchange 11: invalid_request, invalid_scope, invalid_authorization_details
    Then: ask for nothing that the delegator does not hold.
    """
    NOT_PROPER = "not_proper"
    """A hop has everything that the entry before it has: a delegation holds less.

    Where: verifier 12: invalid_token; exchange 11: invalid_scope
    Then: leave out at least one of what the description names.
    """
    DEPTH_EXCEEDED = "depth_exceeded"
    """A hop is deeper than a `max_depth` above it, the token service or the verifier allows.

    Where: verifier 12: invalid_token; exchange 9: invalid_request
    Then: delegate from higher up, or let an agent do the work itself.
    """
    TOKEN_EXCEEDS_GRANT = "token_exceeds_grant"
    """The token says more than its last hop grants, or something else.

    Where: verifier 13: invalid_token
    Then: get a new token, and tell the operator of the token service: it signed more than was delegated.
    """
    REVOKED = "revoked"
    """The token, or something above it, was revoked.

    Where: verifier 14: invalid_token; exchange 8, 14: invalid_request
    Then: stop: this work is over. Only a new delegation from the user or an agent above goes on.
    """
    REVOCATION_STALE = "revocation_stale"
    """The verifier's view of revocations is older than it relies on, or of a time ahead: nothing can be cleared.

    Where: verifier 14: temporarily_unavailable
    Then: try again later. Operators: bring the view up to date.
    """
    # What a verified token allows.
    INSUFFICIENT_SCOPE = "insufficient_scope"
    """The token is good and does not carry the scope of this call; an exchange-only token allows no call.

    Where: call: insufficient_scope
    Then: ask for the scope that the challenge names, from an agent that holds it.
    """
    ARGUMENT_DENIED = "argument_denied"
    """No authorization detail of the token admits this tool with these arguments at this resource.

    Where: call: insufficient_scope
    Then: change the arguments, or ask for a detail that admits the call.
    """
    # The exchange.
    PARAMETER_MISSING = "parameter_missing"
    """A required parameter is absent or empty; the description names it.

    Where: request 1: invalid_request; exchange 4: invalid_request; exchange 11: invalid_authorization_details
    Then: send it.
    """
    PARAMETER_INVALID = "parameter_invalid"
    """A parameter has a value that cannot be meant, or stands where none may.

    Where: request 1, 2: invalid_request; exchange 4: invalid_request; revoke: invalid_request
    Then: mend it; the description names it.
    """
    PARAMETER_REPEATED = "parameter_repeated"
    """A parameter or header stands more than once: two readers could pick different ones.

    Where: request 1, 2: invalid_request; resource: invalid_request
    Then: send it once; only `resource` and `audience` may repeat.
    """
    PARAMETER_UNSUPPORTED = "parameter_unsupported"
    """A parameter, header or type that means something which is not built, or not for this kind of request.

    Where: exchange 4, 13: invalid_request
    Then: leave it out.
    """
    SUBJECT_TOKEN_INVALID = "subject_token_invalid"
    """The subject token is none of ours and no acceptable user's token. Why is in the record only.

    Where: exchange 5: invalid_request
    Then: get a new user's token, meant for this service and for this client; ask the operator for the record.
    """
    ACTOR_TOKEN_INVALID = "actor_token_invalid"
    """The `actor_token` is not the client's own word for this request, nor its platform's. What is wrong is in the
    record alone.

    Where: exchange 7: invalid_request
    Then: sign a new one with the client's key, for each request, or send the current token of the client's platform
    (JWT-SVID, service account token); or leave it out, as the client authenticates anyway.
    """
    ACTOR_REQUIRED = "actor_required"
    """The request does not say which agent the token is for.

    Where: exchange 7: invalid_request
    Then: name it in `requested_actor`; for a renewal that is the client itself.
    """
    NOT_CURRENT_ACTOR = "not_current_actor"
    """The client is not the agent that the subject token was issued to.

    Where: exchange 7: invalid_request
    Then: exchange a token of your own; whose token this is, you should not hold.
    """
    DELEGATEE_NOT_ALLOWED = "delegatee_not_allowed"
    """The agent asked for, or one in the chain, is unknown, disabled or not one to delegate to. Which, is not said.

    Where: exchange 7, 8: invalid_request
    Then: ask the operator to register the agent, or the delegation to it.
    """
    LOOP = "loop"
    """The agent asked for acts in this chain already.

    Where: exchange 9: invalid_request
    Then: delegate to another agent; an agent narrows its own grant by naming itself.
    """
    TARGET_NOT_ALLOWED = "target_not_allowed"
    """A resource is unknown, was not delegated or is not for that agent; or a scope has no meaning at any of them.

    Where: exchange 10: invalid_target; exchange 11: invalid_scope
    Then: name resources that the delegator has and the agent is registered for, and only scopes that they know.
    """
    SCOPE_MISSING = "scope_missing"
    """The request names no scope. Leaving it out never means everything.

    Where: exchange 11: invalid_scope
    Then: name the scopes that are needed.
    """
    ROOT_EXCEEDED = "root_exceeded"
    """It is more than the user's token carries; or a signed root says more than its authority may grant here.

    Where: exchange 11: invalid_scope, invalid_authorization_details, invalid_request
    Then: ask for less, or have the user grant more.
    """
    CEILING_EXCEEDED = "ceiling_exceeded"
    """It is more than the agent is registered for.

    Where: exchange 11: invalid_scope
    Then: ask for less, or have the operator register more for that agent.
    """
    REPLAYED = "replayed"
    """An entry of the chain, or the DPoP proof, was used before; a grant, for another hop.

    Where: exchange 6: invalid_dpop_proof; exchange 14: invalid_request; revoke: invalid_request
    Then: send the request anew, with a new proof; sign a new grant, with a `jti` of its own.
    """
    # Ours to mend: the answer is 503.
    TEMPORARILY_UNAVAILABLE = "temporarily_unavailable"
    """A store, a key or a key set cannot answer. Nothing was decided and nothing issued.

    Where: request: temporarily_unavailable; resource: temporarily_unavailable
    Then: try again after `Retry-After`.
    """


class OAuthError(StrEnum):
    """`error` values of RFC 6749 s5.2, RFC 8693 s2.2.2, RFC 9396 s5, RFC 9449 s5 and s8, and RFC 7009 s2.2.1."""

    INVALID_REQUEST = "invalid_request"
    """The form, a parameter or the subject token is at fault; `reason` says which (RFC 6749 s5.2, RFC 8693 s2.2.2)."""
    INVALID_CLIENT = "invalid_client"
    """Client authentication failed. What was wrong is not said (RFC 6749 s5.2)."""
    INVALID_SCOPE = "invalid_scope"
    """The scope asked for is absent, malformed, or not to be had (RFC 6749 s5.2)."""
    INVALID_TARGET = "invalid_target"
    """The resources or audiences asked for are not to be had (RFC 8693 s2.2.2, RFC 8707 s2)."""
    INVALID_AUTHORIZATION_DETAILS = "invalid_authorization_details"
    """The authorization details asked for are malformed, or not to be had (RFC 9396 s5)."""
    INVALID_DPOP_PROOF = "invalid_dpop_proof"
    """The DPoP proof of the request is at fault (RFC 9449 s5)."""
    USE_DPOP_NONCE = "use_dpop_nonce"
    """The proof has to carry the nonce that the header `DPoP-Nonce` gives (RFC 9449 s8)."""
    UNAUTHORIZED_CLIENT = "unauthorized_client"
    """The client is known and may not do this (RFC 6749 s5.2, RFC 7009 s2.1)."""
    UNSUPPORTED_GRANT_TYPE = "unsupported_grant_type"
    """Only token exchange is offered (RFC 6749 s5.2)."""
    TEMPORARILY_UNAVAILABLE = "temporarily_unavailable"
    """The service cannot decide now. Nothing was issued (RFC 7009 s2.2.1)."""


# What RFC 6749 s5.2 leaves to an error_description: printable ASCII without the quotation mark and the backslash.
_UNPRINTABLE: Final = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]")


def printable(text: str, *, max_length: int = 300) -> str:
    """`text` cut to the characters that an `error_description` may hold (RFC 6749 s5.2), anything else as `?`."""
    shown = _UNPRINTABLE.sub("?", text[: max_length + 1])
    return shown if len(shown) <= max_length else shown[:max_length] + "..."


class TokensvcError(Exception):
    """The root of the tree. `description` may be shown to anybody."""

    def __init__(self, description: str) -> None:
        """Keep a copy of `description` that is safe to put into a header or a log line."""
        self.description = printable(description)
        super().__init__(self.description)


class _Reasoned(TokensvcError):
    """An error with a stable `reason` and a `detail` for the operator."""

    def __init__(self, reason: Reason, description: str, *, detail: str = "") -> None:
        super().__init__(description)
        self.reason = reason
        self.detail = printable(detail)

    def __str__(self) -> str:
        return f"{self.reason}: {self.description}"


class Malformed(TokensvcError):
    """Input that breaks a grammar. `reason` is `malformed`, or `too_large` where a size was the fault."""

    def __init__(self, description: str, *, reason: Reason = Reason.MALFORMED) -> None:
        """`description` names the rule that was broken, not the input."""
        super().__init__(description)
        self.reason = reason


class TokenRefused(_Reasoned):
    """A token that did not pass verification; `reason` is the first check that failed."""


class AccessDenied(_Reasoned):
    """A verified token that does not allow the call in question (RFC 6750 s3.1, insufficient_scope).

    `scope` is what the call needs, for the challenge that asks the client to come back with more; None: nothing helps.
    """

    def __init__(self, reason: Reason, description: str, *, detail: str = "", scope: str | None = None) -> None:
        super().__init__(reason, description, detail=detail)
        self.scope = scope


class KeyRefused(TokensvcError):
    """Key material that must not be used: weak, of another kind than its algorithm, private where public is due."""


class OAuthRefused(TokensvcError):
    """A request answered with an OAuth error. `reason` is absent where it would tell a stranger too much.

    `detail` goes to the operator's record and never into the answer; `record` is the id of that record, once there is.
    """

    def __init__(
        self, error: OAuthError, reason: Reason | None, description: str, *, detail: str = "", record: str | None = None
    ) -> None:
        super().__init__(description)
        self.error = error
        self.reason = reason
        self.detail = printable(detail)
        self.record = record

    def __str__(self) -> str:
        """The codes and the safe text."""
        return f"{self.error} ({self.reason}): {self.description}"

    def recorded_as(self, record: str) -> "OAuthRefused":
        """The same refusal, naming its record."""
        return OAuthRefused(self.error, self.reason, self.description, detail=self.detail, record=record)


class Unavailable(TokensvcError):
    """A store or key set that cannot answer. The answer is 503 and nothing is issued."""


class ConfigurationError(TokensvcError):
    """A setting that cannot be used."""

    def __init__(self, problem: str, *, file: str, key: str, remedy: str) -> None:
        """`file` and `key` say where, `remedy` says what to do."""
        super().__init__(problem)
        self.file = file
        self.key = key
        self.remedy = remedy

    def __str__(self) -> str:
        """One line for the terminal: where, what, and the remedy."""
        where = f"{self.file}: {self.key}" if self.key else self.file
        return f"{where}: {self.description}. {self.remedy}"
