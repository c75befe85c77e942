"""Plain data there and back; and what comes of messages that nobody honest writes."""

from __future__ import annotations

import collections
import contextlib
import enum
import json
import math
import random
import types
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.sandbox.codec import BadData, Decoder, Encoder, Opaque, fault, remade


def sent(value: object) -> Any:
    return Decoder().value(Encoder().message(value))


ATOMS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters())
    | st.binary()
    | st.complex_numbers(allow_nan=False)
    | st.fractions()
    | st.decimals(allow_nan=False)
)
HASHABLE = st.recursive(ATOMS, lambda inner: st.tuples(inner, inner) | st.frozensets(inner), max_leaves=5)
VALUES = st.recursive(
    HASHABLE,
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner)
        | st.dictionaries(HASHABLE, inner)
        | st.sets(HASHABLE)
        | st.lists(inner).map(collections.deque)
        | st.binary().map(bytearray)
    ),
    max_leaves=20,
)


def shape(value: Any) -> Any:
    """The value with its types, for `1 == True == 1.0`; sets as they come."""
    kind = type(value)
    if kind is dict:
        return kind, [(shape(key), shape(item)) for key, item in value.items()]
    if kind in (set, frozenset):
        return kind, sorted(repr(shape(item)) for item in value)
    if kind in (list, tuple, collections.deque):
        return kind, [shape(item) for item in value]
    return kind, hex(value) if kind is int else repr(value)


@pytest.mark.slow
@given(VALUES)
def test_values_arrive_as_they_left(value: object) -> None:
    assert shape(sent(value)) == shape(value)


@pytest.mark.parametrize(
    "value",
    [
        -0.0,
        math.inf,
        -math.inf,
        5e-324,
        1e308,
        0.1,
        2**63,
        -(2**63),
        2**63 - 1,
        10**5000,
        -(10**5000),
        True,
        "",
        "\x00",
        "\ud800",
        chr(0xD83D) + chr(0xDE00),
        "😀",
        "\udc00\ud800",
        "é" * 1000,
        b"",
        b"\xff\x00",
        (),
        [],
        {},
        set(),
        frozenset(),
        ((),),
        {(): []},
        range(0),
        range(10**30, 0, -7),
        Decimal("1.10"),
        Decimal("-0"),
        Decimal("Infinity"),
        Fraction(-1, 3),
        1j,
        complex(-0.0, math.inf),
        [1, True, 1.0],
        {1: 1, "1": 2},
    ],
    ids=lambda value: type(value).__name__,
)
def test_awkward_values(value: object) -> None:
    assert shape(sent(value)) == shape(value)


def test_not_a_number() -> None:
    assert shape([sent(value) for value in (1, 1.0, True)]) == shape([1, 1.0, True])
    assert math.isnan(sent(math.nan))
    assert sent(Decimal("NaN")).is_nan()


class Lies:
    """Comparisons that all say yes."""

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = lambda *_: True

    def __iter__(self) -> Iterator[Any]:
        return iter([0])

    def __index__(self) -> int:
        return 0

    __int__ = __index__

    def __str__(self) -> str:
        return "0"

    __repr__ = __str__


class LyingInt(Lies, int): ...


class LyingFloat(Lies, float): ...


class LyingText(Lies, str): ...


class LyingList(Lies, list[Any]): ...


class LyingTuple(Lies, tuple[Any, ...]): ...


class LyingSet(Lies, set[Any]): ...


class LyingDict(Lies, dict[Any, Any]):
    def items(self) -> Any:
        return [(0, 0)]


class Color(enum.IntEnum):
    RED = 3


