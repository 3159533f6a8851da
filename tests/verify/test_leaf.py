import pytest

from tests.simulator import API, FILES, ISSUER, NOW, Simulator, ec_key
from tokensvc.errors import Reason
from tokensvc.verify import Expectation

SIM = Simulator()
CHAIN = SIM.chain("planner", "mailer")
EVERYWHERE = Expectation.bearer(issuers=[ISSUER], audiences=[API, FILES, ISSUER, "https://third.example"])


def reason(**claims: object) -> Reason | None:
    return SIM.reason(SIM.token(SIM.claims(CHAIN, **claims)), expect=EVERYWHERE)


def test_the_control_of_every_refusal_here_is_accepted() -> None:
    assert reason() is None
    assert reason(scope=" ".join(reversed(CHAIN[2]["scope"].split()))) is None


@pytest.mark.requirement("TE-TOP-LEVEL")
@pytest.mark.parametrize(
    "scope", [CHAIN[0]["scope"], CHAIN[1]["scope"], "crm.write", "admin", CHAIN[2]["scope"] + " admin"]
)
def test_a_token_with_another_scope_than_its_hop_is_refused(scope: str) -> None:
    assert reason(scope=scope) is Reason.TOKEN_EXCEEDS_GRANT


def test_a_token_that_outlives_its_hop_or_is_older_is_refused() -> None:
    hop = CHAIN[2]

    assert reason(iat=hop["exp"] - 200, exp=hop["exp"] + 1) is Reason.NOT_YET_VALID
    chain = [*CHAIN[:2], {**hop, "exp": NOW + 100, "iat": NOW - 20}]

    def with_times(iat: int, exp: int) -> Reason | None:
        return SIM.reason(SIM.token(SIM.claims(chain, iat=iat, exp=exp)))

    assert with_times(NOW - 20, NOW + 100) is None
    assert with_times(NOW - 20, NOW + 101) is Reason.TOKEN_EXCEEDS_GRANT
    assert with_times(NOW - 21, NOW + 100) is Reason.TOKEN_EXCEEDS_GRANT


@pytest.mark.parametrize(("aud", "expected"), [(API, None), (FILES, None), (ISSUER, None)])
def test_a_token_for_a_resource_of_its_hop_or_for_the_issuer_is_accepted(aud: str, expected: Reason | None) -> None:
    assert reason(aud=aud) is expected


def test_a_token_for_a_resource_that_its_hop_has_not_is_refused() -> None:
    assert reason(aud="https://third.example") is Reason.TOKEN_EXCEEDS_GRANT

    chain = [*CHAIN[:2], {**CHAIN[2], "resources": [API]}]
    assert SIM.reason(SIM.token(SIM.claims(chain, aud=FILES)), expect=EVERYWHERE) is Reason.TOKEN_EXCEEDS_GRANT
    assert SIM.reason(SIM.token(SIM.claims(chain, aud=API)), expect=EVERYWHERE) is None


@pytest.mark.requirement("TE-CLIENT-ID")
@pytest.mark.parametrize("client_id", ["planner", "Mailer", "mailer ", "admin", "user-1", "m\u0430iler"])
def test_a_token_issued_to_another_client_than_its_actor_is_refused(client_id: str) -> None:
    assert reason(client_id=client_id) is Reason.TOKEN_EXCEEDS_GRANT


def test_a_bearer_token_for_a_bound_hop_is_refused() -> None:
    chain = [*CHAIN[:2], {**CHAIN[2], "cnf": {"jkt": ec_key("mailer").public.thumbprint}}]

    assert SIM.reason(SIM.token(SIM.claims(chain))) is Reason.TOKEN_EXCEEDS_GRANT
    assert SIM.reason(SIM.token(SIM.claims(CHAIN))) is None


def test_only_the_token_service_itself_makes_an_exchange_only_token() -> None:
    two = Expectation.bearer(issuers=[ISSUER, "https://third.example"], audiences=["https://third.example"])

    assert (
        SIM.reason(SIM.token(SIM.claims(CHAIN, aud="https://third.example")), expect=two) is Reason.TOKEN_EXCEEDS_GRANT
    )
