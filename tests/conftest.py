"""What all tests share: the async backend, the marker that ties tests to requirements, Hypothesis without a clock."""

import pytest
from hypothesis import settings

# A slow machine is no bug: how much is tried is bounded by examples, not by time.
settings.register_profile("tokensvc", deadline=None)
settings.load_profile("tokensvc")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "requirement(*ids): proves these rows of tests/requirements.py")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
