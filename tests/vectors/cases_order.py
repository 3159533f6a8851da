"""Step 12: what is within the entry before, what is properly less, how deep."""

from typing import Final

from tests.vectors.case import Cases
from tests.vectors.parties import AGENTS, API, DROP, FILES, NOW, Draft, Members, holder

__all__ = ["narrower", "proper", "scopes"]

EXACT: Final[Members] = {"order": {"scope_grammar": "exact", "attenuation": "scope", "proper_from": 1}}
SEGMENTS: Final[Members] = {"order": {"scope_grammar": "segments", "attenuation": "scope", "proper_from": 1}}
ONE: Final = AGENTS[:1]


def _order(attenuation: str, proper_from: int = 1, grammar: str = "exact") -> Members:
    return {"order": {"scope_grammar": grammar, "attenuation": attenuation, "proper_from": proper_from}}


def narrower() -> Cases:
    """Every dimension but scope and details, at every index."""
    cases = Cases(about="resources, iat, exp, max_depth, holder, and the verifier's own depth (step 12)", step=12)
    cases.accept("within", "The base token", Draft())
    for index in (1, 2, 3):
        for name, comment, less, more in (
            ("resources", "A resource that the entry before has not", [API], [API, FILES, "urn:x"]),
            ("resources-slash", "No normalisation", [FILES], [FILES, f"{API}/"]),
            ("exp", "A second later", NOW + 3599, NOW + 3601),
            ("iat", "A second earlier", NOW - 59, NOW - 61),
            ("max-depth", "One deeper", 4, 6),
        ):
            member = name.removesuffix("-slash").replace("-", "_")
            claims = {"aud": API if name != "resources-slash" else FILES}
            expect = {"audiences": list(claims.values())}
            cases.accept(
                f"{name}-{index}-less", "Less", Draft(entries={index: {member: less}}, claims=claims), expect=expect
            )
            cases.refuse(f"{name}-{index}-more", comment, Draft(spoil={index: {member: more}}), "not_narrower")
        regained = (
            Draft(
                entries={0: {"resources": [API, FILES, "urn:x"]}, index - 1: {"resources": [API]}},
                spoil={index: {"resources": [API, FILES]}},
            )
            if index > 1
            else None
        )
        if regained is not None:
            cases.refuse(
                f"resources-{index}-regained",
                "What the root has and the entry before gave up",
                regained,
                "not_narrower",
                hop=index,
            )
    for index in (2, 3):
        cases.accept(
            f"holder-{index}-from",
            f"Bound from hop {index} on: more is asked, less granted",
            Draft(bound=True, entries={above: {"cnf": DROP} for above in range(1, index)}),
        )
        cases.refuse(
            f"holder-{index}-lost",
            "An unbound hop below a bound one",
            Draft(bound=True, spoil={index: {"cnf": DROP}}, claims={"cnf": {"jkt": holder("printer").thumbprint}}),
            "not_narrower",
        )
    cases.accept("holder-other-key", "Each hop has its own agent's key", Draft(bound=True))
    for depth, hops in ((1, 1), (2, 2), (3, 3)):
        draft = Draft(actors=AGENTS[:hops], entries={0: {"max_depth": depth}})
        cases.accept(f"depth-{depth}", f"max_depth {depth}, {hops} hops", draft)
        cases.refuse(
            f"depth-{depth}-over",
            "One less: the last hop stands too deep",
            Draft(actors=AGENTS[:hops], entries={0: {"max_depth": depth - 1}}),
            "depth_exceeded",
            hop=depth,
        )
        cases.accept(f"own-depth-{depth}", "The verifier's own cap, just met", draft, expect={"max_depth": depth})
        if depth > 1:
            cases.refuse(
                f"own-depth-{depth}-over",
                "One less",
                draft,
                "depth_exceeded",
                expect={"max_depth": depth - 1},
                hop=depth,
            )
    cases.accept(
        "depth-of-leaf", "A hop's own max_depth bounds those below it, not itself", Draft(entries={3: {"max_depth": 0}})
    )
    cases.refuse(
        "depth-of-hop-above", "Hop 2 allows none below", Draft(entries={2: {"max_depth": 2}}), "depth_exceeded", hop=3
    )
    cases.accept("depth-huge", "2^53 - 1 where a count stands", Draft(entries={0: {"max_depth": 9007199254740991}}))
    return cases


