"""Whatever goes wrong inside verification, the app is not called and nothing leaks."""

import logging
from dataclasses import dataclass

import pytest

from tests.integrations.asgi_calls import SIM, TOKEN, URL, Api, call, protect
from tokensvc.core.keyset import PublicKey
from tokensvc.core.revocation import Revocable
from tokensvc.errors import Unavailable
from tokensvc.integrations.asgi import TokenMiddleware
from tokensvc.verify import LifetimeOnly


@dataclass(frozen=True)
class Exploding:
    """Stands for any part that fails; its message quotes what it was given, as careless code does."""

    error: Exception

    @property
    def as_of(self) -> int:
        raise self.error

    @property
    def max_staleness_s(self) -> int:
        raise self.error

    def find(self, _iss: str, _kid: str) -> PublicKey | None:
        raise self.error

    def is_revoked(self, _revocables: tuple[Revocable, ...]) -> bool:
        raise self.error

    def now(self) -> int:
        raise self.error

    def view(self) -> LifetimeOnly:
        raise self.error


@pytest.mark.parametrize(
    "error", [Unavailable("no keys"), RuntimeError(TOKEN), RecursionError(), AttributeError(TOKEN)]
)
@pytest.mark.parametrize("part", ["keys", "clock", "revocations", "view"])
async def test_whatever_fails_inside_verification_the_app_is_not_called(
    part: str, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    exploding = Exploding(error)
    terms: dict[str, dict[str, object]] = {
        "keys": {"keys": exploding},
        "clock": {"clock": exploding.now},
        "revocations": {"revocations": exploding},
        "view": {"revocations": exploding.view},
    }
    api = Api()
    with caplog.at_level(logging.DEBUG):
        response = await call(protect(api, **terms[part]), f"Bearer {TOKEN}")
    body = response.json()
    assert (response.status_code, body["error"], api.seen) == (503, "temporarily_unavailable", [])
    assert (body["reason"], response.headers["retry-after"]) == ("temporarily_unavailable", "5")
    ours = [record for record in caplog.records if record.name.startswith("tokensvc")]
    assert [record.getMessage().rpartition(": ")[2] for record in ours] == [type(error).__name__]
    assert TOKEN not in caplog.text + response.text
    assert (await call(protect(api), f"Bearer {TOKEN}")).status_code == 200


@pytest.mark.parametrize("now", [None, "1900000000", float("nan"), True])
async def test_a_clock_that_gives_no_whole_seconds_lets_nobody_in(now: object) -> None:
    api = Api()
    assert (await call(protect(api, clock=lambda: now), f"Bearer {TOKEN}")).status_code == 503
    assert api.seen == []


async def test_a_key_source_that_answers_with_something_else_lets_nobody_in() -> None:
    class Odd:
        def find(self, _iss: str, _kid: str) -> str:
            return "key"

    assert (await call(protect(Api(), keys=Odd()), f"Bearer {TOKEN}")).status_code == 503


async def test_the_default_clock_is_the_time_of_the_day() -> None:
    app = TokenMiddleware(
        Api(),
        keys=SIM.keys(),
        expect=SIM.expect(),
        revocations=LifetimeOnly(max_s=900),
        resource_metadata=URL,
    )
    # Issued in 2030.
    assert (await call(app, f"Bearer {TOKEN}")).json()["reason"] == "not_yet_valid"
