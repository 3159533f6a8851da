"""Authlib, with a client secret: `auth` is `client_secret_basic` or `client_secret_post`."""

from authlib.integrations.requests_client import OAuth2Session

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"


def connect(client_id: str, secret: str, auth: str) -> OAuth2Session:
    return OAuth2Session(client_id, secret, token_endpoint_auth_method=auth, revocation_endpoint_auth_method=auth)


def exchange(session: OAuth2Session, issuer: str, **parameters: str) -> dict[str, object]:
    answer: dict[str, object] = session.fetch_token(
        f"{issuer}/token", grant_type=TOKEN_EXCHANGE, timeout=10, **parameters
    )
    return answer


def introspect(session: OAuth2Session, issuer: str, token: str) -> dict[str, object]:
    answer = session.introspect_token(f"{issuer}/introspect", token, timeout=10)
    answer.raise_for_status()
    seen: dict[str, object] = answer.json()
    return seen


def revoke(session: OAuth2Session, issuer: str, token: str) -> None:
    session.revoke_token(f"{issuer}/revoke", token, timeout=10).raise_for_status()
