from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokensvc.core.authority import Attenuation, Authority, Dimension, Order, attenuates, covers, is_proper, widened
from tokensvc.core.details import parse_details
from tokensvc.core.scope import ScopeGrammar

# Few values, so that related pairs are common.
scopes = st.frozensets(st.sampled_from(["a", "b", "c", "d"]), min_size=1)
resources = st.frozensets(st.sampled_from(["x:1", "x:2", "x:3"]), min_size=1)
numbers = st.integers(0, 3)
authorities = st.builds(
    Authority, scope=scopes, resources=resources, iat=numbers, exp=numbers, max_depth=numbers, bound=st.booleans()
)

ORDER = Order()


@st.composite
def narrowed(draw: st.DrawFn, parent: Authority) -> Authority:
    return Authority(
        scope=frozenset(draw(st.sets(st.sampled_from(sorted(parent.scope)), min_size=1))),
        resources=frozenset(draw(st.sets(st.sampled_from(sorted(parent.resources)), min_size=1))),
        iat=draw(st.integers(parent.iat, 4)),
        exp=draw(st.integers(0, parent.exp)),
        max_depth=draw(st.integers(0, parent.max_depth)),
        bound=parent.bound or draw(st.booleans()),
    )


@given(authorities)
def test_the_order_is_reflexive(a: Authority) -> None:
    assert covers(a, a, ORDER)


@given(authorities, st.data())
def test_the_order_is_transitive(a: Authority, data: st.DataObject) -> None:
    b = data.draw(narrowed(a))
    c = data.draw(narrowed(b))

    assert covers(a, b, ORDER)
    assert covers(b, c, ORDER)
    assert covers(a, c, ORDER)


@given(authorities, authorities, authorities)
def test_the_order_is_transitive_between_unrelated_authorities(a: Authority, b: Authority, c: Authority) -> None:
    assert not (covers(a, b, ORDER) and covers(b, c, ORDER)) or covers(a, c, ORDER)
    assert not (attenuates(a, b, ORDER) and attenuates(b, c, ORDER)) or attenuates(a, c, ORDER)


@given(authorities, authorities)
def test_two_that_cover_each_other_are_equal(a: Authority, b: Authority) -> None:
    assert (covers(a, b, ORDER) and covers(b, a, ORDER)) == (a == b)


@given(authorities)
def test_nothing_attenuates_itself(a: Authority) -> None:
    assert not attenuates(a, a, ORDER)
    assert not is_proper(a, a, ORDER)


@given(authorities, st.data())
def test_attenuation_is_transitive(a: Authority, data: st.DataObject) -> None:
    b = data.draw(narrowed(a))
    c = data.draw(narrowed(b))

    if attenuates(a, b, ORDER) and attenuates(b, c, ORDER):
        assert attenuates(a, c, ORDER)
    # One proper step is enough: what is gone stays gone.
    assert attenuates(a, c, ORDER) == (a.scope != c.scope)


@given(authorities, authorities)
def test_attenuation_is_asymmetric(a: Authority, b: Authority) -> None:
    assert not (attenuates(a, b, ORDER) and attenuates(b, a, ORDER))


@given(authorities, st.data())
def test_attenuated_means_covered_with_a_scope_gone(a: Authority, data: st.DataObject) -> None:
    b = data.draw(narrowed(a))

    assert attenuates(a, b, ORDER) == (b.scope < a.scope)


PARENT: Final = Authority(
    scope=frozenset({"a", "b"}), resources=frozenset({"x:1", "x:2"}), iat=10, exp=20, max_depth=3, bound=True
)


@pytest.mark.parametrize(
    ("child", "dimension"),
    [
        (replace(PARENT, scope=frozenset({"a", "b", "c"})), Dimension.SCOPE),
        (replace(PARENT, scope=frozenset({"A"})), Dimension.SCOPE),
        (replace(PARENT, scope=frozenset({"a", "b*"})), Dimension.SCOPE),
        (replace(PARENT, resources=frozenset({"x:1/"})), Dimension.RESOURCES),
        (replace(PARENT, resources=frozenset({"X:1"})), Dimension.RESOURCES),
        (replace(PARENT, exp=21), Dimension.LIFETIME),
        (replace(PARENT, iat=9), Dimension.LIFETIME),
        (replace(PARENT, max_depth=4), Dimension.DEPTH),
        (replace(PARENT, bound=False), Dimension.HOLDER),
    ],
)
def test_more_in_a_single_dimension_is_more(child: Authority, dimension: Dimension) -> None:
    assert widened(PARENT, child, ORDER) is dimension
    assert not covers(PARENT, child, ORDER)
    assert not attenuates(PARENT, replace(child, scope=child.scope - {"b"}), ORDER)
    assert widened(PARENT, PARENT, ORDER) is None


@pytest.mark.parametrize(
    "child",
    [
        replace(PARENT, scope=frozenset({"a"})),
        replace(PARENT, resources=frozenset({"x:2"})),
        replace(PARENT, exp=19),
        replace(PARENT, iat=11),
        replace(PARENT, max_depth=0),
    ],
)
def test_less_in_any_dimension_is_covered_and_only_a_scope_gone_is_proper(child: Authority) -> None:
    assert covers(PARENT, child, ORDER)
    assert not covers(child, PARENT, ORDER)
    assert attenuates(PARENT, child, ORDER) == (child.scope != PARENT.scope)


def test_a_bound_child_of_a_bearer_parent_is_covered() -> None:
    assert covers(replace(PARENT, bound=False), PARENT, ORDER)


ORDERS = [Order(grammar=grammar, attenuation=mode) for grammar in ScopeGrammar for mode in Attenuation]
DETAILS = [
    parse_details([{"type": "attenuating_agent_token", "tools": {name: {} for name in names}} for names in entries])
    for entries in ([], ["r"], ["w"], ["rw"], ["r", "w"], ["*"], ["*r"])
] + [parse_details([{"type": kind} for kind in kinds]) for kinds in ("x", "y", "xy")]
detailed = st.builds(
    Authority,
    scope=st.frozensets(st.sampled_from(["a", "a.b", "a.c", "a.*", "a.b.*", "a.b.c"]), min_size=1, max_size=3),
    details=st.sampled_from(DETAILS),
    resources=resources,
    iat=st.just(0),
    exp=st.just(1),
    max_depth=st.integers(0, 1),
    bound=st.just(False),
)


@pytest.mark.parametrize("order", ORDERS)
@given(detailed, detailed, detailed)
def test_the_laws_hold_in_both_grammars_and_modes(order: Order, a: Authority, b: Authority, c: Authority) -> None:
    assert covers(a, a, order)
    assert not is_proper(a, a, order)
    assert not (attenuates(a, b, order) and attenuates(b, a, order))
    if covers(a, b, order) and covers(b, c, order):
        assert covers(a, c, order)
        # One proper step is enough: what is gone stays gone.
        assert attenuates(a, c, order) or not (is_proper(a, b, order) or is_proper(b, c, order))


@given(detailed, detailed)
def test_what_is_proper_in_mode_scope_is_proper_in_mode_authority(a: Authority, b: Authority) -> None:
    for grammar in ScopeGrammar:
        if is_proper(a, b, Order(grammar=grammar)):
            assert is_proper(a, b, Order(grammar=grammar, attenuation=Attenuation.AUTHORITY))
