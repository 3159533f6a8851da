"""google-auth, with a client secret. It can start a delegation and accept one; it cannot hand one on."""

from google.auth.transport.requests import Request
from google.oauth2.sts import Client
from google.oauth2.utils import ClientAuthentication, ClientAuthType

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


def exchange(
    issuer: str, client_id: str, secret: str, subject_token: str, *, resource: str, scopes: list[str]
) -> dict[str, object]:
    client = Client(f"{issuer}/token", ClientAuthentication(ClientAuthType.basic, client_id, secret))
    answer: dict[str, object] = client.exchange_token(
        Request(), TOKEN_EXCHANGE, subject_token, ACCESS_TOKEN, resource=resource, scopes=scopes
    )
    return answer
