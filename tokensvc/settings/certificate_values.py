"""Values that name a client by its certificate, and the header that hands one over. See `values`."""

import re
from collections.abc import Callable
from typing import Annotated, Final

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from tokensvc.core.certificate_subject import SubjectKind, parse_subject_rule
from tokensvc.errors import Malformed
from tokensvc.settings.values import UNUSABLE

__all__ = ["DnsName", "HeaderName", "SanEmail", "SanIp", "SanUri", "SubjectDn"]

_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
# A certificate there would hide what the request itself says, or how it ends.
_TAKEN: Final = frozenset(
    {"authorization", "connection", "content-length", "content-type", "cookie", "dpop", "host", "transfer-encoding"}
)

_REMEDIES: Final = {
    SubjectKind.SUBJECT_DN: "Write it like CN=planner,O=Example: openssl x509 -noout -subject -nameopt RFC2253",
    SubjectKind.SAN_DNS: "Write one name in full, like planner.agents.example; a * stands for nothing here.",
    SubjectKind.SAN_URI: "Write the URI as it stands in the certificate: spiffe://example/planner.",
    SubjectKind.SAN_IP: "Write one address: 10.1.2.3.",
    SubjectKind.SAN_EMAIL: "Write it as it stands in the certificate: planner@example.com.",
}


def _require(kind: SubjectKind) -> Callable[[str], str]:
    def require(text: str) -> str:
        try:
            parse_subject_rule(kind, text)
        except Malformed as exc:
            raise _unusable(f"is {exc.description}", _REMEDIES[kind]) from exc
        return text

    return require


def _require_header(text: str) -> str:
    if _HEADER.fullmatch(text) is None:
        raise _unusable("is no name of a header", "Write Client-Cert, or as the proxy calls it.")
    if text.lower() in _TAKEN:
        raise _unusable(
            "is a header that says something else", "Have the proxy set one of its own, such as Client-Cert."
        )
    return text


def _unusable(problem: str, remedy: str) -> PydanticCustomError:
    return PydanticCustomError(UNUSABLE, "{problem}", {"problem": problem, "remedy": remedy})


HeaderName = Annotated[str, AfterValidator(_require_header)]
SubjectDn = Annotated[str, AfterValidator(_require(SubjectKind.SUBJECT_DN))]
DnsName = Annotated[str, AfterValidator(_require(SubjectKind.SAN_DNS))]
SanUri = Annotated[str, AfterValidator(_require(SubjectKind.SAN_URI))]
SanIp = Annotated[str, AfterValidator(_require(SubjectKind.SAN_IP))]
SanEmail = Annotated[str, AfterValidator(_require(SubjectKind.SAN_EMAIL))]
