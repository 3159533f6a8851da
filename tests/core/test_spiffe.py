"""SPIFFE IDs in their one spelling, and of a bundle the keys that JWT-SVIDs are signed with."""

import json
import posixpath
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from tests.simulator import Members, b64, ec_key, ed_key, jwk, rsa_key
from tokensvc.core.keyset import Algorithm, KeySet
from tokensvc.core.spiffe import is_trust_domain, parse_bundle, parse_spiffe_id
from tokensvc.errors import KeyRefused, Malformed

NAME = st.text("abcxyz0189.-_", min_size=1, max_size=20)
SEGMENT = st.text("abcXYZ0189.-_", min_size=1, max_size=20).filter(lambda text: text not in {".", ".."})


@pytest.mark.parametrize(
    "text",
    [
        "spiffe://example.org/planner",
        "spiffe://example.org/ns/agents/sa/planner",
        "spiffe://a/b",
        "spiffe://10.0.0.1/x",
        "spiffe://with_underscore-and.dots/...",
        "spiffe://example.org/.hidden/..x/x..",
        "spiffe://example.org/9eebccd2-12bf-40a6-b262-65fe0487d453",
        "spiffe://" + "d" * 255 + "/x",
        "spiffe://example.org/" + "x" * 2027,
    ],
)
def test_the_name_of_a_workload_is_taken_apart_and_put_together_again(text: str) -> None:
    spiffe_id = parse_spiffe_id(text)

    assert str(spiffe_id) == text
    assert (spiffe_id.trust_domain, spiffe_id.path) == (urlsplit(text).netloc, urlsplit(text).path)
    assert spiffe_id.platform == text.removesuffix(spiffe_id.path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "planner",
        "spiffe:",
        "spiffe://",
        "spiffe:///planner",
        "spiffe://example.org",
        "spiffe://example.org/",
        "spiffe://example.org/planner/",
        "spiffe://example.org//planner",
        "spiffe://example.org/a//b",
        "spiffe://example.org/.",
        "spiffe://example.org/..",
        "spiffe://example.org/./planner",
        "spiffe://example.org/a/../planner",
        "spiffe://example.org/a/..",
        "spiffe://example.org/planner?x",
        "spiffe://example.org/planner?",
        "spiffe://example.org/planner#x",
        "spiffe://example.org:443/planner",
        "spiffe://user@example.org/planner",
        "spiffe://Example.org/planner",
        "SPIFFE://example.org/planner",
        "Spiffe://example.org/planner",
        "https://example.org/planner",
        "spiffe:/example.org/planner",
        "spiffe://spiffe://example.org/planner",
        "spiffe://example.org/pl%61nner",
        "spiffe://ex%61mple.org/planner",
        "spiffe://example.org/plänner",
        "spiffe://exämple.org/planner",
        "spiffe://example.org/a b",
        "spiffe://example.org/a\\b",
        "spiffe://example.org/a:b",
        "spiffe://[::1]/planner",
        " spiffe://example.org/planner",
        "spiffe://example.org/planner\n",
        "spiffe://example.org\n/planner",
        "spiffe://example.org/..\n",
        "spiffe://" + "d" * 256 + "/x",
        "spiffe://example.org/" + "x" * 2028,
    ],
)
def test_no_other_spelling_is_a_spiffe_id(text: str) -> None:
    with pytest.raises(Malformed):
        parse_spiffe_id(text)
    parse_spiffe_id("spiffe://example.org/planner")


@given(NAME, st.lists(SEGMENT, min_size=1, max_size=5))
def test_whatever_the_specification_allows_is_taken(domain: str, segments: list[str]) -> None:
    text = f"spiffe://{domain}/{'/'.join(segments)}"

    assert str(parse_spiffe_id(text)) == text
    assert is_trust_domain(domain)


@given(
    st.text("sS:/.?#@%ab0-_~é\n ", max_size=30), st.sampled_from(["spiffe://", "spiffe://a/", "spiffe://a.b/c/", ""])
)
def test_what_is_taken_has_one_reading(rest: str, start: str) -> None:
    text = start + rest
    try:
        spiffe_id = parse_spiffe_id(text)
    except Malformed:
        return
    url = urlsplit(text)

    assert str(spiffe_id) == text
    assert (url.scheme, url.netloc, url.path) == ("spiffe", spiffe_id.trust_domain, spiffe_id.path)
    assert (url.hostname, url.port, url.username) == (url.netloc, None, None)
    # Nobody who tidies paths up makes another one of it.
    assert posixpath.normpath(url.path) == url.path


