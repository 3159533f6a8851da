"""Authlib, with a key (ES256). The agent has the two settings for assertions as Authlib makes them."""

from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from joserfc.jwk import ECKey

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"


def connect(client_id: str, private_jwk: dict[str, str | list[str]], issuer: str) -> OAuth2Session:
    way = "private_key_jwt"
    session = OAuth2Session(
        client_id,
        ECKey.import_key(private_jwk),
        token_endpoint_auth_method=way,
        revocation_endpoint_auth_method=way,
    )
    # The URL of the token endpoint is named at every endpoint: that is what the setting allows.
    session.register_client_auth_method(PrivateKeyJWT(f"{issuer}/token", alg="ES256"))
    return session


def exchange(session: OAuth2Session, issuer: str, **parameters: str) -> dict[str, object]:
    answer: dict[str, object] = session.fetch_token(
        f"{issuer}/token", grant_type=TOKEN_EXCHANGE, timeout=10, **parameters
    )
    return answer
