"""The checker and the program on either side of their wire: honest programs under all kinds of tests."""

from __future__ import annotations

import asyncio
import random
import textwrap

import pytest

from evalkit.errors import SandboxError
from evalkit.sandbox import Limits, Outcome, Program, Sandbox, run_programs


def judged(source: str, test: str, *calls: str, given: str = "") -> Outcome:
    program = Program(textwrap.dedent(source), textwrap.dedent(test), calls or ("f",), textwrap.dedent(given))
    (outcome,) = run_programs([program])
    return outcome


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "test"),
    [
        ("def f(x): return x + 1", "assert f(1) == 2"),
        ("def f(x, *, y=1, **more): return x + y + len(more)", "assert f(1, y=2, z=3) == 4 and f(x=1) == 2"),
        ("def f(*x): return x", "assert f() == () and f(1, [2]) == (1, [2])"),
        ("f = lambda x: {x: {x}}", "assert f((1,)) == {(1,): {(1,)}}"),
        ("f = str.upper", "assert f('é') == 'É'"),
        ("class f:\n    def __new__(cls, x): return x", "assert f(5) == 5"),
        ("def f(x): x.append(1)", "a = []\nassert f(a) is None and a == [1]"),
        ("def f(x): x[0].sort()", "a = [3, 1]\nb = [a]\nf(b)\nassert b == [[1, 3]] and b[0] is a"),
        ("def f(x, y): x.append(y)", "a = []\nf(a, a)\nassert a[0] is a"),
        ("def f(x): return x", "a = [1]\nassert f(a) is a"),
        (
            "def f(x): x.clear(); raise KeyError(5)",
            "a = {1: 2}\ntry: f(a)\nexcept KeyError as e: assert str(e) == '5'\nelse: assert 0\n"
            "assert a == {}",
        ),
        (
            "class Own(ValueError): pass\ndef f(): raise Own('x')",
            "try: f()\nexcept ValueError as e: assert type(e).__name__ == 'Own'",
        ),
        (
            "def f(): raise StopIteration",
            "try: list(map(lambda _: f(), [1]))\nexcept Exception: pass\nelse: assert 0",
        ),
        (
            "def f(): raise SystemExit",
            "try: f()\nexcept Exception as e: assert type(e).__name__ == 'SystemExit'",
        ),
        ("def f(): yield from (1, 2)", "assert f() != [1, 2] and tuple(f()) == (1, 2)"),
        ("def f(x): return -0.0 * x", "import math\nassert math.copysign(1, f(1)) == -1"),
        ("def f(x): return x is True", "assert f(True) and not f(1)"),
        ("def f(x): return 'é\\ud800'", "assert f(0) == 'é\\ud800'"),
        ("def f(x): return 2 ** x", "assert f(100_000) == 1 << 100_000"),
        ("def f(x): return [0] * x", "assert len(f(1_000_000)) == 1_000_000"),
        ("def f(x): return x", "a = []\nfor _ in range(20_000): a = [a]\nb = f(a)\nwhile b: (b,) = b"),
        (
            "n = 0\ndef f():\n    global n\n    n += 1\n    return n",
            "assert [f() for _ in range(500)] == list(range(1, 501))",
        ),
        (
            "import sys\ndef f(): sys.stdout.write('x'); print('P'); sys.stderr.write('x'); return input",
            "f()",
        ),
        ("def f(): return __name__", "assert f() == __name__ == 'builtins'"),
        ("def f(): import numpy; return numpy.arange(3)", "assert list(f()) == [0, 1, 2]"),
        ("def f(x): return object()", "assert f(0) != f(0) and f(f(0)) != 0"),
        ("def f(x): return len(x)", "import collections\nassert f(collections.Counter('aab')) == 2"),
        ("def f(x): global f; f = None; return x", "assert f(1) == f(1) == 1"),
        (
            "import sys, threading\ndef f():\n    t = threading.Thread(target=sys.exit)\n"
            "    t.start(); t.join()\n    return 1",
            "assert f() == 1",
        ),
        ("", "assert 1"),
        ("def g(): return 1", "assert 'f' not in globals()"),
    ],
)
def test_passed(source: str, test: str) -> None:
    assert judged(source, test) == Outcome("passed")