@pytest.mark.parametrize("name", ["", "Example.org", "spiffe://example.org", "example.org/", "a:1", "a b", "a\n"])
def test_a_trust_domain_is_a_name_alone(name: str) -> None:
    assert not is_trust_domain(name)
    assert is_trust_domain("example.org")


def svid_key(key: object = None, **change: object) -> Members:
    """A key as SPIRE publishes it: without `alg`."""
    signer = ec_key("spire") if key is None else key
    return {**jwk(signer), "use": "jwt-svid", "kid": "spire-1", **change}  # type: ignore[arg-type]


def bundle(*keys: object, **members: object) -> KeySet:
    return parse_bundle(json.loads(json.dumps({"keys": keys, **members})))


def x509_authority(**change: object) -> Members:
    """As the example of the specification has them: no `kid`, and the certificate in `x5c`."""
    return {
        **jwk(ec_key("ca")),
        "use": "x509-svid",
        "x5c": ["MIIBzDCCAVOgAwIBAgIJAJM4DhRH0vmuMAoGCCqGSM49BAMEMB4x"],
        **change,
    }


def test_the_keys_for_jwt_svids_are_read_from_a_bundle_and_all_else_is_passed_over() -> None:
    keys = bundle(
        x509_authority(),
        svid_key(),
        svid_key(rsa_key("spire-rsa"), kid="spire-2"),
        svid_key(ed_key("spire-ed"), kid="spire-3"),
        spiffe_sequence=12,
        spiffe_refresh_hint=2_419_200,
    )

    assert {key.kid: key.alg for key in keys} == {
        "spire-1": Algorithm.ES256,
        "spire-2": Algorithm.RS256,
        "spire-3": Algorithm.ED25519,
    }
    assert {key.thumbprint for key in keys} == {
        key.public.thumbprint for key in (ec_key("spire"), rsa_key("spire-rsa"), ed_key("spire-ed"))
    }


@pytest.mark.parametrize(
    "change",
    [{"use": "x509-svid"}, {"use": "sig"}, {"use": "JWT-SVID"}, {"use": None}, {"use": ["jwt-svid"]}, {"kty": "new"}],
)
def test_a_key_for_another_use_is_passed_over(change: Members) -> None:
    assert [key.kid for key in bundle(svid_key(**change), svid_key(ec_key("other"), kid="other"))] == ["other"]
    assert [key.kid for key in bundle(svid_key())] == ["spire-1"]


def test_a_key_without_a_use_is_passed_over() -> None:
    without = {name: member for name, member in svid_key().items() if name != "use"}

    assert len(bundle(without)) == 0


def test_a_key_of_an_algorithm_that_is_not_in_use_is_passed_over() -> None:
    numbers = ec.generate_private_key(ec.SECP384R1()).public_key().public_numbers()
    p384 = {"kty": "EC", "crv": "P-384", "x": b64(numbers.x.to_bytes(48)), "y": b64(numbers.y.to_bytes(48))}
    larger = {**p384, "use": "jwt-svid", "kid": "larger"}

    assert [key.kid for key in bundle(larger, svid_key())] == ["spire-1"]
    assert [key.kid for key in bundle(svid_key(rsa_key("pss"), kid="pss", alg="PS256"), svid_key())] == ["spire-1"]


@pytest.mark.parametrize(
    "keys",
    [
        [svid_key(kid=None)],
        [svid_key(), svid_key()],
        [svid_key(crv="P-256", x="AA")],
        [x509_authority(d="AA"), svid_key()],
        [7],
    ],
)
def test_what_spoils_a_key_set_spoils_a_bundle(keys: list[object]) -> None:
    with pytest.raises(KeyRefused):
        bundle(*keys)
    assert len(bundle(svid_key())) == 1


@pytest.mark.parametrize("value", [{}, {"keys": None}, {"keys": {}}])
def test_a_bundle_has_an_array_of_keys(value: Members) -> None:
    with pytest.raises(KeyRefused):
        parse_bundle(value)
    assert len(parse_bundle({"keys": []})) == 0
