"""A client that knows nothing but `world.json`: what anybody could write who was handed that file."""

import json
from pathlib import Path
from typing import Any, Final, Self

import httpx2

GRANT_TYPE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
TIMEOUT_S: Final = 10


class Outsider:
    """Plain HTTP calls with what the file says. `of(path)` reads it; use it in a `with` block."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.told = told
        self._http = httpx2.Client(timeout=TIMEOUT_S, trust_env=False)

    @classmethod
    def of(cls, path: Path) -> Self:
        return cls(json.loads(path.read_text(encoding="utf-8")))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    @property
    def api(self) -> str:
        """The id of the resource that answers at `api_url`."""
        resource: str = self.told["resources"][0]["id"]
        return resource

    def shared(self, client: int) -> list[str]:
        """What the user, the API and that client have in common, in the order of `subject_scopes`."""
        mine, theirs = self.told["clients"][client]["scopes"], self.told["resources"][0]["scopes"]
        return [scope for scope in self.told["subject_scopes"] if scope in mine and scope in theirs]

    def start(self, client: int = 0, *, scope: str | None = None) -> httpx2.Response:
        """That client's own token from the user's."""
        wanted = " ".join(self.shared(client)) if scope is None else scope
        form = {"subject_token": self.told["subject_token"], "scope": wanted}
        return self._exchange(client, {**form, "subject_token_type": self.told["subject_token_type"]})

    def delegate(self, token: str, by: int) -> httpx2.Response:
        """A token for the next client, with all that it shares."""
        return self._name(token, by, by + 1, " ".join(self.shared(by + 1)))

    def pick_up(self, token: str, client: int, *, scope: str | None = None) -> httpx2.Response:
        """The client's renewal of what it was given."""
        return self._name(token, client, client, " ".join(self.shared(client)) if scope is None else scope)

    def post(self, member: str, form: dict[str, str], client: dict[str, Any]) -> httpx2.Response:
        """POST to the endpoint of that name as that client, by its registered method."""
        match client["auth_method"]:
            case "client_secret_basic":
                return self._http.post(
                    self.told[member], data=form, auth=(client["client_id"], client["client_secret"])
                )
            case "client_secret_post":
                return self._http.post(
                    self.told[member],
                    data={**form, "client_id": client["client_id"], "client_secret": client["client_secret"]},
                )
            case method:
                raise AssertionError(method)

    def introspect(self, token: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.post(
            "introspection_endpoint", {"token": token}, self.told["resource_server"]
        ).json()
        return answer

    def get(self, url: str, *, token: str | None = None) -> httpx2.Response:
        return self._http.get(url, headers={} if token is None else {"Authorization": f"Bearer {token}"})

    def _name(self, token: str, client: int, actor: int, scope: str) -> httpx2.Response:
        access_token = "urn:ietf:params:oauth:token-type:access_token"
        form = {"subject_token": token, "subject_token_type": access_token, "scope": scope}
        return self._exchange(client, {**form, "requested_actor": self.told["clients"][actor]["client_id"]})

    def _exchange(self, client: int, form: dict[str, str]) -> httpx2.Response:
        form = {"grant_type": GRANT_TYPE, "resource": self.api, **form}
        return self.post("token_endpoint", form, self.told["clients"][client])


def token_of(response: httpx2.Response) -> str:
    """The issued token."""
    assert response.status_code == 200, response.text
    token: str = response.json()["access_token"]
    return token
