"""Against attenu-guard: what it shows to be wider, we never accept.

Its ceilings (-02 vocabulary) are named bounds on a call: `max` and `min` are our inclusive ranges, `one_of` and
`not_one_of` are ours over scalars. One authority is one tool, each ceiling one argument.

Not comparable, as it has no such thing or another meaning: `exact` (said here as `one_of`), exclusive bounds,
`contains`, `subset`, `all`, `any`; lists and objects as values (its deny-lists refuse them, ours compare them); null
and an absent argument (a ceiling that is not mentioned denies nothing there; an argument that is not listed is denied
here), so calls name every argument, none null. Its scopes are no tool names; its cumulative bounds, ranks and prefixes
are not ours.
"""

from collections.abc import Mapping
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.constraint_strategies import Json, boundary_values, not_one_of, one_of, passing, within
from tests.core.detail_strategies import details, entry
from tokensvc.core.details import admits_call, details_cover
from tokensvc.core.frozenjson import freeze_json
from tokensvc.core.jsontext import JsonValue

attenu_guard: Final[Any] = pytest.importorskip("attenu_guard")
draft02: Final[Any] = pytest.importorskip("attenu_guard.draft02")

SCALARS: Final[tuple[JsonValue, ...]] = (True, False, 0, 1, 1.0, 2, 0.5, "1", "a", "b", "", "true")
SCOPE: Final = "tools.call"

members: Final = st.lists(st.sampled_from(SCALARS), min_size=1, max_size=3, unique_by=freeze_json)
numbers: Final = st.sampled_from([-1, 0, 0.5, 1, 2, 3])
bounds: Final = st.one_of(
    numbers.map(lambda n: within(max=n)),
    numbers.map(lambda n: within(min=n)),
    st.tuples(numbers, numbers).map(lambda n: within(min=n[0], max=n[1])),
    members.map(lambda m: one_of(*m)),
    members.map(lambda m: not_one_of(*m)),
)
authorities: Final = st.fixed_dictionaries({"rows": bounds, "region": bounds})


def theirs(arguments: Mapping[str, Json]) -> Any:  # noqa: ANN401 - attenu_guard has no types
    wire: list[dict[str, object]] = []
    for key, of in arguments.items():
        wire += [{"key": key, bound: of[bound]} for bound in ("max", "min") if bound in of]
        if "values" in of:
            wire.append({"key": key, "one_of": list_of(of["values"])})
        if "excluded" in of:
            wire.append({"key": key, "not_one_of": list_of(of["excluded"])})
    ceilings = tuple(draft02.ceiling_from_wire_02(each) for each in wire)
    return attenu_guard.Authority(scopes={SCOPE}, ceilings=ceilings, ttl=60, profile=draft02.PROFILE_02)


def list_of(value: JsonValue) -> list[JsonValue]:
    assert isinstance(value, list | tuple)
    return list(value)


def permits(arguments: Mapping[str, Json], call: Mapping[str, object]) -> bool:
    return bool(theirs(arguments).permits(SCOPE, dict(call)))


def near(*several: Json) -> list[JsonValue]:
    return [v for v in boundary_values(*several) if v is not None and not isinstance(v, list | dict)]


@given(bounds)
def test_both_admit_the_same_scalars(of: Json) -> None:
    assert passing(of, near(of)) == [value for value in near(of) if permits({"rows": of}, {"rows": value})]


@given(authorities, authorities, st.data())
def test_no_narrowing_that_they_show_to_be_wider_is_accepted(
    parent: dict[str, Json], other: dict[str, Json], data: st.DataObject
) -> None:
    child = {name: data.draw(st.sampled_from((parent[name], other[name]))) for name in parent}
    if not details_cover(details(entry({"f": dict(parent)})), details(entry({"f": dict(child)}))):
        return
    for rows in near(parent["rows"], child["rows"]):
        region = data.draw(st.sampled_from(near(parent["region"], child["region"])))
        call = {"rows": rows, "region": region}
        assert permits(parent, call) or not permits(child, call)
        assert admits_call(
            details(entry({"f": dict(child)})), tool="f", arguments=call, audience="x:1"
        ) == permits(child, call)  # fmt: skip


@given(authorities, authorities)
def test_their_narrowing_is_narrowing_here(parent: dict[str, Json], child: dict[str, Json]) -> None:
    if theirs(child).is_narrower_than(theirs(parent)):
        assert details_cover(details(entry({"f": dict(parent)})), details(entry({"f": dict(child)})))


@given(authorities, authorities)
def test_their_meet_is_covered_by_both(one: dict[str, Json], other: dict[str, Json]) -> None:
    try:
        meet = theirs(one).meet(theirs(other))
    except attenu_guard.AuthorityError:
        return
    for rows in near(one["rows"], other["rows"]):
        for region in near(one["region"], other["region"]):
            call = {"rows": rows, "region": region}
            if meet.permits(SCOPE, call):
                for each in (one, other):
                    of = details(entry({"f": dict(each)}))
                    assert admits_call(of, tool="f", arguments=call, audience="x:1")
