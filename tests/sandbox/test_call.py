"""Functions of programs called on many arguments: what comes back, and what never does."""

from __future__ import annotations

import asyncio
import math
import textwrap
from collections import deque
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from evalkit.sandbox import Limits, Opaque, Raised, Sandbox, Value, call

ECHO = "def f(x): return x"
CYCLE: list[Any] = [1]
CYCLE.append(CYCLE)


def called(source: str, *arguments: tuple[Value, ...], limits: Limits | None = None) -> list[Any]:
    return asyncio.run(call(textwrap.dedent(source), "f", arguments, limits=limits or Limits()))


@pytest.mark.parametrize(
    "value",
    [
        None, True, 0, -(10**400), 1 << 63, 0.1, math.inf, -math.inf, -0.0, 1e-320, 1 + 2j,
        "", "é𝔘\0", "\ud800", b"\0\xff", [1, "a", [2.0]], (1, (2,), []), [(1,)], {1, 2},
        frozenset({(1, 2)}), {}, {1: 2, "1": 3, (1, 2): [4], None: 5, 2.5: 6},
        range(3, 30, 4), Fraction(1, 3), Decimal("1.10"), deque([1, 2]), bytearray(b"x"), [[[[[]]]]],
    ],
    ids=repr,
)  # fmt: skip
def test_plain_data_comes_back_as_it_went(value: Value) -> None:
    (found,) = called(ECHO, (value,))
    assert found == value
    assert type(found) is type(value)
    assert repr(found) == repr(value)  # as 1 and True, 0.0 and -0.0 are equal


@pytest.mark.slow
def test_not_a_number_cycles_and_arrays() -> None:
    (found,) = called(ECHO, (math.nan,))
    assert math.isnan(found)
    (found,) = called(ECHO, (CYCLE,))
    assert found[0] == 1
    assert found[1] is found
    (found,) = called(ECHO, (np.arange(6.0).reshape(2, 3),))
    assert found.shape == (2, 3)
    assert (found == np.arange(6.0).reshape(2, 3)).all()
    assert called("import numpy\ndef f(): return numpy.float64(0.5), numpy.int8(3)", ()) == [(0.5, 3)]
    shared = called("def f():\n    x = []\n    return [x, x]", ())[0]
    assert shared[0] is shared[1]


def test_lists_are_no_tuples_and_order_is_kept() -> None:
    source = "def f(n): return [n, (n,), {'b': 1, 'a': 2}]"
    assert repr(called(source, (1,), (2,))) == "[[1, (1,), {'b': 1, 'a': 2}], [2, (2,), {'b': 1, 'a': 2}]]"


def test_generators_come_drained_with_what_they_raise() -> None:
    (found,) = called("def f():\n    yield 1\n    yield 2\n    raise KeyError('x')", ())
    assert isinstance(found, Iterator)
    assert next(found) == 1
    assert next(found) == 2
    with pytest.raises(KeyError):
        next(found)


def test_objects_of_own_classes_are_equal_to_nothing() -> None:
    lie = "__eq__ = __lt__ = lambda *_: True; __ne__ = lambda *_: False; __hash__ = lambda _: 0"
    source = f"class Own: {lie}\nclass Number(int): {lie}\ndef f(n): return Number(7) if n else Own()"
    own, number = called(source, (0,), (1,))
    assert isinstance(own, Opaque)
    assert own.kind == "Own"
    assert own != 5
    assert own != own
    assert type(number) is int
    assert number != 8
    assert number == 7
    (inside,) = called(f"class Own: {lie}\ndef f(): return [Own()]", ())
    assert inside != [5]


def test_exceptions_are_values() -> None:
    source = """
        class Own(KeyError):
            pass
        class Mute(Exception):
            def __str__(self): raise SystemExit
        def f(n):
            if n == 0: raise Own("a", n)
            if n == 1: raise SystemExit(3)
            if n == 2: raise StopIteration
            if n == 3: return f(n)
            if n == 4: raise Mute
            if n == 5: raise ValueError("é" * 5000)
            return n
    """
    found = called(source, *((n,) for n in range(7)))
    assert found[:3] == [Raised("Own", "('a', 0)"), Raised("SystemExit", "3"), Raised("StopIteration", "")]
    assert found[3].type == "RecursionError"
    assert found[4:] == [Raised("Mute", ""), Raised("ValueError", "é" * 1000), 6]
    assert called(ECHO, (), (1,), (1, 2))[1] == 1
    assert [one.type for one in called(ECHO, (), (1, 2))] == ["TypeError"] * 2


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("1 / 0", Raised("ZeroDivisionError", "division by zero")),
        ("x = (", Raised("SyntaxError", "'(' was never closed (<program>, line 1)")),
        ("f = 3", Raised("TypeError", "'int' object is not callable")),
        ("g = 3", Raised("NameError", "name 'f' is not defined")),
        ("import sys; print('passed'); sys.exit(0)", Raised("SystemExit", "0")),
        ("import os; os._exit(0)", Raised("Ended", "exit status 0")),
        ("import os; os.abort()", Raised("Ended", "signal 11")),
    ],
)
def test_a_program_without_the_function(source: str, expected: Raised) -> None:
    assert called(source, (1,), (2,)) == [expected] * 2


