"""The code that docs/agents.md gives to developers of agents does what the page says."""

import re
from pathlib import Path
from typing import Any, Final

import pytest

from tokensvc.client import ExchangeRefused
from tokensvc.core.keyset import KeySet
from tokensvc.demo.world import open_world
from tokensvc.verify import Expectation, LifetimeOnly, StaticKeys, verify_token
from tokensvc.wiring import system_clock

PAGE: Final = (Path(__file__).parents[1] / "docs" / "agents.md").read_text("utf-8")


def test_an_agent_starts_delegates_and_the_other_one_picks_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use, call, own_key = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    with open_world(tmp_path / "demo") as world:
        names: dict[str, Any] = {
            "issuer": world.addresses.issuer,
            "user_token": world.subject_token,
            "api": world.addresses.crm,
            "planner_secret": world.cast.planner.client_secret,
            "researcher_secret": world.cast.researcher.client_secret,
        }
        exec(use, names)  # noqa: S102 - it is our own page

        token = verify_token(
            names["mine"],
            keys=StaticKeys({world.addresses.issuer: KeySet(list(world.keys))}),
            expect=Expectation.bearer(issuers=[world.addresses.issuer], audiences=[world.addresses.crm]),
            now=system_clock(),
            revocations=LifetimeOnly(max_s=900),
        )
        assert token.actors == ("researcher", "planner")
        token.require(scope="crm.read crm.comment")

        # What the page calls is on this machine.
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        exec(call, names)  # noqa: S102 - the same
        assert names["customers"]["by"] == ["researcher", "planner"]
        monkeypatch.chdir(tmp_path)
        exec(own_key, names)  # noqa: S102 - the same
        assert (tmp_path / "keys" / "planner.json").is_file()
        assert names["to_register"]["keys"][0]["kid"] == names["holder_key"].kid
        with pytest.raises(ExchangeRefused, match="not_narrower"):
            names["begun"].delegate(to="researcher", scope="crm.delete")
        for name in ("planner", "researcher"):
            names[name].close()
