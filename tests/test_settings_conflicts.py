"""Values against each other: each rule with a configuration that breaks it, and the nearest one that does not."""

from pathlib import Path
from typing import Any

import pytest

from tests.settings_file import API, Place, change, problems, sha256, valid_values

MAIL = "https://mail.example"
PLANNER: Place = ("agent", 0)
RESEARCHER: Place = ("agent", 1)
CRM: Place = ("resource", 0)
MAIL_API: Place = ("resource", 1)
IDP: Place = ("identity_provider", 0)

RULES = [
    ("the issuer is no resource", (*MAIL_API, "id"), "https://tokens.example", MAIL,
     "resource[1].id", "is the token service's own issuer"),
    ("the issuer is no identity provider", (*IDP, "iss"), "https://tokens.example", "https://idp.example",
     "identity_provider[0].iss", "is the token service's own issuer"),
    ("an agent stands once", (*RESEARCHER, "id"), "planner", "researcher",
     "agent[1].id", "planner is also the id of another client"),
    ("agents and resource servers share one namespace", (*MAIL_API, "client_id"), "planner", "mail-api",
     "resource[1].client_id", "planner is also the id of another client"),
    ("a resource stands once", (*MAIL_API, "id"), API, MAIL,
     "resource[1].id", f"{API} is registered twice"),
    ("a name stands once", (*MAIL_API, "names"), ["crm"], ["mail"],
     "resource[1].names", "crm is also the name of another resource"),
    ("agents have their own secrets", (*RESEARCHER, "secret_sha256"), [sha256("x"), sha256("planner")], [sha256("x")],
     "agent[1].secret_sha256", "holds the secret of another client"),
    ("resource servers have their own secrets", (*MAIL_API, "secret_sha256"), [sha256("planner")], [sha256("x")],
     "resource[1].secret_sha256", "holds the secret of another client"),
    ("an agent's scopes are registered", (*RESEARCHER, "scopes"), ["crm.reed"], ["mail.send"],
     "agent[1].scopes", "crm.reed is registered at no resource"),
    ("a wildcard means nothing among whole names", (*MAIL_API, "scopes"), ["mail.*"], ["mail.x"],
     "resource[1].scopes", "mail.* has a wildcard, and scopes are compared as whole names"),
    ("an agent's resources are registered", (*RESEARCHER, "resources"), ["https://api.example2"], [MAIL],
     "agent[1].resources", "https://api.example2 is not registered"),
    ("a ceiling's resources are registered", (*IDP, "ceiling", "resources"), [API, "urn:else"], [API, MAIL],
     "identity_provider[0].ceiling.resources", "urn:else is not registered"),
    ("a default resource is one of the agent's", (*RESEARCHER, "default_resource"), MAIL, API,
     "agent[1].default_resource", "is not among the agent's resources"),
    ("a resource server has a secret", (*CRM, "auth"), "private_key_jwt", "client_secret_post",
     "resource[0].auth", "only agents prove themselves by a key or a certificate"),
    ("an operator is nobody else", ("operator", 0, "id"), "planner", "ops",
     "operator[0].id", "planner is also the id of another client"),
    ("an operator has its own secret", ("operator", 0, "secret_sha256"), [sha256("planner")], [sha256("y")],
     "operator[0].secret_sha256", "holds the secret of another client"),
    ("what an agent serves is registered", (*RESEARCHER, "serves"), ["urn:else"], [MAIL],
     "agent[1].serves", "urn:else is not registered"),
    ("what is downstream may be used at all", (*RESEARCHER, "downstream_resources"), [MAIL], [API],
     "agent[1].downstream_resources", f"{MAIL} is not among the agent's resources"),
    ("a delegatee is registered", (*PLANNER, "may_delegate_to"), ["researcher2"], ["researcher"],
     "agent[0].may_delegate_to", "researcher2 is no registered agent"),
    ("a delegatee is an agent", (*PLANNER, "may_delegate_to"), ["crm-api"], [],
     "agent[0].may_delegate_to", "crm-api is no registered agent"),
    ("nobody delegates to itself", (*RESEARCHER, "may_delegate_to"), ["researcher"], ["planner"],
     "agent[1].may_delegate_to", "names the agent itself"),
    ("a front belongs to one agent", (*RESEARCHER, "fronts"), ["chat-ui"], ["other-ui"],
     "agent[1].fronts", "chat-ui is also the front of another agent"),
    ("a front is no other agent", (*RESEARCHER, "fronts"), ["planner"], ["researcher"],
     "agent[1].fronts", "planner is the id of another agent"),
    ("an agent is no user", (*IDP, "subject_prefix"), "plan", "corp:",
     "agent[0].id", "could be the name of a user: it starts with a subject_prefix"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("place", "refused", "accepted", "found"),
    [(*row[1:4], row[4:]) for row in RULES],
    ids=[row[0] for row in RULES],
)
def test_conflicting_settings_are_refused_where_agreeing_ones_are_accepted(
    tmp_path: Path, place: Place, refused: object, accepted: object, found: tuple[str, str]
) -> None:
    # The agents that delegate to one that is renamed here would be at fault as well.
    values = (
        valid_values() if place != (*RESEARCHER, "id") else change(valid_values(), (*PLANNER, "may_delegate_to"), [])
    )
    if place[0] == "operator":
        values["operator"] = [{"id": "ops", "secret_sha256": [sha256("ops")]}]
    values = change(values, (*RESEARCHER, "serves"), [API]) if place[-1] == "downstream_resources" else values
    values = change(values, (*RESEARCHER, "downstream_resources"), [API]) if place[-1] == "serves" else values
    assert problems(tmp_path, change(values, place, refused)) == [found]
    assert problems(tmp_path, change(values, place, accepted)) == []


def test_a_server_goes_on_somewhere_and_from_somewhere(tmp_path: Path) -> None:
    for alone, other in (("serves", "downstream_resources"), ("downstream_resources", "serves")):
        values = change(valid_values(), (*RESEARCHER, alone), [API])
        assert problems(tmp_path, values) == [(f"agent[1].{alone}", f"means nothing without {other}")]
        assert problems(tmp_path, change(values, (*RESEARCHER, other), [API])) == []


def test_without_a_prefix_agent_ids_are_accepted_as_the_exchange_tells_users_from_agents(tmp_path: Path) -> None:
    assert problems(tmp_path, change(valid_values(), (*IDP, "subject_prefix"), "")) == []


def test_every_conflict_is_shown_at_once(tmp_path: Path) -> None:
    values = change(valid_values(), (*RESEARCHER, "scopes"), ["a", "b"])
    change(values, (*PLANNER, "default_resource"), MAIL)
    assert problems(tmp_path, values) == [
        ("agent[1].scopes", "a is registered at no resource"),
        ("agent[1].scopes", "b is registered at no resource"),
        ("agent[0].default_resource", "is not among the agent's resources"),
    ]


class TestSegments:
    """Scopes of `scope_grammar = "segments"`."""

    @staticmethod
    def with_scopes(*, registered: list[str], held: list[str]) -> dict[str, Any]:
        values = change(valid_values(), ("scope_grammar",), "segments")
        change(values, (*PLANNER, "scopes"), held)
        change(values, (*RESEARCHER, "scopes"), held)
        return change(values, (*CRM, "scopes"), registered)

    @pytest.mark.parametrize("held", ["crm.*", "crm.read", "crm.a.b"])
    def test_what_is_registered_or_a_name_below_it_may_be_held(self, tmp_path: Path, held: str) -> None:
        assert problems(tmp_path, self.with_scopes(registered=["crm.*"], held=[held])) == []

    @pytest.mark.parametrize("held", ["crm.a.*", "crm", "crmx.read", "files.*"])
    def test_what_is_not_registered_may_not(self, tmp_path: Path, held: str) -> None:
        found = problems(tmp_path, self.with_scopes(registered=["crm.*"], held=[held]))
        assert ("agent[0].scopes", f"{held} is registered at no resource") in found

    @pytest.mark.parametrize("scope", ["*", "crm*", "crm.*.read", "*.read"])
    def test_a_wildcard_is_a_last_segment(self, tmp_path: Path, scope: str) -> None:
        found = problems(tmp_path, self.with_scopes(registered=["crm.read", scope], held=["crm.read"]))
        assert found == [("resource[0].scopes", f"{scope} has a wildcard that is not its last segment")]
        assert problems(tmp_path, self.with_scopes(registered=["crm.read", "crm:*"], held=["crm.read"])) == []
