"""The fast constructor makes what the class makes."""

from dataclasses import FrozenInstanceError, dataclass

import pytest

from tokensvc.core.construct import constructor_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    x: int
    y: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Open:
    x: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    x: int

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError("x")


def test_what_it_makes_equals_what_the_class_makes_and_is_as_frozen() -> None:
    made = constructor_of(Point)(x=1, y=(2,))

    assert type(made) is Point
    assert (made, hash(made), repr(made)) == (Point(x=1, y=(2,)), hash(Point(x=1, y=(2,))), repr(Point(x=1, y=(2,))))
    assert made != constructor_of(Point)(x=1, y=())
    with pytest.raises(FrozenInstanceError):
        made.x = 2  # type: ignore[misc]


def test_every_field_is_named_and_no_other() -> None:
    construct = constructor_of(Point)

    with pytest.raises(TypeError):
        construct(x=1)
    with pytest.raises(TypeError):
        construct(x=1, y=(), z=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        construct(1, ())  # type: ignore[call-arg]


@pytest.mark.parametrize("cls", [Open, Judged, int])
def test_a_class_whose_making_does_more_is_refused(cls: type) -> None:
    with pytest.raises(TypeError):
        constructor_of(cls)
