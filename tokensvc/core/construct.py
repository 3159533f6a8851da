"""A constructor for frozen dataclasses that are made by the dozen for each token.

The one that `dataclasses` writes goes through a dict of keywords and one `object.__setattr__` a field, which for the
entries of a chain took as long as all checks on them. This one sets the slots directly, in less than half the time.
"""

from collections.abc import Callable
from dataclasses import fields
from typing import Any, ParamSpec, TypeVar, cast

__all__ = ["constructor_of"]

_P = ParamSpec("_P")
_T = TypeVar("_T")


def constructor_of(cls: Callable[_P, _T]) -> Callable[_P, _T]:
    """A function that makes what `cls(...)` makes, from the same arguments, every one named and none left out.

    `cls` is a dataclass with slots that needs no more than its fields to be set.
    Raises: TypeError for any other class.
    """
    made = cast("Any", cls)
    names = [field.name for field in fields(made)]
    if hasattr(cls, "__post_init__") or tuple(names) != getattr(cls, "__slots__", None):
        raise TypeError("a dataclass with slots and without __post_init__")
    setters = {f"set_{name}": getattr(cls, name).__set__ for name in names}
    lines = [f"    set_{name}(self, {name})" for name in names]
    source = "\n".join([f"def construct(*, {', '.join(names)}):", "    self = new(cls)", *lines, "    return self"])
    scope: dict[str, Any] = {"new": object.__new__, "cls": cls, **setters}
    exec(source, scope)  # noqa: S102 - as dataclasses does; the text is made of the names of the fields
    return cast("Callable[_P, _T]", scope["construct"])