def test_no_arguments_no_values() -> None:
    assert called(ECHO) == []


@pytest.mark.slow
def test_what_was_there_before_the_end_is_kept() -> None:
    source = """
        import os, time
        def f(x):
            while x == "spin": pass
            if x == "sleep": time.sleep(60)
            if x == "leave": os._exit(7)
            return x
    """
    spun = called(source, (1,), ("spin",), (3,), limits=Limits(cpu_seconds=1))
    assert spun == [1, *[Raised("Timeout", "over 1 s of CPU time")] * 2]
    limits = Limits(wall_seconds=3)
    slept = called(source, (1,), (2,), ("sleep",), limits=limits)
    assert slept == [1, 2, Raised("Timeout", "over 3 s of wall time")]
    assert called(source, ("leave",), (2,), limits=limits) == [Raised("Ended", "exit status 7")] * 2


@pytest.mark.slow
def test_large_results_are_bounded_one_by_one_and_together() -> None:
    source = "def f(n): return 'x' * n"
    alone = called(source, (17 << 20,), (1,))
    assert alone == [Raised("ValueError", "an answer of 17825800 bytes is too long"), "x"]
    many = called(source, *[(1 << 20,)] * 20)
    assert [len(one) for one in many[:15]] == [1 << 20] * 15
    assert many[15:] == [Raised("Ended", "the results take more than 16777216 bytes")] * 5


def test_memory() -> None:
    source = "def f(n): return len(bytearray(n))"
    found = called(source, (1 << 30,), (5,), limits=Limits(memory_megabytes=512))
    assert found == [Raised("MemoryError", ""), 5]


def test_a_program_cannot_write_its_own_results() -> None:
    """It can only answer, and what it answers is what it returned."""
    source = """
        import os, sys
        def is_open(n):
            try: os.fstat(n)
            except OSError: return False
            return True
        (line,) = filter(is_open, range(3, 256))
        def f(x):
            print("passed")
            if x == 0:
                for n in (0, 1, 2): os.write(n, b"v[[],42]")
                return 0
            if x == 1:
                os.write(line, (8).to_bytes(4) + b"v[[],42]")  # its answer, and then another one
                return 0
            os.write(line, b"+" + b"=" * 64)
            os._exit(0)
    """
    assert called(source, (0,)) == [0]
    found = called(source, (0,), (1,), (0,), (0,))
    assert found[:2] == [0, 42]
    assert found[2] == 0  # which it said too early
    assert called(source, (2,))[0].type == "Ended"


def test_many_calls_of_one_program_and_many_programs() -> None:
    assert called("def f(n): return n * n", *((n,) for n in range(2000))) == [n * n for n in range(2000)]

    async def main() -> list[list[Value | Raised]]:
        return await asyncio.gather(*(call(f"def f(): return {n}", "f", [()]) for n in range(20)))

    assert asyncio.run(main()) == [[n] for n in range(20)]


def test_state_lasts_within_a_call_and_no_longer() -> None:
    source = "seen = []\ndef f(x):\n    seen.append(x)\n    return len(seen)"
    assert called(source, (1,), (1,)) == [1, 2]
    assert called(source, (1,)) == [1]


@pytest.mark.slow
def test_nothing_of_one_program_is_found_by_the_next() -> None:
    """In the memory that it is a copy of, where the results of the last one went through."""
    sandbox = Sandbox()
    marker = "kept" + "-by-nobody"
    look = """
        import ctypes, os
        def f(near):
            found = 0
            libc = ctypes.CDLL(None)
            read, write = os.pipe()
            import mmap
            for place in (id(object()), id(libc), ctypes.addressof(ctypes.c_int())):
                start = place & -4096
                for page in range(start - (48 << 20), start + (48 << 20), 4096):
                    if libc.write(write, ctypes.c_void_p(page), 4096) == 4096:
                        found += near in os.read(read, 4096).replace(b"\\0", b"")
            return found
    """

    async def main() -> tuple[list[Value | Raised], list[Value | Raised]]:
        first = await sandbox.call("def f(x): return x * 1000", "f", [(marker,)] * 3)
        return first, await sandbox.call(textwrap.dedent(look), "f", [(b"by-no" + b"body" + b"kept-",)])

    first, second = asyncio.run(main())
    assert first == [marker * 1000] * 3
    assert isinstance(second[0], int)
    assert second[0] <= 3  # its own arguments
    sandbox.close()
