"""The metadata of the service (RFC 8414), made once and checked before anybody sees it.

The same document is served as `openid-configuration`, where many clients look first. It is no OpenID provider's: it
names no authorization, userinfo or registration endpoint and no ID token algorithm, because there are none.
"""

from collections.abc import Iterable
from typing import Final

from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from starlette.requests import Request
from starlette.responses import Response

from tokensvc.core.chain import PROFILE
from tokensvc.core.entry import Evidence
from tokensvc.core.jsontext import JsonValue
from tokensvc.core.keyset import Algorithm
from tokensvc.exchange.parties import AuthMethod, Terms
from tokensvc.exchange.registry import Registry
from tokensvc.exchange.request import GRANT_TYPE
from tokensvc.server.answer import public_json
from tokensvc.server.routes import INTROSPECT, JWKS, REVOKE, TOKEN, Endpoint

__all__ = ["metadata_endpoint", "render_metadata"]

_ALWAYS: Final = frozenset({AuthMethod.CLIENT_SECRET_BASIC, AuthMethod.CLIENT_SECRET_POST, AuthMethod.PRIVATE_KEY_JWT})
_ALGORITHMS: Final[list[JsonValue]] = [*Algorithm]
_GRANT_ALGORITHMS: Final[list[JsonValue]] = [Algorithm.ES256, Algorithm.ED25519]


def render_metadata(
    terms: Terms, registry: Registry, certificate_methods: Iterable[AuthMethod] = ()
) -> dict[str, JsonValue]:
    """The metadata document. Every method that needs nothing but its registration is named, and `certificate_methods`.

    Raises: ValueError when it is not RFC 8414's, which only a fault of ours can cause.
    """
    issuer = terms.issuer
    scopes: list[JsonValue] = [*sorted(registry.scopes_at(registry.resources))]
    # RFC 8414 s3.2 leaves out empty arrays.
    detail_types: list[JsonValue] = [*sorted(registry.detail_types())]
    types: dict[str, JsonValue] = {"authorization_details_types_supported": detail_types} if detail_types else {}
    # What needs a platform is named where one is registered.
    available = _ALWAYS | {platform.auth for platform in registry.platforms.values()} | {*certificate_methods}
    methods: list[JsonValue] = [method for method in AuthMethod if method in available]
    bound = any(agent.certificate_bound for agent in registry.agents.values())
    # One address for clients with and without certificates: RFC 8705 s5 has aliases where there are two.
    certificates: dict[str, JsonValue] = {"tls_client_certificate_bound_access_tokens": True} if bound else {}
    metadata: dict[str, JsonValue] = {
        "issuer": issuer,
        "token_endpoint": issuer + TOKEN,
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": _ALGORITHMS,
        "introspection_endpoint": issuer + INTROSPECT,
        "introspection_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_signing_alg_values_supported": _ALGORITHMS,
        "revocation_endpoint": issuer + REVOKE,
        "revocation_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_signing_alg_values_supported": _ALGORITHMS,
        "jwks_uri": issuer + JWKS,
        "grant_types_supported": [GRANT_TYPE],
        "dpop_signing_alg_values_supported": _ALGORITHMS,
        # Required, and an empty array would be left out: no authorization endpoint, so no response type.
        "response_types_supported": ["none"],
        "scopes_supported": scopes,
        **types,
        **certificates,
        # Ours: what a verifier of the grant chain is configured with.
        "attenuation": terms.order.attenuation,
        "proper_from": terms.order.proper_from,
        "scope_grammar": terms.order.grammar,
        "grant_profile": PROFILE,
        **({"evidence": terms.evidence} if terms.evidence is Evidence.DELEGATOR else {}),
        "delegation_grant_signing_alg_values_supported": _GRANT_ALGORITHMS,
    }
    _validate(metadata)
    return metadata


def metadata_endpoint(metadata: dict[str, JsonValue]) -> Endpoint:
    """The endpoint that publishes `metadata`."""

    async def well_known(_request: Request) -> Response:
        return public_json(metadata)

    return well_known


def _validate(metadata: dict[str, JsonValue]) -> None:
    """RFC 8414 wants https everywhere. The settings allow http on a loopback address, so that much is looked past."""
    with_https = {
        name: "https" + value.removeprefix("http") if isinstance(value, str) and value.startswith("http://") else value
        for name, value in metadata.items()
    }
    AuthorizationServerMetadata(with_https).validate()