Pair = collections.namedtuple("Pair", "x y")


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (LyingInt(7), 7),
        (LyingFloat(1.5), 1.5),
        (LyingText("a"), "a"),
        (LyingList([1, 2]), [1, 2]),
        (LyingTuple((1, 2)), (1, 2)),
        (LyingSet({1, 2}), {1, 2}),
        (LyingDict({1: 2}), {1: 2}),
        (Color.RED, 3),
        (Pair(1, 2), (1, 2)),
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        (collections.OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (collections.defaultdict(list, a=[1]), {"a": [1]}),
        (np.int8(3), 3),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.float64(0.1), 0.1),
        (np.float32(0.5), 0.5),
        (np.bool_(True), 1),
        (np.str_("a"), "a"),
        (np.complex64(1j), 1j),
        (np.array(5), 5),
        ([np.int64(1)], [1]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_subclasses_arrive_as_their_plain_base(value: object, plain: object) -> None:
    assert shape(sent(value)) == shape(plain)


@pytest.mark.parametrize(
    "value",
    [
        object(),
        Lies(),
        len,
        int,
        ...,
        NotImplemented,
        lambda: 0,
        random.Random(0),
        np.array(["a"]),
        np.array([object()]),
        np.datetime64("2020-01-01"),
        memoryview(b"a"),
        json,
    ],
    ids=lambda value: type(value).__name__,
)
def test_anything_else_is_equal_to_nothing(value: object) -> None:
    for found in (sent(value), sent([value])[0], sent((1, value))[1], sent({1: value})[1]):
        assert isinstance(found, Opaque)
        assert not found == found  # noqa: SIM201
        assert found != found
        assert not found == value  # noqa: SIM201
        assert not value == found or isinstance(value, Lies)  # noqa: SIM201
        assert found not in ([], [1], {1: 2})
        with pytest.raises(TypeError):
            found < 1  # type: ignore[operator]  # noqa: B015
        with pytest.raises(TypeError):
            iter(found)  # type: ignore[call-overload]


def test_arrays_compare_as_arrays_do() -> None:
    found = sent(np.arange(6).reshape(2, 3))
    assert isinstance(found, np.ndarray)
    assert (found.shape, found.dtype, found.tolist()) == ((2, 3), np.dtype("int64"), [[0, 1, 2], [3, 4, 5]])
    with pytest.raises(ValueError, match="truth value"):
        bool(sent(np.array([1, 2])) == [1, 2])


def test_iterators_arrive_drained() -> None:
    def two() -> Iterator[int]:
        yield 1
        yield 2

    for value in (two(), iter([1, 2]), map(int, "12"), (n for n in (1, 2)), reversed([2, 1])):
        found = sent(value)
        assert found != [1, 2]
        assert list(found) == [1, 2]
        assert list(found) == []
    assert list(sent(zip("a", [1], strict=True))) == [("a", 1)]


def test_an_iterator_that_fails_does_so_at_the_same_place() -> None:
    def one() -> Iterator[int]:
        yield 1
        raise KeyError("x")

    found = sent(one())
    assert next(found) == 1
    with pytest.raises(KeyError, match="x"):
        next(found)


def test_an_iterator_without_end() -> None:
    import itertools

    found = sent(itertools.count())
    assert [next(found) for _ in range(1000)] == list(range(1000))
    with pytest.raises(RuntimeError, match="more than 65536 items"):
        list(found)


def test_variants_of_a_dict() -> None:
    variant = sent({"a": 1, "b": 2}.keys())
    assert variant == {"a", "b"}
    assert variant != ["a", "b"]
    assert sent({"a": [1]}.items()) == {"a": [1]}.items()
    assert sorted(sent({"a": 1, "b": 2}.values())) == [1, 2]


def test_shared_and_cyclic_objects_keep_their_shape() -> None:
    inner = [1]
    found = sent([inner, (inner, {2: inner})])
    assert found[0] is found[1][0] is found[1][1][2]
    inner.append(inner)  # type: ignore[arg-type]
    found = sent(inner)
    assert found[1] is found


@pytest.mark.slow
def test_nesting_of_lists_has_no_end_and_that_of_tuples_ends_somewhere() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    found = sent(deep)
    for _ in range(100_000):
        (found,) = found
    assert found == []
    for depth in (100, 5000):
        nested: Any = ()
        for _ in range(depth):
            nested = (nested,)
        found, levels = sent(nested), 0
        while isinstance(found, tuple) and found:
            (found,), levels = found, levels + 1
        assert isinstance(found, Opaque) or levels == depth
        assert levels == 100 or depth == 5000


# -- what a call changes -------------------------------------------------------------------------------


def called(change: Any, *arguments: Any) -> Any:
    """Sends arguments, has `change` called with what arrives, and takes its answer back."""
    writer, reader = Encoder(), Decoder()
    theirs = reader.value(writer.message(arguments))
    answer = change(*theirs)
    return Decoder(writer.objects).value(Encoder(reader.objects).message(answer, reader.contents))


def test_changed_arguments_are_changed_here_too() -> None:
    inner = [3, 1, 2]
    outer = [inner, [0]]
    assert called(lambda a: a[0].sort(), outer) is None
    assert outer == [[1, 2, 3], [0]]
    assert outer[0] is inner

    assert called(lambda a: a.reverse(), outer) is None
    assert outer == [[0], [1, 2, 3]]
    assert outer[1] is inner

    for value, change, after in [
        ({1: 2}, lambda d: d.update({3: [4]}), {1: 2, 3: [4]}),
        ({1: 2}, lambda d: d.clear(), {}),
        ({1, 2}, lambda s: s.add(3), {1, 2, 3}),
        (bytearray(b"a"), lambda b: b.extend(b"b"), bytearray(b"ab")),
        (collections.deque([1]), lambda d: d.append(2), collections.deque([1, 2])),
        ([1], lambda v: v.__setitem__(0, True), [True]),
        ([1], lambda v: v.append(v), None),
    ]:
        called(change, value)
        assert after is None or shape(value) == shape(after)
    assert value[1] is value  # type: ignore[index]


def test_an_argument_that_comes_back_is_the_same_object() -> None:
    a, b = [1], {2: [3]}
    assert called(lambda a, b: a, a, b) is a
    assert called(lambda a, b: (b, a), a, b)[0] is b
    assert called(lambda a, b: b[2], a, b) is b[2]
    fresh = called(lambda a, b: list(a), a, b)
    assert fresh == a
    assert fresh is not a


def test_an_argument_in_two_places_is_one_object_there() -> None:
    a = [1]
    called(lambda x, y: x.append(2), a, a)
    assert a == [1, 2]
    assert called(lambda x, y: x is y, a, a) is True
    assert called(lambda x, y: x is y, a, [1, 2]) is False


def test_what_was_not_changed_is_not_sent() -> None:
    writer, reader = Encoder(), Decoder()
    reader.value(writer.message(([1, [2]], {3: 4})))
    message = Encoder(reader.objects).message(0, reader.contents)
    assert json.loads(message) == [[None, None, None], 0]


# -- exceptions ----------------------------------------------------------------------------------------


class Own(KeyError):
    pass


class Silent(Exception):
    def __str__(self) -> str:
        raise ValueError


@pytest.mark.parametrize(
    ("error", "base", "shown"),
    [
        (ValueError("x"), ValueError, "ValueError: x"),
        (KeyError("x"), LookupError, "KeyError: 'x'"),
        (Own("x"), KeyError, "Own: 'x'"),
        (ZeroDivisionError(), ArithmeticError, "ZeroDivisionError: "),
        (UnicodeDecodeError("utf-8", b"a", 0, 1, "no"), ValueError, "UnicodeDecodeError: 'utf-8' codec"),
        (FileNotFoundError(2, "no"), OSError, "FileNotFoundError: [Errno 2] no"),
        (AssertionError("x"), AssertionError, "AssertionError: x"),
        (ExceptionGroup("x", [ValueError()]), Exception, "ExceptionGroup: x"),
        (SystemExit(0), RuntimeError, "SystemExit: 0"),
        (KeyboardInterrupt(), RuntimeError, "KeyboardInterrupt: "),
        (GeneratorExit(), RuntimeError, "GeneratorExit: "),
        (StopIteration(1), Exception, "StopIteration: 1"),
        (StopAsyncIteration(), Exception, "StopAsyncIteration: "),
        (Silent(), Exception, "Silent: "),
        (ValueError("x" * 10_000), ValueError, "ValueError: " + "x" * 1000),
    ],
    ids=lambda value: type(value).__name__,
)
def test_exceptions_cross_by_name(error: BaseException, base: type, shown: str) -> None:
    found = remade(sent(fault(error)))
    assert isinstance(found, base)
    assert isinstance(found, Exception)
    assert not isinstance(found, StopIteration | StopAsyncIteration)
    assert f"{type(found).__name__}: {found}".startswith(shown)


@pytest.mark.parametrize(
    "what",
    [
        None,
        1,
        "ValueError",
        [],
        [[]],
        [[], "x", 0],
        [["a\0b"], "x", 0],
        [[1], "x", 0],
        [["\ud800"], "x", 0],
        [[[]], "x", 0],
        [["ValueError"], "x"],
        [["ValueError"], "x", 1, 2],
        {"a": 1},
        [None, None],
    ],
    ids=repr,
)
def test_what_is_no_exception(what: object) -> None:
    with pytest.raises(BadData):
        remade(what)


def test_a_name_that_is_no_exception_s() -> None:
    for name in ("print", "int", "__import__", "BaseException", "nothing", "SystemExit"):
        found = remade([[name], "x", 0])
        assert isinstance(found, RuntimeError)
        assert str(found) == "x"
    assert str(remade([["ValueError"], 5, 0])) == "5"


# -- messages that nobody honest writes ----------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xff",
        b"null",
        b"[]",
        b"[[]]",
        b"[[],1,2]",
        b"[[],1] [[],1]",
        b"[[],1]x",
        b"{}",
        b"[{},1]",
        b"[[],{}]",
        b'["ab",1]',
        b"[1,1]",
        b"[[1],1]",
        b"[[[]],1]",
        b'[[["no"]],1]',
        b'[[["list"',
        b'[[],["@",0]]',
        b'[[],["@",1e400]]',
        b'[[],["@","x"]]',
        b'[[],["@"]]',
        b'[[],["no",1]]',
        b"[[],[]]",
        b"[[],[[]]]",
        b'[[],["i","x"]]',
        b'[[],["i",5]]',
        b'[[],["b","0"]]',
        b'[[],["s","ff"]]',
        b'[[],["c","x"]]',
        b'[[],["D","x"]]',
        b'[[],["q",1,0]]',
        b'[[],["r",1,2,0]]',
        b'[[],["r"]]',
        b'[[],["F",["@",0]]]',
        b'[[["list"]],["F",["@",0]]]',
        b'[[["dict",1]],["@",0]]',
        b'[[["set",["@",0]]],["@",0]]',
        b'[[["dict",["@",0],1]],["@",0]]',
        b'[[["bytearray","x"]],["@",0]]',
        b'[[["bytearray"]],["@",0]]',
        b'[[],["I"]]',
        b'[[],["T",1]]',
        b'[[],["a","|O","x",[]]]',
        b'[[],["a","<i8",[5],[1]]]',
        b'[[],["a","<i99",[1],[1]]]',
        b'[[],["a","i8,O",[1],[1]]]',
        b'[[],["a","<i8",[1],["x"]]]',
        b'[[],["o"]]',
        b'[[],["o","a","b"]]',
        b"[" * 100_000,
        b"[[]," + b"[" * 100_000 + b"]" * 100_000 + b"]",
        b"[[]," + b'["t",' * 3000 + b"1" + b"]" * 3001,
        b"[[]," + b"9" * 10_000 + b"]",
    ],
    ids=lambda message: repr(message[:24]),
)
def test_bad_messages(message: bytes) -> None:
    with pytest.raises(BadData):
        Decoder().value(message)


