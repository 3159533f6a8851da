"""What docs/clients.md says of each library: the settings that it needs, and what is refused without them."""

from typing import Any, Final

import pytest
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from google.auth import exceptions
from google.auth.transport.requests import Request
from google.oauth2.sts import Client
from google.oauth2.utils import ClientAuthentication, ClientAuthType
from requests_oauth2client import PrivateKeyJwt
from requests_oauth2client.exceptions import InvalidClient, InvalidRequest

from tests.interop.clients import authlib_key, authlib_secret, google_auth_secret, requests_oauth2client_any
from tests.interop.libraries import NodeProcess, Refused, private_jwk_of
from tests.interop.service import API, FILES, USER, Service, secret_of
from tokensvc.exchange.request import ACCESS_TOKEN_TYPE, GRANT_TYPE

STRICT: Final = "planner.ES256"
LENIENT: Final = "planner.lenient"
BASIC: Final = "planner.client_secret_basic"


def authlib_with(service: Service, client_id: str, claims: dict[str, str] | None = None) -> OAuth2Session:
    session = authlib_key.connect(client_id, private_jwk_of(client_id), service.issuer)
    session.register_client_auth_method(PrivateKeyJWT(f"{service.issuer}/token", claims=claims, alg="ES256"))
    return session


@pytest.mark.parametrize(
    ("names_issuer", "description"),
    [
        (False, "aud of the client_assertion is this service's issuer alone, as a string"),
        (True, "the client_assertion lives longer than 300 s"),
    ],
)
def test_authlib_with_a_key_needs_both_settings_and_is_told_which(
    service: Service, names_issuer: bool, description: str
) -> None:
    claims = {"aud": service.issuer} if names_issuer else None

    with pytest.raises(OAuthError) as refused:
        authlib_key.exchange(authlib_with(service, STRICT, claims), service.issuer, **service.start(STRICT))

    assert (refused.value.error, refused.value.description) == ("invalid_client", description)
    lenient = authlib_with(service, LENIENT, claims)
    assert authlib_key.exchange(lenient, service.issuer, **service.start(LENIENT))["access_token"]


def test_authlib_with_claims_of_its_own_signs_one_jti_for_ever(service: Service) -> None:
    session = authlib_with(service, LENIENT, {"aud": service.issuer})
    assert authlib_key.exchange(session, service.issuer, **service.start(LENIENT))["access_token"]

    with pytest.raises(OAuthError) as refused:
        authlib_key.exchange(session, service.issuer, **service.start(LENIENT))

    assert refused.value.error == "invalid_client"
    assert refused.value.description == "the client_assertion was used before; make one for each request"
    without = authlib_with(service, LENIENT)
    for _ in range(2):
        assert authlib_key.exchange(without, service.issuer, **service.start(LENIENT))["access_token"]


def test_authlib_refuses_a_list_of_resources_before_it_sends_anything(service: Service) -> None:
    with authlib_secret.connect(BASIC, secret_of(BASIC), "client_secret_basic") as session:
        resources: Any = [API, FILES]
        with pytest.raises(TypeError):
            authlib_secret.exchange(session, service.issuer, **service.start(BASIC), resource=resources)
        assert authlib_secret.exchange(session, service.issuer, **service.start(BASIC), resource=API)


def test_requests_oauth2client_with_a_key_needs_aud_or_a_setting(service: Service) -> None:
    def connect(client_id: str) -> Any:  # noqa: ANN401 - OAuth2Client
        way = PrivateKeyJwt(client_id, private_jwk_of(client_id))
        return requests_oauth2client_any.connect(service.issuer, way)

    with pytest.raises(InvalidClient) as refused:
        requests_oauth2client_any.exchange(connect(STRICT), **service.start(STRICT))

    assert refused.value.description == "aud of the client_assertion is this service's issuer alone, as a string"
    lenient = connect(LENIENT)
    assert requests_oauth2client_any.exchange(lenient, **service.start(LENIENT))["access_token"]
    # The setting is for the token endpoint's URL; at another endpoint this library names that one.
    with pytest.raises(InvalidClient):
        lenient.introspect_token("x")