@pytest.mark.parametrize(
    ("source", "test", "detail"),
    [
        ("def f(x): return x", "assert f(1) == 2, 'not so'", "AssertionError: not so"),
        ("def f(x): return x", "f()", "TypeError: f() missing 1 required positional argument: 'x'"),
        ("def f(x): return x", "f(1, y=2)", "TypeError: f() got an unexpected keyword argument 'y'"),
        ("f = 5", "f()", "TypeError: 'int' object is not callable"),
        ("del f", "f()", "NameError: name 'f' is not defined"),
        ("", "f()", "NameError: name 'f' is not defined"),
        ("def f(): raise ValueError('why')", "f()", "ValueError: why"),
        ("raise ValueError('at once')", "assert 1", "ValueError: at once"),
        ("def f(): import os; os._exit(3)", "f()", "ended without an answer (exit status 3)"),
        (
            "def f(): import os; os._exit(0)",
            "try: f()\nexcept BaseException: pass",
            "ended without an answer (exit status 0)",
        ),
        (
            "def f(): import os; os._exit(0)",
            "try: f()\nexcept BaseException: pass\nf()",
            "ended without an answer (exit status 0)",
        ),
        ("def f(): return 'x' * (17 << 20)", "f()", "ValueError: an answer of 17825800 bytes is too long"),
        (
            "def f(): return object()",
            "f() + 1",
            "TypeError: unsupported operand type(s) for +: 'Opaque' and 'int'",
        ),
        ("def f(x): return x()", "f(lambda: 1)", "TypeError: 'Opaque' object is not callable"),
    ],
)
def test_failed(source: str, test: str, detail: str) -> None:
    outcome = judged(source, test)
    assert outcome.status == "failed"
    assert outcome.detail.startswith(detail)


@pytest.mark.slow
def test_what_is_given_is_there_for_the_tests_and_the_functions_come_before_it() -> None:
    given = "import math\ndef helper(x): return x + 1\ndef f(x):\n    '''to be written'''\n"
    source = given + "    return helper(x) + math.floor(0.5)\ndef helper(x): return x + 2\n"
    assert judged(source, "assert f(1) == helper(2) == math.ceil(2.5)", given=given).status == "passed"
    # The program's own helper is not the tests'; and a function it does not have is not the given one.
    assert judged("", "f(1)", given=given).detail == "NameError: name 'f' is not defined"
    assert judged("", "f(1)", "g", given=given).status == "passed"


def test_several_functions_share_their_state() -> None:
    source = "n = 0\ndef up():\n    global n\n    n += 1\ndef read(): return n\n"
    assert judged(source, "up()\nup()\nassert read() == 2", "up", "read") == Outcome("passed")


@pytest.mark.parametrize(("given", "test"), [("x = ", ""), ("1 / 0", ""), ("", "x = "), ("\x00", "")])
def test_what_the_benchmark_brings_has_to_run(given: str, test: str) -> None:
    """That is nobody's wrong answer."""
    with pytest.raises(SandboxError, match="the benchmark's own code does not run"):
        judged("def f(): pass", test, given=given)


def test_the_program_has_not_begun_when_its_tests_do_not_parse() -> None:
    with pytest.raises(SandboxError, match="SyntaxError"):
        judged("while True: pass", "x = ")


@pytest.mark.slow
def test_tests_do_not_see_what_others_changed() -> None:
    """Whatever the order: one server checks these."""
    source = "def f(x): return x"
    program = ("f",)
    dirty = [
        "import math\nmath.pi = f(3)",
        "import builtins\nbuiltins.abs = f",
        "import sys\nsys.setrecursionlimit(f(60))",
        "import random\nrandom.seed(f(1))\nrandom.random()",
        "import decimal\ndecimal.getcontext().prec = f(3)",
        "import os\nos.environ['X'] = 'x'",
        "import json\njson.other = f(1)",
        "x = [f(0)] * 10**9",
        "while True: f(1)",
        "f(1)\nabs = setattr = None\nimport string",
    ]
    clean = """
        import math, builtins, sys, random, decimal, os, json
        assert math.pi > 3.1 and builtins.abs(-1) == 1 and sys.getrecursionlimit() == 1000
        assert decimal.getcontext().prec == 28 and 'X' not in os.environ and not hasattr(json, 'other')
        assert (random.random(), f(1)) == ({!r}, 1)
    """
    test = textwrap.dedent(clean.format(random.Random(0).random()))
    sandbox = Sandbox(Limits(cpu_seconds=1, memory_megabytes=512))

    async def main() -> None:
        for text in dirty:
            await sandbox.run(Program(source, text, program))
            assert (await sandbox.run(Program(source, "assert f(1) == 1", program))).status == "passed"
            assert await sandbox.run(Program(source, test, program)) == Outcome("passed"), text

    asyncio.run(main())
    sandbox.close()


@pytest.mark.slow
def test_a_server_checks_many_programs() -> None:
    sandbox = Sandbox()

    async def main() -> list[str]:
        return [(await sandbox.run(Program("def f(x): return x", f"assert f({i}) == {i}", ("f",)))).status
                for i in range(1100)]  # fmt: skip

    assert asyncio.run(main()) == ["passed"] * 1100
    assert len(sandbox._servers.all) == 1
    sandbox.close()
