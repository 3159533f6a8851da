"""What a DPoP proof and a signed grant cost the token service, over the same delegation without them.

Whole exchanges as the token endpoint makes them, without HTTP and client authentication, over a store in memory: so the
ratios are those of the service's own work. agent-1 delegates to agent-2. `bound` has a subject token that is bound to
agent-1's key, and a proof of it; `granted` a grant signed with it, which is the hop, in place of a proof; `both` has
both. All requests differ.

Run: .venv/bin/python -m bench.exchange_holder [--json] [--quick]
"""

import tempfile
import time
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from bench._measure import Plan, Row, Side, detail, interleave, progress, ratio, run_script
from bench._service import Exchanges, write_service
from bench._tokens import RESOURCE, Key, agent, agent_key, issued, jti, raw_signature, scopes
from tokensvc.exchange.holder import NOTHING_PRESENTED, Presented
from tokensvc.exchange.parties import Agent
from tokensvc.exchange.request import ACCESS_TOKEN_TYPE, GRANT_TYPE, Form
from tokensvc.exchange.service import ExchangeService, Issued
from tokensvc.exchange.upstream_keys import UpstreamKeys
from tokensvc.settings import load_agent_keys, load_settings, load_upstream_keys
from tokensvc.signing.local import LocalSigner
from tokensvc.storage.memory import MemoryStore
from tokensvc.wiring import registry_of, terms_of

GROUP: Final = "proof and grant at the exchange"
_ROOT_SCOPES: Final = 4
# The tokens and grants are made before the first exchange, and after the store.
_LATER_S: Final = 10


T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """One delegation, and what comes with it."""

    form: Form
    presented: Presented = NOTHING_PRESENTED


class _Service:
    """A token service without HTTP, whose agents hold keys or do not."""

    def __init__(self, folder: Path, *, are_holders: bool) -> None:
        config, self.exchanges = write_service(folder, "memory:", are_holders=are_holders)
        settings = load_settings(config, {})
        self._terms = terms_of(settings)
        signer = LocalSigner(settings.keys.dir, settings.keys.algorithm, clock=self.now)
        keys = UpstreamKeys(pinned=load_upstream_keys(settings), own=signer.public_keys)
        registry = registry_of(settings, keys, load_agent_keys(settings))
        self._client: Agent = registry.agents[agent(1)]
        store = MemoryStore()
        _finish(store.open())
        self._exchange = ExchangeService(
            registry=registry, terms=self._terms, store=store, signer=signer, clock=self.now
        )

    def now(self) -> int:
        """A little ahead, so that what was signed for the measurement is younger than the store."""
        return int(time.time()) + _LATER_S

    def exchange(self, request: _Request) -> Issued:
        """The answer."""
        return _finish(self._exchange.exchange(request.form, self._client, presented=request.presented))

    def requests(self, count: int, *, is_proven: bool, is_granted: bool) -> list[_Request]:
        """So many delegations, each with a subject token that no other one has."""
        return [self._request(is_proven=is_proven, is_granted=is_granted) for _ in range(count)]

    def _request(self, *, is_proven: bool, is_granted: bool) -> _Request:
        now, key = self.now(), agent_key(1)
        chain = issued(1, _ROOT_SCOPES, [key] if is_proven or is_granted else (), now=now)
        form = {
            "grant_type": (GRANT_TYPE,),
            "subject_token": (chain.token(self.exchanges.key),),
            "subject_token_type": (ACCESS_TOKEN_TYPE,),
            "requested_actor": (agent(2),),
            "scope": (" ".join(scopes(_ROOT_SCOPES)[:2]),),
            "resource": (RESOURCE,),
        }
        if is_granted:
            form["delegation_grant"] = (str(chain.delegate(agent_key(2)).entries[-1]["jws"]),)
        return _Request(form=form, presented=self._proof(key, now) if is_proven else NOTHING_PRESENTED)

    def _proof(self, key: Key, now: int) -> Presented:
        claims = {"jti": jti(), "htm": "POST", "htu": self._terms.token_endpoint, "iat": now}
        return Presented(dpop=(key.seal({"typ": "dpop+jwt", "alg": "ES256", "jwk": key.jwk}, claims),))


def measure(plan: Plan) -> Iterator[Row]:
    """The exchange as it was, in raw verifications, and the others over it."""
    progress(f"{GROUP}: requests are made")
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        bearer = _Service(Path(name) / "bearer", are_holders=False)
        bound = _Service(Path(name) / "bound", are_holders=True)
        count = plan.inputs
        plain = bearer.requests(count, is_proven=False, is_granted=False)
        sides = {
            "raw": Side(
                work=lambda signature: signature.verify(), inputs=[_own(bearer.exchanges, each) for each in plain]
            ),
            "bearer": Side(work=bearer.exchange, inputs=plain),
            "bound": Side(work=bound.exchange, inputs=bound.requests(count, is_proven=True, is_granted=False)),
            "granted": Side(work=bound.exchange, inputs=bound.requests(count, is_proven=False, is_granted=True)),
            "both": Side(work=bound.exchange, inputs=bound.requests(count, is_proven=True, is_granted=True)),
        }
        progress(f"{GROUP}: {plan.rounds} rounds")
        taken = interleave(plan, sides)
    yield _row("a delegation of bearer tokens", "bearer", "raw", taken)
    yield _row("with a proof", "bound", "bearer", taken)
    yield _row("with a signed grant", "granted", "bearer", taken)
    yield _row("with both", "both", "bearer", taken)


def _finish(coroutine: Coroutine[Any, Any, T]) -> T:
    """What it returns. A store in memory never waits."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        answer: T = done.value
        return answer
    raise RuntimeError("it waits for something")


def _own(exchanges: Exchanges, request: _Request) -> object:
    return raw_signature(request.form["subject_token"][0], exchanges.key.public)


def _row(name: str, side: str, over: str, taken: dict[str, list[float]]) -> Row:
    figure = ratio(taken[side], taken[over])
    unit = "x raw" if over == "raw" else "x bearer"
    return Row(group=GROUP, name=name, figure=figure, unit=unit, detail=detail(side, over, taken))


if __name__ == "__main__":
    run_script(measure, "What proofs and grants cost the token service.")
