"""requests_oauth2client, with a client secret or a key."""

from typing import Any

from requests_oauth2client import ClientSecretBasic, ClientSecretPost, OAuth2Client, PrivateKeyJwt


def connect(issuer: str, auth: ClientSecretBasic | ClientSecretPost | PrivateKeyJwt) -> OAuth2Client:
    return OAuth2Client(
        token_endpoint=f"{issuer}/token",
        introspection_endpoint=f"{issuer}/introspect",
        revocation_endpoint=f"{issuer}/revoke",
        auth=auth,
        testing=issuer.startswith("http://127.0.0.1"),  # else it speaks https only
    )


def key_authentication(issuer: str, client_id: str, private_jwk: dict[str, Any]) -> PrivateKeyJwt:
    # Without `aud` it names the endpoint it calls, which even `accept_token_endpoint_audience` takes at /token only.
    return PrivateKeyJwt(client_id, private_jwk, aud=issuer)


def exchange(client: OAuth2Client, **parameters: Any) -> dict[str, object]:
    return client.token_exchange(**parameters).as_dict()
