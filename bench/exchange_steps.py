"""Where the time of an exchange goes: each step by itself, in raw ES256 verifications.

The steps are functions of the service, given what the steps before made of one request each; all requests differ. So
this is what they take when nothing is in between: the way through Starlette and uvicorn, the event loop and the store's
own work come on top, and a process that goes from step to step finds less in the processor's caches.

Run: .venv/bin/python -m bench.exchange_steps [--json] [--quick]
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench._measure import Plan, Row, Side, detail, interleave, progress, ratio, run_script
from bench._service import write_service
from bench._tokens import RawSignature, agent, raw_signature
from tokensvc.core.claims import AccessTokenClaims, render_access_token
from tokensvc.core.jws import SigningKey, seal_compact
from tokensvc.core.keyset import KeySet
from tokensvc.exchange.authenticate import ClientAssertion, _judge
from tokensvc.exchange.chain_keys import ChainKeys
from tokensvc.exchange.grant import propose_from_token, require_actor
from tokensvc.exchange.hop import Asker
from tokensvc.exchange.issue import ACCESS_TOKEN_TYP, Product, _verify_product
from tokensvc.exchange.parties import Agent
from tokensvc.exchange.proposal import Proposal
from tokensvc.exchange.record import describe_request, describe_subject, record_granted
from tokensvc.exchange.request import parse_exchange_request, require_single
from tokensvc.exchange.service import _answer, _claim, new_id
from tokensvc.exchange.subject import issuer_of, verify_own_token
from tokensvc.exchange.upstream_keys import UpstreamKeys
from tokensvc.server.answer import uncached_json
from tokensvc.server.client_auth import read_credentials
from tokensvc.server.form import parse_form
from tokensvc.settings import load_agent_keys, load_settings, load_upstream_keys
from tokensvc.signing.local import LocalSigner
from tokensvc.storage import ledger, redis_steps
from tokensvc.verify import StaticKeys, VerifiedToken
from tokensvc.wiring import registry_of, system_clock, terms_of

GROUP: Final = "steps of an exchange"
_RAW: Final = "raw"
_ALL: Final = "all steps, one store"
_LIFETIME_S: Final = 300

Step = Callable[[Any], object]


@dataclass(slots=True)
class _Work:
    """One request on its way through the steps, and what each made of it."""

    body: bytes
    form: Any = None
    credentials: Any = None
    request: Any = None
    subject: Any = None
    proposal: Any = None
    rendered: Any = None
    token: Any = None
    product: Any = None
    inputs: Any = None
    record: Any = None


class _Service:
    """The parts of a token service, and its steps as functions of a `_Work`."""

    def __init__(self, folder: Path) -> None:
        config, self.exchanges = write_service(folder, "memory:")
        settings = load_settings(config, {})
        self._signer = LocalSigner(settings.keys.dir, settings.keys.algorithm, clock=system_clock)
        self._terms = terms_of(settings)
        upstream = UpstreamKeys(pinned=load_upstream_keys(settings), own=self._signer.public_keys)
        self._registry = registry_of(settings, upstream, load_agent_keys(settings))
        self._now = int(time.time())

    @property
    def steps(self) -> Mapping[str, tuple[str, Step]]:
        """Each step, in order: what it is, and the member of `_Work` that takes what it gives."""
        return {
            "form parsed": ("form", self.parse_form),
            "credentials found": ("credentials", self.find_credentials),
            "assertion verified and judged": ("", self.judge_assertion),
            "request parsed": ("request", self.parse_request),
            "whose subject token it is": ("", self.find_issuer),
            "subject token verified": ("subject", self.verify_subject),
            "what could be revoked, before and after": ("", self.list_revocables),
            "hop proposed": ("proposal", self.propose),
            "claims rendered": ("rendered", self.render),
            "token signed": ("token", self.sign),
            "token verified again": ("product", self.verify_again),
            "request and chain described": ("inputs", self.describe),
            "record made": ("record", self.make_record),
            "step for SQLite made": ("", self.prepare_sqlite),
            "step for Redis made": ("", self.prepare_redis),
            "answer rendered": ("", self.render_answer),
        }

    def raw_signature(self, work: _Work) -> RawSignature:
        """The yardstick over the same subject token."""
        return raw_signature(work.form["subject_token"][0], self.exchanges.key.public)

    def parse_form(self, work: _Work) -> object:
        return parse_form(work.body)

    def find_credentials(self, work: _Work) -> object:
        credentials = read_credentials([], work.form)
        return self._client(credentials) and credentials

    def judge_assertion(self, work: _Work) -> object:
        return _judge(work.credentials.assertion, self._agent(1), self._terms, self._now)

    def parse_request(self, work: _Work) -> object:
        require_single(work.form)
        return parse_exchange_request(work.form)

    def find_issuer(self, work: _Work) -> object:
        return issuer_of(work.request.subject_token)

    def verify_subject(self, work: _Work) -> object:
        return verify_own_token(
            work.request.subject_token,
            StaticKeys({self._terms.issuer: self._signer.public_keys()}),
            expect=self._terms.expect(frozenset({self._terms.issuer, *self._registry.resources})),
            now=self._now,
        )

    def list_revocables(self, work: _Work) -> object:
        return self._registry.revocables_of(work.subject), self._registry.revocables_of(work.subject)

    def propose(self, work: _Work) -> Proposal:
        asker = Asker(
            request=work.request,
            client=self._agent(1),
            registry=self._registry,
            terms=self._terms,
            now=self._now,
            new_id=new_id,
        )
        return propose_from_token(asker, work.subject, require_actor(asker, work.subject))

    def render(self, work: _Work) -> object:
        chain, audience = work.proposal.chain, work.proposal.audience
        granted = chain.leaf.authority
        claims = AccessTokenClaims(
            iss=self._terms.issuer,
            sub=chain.root.sub,
            aud=audience,
            client_id=chain.leaf.actor,
            scope=granted.scope,
            iat=max(self._now, granted.iat),
            exp=self._now + _LIFETIME_S,
            nbf=None,
            jti=new_id(),
            cnf=None,
            details=granted.details,
        )
        return render_access_token(claims, chain)

    def sign(self, work: _Work) -> str:
        return seal_compact(work.rendered, typ=ACCESS_TOKEN_TYP, key=self._key())

    def verify_again(self, work: _Work) -> Product:
        audience = work.proposal.audience
        keys = ChainKeys(issuer=self._terms.issuer, own=KeySet([self._key().public]), authorities={})
        verified = _verify_product(work.token, audience, terms=self._terms, keys=keys, now=self._now)
        return Product(access_token=work.token, verified=verified)

    def describe(self, work: _Work) -> object:
        return {"request": describe_request(work.request), "subject": describe_subject(work.subject)}

    def make_record(self, work: _Work) -> object:
        return record_granted(
            record_id=new_id(), now=self._now, client_id=agent(1), token=work.product.verified, inputs=work.inputs
        )

    def prepare_sqlite(self, work: _Work) -> object:
        return ledger.committing(*self._commit(work))

    def prepare_redis(self, work: _Work) -> object:
        return redis_steps.committing(*self._commit(work))

    def render_answer(self, work: _Work) -> object:
        issued = _answer(work.product, work.request, self._now)
        return uncached_json(
            {
                "access_token": issued.access_token,
                "issued_token_type": issued.issued_token_type,
                "token_type": issued.token_type,
                "expires_in": issued.expires_in,
                "scope": issued.scope,
            }
        )

    def _commit(self, work: _Work) -> tuple[Any, ...]:
        verified: VerifiedToken = work.product.verified
        claims = tuple(_claim(new, self._now) for new in work.proposal.new_entries)
        return claims, verified.revocables(), work.record, self._now

    def _client(self, credentials: object) -> Agent | None:
        return (
            self._registry.enabled_agent(credentials.claimed_id or "")
            if isinstance(credentials, ClientAssertion)
            else None
        )

    def _agent(self, index: int) -> Agent:
        return self._registry.agents[agent(index)]

    def _key(self) -> SigningKey:
        return self._signer.signing_key()


def measure(plan: Plan) -> Iterator[Row]:
    """A row for each step, and their sum with one of the two stores."""
    progress(f"{GROUP}: requests are made")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        service = _Service(Path(folder) / "service")
        requests = service.exchanges.cold(plan.inputs)
        works = [_Work(body=request.partition(b"\r\n\r\n")[2]) for request in requests]
        _go_through(service, works)
        sides = {name: Side(work=step, inputs=works) for name, (_, step) in service.steps.items()}
        sides[_RAW] = Side(work=RawSignature.verify, inputs=[service.raw_signature(work) for work in works])
        progress(f"{GROUP}: {plan.rounds} rounds")
        taken = interleave(plan, sides)
    counted = [taken[name] for name in service.steps if name != "step for SQLite made"]
    taken[_ALL] = [sum(each) for each in zip(*counted, strict=True)]
    for name in (*service.steps, _ALL):
        yield Row(
            group=GROUP,
            name=name,
            figure=ratio(taken[name], taken[_RAW]),
            unit="x raw",
            detail=detail(name, _RAW, taken),
        )


def _go_through(service: _Service, works: Sequence[_Work]) -> None:
    for work in works:
        for member, step in service.steps.values():
            made = step(work)
            if member:
                setattr(work, member, made)


if __name__ == "__main__":
    run_script(measure, "The steps of an exchange, each by itself.")
