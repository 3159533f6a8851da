"""Certificates and the server's key in files that the settings name. Reading one tells what is wrong with it."""

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from tokensvc.core.certificate import Certificate, is_fit_to_issue, parse_pem_certificates
from tokensvc.errors import ConfigurationError, Malformed
from tokensvc.settings.model import Settings
from tokensvc.smallfile import read_small_file

__all__ = [
    "find_certificate_problems",
    "load_client_authorities",
    "load_server_certificate",
    "read_certificates",
    "require_current_certificate",
    "unusable_file",
]

# A chain, or what a company trusts; the largest bundles of the web have a few hundred KB.
_MAX_BYTES: Final = 1_000_000
_MAX_KEY_BYTES: Final = 100_000
_EVERYBODY: Final = stat.S_IROTH | stat.S_IWOTH


def load_server_certificate(settings: Settings) -> Certificate | None:
    """The certificate that the service shows; None where it speaks no TLS. Its key fits.

    Raises: ConfigurationError, naming the file at fault.
    """
    path, key_path = settings.server.tls_certificate_file, settings.server.tls_key_file
    if path is None or key_path is None:
        return None
    certificate, *_ = read_certificates(path, "Save the certificate of the service there, then those above it.")
    if _read_public_half(key_path) != certificate.content.public_key().public_bytes(*_SPKI):
        remedy = "Name the key for which the first certificate in server.tls_certificate_file was issued."
        raise unusable_file(key_path, "the key is not the one of the server certificate", remedy)
    return certificate


def load_client_authorities(settings: Settings) -> tuple[Certificate, ...]:
    """The authorities that say who clients are. Raises: ConfigurationError, naming the file at fault."""
    path = settings.server.client_ca_file
    if path is None:
        return ()
    remedy = "Save the certificates of the authorities that issue to clients there, with RSA keys or on a NIST curve."
    certificates = read_certificates(path, remedy)
    if not all(is_fit_to_issue(certificate) for certificate in certificates):
        problem = "a certificate is no certificate authority, or of a kind of key whose signatures are not verified"
        raise unusable_file(path, problem, remedy)
    return certificates


def find_certificate_problems(settings: Settings) -> Iterator[ConfigurationError]:
    """Everything for which these would raise."""
    for load in (load_server_certificate, load_client_authorities):
        try:
            load(settings)
        except ConfigurationError as exc:
            yield exc


def require_current_certificate(settings: Settings, *, now: int) -> None:
    """With a certificate that no client accepts there is no service. `now` in seconds. Raises: ConfigurationError."""
    certificate = load_server_certificate(settings)
    if certificate is None or certificate.is_valid_at(now):
        return
    problem = (
        "the server certificate has expired"
        if _has_ended(certificate, now)
        else "the server certificate is not valid yet"
    )
    remedy = "Have it renewed, or set this machine's clock right."
    raise unusable_file(settings.server.tls_certificate_file or Path(), problem, remedy)


def read_certificates(path: Path, remedy: str) -> tuple[Certificate, ...]:
    """The certificates in the PEM file at `path`, one at least. Raises: ConfigurationError with that `remedy`."""
    try:
        found = parse_pem_certificates(read_small_file(path, max_bytes=_MAX_BYTES))
    except OSError as exc:
        raise unusable_file(path, f"the certificate cannot be read ({exc.strerror})", remedy) from exc
    except Malformed as exc:
        raise unusable_file(path, exc.description, remedy) from exc
    if not found:
        raise unusable_file(path, "no certificate stands in the file", remedy)
    return found


def unusable_file(path: Path, problem: str, remedy: str) -> ConfigurationError:
    """The error about the file itself, whichever key of the settings names it."""
    return ConfigurationError(problem, file=str(path), key="", remedy=remedy)


_SPKI: Final = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _read_public_half(path: Path) -> bytes:
    def require_private(mode: int) -> None:
        if mode & _EVERYBODY:
            remedy = f"Run: chmod 640 {path} and replace the key if somebody may have read it."
            raise unusable_file(path, "every user may read the key of the server certificate", remedy)

    remedy = "Save the private key as PEM there, without a password, and let this user read it."
    try:
        key = load_pem_private_key(
            read_small_file(path, max_bytes=_MAX_KEY_BYTES, require=require_private), password=None
        )
    except OSError as exc:
        raise unusable_file(path, f"the key cannot be read ({exc.strerror})", remedy) from exc
    except Malformed as exc:
        raise unusable_file(path, f"the key is {exc.description}", remedy) from exc
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # Not "from exc": nothing of a private key belongs into a trace.
        raise unusable_file(path, "no private key stands in the file, or one with a password", remedy) from None
    return key.public_key().public_bytes(*_SPKI)


def _has_ended(certificate: Certificate, now: int) -> bool:
    return certificate.content.not_valid_after_utc.timestamp() < now
