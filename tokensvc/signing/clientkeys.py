"""The key pair of a client that authenticates with `private_key_jwt`: made here, used elsewhere."""

import os
from dataclasses import dataclass
from pathlib import Path

from tokensvc.core.jsontext import render_json
from tokensvc.core.jws import SigningKey
from tokensvc.core.keyset import Algorithm, KeySet, render_jwks
from tokensvc.errors import ConfigurationError
from tokensvc.newkey import make_key
from tokensvc.private_files import PRIVATE_FOLDER, explained, write_file

__all__ = ["ClientKeys", "make_client_keys"]

_PUBLIC_FILE = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientKeys:
    """A key pair and its two files: `private` for the client alone, `jwks` for the token service."""

    key: SigningKey
    private: Path
    jwks: Path


def make_client_keys(name: Path, algorithm: Algorithm) -> ClientKeys:
    """A new pair: `NAME.private.jwk.json` (mode 0600) and `NAME.jwks.json`, which the service is given.

    The folder is made when it is not there; a file that stands there is never replaced. Raises: ConfigurationError.
    """
    private, jwks = (name.with_name(f"{name.name}{ending}") for ending in (".private.jwk.json", ".jwks.json"))
    for path in (private, jwks):
        if os.path.lexists(path):
            remedy = "Choose another name, or move the file away."
            raise ConfigurationError("there is a file already", file=str(path), key="", remedy=remedy)
    key = make_key(algorithm)
    with explained(name.parent):
        name.parent.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        # The key first: a key set whose private half was lost would bar the client.
        write_file(private, render_json({**key.unsafe_private_jwk()}) + b"\n")
        write_file(jwks, render_json({**render_jwks(KeySet([key.public]))}) + b"\n", mode=_PUBLIC_FILE)
    return ClientKeys(key=key, private=private, jwks=jwks)
