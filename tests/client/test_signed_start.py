"""A chain that rests on the word of the authority and of the delegators alone, at the real service."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from tests.server.world import API, IDP, ISSUER, World, make_world, secret_of, values
from tests.simulator import ec_key, jti, seal
from tokensvc.client import SIGNED_ROOT, AsyncAgent, ClientSecret, ExchangeRefused
from tokensvc.core.entry import Evidence
from tokensvc.core.jws import SigningKey
from tokensvc.core.keyset import KeySet, render_jwks
from tokensvc.verify import Expectation, LifetimeOnly, StaticKeys, VerifiedToken, verify_token
from tokensvc.verify.verifier import UnsafeHolderProvenUpstream

ROOTS: Final = ec_key("roots")
HOLDERS: Final = {name: ec_key(f"{name} holder") for name in ("planner", "researcher")}


def world_with_authority(folder: Path) -> World:
    """The service, with an authority that signs roots, and two agents that hold keys."""
    configured = values()
    ceiling = {"resources": [API]}
    configured["authority"] = [{"iss": IDP, "jwks_file": "roots.jwks.json", "ceiling": ceiling}]
    for agent in configured["agent"]:
        if agent["id"] in HOLDERS:
            agent["holder_jwks_file"] = f"{agent['id']}.jwks.json"
    for name, key in {"roots": ROOTS, **HOLDERS}.items():
        (folder / f"{name}.jwks.json").write_text(json.dumps(render_jwks(KeySet([key.public]))))
    return make_world(folder, configured)


def root_of(world: World, holder: SigningKey) -> str:
    """What the authority lets planner do for a user, with that key."""
    claims = {"iss": IDP, "sub": "user-1", "aud": ISSUER, "actor": "planner", "jti": jti("signed root")}
    granted = {"scope": "crm.delete crm.export crm.read crm.write", "resources": [API], "max_depth": 5}
    times = {"iat": world.clock.now - 10, "exp": world.clock.now + 3600}
    header = {"typ": "delegation-root+jwt", "alg": "ES256", "kid": ROOTS.kid}
    return seal(header, {**claims, **granted, **times, "cnf": {"jkt": holder.public.thumbprint}}, ROOTS)


def verified(world: World, token: str) -> VerifiedToken:
    keys = {ISSUER: world.signer.public_keys(), IDP: KeySet([ROOTS.public])}
    expect = Expectation.delegator_signed(
        issuers=[ISSUER], audiences=[API], agent_keys={}, authorities={(ISSUER, IDP): ""}
    )
    return verify_token(
        token,
        keys=StaticKeys(keys),
        expect=replace(expect, root_floor=Evidence.AUTHORITY),
        now=world.clock.now,
        revocations=LifetimeOnly(max_s=900),
        proof=UnsafeHolderProvenUpstream(),
    )


async def test_a_signed_root_is_started_with_and_delegated_below(tmp_path: Path) -> None:
    world = world_with_authority(tmp_path)
    async with world.running() as http:
        planner, researcher = (
            AsyncAgent(
                issuer=ISSUER,
                client_id=name,
                auth=ClientSecret(secret_of(name), in_body=name == "researcher"),
                holder_key=HOLDERS[name],
                sign_grants=True,
                http=http,
                clock=lambda: float(world.clock.now),
            )
            for name in ("planner", "researcher")
        )
        root = root_of(world, HOLDERS["planner"])
        lease = await planner.start(root, scope="crm.export crm.read crm.write", subject_token_type=SIGNED_ROOT)
        received = await researcher.receive(await lease.delegate(to="researcher", scope="crm.read crm.write"))
        token = verified(world, await received.token())
        assert token.actors == ("researcher", "planner")
        assert token.sub == "user-1"

        # Another agent, or the same with another key, cannot start with it.
        with pytest.raises(ExchangeRefused):
            await researcher.start(root, scope="crm.read", subject_token_type=SIGNED_ROOT)
        stranger = root_of(world, ec_key("another holder"))
        with pytest.raises(ExchangeRefused) as caught:
            await planner.start(stranger, scope="crm.read", subject_token_type=SIGNED_ROOT)
        assert caught.value.reason == "holder_unproven"
