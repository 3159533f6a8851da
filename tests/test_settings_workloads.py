"""Workload identities in the settings: each rule with a configuration that breaks it, and the nearest that does not."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import private_key, self_signed
from tests.settings_file import ABSENT, API, JWKS_FILE, Place, change, examine, problems, valid_values, write_settings
from tests.simulator import Members, ec_key, jwk, rsa_key
from tokensvc.core.jws import SigningKey
from tokensvc.core.keyset import Algorithm, KeySet, PublicKey, render_jwks, wrap_key
from tokensvc.errors import ConfigurationError
from tokensvc.settings import AgentKeys, Settings, WorkloadName, load_upstream_keys, publishers_of, workload_of
from tokensvc.settings.start import require_own_keys

PLANNER: Place = ("agent", 0)
RESEARCHER: Place = ("agent", 1)
DOMAIN: Place = ("spiffe_trust_domain", 0)
CLUSTER: Place = ("kubernetes_cluster", 0)
ISS = "https://kubernetes.default.svc.cluster.local"
SPIFFE_ID = "spiffe://example.org/ns/agents/sa/planner"
OTHERS = "key of this token service, an identity provider, an authority or a platform"
SPIFFE_ID_IS = "a SPIFFE ID is spiffe://TRUST-DOMAIN/PATH, in letters, digits, and . - _"


def with_platforms() -> dict[str, Any]:
    """planner proves itself by a JWT-SVID, researcher by its service account."""
    values = valid_values()
    for agent in values["agent"]:
        del agent["secret_sha256"]
    values["agent"][0] |= {"auth": "spiffe_jwt", "spiffe_id": SPIFFE_ID}
    values["agent"][1] |= {"auth": "kubernetes_jwt", "service_account": "agents:researcher"}
    values["spiffe_trust_domain"] = [{"trust_domain": "example.org", "bundle_file": "bundle.json"}]
    values["kubernetes_cluster"] = [{"iss": ISS, "jwks_file": "cluster.json"}]
    return values


@pytest.fixture(autouse=True)
def keys(tmp_path: Path) -> None:
    """The files that these configurations name."""
    publish_bundle(tmp_path, "bundle.json", ec_key("spire"))
    publish(tmp_path, "cluster.json", rsa_key("cluster"))


def publish_bundle(folder: Path, name: str, *keys: SigningKey, **members: object) -> None:
    authority = {**jwk(ec_key("ca")), "use": "x509-svid", "x5c": ["MIIB"]}
    signers = [{**jwk(key), "kid": key.kid, "use": "jwt-svid", **members} for key in keys]
    (folder / name).write_text(json.dumps({"keys": [authority, *signers], "spiffe_sequence": 1}))


def publish(folder: Path, name: str, *keys: SigningKey) -> None:
    (folder / name).write_text(json.dumps(render_jwks(KeySet(key.public for key in keys))))


def test_agents_are_workloads_and_keys_are_read_beside_the_file(tmp_path: Path) -> None:
    settings = examine(tmp_path, with_platforms())

    assert isinstance(settings, Settings)
    assert [workload_of(agent, settings) for agent in settings.agents] == [
        WorkloadName(platform="spiffe://example.org", sub=SPIFFE_ID),
        WorkloadName(platform=ISS, sub="system:serviceaccount:agents:researcher"),
    ]
    assert [domain.max_lifetime_s for domain in settings.spiffe_trust_domains] == [3600]
    assert [cluster.max_lifetime_s for cluster in settings.kubernetes_clusters] == [3600]
    read = load_upstream_keys(settings)
    assert {name: [key.kid for key in keys] for name, keys in read.items() if name != "https://idp.example"} == {
        "spiffe://example.org": ["spire"],
        ISS: ["cluster"],
    }


def test_an_agent_with_a_secret_is_no_workload(tmp_path: Path) -> None:
    settings = examine(tmp_path, valid_values())

    assert isinstance(settings, Settings)
    assert [workload_of(agent, settings) for agent in settings.agents] == [None, None]


VALUES: list[tuple[Place, object, object, str]] = [
    ((*PLANNER, "spiffe_id"), "spiffe://example.org", SPIFFE_ID,
     f"is no SPIFFE ID of a workload ({SPIFFE_ID_IS})"),
    ((*DOMAIN, "trust_domain"), "spiffe://example.org", "example.org", "is no name of a trust domain"),
    ((*DOMAIN, "trust_domain"), "Example.org", "example.org", "is no name of a trust domain"),
    ((*DOMAIN, "max_lifetime_s"), 0, 1, "is too small"),
    ((*DOMAIN, "max_lifetime_s"), 86_401, 86_400, "is too large"),
    ((*CLUSTER, "max_lifetime_s"), 86_401, 86_400, "is too large"),
    *(
        ((*RESEARCHER, "service_account"), refused, "a-1:b.c-2", "is no service account")
        for refused in (
            "agents", "agents:", ":researcher", "agents:a:b", "Agents:researcher", "agents:-a", "agents:a\n",
            "system:serviceaccount:agents:researcher", "a.b:c", "-a:c", "a" * 64 + ":c", "a:" + "c" * 254,
        )
    ),
    ((*RESEARCHER, "service_account"), "a" * 64 + ":" + "c" * 253, "a" * 63 + ":" + "c" * 253, "is no service account"),
]  # fmt: skip


@pytest.mark.parametrize(("place", "refused", "accepted", "problem"), VALUES)
def test_a_value_that_cannot_be_meant_is_refused(
    tmp_path: Path, place: Place, refused: object, accepted: object, problem: str
) -> None:
    assert [text for _, text in problems(tmp_path, change(with_platforms(), place, refused))] == [problem]
    assert problems(tmp_path, change(with_platforms(), place, accepted)) == []


CONFLICTS: list[tuple[str, dict[Place, object], dict[Place, object], tuple[str, str]]] = [
    ("a SPIFFE agent says who it is",
     {(*PLANNER, "spiffe_id"): ABSENT}, {}, ("agent[0].spiffe_id", "is missing: auth is spiffe_jwt")),
    ("so does one of Kubernetes",
     {(*RESEARCHER, "service_account"): ABSENT}, {},
     ("agent[1].service_account", "is missing: auth is kubernetes_jwt")),
    ("a SPIFFE agent has no secret",
     {(*PLANNER, "secret_sha256"): ["0" * 64]}, {}, ("agent[0].secret_sha256", "has no use: auth is spiffe_jwt")),
    ("and no keys",
     {(*PLANNER, "jwks_file"): "cluster.json"}, {}, ("agent[0].jwks_file", "has no use: auth is spiffe_jwt")),
    ("nor is it a service account",
     {(*PLANNER, "service_account"): "agents:planner"}, {},
     ("agent[0].service_account", "has no use: auth is spiffe_jwt")),
    ("its trust domain is known",
     {(*PLANNER, "spiffe_id"): "spiffe://example.com/planner"}, {(*PLANNER, "spiffe_id"): "spiffe://example.org/x"},
     ("agent[0].spiffe_id", "example.com is no registered trust domain")),
    ("its cluster is known",
     {(*RESEARCHER, "cluster"): "https://other.example"}, {(*RESEARCHER, "cluster"): ISS},
     ("agent[1].cluster", "https://other.example is no registered cluster")),
    ("a cluster is that of a service account",
     {(*PLANNER, "cluster"): ISS}, {}, ("agent[0].cluster", "means nothing without service_account")),
    ("without a cluster there is none to be in",
     {("kubernetes_cluster",): []}, {}, ("agent[1].cluster", "is missing: no cluster is registered")),
    ("an agent has no name that is another's workload",
     {(*RESEARCHER, "id"): SPIFFE_ID, (*PLANNER, "may_delegate_to"): []}, {(*PLANNER, "id"): SPIFFE_ID},
     ("agent[0].spiffe_id", "is the id of another agent")),
    ("a bundle comes from one place",
     {(*DOMAIN, "bundle_url"): "https://spire.example/bundle"}, {},
     ("spiffe_trust_domain[0].bundle_url", "stands beside bundle_file")),
    ("a bundle comes from somewhere",
     {(*DOMAIN, "bundle_file"): ABSENT},
     {(*DOMAIN, "bundle_file"): ABSENT, (*DOMAIN, "bundle_url"): "https://spire.example/bundle"},
     ("spiffe_trust_domain[0]", "says nowhere where its keys are")),
    ("so do the keys of a cluster",
     {(*CLUSTER, "jwks_file"): ABSENT}, {(*CLUSTER, "jwks_file"): ABSENT, (*CLUSTER, "discovery"): True},
     ("kubernetes_cluster[0]", "says nowhere where its keys are")),
    ("networks are for fetching",
     {(*DOMAIN, "private_networks"): ["10.0.0.0/8"]},
     {(*DOMAIN, "bundle_file"): ABSENT, (*DOMAIN, "bundle_url"): "https://10.0.0.1/bundle",
      (*DOMAIN, "private_networks"): ["10.0.0.0/8"]},
     ("spiffe_trust_domain[0].private_networks", "means nothing beside bundle_file")),
    ("a cluster is no identity provider",
     {(*CLUSTER, "iss"): "https://idp.example"}, {(*CLUSTER, "iss"): "https://cluster.example"},
     ("kubernetes_cluster[0].iss", "https://idp.example is registered twice")),
    ("nor is a trust domain",
     {("identity_provider", 0, "iss"): "spiffe://example.org"}, {("identity_provider", 0, "iss"): "spiffe://else.org"},
     ("spiffe_trust_domain[0].trust_domain", "spiffe://example.org is registered twice")),
    ("nor is this service a cluster",
     {(*CLUSTER, "iss"): "https://tokens.example"}, {(*CLUSTER, "iss"): "https://tokens.example/"},
     ("kubernetes_cluster[0].iss", "is the token service's own issuer")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("broken", "mended", "found"), [row[1:] for row in CONFLICTS], ids=[row[0] for row in CONFLICTS]
)
def test_what_does_not_go_together_is_refused(
    tmp_path: Path, broken: dict[Place, object], mended: dict[Place, object], found: tuple[str, str]
) -> None:
    assert problems(tmp_path, changed(broken)) == [found]
    assert problems(tmp_path, changed(mended)) == []


def changed(changes: dict[Place, object]) -> dict[str, Any]:
    values = with_platforms()
    for place, value in changes.items():
        change(values, place, value)
    return values


@pytest.mark.parametrize("url", ["http://spire.example/b", "https://10.0.0.1/b", "https://u:secret@spire.example/b"])
def test_a_bundle_is_fetched_from_where_that_is_allowed(tmp_path: Path, url: str) -> None:
    values = change(change(with_platforms(), (*DOMAIN, "bundle_file"), ABSENT), (*DOMAIN, "bundle_url"), url)
    found = problems(tmp_path, values)

    assert [key for key, _ in found] == ["spiffe_trust_domain[0].bundle_url"]
    assert "secret" not in str(found)
    assert problems(tmp_path, change(values, (*DOMAIN, "bundle_url"), "https://spire.example/b")) == []


def test_one_workload_is_one_agent(tmp_path: Path) -> None:
    values = with_platforms()
    values["agent"][1] = {**values["agent"][1], "auth": "spiffe_jwt", "spiffe_id": SPIFFE_ID}
    del values["agent"][1]["service_account"]

    (problem,) = problems(tmp_path, values)
    assert problem == ("agent[1].spiffe_id", f"{SPIFFE_ID} of spiffe://example.org is also another agent")
    assert problems(tmp_path, change(values, (*RESEARCHER, "spiffe_id"), "spiffe://example.org/researcher")) == []


def test_of_several_clusters_one_is_named_and_the_same_account_is_another_workload_in_each(tmp_path: Path) -> None:
    values = with_platforms()
    publish(tmp_path, "second.json", rsa_key("second"))
    values["kubernetes_cluster"].append({"iss": "https://second.example", "jwks_file": "second.json"})
    assert problems(tmp_path, values) == [("agent[1].cluster", "is missing: several clusters are registered")]

    values["agent"][1]["cluster"] = ISS
    assert problems(tmp_path, values) == []
    more = {**values["agent"][1], "id": "fetcher", "cluster": "https://second.example"}
    assert problems(tmp_path, {**values, "agent": [*values["agent"], more]}) == []
    twice = {**more, "cluster": ISS}
    assert [key for key, _ in problems(tmp_path, {**values, "agent": [*values["agent"], twice]})] == [
        "agent[2].service_account"
    ]


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        ("bundle.json", None, "the key set of the trust domain cannot be read (No such file or directory)"),
        ("bundle.json", "{", "the JSON text does not parse"),
        ("bundle.json", '{"keys": []}', "the key set holds no signature key for ES256 or Ed25519 or RS256"),
        ("cluster.json", None, "the key set of the Kubernetes cluster cannot be read (No such file or directory)"),
        ("cluster.json", '{"keys": []}', "the key set holds no signature key for ES256 or Ed25519 or RS256"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, file: str, content: str | None, problem: str) -> None:
    assert problems(tmp_path, with_platforms()) == []
    (tmp_path / file).unlink()
    if content is not None:
        (tmp_path / file).write_text(content)

    found = examine(tmp_path, with_platforms())
    assert not isinstance(found, Settings)
    (error,) = found
    assert Path(error.file).name == file
    assert error.description == problem


def test_a_plain_key_set_is_no_bundle_and_a_bundle_no_key_set(tmp_path: Path) -> None:
    """Their keys are marked for another use: none is left."""
    values = with_platforms()
    swapped = change(change(values, (*DOMAIN, "bundle_file"), "cluster.json"), (*CLUSTER, "jwks_file"), "bundle.json")

    assert len(problems(tmp_path, swapped)) == 2
    assert problems(tmp_path, with_platforms()) == []


def test_a_key_stands_for_one_of_them_all(tmp_path: Path) -> None:
    publish(tmp_path, "cluster.json", rsa_key("cluster"), ec_key("spire"))
    (problem,) = problems(tmp_path, with_platforms())
    assert problem == ("", "the key set holds a key of the trust domain spiffe://example.org")

    write_settings(tmp_path, with_platforms())
    idp = json.loads((tmp_path / JWKS_FILE).read_text())["keys"]
    (tmp_path / "cluster.json").write_text(json.dumps({"keys": [{**idp[0], "kid": "mine"}]}))
    (problem,) = problems(tmp_path, with_platforms())
    assert problem == ("", "the key set holds a key of the identity provider https://idp.example")


@pytest.mark.parametrize(
    ("own", "of_agent", "problem"),
    [
        ("spire", AgentKeys(), "the key set of the trust domain holds a signing key of this token service"),
        ("service", AgentKeys(assertion=KeySet([ec_key("spire").public])), f"the key set of an agent holds a {OTHERS}"),
        ("service", AgentKeys(holder=KeySet([ec_key("spire").public])), f"the key set of an agent holds a {OTHERS}"),
        ("service", AgentKeys(assertion=KeySet([ec_key("mine").public]), holder=KeySet([ec_key("mine").public])), None),
    ],
)  # fmt: skip
def test_a_platforms_key_is_neither_ours_nor_an_agents(
    tmp_path: Path, own: str, of_agent: AgentKeys, problem: str | None
) -> None:
    settings = examine(tmp_path, with_platforms())
    assert isinstance(settings, Settings)
    found = None
    try:
        require_own_keys(settings, load_upstream_keys(settings), {"researcher": of_agent}, KeySet([ec_key(own).public]))
    except ConfigurationError as exc:
        found = exc.description
    assert found == problem


def test_a_platforms_key_is_in_no_certificate_of_an_agent(tmp_path: Path) -> None:
    settings = examine(tmp_path, with_platforms())
    assert isinstance(settings, Settings)
    wrapped = wrap_key(private_key("certificate"), alg=Algorithm.ES256)
    upstream = {ISS: KeySet([PublicKey.of(wrapped, kid="k", alg=Algorithm.ES256)])}
    certified = self_signed("researcher", key=private_key("certificate")).parsed
    agents, own = {"researcher": AgentKeys(certificates=(certified,))}, KeySet([ec_key("service").public])

    require_own_keys(settings, {ISS: KeySet([rsa_key("cluster").public])}, agents, own)
    with pytest.raises(ConfigurationError) as raised:
        require_own_keys(settings, upstream, agents, own)
    assert raised.value.description == f"the certificate of an agent has a {OTHERS}"


def with_authority(iss: str, *, prefix: str = "other:") -> dict[str, Any]:
    """Platforms, and an authority whose users are called by that `prefix`."""
    authority = {"iss": iss, "jwks_file": "roots.json", "subject_prefix": prefix, "ceiling": {"resources": [API]}}
    values = change(with_platforms(), ("identity_provider", 0, "subject_prefix"), "corp:")
    return {**values, "authority": [authority]}


@pytest.mark.parametrize(
    ("iss", "key"),
    [
        ("spiffe://example.org", "spiffe_trust_domain[0].trust_domain"),
        (ISS, "kubernetes_cluster[0].iss"),
    ],
)
def test_a_platform_is_no_authority(tmp_path: Path, iss: str, key: str) -> None:
    publish(tmp_path, "roots.json", ec_key("roots"))
    assert problems(tmp_path, with_authority(iss)) == [(key, f"{iss} is registered twice")]
    assert problems(tmp_path, with_authority("https://authority.example")) == []
    assert problems(tmp_path, with_authority("https://idp.example", prefix="corp:")) == []


def test_two_tables_of_one_platform_are_told_once(tmp_path: Path) -> None:
    values = with_platforms()
    values["spiffe_trust_domain"].append({"trust_domain": "example.org", "bundle_file": "more.json"})
    publish_bundle(tmp_path, "more.json", ec_key("more"))
    key = "spiffe_trust_domain[1].trust_domain"
    assert problems(tmp_path, values) == [(key, "spiffe://example.org is registered twice")]
    values["spiffe_trust_domain"][1]["trust_domain"] = "else.org"
    assert problems(tmp_path, values) == []


@pytest.mark.parametrize("shared", ["spire", "cluster"])
def test_no_platform_signs_roots(tmp_path: Path, shared: str) -> None:
    values = with_authority("https://authority.example")
    key = {"spire": ec_key("spire"), "cluster": rsa_key("cluster")}[shared]
    publish(tmp_path, "roots.json", key)
    assert problems(tmp_path, values) == [("", "the key set holds a key of the authority https://authority.example")]
    publish(tmp_path, "roots.json", ec_key("roots"))
    assert problems(tmp_path, values) == []


def test_those_with_keys_stand_in_the_order_in_which_a_shared_one_is_given(tmp_path: Path) -> None:
    publish(tmp_path, "roots.json", ec_key("roots"))
    settings = examine(tmp_path, with_authority("https://idp.example", prefix="corp:"))

    assert isinstance(settings, Settings)
    assert [publisher.name for publisher in publishers_of(settings)] == [
        "https://idp.example",
        "authority https://idp.example",
        "spiffe://example.org",
        ISS,
    ]


@pytest.mark.parametrize("table", ["resource", "operator"])
@pytest.mark.parametrize("auth", ["spiffe_jwt", "kubernetes_jwt"])
def test_only_agents_are_workloads(tmp_path: Path, table: str, auth: str) -> None:
    values = with_platforms()
    values["operator"] = [{"id": "ops", "secret_sha256": ["0" * 64]}]
    assert problems(tmp_path, values) == []

    (problem,) = problems(tmp_path, change(values, (table, 0, "auth"), auth))
    assert problem[0] == f"{table}[0].auth"


def test_members_of_the_bundle_that_are_its_publishers_business_are_passed_over(tmp_path: Path) -> None:
    members: Members = {"spiffe_sequence": "not a number", "spiffe_refresh_hint": -1, "more": [1]}
    (tmp_path / "bundle.json").write_text(
        json.dumps({"keys": [{**jwk(ec_key("spire")), "kid": "spire", "use": "jwt-svid"}], **members})
    )
    assert problems(tmp_path, with_platforms()) == []
