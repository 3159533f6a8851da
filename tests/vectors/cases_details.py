"""Authorization details: what parses, what covers what, and which calls are admitted."""

from collections.abc import Sequence
from typing import Any, Final

from tests.vectors.case import Cases
from tests.vectors.parties import AGENTS, API, DROP, FILES, Draft, Members

__all__ = ["calls", "constraints", "details", "details_text"]

ONE: Final = AGENTS[:1]
WILD: Final[Members] = {"constraint_type": "wildcard"}


def _exact(value: Any) -> Members:  # noqa: ANN401 - JSON
    return {"constraint_type": "exact", "value": value}


def _one_of(*values: Any) -> Members:  # noqa: ANN401 - JSON
    return {"constraint_type": "one_of", "values": list(values)}


def _not_one_of(*values: Any) -> Members:  # noqa: ANN401 - JSON
    return {"constraint_type": "not_one_of", "excluded": list(values)}


def _range(**members: Any) -> Members:  # noqa: ANN401 - JSON
    return {"constraint_type": "range", **members}


def _contains(*values: Any) -> Members:  # noqa: ANN401 - JSON
    return {"constraint_type": "contains", "required": list(values)}


def _subset(*values: Any) -> Members:  # noqa: ANN401 - JSON
    return {"constraint_type": "subset", "allowed": list(values)}


def _all(*clauses: Members) -> Members:
    return {"constraint_type": "all", "constraints": list(clauses)}


def _any(*clauses: Members) -> Members:
    return {"constraint_type": "any", "constraints": list(clauses)}


def _detail(tools: Any, *locations: str) -> Members:  # noqa: ANN401 - spoilt ones, too
    return {"type": "attenuating_agent_token", **({"locations": list(locations)} if locations else {}), "tools": tools}


def _arguments(**members: Members) -> Members:
    return _detail({"t": members})