def scopes() -> Cases:
    """Both grammars."""
    cases = Cases(about="Scope by both grammars (step 12, malformed at step 9)", step=9)
    rows: list[tuple[str, Members, str, str, str | None]] = [
        ("exact-subset", EXACT, "a b c", "c a", None),
        ("exact-other", EXACT, "a b c", "a x", "not_narrower"),
        ("exact-case", EXACT, "a b c", "a B", "not_narrower"),
        ("exact-wildcard-is-a-name", EXACT, "crm.* a", "crm.*", None),
        ("exact-wildcard-covers-nothing", EXACT, "crm.* a", "crm.read", "not_narrower"),
        ("exact-odd-wildcards", EXACT, "* crm.*.x crm* a", "* crm.*.x crm*", None),
        ("segments-subset", SEGMENTS, "a b c", "c a", None),
        ("segments-other", SEGMENTS, "a b c", "a x", "not_narrower"),
        ("segments-one", SEGMENTS, "crm.* a", "crm.read", None),
        ("segments-none", SEGMENTS, "crm.* a", "crm", "not_narrower"),
        ("segments-several", SEGMENTS, "crm.* a", "crm.x.y crm.z", None),
        ("segments-longer-word", SEGMENTS, "crm.* a", "crmx.read", "not_narrower"),
        ("segments-wildcard-itself", SEGMENTS, "crm.* a", "crm.*", None),
        ("segments-wildcard-below", SEGMENTS, "crm.* a", "crm.x.*", None),
        ("segments-wildcard-above", SEGMENTS, "crm.x.* a", "crm.*", "not_narrower"),
        ("segments-wildcard-of-one", SEGMENTS, "crm.read a", "crm.read", None),
        ("segments-no-wildcard-from-one", SEGMENTS, "crm.read a", "crm.*", "not_narrower"),
        ("segments-colon", SEGMENTS, "crm:* a", "crm:read:x crm:*", None),
        ("segments-other-separator", SEGMENTS, "crm:* a", "crm.read", "not_narrower"),
        ("segments-mixed-separators", SEGMENTS, "crm:* a", "crm:read.x", "not_narrower"),
        ("segments-mixed-itself", SEGMENTS, "crm:read.x a", "crm:read.x", None),
        ("segments-mixed-behind-dot", SEGMENTS, "crm.* a", "crm.read:x", "not_narrower"),
        ("segments-empty-segment-itself", SEGMENTS, "crm..read a", "crm..read", None),
        ("segments-empty-segment", SEGMENTS, "crm.* a", "crm..read", "not_narrower"),
        ("segments-trailing-dot", SEGMENTS, "crm.* a", "crm.", "not_narrower"),
        ("segments-alphabet", SEGMENTS, "A_-9.* a", "A_-9.z-_0", None),
        ("segments-slash", SEGMENTS, "crm.* a", "crm.read/x", "not_narrower"),
        ("segments-url", SEGMENTS, "https://x.example/a a", "https://x.example/a", None),
        ("segments-case", SEGMENTS, "crm.* a", "CRM.read", "not_narrower"),
        ("segments-two-wildcards", SEGMENTS, "crm.* files.* a", "crm.read files.*", None),
        ("segments-prefix-of-longer", SEGMENTS, "crm.a.* a", "crm.b", "not_narrower"),
        ("segments-good", SEGMENTS, "crm.* a", "crm.b", None),
    ]  # fmt: skip
    for name, expect, parent, child, reason in rows:
        cases.judge(
            name,
            f"{parent!r} to {child!r}",
            Draft(actors=ONE, entries={0: {"scope": parent}, 1: {"scope": child}}),
            reason,
            expect=expect,
            hop=1,
        )
    for number, bad in enumerate(
        ("*", "*.read", "crm.*.x", "crm*", "crm.x:*", "crm.x*", "crm.**", "crm..*", ".*", "crm.*.*", "crm/*", "a*b"),
        start=1,
    ):
        comment = f"A wildcard that is no last segment behind another: {bad}"
        for place, index in (("root", 0), ("hop", 1), ("token", None)):
            change: Members = (
                {"claims": {"scope": f"crm.b {bad}"}}
                if index is None
                else {"spoil": {index: {"scope": f"crm.* crm.b {bad}"}}}
            )
            draft = Draft(actors=ONE, entries={0: {"scope": "crm.* a"}, 1: {"scope": "crm.b"}}, **change)
            cases.refuse(
                f"segments-bad-{number}-{place}",
                comment,
                draft,
                "malformed",
                expect=SEGMENTS,
                step=5 if index is None else 9,
                hop=None,
            )
    steps: dict[int, Members] = {
        0: {"scope": "crm.* a b"},
        1: {"scope": "crm.* a"},
        2: {"scope": "crm.x.* a"},
        3: {"scope": "crm.x.y"},
    }
    cases.accept("segments-falling", "By wildcard from hop to hop", Draft(entries=steps), expect=SEGMENTS)
    cases.refuse(
        "segments-falling-regained",
        "What the root's wildcard covers and that of hop 2 does not",
        Draft(entries={**steps, 3: {"scope": "crm.y"}}),
        "not_narrower",
        expect=SEGMENTS,
        hop=3,
    )
    for index in (2, 3):
        cases.refuse(
            f"scope-regained-{index}",
            "A scope of the root that the entry before gave up",
            Draft(spoil={index: {"scope": "crm.delete mail.send"}}),
            "not_narrower",
            control="exact-subset",
            expect=EXACT,
        )
    wild = Draft(actors=ONE, entries={0: {"scope": "crm.* a"}, 1: {"scope": "crm.*"}})
    calls = [{"scope": scope, "admitted": True} for scope in ("crm.read", "crm.*", "crm.a.b crm.c")]
    calls += [
        {"scope": scope, "admitted": False, "reason": "insufficient_scope"}
        for scope in ("crm", "crm.read a", "*", "crmx.read", "crm.x:y")
    ]
    cases.accept("calls-by-segments", "What a wildcard scope carries", wild, expect=SEGMENTS, calls=calls)
    calls = [
        {"scope": "crm.*", "admitted": True},
        {"scope": "crm.read", "admitted": False, "reason": "insufficient_scope"},
    ]
    cases.accept("calls-by-name", "The same in grammar exact", wild, expect=EXACT, calls=calls)
    return cases


