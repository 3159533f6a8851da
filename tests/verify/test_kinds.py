"""No kind of JWT passes for another (RFC 8725 s3.11, s3.12): every kind in every place, signed by who is trusted there.

In each place an artefact stands three times: as it is; under the header of the place; and so with the names that the
place looks for first set right. What it says is then all that tells it from what belongs there.
"""

from collections.abc import Callable
from itertools import product
from typing import Final

import pytest

from tests.proofs import HOLDER, HTM, HTU, judge, proof, proof_claims, proof_header
from tests.simulator import API, AUTHORITY, ISSUER, NOW, USER, Members, Simulator, jti, seal
from tests.verify.signed import AUTHORITY_KEY, SIM, Draft, Part, holder
from tokensvc.errors import Reason, TokenRefused

Make = Callable[[], tuple[Members, Members]]

TIMES: Final = {"iat": NOW - 10, "exp": NOW + 200}
ROOT, FIRST, GRANT = 0, 1, 2


def access_token() -> tuple[Members, Members]:
    return SIM.header(), SIM.claims(SIM.chain("planner"))


def signed_entry(index: int) -> tuple[Members, Members]:
    part = Draft.of().parts[index]
    return part.header, part.payload


def dpop_proof() -> tuple[Members, Members]:
    return proof_header(), proof_claims()


def own_word(typ: str) -> Make:
    claims = {"iss": "planner", "sub": "planner", "aud": ISSUER, "jti": jti("word"), **TIMES}
    return lambda: ({"typ": typ, "alg": "ES256", "kid": "planner-1"}, claims)


def jwt_svid() -> tuple[Members, Members]:
    claims = {"sub": "spiffe://corp.example/ns/agents/sa/planner", "aud": [ISSUER], **TIMES}
    return {"typ": "JWT", "alg": "ES256", "kid": "svid"}, claims


def kubernetes_token() -> tuple[Members, Members]:
    pod = {"namespace": "agents", "serviceaccount": {"name": "planner", "uid": "u-1"}}
    claims = {"iss": "https://kubernetes.default.svc", "sub": "system:serviceaccount:agents:planner", "aud": [ISSUER]}
    return {"alg": "RS256", "kid": "k8s"}, {**claims, **TIMES, "nbf": NOW - 10, "kubernetes.io": pod}


def id_token() -> tuple[Members, Members]:
    claims = {"iss": AUTHORITY, "sub": USER, "aud": "planner", "azp": "planner", "nonce": "n", "auth_time": NOW - 10}
    return {"typ": "JWT", "alg": "ES256", "kid": "idp"}, {**claims, **TIMES}


def logout_token() -> tuple[Members, Members]:
    events: Members = {"http://schemas.openid.net/event/backchannel-logout": {}}
    claims = {"iss": AUTHORITY, "sub": USER, "aud": "planner", "jti": jti("logout"), "events": events, **TIMES}
    return {"typ": "logout+jwt", "alg": "ES256", "kid": "idp"}, claims


def revocation_feed() -> tuple[Members, Members]:
    claims = {"iss": ISSUER, "iat": NOW, "feed": jti("feed"), "sequence": 1, "revocations": []}
    return {"typ": "revocations+jwt", "alg": "ES256", "kid": "service"}, claims


def introspection_response() -> tuple[Members, Members]:
    answer = {"active": True, "sub": USER, "client_id": "planner", "scope": "crm.read"}
    return (
        {"typ": "token-introspection+jwt", "alg": "ES256", "kid": "service"},
        {"iss": ISSUER, "aud": API, "iat": NOW, "token_introspection": answer},
    )


KINDS: Final[dict[str, Make]] = {
    "access token": access_token,
    "root": lambda: signed_entry(ROOT),
    "grant": lambda: signed_entry(GRANT),
    "proof": dpop_proof,
    "client assertion": own_word("client-authentication+jwt"),
    "older client assertion": own_word("JWT"),
    "actor token": own_word("actor+jwt"),
    "JWT-SVID": jwt_svid,
    "Kubernetes token": kubernetes_token,
    "ID token": id_token,
    "logout token": logout_token,
    "revocation feed": revocation_feed,
    "introspection response": introspection_response,
}