def details() -> Cases:
    """How details of the whole list are compared; constraints have a file of their own."""
    cases = Cases(about="Lists of details, locations, tools and argument names compared (step 12)", step=5)
    one, any_of = _exact(1), WILD

    opt = {**one, "optional": True}
    ab = _arguments(a=one, b=one)
    pay = {"type": "payment", "limit": 5, "to": ["a", "b"]}
    rows: list[tuple[str, list[Members], list[Members], bool]] = [
        ("equal", [_detail({"t": {}})], [_detail({"t": {}})], True),
        ("none-above", [], [_detail({"t": {}})], False),
        ("none-below", [_detail({"t": {}})], [], True),
        ("other-equal", [pay], [{"to": ["a", "b"], "type": "payment", "limit": 5}], True),
        ("other-number", [pay], [{**pay, "limit": 4}], False),
        ("other-number-spelt", [pay], [{**pay, "limit": 5.0}], True),
        ("other-order-of-list", [pay], [{**pay, "to": ["b", "a"]}], False),
        ("other-part", [pay], [{"type": "payment", "limit": 5}], False),
        ("other-of-two", [pay, {"type": "x"}], [{"type": "x"}], True),
        ("other-type", [pay], [{**pay, "type": "Payment"}], False),
        ("one-of-two", [_detail({"t": {}}), _detail({"u": {}})], [_detail({"u": {}})], True),
        ("union", [_detail({"t": {}}), _detail({"u": {}})], [_detail({"t": {}, "u": {}})], False),
        ("split", [_detail({"t": {}, "u": {}})], [_detail({"t": {}}), _detail({"u": {}})], True),
        ("tool-other", [_detail({"t": {}})], [_detail({"T": {}})], False),
        ("tool-by-star", [_detail({"*": {}})], [_detail({"t": {}})], True),
        ("star-from-name", [_detail({"t": {}})], [_detail({"*": {}})], False),
        ("star-from-star", [_detail({"*": {}})], [_detail({"*": {}})], True),
        ("star-with-names", [_detail({"*": {}, "t": {"a": one}})], [_detail({"*": {}, "t": {"a": one}})], True),
        ("star-hides-names", [_detail({"*": {}, "t": {"a": one}})], [_detail({"*": {}})], False),
        ("name-beside-star", [_detail({"*": {}, "t": {"a": one}})], [_detail({"u": {}})], True),
        ("name-beside-star-by-own", [_detail({"*": {}, "t": {"a": one}})], [_detail({"t": {}})], False),
        ("locations-less", [_detail({"t": {}}, API, FILES)], [_detail({"t": {}}, FILES)], True),
        ("locations-more", [_detail({"t": {}}, API)], [_detail({"t": {}}, API, FILES)], False),
        ("locations-added", [_detail({"t": {}})], [_detail({"t": {}}, "anything")], True),
        ("locations-dropped", [_detail({"t": {}}, API)], [_detail({"t": {}})], False),
        ("empty-is-any", [_arguments()], [_arguments(**{"*": any_of})], True),
        ("any-is-empty", [_arguments(**{"*": any_of})], [_arguments()], True),
        ("argument-named-under-empty", [_arguments()], [_arguments(a=one)], True),
        ("empty-under-argument", [_arguments(a=one)], [_arguments()], False),
        ("empty-under-star", [_arguments(**{"*": one})], [_arguments()], False),
        ("empty-under-optional", [_arguments(a=opt)], [_arguments()], False),
        ("argument-same", [ab], [ab], True),
        ("argument-required-dropped", [ab], [_arguments(a=one)], False),
        ("argument-required-kept", [_arguments(a=one, b=opt)], [_arguments(a=one, b=opt)], True),
        ("argument-added", [_arguments(a=one)], [_arguments(a=one, b=one)], False),
        ("argument-optional-dropped", [_arguments(a=one, b=opt)], [_arguments(a=one)], True),
        ("argument-required-made-optional", [ab], [_arguments(a=one, b=opt)], False),
        ("argument-optional-made-required", [_arguments(a=one, b=opt)], [ab], True),
        ("argument-star-made-required", [_arguments(**{"*": one})], [_arguments(a=one)], True),
        ("argument-star-of-other-constraint", [_arguments(**{"*": one})], [_arguments(a=any_of)], False),
        ("argument-star-kept", [_arguments(a=one, **{"*": one})], [_arguments(a=one, **{"*": one})], True),
        ("argument-star-hides-optional", [_arguments(a=opt, **{"*": any_of})], [_arguments(**{"*": any_of})], False),
        ("argument-star-with-optional", [_arguments(a=opt, **{"*": any_of})], [_arguments(a=opt, **{"*": any_of})],
        True),
        ("argument-star-from-names", [ab], [_arguments(a=one, b=one, **{"*": one})], False),
        ("argument-star-wider", [_arguments(**{"*": any_of})], [_arguments(**{"*": one})], True),
        ("argument-star-narrower", [_arguments(**{"*": one})], [_arguments(**{"*": any_of})], False),
        ("argument-optional-constraint", [_arguments(a=opt)], [_arguments(a=one)], True),
    ]  # fmt: skip
    for name, parent, child, covered in rows:
        entries: dict[int, Members] = {
            0: {"authorization_details": parent or DROP},
            1: {"authorization_details": child or DROP},
        }
        cases.judge(
            f"details-{name}",
            "Covered" if covered else "Not covered",
            Draft(actors=ONE, entries=entries),
            None if covered else "not_narrower",
            hop=1,
        )
    top = [_detail({"t": {}, "u": {}}), pay]
    for index in (2, 3):
        cases.refuse(
            f"details-regained-{index}",
            "What the entry before gave up",
            Draft(
                entries={0: {"authorization_details": top}, index - 1: {"authorization_details": [pay]}},
                spoil={index: {"authorization_details": top}},
            ),
            "not_narrower",
            hop=index,
            control="details-equal",
        )
    return cases


def _nested_list(levels: int) -> Any:  # noqa: ANN401 - JSON
    value: Any = []
    for _ in range(levels - 1):
        value = [value]
    return value


