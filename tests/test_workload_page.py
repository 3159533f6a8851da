"""docs/workload-identity.md: its tables load together, and tokens as the page describes them prove the agents."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any, Final

from tests.server.test_workloads import account_token, bundle, by, introspect, svid
from tests.server.world import ISSUER, make_world, values
from tests.settings_file import problems
from tests.simulator import ec_key, rsa_key
from tokensvc.core.keyset import KeySet, render_jwks
from tokensvc.settings.sources import MAX_WORKLOAD_LIFETIME_S

PAGE: Final = (Path(__file__).parents[1] / "docs" / "workload-identity.md").read_text("utf-8")
SPIFFE, KUBERNETES = (tomllib.loads(block) for block in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL))
(POD,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def configured(folder: Path) -> dict[str, Any]:
    """The usual configuration with what the page says of platforms and agents."""
    plain = values()
    for agent, page in zip(plain["agent"], (SPIFFE, KUBERNETES), strict=False):
        del agent["secret_sha256"]
        agent.update(page["agent"][0])
    (folder / "cluster.jwks.json").write_text(json.dumps(render_jwks(KeySet([rsa_key("cluster").public]))))
    tables = ("spiffe_trust_domain", "kubernetes_cluster")
    return {**plain, **{name: page[name] for name, page in zip(tables, (SPIFFE, KUBERNETES), strict=True)}}


def test_the_tables_of_the_page_load(tmp_path: Path) -> None:
    plain = configured(tmp_path)
    # The file of that name holds a key of another algorithm than the usual provider's here.
    plain["identity_provider"][0]["algorithms"] = ["RS256"]

    assert problems(tmp_path, plain) == []
    assert [agent["id"] for agent in plain["agent"][:2]] == ["planner", "researcher"]


async def test_the_agents_of_the_page_are_who_their_platforms_say(tmp_path: Path) -> None:
    plain = configured(tmp_path)
    # Nobody answers for the address of the page: the bundle is in a file.
    (tmp_path / "bundle.json").write_bytes(bundle(ec_key("spire")))
    (domain,) = plain["spiffe_trust_domain"]
    del domain["bundle_url"]
    domain["bundle_file"] = "bundle.json"
    world = make_world(tmp_path, plain)

    async with world.running() as client:
        assert await introspect(client, **by(svid())) == {"active": False}
        assert await introspect(client, **by(account_token())) == {"active": False}
        refused = await introspect(client, **by(svid(sub="spiffe://example.org/agents/other")))
        assert refused["error"] == "invalid_client"


def test_the_pod_asks_for_what_the_tables_allow() -> None:
    (cluster,) = KUBERNETES["kubernetes_cluster"]
    (agent,) = KUBERNETES["agent"]
    said = dict(re.findall(r"^\s*-?\s*(\w+): (\S+)", POD, re.MULTILINE))

    assert said["audience"] == ISSUER
    assert 600 <= int(said["expirationSeconds"]) <= cluster["max_lifetime_s"] <= MAX_WORKLOAD_LIFETIME_S
    assert f"{said['namespace']}:{said['serviceAccountName']}" == agent["service_account"]


def test_the_page_names_every_setting_and_assertion_type() -> None:
    for name in (
        "spiffe_jwt",
        "kubernetes_jwt",
        "spiffe_id",
        "service_account",
        "cluster",
        "bundle_file",
        "bundle_url",
    ):
        assert f"`{name}`" in PAGE or f"{name} =" in PAGE
    for kind in ("jwt-bearer", "jwt-spiffe"):
        assert f"urn:ietf:params:oauth:client-assertion-type:{kind}" in PAGE
