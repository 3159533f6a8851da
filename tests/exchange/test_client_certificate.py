"""Client authentication by certificate (RFC 8705 s2): whom an authority vouches for, and whose a certificate is."""

from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.certificates import (
    CLIENT_AUTH,
    SERVER_AUTH,
    Authority,
    Issued,
    constraints,
    key_usage,
    self_signed,
)
from tests.exchange.parties import make_registry, secret_of
from tests.exchange.world import make_world
from tests.simulator import NOW
from tokensvc.core.certificate_subject import SubjectKind, parse_subject_rule
from tokensvc.errors import OAuthError, OAuthRefused
from tokensvc.exchange.authenticate import ClientAuthenticator, ClientSecret, Credentials, TlsCertificate
from tokensvc.exchange.client_certificate import ClientAuthorities
from tokensvc.exchange.parties import AuthMethod, Party
from tokensvc.exchange.registry import Registry

AUTHORITY = Authority()
NAME_CONSTRAINTS = x509.NameConstraints(permitted_subtrees=[x509.DNSName("agents.example")], excluded_subtrees=None)
CONSTRAINED = Authority("Constrained", extensions=[constraints(ca=True), (NAME_CONSTRAINTS, True)])
BOTH_USES = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), True)
ANY_USE = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]), False)
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")


def vouches(authorities: list[Authority], client: Issued, *, now: int = NOW) -> bool:
    trusted = ClientAuthorities(authority.issued.parsed for authority in authorities)
    return trusted.vouch_for(client.parsed, now=now)


def issued(*extensions: Any, **members: Any) -> Issued:  # noqa: ANN401 - any extension, any field
    return AUTHORITY.issue("planner", extensions=extensions, **members)


@pytest.mark.parametrize(
    "client",
    [
        issued(),
        issued(CLIENT_AUTH),
        issued(BOTH_USES),
        issued(constraints(ca=False)),
        issued(key_usage(digital_signature=True)),
        issued((UNKNOWN, False)),
        issued(key=rsa.generate_private_key(65537, 2048)),
        issued(key=ed25519.Ed25519PrivateKey.generate()),
        issued(san_dns="planner.example"),
        issued(end=2031),
    ],
)
def test_what_an_authority_issued_for_a_client_is_vouched_for(client: Issued) -> None:
    assert vouches([AUTHORITY], client)
    assert vouches([Authority("Another"), AUTHORITY], client)
    assert not vouches([Authority("Another")], client)
    assert not vouches([], client)


@pytest.mark.parametrize(
    "client",
    [
        issued(SERVER_AUTH),
        issued(ANY_USE),
        issued(constraints(ca=True)),
        issued(key_usage(key_encipherment=True)),
        issued((UNKNOWN, True)),
        issued(end=2029),
        issued(begin=2031),
        self_signed("planner"),
        AUTHORITY.issued,
        Authority(key=self_signed("stranger").key).issue("planner"),
        Authority("Below", above=AUTHORITY).issue("planner"),
    ],
)
def test_whatever_else_it_is_nobody_vouches_for_it(client: Issued) -> None:
    assert not vouches([AUTHORITY], client)
    assert vouches([AUTHORITY], issued())


@pytest.mark.parametrize(
    ("authority", "is_good"),
    [
        (Authority(key=rsa.generate_private_key(65537, 2048)), True),
        (Authority(key=ec.generate_private_key(ec.SECP384R1())), True),
        (Authority(extensions=[constraints(ca=True), key_usage(key_cert_sign=True)]), True),
        (Authority(extensions=[constraints(ca=True), CLIENT_AUTH]), True),
        (Authority(extensions=[constraints(ca=True), key_usage(digital_signature=True)]), False),
        (Authority(extensions=[constraints(ca=True), SERVER_AUTH]), False),
        (Authority(extensions=[constraints(ca=False)]), False),
        (Authority(extensions=[]), False),
        (Authority(end=2029), False),
    ],
)
def test_an_authority_has_to_be_one_and_valid_itself(authority: Authority, *, is_good: bool) -> None:
    assert vouches([authority], authority.issue("planner")) is is_good


def test_an_authority_in_between_is_trusted_by_itself_where_it_is_named() -> None:
    between = Authority("Between", above=AUTHORITY)

    assert vouches([between], between.issue("planner"))
    assert vouches([AUTHORITY, between], between.issue("planner"))
    assert not vouches([AUTHORITY], between.issue("planner"))


def test_an_authority_names_only_what_it_may() -> None:
    assert vouches([CONSTRAINED], CONSTRAINED.issue("planner", san_dns="planner.agents.example"))
    assert not vouches([CONSTRAINED], CONSTRAINED.issue("planner", san_dns="planner.example"))


# Whose it is

BY_NAME: dict[str, Any] = {
    "auth": AuthMethod.TLS_CLIENT_AUTH,
    "secret_sha256": (),
    "certificate_subject": parse_subject_rule(SubjectKind.SAN_DNS, "planner.example"),
}
PLANNER = AUTHORITY.issue("planner", san_dns="planner.example")
OWN = self_signed("planner")