def details_text() -> Cases:
    """What is an `authorization_details` at all, in the token (step 5) and in an entry (step 9)."""
    cases = Cases(about="The shape of authorization_details (malformed at step 5 in the token)", step=5)

    def draft(value: Any) -> Draft:  # noqa: ANN401 - JSON
        return Draft(actors=ONE, entries={0: {"authorization_details": value}})

    good: list[tuple[str, str, Any, Sequence[tuple[str, Any]]]] = [
        ("list", "An array of entries", [{"type": "x"}], [
            ("object", {"type": "x"}), ("string", "x"), ("null-entry", [None]), ("array-entry", [[]]),
            ("no-type", [{}]), ("type-empty", [{"type": ""}]), ("type-number", [{"type": 1}]),
            ("twice", [{"type": "x", "a": 1}, {"a": 1.0, "type": "x"}])]),
        ("64", "64 entries", [{"type": f"x{number}"} for number in range(64)],
        [("65", [{"type": f"x{number}"} for number in range(65)])]),
        ("nesting", "32 levels, the array being the first", [{"type": "x", "a": _nested_list(30)}],
        [("33", [{"type": "x", "a": _nested_list(31)}])]),
        ("tool-entry", "The known type", [_detail({"t": {}}, API)], [
            ("no-tools", [{"type": "attenuating_agent_token"}]), ("tools-empty", [_detail({})]),
            ("tools-list", [_detail(["t"])]), ("member", [{**_detail({"t": {}}), "actions": ["x"]}]),
            ("empty-member", [{**_detail({"t": {}}), "": 1}]),
            ("locations-empty", [{**_detail({"t": {}}), "locations": []}]),
            ("locations-string", [{**_detail({"t": {}}), "locations": API}]),
            ("locations-twice", [_detail({"t": {}}, API, API)]), ("locations-blank", [_detail({"t": {}}, "")]),
            ("locations-one-blank", [_detail({"t": {}}, API, "")]),
            ("locations-number", [{**_detail({"t": {}}), "locations": [1]}]),
            ("locations-null", [{**_detail({"t": {}}), "locations": None}]),
            ("locations-257", [_detail({"t": {}}, *[f"u{n}" for n in range(257)])]),
            ("tool-null", [_detail({"t": None})]), ("tool-list", [_detail({"t": []})]),
            ("tool-true", [_detail({"t": True})])]),
        ("locations", "256 locations, any strings", [_detail({"t": {}}, *[f"u{n}" for n in range(256)])], []),
        ("names", "Any names of tools and arguments, the empty one among them",
        [_detail({"": {"": WILD}, "*": {"*": WILD}})], [("argument-null", [_detail({"t": {"a": None}})]),
        ("argument-value", [_detail({"t": {"a": 1}})])]),
        ("optional", "optional, true, beside a name", [_arguments(a={**WILD, "optional": True})], [
            ("false", [_arguments(a={**WILD, "optional": False})]), ("one", [_arguments(a={**WILD, "optional": 1})]),
            ("null", [_arguments(a={**WILD, "optional": None})]), ("star",
            [_arguments(**{"*": {**WILD, "optional": True}})]),
            ("alone", [_arguments(a={"optional": True})]), ("inner", [_arguments(a=_all({**WILD,
                "optional": True}))])]),
        ("exact", "exact: exactly value", [_arguments(a=_exact(None))],
        [("none", [_arguments(a={"constraint_type": "exact"})]), ("more", [_arguments(a={**_exact(1), "x": 1})]),
        ("values", [_arguments(a={"constraint_type": "exact", "values": [1]})])]),
        ("one-of", "one_of: 1 to 256 values, no two equal", [_arguments(a=_one_of(*range(256)))],
        [("empty", [_arguments(a=_one_of())]), ("257", [_arguments(a=_one_of(*range(257)))]),
        ("twice", [_arguments(a=_one_of(1, 1.0))]), ("twice-in-lists", [_arguments(a=_one_of([1, {"b": 1, "a": 2}],
            [1, {"a": 2.0, "b": 1}]))]), ("no-list", [_arguments(a={"constraint_type": "one_of", "values": 1})])]),
        ("one-of-types", "Values that are not equal: by type, by order, by case",
        [_arguments(a=_one_of(1, True, "1", None, [1, 2], [2, 1], {"a": 1}, {"A": 1}, 0, False, "", [], {}))],
        [("minus-zero", [_arguments(a=_one_of(0, -0.0))])]),
        ("not-one-of", "not_one_of: exactly excluded", [_arguments(a=_not_one_of(1))],
        [("empty", [_arguments(a=_not_one_of())]), ("values", [_arguments(a={"constraint_type": "not_one_of",
            "values": [1]})])]),
        ("range", "range: bounds and their inclusiveness", [_arguments(a=_range(min=1, max=0, min_inclusive=False,
            max_inclusive=True))], [
            ("none", [_arguments(a=_range())]), ("inclusive-alone", [_arguments(a=_range(min_inclusive=True))]),
            ("inclusive-of-other", [_arguments(a=_range(min=1, max_inclusive=True))]),
            ("string", [_arguments(a=_range(min="1"))]),
            ("true", [_arguments(a=_range(min=True))]), ("null", [_arguments(a=_range(min=1, max=None))]),
            ("inclusive-1", [_arguments(a=_range(min=1, min_inclusive=1))]),
            ("inclusive-null", [_arguments(a=_range(min=1, min_inclusive=None))]),
            ("more", [_arguments(a=_range(min=1, step=1))])]),
        ("contains", "contains: exactly required", [_arguments(a=_contains(1))],
        [("empty", [_arguments(a=_contains())]), ("allowed", [_arguments(a={"constraint_type": "contains",
            "allowed": [1]})]), ("twice", [_arguments(a=_contains("x", "x"))])]),
        ("subset", "subset: exactly allowed", [_arguments(a=_subset(1))],
        [("empty", [_arguments(a=_subset())]), ("required", [_arguments(a={"constraint_type": "subset",
            "required": [1]})])]),
        ("wildcard", "wildcard: nothing more", [_arguments(a=WILD)], [("value", [_arguments(a={**WILD, "value": 1})])]),
        ("all", "all: exactly constraints, 1 to 256; equal clauses may repeat", [_arguments(a=_all(WILD, WILD))],
        [("empty", [_arguments(a=_all())]), ("no-constraint", [_arguments(a={"constraint_type": "all",
            "constraints": [1]})]), ("unknown-inside", [_arguments(a=_all(WILD, {"constraint_type": "regex"}))])]),
        ("any", "any: the same", [_arguments(a=_any(WILD, WILD))], [("empty", [_arguments(a=_any())]),
            ("no-list", [_arguments(a={"constraint_type": "any", "constraints": WILD})])]),
        ("type", "constraint_type is one of nine", [_arguments(a=WILD)],
        [("unknown", [_arguments(a={"constraint_type": "regex", "value": "x"})]),
        ("case", [_arguments(a={"constraint_type": "Wildcard"})]), ("absent", [_arguments(a={"value": 1})]),
        ("null", [_arguments(a={"constraint_type": None})]),
        ("list", [_arguments(a={"constraint_type": ["wildcard"]})])]),
    ]  # fmt: skip
    for group, comment, value, bad in good:
        cases.accept(f"shape-{group}", comment, draft(value))
        for name, spoilt in bad:
            cases.refuse(f"shape-{group}-{name}", f"Malformed beside: {comment}", draft(spoilt), "malformed")
    for number in (256, 257):
        clauses = Draft(
            actors=ONE,
            entries={
                0: {"authorization_details": [_arguments(a=_any(*[WILD] * number))]},
                1: {"authorization_details": DROP},
            },
        )
        cases.judge(
            f"shape-clauses-{number}",
            f"{number} clauses, in the root alone",
            clauses,
            None if number == 256 else "malformed",
            step=9,
        )
    cases.accept("shape-in-entries", "The same rules in root and hop", draft([{"type": "x"}]))
    for index in (0, 1):
        spoilt = Draft(
            actors=ONE,
            entries={0: {"authorization_details": [{"type": "x"}]}},
            spoil={index: {"authorization_details": [{"type": ""}]}},
        )
        cases.refuse(f"shape-in-entry-{index}", "Malformed in an entry", spoilt, "malformed", step=9)
    return cases


