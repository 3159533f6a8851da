"""Other libraries beside ours: how long each takes over a chain with as many agents, in times of our verification.

Each gets its fastest public call, its keys and settings made once, the text that travels in a header, and a text of its
own for every call. Ours makes all its checks, looks for the root among 10,000 revocations, and asks for one scope.

- PyJWT decodes the very same token of issuer evidence: signature, `exp`, `iat`, `nbf`, `aud`, `iss`. It does not look
  at the chain, the type, the holder or revocations, and takes JSON as lenient as Python's.
- tenuo decodes and verifies a stack of as many warrants as there are agents, each with one capability less, signed with
  Ed25519 by the holder above: the same proof as delegator evidence. It checks signatures, links, expiry, depth and that
  capabilities shrink. No tool is called, no revocations are looked at, and holders prove nothing, as with ours.
- biscuit verifies a token of as many blocks as there are agents, the first with the rights, each other with a check of
  one right less and of the expiry, then authorises one operation at a fixed time. Each block is signed with Ed25519, by
  a key that the block before it carries: it proves that blocks were only added, not by whom. Whether a block asks for
  less is not checked: the checks of all blocks hold together. No revocations are looked at.

Run: .venv/bin/python -m bench.peers [--json] [--quick]
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import biscuit_auth
import jwt
import tenuo_core  # type: ignore[import-untyped] # it has none

from bench._measure import Goal, Plan, Row, Side, detail, interleave, progress, ratio, run_script
from bench._tokens import (
    ISSUER,
    LIFETIME_S,
    NOW,
    RESOURCE,
    SERVICE,
    USER,
    Terms,
    agent_keys,
    delegated,
    issued,
    least_scopes,
    scopes,
)

GROUP: Final = "other libraries"
# Faster at every depth, and by far where chains are as long as they get by default.
PYJWT_GOALS: Final = {1: 1.0, 3: 1.0, 5: 1.6, 8: 1.0}
# One agent has nothing delegated to it by another.
DEPTHS: Final = (3, 5, 8)
# Its own limit is a millisecond of the clock on the wall, which a busy machine takes away.
_BISCUIT_TIME: Final = timedelta(seconds=5)


def measure(plan: Plan) -> Iterator[Row]:
    """PyJWT at each depth, then the others where agents delegate to agents. Above 1 is slower than ours."""
    taken = {}
    for depth in PYJWT_GOALS:
        progress(f"{GROUP}: depth {depth}")
        taken[depth] = interleave(plan, _sides(plan, depth))
    for depth, bound in PYJWT_GOALS.items():
        yield _row(taken[depth], "pyjwt", "issuer", f"PyJWT decode of the same token, depth {depth}", Goal(">=", bound))
    for ours in ("issuer", "delegator"):
        for depth in DEPTHS:
            yield _row(taken[depth], "tenuo", ours, f"tenuo over our {ours} evidence, depth {depth}")
    for ours in ("issuer", "delegator"):
        for depth in DEPTHS:
            yield _row(taken[depth], "biscuit", ours, f"biscuit over our {ours} evidence, depth {depth}")


def _sides(plan: Plan, depth: int) -> dict[str, Side]:
    count, keys = least_scopes(depth), agent_keys(depth)
    tokens = [issued(depth, count).token() for _ in range(plan.inputs)]
    signed = [delegated(count, keys).token() for _ in range(plan.inputs)]
    warrants, decode_warrants = _tenuo(depth, plan.inputs)
    biscuits, authorise = _biscuit(depth, plan.inputs)
    return {
        "issuer": Side(work=_ours(Terms.issuer()), inputs=tokens),
        "delegator": Side(work=_ours(Terms.delegator(keys[:1])), inputs=signed),
        "pyjwt": Side(work=_decode, inputs=tokens),
        "tenuo": Side(work=decode_warrants, inputs=warrants),
        "biscuit": Side(work=authorise, inputs=biscuits),
    }


def _row(taken: dict[str, list[float]], peer: str, ours: str, name: str, goal: Goal | None = None) -> Row:
    return Row(
        group=GROUP,
        name=name,
        figure=ratio(taken[peer], taken[ours]),
        unit="x ours",
        goal=goal,
        detail=detail(peer, ours, taken),
    )


def _ours(terms: Terms) -> Callable[[str], None]:
    needed = scopes(1)[0]
    return lambda token: terms.verify(token).require(scope=needed)


def _decode(token: str) -> dict[str, Any]:
    return jwt.decode(token, SERVICE.public, algorithms=["ES256"], audience=RESOURCE, issuer=ISSUER)


def _tenuo(depth: int, count: int) -> tuple[list[str], Callable[[str], object]]:
    # holders[0] is the control plane, which issues the first agent's warrant.
    holders = [tenuo_core.SigningKey.generate() for _ in range(depth + 1)]
    names = scopes(least_scopes(depth))

    def stack() -> str:
        granted: dict[str, dict[str, object]] = {name: {} for name in names[:-1]}
        chain = [tenuo_core.Warrant.issue(holders[0], granted, LIFETIME_S, holders[1].public_key)]
        for index in range(1, depth):
            granted = {name: {} for name in names[: -1 - index]}
            chain.append(chain[-1].attenuate(granted, holders[index], LIFETIME_S, holders[index + 1].public_key))
        return str(tenuo_core.encode_warrant_stack(chain))

    authorizer = tenuo_core.Authorizer(trusted_roots=[holders[0].public_key])
    decode, verify = tenuo_core.decode_warrant_stack_base64, authorizer.verify_chain
    return [stack() for _ in range(count)], lambda text: verify(decode(text))


def _biscuit(depth: int, count: int) -> tuple[list[str], Callable[[str], object]]:
    issuer = biscuit_auth.KeyPair()
    names = scopes(least_scopes(depth))
    expiry = {"expiry": datetime.fromtimestamp(NOW + LIFETIME_S, UTC)}
    check_time = "check if time($now), $now < {expiry};"
    rights = "".join(f'right("{name}");' for name in names[:-1])

    def token() -> str:
        biscuit = biscuit_auth.BiscuitBuilder(f'user("{USER}"); {rights} {check_time}', expiry)
        chain = biscuit.build(issuer.private_key)
        for index in range(1, depth):
            left = ", ".join(f'"{name}"' for name in names[: -1 - index])
            check = f"check if operation($asked), [{left}].contains($asked); {check_time}"
            chain = chain.append(biscuit_auth.BlockBuilder(check, expiry))
        return chain.to_base64()

    asked = {"now": datetime.fromtimestamp(NOW, UTC), "asked": names[0]}
    rules = "time({now}); operation({asked}); allow if operation($asked), right($asked);"
    authorizer: Any = biscuit_auth.AuthorizerBuilder(rules, asked)
    limits = authorizer.limits()
    limits.max_time = _BISCUIT_TIME
    authorizer.set_limits(limits)
    parse, public = biscuit_auth.Biscuit.from_base64, issuer.public_key
    return [token() for _ in range(count)], lambda text: authorizer.build(parse(text, public)).authorize()


if __name__ == "__main__":
    run_script(measure, "Other libraries beside ours.")
