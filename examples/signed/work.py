"""A planner signs what it delegates to a researcher, who calls the API; and what is refused there and why.

    python work.py DIR [LOGIN]

DIR is a folder that `tokensvc init --agent-keys DIR` made, LOGIN the login of `tokensvc demo-idp`.
"""

import sys
import tomllib
from pathlib import Path

import httpx2

from tokensvc.client import (
    Agent,
    ExchangeRefused,
    Lease,
    LeaseAuth,
    PrivateKeyJwt,
    load_or_create_holder_key,
    read_private_key,
)


def agent(folder: Path, issuer: str, name: str, *, sign_grants: bool = False) -> Agent:
    """That agent, with the two keys that `init` made for it."""
    return Agent(
        issuer=issuer,
        client_id=name,
        auth=PrivateKeyJwt(read_private_key(folder / "agents" / f"{name}.private.jwk.json")),
        holder_key=load_or_create_holder_key(folder / "agents" / f"{name}-holder.private.jwk.json"),
        sign_grants=sign_grants,
    )


def called(api: str, lease: Lease) -> str:
    """What the API answers to the agent."""
    with httpx2.Client(auth=LeaseAuth(lease)) as http:
        return told(http.get(f"{api}/customers"))


def told(answer: httpx2.Response) -> str:
    """An answer of the API in a few words."""
    body = answer.json()
    return f"{answer.status_code} {body['detail']['reason'] if answer.is_error else ' for '.join(body['by'])}"


def main(folder: Path, login: str) -> None:
    """Delegate with a signature and without, lose a token to a thief, and end it."""
    settings = tomllib.loads((folder / "tokensvc.toml").read_text())
    issuer, api = settings["issuer"], settings["resource"][0]["id"]
    alice = httpx2.post(login, data={"user": "alice", "client_id": "planner"}).raise_for_status().json()["access_token"]
    with (
        agent(folder, issuer, "planner", sign_grants=True) as planner,
        agent(folder, issuer, "planner") as careless,
        agent(folder, issuer, "researcher") as researcher,
    ):
        begun = planner.start(alice, scope="crm.read crm.write", resource=api)
        lease = researcher.receive(begun.delegate(to="researcher", scope="crm.read"))
        print("signed by planner:", called(api, lease))

        unsigned = careless.start(alice, scope="crm.read crm.write", resource=api)
        on_their_word = researcher.receive(unsigned.delegate(to="researcher", scope="crm.read"))
        print("on the token service's word:", called(api, on_their_word))

        stolen = {"Authorization": f"Bearer {lease.token()}"}
        print("stolen from researcher:", told(httpx2.get(f"{api}/customers", headers=stolen)))

        # To be picked up by researcher alone, whenever it comes: nobody asks the token service before that.
        grant, token = begun.grant(to="researcher", scope="crm.read"), begun.exchange_only_token()
        print("picked up by a grant:", called(api, researcher.receive(token, grant=grant)))
        planner.revoke(grant)
        try:
            researcher.receive(token, grant=grant)
        except ExchangeRefused as refused:
            print("the grant revoked:", refused.reason)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "http://127.0.0.1:8701/login")  # noqa: PLR2004