TOOLS: Final[Members] = {"type": "attenuating_agent_token", "tools": {"read": {}, "write": {}}}
PAYMENT: Final[Members] = {"type": "payment", "limit": 5}


def _tools(*names: str) -> Members:
    return {**TOOLS, "tools": {name: {} for name in names}}


def proper() -> Cases:
    """What has to be gone."""
    cases = Cases(about="Proper: modes scope and authority, proper_from (step 12)", step=9)
    scope, authority = _order("scope"), _order("authority")
    root: Members = {"scope": "a b", "authorization_details": [TOOLS, PAYMENT]}

    def draft(*hops: Members, top: Members = root) -> Draft:
        entries = {0: top}
        for index, hop in enumerate(hops, start=1):
            entries[index] = {"scope": entries[index - 1]["scope"], **hop}
        return Draft(actors=AGENTS[: len(hops)], entries=entries, claims={"aud": API})

    less: list[tuple[str, Members]] = [
        ("resource", {"resources": [API]}), ("other-entry", {"authorization_details": [TOOLS]}),
        ("tool-entry", {"authorization_details": [PAYMENT]}),
        ("tool", {"authorization_details": [_tools("read"), PAYMENT]}),
        ("all-details", {"authorization_details": DROP}),
    ]  # fmt: skip
    for name, change in less:
        cases.accept(f"proper-{name}", "Gone: proper in mode authority", draft(change), expect=authority)
        cases.refuse(f"not-proper-{name}", "The same in mode scope", draft(change), "not_proper", expect=scope, hop=1)
    argument = {**TOOLS, "tools": {"read": {"x": {"constraint_type": "exact", "value": 1}}, "write": {}}}
    same: list[tuple[str, Members]] = [
        ("nothing", {}), ("order-of-resources", {"resources": [FILES, API]}),
        ("order-of-details", {"authorization_details": [PAYMENT, TOOLS]}),
        ("details-split", {"authorization_details": [_tools("read"), _tools("write"), PAYMENT]}),
        ("arguments", {"authorization_details": [argument, PAYMENT]}), ("locations",
        {"authorization_details": [{**TOOLS, "locations": [API]}, PAYMENT]}),
        ("max-depth", {"max_depth": 3}), ("exp", {"exp": NOW + 3000}), ("iat", {"iat": NOW - 30}),
    ]  # fmt: skip
    for name, change in same:
        cases.accept(
            f"proper-scope-and-{name}", "A scope gone as well", draft({**change, "scope": "a"}), expect=authority
        )
        cases.refuse(
            f"not-proper-in-authority-{name}",
            "Nothing gone that counts",
            draft(change),
            "not_proper",
            expect=authority,
            hop=1,
        )
    star = {**root, "authorization_details": [_tools("*", "read"), PAYMENT]}
    cases.accept(
        "proper-star-gone",
        "* is a name, and gone",
        draft({"authorization_details": [_tools("read"), PAYMENT]}, top=star),
        expect=authority,
    )
    named = draft({"authorization_details": [_tools("*", "read", "write"), PAYMENT]}, top=star)
    cases.refuse(
        "not-proper-star-kept", "While the child has *, no name is gone", named, "not_proper", expect=authority, hop=1
    )
    beside = {**root, "authorization_details": [_tools("*"), _tools("read"), PAYMENT]}
    dropped = draft({"authorization_details": [_tools("*"), PAYMENT]}, top=beside)
    cases.refuse(
        "not-proper-star-beside", "A name beside * dropped, * kept", dropped, "not_proper", expect=authority, hop=1
    )
    two = {**root, "authorization_details": [_tools("read"), _tools("write"), PAYMENT]}
    cases.accept(
        "proper-tool-over-all",
        "A name gone from all entries together",
        draft({"authorization_details": [_tools("write"), PAYMENT]}, top=two),
        expect=authority,
    )
    thrice = {**root, "authorization_details": [_tools("read", "write"), _tools("write"), PAYMENT]}
    cases.refuse(
        "not-proper-tool-elsewhere",
        "The name stands in another entry still",
        draft({"authorization_details": [_tools("read", "write"), PAYMENT]}, top=thrice),
        "not_proper",
        expect=authority,
        hop=1,
    )
    spelt = draft({"scope": "crm.*"}, top={"scope": "crm.* crm.read"})
    cases.accept("proper-by-name", "In grammar exact a name is gone", spelt, expect=scope)
    cases.refuse("not-proper-by-order", "In grammar segments nothing is", spelt, "not_proper", expect=SEGMENTS, hop=1)
    cases.refuse(
        "not-proper-more-names",
        "More names and not less authority",
        draft({"scope": "crm.* crm.read"}, top={"scope": "crm.*"}),
        "not_proper",
        expect=SEGMENTS,
        hop=1,
        control="proper-by-name",
    )
    for name, attenuation in (("scope", "scope"), ("authority", "authority")):
        first, second = _order(attenuation, 1), _order(attenuation, 2)
        cases.accept(f"proper-from-2-{name}", "Hop 1 may equal the root", draft({}), expect=second)
        cases.refuse(f"proper-from-1-{name}", "Here it may not", draft({}), "not_proper", expect=first, hop=1)
        cases.accept(f"proper-from-2-{name}-then", "Hop 2 is less again", draft({}, {"scope": "a"}), expect=second)
        cases.refuse(
            f"proper-from-2-{name}-twice", "Hop 2 may not be equal", draft({}, {}), "not_proper", expect=second, hop=2
        )
        cases.refuse(
            f"proper-from-2-{name}-wider",
            "Nor may hop 1 be wider",
            draft({"scope": "a b c"}),
            "not_narrower",
            expect=second,
            hop=1,
        )
    return cases
