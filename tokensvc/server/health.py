"""`GET /healthz` and `GET /readyz`, for whoever starts, stops and balances processes."""

import asyncio
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from tokensvc.errors import Unavailable
from tokensvc.ports import Signer, Store
from tokensvc.server.answer import uncached_json
from tokensvc.server.routes import Endpoint

__all__ = ["liveness_endpoint", "readiness_endpoint"]

# Balancers ask every few seconds and give up about as fast.
_PATIENCE_S: Final = 3.0


def liveness_endpoint() -> Endpoint:
    """The process is up."""

    async def healthz(_request: Request) -> Response:
        return uncached_json({"status": "ok"})

    return healthz


def readiness_endpoint(store: Store, signer: Signer, *, patience_s: float = _PATIENCE_S) -> Endpoint:
    """Tokens could be issued now: the store answers and there is a key to sign with. Strangers get no detail."""

    async def readyz(_request: Request) -> Response:
        signer.signing_key()
        try:
            async with asyncio.timeout(patience_s):
                await store.ping()
        except TimeoutError as exc:
            raise Unavailable("the store does not answer in time") from exc
        return uncached_json({"status": "ready"})

    return readyz