def as_token(header: Members, claims: Members) -> Reason | None:
    return SIM.reason(seal(header, claims, SIM.key))


def as_proof(header: Members, claims: Members) -> Reason | None:
    try:
        judge(seal(header, claims, HOLDER))
    except TokenRefused as refused:
        return refused.reason
    return None


def as_entry(index: int, header: Members, claims: Members) -> Reason | None:
    draft = Draft.of()
    key = AUTHORITY_KEY if index == ROOT else holder("planner")
    draft.parts[index] = Part(payload=claims, header=header, key=key)
    return draft.reason()


def in_place(place: str, header: Members, claims: Members) -> Reason | None:
    match place:
        case "access token":
            return as_token(header, claims)
        case "proof":
            return as_proof(header, claims)
        case _:
            return as_entry(ROOT if place == "root" else GRANT, header, claims)


# What each place looks for before anything else: who speaks, to whom, about which request.
NAMES: Final[dict[str, Members]] = {
    "access token": {"iss": ISSUER, "aud": API, "sub": USER, "jti": jti("token")},
    "proof": {"jti": jti("proof"), "iat": NOW},
    "root": {"iss": AUTHORITY, "aud": ISSUER, "sub": USER, "jti": jti("root")},
    "grant": {"iss": "planner", "aud": ISSUER, "jti": jti("grant")},
}
PAIRS: Final = [(place, kind) for place, kind in product(NAMES, KINDS) if place != kind]


@pytest.mark.requirement("JWT-BCP-TYP")
@pytest.mark.parametrize(("place", "kind"), PAIRS)
def test_a_jwt_of_one_kind_is_refused_in_the_place_of_another(place: str, kind: str) -> None:
    right_header, right_claims = KINDS[place]()
    header, claims = KINDS[kind]()
    named = {**claims, **NAMES[place]}

    assert in_place(place, right_header, right_claims) is None
    refusals = [
        in_place(place, header, claims),
        in_place(place, header, right_claims),
        in_place(place, right_header, claims),
        in_place(place, right_header, named),
    ]
    assert None not in refusals
    if place == "access token":
        assert refusals[:2] == [Reason.WRONG_TYPE, Reason.WRONG_TYPE]
        assert refusals[3] in {Reason.MALFORMED, Reason.CHAIN_MISSING}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "access token"])
@pytest.mark.parametrize("typ", ["at+jwt", "application/at+jwt", "AT+JWT"])
def test_the_type_of_an_access_token_makes_none_of_what_is_none(kind: str, typ: str) -> None:
    header, claims = KINDS[kind]()
    own = {**SIM.header(), **header, "typ": typ, "alg": "ES256", "kid": SIM.key.kid}
    assert as_token(own, claims) not in {None, Reason.WRONG_TYPE}
    assert as_token(SIM.header(typ=typ), access_token()[1]) is None


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "proof"])
def test_only_a_proof_is_a_proof_even_for_who_holds_the_key_of_everything_else(kind: str) -> None:
    header, claims = KINDS[kind]()
    assert as_proof({**proof_header(), **header, "alg": "ES256"}, claims) is Reason.PROOF_INVALID
    # The one thing that is missing then is the request that it was made for.
    request = {"htm": HTM, "htu": HTU, "jti": jti("proof"), "iat": NOW}
    assert as_proof(proof_header(), {**claims, **request}) is None
    for missing in request:
        partly = {name: member for name, member in {**claims, **request}.items() if name != missing}
        assert as_proof(proof_header(), partly) is Reason.PROOF_INVALID


def test_a_proof_of_a_service_that_proves_its_own_key_is_no_token_of_that_service() -> None:
    service = Simulator()
    own = proof(key=service.key)
    assert judge(own).jkt == service.key.public.thumbprint
    assert service.reason(own) is Reason.WRONG_TYPE
    assert service.reason(service.token(service.claims(service.chain("planner")))) is None
