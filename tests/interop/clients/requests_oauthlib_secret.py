"""requests-oauthlib, with a client secret in the body or, with `HTTPBasicAuth`, in the header."""

from oauthlib.oauth2 import BackendApplicationClient
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session


class ExchangeClient(BackendApplicationClient):
    grant_type = "urn:ietf:params:oauth:grant-type:token-exchange"


def exchange(issuer: str, client_id: str, secret: str, auth: str, **parameters: str) -> dict[str, object]:
    in_header = {"auth": HTTPBasicAuth(client_id, secret)}
    in_body = {"client_secret": secret, "include_client_id": True}
    credentials = in_header if auth == "client_secret_basic" else in_body
    with OAuth2Session(client=ExchangeClient(client_id)) as session:
        answer: dict[str, object] = session.fetch_token(f"{issuer}/token", timeout=10, **credentials, **parameters)
    return answer
