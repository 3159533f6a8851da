"""What kind of JWT a header says it belongs to (RFC 7515 s4.1.9, RFC 8725 s3.11)."""

from collections.abc import Mapping

from tokensvc.core.jsontext import JsonValue
from tokensvc.core.members import parse_text
from tokensvc.errors import Malformed

__all__ = ["parse_typ"]


def parse_typ(header: Mapping[str, JsonValue]) -> str:
    """The `typ` in lower case and without `application/`; "" when there is none. Raises: Malformed."""
    if "typ" not in header:
        return ""
    typ = parse_text(header["typ"], "typ").lower().removeprefix("application/")
    if not typ:
        # To say nothing is no absence: where a token needs no type, this would be a second way to have none.
        raise Malformed("typ is empty")
    return typ
