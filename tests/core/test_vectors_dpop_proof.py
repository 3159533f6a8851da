"""RFC 9449 figure 1, a DPoP proof made by others: its key, its thumbprint, its signature, and that it is no token."""

import base64
import json
from typing import Final

import pytest

from tests.shared_vectors import vector_folder
from tests.simulator import AUTHORITY, ISSUER, Members, Simulator, encode, jwk, seal
from tokensvc.core.jsontext import JsonObject, parse_json_object
from tokensvc.core.jws import CompactJws, split_compact, verify_signature
from tokensvc.core.keyset import Algorithm, KeySet, PublicKey, import_key
from tokensvc.errors import Reason
from tokensvc.verify import StaticKeys

# RFC 9449 s6.1 names it for the key of the figure.
THUMBPRINT: Final = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
SIM: Final = Simulator()


@pytest.fixture(scope="module")
def figure() -> str:
    return (vector_folder(".") / "rfc9449_fig1.txt").read_text("ascii").strip()


def opened(proof: str) -> tuple[CompactJws, JsonObject, PublicKey]:
    """The proof taken apart, its header, and the key that stands in it."""
    compact = split_compact(proof, max_bytes=1000)
    header = parse_json_object(compact.header)
    members = header["jwk"]
    assert isinstance(members, dict)
    key, algorithm = import_key(members)
    return compact, header, PublicKey.of(key, kid="figure", alg=algorithm)


def test_the_parts_are_those_that_the_standard_library_reads(figure: str) -> None:
    compact, header, _ = opened(figure)
    parts = [base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in figure.split(".")]

    assert [compact.header, compact.payload, compact.signature] == parts
    assert header == json.loads(parts[0])
    assert header.keys() == {"typ", "alg", "jwk"}
    assert json.loads(compact.payload) == {
        "jti": "-BwC3ESc6acc2lTc",
        "htm": "POST",
        "htu": "https://server.example.com/token",
        "iat": 1562262616,
    }


@pytest.mark.requirement("JWK-THUMBPRINT")
def test_the_key_of_the_figure_has_the_thumbprint_that_the_rfc_names(figure: str) -> None:
    _, header, key = opened(figure)

    assert key.thumbprint == THUMBPRINT
    assert key.alg is Algorithm.ES256
    assert {name: key.jwk()[name] for name in ("kty", "crv", "x", "y")} == header["jwk"]


def test_its_signature_verifies_and_no_changed_one_does(figure: str) -> None:
    compact, _, key = opened(figure)
    assert verify_signature(compact, key)
    assert not verify_signature(compact, SIM.key.public)

    for start in (0, figure.index(".") + 1, figure.rindex(".") + 1):
        for position in range(start, start + 40):
            changed = figure[:position] + ("B" if figure[position] == "A" else "A") + figure[position + 1 :]
            assert verify_signature(split_compact(changed, max_bytes=1000), key) == (changed == figure)


def test_the_figure_is_refused_as_an_access_token_by_its_type(figure: str) -> None:
    _, _, key = opened(figure)
    # Even where its key is one of the issuer's.
    keys = StaticKeys({ISSUER: KeySet([SIM.key.public, key])})

    assert SIM.reason(figure, keys=keys) is Reason.WRONG_TYPE
    assert SIM.reason(SIM.token(SIM.claims(SIM.chain("planner"))), keys=keys) is None


@pytest.mark.requirement("JWT-BCP-TYP")
def test_its_header_around_the_claims_of_a_token_is_refused_by_type(figure: str) -> None:
    _, figure_header, _ = opened(figure)
    claims = SIM.claims(SIM.chain("planner"))

    def reason(header: Members) -> Reason | None:
        return SIM.reason(seal(header, encode(claims), SIM.key))

    assert reason({**figure_header, "jwk": jwk(SIM.key)}) is Reason.WRONG_TYPE
    assert reason(SIM.header(typ="dpop+jwt")) is Reason.WRONG_TYPE
    # With the type mended the key in the header is the next fault: it is never looked at.
    assert reason({**figure_header, "typ": "at+jwt", "jwk": jwk(SIM.key)}) is Reason.MALFORMED
    assert reason(SIM.header()) is None


def test_the_figure_is_no_root_and_no_hop_either(figure: str) -> None:
    _, _, key = opened(figure)
    keys = StaticKeys({ISSUER: KeySet([SIM.key.public]), AUTHORITY: KeySet([key])})
    chain = SIM.chain("planner", "mailer")
    claims = SIM.claims(chain)

    for index in (0, 2):
        entries = [*chain[:index], {"jws": figure}, *chain[index + 1 :]]
        assert SIM.reason(SIM.token({**claims, "grant_chain": entries}), keys=keys) is Reason.MALFORMED
    assert SIM.reason(SIM.token(claims), keys=keys) is None
