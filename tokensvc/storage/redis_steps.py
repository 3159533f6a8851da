"""The operations of the store as arguments of the script `redis_step.lua`, and its answers as values. Pure.

An operation is checked when it is made, in its caller: one that cannot be stored never reaches the others of its call.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, cast

from tokensvc.core.revocation import Revocable, Revocation
from tokensvc.errors import Unavailable
from tokensvc.ports import Committed, ListedRecord, OneTimeValue, Record
from tokensvc.storage.ledger import (
    KEPT_AFTER_END_S,
    Listing,
    RecordRow,
    parse_record,
    render_record,
    require_limit,
    require_storable,
    require_storable_claims,
    require_storable_revocations,
)
from tokensvc.storage.loss import MARKS_KEPT, LossRule, Seen, first_position, new_mark, new_store_id

__all__ = [
    "Found",
    "Step",
    "appending",
    "asking_note",
    "asking_revoked",
    "claiming",
    "committing",
    "finding",
    "listing_records",
    "parse_found",
    "pinging",
    "render_call",
    "revoking",
]

T_co = TypeVar("T_co", covariant=True)

Argument = str | int
Reply = Any
"""What the driver makes of a reply: bytes, int, or a list of replies."""

# Of a position as the caller sees it: enough for 53 bits, and for more records than one call can carry.
_SEQUENCE_DIGITS: Final = 16
_NUMBER_DIGITS: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Generic[T_co]):
    """One operation: what the script is told, and what its reply means."""

    arguments: tuple[Argument, ...]
    answer: Callable[[Reply], T_co]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a call of the script came to: the state to remember, whether it was made or lost, and the replies."""

    seen: Seen
    is_made: bool
    is_lost: bool
    replies: Sequence[Reply]


def render_call(
    steps: Sequence[Step[object]], rule: LossRule, seen: Seen | None, *, may_make: bool
) -> tuple[int, list[Argument]]:
    """The moment of the call and the script's arguments. `may_make`: where nothing is found, make a store."""
    now = rule.clock()
    issuers = (rule.issuer, *rule.upstream)
    head: list[Argument] = [now, int(may_make)]
    head += ["", 0, "", 0] if seen is None else [seen.id, seen.sequence, seen.mark, seen.at]
    head += [new_store_id(), new_mark(), rule.made_at(now), rule.forgotten_at(now), first_position(now)]
    head += [MARKS_KEPT, KEPT_AFTER_END_S, len(issuers), *issuers, len(steps)]
    return now, [*head, *(argument for step in steps for argument in step.arguments)]


def parse_found(reply: Reply, now: int) -> Found:
    """What the script answered to a call at `now`."""
    found, identity, sequence, mark, replies = reply
    seen = Seen(id=identity.decode(), sequence=int(sequence), mark=mark.decode(), at=now)
    return Found(seen=seen, is_made=found == b"made", is_lost=found == b"lost", replies=replies)


def claiming(claims: tuple[OneTimeValue, ...], now: int) -> Step[Committed]:
    """The step `IssuanceStore.claim`. Raises: ValueError for values that no store holds."""
    require_storable_claims(claims, now)
    return Step(arguments=("claim", now, *_claims(claims)), answer=_committed)


def committing(
    claims: tuple[OneTimeValue, ...], unless_revoked: tuple[Revocable, ...], record: Record, now: int
) -> Step[Committed]:
    """The step `IssuanceStore.commit`. Raises: ValueError for values that no store holds."""
    row = render_record(record)
    require_storable_claims(claims, now)
    arguments = ("commit", now, *_claims(claims), *_revocables(unless_revoked), *_record(row))
    return Step(arguments=arguments, answer=_committed)


def asking_note(value: str) -> Step[str | None]:
    """The step `IssuanceStore.note_of`. Raises: ValueError for values that no store holds."""
    require_storable(value)
    return Step(arguments=("note", value), answer=_parse_optional)


def revoking(revocations: tuple[Revocation, ...], record: Record) -> Step[None]:
    """The step `RevocationStore.revoke`. Raises: ValueError for values that no store holds."""
    row = render_record(record)
    require_storable_revocations(revocations)
    fields = [
        argument
        for revocation in revocations
        for argument in (_field(revocation), _bound(revocation.not_before), _bound(revocation.until))
    ]
    return Step(arguments=("revoke", len(revocations), *fields, *_record(row)), answer=_require_stored)


