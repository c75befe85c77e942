"""Plain data between a program and its checker: values, and what a call changed in its arguments.

It does not use pickle, because reading a pickle runs code. A message is `[contents, value]` in JSON. None,
bool, float, small int and str are written as they are; everything else is an array that starts with its
kind, such as `["t", 1, 2]` for a tuple. Mutable objects (lists, dicts, sets, bytearrays and deques) are
never written inside a value: `["@", k]` refers to item k of the contents. So shared and cyclic objects keep
their shape, nested objects need no recursion, and after a call the program can send back the contents that
it changed, which the checker copies into its own objects.

Anything that is not plain data arrives as an `Opaque`, which is equal to nothing, so an object gains nothing
from an `__eq__` that always returns True. Instances of subclasses arrive as their plain base class, and the
standard library's wrappers of plain data (UserDict, ChainMap, MappingProxyType, UserList, UserString) as
the data that they wrap, to which they are equal. Iterators are consumed, and arrive as their items.
"""

from __future__ import annotations

import builtins
import json
import re
import sys
from collections import ChainMap, UserDict, UserList, UserString, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import islice
from types import MappingProxyType
from typing import Any

_LONGEST_ITERATOR = 1 << 16
"""The most items taken from an iterator; the received iterator raises after them if there were more."""
_LAST_LINE = 1 << 31
_SMALL = 1 << 63
"""Greater integers are written in hexadecimal: decimal digits are slow, and Python allows at most 4300."""

_CHANGING: dict[str, Any] = {base.__name__: base for base in (list, dict, set, bytearray, deque)}
_BASES = frozenset(_CHANGING.values())
_NUMBERS = re.compile(r"[<>|=]?[biufc]\d{1,2}")
"""numpy's names of element types that are numbers."""

_dumps = json.JSONEncoder(check_circular=False, separators=(",", ":")).encode
_read = json.JSONDecoder().raw_decode


Refer = Callable[[object], list[Any] | None]
Find = Callable[[Any, Any], Any]


class BadData(ValueError):
    """What arrived is not a message."""


class Opaque:
    """Something that is not plain data. It is equal to nothing, not even to itself."""

    __hash__ = object.__hash__

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __eq__(self, other: object) -> bool:
        return False

    def __ne__(self, other: object) -> bool:
        return True

    def __repr__(self) -> str:
        return f"<{self.kind}>"


PROGRAM = "<program>"
"""The file name of the program in a traceback."""


def fault(error: BaseException) -> list[Any]:
    """An exception as a value: the names of its class and of its bases, its text, its line in the program.

    The line is 0 if nothing of the program is in the traceback.
    """
    try:
        text = str(error)[:1000]
    except BaseException:  # noqa: BLE001 — it is the program's own __str__
        text = ""
    return [[kind.__name__ for kind in type(error).__mro__], text, _line(error)]


def _line(error: BaseException) -> int:
    """The innermost line of the program at which `error` was raised."""
    line, trace = 0, error.__traceback__
    if isinstance(error, SyntaxError) and error.filename == PROGRAM:
        line = error.lineno or 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == PROGRAM:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


class Encoder:
    """Writes one message. `known`: objects that the other side has under the same numbers.

    `refer`: returns `["x", number, class]` for an object that both sides know by a number, else None.
    """

    __slots__ = ("_numbers", "_refer", "objects")

    def __init__(self, known: Sequence[Any] = (), refer: Refer | None = None) -> None:
        self._refer = refer
        self.objects: list[Any] = list(known)
        self._numbers = {id(thing): number for number, thing in enumerate(known)}

    def message(self, value: object, before: Sequence[Any] = ()) -> bytes:
        """The message of `value` and of everything that can be reached from it.

        A known object is written only if its content differs from the one in `before`.
        """
        tree = self.tree(value)
        contents: list[Any] = [self._content(thing) for thing in self.objects]  # the list grows meanwhile
        for number, content in enumerate(before):
            if repr(contents[number]) == repr(content):  # True == 1, but they are different values
                contents[number] = None
        return _dumps([contents, tree]).encode()

    def tree(self, value: Any) -> Any:
        kind = type(value)
        if kind is str:
            return value if value.isascii() else _text(value)
        if value is None or kind is bool or kind is float:
            return value
        if kind is int:
            return value if -_SMALL < value < _SMALL else ["i", hex(value)]
        if kind in _BASES:
            return self.reference(value)
        if self._refer is not None and (known := self._refer(value)) is not None:
            return known
        try:
            write = _WRITERS.get(kind) or _inherited(kind)
            return write(self, value)
        except RecursionError:
            return _opaque(self, value)

    def values(self, items: Iterable[Any]) -> list[Any]:
        tree = self.tree
        return [
            item if item is None or (kind := type(item)) is bool or kind is float else tree(item)
            for item in items
        ]

    def reference(self, thing: object) -> list[Any]:
        number = self._numbers.get(id(thing))
        if number is None:
            number = self._numbers[id(thing)] = len(self.objects)
            self.objects.append(thing)
        return ["@", number]

    def _content(self, thing: Any) -> list[Any]:
        # Uses the base class's methods, because the program's subclass may have replaced them.
        base: Any = next(base for base in type(thing).__mro__ if base in _BASES)
        if base is bytearray:
            return ["bytearray", bytearray.hex(thing)]
        if base is dict:
            return ["dict", *self.values(part for pair in dict.items(thing) for part in pair)]
        return [base.__name__, *self.values(base.__iter__(thing))]


