"""The Dockerfile: no image is built here, but what it runs to build one is run on this machine."""

import os
import re
import shutil
import subprocess
import venv
from pathlib import Path
from typing import Final

import pytest

from tests.processes import environment, run

ROOT: Final = Path(__file__).resolve().parents[1]
DOCKERFILE: Final = (ROOT / "Dockerfile").read_text("utf-8")
# 60 MB from the package index, then two installations.
BUILD_TIMEOUT_S: Final = 400


def build_steps(folder: Path) -> str:
    """The RUN instructions of the first stage as one script, below `folder`."""
    stage = re.split(r"^FROM .*$", DOCKERFILE, flags=re.MULTILINE)[1]
    steps = re.findall(r"^RUN ((?:.*\\\n)*.*)$", stage, re.MULTILINE)
    assert len(steps) == 2
    script = "\n".join(["set -eu", *steps])
    for path in ("/wheels", "/build", "/opt/tokensvc"):
        script = re.sub(rf"(?<=[ =]){path}\b", f"{folder}{path}", script)
    return script


def test_both_stages_have_the_same_base_of_the_version_that_the_tests_run_on() -> None:
    first, last = re.findall(r"^FROM (\S+)(?: AS build)?$", DOCKERFILE, re.MULTILINE)

    assert first == last
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", last)


def test_the_image_runs_as_nobody_who_owns_anything_and_starts_the_service() -> None:
    final = re.split(r"^FROM .*$", DOCKERFILE, flags=re.MULTILINE)[2]

    assert re.search(r"^USER 10001:10001$", final, re.MULTILINE)
    assert re.search(r'^ENTRYPOINT \["tokensvc"\]\nCMD \["serve"\]\n\Z', final, re.MULTILINE)
    assert not re.search(r"^(RUN|ADD|COPY (?!--from=build))", final, re.MULTILINE)


def test_the_build_installs_the_server_from_the_lock_and_nothing_else(tmp_path: Path) -> None:
    if os.environ.get("TOKENSVC_REQUIRE_ALL") != "1":
        pytest.skip("downloads all of requirements.lock, 60 MB: set TOKENSVC_REQUIRE_ALL=1")
    source = tmp_path / "src"
    source.mkdir()
    for name in ("requirements.lock", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "tokensvc", source / "tokensvc", ignore=shutil.ignore_patterns("__pycache__"))
    venv.create(tmp_path / "python", with_pip=True)
    environ = environment(PATH=f"{tmp_path}/python/bin:/usr/bin:/bin", PIP_DISABLE_PIP_VERSION_CHECK="1")
    # Of this one's installation nothing may be seen, nor of a folder of packages that a machine may have.
    environ = {name: value for name, value in environ.items() if name not in {"PYTHONPATH", "PIP_FIND_LINKS"}}

    done = subprocess.run(
        ["/bin/sh", "-c", build_steps(tmp_path)],
        cwd=source,
        env=environ,
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT_S,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    installed = {
        path.name.partition("-")[0] for path in tmp_path.glob("opt/tokensvc/lib/python3*/site-packages/*.dist-info")
    }
    assert {"tokensvc", "uvicorn", "joserfc", "starlette"} <= installed
    assert installed.isdisjoint({"pip", "pytest", "hatchling", "mypy", "fastapi", "hypothesis"})
    pinned = dict(re.findall(r"^([a-z0-9-]+)==([^ ;]+)", (ROOT / "requirements.lock").read_text("utf-8"), re.MULTILINE))
    for path in tmp_path.glob("opt/tokensvc/lib/python3*/site-packages/*.dist-info"):
        name, version = path.name.removesuffix(".dist-info").split("-")
        assert pinned.get(name.replace("_", "-").lower(), "0.1.0") == version
    shown = run([f"{tmp_path}/opt/tokensvc/bin/tokensvc", "--version"], tmp_path, PYTHONPATH="")
    assert (
        shown.stdout
        == f"tokensvc {re.findall(r'^version = .(.+).$', (ROOT / 'pyproject.toml').read_text(), re.MULTILINE)[0]}\n"
    )
