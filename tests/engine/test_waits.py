"""Waiting for a slow endpoint, and telling a refused prompt from a refused key, against a server on loopback.

`_SECOND` is how long a second lasts here, for the server's minutes and for the pauses.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from evalkit.engine.client import Stopped
from evalkit.engine.limiter import Limiter
from evalkit.engine.plan import make_plan
from evalkit.engine.progress import PlainProgress
from evalkit.engine.run import Options, execute, open_run
from evalkit.engine.waits import RetryPolicy, Waits
from evalkit.errors import ProviderError
from evalkit.models.openai import OpenAIModel
from evalkit.report.table import build_table
from evalkit.runfile.cells import TableCell
from tests.made import sums
from tests.openai_server import OpenAIServer, arithmetic
from tests.openai_wire import asked_text, refuse, refuse_like_openai

_SECOND = 0.006
_ONCE = RetryPolicy(attempts=1, second=_SECOND)
_LIMIT = ProviderError("HTTP 429", retryable=True, throttled=True, limited=True)


def run(
    server: OpenAIServer,
    task: str,
    path: Path,
    policy: RetryPolicy = _ONCE,
    concurrency: int | None = None,
    progress: PlainProgress | None = None,
) -> TableCell:
    async def go() -> TableCell:
        model = OpenAIModel("mock", server.url, timeout=10)
        store = open_run(path, plan := make_plan(model, [task]))
        try:
            await execute(plan, store, Options(concurrency, policy), progress)
            return build_table([store]).cells[0]
        finally:
            store.close()
            await model.aclose()

    return asyncio.run(go())


class TenAMinute:
    """Answers ten requests in each minute. `hint`: what else it says, where {} are the seconds left."""

    def __init__(self, hint: str, *, counts_refused: bool = False) -> None:
        self._hint, self._counts_refused = hint, counts_refused
        self._lock, self._start = threading.Lock(), time.monotonic()
        self._used: dict[int, int] = {}

    def __call__(self, payload: dict[str, Any], route: str) -> Any:
        with self._lock:
            now = (time.monotonic() - self._start) / _SECOND
            minute, left = int(now // 60), 60 - now % 60
            full = self._used.get(minute, 0) >= 10
            if not full or self._counts_refused:
                self._used[minute] = self._used.get(minute, 0) + 1
        if not full:
            return arithmetic(payload, route)
        said = f"10 requests a minute is the limit. {self._hint.format(f'{left:.0f}')}"
        return refuse_like_openai(429, said, "requests", "rate_limit_exceeded")


@pytest.mark.parametrize("concurrency", [None, 1, 16])
@pytest.mark.parametrize("hint", ["Try again in {}s.", "Please slow down."])
def test_a_run_against_ten_requests_a_minute_ends(tmp_path: Path, hint: str, concurrency: int | None) -> None:
    with OpenAIServer(TenAMinute(hint)) as server:
        cell = run(server, sums(tmp_path, 60), tmp_path / "r.db", _ONCE, concurrency)
        assert (cell.value, cell.n, cell.outcomes["failed"]) == (100.0, 60, 0)


def test_a_long_wait_is_told_with_its_reason(tmp_path: Path) -> None:
    asked: list[str] = []

    def once(payload: dict[str, Any], route: str) -> Any:
        asked.append(route)
        return refuse(429, "Slow down: try again in 40s.") if len(asked) == 1 else arithmetic(payload, route)

    said = StringIO()
    with OpenAIServer(once) as server:
        run(server, sums(tmp_path, 2), tmp_path / "r.db", RetryPolicy(second=0.001), 1, PlainProgress(said))
    told = [line for line in said.getvalue().splitlines() if "waiting" in line]
    assert len(told) == 1
    assert re.search(r"sums:once: 0/2 · waiting 40 s: HTTP 429 from http://.*: Slow down", told[0])


@pytest.mark.slow
def test_where_refused_requests_count_too_few_of_them_are_sent(tmp_path: Path) -> None:
    with OpenAIServer(TenAMinute("Please slow down.", counts_refused=True)) as server:
        cell = run(server, sums(tmp_path, 60), tmp_path / "r.db")
        assert (cell.value, cell.outcomes["failed"]) == (100.0, 0)
        assert len(server.requests) < 60 * 4


def test_an_endpoint_that_never_lets_one_through_is_given_up(tmp_path: Path) -> None:
    with OpenAIServer(lambda *_: refuse(429, "Too many requests")) as server:
        cell = run(server, sums(tmp_path, 3), tmp_path / "r.db", RetryPolicy(attempts=3, second=0.0001))
        assert cell.outcomes["failed"] == 3


def test_a_429_is_waited_for_two_minutes_before_it_counts() -> None:
    waits = Waits(RetryPolicy(attempts=2), lambda: 0)
    waited = 0.0
    while waited < 120:
        pause = waits.pause(_LIMIT)
        assert pause is not None
        waited += pause
    assert waits.pause(_LIMIT) is not None
    assert waits.pause(_LIMIT) is None


def test_a_429_does_not_count_as_long_as_others_are_answered() -> None:
    answers = iter(range(1000))
    waits = Waits(RetryPolicy(attempts=1), lambda: next(answers))
    assert all(waits.pause(_LIMIT) is not None for _ in range(100))


def test_the_two_minutes_begin_anew_when_another_is_answered() -> None:
    answered: list[str] = []
    waits = Waits(RetryPolicy(attempts=1, first_pause=60), lambda: len(answered))
    slow = ProviderError("HTTP 429", retryable=True, limited=True, retry_after=60)
    for other in ("a", "b", "c"):
        answered.append(other)
        assert [waits.pause(slow), waits.pause(slow)] == [60, 60]
    assert waits.pause(slow) is None


def test_other_failures_count_at_once_also_between_429s() -> None:
    waits = Waits(RetryPolicy(attempts=2), lambda: 0)
    broken = ProviderError("HTTP 502", retryable=True)
    assert waits.pause(broken) is not None
    assert waits.pause(_LIMIT) is not None
    assert waits.pause(broken) is None
    assert waits.pause(ProviderError("HTTP 400")) is None


def test_a_held_limiter_admits_nobody_until_the_longest_hold_is_over() -> None:
    async def scenario() -> float:
        limiter, loop = Limiter(2), asyncio.get_running_loop()
        start = loop.time()
        limiter.hold(0.05)
        limiter.hold(0.01)
        assert limiter.held
        async with limiter:
            return loop.time() - start

    assert asyncio.run(scenario()) >= 0.045


# -- refused ----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("status", [401, 402, 403, 404])
@pytest.mark.parametrize("concurrency", [None, 1])
def test_one_refused_prompt_fails_alone_also_the_second_time(
    tmp_path: Path, status: int, concurrency: int | None
) -> None:
    task = sums(tmp_path, 16)
    seen: list[str] = []

    def script(payload: dict[str, Any], route: str) -> Any:
        """Refuses whatever comes first: nothing was answered then."""
        text = asked_text(payload)
        seen.append(text)
        return refuse(status, "flagged") if text == seen[0] else arithmetic(payload, route)

    with OpenAIServer(script) as server:
        for _ in range(2):
            cell = run(server, task, tmp_path / "r.db", _ONCE, concurrency)
            assert (cell.outcomes["failed"], cell.outcomes["correct"]) == (1, 15)
        assert len(server.requests) == 17


@pytest.mark.slow
@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_of_all_stops_before_many_are_asked(tmp_path: Path, status: int) -> None:
    with OpenAIServer(lambda *_: refuse(status, "no")) as server:
        for count in (1, 200):
            with pytest.raises(Stopped, match=f"HTTP {status}") as stopped:
                run(server, sums(tmp_path, count), tmp_path / f"{count}.db")
            assert stopped.value.usage
        assert len(server.requests) <= 1 + 16


def test_a_key_that_expires_stops_the_run(tmp_path: Path) -> None:
    """After 20 failures in a row, as when the endpoint is gone."""
    answered = iter(range(10))

    def script(payload: dict[str, Any], route: str) -> Any:
        return refuse(401, "expired") if next(answered, None) is None else arithmetic(payload, route)

    with (
        OpenAIServer(script) as server,
        pytest.raises(Stopped, match=r"20 requests in a row failed.*expired"),
    ):
        run(server, sums(tmp_path, 200), tmp_path / "r.db", _ONCE, 2)
