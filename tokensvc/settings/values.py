"""The kinds of values that settings hold. Each is checked alone, and a refusal says what to write instead."""

import hashlib
import re
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, GetPydanticSchema, PlainValidator, StrictInt
from pydantic_core import PydanticCustomError, core_schema

from tokensvc.core.authority import is_resource
from tokensvc.core.chain import HARD_MAX_DEPTH
from tokensvc.core.details import Details, parse_details
from tokensvc.core.keyset import Algorithm
from tokensvc.core.scope import MAX_SCOPES, is_scope_token
from tokensvc.core.spiffe import is_trust_domain, parse_spiffe_id
from tokensvc.errors import Malformed
from tokensvc.settings.redis_url import REDIS_SCHEMES, parse_redis_url

__all__ = [
    "MAX_ITEMS",
    "MAX_ROOT_LIFETIME_S",
    "MEMORY",
    "SQLITE",
    "UNUSABLE",
    "AuthorizationDetails",
    "ClaimPath",
    "ClaimRules",
    "ClaimValue",
    "ClientIds",
    "Depth",
    "FilePath",
    "IssuerUrl",
    "Lifetime",
    "Name",
    "Names",
    "Networks",
    "ResourceNames",
    "ResourceUri",
    "Resources",
    "ScopeMap",
    "Scopes",
    "SecretHashes",
    "ServiceAccount",
    "SomeAlgorithms",
    "SomeClaim",
    "SomeNames",
    "SomeResources",
    "SomeScopes",
    "SpiffeIdText",
    "StoreUrl",
    "SubjectPrefix",
    "TrustDomain",
    "entries",
]

MEMORY: Final = "memory:"
SQLITE: Final = "sqlite:///"

# A working day: after it the user is asked again.
MAX_ROOT_LIFETIME_S: Final = 8 * 3600
# Two at once, so that a secret can be replaced without an outage; a third would be a forgotten one.
MAX_SECRETS: Final = 2
# More than anybody registers by hand; it bounds the cost of one look through a list.
MAX_ITEMS: Final = 1000
# Keycloak's resource_access.CLIENT.roles has three; nobody hides a claim deeper than this.
MAX_CLAIM_STEPS: Final = 8

ClaimPath = tuple[str, ...]
"""The names of members, from the claims set inwards: `("realm_access", "roles")`."""

ClaimValue = str | int | bool

UNUSABLE: Final = "unusable"
"""The pydantic error type of our own checks; its context holds `problem` and `remedy`."""

