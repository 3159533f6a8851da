"""The header of a JWT that others made: an identity provider's token, an agent's assertion (RFC 7515 s4)."""

from collections.abc import Mapping
from typing import Final

from tokensvc.core.jsontext import JsonValue, parse_json_object
from tokensvc.core.members import parse_text
from tokensvc.errors import Malformed

__all__ = ["parse_header", "parse_typ"]

# What they really send. `crit`, `b64`, `zip`, `jwk`, `jku`, `x5u`, `x5c` would change how a token has to be read, or
# bring a key along (RFC 8725 s3.10).
_MEMBERS: Final = frozenset({"typ", "alg", "kid", "x5t", "x5t#S256"})


def parse_header(header: bytes) -> Mapping[str, JsonValue]:
    """The members of a header that has none but harmless ones. Raises: Malformed."""
    members = parse_json_object(header)
    if not members.keys() <= _MEMBERS:
        raise Malformed("the header has a member that is not allowed")
    return members


def parse_typ(header: Mapping[str, JsonValue]) -> str:
    """The `typ` in lower case and without `application/` (RFC 8725 s3.11); "" when there is none. Raises: Malformed."""
    if "typ" not in header:
        return ""
    typ = parse_text(header["typ"], "typ").lower().removeprefix("application/")
    if not typ:
        # To say nothing is no absence: where a token needs no type, this would be a second way to have none.
        raise Malformed("typ is empty")
    return typ
