"""The yardstick of everything served: a Starlette application that reads a form and sends it back as JSON.

It is run by uvicorn with the settings that the token service has, on uvicorn's own HTTP/1.1; with `--bounded` behind
the bounds that the token service puts on connections. The form is read with the parser of the standard library:
Starlette's own takes another package, and half as long again.

Run: .venv/bin/python -m bench._echo [--bounded]; it says its port.
"""

import sys
from urllib.parse import parse_qsl

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tokensvc.wiring import bind, uvicorn_config


async def echo(request: Request) -> JSONResponse:
    """The form, as JSON."""
    return JSONResponse(dict(parse_qsl((await request.body()).decode(), keep_blank_values=True)))


def main() -> None:
    """Serve until told to stop."""
    listener = bind("127.0.0.1", 0)
    config = uvicorn_config(Starlette(routes=[Route("/token", echo, methods=["POST"])]))
    if "--bounded" not in sys.argv[1:]:
        config.http = "httptools"
    print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
