"""The signer that has its keys in files. Rotation: a new file is the key that signs, the older ones stay published."""

from pathlib import Path

from tokensvc.core.jws import SigningKey
from tokensvc.core.keyset import Algorithm, KeySet
from tokensvc.errors import ConfigurationError, KeyRefused
from tokensvc.signing.keyfiles import list_keys

__all__ = ["LocalSigner"]


class LocalSigner:
    """Signs with the newest key of one algorithm in a folder; publishes every key there (port `Signer`).

    The folder is read once, when this is made: a key added later signs from the next start on.
    """

    __slots__ = ("_public", "_signing")

    def __init__(self, directory: Path, algorithm: Algorithm) -> None:
        """Raises: ConfigurationError when a file cannot be used, or no key is of that algorithm."""
        keys = [file.key for file in list_keys(directory)]
        fitting = [key for key in keys if key.alg is algorithm]
        if not fitting:
            remedy = "Run: tokensvc keys generate"
            raise ConfigurationError(f"no signing key for {algorithm}", file=str(directory), key="", remedy=remedy)
        self._signing = fitting[0]
        try:
            self._public = KeySet(key.public for key in keys)
        except KeyRefused as exc:
            remedy = "Remove one of the two files."
            raise ConfigurationError(exc.description, file=str(directory), key="", remedy=remedy) from exc

    def __repr__(self) -> str:
        return f"LocalSigner(kid={self._signing.kid!r})"

    def signing_key(self) -> SigningKey:
        """The newest key of the configured algorithm."""
        return self._signing

    def public_keys(self) -> KeySet:
        """Every key in the folder, whatever its algorithm."""
        return self._public
