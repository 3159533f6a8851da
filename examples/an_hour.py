"""A job of an hour under tokens of minutes: it renews while what was delegated to it lives, and ends with it.

    python an_hour.py DIR

DIR is the folder of `tokensvc demo --serve --dir DIR`. To see all of it within seconds: `--lasts 6 --every 1`.
"""

import argparse
import json
import time
from pathlib import Path

import httpx2

from tokensvc.client import Agent, ClientSecret, Lease, LeaseAuth


def main(folder: str, *, lasts_s: int, every_s: int) -> None:
    """Delegate `lasts_s` seconds of work to the researcher, who does some of it every `every_s` seconds."""
    world = json.loads((Path(folder) / "world.json").read_text())
    planner, researcher = (
        Agent(
            issuer=world["issuer"],
            client_id=client["client_id"],
            auth=ClientSecret(client["client_secret"], in_body=client["auth_method"] == "client_secret_post"),
        )
        for client in world["clients"][:2]
    )
    with planner, researcher:
        api = world["resources"][0]["id"]
        begun = planner.start(world["subject_token"], scope="crm.read crm.comment crm.update", resource=api)
        # An hour of work needs a delegation of an hour; the tokens below it live for minutes.
        handed = begun.delegate(to="researcher", scope="crm.read crm.comment", lifetime_s=lasts_s)
        work(researcher.receive(handed), world["api_url"], every_s=every_s)


def work(lease: Lease, url: str, *, every_s: int) -> None:
    """Call the API until the delegation ends."""
    rounds, tokens = 0, set()
    # LeaseAuth alone renews at two thirds of a token's life. This job says so itself, once a round.
    with httpx2.Client(auth=LeaseAuth(lease)) as http:
        while time.time() + every_s < lease.ends_at:
            http.get(url).raise_for_status()
            tokens.add(lease.token())
            rounds += 1
            time.sleep(every_s)
            lease.renew()
    print(f"{rounds} rounds under {len(tokens)} tokens; the delegation ends now")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="DIR")
    parser.add_argument("--lasts", type=int, default=3600, metavar="S", help="how long the work may take")
    parser.add_argument("--every", type=int, default=200, metavar="S", help="how often something is done")
    arguments = parser.parse_args()
    main(arguments.folder, lasts_s=arguments.lasts, every_s=arguments.every)
