"""Steps 9 to 11, 13 and 14 on plain chains: shapes, alignment, the root, the last hop, revocation."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from tests.vectors.case import Cases, rows
from tests.vectors.parties import (
    AGENTS,
    API,
    AS,
    DROP,
    FILES,
    IDP,
    NOW,
    PREFIX,
    USER,
    Draft,
    Members,
    act,
    holder,
    jti,
)

__all__ = ["alignment", "leaf", "revocation", "shapes"]

BASE: Final = Draft()
BOUND: Final = Draft(bound=True)
ABC: Final = " ".join("abcdefghijklmn")


def shapes() -> Cases:
    """Step 9."""
    cases = Cases(about="act, grant_profile and the shape of every entry (step 9)", step=9)
    cases.accept("shape", "The base token", BASE)
    cases.refuse("chain-absent", "No grant_chain", Draft(claims={"grant_chain": DROP}), "chain_missing")
    for name, value in rows(
        ("absent", DROP),
        ("null", None),
        ("0", 0),
        ("2", 2),
        ("string", "1"),
        ("true", True),
        ("list", [1]),
    ):
        cases.refuse(
            f"profile-{name}", "grant_profile is the integer 1", Draft(claims={"grant_profile": value}), "malformed"
        )
    cases.refuse(
        "profile-1.0",
        "1.0 is not written as an integer",
        Draft(claims={"grant_profile": DROP}, extra='"grant_profile":1.0'),
        "malformed",
    )
    full = act("printer", "mailer", "planner")
    acts: list[tuple[str, Any]] = [
        ("absent", DROP), ("null", None), ("string", "printer"), ("list", [full]), ("empty", {}),
        ("no-sub", {"act": full}),
        ("sub-empty", {"sub": ""}), ("sub-number", {"sub": 1}), ("member", {**full, "iss": AS}),
        ("inner-member", {"sub": "printer", "act": {"sub": "mailer", "client_id": "x", "act": {"sub": "planner"}}}),
        ("inner-null", {"sub": "printer", "act": None}), ("inner-string", {"sub": "printer", "act": "mailer"}),
        ("inner-false", {"sub": "printer", "act": False}),
        ("11", act(*[f"a{number}" for number in range(11)])),
    ]  # fmt: skip
    for name, value in acts:
        cases.refuse(
            f"act-{name}",
            "act is nested objects of exactly sub and act, at most 10",
            Draft(claims={"act": value}),
            "malformed",
            control="shape",
        )
    cases.refuse(
        "act-10",
        "10 levels are read; here they are not the chain's",
        Draft(claims={"act": act(*[f"a{number}" for number in range(10)])}),
        "chain_misaligned",
        control="shape",
    )
    plain = BASE.plain_entries()
    chains: list[tuple[str, Any]] = [
        ("null", None), ("object", {}), ("string", "x"), ("empty", []), ("root-only", plain[:1]),
        ("no-root", plain[1:]), ("root-last", plain[::-1]),
        ("two-roots", [plain[0], *plain]), ("null-entry", [plain[0], None, *plain[2:]]),
        ("array-entry", [plain[0], [], *plain[2:]]), ("nested", [plain]),
    ]  # fmt: skip
    for name, value in chains:
        cases.refuse(
            f"chain-{name}",
            "grant_chain is an array of a root and 1 to 10 hops",
            Draft(claims={"grant_chain": value}),
            "malformed",
            control="shape",
        )
    ten = Draft(actors=tuple(f"a{number}" for number in range(10)), entries={0: {"scope": ABC, "max_depth": 10}})
    cases.accept("chain-10-hops", "Ten hops, where the verifier allows ten", ten, expect={"max_depth": 10})
    eleven = Draft(actors=tuple(f"a{number}" for number in range(11)), entries={0: {"scope": ABC, "max_depth": 11}})
    cases.refuse("chain-11-hops", "Eleven", eleven, "malformed", expect={"max_depth": 10})
    shorter = {"act": act(*[f"a{number}" for number in range(10, 0, -1)])}
    cases.refuse(
        "chain-11-hops-act-10",
        "Eleven, and an act of ten",
        replace(eleven, claims=shorter),
        "malformed",
        expect={"max_depth": 10},
    )
    _members(cases)
    thumb = holder("mailer").thumbprint
    cases.accept("hop-bound", "Every hop bound", BOUND)
    for name, value in rows(
        ("null", None),
        ("empty", {}),
        ("certificate", {"x5t#S256": thumb}),
        ("both", {"jkt": thumb, "x5t#S256": thumb}),
        ("tail-bits", {"jkt": thumb[:42] + "B"}),
        ("string", thumb),
        ("short", {"jkt": thumb[:42]}),
    ):
        cases.refuse(
            f"hop-cnf-{name}",
            "The cnf of a hop is exactly a jkt",
            Draft(bound=True, spoil={2: {"cnf": value}}),
            "malformed",
        )
    _resources(cases)
    _ipv6_hosts(cases)
    _signed_shapes(cases)
    return cases


def _members(cases: Cases) -> None:
    plain = BASE.plain_entries()
    for index, what in ((0, "root"), (2, "hop")):
        for member in plain[index]:
            cases.refuse(
                f"{what}-without-{member}",
                f"A {what} has every member of its kind",
                Draft(spoil={index: {member: DROP}}),
                "malformed",
                control="shape",
            )
        foreign = (
            ("aud", "actor", "cnf", "parent", "x", "")
            if index == 0
            else ("iss", "sub", "aud", "root", "index", "x", "")
        )
        for member in foreign:
            value = {"cnf": {"jkt": holder("planner").thumbprint}, "index": 2}.get(member, "x")
            cases.refuse(
                f"{what}-with-{member or 'empty-name'}",
                f"A plain {what} has no other member",
                Draft(spoil={index: {member: value}}),
                "malformed",
                control="shape",
            )
        for member in ("iat", "exp", "max_depth"):
            for name, value in rows(
                ("null", None), ("string", "5"), ("negative", -1), ("true", True), ("fraction", 5.5)
            ):
                cases.refuse(
                    f"{what}-{member}-{name}",
                    f"{member} is an integer from 0 on",
                    Draft(spoil={index: {member: value}}),
                    "malformed",
                    control="shape",
                )
        texts = ("iss", "sub", "scope", "jti") if index == 0 else ("actor", "scope", "jti", "parent")
        for member in texts:
            for name, value in rows(("null", None), ("empty", ""), ("list", ["x"])):
                cases.refuse(
                    f"{what}-{member}-{name}",
                    f"{member} is a string of its kind",
                    Draft(spoil={index: {member: value}}),
                    "malformed",
                    control="shape",
                )
        cases.refuse(
            f"{what}-scope-repeat",
            "A scope twice",
            Draft(spoil={index: {"scope": "files.read files.read"}}),
            "malformed",
            control="shape",
        )
        cases.refuse(
            f"{what}-details-empty",
            "An empty array is left out",
            Draft(spoil={index: {"authorization_details": []}}),
            "malformed",
            control="shape",
        )


def _resources(cases: Cases) -> None:
    good = [
        "https://crm.example", "https://crm.example/", "HTTPS://CRM.example:8443/a/b;c=1/@:x?q=/?&%20",
        "https://192.0.2.1:/", "https://[2001:db8::1]:8443/a", "https://[::ffff:192.0.2.1]",
        "https://x%2Dy.example/%c3%a9", "https://crm.example//a//../b/.", "urn:example:crm", "mcp:tools", "a+b-c.d:/x",
        "https://crm.example?", "urn:a?b/c", "file://x", "x:a//",
    ]  # fmt: skip
    cases.accept("resources", "Absolute URIs in all their shapes", Draft(entries={0: {"resources": [API, *good]}}))
    bad = [
        "", "crm", "/crm", "//crm.example/", "https:", "https://", "https:///a", "https://crm.example#",
        "https://crm.example/a#b", "https://crm.example/a b", "https://crm.example/a\n", "https://crm.example/\u00e9",
        "https://crm.example/%zz", "https://crm.example/%4", 'https://crm.example/"', "https://crm.example/<x>",
        "https://crm.example/\\", "https://crm.example/{id}", "https://crm.example:80a/", "https://user@crm.example/",
        "https://user:pass@crm.example/", "https://[::1", "https://[1:2]/", "https://[::1::]/",
        "https://[::1%25eth0]/", "https://[12345::]/", "https://[::1]x/", "https://[v1.a]/", "1https://crm.example",
        " https://crm.example", "x:", "x:/", "x:?q", "https://a:b:1/", "*",
    ]  # fmt: skip
    for number, text in enumerate(bad, start=1):
        cases.refuse(
            f"resource-{number}",
            f"No absolute URI of the profile: {text.encode('unicode_escape').decode()!r}",
            Draft(spoil={0: {"resources": [API, FILES, text]}}),
            "malformed",
        )
    for name, value in rows(
        ("empty", []),
        ("string", API),
        ("null", None),
        ("number", [API, 1]),
        ("repeat", [API, FILES, API]),
        ("nested", [[API]]),
    ):
        cases.refuse(
            f"resources-{name}",
            "resources is an array of strings, not empty, none twice",
            Draft(spoil={1: {"resources": value}}),
            "malformed",
        )


def _ipv6_hosts(cases: Cases) -> None:
    good = [
        "1:2:3:4:5:6:7:8", "ABCD:ef01:0000:0:00:000:a:1", "1:2:3:4:5:6:192.0.2.1", "::", "::8", "1::", "1::8",
        "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1:2:3::5:6:7:8", "1:2:3:4:5:6::8", "::192.0.2.1", "1::0.0.0.0",
        "1:2:3:4:5::255.255.255.255", "::2:3:4:5:6:192.0.2.1",
    ]  # fmt: skip
    resources = [API, FILES, *(f"https://[{host}]/" for host in good)]
    cases.accept("resources-ipv6", "IPv6 addresses of every form", Draft(entries={0: {"resources": resources}}))
    bad = [
        "", ":", ":::", "1", "192.0.2.1", "1::2::3", "1:2:3::4:5::6:7:8", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:",
        ":2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7::8", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8",
        "1:::8", "::00001", "::g",
        "1:2:3:4:5:6:7:192.0.2.1", "1:2:3:4:5:192.0.2.1", "1:2:3:4:5:6::192.0.2.1", "192.0.2.1::", "::192.0.2.1:8",
        "192.0.2.1:2:3:4:5:6:7", "::192.0.2", "::192.0.2.1.1", "::192.0.2.256", "::192.0.2.01", "::192.0.2.", "::1%1",
        "::%31", "::-1", "::+1", ":: ", "0x1::",
    ]  # fmt: skip
    for number, host in enumerate(bad, start=1):
        cases.refuse(
            f"resource-ipv6-{number}",
            f"No IPv6 address: {host!r}",
            Draft(spoil={0: {"resources": [API, FILES, f"https://[{host}]/"]}}),
            "malformed",
        )


def _signed_shapes(cases: Cases) -> None:
    signed = Draft(bound=True, signed=(0, 2, 3))
    expect = {"authorities": [{"issuer": AS, "authority": IDP, "prefix": PREFIX}]}
    cases.accept("signed", "Root and hops signed", signed, expect=expect)
    for index, what in ((0, "root"), (2, "hop")):
        added = ("aud", "actor", "cnf") if index == 0 else ("iss", "sub", "aud", "root", "index", "cnf")
        for member in added:
            draft = Draft(bound=True, signed=(0, 2, 3), spoil={index: {member: DROP}})
            cases.refuse(
                f"signed-{what}-without-{member}", f"A signed {what} has {member}", draft, "malformed", expect=expect
            )
        for member, value in (
            ("aud", [AS]),
            ("x", 1),
            *((("index", "2"), ("root", "x")) if index else (("actor", ""), ("parent", jti("x")))),
        ):
            draft = Draft(bound=True, signed=(0, 2, 3), spoil={index: {member: value}})
            cases.refuse(
                f"signed-{what}-bad-{member}",
                f"A signed {what} with another {member}",
                draft,
                "malformed",
                expect=expect,
            )
        twice = Draft(bound=True, signed=(0, 2, 3), texts={index: ('"scope":', '"iat":1,"scope":')})
        cases.refuse(f"signed-{what}-duplicate", "Its payload is strict JSON, too", twice, "malformed", expect=expect)
    good: Members = signed.payload()["grant_chain"][2]
    for name, value in rows(
        ("and-more", {**good, "x": 1}),
        ("no-text", {"jws": 5}),
        ("empty", {"jws": ""}),
        ("two-parts", {"jws": good["jws"].rsplit(".", 1)[0]}),
        ("array", {"jws": [good["jws"]]}),
        ("space", {"jws": good["jws"] + " "}),
        ("nested", {"jws": good}),
        ("no-json", {"jws": "AAAA.AAAA.AAAA"}),
        ("text-alone", good["jws"]),
    ):
        draft = Draft(
            bound=True,
            signed=(0, 3),
            claims={"grant_chain": [*signed.payload()["grant_chain"][:2], value, signed.payload()["grant_chain"][3]]},
        )
        cases.refuse(
            f"jws-{name}",
            "A signed entry is exactly one member jws, a compact JWS over strict JSON",
            draft,
            "malformed",
            expect=expect,
        )


def alignment() -> Cases:
    """Steps 10 and 11, plain roots."""
    cases = Cases(about="act, links, identifiers and repeated actors (step 10); plain roots (step 11)", step=9)
    cases.accept("aligned", "The base token", BASE)
    for number, actors in enumerate(
        (
            ("printer",),
            ("printer", "mailer"),
            ("printer", "planner", "mailer"),
            ("planner", "mailer", "printer"),
            ("printer", "mailer", "planner", "planner"),
            ("printer", "mailer", "planner", "admin"),
            ("admin", "printer", "mailer", "planner"),
            ("admin", "mailer", "planner"),
            ("Printer", "mailer", "planner"),
            ("printer ", "mailer", "planner"),
            ("pr\u0456nter", "mailer", "planner"),
        ),
        start=1,
    ):
        cases.refuse(
            f"act-other-{number}",
            f"act names {' < '.join(actors)!a}",
            Draft(claims={"act": act(*actors), "client_id": actors[0]}),
            "chain_misaligned",
        )
    for index, name, parent in (
        (1, "self", jti("hop 1")),
        (1, "nobody", jti("x")),
        (2, "root", jti("root")),
        (2, "child", jti("hop 3")),
        (3, "grandparent", jti("hop 1")),
    ):
        cases.refuse(
            f"parent-{index}-{name}",
            "parent is the jti of the entry before",
            Draft(spoil={index: {"parent": parent}}),
            "chain_misaligned",
        )
    for index in range(4):
        name = "root" if index == 0 else f"hop {index}"
        cases.refuse(
            f"token-jti-of-{index}",
            f"The token has the jti of its {name}",
            Draft(claims={"jti": jti(name)}),
            "chain_misaligned",
        )
    for index, other in ((1, "root"), (2, "root"), (3, "hop 1")):
        below = {index + 1: {"parent": jti(other)}} if index < 3 else {}
        cases.refuse(
            f"jti-{index}-twice",
            f"Hop {index} has the jti of the {other}, its child follows",
            Draft(spoil={index: {"jti": jti(other)}, **below}),
            "chain_misaligned",
        )
    root = {"scope": ABC}
    for actors in (
        ("planner", "planner"),
        ("planner", "planner", "planner", "mailer"),
        ("planner", "mailer", "mailer", "printer"),
    ):
        cases.accept(
            f"self-narrowing-{'-'.join(actors)}",
            "An actor narrowed its own grant",
            Draft(actors=actors, entries={0: root}),
        )
    for actors in (
        ("planner", "mailer", "planner"),
        ("planner", "mailer", "printer", "mailer"),
        ("planner", "planner", "mailer", "planner"),
        ("planner", "mailer", "mailer", "planner"),
    ):
        cases.refuse(
            f"loop-{'-'.join(actors)}",
            "An actor returns after another one",
            Draft(actors=actors, entries={0: root}),
            "chain_misaligned",
        )
    plain = BASE.plain_entries()
    swapped = [plain[0], plain[2], plain[1], plain[3]]
    cases.refuse(
        "hops-swapped",
        "Two hops change places and act follows",
        Draft(claims={"grant_chain": swapped, "act": act("printer", "planner", "mailer")}),
        "chain_misaligned",
        control="aligned",
    )
    cases.refuse(
        "hop-left-out",
        "An inner hop left out, act follows",
        Draft(claims={"grant_chain": [plain[0], plain[1], plain[3]], "act": act("printer", "planner")}),
        "chain_misaligned",
        control="aligned",
    )
    for name, value in rows(("slash", f"{AS}/"), ("case", AS.upper()), ("other", IDP)):
        cases.refuse(
            f"plain-root-iss-{name}",
            "A plain root has the token's iss",
            Draft(spoil={0: {"iss": value}}),
            "root_invalid",
            control="aligned",
        )
    for name, value in rows(("other", "user-2"), ("case", "USER-1"), ("space", "user-1 "), ("agent", "planner")):
        cases.refuse(
            f"plain-root-sub-{name}",
            "A plain root has the token's sub",
            Draft(spoil={0: {"sub": value}}),
            "root_invalid",
            control="aligned",
        )
        cases.refuse(
            f"token-sub-{name}",
            "The token has the root's sub",
            Draft(claims={"sub": value}),
            "root_invalid",
            control="aligned",
        )
    authority = {"authorities": [{"issuer": AS, "authority": IDP, "prefix": PREFIX}]}
    cases.refuse(
        "plain-root-of-authority",
        "The token service cannot speak for an authority: a plain root with the authority's iss",
        Draft(spoil={0: {"iss": IDP}}),
        "root_invalid",
        control="aligned",
        expect=authority,
    )
    return cases


def leaf() -> Cases:
    """Step 13."""
    cases = Cases(about="The token against its last hop (step 13)", step=5)
    cases.accept("leaf", "The base token", BASE)
    for name, value in rows(
        ("less", "mail.send"),
        ("more", "crm.write files.read mail.send"),
        ("other", "crm.read mail.send"),
        ("case", "files.read Mail.send"),
    ):
        cases.refuse(
            f"leaf-scope-{name}",
            "The token's scope is the last hop's as a set",
            Draft(claims={"scope": value}),
            "token_exceeds_grant",
        )
    cases.refuse(
        "leaf-client", "client_id is the last hop's actor", Draft(claims={"client_id": "mailer"}), "token_exceeds_grant"
    )
    cases.refuse("leaf-client-case", "Byte for byte", Draft(claims={"client_id": "Printer"}), "token_exceeds_grant")
    short = {3: {"exp": NOW + 200}}
    cases.accept("leaf-exp", "The token ends with its hop", Draft(entries=short))
    cases.refuse(
        "leaf-exp-over",
        "A second later",
        Draft(entries=short, claims={"exp": NOW + 201}),
        "token_exceeds_grant",
        hop=None,
    )
    late = {3: {"iat": NOW - 5}}
    cases.accept("leaf-iat", "The token as old as its hop", Draft(entries=late))
    cases.refuse(
        "leaf-iat-before", "A second older", Draft(entries=late, claims={"iat": NOW - 6}), "token_exceeds_grant"
    )
    cases.accept(
        "leaf-aud-second",
        "aud is any resource of the last hop",
        Draft(claims={"aud": FILES}),
        expect={"audiences": [FILES]},
    )
    cases.refuse(
        "leaf-aud-gone",
        "One that only entries above have",
        Draft(entries={3: {"resources": [API]}}, claims={"aud": FILES}),
        "token_exceeds_grant",
        expect={"audiences": [FILES]},
    )
    cases.refuse(
        "leaf-aud-other",
        "One that no entry has",
        Draft(claims={"aud": "urn:x"}),
        "token_exceeds_grant",
        expect={"audiences": ["urn:x"]},
    )
    cases.accept("leaf-cnf", "A bound hop, the token bound alike", BOUND)
    bound: Members = {"holder_proven_upstream": True}
    cases.refuse(
        "leaf-cnf-absent",
        "A bound hop, the token unbound",
        Draft(bound=True, claims={"cnf": DROP}),
        "token_exceeds_grant",
    )
    cases.refuse(
        "leaf-cnf-other",
        "Another key",
        Draft(bound=True, claims={"cnf": {"jkt": holder("mailer").thumbprint}}),
        "token_exceeds_grant",
    )
    cases.refuse(
        "leaf-cnf-certificate",
        "The same 256 bits, called a certificate",
        Draft(bound=True, claims={"cnf": {"x5t#S256": holder("printer").thumbprint}}),
        "token_exceeds_grant",
    )
    cases.accept(
        "leaf-cnf-added",
        "An unbound hop leaves it to the token to be bound",
        Draft(claims={"cnf": {"jkt": holder("mailer").thumbprint}}),
        **bound,
    )
    detail = {"type": "payment", "limit": 5, "to": ["a", "b"]}
    given = {0: {"authorization_details": [detail]}}
    cases.accept("leaf-details", "The token repeats the last hop's details", Draft(entries=given))
    cases.accept(
        "leaf-details-spelt",
        "Equal as JSON",
        Draft(entries=given, claims={"authorization_details": [{"to": ["a", "b"], "limit": 5.0, "type": "payment"}]}),
    )
    for name, value in rows(
        ("absent", DROP),
        ("other", [{**detail, "limit": 6}]),
        ("order", [{**detail, "to": ["b", "a"]}]),
        ("true", [{**detail, "limit": True}]),
        ("more", [detail, {"type": "x"}]),
    ):
        cases.refuse(
            f"leaf-details-{name}",
            "authorization_details equal the last hop's",
            Draft(entries=given, claims={"authorization_details": value}),
            "token_exceeds_grant",
        )
    two = {0: {"authorization_details": [detail, {"type": "x"}]}}
    cases.accept("leaf-details-two", "Two entries", Draft(entries=two))
    cases.refuse(
        "leaf-details-two-swapped",
        "The order of entries counts in this comparison",
        Draft(entries=two, claims={"authorization_details": [{"type": "x"}, detail]}),
        "token_exceeds_grant",
    )
    tools: Members = {
        "type": "attenuating_agent_token",
        "tools": {"a": {}, "b": {"x": {"constraint_type": "range", "min": 1}}},
    }
    cases.accept("leaf-tools", "A tool detail", Draft(entries={0: {"authorization_details": [tools]}}))
    spelt = {**tools, "tools": {"b": {"x": {"min": 1.0, "constraint_type": "range"}}, "a": {}}}
    cases.accept(
        "leaf-tools-spelt",
        "Equal as JSON",
        Draft(entries={0: {"authorization_details": [tools]}}, claims={"authorization_details": [spelt]}),
    )
    for name, change in rows(
        ("wildcard", {"a": {"*": {"constraint_type": "wildcard"}}}),
        ("inclusive", {"b": {"x": {"constraint_type": "range", "min": 1, "min_inclusive": True}}}),
    ):
        other = {**tools, "tools": {**tools["tools"], **change}}
        cases.refuse(
            f"leaf-tools-{name}",
            "The same authority spelt otherwise is not equal",
            Draft(entries={0: {"authorization_details": [tools]}}, claims={"authorization_details": [other]}),
            "token_exceeds_grant",
        )
    cases.refuse(
        "leaf-details-none-granted",
        "The last hop grants none",
        Draft(claims={"authorization_details": [detail]}),
        "token_exceeds_grant",
        control="leaf",
    )
    return cases


def revocation() -> Cases:
    """Step 14."""
    cases = Cases(about="Revocation by each kind, and how fresh the view is (step 14)", step=14)

    def view(*revocations: Mapping[str, Any], as_of: int = NOW, bound: int = 60) -> Members:
        return {"list": list(revocations), "as_of": as_of, "max_staleness_s": bound}

    def hit(kind: str, name: str, not_before: int | None = None) -> Members:
        return {"kind": kind, "id": name, **({} if not_before is None else {"not_before": not_before})}

    late = Draft(
        bound=True, entries={0: {"iat": NOW - 60}, 1: {"iat": NOW - 50}, 2: {"iat": NOW - 40}, 3: {"iat": NOW - 30}}
    )
    cases.accept("nothing-revoked", "An empty view", late, revocations=view())
    others = [
        hit("entry", jti("x")),
        hit("entry", jti("token")),
        hit("user", "user-2"),
        hit("user", "planner"),
        hit("actor", USER),
        hit("actor", "Planner"),
        hit("issuer", IDP),
        hit("issuer", USER),
        hit("key", holder("thief").thumbprint),
        hit("key", jti("hop 1")),
        hit("entry", USER),
        hit("subject_token", jti("root")),
        hit("subject_token", USER),
    ]
    cases.accept(
        "others-revoked", "What the token does not depend on; its own jti is no kind", late, revocations=view(*others)
    )
    for index in range(4):
        name = "root" if index == 0 else f"hop {index}"
        cases.refuse(
            f"entry-{index}", f"The {name} is revoked", late, "revoked", revocations=view(hit("entry", jti(name)))
        )
    for agent in AGENTS:
        cases.refuse(
            f"key-{agent}",
            f"The key of the {agent}",
            late,
            "revoked",
            revocations=view(hit("key", holder(agent).thumbprint)),
        )
    cases.refuse("user-forever", "The user, without a time", late, "revoked", revocations=view(hit("user", USER)))
    for kind, name, iat in (
        ("user", USER, NOW - 60),
        ("issuer", AS, NOW - 60),
        ("actor", "planner", NOW - 50),
        ("actor", "mailer", NOW - 40),
        ("actor", "printer", NOW - 30),
    ):
        cases.accept(
            f"{kind}-{name.removeprefix('https://')}-before",
            "Revoked up to a second before the iat that counts",
            late,
            revocations=view(hit(kind, name, iat - 1)),
        )
        cases.refuse(
            f"{kind}-{name.removeprefix('https://')}",
            "Revoked up to that iat",
            late,
            "revoked",
            revocations=view(hit(kind, name, iat)),
        )
    cases.accept(
        "two-of-one-id-before",
        "Two revocations of one user, both before",
        late,
        revocations=view(hit("user", USER, NOW - 70), hit("user", USER, NOW - 61)),
    )
    cases.refuse(
        "two-of-one-id",
        "One of two hits",
        late,
        "revoked",
        revocations=view(hit("user", USER, NOW - 60), hit("user", USER, NOW - 61)),
    )
    added = Draft(claims={"cnf": {"jkt": holder("stranger").thumbprint}})
    proven: Members = {"holder_proven_upstream": True}
    cases.accept("token-key-not-revoked", "A key that the token alone is bound to", added, revocations=view(), **proven)
    cases.refuse(
        "token-key",
        "That key is revoked",
        added,
        "revoked",
        revocations=view(hit("key", holder("stranger").thumbprint)),
        **proven,
    )
    by_certificate = Draft(claims={"cnf": {"x5t#S256": holder("stranger").thumbprint}})
    cases.refuse(
        "token-certificate",
        "A certificate's thumbprint is revoked as kind key",
        by_certificate,
        "revoked",
        revocations=view(hit("key", holder("stranger").thumbprint)),
        **proven,
    )
    signed = Draft(bound=True, signed=(0, 2, 3))
    expect = {"authorities": [{"issuer": AS, "authority": IDP, "prefix": PREFIX}]}
    theirs = [hit("user", USER), hit("issuer", FILES), hit("actor", IDP)]
    cases.accept(
        "signed-others",
        "The user counts by the token's sub, not by the authority's name for it",
        signed,
        revocations=view(*theirs),
        expect=expect,
    )
    cases.refuse(
        "signed-user", "The token's sub", signed, "revoked", revocations=view(hit("user", PREFIX + USER)), expect=expect
    )
    cases.refuse(
        "signed-authority", "The authority", signed, "revoked", revocations=view(hit("issuer", IDP)), expect=expect
    )
    cases.refuse(
        "signed-issuer", "The token service", signed, "revoked", revocations=view(hit("issuer", AS)), expect=expect
    )
    cases.refuse(
        "signed-key",
        "A delegator's key",
        signed,
        "revoked",
        revocations=view(hit("key", holder("planner").thumbprint)),
        expect=expect,
    )
    cases.accept("view-as-old-as-allowed", "now - as_of = max_staleness_s", late, revocations=view(as_of=NOW - 60))
    cases.refuse("view-stale", "A second older", late, "revocation_stale", revocations=view(as_of=NOW - 61))
    cases.refuse(
        "view-stale-and-revoked",
        "Stale is found first",
        late,
        "revocation_stale",
        revocations=view(hit("user", USER), as_of=NOW - 61),
    )
    cases.accept("view-ahead-within-leeway", "as_of - now = leeway", late, revocations=view(as_of=NOW + 30))
    cases.refuse(
        "view-ahead",
        "A second further ahead: a clock is wrong",
        late,
        "revocation_stale",
        revocations=view(as_of=NOW + 31),
    )
    cases.accept("elsewhere", "The caller looks at revocations itself", late, revocations={"elsewhere": True})
    return cases
