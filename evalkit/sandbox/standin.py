"""Stand-ins, in the checker, for a program's own classes and their instances.

An instance lives in the program's process. Its stand-in knows its number and asks for everything else:
attributes, methods, operators. What is asked for comes back as plain data or as another stand-in, so that
tests can build what they pass to the program's functions, as MBPP's do with trees and lists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

from evalkit.sandbox.codec import BadData, Opaque

Ask = Callable[..., Any]
"""Has the program do something: what, and with which arguments."""
SPECIAL = (
    "__call__", "__contains__", "__delitem__", "__enter__", "__eq__", "__exit__", "__getitem__", "__iter__",
    "__len__", "__repr__", "__setitem__", "__str__", "__abs__", "__add__", "__and__", "__bool__", "__float__",
    "__floordiv__", "__ge__", "__gt__", "__int__", "__invert__", "__le__", "__lt__", "__mod__", "__mul__",
    "__neg__", "__or__", "__pow__", "__radd__", "__rmul__", "__rsub__", "__sub__", "__truediv__", "__xor__",
)  # fmt: skip
"""Methods that Python looks for in the class. Those that the program's class defines are forwarded."""


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
    """The base of the stand-ins for instances. None is made by a call: that makes one of the program's."""

    __slots__ = ("_evalkit_number",)
    _evalkit_number: int

    def __getattr__(self, name: str) -> Any:
        return _attribute(type(self)._ask, self, name)

    def __setattr__(self, name: str, value: object) -> None:
        type(self)._ask("set", self, name, value)

    def __delattr__(self, name: str) -> None:
        type(self)._ask("delete", self, name)

    def __eq__(self, other: object) -> bool:
        """Whether they are one; or the program says so and what they are made of is equal too.

        An `__eq__` that always says True is not enough. But both are the program's, and so is what they say
        of themselves: what has to be certain is compared as plain data.
        """
        if not isinstance(other, Instance) or type(self)._ask != type(other)._ask:
            return False
        if self._evalkit_number == other._evalkit_number:
            return True
        return type(self)._comparable and type(self) is type(other) and _alike(type(self), self, other)

    def __hash__(self) -> int:
        return hash(type(self))  # equal ones have to have equal ones, and cannot be told apart here


class Classes:
    """The stand-ins for one program's classes, and those for its instances that have been seen."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self.kinds: list[StandInClass | None] = []
        self._seen: dict[int, Instance] = {}

    def add(self, name: str, specials: object) -> StandInClass | None:
        """The next class. `specials`: what the program says that it defines; None for no class."""
        kind: StandInClass | None = None
        if isinstance(specials, list):
            methods = {special: _special(special) for special in SPECIAL if special in specials}
            comparable = methods.pop("__eq__", None) is not None
            inside = {"__slots__": (), "_ask": staticmethod(self._ask), "_number": len(self.kinds)}
            kind = StandInClass(name, (Instance,), {**inside, "_comparable": comparable, **methods})
        self.kinds.append(kind)
        return kind

    def reference(self, value: object) -> list[Any] | None:
        """How a stand-in is written; None for anything else."""
        if isinstance(value, Instance):
            return ["x", value._evalkit_number, type(value)._number]
        if isinstance(value, StandInClass):
            return ["x", value._number, value._number]
        return None

    def find(self, number: Any, kind: Any) -> StandInClass | Instance:
        """The stand-in that is meant. Raises `BadData`."""
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
"""Pairs on the way to what is compared now: objects may hold each other."""


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
    """In the program: which of `SPECIAL` each class defines, itself or by a base; None for what is none."""
    return [
        [name for name in SPECIAL if getattr(kind, name, None) is not getattr(object, name, None)]
        if isinstance(kind, type)
        else None
        for kind in classes
    ]
