"""One real service for all of these tests, with demands for nonces, as agents with keys meet them."""

from collections.abc import Iterator

import pytest

from tests.interop.service import Service, serving


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("service"), dpop_nonces=True) as served:
        yield served
    faults = [event for event in served.events() if event["event"] in {"fault", "unavailable"}]
    assert faults == []