def constraints() -> Cases:
    """One constraint over another, by the eight rules."""
    cases = Cases(about="Which constraint covers which (step 12)", step=12)
    rows: list[tuple[str, Members, list[Members], list[Members]]] = [
        ("wildcard", WILD, [WILD, _exact(1), _one_of(1, "a"), _not_one_of(1), _range(min=1), _contains(1), _subset(1),
            _all(_exact(1)), _any(WILD, _exact(1))], []),
        ("exact", _exact(1), [_exact(1), _exact(1.0), _one_of(1), _any(_exact(1), _one_of(1)),
            _all(_exact(1), _range(max=3))], [_exact(2), _exact(True), _exact("1"), _exact([1]), _one_of(1, 2), WILD,
            _range(min=1, max=1), _not_one_of(2), _subset(1), _contains(1), _all(_range(min=1), _range(max=1)),
            _any(_exact(1), _exact(2))]),
        ("exact-null", _exact(None), [_exact(None)], [_exact(False), _exact(0), _exact("")]),
        ("exact-tree", _exact({"a": [1, {"b": None}]}), [_exact({"a": [1.0, {"b": None}]})],
        [_exact({"a": [{"b": None}, 1]}), _exact({"a": [1, {"b": None}], "c": 1}), _exact({"a": [1, {}]})]),
        ("one-of", _one_of(1, "a", None), [_exact("a"), _one_of(None, 1), _one_of("a", None, 1),
            _any(_exact(1), _exact("a")), _all(_one_of(1, "a"), WILD)],
            [_exact(2), _one_of(1, 2), _range(min=1, max=1), WILD, _all(_range(min=1), _range(max=1)), _not_one_of(2)]),
        ("not-one-of", _not_one_of(1, "a"), [_exact(2), _exact(True), _one_of("b", None), _not_one_of("a", 1),
            _not_one_of(1, 2, "a"), _all(_not_one_of("a", 1), _range(min=1))],
            [_exact(1.0), _one_of(2, "a"), _not_one_of(1), WILD, _range(min=5),
            _all(_not_one_of(1), _not_one_of("a"))]),
        ("range", _range(min=1, max=3), [_exact(1), _exact(3), _exact(2.5), _one_of(1, 2, 3), _range(min=1, max=3),
            _range(min=1.5, max=2), _range(min=1, max=3, min_inclusive=False, max_inclusive=False),
            _range(min=1, max=3, min_inclusive=True), _range(min=2, max=1), _any(_exact(1), _range(min=2, max=3)),
            _all(WILD, _range(min=1, max=2))],
         [_exact(0.999), _exact(4), _exact("2"), _exact(True), _exact(None), _exact([2]), _one_of(1, 4), _range(min=1),
         _range(max=3), _range(min=0, max=3), _range(min=1, max=3.1), _not_one_of(5), WILD,
         _all(_range(min=1), _range(max=3)), _any(_exact(1), _exact(4))]),
        ("range-exclusive", _range(min=1, max=3, min_inclusive=False, max_inclusive=False),
        [_exact(2), _exact(1.001), _range(min=1, max=3, min_inclusive=False, max_inclusive=False),
        _range(min=1.5, max=2.5)], [_exact(1), _exact(3), _range(min=1, max=3),
        _range(min=1, max=3, min_inclusive=False), _range(min=1, max=3, max_inclusive=False),
        _range(min=0.5, max=2, min_inclusive=False)]),
        ("range-min", _range(min=0), [_exact(0), _exact(9007199254740991), _range(min=0), _range(min=0.5, max=9),
            _range(min=0, min_inclusive=False)], [_exact(-1), _exact(-0.5), _range(max=3), _range(min=-1)]),
        ("range-max", _range(max=0, max_inclusive=False), [_exact(-1), _range(max=0, max_inclusive=False),
            _range(max=-1)], [_exact(0), _range(max=0), _range(max=0, max_inclusive=True), _range(min=-5)]),
        ("contains", _contains(1, "a"), [_exact([1, "a"]), _exact(["a", 5, 1.0]), _contains("a", 1),
            _contains(1, 2, "a"), _all(_contains(1, "a", 2), WILD)], [_exact([1]), _exact([True, "a"]), _exact(1),
            _exact({"1": 1}), _contains(1), WILD, _subset(1, "a"), _all(_contains(1), _contains("a"))]),
        ("subset", _subset(1, "a"), [_exact([]), _exact([1, 1, "a"]), _subset("a"), _subset("a", 1),
            _all(_subset(1), _contains(1))], [_exact([2]), _exact([1, True]), _exact("a"), _exact(None), _subset(1, 2),
            WILD, _contains(1), _all(_contains(1))]),
        ("all", _all(_range(min=1), _range(max=3)), [_exact(2), _one_of(1, 3), _range(min=1, max=3),
            _range(min=2, max=3), _all(_range(min=1), _range(max=3)), _all(_range(max=2), _range(min=1), WILD),
            _any(_exact(1), _range(min=2, max=3))], [_exact(4), _range(min=1), _range(max=3), _one_of(1, 4), WILD,
            _all(_range(min=1)), _any(_exact(1), _range(min=2))]),
        ("any", _any(_range(max=1), _range(min=3), _exact("a")), [_exact(0), _exact("a"), _one_of(1, 3, "a"),
            _range(min=4), _range(max=1), _any(_range(min=3), _exact("a")), _any(_exact("a"), _one_of(0, 5)),
            _all(_range(min=3), WILD)], [_exact(2), _one_of(1, 2), _range(min=2), _range(min=0, max=5), WILD,
            _not_one_of(2), _any(_range(min=3), _exact("b"))]),
        ("any-goes-on", _any(_exact(1), _exact(2)), [_all(_one_of(1, 2), WILD), _all(_one_of(1, 2, 3), _one_of(1, 2))],
        [_all(_one_of(1, 2, 3), _one_of(2, 1, 4))]),
        ("any-of-wildcard", _any(_exact(1), WILD), [WILD, _range(min=1), _not_one_of(1)], []),
        ("all-of-wildcard", _all(WILD), [WILD, _exact(1), _contains(1)], []),
        ("nested", _all(_any(_range(min=1), _exact("a")), _not_one_of(5)),
        [_exact("a"), _exact(1), _any(_exact("a"), _one_of(1, 2)), _all(_range(min=2), _not_one_of(5, 6))],
        [_exact(5), _exact("b"), _range(min=6), _all(_range(min=0), _not_one_of(5))]),
    ]  # fmt: skip
    for group, parent, covered, refused in rows:
        for number, child in enumerate([*covered, *refused], start=1):
            entries = {
                0: {"authorization_details": [_arguments(x=parent)]},
                1: {"authorization_details": [_arguments(x=child)]},
            }
            reason = None if number <= len(covered) else "not_narrower"
            cases.judge(
                f"covers-{group}-{number}",
                "The root's constraint covers the hop's" if reason is None else "It does not",
                Draft(actors=ONE, entries=entries),
                reason,
                hop=1,
            )
    return cases


