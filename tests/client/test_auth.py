"""What each way to authenticate puts into a request."""

import json
import ssl
from base64 import b64decode
from pathlib import Path
from urllib.parse import unquote_plus

import pytest

from tests.simulator import NOW, ec_key
from tokensvc.client import (
    JWT_BEARER,
    JWT_SPIFFE,
    Agent,
    ClientSecret,
    PrivateKeyJwt,
    TlsClientAuth,
    WorkloadToken,
)
from tokensvc.client.auth import ClientAuth
from tokensvc.core.jws import split_compact, verify_signature
from tokensvc.errors import Malformed

ISSUER = "https://as.example"
SECRET = "a +/%:=&ü"


def test_a_secret_is_form_encoded_in_the_header_or_stands_in_the_body() -> None:
    made = ClientSecret(SECRET).credentials("a:b", issuer=ISSUER, now=NOW)
    user, _, password = b64decode(made.headers["authorization"].removeprefix("Basic ")).decode("ascii").partition(":")
    assert (unquote_plus(user), unquote_plus(password), made.form) == ("a:b", SECRET, {})
    in_body = ClientSecret(SECRET, in_body=True).credentials("a:b", issuer=ISSUER, now=NOW)
    assert (in_body.headers, in_body.form) == ({}, {"client_id": "a:b", "client_secret": SECRET})


@pytest.mark.requirement("CLIENT-ASSERTION")
def test_a_key_signs_a_new_assertion_for_each_request() -> None:
    key = ec_key("client")
    auth = PrivateKeyJwt(key)
    texts = [auth.credentials("planner", issuer=ISSUER, now=NOW + 0.7).form["client_assertion"] for _ in range(2)]
    jws = split_compact(texts[0], max_bytes=8192)
    assert verify_signature(jws, key.public)
    assert json.loads(jws.header) == {"typ": "client-authentication+jwt", "alg": "ES256", "kid": "client"}
    claims = [json.loads(split_compact(text, max_bytes=8192).payload) for text in texts]
    assert len(claims[0].pop("jti")) == 22
    assert claims[0] == {"iss": "planner", "sub": "planner", "aud": ISSUER, "iat": NOW, "exp": NOW + 60}
    assert texts[0] != texts[1]
    with pytest.raises(ValueError, match="issuer"):
        auth.credentials("planner", issuer=None, now=NOW)


def test_the_token_of_a_platform_is_read_anew_for_each_request(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("one\n")
    auth = WorkloadToken(file)
    first = auth.credentials("planner", issuer=ISSUER, now=NOW).form
    file.write_text("two\n")
    second = auth.credentials("planner", issuer=ISSUER, now=NOW).form
    assert first == {"client_assertion_type": JWT_BEARER, "client_assertion": "one", "client_id": "planner"}
    assert second["client_assertion"] == "two"
    spiffe = WorkloadToken(lambda: "svid", assertion_type=JWT_SPIFFE).credentials("planner", issuer=None, now=NOW)
    assert (spiffe.form["client_assertion_type"], spiffe.form["client_assertion"]) == (JWT_SPIFFE, "svid")


def test_a_file_that_holds_no_token_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_bytes(b"\xff")
    with pytest.raises(Malformed):
        WorkloadToken(file).credentials("planner", issuer=ISSUER, now=NOW)


def test_a_certificate_is_loaded_and_the_form_names_the_client(tmp_path: Path) -> None:
    assert TlsClientAuth().credentials("planner", issuer=ISSUER, now=NOW).form == {"client_id": "planner"}
    missing = TlsClientAuth(cert=tmp_path / "none.pem", key=tmp_path / "none.key")
    with pytest.raises(OSError, match="No such file"):
        missing.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    with pytest.raises(OSError, match="No such file"):
        Agent(issuer=ISSUER, client_id="planner", auth=missing)
    Agent(issuer=ISSUER, client_id="planner", auth=TlsClientAuth()).close()


def test_no_repr_shows_a_secret() -> None:
    ways: list[ClientAuth] = [ClientSecret(SECRET), PrivateKeyJwt(ec_key("client")), WorkloadToken(lambda: SECRET)]
    made = [way.credentials("planner", issuer=ISSUER, now=NOW) for way in ways]
    assert SECRET not in repr([*ways, *made])
    assert "ey" not in repr(made)