class Decoder:
    """Reads one message. `known`: this side's objects, which the message may refer to and change.

    `find`: returns the object for the number and the class of an `["x", number, class]`.
    """

    __slots__ = ("contents", "find", "objects")

    def __init__(self, known: Sequence[Any] = (), find: Find | None = None) -> None:
        self.find = find
        self.objects: list[Any] = list(known)
        self.contents: list[Any] = []

    def value(self, message: bytes) -> Any:
        """The value of a message. Raises `BadData` for anything that `Encoder` does not write."""
        try:
            text = message.decode("ascii")
            (contents, tree), end = _read(text)
            if end != len(text):
                raise BadData("more than one message")
            self.contents = contents
            old = len(self.objects)
            self.objects += [_CHANGING[content[0]]() for content in contents[old:]]
            for number, content in enumerate(contents):
                if content is not None:
                    self._fill(self.objects[number], content)
            return self._value(tree)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 — whatever the program sent
            raise BadData(f"not plain data: {type(error).__name__}") from None

    def _fill(self, thing: Any, content: list[Any]) -> None:
        name, *parts = content
        kind = _CHANGING[name]
        if not isinstance(thing, kind):
            raise BadData("another kind of object")
        if name == "bytearray":
            thing[:] = bytes.fromhex(*parts)
            return
        values = [self._value(part) for part in parts]
        if name == "list":
            thing[:] = values
            return
        thing.clear()
        if name == "dict":
            thing.update(zip(values[::2], values[1::2], strict=True))
        elif name == "set":
            thing.update(values)
        else:
            thing.extend(values)

    def _value(self, tree: Any) -> Any:
        if not isinstance(tree, list):
            if isinstance(tree, dict):
                raise BadData("a JSON object")
            return tree
        name, *parts = tree
        if name == "@":
            return self.objects[parts[0]]
        if name in _COLLECTIONS:
            return _COLLECTIONS[name]([self._value(part) for part in parts])
        if name == "x" and self.find is not None:
            return self.find(*parts)
        if name == "I":
            return _again([self._value(part) for part in parts[1]], parts[0])
        if name == "a":
            return _array(parts[0], parts[1], [self._value(part) for part in parts[2]])
        return _ATOMS[name](*parts)


def _again(items: list[Any], error: Any) -> Iterator[Any]:
    yield from items
    if error is not None:
        raise remade(error)


def remade(error: Any) -> Exception:
    """The exception that `fault` described: its class has the same name and the nearest builtin base class.

    Exceptions that control Python itself (SystemExit, KeyboardInterrupt, StopIteration …) become an ordinary
    exception of that name, because they could end the checker or one of its loops. Its `evalkit_line` is the
    line that the program states. Raises `BadData` if `error` does not describe an exception.
    """
    try:
        names, text, line = error
        bases = [base for name in names if isinstance(base := vars(builtins).get(name), type)]
        base = next(
            (base for base in bases if issubclass(base, Exception) and not issubclass(base, _STEERING)),
            RuntimeError,
        )
        content = {"__init__": lambda self: None, "__str__": lambda self: str(text)}
        known = line if type(line) is int and 0 < line <= _LAST_LINE else 0
        kind = type(names[0], (base,), {**content, "evalkit_line": known})
        exception: Exception = kind()
    except Exception as error:  # noqa: BLE001 — whatever the program sent
        raise BadData(f"not an exception: {type(error).__name__}") from None
    return exception


# -- the kinds of value --------------------------------------------------------------------------------

_Write = Callable[[Encoder, Any], Any]
_STEERING = (StopIteration, StopAsyncIteration, BaseExceptionGroup)