def _called(admitted: Sequence[Any], denied: Sequence[Any], tool: str = "t") -> list[Members]:
    both = [(arguments, True) for arguments in admitted] + [(arguments, False) for arguments in denied]
    return [
        {
            "tool": tool,
            "arguments": arguments,
            "admitted": is_admitted,
            **({} if is_admitted else {"reason": "argument_denied"}),
        }
        for arguments, is_admitted in both
    ]


def calls() -> Cases:
    """Which calls a verified token admits."""
    cases = Cases(about="Calls of tools with arguments, for accepted tokens", step=15)

    def table(name: str, comment: str, value: list[Members], called: list[Members], **terms: Any) -> None:  # noqa: ANN401 - as for Cases
        cases.accept(
            f"calls-{name}",
            comment,
            Draft(actors=ONE, entries={0: {"authorization_details": value or DROP}}),
            calls=called,
            **terms,
        )

    values: list[tuple[str, Members, list[Any], list[Any]]] = [
        ("exact", _exact(1), [1, 1.0], [True, "1", [1], None, 2, 1.1]),
        ("exact-text", _exact("\u00e9"), ["\u00e9"], ["e\u0301", "\u00c9", "\u00e9 "]),
        ("exact-tree", _exact({"a": [1, True]}), [{"a": [1.0, True]}], [{"a": [1, 1]}, {"a": [True, 1]},
            {"a": [1, True], "b": 1}, {}]),
        ("one-of", _one_of(1, "a", None, False), [1, "a", None, False], [0, True, "A", "", []]),
        ("not-one-of", _not_one_of(1, "a"), [True, "1", None, [], {}, 2], [1, 1.0, "a"]),
        ("range", _range(min=1, max=3), [1, 3, 2.5, 1.0], [0, 0.999999, 3.0001, True, "2", None, [2]]),
        ("range-exclusive", _range(min=1, max=3, min_inclusive=False, max_inclusive=False), [2, 1.000001], [1, 3]),
        ("range-empty", _range(min=3, max=1), [], [1, 2, 3]),
        ("range-one-sided", _range(max=-1), [-1, -2.5, -9007199254740991], [0, -0.5]),
        ("contains", _contains(1, "a"), [[1, "a"], ["a", "b", 1, 1]], [[1], ["a"], [], [True, "a"], [[1, "a"]], "a",
            {"1": "a"}, None]),
        ("subset", _subset(1, "a"), [[], [1], [1, 1, "a"]], [[2], [1, True], [[]], 1, "a", None, {}]),
        ("wildcard", WILD, [None, 0, "", [], {}, {"*": 1}, [[[]]]], []),
        ("all", _all(_range(min=1), _range(max=3), _not_one_of(2)), [1, 3], [2, 0, 4, "1"]),
        ("any", _any(_range(max=1), _exact("a")), [0, 1, "a"], [2, "b", None]),
        ("nested", _any(_all(_range(min=1), _not_one_of(5)), _subset("x")), [1, 6, [], ["x"]], [5, 0, ["y"], "x"]),
    ]  # fmt: skip
    for name, constraint, admitted, denied in values:
        table(
            name,
            "Which values one constraint admits",
            [_arguments(x=constraint)],
            _called([{"x": value} for value in admitted], [{"x": value} for value in denied]),
        )
    opt = {**_exact(2), "optional": True}
    table(
        "arguments",
        "Required and optional arguments, and none else",
        [_arguments(a=_exact(1), b=opt)],
        _called(
            [{"a": 1}, {"a": 1, "b": 2}],
            [{}, {"b": 2}, {"a": 1, "b": 3}, {"a": 1, "b": None}, {"a": 1, "c": 1}, {"A": 1}, {"a": 1, "*": 1}],
        ),
    )
    table(
        "argument-star",
        "* stands for the names that are not listed",
        [_arguments(a=_exact(1), **{"*": _exact(2)})],
        _called([{"a": 1}, {"a": 1, "b": 2, "": 2}], [{"b": 2}, {"a": 2}, {"a": 1, "b": 1}, {"a": 1, "*": 2}]),
    )
    table(
        "any-arguments",
        "A tool with no arguments listed takes any",
        [_detail({"t": {}})],
        [
            *_called([{}, {"a": None, "b": [1]}], [{"*": 1}]),
            *_called([], [{}], "u"),
            *_called([], [{}], "*"),
            *_called([], [{}], "T"),
            *_called([], [{}], ""),
        ],
    )
    table(
        "tool-star",
        "* stands for the tools that are not listed",
        [_detail({"*": {}, "t": {"a": _exact(1)}})],
        [
            *_called([{"a": 1}], [{"a": 2}, {}]),
            *_called([{}, {"x": 1}], [{"*": 1}], "u"),
            *_called([{}], [], ""),
            *_called([], [{}], "*"),
        ],
    )
    table(
        "one-entry-admits",
        "One entry admits the whole call",
        [_arguments(a=_exact(1), b=_exact(1)), _arguments(a=_exact(2), b=_exact(2))],
        _called([{"a": 1, "b": 1}, {"a": 2, "b": 2}], [{"a": 1, "b": 2}]),
    )
    table("no-entry", "No entry, no tool", [], _called([], [{}]))
    table(
        "other-type",
        "Entries of other types admit nothing",
        [{"type": "payment", "tools": {"t": {}}}],
        _called([], [{}]),
    )
    here = [
        _detail({"t": {}}, API),
        _detail({"u": {}}, FILES),
        _detail({"v": {}}),
        _detail({"w": {}}, f"{API}/", FILES),
    ]
    table(
        "locations",
        "Entries count where their locations hold aud",
        here,
        [*_called([{}], []), *_called([], [{}], "u"), *_called([{}], [], "v"), *_called([], [{}], "w")],
    )
    there = Draft(actors=ONE, entries={0: {"authorization_details": here}}, claims={"aud": FILES})
    called = [*_called([], [{}]), *_called([{}], [], "u"), *_called([{}], [], "v"), *_called([{}], [], "w")]
    cases.accept(
        "calls-locations-there", "The same for another aud", there, calls=called, expect={"audiences": [API, FILES]}
    )
    both = {"scope": "crm.read", "tool": "t", "arguments": {}}
    table(
        "scope-and-tool",
        "Scope and tool asked together: both are needed, the scope first",
        here[:1],
        [
            {**both, "admitted": True},
            {**both, "scope": "x", "admitted": False, "reason": "insufficient_scope"},
            {**both, "tool": "x", "admitted": False, "reason": "argument_denied"},
            {**both, "scope": "x", "tool": "x", "admitted": False, "reason": "insufficient_scope"},
            {"tool": "t", "admitted": True},
        ],
    )
    table(
        "exact-numbers",
        "Arguments are judged as JSON texts: what a double cannot say exactly is denied",
        [_detail({"t": {}})],
        [
            {"tool": "t", "arguments_text": text, "admitted": True}
            for text in (
                '{"a":9007199254740991}',
                '{"a":0.1}',
                '{"a":-0}',
                '{"a":123456789.012345}',
                '{"a":"\\ud83d\\ude00"}',
                '{"a":"\U0001f600"}',
            )
        ]
        + [
            {"tool": "t", "arguments_text": text, "admitted": False, "reason": "argument_denied"}
            for text in (
                '{"a":9007199254740992}',
                '{"a":0.30000000000000004}',
                '{"a":[1e300]}',
                '{"a":5e-324}',
                '{"a":1e999}',
                '{"a":"\\ud800"}',
                '{"\\udfff":1}',
                '{"a":"\ud83d"}',
                '{"\ude00":1}',
                '{"a":"\ud83d\\ude00"}',
                '{"a":"\\ud83d\ude00"}',
                '{"a":"\\ude00\\ud83d"}',
                "[]",
                '"a"',
                "1",
            )
        ],
    )
    deep = "[" * 31 + "]" * 31
    table(
        "deep-arguments",
        "Arguments nest at most 32 levels, the object being the first",
        [_detail({"t": {}})],
        [
            {"tool": "t", "arguments_text": f'{{"a":{deep}}}', "admitted": True},
            {"tool": "t", "arguments_text": f'{{"a":[{deep}]}}', "admitted": False, "reason": "argument_denied"},
        ],
    )
    return cases
