"""The private keys of an agent in files: made once, readable by one user alone."""

import os
from pathlib import Path
from typing import Final, Literal

from tokensvc.core.jsontext import parse_json_object, render_json
from tokensvc.core.jws import SigningKey
from tokensvc.core.keyset import Algorithm, KeySet, render_jwks
from tokensvc.errors import ConfigurationError, KeyRefused, Malformed
from tokensvc.newkey import make_key
from tokensvc.private_files import PRIVATE_FOLDER, explained, locked, read_private_file, write_file

__all__ = ["load_or_create_holder_key", "public_jwks", "read_private_key", "require_holder_key"]

# An RSA key of 8192 bits takes 7 KB as a JWK.
_MAX_BYTES: Final = 64 * 1024


def load_or_create_holder_key(path: Path | str, algorithm: Literal["ES256", "Ed25519"] = "ES256") -> SigningKey:
    """The holder key in the file `path` (a private JWK); a new one of `algorithm` where there is no such file.

    The file has mode 0600 and stands there whole or not at all; a folder that has to be made has mode 0700. Agents that
    start at once in several processes get the same key. Raises: ConfigurationError, also when others may read the file.
    """
    path = Path(path)
    with explained(path.parent):
        path.parent.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        with locked(path.parent):
            if not os.path.lexists(path):
                key = make_key(Algorithm(algorithm))
                write_file(path, render_json({**key.unsafe_private_jwk()}) + b"\n")
    try:
        key = read_private_key(path)
        require_holder_key(key)
    except KeyRefused as exc:
        raise _unusable(path, exc.description) from None
    return key


def read_private_key(path: Path | str) -> SigningKey:
    """The key in the file `path`, a private JWK that nobody else may read. Raises: ConfigurationError."""
    path = Path(path)
    try:
        return SigningKey.from_jwk(parse_json_object(read_private_file(path, max_bytes=_MAX_BYTES)))
    except (Malformed, KeyRefused) as exc:
        # `from None`: what lies below may hold parts of the key.
        raise _unusable(path, exc.description) from None


def public_jwks(key: SigningKey) -> dict[str, list[dict[str, str]]]:
    """The JWK Set (RFC 7517 s5) that an operator registers for the agent: the public half and nothing else."""
    return render_jwks(KeySet([key.public]))


def require_holder_key(key: SigningKey) -> None:
    """Return for a key that may sign grants: ES256 or Ed25519. Raises: KeyRefused."""
    if key.alg is Algorithm.RS256:
        raise KeyRefused("a holder key is of ES256 or Ed25519")


def _unusable(path: Path, problem: str) -> ConfigurationError:
    remedy = "Move the file away to have a new key made, and register that one."
    return ConfigurationError(problem, file=str(path), key="", remedy=remedy)
