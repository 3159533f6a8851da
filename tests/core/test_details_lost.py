import pytest

from tests.core.constraint_strategies import Json, exact, one_of
from tests.core.detail_strategies import details, entry
from tokensvc.core.details import details_cover, loses_entry_or_tool

PAYMENT: Json = {"type": "payment", "limit": 10}
READ: Json = {"read": {"a": one_of(1, 2)}}


@pytest.mark.parametrize(
    ("parent", "child"),
    [
        # An entry of another type is gone.
        ([PAYMENT], []),
        ([PAYMENT, {"type": "file"}], [PAYMENT]),
        ([PAYMENT, entry(READ)], [entry(READ)]),
        # A tool name is gone.
        ([entry(READ)], []),
        ([entry({"read": {}, "write": {}})], [entry({"read": {}})]),
        ([entry({"read": {}}), entry({"write": {}})], [entry({"write": {}})]),
        # `*` is a name.
        ([entry({"*": {}})], [entry({"read": {}})]),
        ([entry({"*": {}, "read": {}})], [entry({"read": {}, "write": {}})]),
    ],
)
def test_what_is_gone_is_lost(parent: list[Json], child: list[Json]) -> None:
    assert details_cover(details(*parent), details(*child))
    assert loses_entry_or_tool(details(*parent), details(*child))
    assert not loses_entry_or_tool(details(*parent), details(*parent))


@pytest.mark.parametrize(
    ("parent", "child"),
    [
        ([], []),
        ([PAYMENT], [PAYMENT]),
        ([PAYMENT, entry(READ)], [entry(READ), PAYMENT]),
        # Narrower arguments and locations never count.
        ([entry(READ)], [entry({"read": {"a": exact(1)}})]),
        ([entry(READ)], [entry(READ, "x:1")]),
        ([entry({"*": {}})], [entry({"*": {"a": exact(1)}})]),
        # Another name beside `*` is no loss.
        ([entry({"*": {}})], [entry({"*": {}, "read": {}})]),
        # An entry is gone, but its names still stand in another.
        ([entry(READ), entry({"read": {}, "write": {}})], [entry({"read": {}, "write": {}})]),
        ([entry(READ), entry(READ, "x:1")], [entry(READ, "x:1")]),
    ],
)
def test_nothing_else_counts(parent: list[Json], child: list[Json]) -> None:
    assert details_cover(details(*parent), details(*child))
    assert not loses_entry_or_tool(details(*parent), details(*child))


def test_no_name_is_gone_while_any_name_is_still_granted() -> None:
    # Names that an agent adds beside `*` and drops one by one would else make every hop proper, and lose nothing.
    root, junk = details(entry({"*": {}})), details(entry({"*": {}}), entry({"j1": {}}), entry({"j2": {}}))

    assert details_cover(root, junk)
    assert not loses_entry_or_tool(root, junk)
    assert not loses_entry_or_tool(junk, root)
    assert loses_entry_or_tool(root, details(entry({"j1": {}})))
    assert loses_entry_or_tool(details(entry({"j1": {}}), entry({"j2": {}})), details(entry({"j1": {}})))


def test_an_equal_entry_spelt_as_another_number_is_not_lost() -> None:
    assert not loses_entry_or_tool(details(PAYMENT), details({**PAYMENT, "limit": 10.0}))
    assert loses_entry_or_tool(details(PAYMENT), details({**PAYMENT, "limit": 9}))