@pytest.mark.parametrize(
    "message",
    [
        b'[[["dict",1,2]],0]',
        b'[[["set",1]],0]',
        b'[[["bytearray","00"]],0]',
        b'[[["deque",1]],0]',
        b"[[5],0]",
    ],
)
def test_an_answer_cannot_make_another_kind_of_an_argument(message: bytes) -> None:
    argument = [1]
    with pytest.raises(BadData):
        Decoder([argument]).value(message)
    assert argument == [1]


@given(st.binary())
def test_any_bytes_are_a_value_or_bad_data(message: bytes) -> None:
    for text in (message, b"[[]," + message + b"]", b"[[[" + message + b"]],1]"):
        with contextlib.suppress(BadData):
            Decoder([[1]]).value(text)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([*"@tFrqKVTIaoisbcD", "list", "dict", "set"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.slow
@given(JSON, JSON)
def test_any_json_is_a_value_or_bad_data(contents: object, tree: object) -> None:
    with contextlib.suppress(BadData):
        Decoder([[1], {2: 3}]).value(json.dumps([contents, tree]).encode())


class Point(NamedTuple):
    x: int
    y: int


WRAPPED = {
    "UserDict": (collections.UserDict({"a": [1]}), {"a": [1]}),
    "ChainMap": (collections.ChainMap({"a": 1}, {"a": 2, "b": 3}), {"a": 1, "b": 3}),
    "MappingProxyType": (types.MappingProxyType({"a": 1}), {"a": 1}),
    "UserList": (collections.UserList([1, [2]]), [1, [2]]),
    "UserString": (collections.UserString("abc"), "abc"),
    "OrderedDict": (collections.OrderedDict(a=1), {"a": 1}),
    "Counter": (collections.Counter("aab"), {"a": 2, "b": 1}),
    "defaultdict": (collections.defaultdict(int, a=1), {"a": 1}),
    "deque": (collections.deque([1, 2]), collections.deque([1, 2])),
    "namedtuple": (Point(1, 2), (1, 2)),
    "inside a list": ([collections.UserDict(a=collections.UserList([1]))], [{"a": [1]}]),
}


@pytest.mark.parametrize(("value", "plain"), WRAPPED.values(), ids=WRAPPED.keys())
def test_the_library_s_containers_arrive_by_value(value: object, plain: object) -> None:
    assert sent(value) == plain


def test_a_wrapper_that_cannot_be_read_is_opaque() -> None:
    class Broken(collections.UserDict[str, int]):
        def __getattribute__(self, name: str) -> Any:
            raise ValueError(name) if name == "data" else KeyError(name)

    assert isinstance(sent(Broken.__new__(Broken)), Opaque)
