"""Revocation by an operator: every kind there is, by its name. What agents may revoke themselves is in `revoke`.

`entry` and `key` are dead for good. `user`, `actor` and `issuer` are dead up to a moment a little ahead of now, so that
no clock within the leeway makes a chain from before it look younger; after it they may start afresh.
"""

from dataclasses import dataclass
from typing import Final

from tokensvc.core.jsontext import JsonValue
from tokensvc.core.members import parse_jti, parse_text, parse_thumbprint
from tokensvc.core.revocation import Revocation, RevocationKind
from tokensvc.errors import Malformed, OAuthError, OAuthRefused, Reason
from tokensvc.exchange.delegation_grant import GRANT_NOTE
from tokensvc.exchange.parties import REMEMBER_S, Terms
from tokensvc.exchange.record import record_refused
from tokensvc.exchange.service import new_id
from tokensvc.ports import Clock, Outcome, Record, Store
from tokensvc.settings import MAX_ROOT_LIFETIME_S

__all__ = ["OPERATOR_KINDS", "OperatorService", "Revoked"]

OPERATOR_KINDS: Final = (
    RevocationKind.ENTRY,
    RevocationKind.KEY,
    RevocationKind.USER,
    RevocationKind.ACTOR,
    RevocationKind.ISSUER,
)
# Users are called what their identity provider likes, in a token of at most so many bytes.
_MAX_ID_LENGTH: Final = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoked:
    """What was revoked. `not_before` in epoch seconds: what began by then is dead; None: it is dead for good."""

    kind: RevocationKind
    id: str
    not_before: int | None
    record: str


class OperatorService:
    """Revokes for those who run the service."""

    __slots__ = ("_clock", "_store", "_terms")

    def __init__(self, *, terms: Terms, store: Store, clock: Clock) -> None:
        self._terms = terms
        self._store = store
        self._clock = clock

    async def revoke(self, kind: str, name: str, *, operator: str) -> Revoked:
        """Revoke what `kind` and `name` say; `operator` is who asks, for the record.

        An entry is named by its `jti`: a hop, or a root, which takes its whole lineage and every further start from the
        same user token with it. Nothing has to exist: what is not known yet is revoked as well. When this returns, the
        revocation is durable. Raises: OAuthRefused (`parameter_invalid`); Unavailable.
        """
        known = _parse_kind(kind)
        _require_id(known, name)
        now = self._clock()
        timed = known in {RevocationKind.USER, RevocationKind.ACTOR, RevocationKind.ISSUER}
        not_before = now + self._terms.leeway_s if timed else None
        revocations = [Revocation(kind=known, id=name, not_before=not_before, until=self._until(known, now))]
        note = await self._store.note_of(name) if known is RevocationKind.ENTRY else None
        # That of a root is the hash of its subject token; that of a grant bars nothing else.
        if note is not None and not note.startswith(GRANT_NOTE):
            bar = Revocation(kind=RevocationKind.SUBJECT_TOKEN, id=note, not_before=None, until=None)
            revocations.append(bar)
        record = Record(
            id=new_id(),
            at=now,
            outcome=Outcome.REVOKED,
            client_id=operator,
            reason=None,
            lineage=name if len(revocations) > 1 else None,
            inputs={
                "configuration": self._terms.configuration,
                "revoked": {"kind": known, "id": name, "not_before": not_before},
            },
        )
        await self._store.revoke(revocations=tuple(revocations), record=record)
        return Revoked(kind=known, id=name, not_before=not_before, record=record.id)

    async def refused(self, refusal: OAuthRefused, *, client_id: str) -> OAuthRefused:
        """`refusal`, recorded: somebody tried to revoke what is an operator's. Raises: Unavailable."""
        record = record_refused(
            record_id=new_id(),
            now=self._clock(),
            client_id=client_id,
            refusal=refusal,
            lineage=None,
            inputs={"configuration": self._terms.configuration},
        )
        await self._store.append(record)
        return refusal.recorded_as(record.id)

    def _until(self, kind: RevocationKind, now: int) -> int | None:
        """When nothing that it hits can be alive any more; None where that is not known."""
        match kind:
            case RevocationKind.ENTRY | RevocationKind.ACTOR:
                return now + MAX_ROOT_LIFETIME_S + 2 * self._terms.leeway_s + REMEMBER_S
            case _:
                # Users' tokens live as long as their identity provider likes, and keys as long as anybody.
                return None


def _parse_kind(kind: str) -> RevocationKind:
    for known in OPERATOR_KINDS:
        if kind == known:
            return known
    raise _invalid(f"kind is one of {', '.join(OPERATOR_KINDS)}")


def _require_id(kind: RevocationKind, name: str) -> None:
    parse = {RevocationKind.ENTRY: parse_jti, RevocationKind.KEY: parse_thumbprint}.get(kind, _parse_name)
    try:
        parse(name)
    except Malformed as exc:
        raise _invalid(exc.description) from exc


def _parse_name(name: JsonValue) -> str:
    text = parse_text(name, "an id")
    if len(text) > _MAX_ID_LENGTH:
        raise Malformed(f"an id has at most {_MAX_ID_LENGTH} characters")
    return text


def _invalid(description: str) -> OAuthRefused:
    return OAuthRefused(OAuthError.INVALID_REQUEST, Reason.PARAMETER_INVALID, description)
