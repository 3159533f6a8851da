"""An API that takes nothing but delegations which their delegators signed, from senders that prove their keys.

    python api.py DIR

DIR is a folder that `tokensvc init --agent-keys DIR` made, with the address of this API as the `id` of its resource.
"""

import json
import sys
import tomllib
from pathlib import Path
from typing import Annotated

import httpx2
import uvicorn
from fastapi import Depends, FastAPI

from tokensvc import Expectation, LifetimeOnly, StaticKeys, VerifiedToken, parse_jwks
from tokensvc.integrations.fastapi import TokenGuard, metadata_url
from tokensvc.integrations.resource_metadata import protected_resource_metadata
from tokensvc.verify import parse_json_object


def make_app(folder: Path, issuer: str, api: str) -> FastAPI:
    """The API at the address `api`, with one route."""
    # In production `https_keys` keeps the key set fresh (docs/verifier.md); plain http is for one machine alone.
    keys = parse_jwks(parse_json_object(httpx2.get(f"{issuer}/.well-known/jwks.json").raise_for_status().content))
    # The first agent's key has to be known from somewhere: its thumbprint is the kid in the file that was registered.
    registered = json.loads((folder / "agents" / "planner-holder.jwks.json").read_text())
    pinned = [key["kid"] for key in registered["keys"]]
    expect = Expectation.delegator_signed(issuers=[issuer], audiences=[api], agent_keys={(issuer, "planner"): pinned})
    guard = TokenGuard(
        keys=StaticKeys({issuer: keys}),
        expect=expect,
        revocations=LifetimeOnly(max_s=900),
        resource_metadata=metadata_url(api),
    )
    app = FastAPI()

    @app.get("/.well-known/oauth-protected-resource")
    def metadata() -> dict[str, object]:
        return {**protected_resource_metadata(resource=api, authorization_servers=[issuer], holder=expect.holder)}

    @app.get("/customers")
    def customers(token: Annotated[VerifiedToken, Depends(guard.require(scope="crm.read"))]) -> dict[str, object]:
        return {"customers": ["Ada Lovelace", "Grace Hopper"], "for": token.sub, "by": token.actors}

    return app


def main(folder: Path) -> None:
    """Serve the resource of that folder's configuration at its own address."""
    settings = tomllib.loads((folder / "tokensvc.toml").read_text())
    api = httpx2.URL(settings["resource"][0]["id"])
    uvicorn.run(make_app(folder, settings["issuer"], str(api)), host=api.host, port=api.port or 80)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