@pytest.mark.parametrize(
    ("change", "description"),
    [
        ({"scope": ["crm.read", "crm.write"]}, "the parameter scope stands more than once"),
        ({"requested_token_type": "access_token"}, "requested_token_type"),
    ],
)
def test_requests_oauth2client_is_given_scope_as_text_and_token_types_in_full(
    service: Service, change: dict[str, Any], description: str
) -> None:
    way = requests_oauth2client_any.key_authentication(service.issuer, STRICT, private_jwk_of(STRICT))
    client = requests_oauth2client_any.connect(service.issuer, way)

    with pytest.raises(InvalidRequest) as refused:
        requests_oauth2client_any.exchange(client, **service.start(STRICT, **change))

    assert description in (refused.value.description or "")
    control = service.start(STRICT, requested_token_type=ACCESS_TOKEN_TYPE)
    assert requests_oauth2client_any.exchange(client, **control)["scope"] == "crm.export crm.read crm.write"


def presented(service: Service) -> str:
    """A token that planner got for `API` from a delegation that also names `FILES`, as it presents it to `API`."""
    form = {"scope": "crm.read files.read", "requested_actor": BASIC}
    both: Any = [API, FILES]
    exchange_only = service.exchange(BASIC, service.user_token(BASIC), **form, resource=both)
    return service.exchange(BASIC, exchange_only, **form, resource=API)


def test_google_auth_starts_and_the_server_of_a_resource_accepts(service: Service) -> None:
    user_token, secret = service.user_token(BASIC), secret_of("crm-server")
    started = google_auth_secret.exchange(
        service.issuer, BASIC, secret_of(BASIC), user_token, resource=API, scopes=["crm.read", "crm.write"]
    )
    accepted = google_auth_secret.exchange(
        service.issuer, "crm-server", secret, presented(service), resource=FILES, scopes=["files.read"]
    )

    seen = service.introspect(str(started["access_token"]))
    assert (seen["sub"], seen["scope"]) == (USER, "crm.read crm.write")
    assert (accepted["scope"], accepted["token_type"]) == ("files.read", "Bearer")
    with pytest.raises(exceptions.OAuthError, match=r"invalid_scope.*crm\.delete"):
        google_auth_secret.exchange(
            service.issuer, BASIC, secret_of(BASIC), user_token, resource=API, scopes=["crm.delete"]
        )


def test_google_auth_cannot_say_who_a_token_is_for(service: Service) -> None:
    client = Client(f"{service.issuer}/token", ClientAuthentication(ClientAuthType.basic, BASIC, secret_of(BASIC)))
    started = service.exchange(BASIC, service.user_token(BASIC), scope="crm.read crm.write")
    to = {"requested_actor": "researcher.client_secret_basic"}

    with pytest.raises(exceptions.OAuthError, match=r"invalid_request.*requested_actor"):
        client.exchange_token(
            Request(), GRANT_TYPE, started, ACCESS_TOKEN_TYPE, scopes=["crm.read"], additional_options=to
        )

    assert service.exchange(BASIC, started, scope="crm.read", **to)


def test_google_auth_library_starts_and_the_server_of_a_resource_accepts(service: Service, node: NodeProcess) -> None:
    def exchange(client_id: str, token: str, audience: str, *scope: str) -> str:
        client = {"id": client_id, "secret": secret_of(client_id)}
        form = {"subjectToken": token, "audience": audience, "scope": scope}
        answer: str = node.call("google-auth-library", "exchange", service.issuer, client, form)
        return answer

    started = exchange(BASIC, service.user_token(BASIC), "crm", "crm.read", "crm.write")
    accepted = exchange("crm-server", presented(service), "files", "files.read")

    assert service.introspect(started)["scope"] == "crm.read crm.write"
    seen = service.post("/introspect", "files-api", {"token": accepted}).json()
    assert (seen["scope"], seen["client_id"]) == ("files.read", "crm-server")
    with pytest.raises(Refused) as refused:
        exchange(BASIC, service.user_token(BASIC), "crm", "crm.delete")
    assert "invalid_scope" in (refused.value.description or "")
    assert "crm.delete" in (refused.value.description or "")


def test_jose_takes_a_token_for_an_ordinary_access_token(service: Service, node: NodeProcess) -> None:
    token = service.exchange(BASIC, service.user_token(BASIC), scope="crm.read", resource=API)

    claims = node.call("jose", "verify", service.issuer, {}, API, token)

    assert (claims["sub"], claims["client_id"], claims["aud"]) == (USER, BASIC, API)
    for audience, changed in ((FILES, token), (API, service.user_token(BASIC, aud=API, iss=service.issuer))):
        with pytest.raises(Refused):
            node.call("jose", "verify", service.issuer, {}, audience, changed)
