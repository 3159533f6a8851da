"""The researcher: it picks up what the planner handed over, and calls the API under its own name.

    python planner.py DIR | python researcher.py DIR

DIR is the folder of `tokensvc demo --serve --dir DIR`; of it the researcher needs its own credentials only.
"""

import json
import sys
from pathlib import Path

import httpx2

from tokensvc.client import Agent, ClientSecret, ExchangeRefused, LeaseAuth


def main(folder: str) -> None:
    """Pick up, do the task, and show that more than was delegated is not to be had."""
    world = json.loads((Path(folder) / "world.json").read_text())
    me, task = world["clients"][1], json.loads(sys.stdin.readline())
    auth = ClientSecret(me["client_secret"], in_body=me["auth_method"] == "client_secret_post")
    with Agent(issuer=world["issuer"], client_id=me["client_id"], auth=auth) as researcher:
        lease = researcher.receive(task["token"])
        with httpx2.Client(auth=LeaseAuth(lease)) as http:
            answer = http.get(task["url"]).raise_for_status().json()
        print(f"{task['task']}: {len(answer['customers'])}, for {answer['for']} by {answer['by']}")
        try:
            lease.delegate(to="fetcher", scope="crm.read crm.delete")
        except ExchangeRefused as refused:
            print(f"more than I have: {refused.reason}")


if __name__ == "__main__":
    main(sys.argv[1])