def by_file(*certificates: Issued) -> dict[str, Any]:
    thumbprints = frozenset(certificate.parsed.thumbprint for certificate in certificates)
    auth = AuthMethod.SELF_SIGNED_TLS_CLIENT_AUTH
    return {"auth": auth, "secret_sha256": (), "certificate_thumbprints": thumbprints}


def shown(certificate: Issued, client_id: str = "planner") -> TlsCertificate:
    return TlsCertificate(client_id=client_id, certificate=certificate.parsed)


async def authenticate(
    presented: Credentials, registry: Registry, *, authorities: ClientAuthorities | None = None, now: int = NOW
) -> Party:
    world = await make_world(registry=registry)
    trusted = ClientAuthorities([AUTHORITY.issued.parsed]) if authorities is None else authorities
    authenticator = ClientAuthenticator(
        registry=registry, terms=world.terms, store=world.store, clock=lambda: now, authorities=trusted
    )
    return await authenticator.authenticate(presented)


async def refused(presented: Credentials, registry: Registry, **how: Any) -> None:  # noqa: ANN401 - as authenticate
    with pytest.raises(OAuthRefused) as caught:
        await authenticate(presented, registry, **how)
    refusal = caught.value
    found = (refusal.error, refusal.reason, refusal.detail, refusal.description)
    assert found == (OAuthError.INVALID_CLIENT, None, "", "client authentication failed")


@pytest.mark.requirement("MTLS-PKI", "MTLS-SUBJECT")
async def test_an_agent_is_known_by_the_name_that_an_authority_gave_it() -> None:
    registry = make_registry(planner=BY_NAME)

    assert await authenticate(shown(PLANNER), registry) is registry.party("planner")
    for certificate in (
        AUTHORITY.issue("planner", san_dns="researcher.example"),
        AUTHORITY.issue("planner.example"),
        AUTHORITY.issue("planner", san_dns="planner.example", extensions=[SERVER_AUTH]),
        AUTHORITY.issue("planner", san_dns="planner.example", end=2029),
        Authority("Another").issue("planner", san_dns="planner.example"),
        OWN,
    ):
        await refused(shown(certificate), registry)
    await refused(shown(PLANNER), registry, authorities=ClientAuthorities())


@pytest.mark.requirement("MTLS-SELF-SIGNED")
async def test_an_agent_is_known_by_its_own_certificate() -> None:
    registry = make_registry(planner=by_file(OWN))

    assert await authenticate(shown(OWN), registry) is registry.party("planner")
    # The same key and name in another certificate is another certificate.
    for certificate in (self_signed("planner", end=2041), self_signed("researcher"), PLANNER):
        await refused(shown(certificate), registry)


async def test_both_certificates_count_while_one_replaces_the_other_and_no_expired_one() -> None:
    old, new = self_signed("planner", end=2031), self_signed("planner", end=2041)
    registry = make_registry(planner=by_file(old, new))
    later = int(datetime(2035, 1, 1, tzinfo=UTC).timestamp())

    for certificate in (old, new):
        assert (await authenticate(shown(certificate), registry)).client_id == "planner"
    assert (await authenticate(shown(new), registry, now=later)).client_id == "planner"
    await refused(shown(old), registry, now=later)


@pytest.mark.requirement("MTLS-CLIENT-ID")
async def test_the_client_id_says_whose_the_certificate_has_to_be() -> None:
    other = {**by_file(self_signed("researcher"))}
    registry = make_registry(planner=by_file(OWN), researcher=other)

    assert (await authenticate(shown(OWN, "planner"), registry)).client_id == "planner"
    for client_id in ("researcher", "Planner", "nobody", "crm-api", "", "mailer"):
        await refused(shown(OWN, client_id), registry)


async def test_a_certificate_is_nothing_for_an_agent_with_another_method() -> None:
    subject, own = BY_NAME["certificate_subject"], by_file(OWN)["certificate_thumbprints"]
    for auth in (AuthMethod.CLIENT_SECRET_BASIC, AuthMethod.CLIENT_SECRET_POST, AuthMethod.PRIVATE_KEY_JWT):
        members = {"auth": auth, "certificate_subject": subject, "certificate_thumbprints": own}
        for certificate in (PLANNER, OWN):
            await refused(shown(certificate), make_registry(planner=members))
    # Nor is the one way the other.
    await refused(shown(PLANNER), make_registry(planner={**BY_NAME, "auth": AuthMethod.SELF_SIGNED_TLS_CLIENT_AUTH}))
    await refused(shown(OWN), make_registry(planner={**by_file(OWN), "auth": AuthMethod.TLS_CLIENT_AUTH}))


async def test_a_secret_is_nothing_for_an_agent_with_a_certificate() -> None:
    pair = ClientSecret(
        method=AuthMethod.CLIENT_SECRET_BASIC, readings=(("planner", secret_of("planner")),), body_client_id=None
    )
    secrets = make_registry().agents["planner"].secret_sha256
    await refused(pair, make_registry(planner={**by_file(OWN), "secret_sha256": secrets}))

    assert (await authenticate(pair, make_registry())).client_id == "planner"


async def test_a_disabled_agent_has_no_certificate() -> None:
    await refused(shown(OWN), make_registry(planner={**by_file(OWN), "enabled": False}))
    assert (await authenticate(shown(OWN), make_registry(planner=by_file(OWN)))).client_id == "planner"
