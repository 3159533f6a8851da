"""Writes the golden tokens. From the project's folder: `python -m tests.vectors.make`.

The keys and times are fixed and signatures deterministic: every run writes the same bytes. The test
`tests/test_golden_tokens.py` compares them and asks the verifier of this project. The format: README.md beside this.
"""

import json
from pathlib import Path
from typing import Final

from tests.vectors import cases_chain, cases_details, cases_order, cases_signed, cases_text
from tests.vectors.case import DEFAULTS
from tests.vectors.cases_keys import key_sets
from tests.vectors.parties import (
    AS,
    AS_KEY,
    FOREIGN_IDP,
    FOREIGN_KEY,
    IDP,
    IDP_KEY,
    OTHER_AS,
    OTHER_AS_KEY,
    Members,
    b64,
    ec_key,
    ed_key,
    rsa_key,
)

__all__ = ["FILES", "FOLDER", "make"]

FOLDER: Final = Path(__file__).resolve().parent

FILES: Final = {
    "01-jws": cases_text.jws,
    "02-header": cases_text.header,
    "03-json": cases_text.json_text,
    "04-claims": cases_text.claims,
    "05-terms": cases_text.terms,
    "06-first-failure": cases_text.first_failure,
    "07-shapes": cases_chain.shapes,
    "08-alignment": cases_chain.alignment,
    "09-signed-roots": cases_signed.roots,
    "10-signed-hops": cases_signed.grants,
    "11-floors": cases_signed.floors,
    "12-narrower": cases_order.narrower,
    "13-scopes": cases_order.scopes,
    "14-proper": cases_order.proper,
    "15-details-text": cases_details.details_text,
    "16-details": cases_details.details,
    "17-constraints": cases_details.constraints,
    "18-leaf": cases_chain.leaf,
    "19-revocation": cases_chain.revocation,
    "20-calls": cases_details.calls,
}


def _keys() -> Members:
    # Keys of other purposes stand among them, as in real sets.
    encryption = {**ec_key("encryption").public, "use": "enc"}
    p384 = {
        "kty": "EC",
        "crv": "P-384",
        "kid": "p-384",
        "alg": "ES384",
        "use": "sig",
        "x": b64(bytes(48)),
        "y": b64(bytes(48)),
    }
    service = [AS_KEY.public, ed_key("service-ed").public, rsa_key("service-rsa").public, encryption, p384]
    authority = [IDP_KEY.public, ed_key("root-signer-ed").public, rsa_key("root-signer-rsa").public]
    return {
        AS: {"keys": service},
        OTHER_AS: {"keys": [{**OTHER_AS_KEY.public, "kid": "service"}]},
        IDP: {"keys": [*authority, {**ec_key("idp-service").public, "kid": "service"}]},
        FOREIGN_IDP: {"keys": [FOREIGN_KEY.public]},
    }


def make() -> dict[str, bytes]:
    """Each file's name and content."""
    made: dict[str, object] = {"setup": {"keys": _keys(), "defaults": DEFAULTS}, "key-sets": {"cases": key_sets()}}
    for name, collect in FILES.items():
        cases = collect()
        made[name] = {"about": cases.about, "cases": cases.collected}
    return {f"{name}.json": (json.dumps(value, indent=1) + "\n").encode("ascii") for name, value in made.items()}


if __name__ == "__main__":
    for file, content in make().items():
        (FOLDER / file).write_bytes(content)