def asking_revoked(revocables: tuple[Revocable, ...]) -> Step[bool]:
    """The step `RevocationStore.is_revoked`. Raises: ValueError for values that no store holds."""
    return Step(arguments=("ask", *_revocables(revocables)), answer=lambda reply: bool(reply == b"revoked"))


def appending(record: Record) -> Step[None]:
    """The step `RecordStore.append`. Raises: ValueError for values that no store holds."""
    return Step(arguments=("append", *_record(render_record(record))), answer=_require_stored)


def finding(record_id: str) -> Step[Record | None]:
    """The step `RecordStore.find`. Raises: ValueError."""
    require_storable(record_id)
    return Step(arguments=("find", record_id), answer=_parse_one)


def listing_records(wanted: Listing) -> Step[tuple[ListedRecord, ...]]:
    """The step `RecordStore.list_records`. Raises: ValueError."""
    require_limit(wanted.limit)
    after = "" if wanted.after is None else _parse_position(wanted.after)

    def answer(reply: Reply) -> tuple[ListedRecord, ...]:
        listed = tuple(_parse_listed(entry) for entry in reply)
        return listed[::-1] if wanted.newest else listed

    return Step(arguments=("list", after, wanted.limit, int(wanted.newest)), answer=answer)


def pinging() -> Step[object]:
    """The step `Store.ping`: it writes, and stores nothing."""
    return Step(arguments=("ping",), answer=lambda _reply: None)


def _claims(claims: tuple[OneTimeValue, ...]) -> list[Argument]:
    fields = [argument for claim in claims for argument in (claim.value, claim.until, claim.made, _render_note(claim))]
    return [len(claims), *fields]


def _render_note(claim: OneTimeValue) -> str:
    return f"~{claim.note}" if claim.repeatable and claim.note is not None else _render_optional(claim.note)


def _revocables(revocables: tuple[Revocable, ...]) -> list[Argument]:
    for revocable in revocables:
        require_storable(revocable.id, revocable.iat)
    fields = [argument for revocable in revocables for argument in (_field(revocable), revocable.iat)]
    return [len(revocables), *fields]


def _field(item: Revocable | Revocation) -> str:
    return f"{item.kind.value}:{item.id}"


def _bound(moment: int | None) -> Argument:
    return "-" if moment is None else moment


def _record(row: RecordRow) -> tuple[Argument, ...]:
    record_id, at, outcome, client_id, reason, lineage, inputs = row
    return (record_id, at, outcome, client_id, _render_optional(reason), _render_optional(lineage), inputs)


def _committed(reply: Reply) -> Committed:
    _require_stored(reply)
    return Committed(reply.decode())


def _require_stored(reply: Reply) -> None:
    if reply == b"stands":
        raise ValueError("a record of this id stands already")


def _parse_one(reply: Reply) -> Record | None:
    return _parse_listed(reply[0]).record if reply else None


def _parse_listed(entry: Reply) -> ListedRecord:
    position, fields = entry
    try:
        held = {name.decode(): value.decode("utf-8") for name, value in _pairs(fields)}
        row = (
            held["id"],
            int(held["at"]),
            held["outcome"],
            held["client_id"],
            _present(held["reason"]),
            _present(held["lineage"]),
            held["inputs"],
        )
    except (KeyError, ValueError) as exc:
        raise Unavailable("a stored record cannot be read") from exc
    return ListedRecord(position=_render_position(position.decode()), record=parse_record(row))


def _pairs(fields: Sequence[bytes]) -> Iterable[tuple[bytes, bytes]]:
    return zip(fields[::2], fields[1::2], strict=True)


def _render_optional(text: str | None) -> str:
    return "" if text is None else f"={text}"


def _parse_optional(reply: Reply) -> str | None:
    try:
        return _present(cast("bytes", reply).decode("utf-8"))
    except UnicodeDecodeError as exc:
        raise Unavailable("a stored note cannot be read") from exc


def _present(text: str) -> str | None:
    return text[1:] if text else None


def _render_position(entry: str) -> str:
    """A stream id as text that sorts as the ids do."""
    sequence, _, number = entry.partition("-")
    return f"{int(sequence):0{_SEQUENCE_DIGITS}d}-{int(number):0{_NUMBER_DIGITS}d}"


def _parse_position(text: str) -> str:
    """The stream id of a position. Raises: ValueError."""
    sequence, _, number = text.partition("-")
    if (len(sequence), len(number)) != (_SEQUENCE_DIGITS, _NUMBER_DIGITS) or not (sequence + number).isdecimal():
        raise ValueError("this is no position of a record")
    return f"{int(sequence)}-{int(number)}"
