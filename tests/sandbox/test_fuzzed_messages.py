"""Whatever a program writes where its answers should go, it has not passed, and the run goes on."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.sandbox import Limits, Outcome, Program, Raised, Sandbox

HONEST = Program("def f(x): return x * x", "assert f(12345) == 152399025", ("f",))
SOURCE = """
import os
def is_open(n):
    try: os.fstat(n)
    except OSError: return False
    return True
places = [n for n in range(256) if is_open(n)]
def write(messages):
    for message in messages:
        for n in places:
            try: os.write(n, message)
            except OSError: pass
first, then, leaves = {values!r}
write(first)
def f(x):
    write(then)
    if leaves: os._exit(0)
    return 0
"""
"""It writes to every descriptor: first when it is loaded, and then whenever it is called."""

WORDS = st.sampled_from([*"@tFrqKVTIaoisbcDx", "list", "dict", "set", "deque", "bytearray", "AssertionError"])
TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | WORDS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=12,
)
VERDICTS = st.sampled_from(
    [
        b"P",
        b"+P",
        b"+\0\0\0\0\1P",
        b"\1\0\0\0\1P\0\0\0\0\1P",
        b"=" + bytes(60),
        b"!no room",
        b"?",
        b"passed\n",
    ]
)
DEEP = st.sampled_from(
    [b"v" + b"[" * 50_000, b"v[[]," + b'["t",' * 3000 + b"1" + b"]" * 3001, b"v" + b"9" * 9999]
)


def framed(body: bytes) -> bytes:
    return len(body).to_bytes(4) + body


ANSWERS = st.builds(
    lambda kind, contents, tree: kind + json.dumps([contents, tree]).encode(),
    st.sampled_from([b"v", b"e", b"x", b""]),
    st.lists(TREES, max_size=3),
    TREES,
)
BODIES = ANSWERS | VERDICTS | DEEP | st.binary(max_size=40)
MESSAGES = (
    BODIES
    | BODIES.map(framed)
    | BODIES.map(framed).map(lambda message: message[:-1])
    | BODIES.map(lambda body: b"\xff\xff\xff\xff" + body)
)
PROGRAMS = st.builds(
    lambda *values: SOURCE.format(values=values),
    st.lists(MESSAGES, max_size=3),
    st.lists(MESSAGES, max_size=3),
    st.booleans(),
)  # fmt: skip


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    found = Sandbox(Limits(cpu_seconds=2, wall_seconds=1))
    yield found
    found.close()


SEEN: Counter[str] = Counter()
"""The statuses, to see that the messages end in different ways."""


@pytest.mark.slow
@given(PROGRAMS)
@settings(max_examples=40, deadline=None)
def test_no_message_passes(sandbox: Sandbox, source: str) -> None:
    outcome = asyncio.run(sandbox.run(Program(source, HONEST.test, ("f",))))
    SEEN[outcome.status] += 1
    assert outcome.status != "passed"
    assert len(outcome.detail) <= 500
    assert outcome.detail.isprintable()
    assert asyncio.run(sandbox.run(HONEST)) == Outcome("passed")


@pytest.mark.slow
@given(PROGRAMS)
@settings(max_examples=40, deadline=None)
def test_no_message_breaks_a_call(sandbox: Sandbox, source: str) -> None:
    found = asyncio.run(sandbox.call(source, "f", [(1,), (2,)]))
    SEEN.update(type(one).__name__ for one in found)
    assert len(found) == 2
    assert all(isinstance(one.message, str) for one in found if isinstance(one, Raised))
    assert asyncio.run(sandbox.call(HONEST.source, "f", [(3,)])) == [9]
