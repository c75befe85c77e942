"""No text that a model may write holds up a run: what reads it takes a second at most, or does not read it."""

from __future__ import annotations

import gc
import signal
import time
import unicodedata
from collections.abc import Callable, Iterator
from types import FrameType

import pytest

from evalkit.benchmark.readable import LONGEST, MOST_MARKS, is_readable
from evalkit.models.reasoning import split_reasoning
from tests.hostile_texts import readings, texts

LENGTH = 8_000
PART = 4
"""A text is also read to its `PART`th: a time that grows with the square is `PART ** 2` times as long."""
QUICK = 0.03
"""Seconds of CPU time for `LENGTH` characters that need no further look: a second for the longest response."""
BOUND = 3 * LENGTH / LONGEST
"""Three seconds for the longest response: the bound of a second, on a machine that is three times as slow."""


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
    signal.setitimer(signal.ITIMER_PROF, 10 * BOUND)
    started = time.process_time()
    try:
        read(text)
    except _Endless:
        return float("inf")
    except Exception:  # noqa: BLE001, S110 — it fails a sample, and takes no time
        pass
    return time.process_time() - started


def _problem(read: Callable[[str], object], text: str) -> str:
    """Why `read` is too slow for `text`; "" if it is not."""
    whole = _seconds(read, text)
    if whole < QUICK:
        return ""
    whole, part = min(whole, _seconds(read, text)), _seconds(read, text[: len(text) // PART])
    if whole < BOUND and whole < max(QUICK, 2 * PART * part):
        return ""
    return f"{text[:20]!r}…: {whole:.2f} s, and {part:.2f} s for the first quarter"


@pytest.mark.slow
def test_no_rule_takes_more_than_a_second(limited: None) -> None:
    hostile = [*texts(LENGTH)]
    slow = []
    for name, read in [*readings(), ("split_reasoning", split_reasoning)]:
        _seconds(read, "one, 1")  # imports take time
        slow += [f"{name}: {found}" for text in hostile if (found := _problem(read, text))]
    assert slow == []


def test_a_rule_that_takes_quadratic_time_is_found(limited: None) -> None:
    import re

    assert _problem(re.compile(r"a.*b").search, "a" * LENGTH)
    assert not _problem(str.split, "a " * (LENGTH // 2))


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
    assert _seconds(lambda text: unicodedata.normalize("NFKC", text), text) < 3
