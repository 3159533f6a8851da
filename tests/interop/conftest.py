"""One service for all of these tests, and one process that runs the libraries in JavaScript."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.interop.libraries import NODE_FOLDER, NodeProcess
from tests.interop.service import Service, serving
from tests.programs import require_node_package


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("service")) as served:
        yield served
    faults = [event for event in served.events() if event["event"] in {"fault", "unavailable"}]
    assert faults == []


@pytest.fixture(scope="package")
def node() -> Iterator[NodeProcess]:
    for package in ("openid-client", "oauth4webapi", "google-auth-library"):
        program = require_node_package(package)
    pipe = subprocess.PIPE
    with subprocess.Popen([program, NODE_FOLDER / "drive.mjs"], stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield NodeProcess(process)
        finally:
            process.communicate(timeout=10)
