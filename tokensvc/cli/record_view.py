"""A record as text: one line of it, or all of it with the chain drawn; and as JSON.

What stands in a record came from clients and tokens: what could steer a terminal is escaped, and nothing in it is read
as Rich markup.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Final, assert_never

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tokensvc.core.chain import GrantChain, parse_grant_chain
from tokensvc.core.jsontext import JsonValue
from tokensvc.demo.chain_view import entries_tree, show_time, visible
from tokensvc.errors import Malformed
from tokensvc.ports import Outcome, Record

__all__ = ["chain_of", "render_record", "show_record", "summarize"]

_NOTHING: Final = "-"
_STYLES: Final = {Outcome.GRANTED: "green", Outcome.REFUSED: "red", Outcome.REVOKED: "yellow"}
# As wide as the short names that most have; longer ones push the rest of their line to the right.
_NAME_WIDTH: Final = 12
_OUTCOME_WIDTH: Final = max(len(outcome) for outcome in Outcome)


def render_record(record: Record) -> dict[str, JsonValue]:
    """The record in JSON, everything that is in it."""
    return {
        "id": record.id,
        "at": record.at,
        "outcome": record.outcome,
        "client_id": record.client_id,
        "reason": record.reason,
        "lineage": record.lineage,
        "inputs": record.inputs,
    }


def summarize(record: Record) -> Text:
    """One line: when, what came of it, client, actor, user, scope, reason, id."""
    line = Text(f"{show_time(record.at)}  ")
    line.append(f"{record.outcome:<{_OUTCOME_WIDTH}}", _STYLES[record.outcome])
    for name in (record.client_id, _actor(record), _user(record)):
        line.append(f"  {_shown(name):<{_NAME_WIDTH}}")
    line.append(f"  {_subject_matter(record)}")
    line.append(f"  {_shown(_reason(record))}", "red" if record.outcome is Outcome.REFUSED else "")
    line.append(f"  {record.id}", "dim")
    return line


def show_record(console: Console, record: Record) -> None:
    """Print all of it: the facts, what was asked for beside what was granted, and the chain."""
    inputs = record.inputs
    refusal = _object(inputs.get("refusal"))
    facts = {
        "record": record.id,
        "time": show_time(record.at),
        "outcome": record.outcome,
        "reason": _reason(record),
        "because": refusal.get("description"),
        "detail": refusal.get("detail"),
        "client": record.client_id,
        "user": _user(record),
        "shape": inputs.get("shape"),
        "lineage": record.lineage,
        "configuration": inputs.get("configuration"),
    }
    for name, value in (*facts.items(), *_revoked(record), *_user_token(inputs)):
        if value is not None and value != "":
            console.print(Text.assemble((f"{name:<16}", "bold"), _words(value)))
    if "request" in inputs:
        console.print()
        console.print(_comparison(_object(inputs["request"]), _object(inputs.get("granted"))))
    chain = chain_of(record)
    if chain is not None:
        console.print()
        console.print(Text("the chain as it was granted" if "granted" in inputs else "the chain that was presented"))
        console.print(entries_tree(chain, None))


def chain_of(record: Record) -> GrantChain | None:
    """The chain that was granted, else the one that was presented, if there is one."""
    for member in ("granted", "subject"):
        chain = _object(record.inputs.get(member)).get("grant_chain")
        if chain is not None:
            try:
                return parse_grant_chain(chain)
            except Malformed:
                # Written by a version with another profile. --json has it.
                return None
    return None


def _comparison(request: Mapping[str, JsonValue], granted: Mapping[str, JsonValue]) -> Table:
    """What was asked for, and what came of it, side by side."""
    table = Table("", "requested", "granted")
    entries = granted.get("grant_chain")
    leaf = _object(entries[-1]) if isinstance(entries, list) and entries else {}
    rows: list[tuple[str, JsonValue, JsonValue]] = [
        ("actor", request.get("requested_actor"), leaf.get("actor")),
        ("scope", request.get("scope"), granted.get("scope")),
        ("details", request.get("authorization_details"), granted.get("authorization_details")),
        ("resources", request.get("resource"), leaf.get("resources")),
        ("audience", request.get("audience"), granted.get("aud")),
        ("lifetime", _seconds(request.get("requested_lifetime_s")), _end(leaf.get("exp"))),
        ("max depth", request.get("requested_max_depth"), leaf.get("max_depth")),
        ("token", request.get("issued_token_type"), granted.get("jti")),
    ]
    for name, asked, given in rows:
        table.add_row(Text(name, "dim"), Text(_words(asked)), Text(_words(given) if granted else _NOTHING))
    return table


def _revoked(record: Record) -> Iterator[tuple[str, JsonValue]]:
    """What was revoked. Agents revoke hops, which stand there by their `jti` alone."""
    revoked = record.inputs.get("revoked")
    if isinstance(revoked, str):
        yield "revoked", f"entry {revoked}"
    elif isinstance(revoked, Mapping):
        yield "revoked", f"{revoked.get('kind')} {revoked.get('id')}"
        not_before = revoked.get("not_before")
        yield "not before", show_time(not_before) if isinstance(not_before, int) else None


def _user_token(inputs: Mapping[str, JsonValue]) -> Iterator[tuple[str, JsonValue]]:
    """The user's token with which a chain starts."""
    subject = _object(inputs.get("subject"))
    if "sha256" in subject:
        yield "user's token", f"of {subject.get('iss')}, SHA-256 {subject['sha256']}"
        yield "its scope", subject.get("scope")


def _actor(record: Record) -> JsonValue:
    """Who got it, or who should have."""
    chain = _object(record.inputs.get("granted")).get("grant_chain")
    if isinstance(chain, list) and chain:
        return _object(chain[-1]).get("actor")
    return _object(record.inputs.get("request")).get("requested_actor")


def _user(record: Record) -> JsonValue:
    return _object(record.inputs.get("granted")).get("sub") or _object(record.inputs.get("subject")).get("sub")


def _reason(record: Record) -> JsonValue:
    return record.reason or _object(record.inputs.get("refusal")).get("error")


def _subject_matter(record: Record) -> str:
    """The scope that was granted or asked for; of a revocation what it hit."""
    match record.outcome:
        case Outcome.GRANTED:
            return _words(_object(record.inputs.get("granted")).get("scope"))
        case Outcome.REFUSED:
            return _words(_object(record.inputs.get("request")).get("scope"))
        case Outcome.REVOKED:
            return next((_words(value) for _, value in _revoked(record)), _NOTHING)
        case _:
            assert_never(record.outcome)


def _object(value: JsonValue) -> Mapping[str, JsonValue]:
    return value if isinstance(value, Mapping) else {}


def _seconds(value: JsonValue) -> str | None:
    return None if value is None else f"{value} s"


def _end(value: JsonValue) -> str | None:
    return f"until {show_time(value)}" if isinstance(value, int) else None


def _shown(value: JsonValue) -> str:
    return visible(value) if isinstance(value, str) and value else _NOTHING


def _words(value: JsonValue) -> str:
    """Text with its spaces; a list of texts as words; anything else as JSON, in ASCII."""
    match value:
        case None | "" | []:
            return _NOTHING
        case str():
            return " ".join(map(visible, value.split(" ")))
        case [*items] if all(isinstance(item, str) for item in items):
            return " ".join(map(_shown, items))
        case _:
            return json.dumps(value)
