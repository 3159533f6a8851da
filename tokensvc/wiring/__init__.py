"""The composition root: settings in, a token service out. The only place where concrete classes meet.

app = build_app(load_settings(Path("tokensvc.toml"), os.environ))
uvicorn.Server(uvicorn_config(app)).run(sockets=[bind("127.0.0.1", 8700)])
"""

from tokensvc.server.listen import bind, uvicorn_config
from tokensvc.wiring.clock import system_clock
from tokensvc.wiring.providers import fetched_keys_of
from tokensvc.wiring.registry import registry_of, terms_of
from tokensvc.wiring.service import Service, build_app, require_startable
from tokensvc.wiring.stores import open_store

__all__ = [
    "Service",
    "bind",
    "build_app",
    "fetched_keys_of",
    "open_store",
    "registry_of",
    "require_startable",
    "system_clock",
    "terms_of",
    "uvicorn_config",
]