# Visible ASCII without quotation mark and backslash (RFC 6749 A.1): safe in logs, records and error descriptions.
_NAME: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,256}")
# What a claim may be called: any text on one line.
_CLAIM_NAME: Final = re.compile(r"[^\x00-\x1f\x7f]{1,256}")
# Namespace and name as Kubernetes allows them (RFC 1123 label, RFC 1123 subdomain), so that neither has a colon.
_SERVICE_ACCOUNT: Final = re.compile(
    r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?:(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?"
)
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_URI_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_ISSUER_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")
_ISSUER_PATH: Final = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")


def _unusable(problem: str, remedy: str) -> PydanticCustomError:
    return PydanticCustomError(UNUSABLE, "{problem}", {"problem": problem, "remedy": remedy})


def entries(*, at_least: int = 0, at_most: int) -> BeforeValidator:
    """Bounds the number of entries of a list, each different. What is no list is left for the type to refuse.

    pydantic's own lower bound counts the entries that are left after refusing some, and would report a second fault.
    """

    def require_entries(value: object) -> object:
        if not isinstance(value, list):
            return value
        if len(value) < at_least:
            raise _unusable("has too few entries", f"Give at least {at_least}.")
        if len(value) > at_most:
            raise _unusable("has too many entries", f"Give at most {at_most}.")
        if any(value.count(item) > 1 for item in value):
            raise _unusable("an entry stands twice in the list", "Remove the repeated entry.")
        return value

    return BeforeValidator(require_entries)


def _require_name(text: str) -> str:
    if _NAME.fullmatch(text) is None:
        raise _unusable(
            "is not 1 to 256 visible ASCII characters",
            "Use letters, digits and punctuation other than spaces, quotation marks and backslashes.",
        )
    return text


def _require_prefix(text: str) -> str:
    return _require_name(text) if text else text


def _require_scope_token(text: str) -> str:
    if not is_scope_token(text):
        raise _unusable("is not a scope of RFC 6749 s3.3", "Write one scope per entry, without spaces or quotes.")
    return text


def _read_details(value: object) -> Details:
    try:
        return parse_details(value)
    except Malformed as exc:
        raise _unusable(
            f"is no list of authorization details ({exc.description})",
            "See Authorization details in docs/token-profile.md.",
        ) from exc


def _require_resource(text: str) -> str:
    if not is_resource(text):
        raise _unusable(
            "is not an absolute URI without a fragment", "Write the resource as it is addressed: https://api.example."
        )
    return text


def _require_resource_name(text: str) -> str:
    if _URI_SCHEME.match(text):
        raise _unusable("is a URI, which only the id of a resource may be", "Choose a short name such as crm.")
    return _require_name(text)


def _require_secret_hash(text: str) -> str:
    remedy = "Store the lowercase hex SHA-256 of a secret of at least 128 random bits, as tokensvc init does."
    if _SHA256.fullmatch(text) is None:
        raise _unusable("is not 64 lowercase hexadecimal digits", remedy)
    if text == hashlib.sha256(b"").hexdigest():
        raise _unusable("is the hash of no secret at all", remedy)
    return text


def _require_issuer_url(text: str) -> str:
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        raise _unusable("is not a URL", "Write it like https://tokens.example.") from None
    host = url.hostname or ""
    authority = url.netloc if port is None else url.netloc.rpartition(":")[0]
    if url.scheme != "https" and not (url.scheme == "http" and _is_loopback(host)):
        raise _unusable("is not an https URL", "Write https://...; http is for 127.0.0.1, [::1] and localhost only.")
    if not is_resource(text) or _ISSUER_HOST.fullmatch(authority) is None or _ISSUER_PATH.fullmatch(url.path) is None:
        raise _unusable(
            "is not scheme, host and plain path alone",
            "Leave out user, query, fragment, escapes and the slash at the end: every endpoint is issuer + /token etc.",
        )
    if url.query or "?" in text:
        raise _unusable("has a query", "Leave out everything from the question mark on (RFC 8414 s2).")
    return text


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _read_claim_path(value: object) -> ClaimPath:
    """A claim's name, dots between the names of members; or the list of names, where one of them has a dot.

    A name with a colon or slash is one name: `https://api.example/roles` has no member `example/roles`.
    """
    match value:
        case str():
            path = (value,) if ":" in value or "/" in value else tuple(value.split("."))
        case list() | tuple() if value and all(isinstance(step, str) for step in value):
            path = tuple(value)
        case _:
            path = ()
    if not 0 < len(path) <= MAX_CLAIM_STEPS or any(_CLAIM_NAME.fullmatch(step) is None for step in path):
        raise _unusable(
            "is no name of a claim, nor a path to one",
            'Write "scp", "realm_access.roles", or a list of names where one has a dot: ["resource_access", "a.b"].',
        )
    return path


def _read_claim_rules(value: object) -> tuple[tuple[ClaimPath, tuple[ClaimValue, ...]], ...]:
    """Pairs of a path and the values one of which the claim must have."""
    if isinstance(value, tuple):  # read before: a copy of the settings is made
        return value
    remedy = 'Write a table: { tid = "...", email_verified = true, hd = ["one.example", "two.example"] }.'
    if not isinstance(value, dict) or len(value) > MAX_ITEMS:
        raise _unusable("is not a table of claims and the values they must have", remedy)
    rules = []
    for name, wanted in value.items():
        values = tuple(wanted) if isinstance(wanted, list) else (wanted,)
        if not values or not all(isinstance(one, str | int | bool) for one in values):
            raise _unusable("has a claim whose value is no text, whole number or boolean, nor a list of them", remedy)
        rules.append((_read_claim_path(name), values))
    return tuple(rules)


def _read_scope_map(value: object) -> tuple[tuple[str, frozenset[str]], ...]:
    """Pairs of a name at the identity provider and the scopes here that it stands for."""
    if isinstance(value, tuple):
        return value
    remedy = 'Write a table of their names and your scopes: { "CRM Reader" = ["crm.read"], admin = "crm.write" }.'
    if not isinstance(value, dict) or len(value) > MAX_ITEMS:
        raise _unusable("is not a table of their names and your scopes", remedy)
    if not value:
        # Said by somebody who means that no name counts; without a map, all do.
        raise _unusable(
            "maps no name", "Leave scope_map out to take their names as they are, or name those that count."
        )
    pairs = []
    for theirs, ours in value.items():
        scopes = ours if isinstance(ours, list) else [ours]
        if not theirs or not scopes or not all(isinstance(scope, str) and is_scope_token(scope) for scope in scopes):
            raise _unusable("maps a name to what is no scope of RFC 6749 s3.3", remedy)
        pairs.append((theirs, frozenset(scopes)))
    return tuple(pairs)


def _read_client_ids(value: object) -> tuple[tuple[str, str], ...]:
    """Pairs of an identity provider's `iss` and the client id there."""
    if isinstance(value, tuple):
        return value
    remedy = 'Write a table: { "https://idp.example" = "0oa1b2c3" }.'
    if not isinstance(value, dict) or len(value) > MAX_ITEMS:
        raise _unusable("is not a table of identity providers and client ids", remedy)
    if not all(isinstance(client_id, str) and _NAME.fullmatch(client_id) for client_id in value.values()):
        raise _unusable("has a client id that is not 1 to 256 visible ASCII characters", remedy)
    return tuple(value.items())


def _require_spiffe_id(text: str) -> str:
    try:
        return str(parse_spiffe_id(text))
    except Malformed as exc:
        raise _unusable(
            f"is no SPIFFE ID of a workload ({exc.description})",
            "Write it as the trust domain has it: spiffe://example.org/ns/agents/sa/planner.",
        ) from exc


def _require_trust_domain(text: str) -> str:
    if not is_trust_domain(text):
        raise _unusable("is no name of a trust domain", "Write the name alone, in lower case: example.org.")
    return text


def _require_service_account(text: str) -> str:
    if _SERVICE_ACCOUNT.fullmatch(text) is None:
        raise _unusable("is no service account", "Write NAMESPACE:NAME, such as agents:planner.")
    return text


def _require_network(text: str) -> str:
    try:
        ip_network(text)
    except ValueError:
        raise _unusable("is no network", "Write it like 10.1.0.0/16, or 127.0.0.1/32 for one address.") from None
    return text


def _require_store_url(text: str) -> str:
    if text == MEMORY:
        return text
    if text.startswith(REDIS_SCHEMES):
        return _require_redis_url(text)
    path = text.removeprefix(SQLITE)
    if path == text:
        raise _unusable(
            "names no store that exists",
            "Use sqlite:///FILE (relative to this file), sqlite:////ABSOLUTE, redis://HOST, rediss://HOST, or memory:.",
        )
    if path in {"", ":memory:"}:
        raise _unusable("names no file", "Write sqlite:///tokensvc.db, or memory: for a store that forgets.")
    if not path.isprintable() or "?" in path or "#" in path:
        raise _unusable("has options or characters that a store's file cannot have", "Write sqlite:///FILE alone.")
    return text


def _require_redis_url(text: str) -> str:
    try:
        parse_redis_url(text)
    except ValueError as exc:
        raise _unusable(
            f"is no address of a Redis server: {exc}",
            "Write redis://USER:PASSWORD@HOST:PORT/DB, or rediss:// for TLS; in user and password @ as %40, : as %3A.",
        ) from None
    return text


def _require_file(path: Path) -> Path:
    if path == Path() or not str(path).isprintable():
        raise _unusable("names no file or folder", "Write a path; it counts from the folder of this file.")
    return path


Name = Annotated[str, AfterValidator(_require_name)]
ResourceUri = Annotated[str, AfterValidator(_require_resource)]
StoreUrl = Annotated[str, AfterValidator(_require_store_url)]
SubjectPrefix = Annotated[str, AfterValidator(_require_prefix)]
SpiffeIdText = Annotated[str, AfterValidator(_require_spiffe_id)]
TrustDomain = Annotated[str, AfterValidator(_require_trust_domain)]
ServiceAccount = Annotated[str, AfterValidator(_require_service_account)]
IssuerUrl = Annotated[str, AfterValidator(_require_issuer_url)]
FilePath = Annotated[Path, AfterValidator(_require_file)]
# A schema of its own: pydantic would walk the type, which holds itself.
AuthorizationDetails = Annotated[
    Details, GetPydanticSchema(lambda _type, _handler: core_schema.no_info_plain_validator_function(_read_details))
]
Networks = Annotated[tuple[Annotated[str, AfterValidator(_require_network)], ...], entries(at_most=MAX_ITEMS)]
SomeClaim = Annotated[ClaimPath, PlainValidator(_read_claim_path)]
ClaimRules = Annotated[tuple[tuple[ClaimPath, tuple[ClaimValue, ...]], ...], PlainValidator(_read_claim_rules)]
ScopeMap = Annotated[tuple[tuple[str, frozenset[str]], ...], PlainValidator(_read_scope_map)]
ClientIds = Annotated[tuple[tuple[str, str], ...], PlainValidator(_read_client_ids)]
Lifetime = Annotated[StrictInt, Field(ge=1, le=MAX_ROOT_LIFETIME_S)]
Depth = Annotated[StrictInt, Field(ge=1, le=HARD_MAX_DEPTH)]

Names = Annotated[frozenset[Name], entries(at_most=MAX_ITEMS)]
ResourceNames = Annotated[frozenset[Annotated[str, AfterValidator(_require_resource_name)]], entries(at_most=MAX_ITEMS)]
SomeNames = Annotated[frozenset[Name], entries(at_least=1, at_most=MAX_ITEMS)]
Resources = Annotated[frozenset[ResourceUri], entries(at_most=MAX_ITEMS)]
SomeResources = Annotated[frozenset[ResourceUri], entries(at_least=1, at_most=MAX_ITEMS)]
ScopeToken = Annotated[str, AfterValidator(_require_scope_token)]
Scopes = Annotated[frozenset[ScopeToken], entries(at_most=MAX_SCOPES)]
SomeScopes = Annotated[frozenset[ScopeToken], entries(at_least=1, at_most=MAX_SCOPES)]
SomeAlgorithms = Annotated[frozenset[Algorithm], entries(at_least=1, at_most=len(Algorithm))]
SecretHashes = Annotated[
    tuple[Annotated[str, AfterValidator(_require_secret_hash)], ...], entries(at_least=1, at_most=MAX_SECRETS)
]