def _inherited(kind: type) -> _Write:
    """The function that writes values of a class that is not in the table."""
    for base in kind.__mro__:
        if base in _BASES:
            return Encoder.reference
        if base in _WRITERS:
            return _WRITERS[base]
    if kind.__module__ == "numpy" and "numpy" in sys.modules:
        return _numpy
    return _iterator if hasattr(kind, "__next__") else _opaque


def _opaque(writer: Encoder, value: object) -> list[Any]:
    return ["o", type(value).__name__]


def _text(value: str) -> Any:
    try:
        value.encode()
    except UnicodeEncodeError:  # JSON would merge two surrogates into one character
        return ["s", value.encode("utf-8", "surrogatepass").hex()]
    return value


def _iterator(writer: Encoder, value: Iterator[Any]) -> list[Any]:
    items: list[Any] = []
    error: Any = None
    try:
        items.extend(islice(value, _LONGEST_ITERATOR))
        if len(items) == _LONGEST_ITERATOR:
            error = [["RuntimeError"], f"an iterator of more than {_LONGEST_ITERATOR} items", 0]
    except BaseException as raised:  # noqa: BLE001 — raised by the checker if it reads that far
        error = fault(raised)
    return ["I", error, writer.values(items)]


def _unwrapped(read: Callable[[Any], Any]) -> _Write:
    """The function that writes a wrapper as the data that `read` returns; as `Opaque` if `read` fails."""

    def write(writer: Encoder, value: Any) -> Any:
        try:
            plain = read(value)
        except Exception:  # noqa: BLE001 — raised by the program's subclass
            return _opaque(writer, value)
        return writer.tree(plain)

    return write


def _numpy(writer: Encoder, value: Any) -> Any:
    """A scalar as Python's number; an array as an array, because its `==` differs from a list's."""
    import numpy

    if isinstance(value, numpy.ndarray) and value.ndim and _NUMBERS.fullmatch(value.dtype.str):
        return ["a", value.dtype.str, value.shape, writer.values(value.ravel().tolist())]
    if not isinstance(value, numpy.ndarray | numpy.generic) or not _NUMBERS.fullmatch(value.dtype.str):
        return _opaque(writer, value)
    if value.dtype.kind == "b":
        return int(value)  # equal to a bool, but not `True` itself, and neither is numpy's
    return writer.tree(
        complex(value)
        if value.dtype.kind == "c"
        else value.tolist()
        if value.dtype.kind in "iu"
        else float(value)
    )


def _array(kind: str, shape: list[int], items: list[Any]) -> Any:
    import numpy

    if not _NUMBERS.fullmatch(kind):
        raise BadData("an array of another kind")
    return numpy.array(items, kind).reshape(shape)


_WRITERS: dict[type, _Write] = {
    int: lambda writer, value: writer.tree(int.__index__(value)),
    float: lambda writer, value: float.__float__(value),
    str: lambda writer, value: _text(str.__str__(value)),
    bytes: lambda writer, value: ["b", bytes.hex(value)],
    complex: lambda writer, value: ["c", float(value.real), float(value.imag)],
    tuple: lambda writer, value: ["t", *writer.values(tuple.__iter__(value))],
    frozenset: lambda writer, value: ["F", *writer.values(frozenset.__iter__(value))],
    range: lambda writer, value: ["r", *writer.values((value.start, value.stop, value.step))],
    type({}.keys()): lambda writer, value: ["K", *writer.values(value)],
    type({}.values()): lambda writer, value: ["V", *writer.values(value)],
    type({}.items()): lambda writer, value: ["T", *writer.values(value)],
    Fraction: lambda writer, value: ["q", *writer.values((value.numerator, value.denominator))],
    Decimal: lambda writer, value: ["D", Decimal.__str__(value)],
    UserDict: _unwrapped(lambda value: dict(value.data)),
    ChainMap: _unwrapped(dict),
    MappingProxyType: _unwrapped(dict),
    UserList: _unwrapped(lambda value: list(value.data)),
    UserString: _unwrapped(lambda value: str(value.data)),
    Opaque: lambda writer, value: ["o", value.kind],
}
_COLLECTIONS: dict[str, Callable[[list[Any]], Any]] = {
    "t": tuple,
    "F": frozenset,
    "r": lambda values: range(*values),
    "K": lambda values: dict.fromkeys(values).keys(),
    "V": lambda values: dict(enumerate(values)).values(),
    "T": lambda values: dict(values).items(),
    "q": lambda values: Fraction(*values),
}
_ATOMS: dict[str, Callable[..., Any]] = {
    "o": Opaque,
    "i": lambda digits: int(digits, 16),
    "s": lambda units: bytes.fromhex(units).decode("utf-8", "surrogatepass"),
    "b": bytes.fromhex,
    "c": complex,
    "D": Decimal,
}
