"""A planner that works for alice, and hands a part of the work to a researcher in another process.

    python planner.py DIR | python researcher.py DIR

DIR is the folder of `tokensvc demo --serve --dir DIR`. What goes through the pipe is the task and a token that nobody
but the researcher can use; it could go through any queue that you would send the task through.
"""

import json
import sys
from pathlib import Path

from tokensvc.client import Agent, ClientSecret


def main(folder: str) -> None:
    """Start from alice's token, delegate two of her scopes, and print what the researcher needs."""
    world = json.loads((Path(folder) / "world.json").read_text())
    me, api = world["clients"][0], world["resources"][0]["id"]
    auth = ClientSecret(me["client_secret"], in_body=me["auth_method"] == "client_secret_post")
    with Agent(issuer=world["issuer"], client_id=me["client_id"], auth=auth) as planner:
        lease = planner.start(world["subject_token"], scope="crm.read crm.comment crm.update", resource=api)
        handed = lease.delegate(to="researcher", scope="crm.read crm.comment", may_delegate=True)
    print(json.dumps({"task": "list the customers", "url": world["api_url"], "token": handed}))


if __name__ == "__main__":
    main(sys.argv[1])
