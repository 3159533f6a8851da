"""The answer to a call that is refused, for every adapter: status, challenges and a JSON body.

Sources: RFC 6750 s3, RFC 9449 s7.1 and s8, RFC 9728 s5.1. Everything that gets into a header is ASCII without quotation
mark and backslash: URLs and scopes by their grammar, descriptions by `errors.printable`.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tokensvc.core.jsontext import render_json
from tokensvc.core.keyset import Algorithm
from tokensvc.errors import AccessDenied, OAuthError, OAuthRefused, Reason, TokenRefused
from tokensvc.integrations.credentials import Scheme

__all__ = ["Answer", "Challenges"]

# Long enough for a key set or a revocation feed to be read again, short enough for a caller to wait for it.
_RETRY_AFTER_S: Final = 5
# A refusal speaks of one token at one moment, and a cache must not give it to the next caller.
_HEADERS: Final = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))
_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP answer; `body` is a JSON object with `error`, `error_description` and `reason`."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenges:
    """What every refusal says of how to come back: the `schemes` that are taken, and where the metadata is."""

    schemes: tuple[Scheme, ...]
    resource_metadata: str

    def answer(self, exc: Exception | None, *, scheme: Scheme | None, scope: str | None) -> Answer:
        """The answer for whatever stopped a call; None: it carried no credentials (no error code, RFC 6750 s3.1).

        `scheme` is how the token was presented, if it was; `scope` is what the challenge asks for. What is no verdict
        on the token is answered with 503 and logged: the class of the exception only, as its text could hold the token.
        """
        match exc:
            case None:
                return self._challenge(401, {}, scheme, scope)
            case TokenRefused() if exc.reason is Reason.PROOF_INVALID:
                said = _said(OAuthError.INVALID_DPOP_PROOF, exc.description, exc.reason)
                return self._challenge(401, said, scheme, scope)
            case TokenRefused() if exc.reason is not Reason.REVOCATION_STALE:
                return self._challenge(401, _said("invalid_token", exc.description, exc.reason), scheme, scope)
            case AccessDenied():
                return self._challenge(403, _said("insufficient_scope", exc.description, exc.reason), scheme, scope)
            case OAuthRefused():
                status = 401 if exc.error is OAuthError.USE_DPOP_NONCE else 400
                return self._challenge(status, _said(exc.error, exc.description, exc.reason), scheme, scope)
            case _:
                return _unavailable(exc)

    def _challenge(self, status: int, said: Mapping[str, str], used: Scheme | None, scope: str | None) -> Answer:
        parameters = {name: value for name, value in said.items() if name != "reason"}
        always = {} if scope is None else {"scope": scope}
        always["resource_metadata"] = self.resource_metadata
        # The error belongs to the scheme that was used, and that one first: some read no further.
        first, *others = sorted(self.schemes, key=lambda offered: offered is not used)
        challenges = [_render(first, {**parameters, **always}), *(_render(other, always) for other in others)]
        header = (b"www-authenticate", ", ".join(challenges).encode("ascii"))
        return Answer(status=status, headers=(*_HEADERS, header), body=render_json({**said}))


def _render(scheme: Scheme, parameters: Mapping[str, str]) -> str:
    algorithms = {"algs": " ".join(Algorithm)} if scheme is Scheme.DPOP else {}
    return f"{scheme} " + ", ".join(f'{name}="{value}"' for name, value in {**algorithms, **parameters}.items())


def _unavailable(exc: Exception) -> Answer:
    reason = exc.reason if isinstance(exc, TokenRefused) else Reason.TEMPORARILY_UNAVAILABLE
    _log.error("no verdict on a token: %s: %s", reason, type(exc).__name__)
    said = _said("temporarily_unavailable", "the token cannot be verified at the moment", reason)
    headers = (*_HEADERS, (b"retry-after", b"%d" % _RETRY_AFTER_S))
    return Answer(status=503, headers=headers, body=render_json({**said}))


def _said(error: str, description: str, reason: Reason | None) -> dict[str, str]:
    said = {"error": error, "error_description": description}
    return said if reason is None else {**said, "reason": reason}
