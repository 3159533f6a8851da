"""Protected resource metadata (RFC 9728): the document by which a client finds the token service of a resource."""

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from tokensvc.core.authority import is_resource
from tokensvc.core.jsontext import JsonValue
from tokensvc.core.keyset import Algorithm
from tokensvc.core.scope import is_scope_token
from tokensvc.verify import HolderFloor

__all__ = ["metadata_url", "protected_resource_metadata", "require_http_url"]

_WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"


def metadata_url(resource: str) -> str:
    """The absolute URL of the metadata of `resource`: the well-known path stands before its own (RFC 9728 s3).

    Raises: ValueError when `resource` is no absolute http or https URL without fragment (RFC 9728 s1.2 wants https).
    """
    require_http_url("resource", resource)
    parts = urlsplit(resource)
    # A slash right after the host is dropped, any other is part of the name.
    return urlunsplit(parts._replace(path=_WELL_KNOWN + ("" if parts.path == "/" else parts.path)))


def protected_resource_metadata(
    *,
    resource: str,
    authorization_servers: Iterable[str],
    scopes_supported: Iterable[str] = (),
    holder: HolderFloor = HolderFloor.BEARER,
    takes_certificates: bool = False,
) -> dict[str, JsonValue]:
    """The metadata document (RFC 9728 s2). Tokens are taken from the `Authorization` header only, and it says so.

    `holder` is the `Expectation`'s. `takes_certificates`: the middleware sees the certificates of TLS clients. Where
    both kinds of proof are taken, neither is said to be required.
    Raises: ValueError for a URL that is none, no authorization server at all, or something that is no scope.
    """
    require_http_url("resource", resource)
    servers, scopes = list(authorization_servers), list(scopes_supported)
    if not servers:
        raise ValueError("authorization_servers names at least one issuer")
    for server in servers:
        require_http_url("authorization_servers", server)
    # A string is a row of letters to Python, and each letter is a scope.
    if isinstance(scopes_supported, str) or not all(map(is_scope_token, scopes)):
        raise ValueError("scopes_supported is a list of scopes")
    # Empty arrays are left out (RFC 9728 s3.2).
    # Left out they are false.
    certificates: dict[str, JsonValue] = (
        {"tls_client_certificate_bound_access_tokens": True} if takes_certificates else {}
    )
    is_required = holder is HolderFloor.PROOF and not takes_certificates
    required: dict[str, JsonValue] = {"dpop_bound_access_tokens_required": True} if is_required else {}
    supported: dict[str, JsonValue] = {"scopes_supported": scopes} if scopes else {}
    return {
        "resource": resource,
        "authorization_servers": servers,
        **supported,
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": [*Algorithm],
        **certificates,
        **required,
    }


def require_http_url(name: str, url: str) -> None:
    """Raises: ValueError, with `name`, unless `url` is an absolute http or https URL without fragment.

    Such a URL is ASCII without quotation mark and backslash, so it can stand in a quoted header parameter as it is.
    """
    if not is_resource(url) or urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).netloc:
        raise ValueError(f"{name}: not an absolute http or https URL without fragment")
