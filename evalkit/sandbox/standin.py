"""Stand-ins, in the checker, for a program's own classes and their instances.

An instance stays in the program's process. Its stand-in knows only its number, and forwards everything else:
attributes, methods, operators. Results are plain data or other stand-ins. So tests can build the objects
that they pass to the program's functions, as MBPP's tests do with trees and lists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

from evalkit.sandbox.codec import BadData, Opaque

Ask = Callable[..., Any]
"""Sends an operation with its arguments to the program, and returns the result."""
SPECIAL = (
    "__call__", "__contains__", "__delitem__", "__enter__", "__eq__", "__exit__", "__getitem__", "__iter__",
    "__len__", "__repr__", "__setitem__", "__str__", "__abs__", "__add__", "__and__", "__bool__", "__float__",
    "__floordiv__", "__ge__", "__gt__", "__int__", "__invert__", "__le__", "__lt__", "__mod__", "__mul__",
    "__neg__", "__or__", "__pow__", "__radd__", "__rmul__", "__rsub__", "__sub__", "__truediv__", "__xor__",
)  # fmt: skip
"""Methods that Python looks up in the class. Those that the program's class defines are forwarded."""


class StandInClass(type):
    """The class of the stand-ins for classes."""

    _ask: Ask
    _number: int
    _comparable: bool

    def __call__(cls, *arguments: Any, **keywords: Any) -> Any:
        return cls._ask("new", cls, *arguments, **keywords)

    def __getattr__(cls, name: str) -> Any:
        return _attribute(cls._ask, cls, name)

    def __setattr__(cls, name: str, value: object) -> None:
        cls._ask("set", cls, name, value)


class Instance(metaclass=StandInClass):
    """The base class of the stand-ins for instances. A call makes an instance in the program's process."""

    __slots__ = ("_evalkit_number",)
    _evalkit_number: int

    def __getattr__(self, name: str) -> Any:
        return _attribute(type(self)._ask, self, name)

    def __setattr__(self, name: str, value: object) -> None:
        type(self)._ask("set", self, name, value)

    def __delattr__(self, name: str) -> None:
        type(self)._ask("delete", self, name)

    def __eq__(self, other: object) -> bool:
        """Whether they are the same instance, or are equal for the program and have equal attributes.

        An `__eq__` that always returns True is not enough. But the program controls both the instances and
        their attributes, so only a comparison of plain data is certain.
        """
        if not isinstance(other, Instance) or type(self)._ask != type(other)._ask:
            return False
        if self._evalkit_number == other._evalkit_number:
            return True
        return type(self)._comparable and type(self) is type(other) and _alike(type(self), self, other)

    def __hash__(self) -> int:
        return hash(type(self))  # equal instances need equal hashes, and only the program knows which are


class Classes:
    """The stand-ins for one program's classes, and for those of its instances that were used so far."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self.kinds: list[StandInClass | None] = []
        self._seen: dict[int, Instance] = {}

    def add(self, name: str, specials: object) -> StandInClass | None:
        """Adds the stand-in of the next class; returns None if `name` is not a class.

        `specials`: the names of the special methods that the class defines, as sent by the program.
        """
        kind: StandInClass | None = None
        if isinstance(specials, list):
            methods = {special: _special(special) for special in SPECIAL if special in specials}
            comparable = methods.pop("__eq__", None) is not None
            inside = {"__slots__": (), "_ask": staticmethod(self._ask), "_number": len(self.kinds)}
            kind = StandInClass(name, (Instance,), {**inside, "_comparable": comparable, **methods})
        self.kinds.append(kind)
        return kind

    def reference(self, value: object) -> list[Any] | None:
        """The written form of a stand-in; None for anything else."""
        if isinstance(value, Instance):
            return ["x", value._evalkit_number, type(value)._number]
        if isinstance(value, StandInClass):
            return ["x", value._number, value._number]
        return None

    def find(self, number: Any, kind: Any) -> StandInClass | Instance:
        """The stand-in for a number and a class. Raises `BadData` if there is none."""
        if type(number) is not int or type(kind) is not int or not 0 <= kind < len(self.kinds):
            raise BadData("no instance")
        base = self.kinds[kind]
        if base is None or number < 0:
            raise BadData("no instance of a class")
        if number < len(self.kinds):
            return base
        found = self._seen.get(number)
        if found is None or type(found) is not base:
            made: Any = base
            found = self._seen[number] = cast(Instance, object.__new__(made))
            object.__setattr__(found, "_evalkit_number", number)
        return found


def _attribute(ask: Ask, thing: object, name: str) -> Any:
    is_method, value = ask("get", thing, name)
    if not is_method:
        return value

    def method(*arguments: Any, **keywords: Any) -> Any:
        return ask("do", thing, name, *arguments, **keywords)

    method.__name__ = method.__qualname__ = name
    return method


def _special(name: str) -> Callable[..., Any]:
    def method(self: Instance, *arguments: Any) -> Any:
        if name == "__iter__":
            return type(self)._ask("iterate", self)
        found = type(self)._ask("do", self, name, *arguments)
        return NotImplemented if isinstance(found, Opaque) and found.kind == "NotImplementedType" else found

    method.__name__ = method.__qualname__ = name
    return method


_comparing: set[tuple[int, int]] = set()
"""The pairs whose comparison is under way: objects may contain each other."""


def _alike(kind: StandInClass, one: Instance, other: Instance) -> bool:
    pair = one._evalkit_number, other._evalkit_number
    if pair in _comparing:
        return True
    if kind._ask("do", one, "__eq__", other) is not True:
        return False
    _comparing.add(pair)
    try:
        return bool(kind._ask("state", one) == kind._ask("state", other))
    finally:
        _comparing.discard(pair)


def names(classes: Iterable[Any]) -> list[Any]:
    """In the program: which of `SPECIAL` each class defines or inherits; None for what is not a class."""
    return [
        [name for name in SPECIAL if getattr(kind, name, None) is not getattr(object, name, None)]
        if isinstance(kind, type)
        else None
        for kind in classes
    ]
