"""No text of a model holds up a run: what reads it takes a second at most, or does not read it."""

from __future__ import annotations

import gc
import signal
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

import pytest

from evalkit.benchmark.readable import LONGEST, MOST_MARKS, is_readable
from evalkit.models.reasoning import split_reasoning
from tests.hostile_texts import readings, texts

LENGTHS = (3_000, 16_000, LONGEST)
"""A text that is read quickly is not tried at the next length."""
QUICK = (0.006, 0.08)
"""Seconds of CPU time, of which a time that grows with the square needs some for the longest response."""
BOUND = 3.0
"""Of the longest response: a second, on a machine that is three times as slow."""


class _Endless(BaseException):
    pass


def _ends(number: int, frame: FrameType | None) -> None:
    raise _Endless


@pytest.fixture
def limited() -> Iterator[None]:
    """`re` looks for signals while it matches, so that its endless matches end too."""
    before = signal.signal(signal.SIGPROF, _ends)
    gc.disable()
    yield
    gc.enable()
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.signal(signal.SIGPROF, before)


def _seconds(read: Callable[[str], object], text: str) -> float:
    signal.setitimer(signal.ITIMER_PROF, BOUND)
    started = time.process_time()
    try:
        read(text)
    except Exception:
        pass  # it fails a sample, and takes no time
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return time.process_time() - started


def _is_slow(read: Callable[[str], object], texts: Sequence[str]) -> bool:
    """Whether reading the last and longest of `texts` takes more than `BOUND`."""
    try:
        *shorter, longest = texts
        if any(_seconds(read, text) < quick for text, quick in zip(shorter, QUICK, strict=True)):
            return False
        return _seconds(read, longest) > BOUND
    except _Endless:
        return True


@pytest.mark.slow
def test_no_rule_takes_more_than_a_second(limited: None) -> None:
    hostile = [*zip(*map(texts, LENGTHS), strict=True)]
    slow = []
    for name, read in [*readings(), ("split_reasoning", split_reasoning)]:
        _seconds(read, "one, 1")  # imports take time
        slow += [f"{name}: {found[0][:20]!r}…" for found in hostile if _is_slow(read, found)]
    assert slow == []


def test_a_rule_that_takes_quadratic_time_is_found(limited: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "BOUND", 0.4)
    monkeypatch.setitem(globals(), "QUICK", (0.001, 0.02))

    def quadratic(text: str) -> None:
        end = time.process_time() + 20 * (len(text) / LONGEST) ** 2
        while time.process_time() < end:
            pass

    assert _is_slow(quadratic, ["a" * length for length in LENGTHS])
    assert not _is_slow(str.split, ["a " * (length // 2) for length in LENGTHS])


@pytest.mark.parametrize(
    ("text", "readable"),
    [
        ("x" * LONGEST, True),
        ("x" * (LONGEST + 1), False),
        ("é" * LONGEST, True),
        ("e\u0301" * (LONGEST // 2), True),
        ("답" * LONGEST, True),
        ("\ufdfa" * (LONGEST // 18), True),
        ("\ufdfa" * (LONGEST // 18 + 1), False),
        ("e" + "\u0301\u0323" * (MOST_MARKS // 2), True),
        ("e" + "\u0301\u0323" * (MOST_MARKS // 2) + "\u0301", False),
    ],
)
def test_what_is_too_long_to_be_read(text: str, readable: bool) -> None:
    assert is_readable(text) is readable


def test_what_is_readable_is_quickly_in_normal_form(limited: None) -> None:
    marks = "e" + "\u0301\u0323" * (MOST_MARKS // 2)
    text = marks * (LONGEST // len(marks))
    assert is_readable(text)
    assert _seconds(lambda text: unicodedata.normalize("NFKC", text), text) < BOUND
