# ruff: noqa: INP001 - a script, not a package
"""Writes the parts of the documentation that come from the code: docs/errors.md, from tokensvc/errors.py.

A text that does not say all that it has to is an error here and not a gap there.
"""

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tokensvc import errors
from tokensvc.errors import OAuthError, Reason

__all__ = ["Meaning", "Place", "meanings", "oauth_errors", "parse_meaning", "render_errors"]

ERRORS_PAGE: Final = Path(__file__).resolve().parent / "errors.md"

# RFC 6750 s3.1 and RFC 6749 s5.2; everything else is 400.
_STATUS: Final = {
    "invalid_token": 401,
    "insufficient_scope": 403,
    "invalid_client": 401,
    "temporarily_unavailable": 503,
}
# Where a token is presented, what is wrong with its proof is answered as what is wrong with it (RFC 9449 s7.1).
_STATUS_AT_RESOURCE: Final = {"invalid_dpop_proof": 401, "use_dpop_nonce": 401}
_BEARER_ERRORS: Final = frozenset({"invalid_token", "insufficient_scope"})
_PLACES: Final = {
    "resource": "resource server",
    "verifier": "verifier",
    "call": "`token.require(...)`",
    "request": "token service, any endpoint",
    "exchange": "`/token`",
    "revoke": "`/revoke`",
}
_TEXT: Final = re.compile(r"(?P<means>.+?)\n\nWhere: (?P<where>.+?)\nThen: (?P<then>.+)", re.DOTALL)
_PLACE: Final = re.compile(r"(?P<name>[a-z]+)(?: (?P<steps>\d+(?:, \d+)*))?: (?P<errors>[a-z_]+(?:, [a-z_]+)*)")

_HEAD: Final = """\
<!-- Made by `make docs` from tokensvc/errors.py. Change it there. -->
# Errors

Every refusal has a `reason`: it is stable and safe to match on. Texts are not.

| where | how it is told |
|---|---|
| the verifier | `TokenRefused`. At a resource server 401 `invalid_token`, and `reason` in the body |
| `token.require(...)` | `AccessDenied`. At a resource server 403 `insufficient_scope`, and `reason` in the body |
| the token service | a status and `error`; `reason` and `record` in the body |
| a store or key set that cannot answer | `Unavailable`. Everywhere 503 with `Retry-After` |

Steps of the verifier are those of [its page](verifier.md). Steps of the exchange: 1 form, 2 client authentication,
3 grant type allowed, 4 parameters, 5 subject token, 6 holder, 7 actor, 8 nothing revoked or disabled,
9 depth and loops, 10 target, 11 authority, 13 lifetime, 14 build, verify, store. The first failure decides.

A subject token that the token service signed itself goes through the same verifier. Its `reason` comes back with 400
`invalid_request`; `too_large`, `malformed` and those of steps 2 to 4 come back as `subject_token_invalid`.

## Reasons

| `reason` | means | met in | then |
|---|---|---|---|
"""
_OAUTH: Final = """
## OAuth errors

| `error` | status | means |
|---|---|---|
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a reason is met: steps, if the place has any, and the error codes that go with it there."""

    name: str
    steps: tuple[int, ...]
    errors: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What is said of one reason."""

    reason: Reason
    means: str
    places: tuple[Place, ...]
    then: str


def meanings() -> tuple[Meaning, ...]:
    """What tokensvc/errors.py says of every reason. Raises: ValueError for one that does not say all of it."""
    texts = dict(_member_texts("Reason"))
    return tuple(parse_meaning(reason, texts.get(reason.name, "")) for reason in Reason)


def parse_meaning(reason: Reason, text: str) -> Meaning:
    """What `text`, which stands below that reason, says. Raises: ValueError when that is not all of it."""
    match = _TEXT.fullmatch(text)
    if match is None:
        raise ValueError(f"{reason.name} in tokensvc/errors.py says not what it means, Where and Then")
    places = tuple(_parse_place(reason, place) for place in _one_line(match["where"]).split("; "))
    return Meaning(reason=reason, means=_one_line(match["means"]), places=places, then=_one_line(match["then"]))


def oauth_errors() -> dict[OAuthError, str]:
    """What tokensvc/errors.py says of every OAuth error. Raises: KeyError for one of which it says nothing."""
    texts = dict(_member_texts("OAuthError"))
    return {error: _one_line(texts[error.name]) for error in OAuthError}


def render_errors() -> str:
    """The page of errors, in Markdown."""
    rows = "".join(map(_row, meanings()))
    codes = "".join(
        f"| `{error}` | {_shown_status(error)} | {_without_stop(text)} |\n" for error, text in oauth_errors().items()
    )
    return _HEAD + rows + _OAUTH + codes


def _member_texts(name: str) -> Iterator[tuple[str, str]]:
    """Every member of that enum and the text that stands below it in the source; at run time it is gone."""
    module = ast.parse(inspect.getsource(errors))
    (enum,) = (node for node in module.body if isinstance(node, ast.ClassDef) and node.name == name)
    for member, below in zip(enum.body, enum.body[1:], strict=False):
        if not isinstance(member, ast.Assign) or not isinstance(member.targets[0], ast.Name):
            continue
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str):
            yield member.targets[0].id, inspect.cleandoc(below.value.value)


def _parse_place(reason: Reason, text: str) -> Place:
    match = _PLACE.fullmatch(text)
    if match is None or match["name"] not in _PLACES:
        raise ValueError(f"{reason.name} in tokensvc/errors.py: no place is {text!r}")
    codes = tuple(match["errors"].split(", "))
    unknown = set(codes) - _BEARER_ERRORS - set(OAuthError)
    if unknown:
        raise ValueError(f"{reason.name} in tokensvc/errors.py: no error is {sorted(unknown)}")
    steps = tuple(int(step) for step in (match["steps"] or "").split(", ") if step)
    return Place(name=match["name"], steps=steps, errors=codes)


def _row(meaning: Meaning) -> str:
    places = "; ".join(map(_shown, meaning.places))
    return f"| `{meaning.reason}` | {_without_stop(meaning.means)} | {places} | {_without_stop(meaning.then)} |\n"


def _shown(place: Place) -> str:
    noun = " step " if len(place.steps) == 1 else " steps "
    steps = noun + ", ".join(map(str, place.steps)) if place.steps else ""
    statuses = _STATUS | (_STATUS_AT_RESOURCE if place.name == "resource" else {})
    answers = " or ".join(f"{statuses.get(code, 400)} `{code}`" for code in place.errors)
    return f"{_PLACES[place.name]}{steps}: {answers}"


def _shown_status(error: str) -> str:
    status, at_resource = _STATUS.get(error, 400), _STATUS_AT_RESOURCE.get(error)
    return str(status) if at_resource is None else f"{status}; at a resource server {at_resource}"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _without_stop(text: str) -> str:
    return text.removesuffix(".")


if __name__ == "__main__":
    ERRORS_PAGE.write_text(render_errors(), "utf-8")
