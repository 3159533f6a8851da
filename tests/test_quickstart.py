"""What docs/quickstart.md tells to type does what it says."""

import os
import re
import signal
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from tests.processes import TIMEOUT_S, environment
from tests.programs import require_programs
from tokensvc.wiring import bind

PAGE: Final = (Path(__file__).resolve().parents[1] / "docs" / "quickstart.md").read_text("utf-8")


def free_port() -> int:
    with closing(bind("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_every_step_does_what_the_page_says(tmp_path: Path) -> None:
    require_programs("bash", "curl", "jq")
    script = "".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL))
    # Other ports than the usual, which somebody may use: of the servers, in the addresses, and in the issuer.
    ports = {"8700": str(free_port()), "8701": str(free_port())}
    for old, new in {
        "tokensvc check-config": f"sed -i.bak '/^issuer/s/8700/{ports['8700']}/' tokensvc.toml; tokensvc check-config",
        "127.0.0.1:8700": f"127.0.0.1:{ports['8700']}",
        "127.0.0.1:8701": f"127.0.0.1:{ports['8701']}",
        "tokensvc serve": f"tokensvc serve --port {ports['8700']}",
        "tokensvc demo-idp": f"tokensvc demo-idp --port {ports['8701']}",
    }.items():
        assert old in script
        script = script.replace(old, new)

    with subprocess.Popen(
        ["bash", "-c", f"set -eu\n{script.rstrip()} || echo exit code $?\nkill %1 %2; wait"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=2 * TIMEOUT_S)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)

    assert (process.returncode, re.sub(r"(?m)^refused: .*\n", "", err)) == (0, "")
    assert '"reason":"not_narrower"' in out
    verified, explained, refused = re.split(r"(?m)^passed +1 ", out)
    assert "researcher  (hop 2, current actor)" in verified
    assert "FAILED" not in explained
    assert re.search(r"FAILED +7 +audience", refused)
    assert refused.rstrip().endswith("exit code 1")


@pytest.mark.parametrize("name", re.findall(r"\]\(([^)#]+)", PAGE))
def test_what_it_links_to_is_there(name: str) -> None:
    assert (Path(__file__).resolve().parents[1] / "docs" / name).exists()
