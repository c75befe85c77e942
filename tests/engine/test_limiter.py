"""How many requests are in flight."""

from __future__ import annotations

import asyncio

import pytest

from evalkit.engine.limiter import MOST, AutoLimiter, Limiter, make_limiter
from evalkit.engine.waits import RetryPolicy


def busy(limiter: Limiter, holders: int, seconds: float = 0.0) -> int:
    """Lets `holders` pass; returns the most that were inside together."""
    inside = most = 0

    async def hold() -> None:
        nonlocal inside, most
        async with limiter:
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(seconds)
            inside -= 1

    async def all_of_them() -> None:
        await asyncio.gather(*(hold() for _ in range(holders)))

    asyncio.run(all_of_them())
    return most


@pytest.mark.parametrize("limit", [1, 3, 50])
def test_a_fixed_limit_is_reached_and_not_passed(limit: int) -> None:
    assert busy(Limiter(limit), 100) == min(limit, 100)


def test_a_cancelled_waiter_passes_its_turn_on() -> None:
    async def scenario() -> bool:
        limiter = Limiter(1)
        await limiter.__aenter__()

        async def enter() -> None:
            async with limiter:
                pass

        first, second = asyncio.create_task(enter()), asyncio.create_task(enter())
        await asyncio.sleep(0)
        await limiter.__aexit__()  # gives the turn to the first …
        first.cancel()  # … which is cancelled before it takes it
        await asyncio.wait_for(second, 60)
        return limiter.active == 0

    assert asyncio.run(scenario())


async def _served(limiter: AutoLimiter, answers: int, latency: float) -> None:
    """As if `answers` came after `latency` while others wait."""
    waiting = asyncio.get_running_loop().create_future()
    limiter._waiting.append(waiting)
    for _ in range(answers):
        limiter.succeeded(latency)
        if waiting.done():
            limiter._waiting.append(waiting := asyncio.get_running_loop().create_future())


def test_auto_grows_while_latency_holds_and_stops_at_its_ceiling() -> None:
    limiter = AutoLimiter(most=40)
    asyncio.run(_served(limiter, 1000, 0.5))
    assert limiter.limit == 40


def test_auto_does_not_grow_when_nobody_waits() -> None:
    limiter = AutoLimiter()
    start = limiter.limit
    for _ in range(1000):
        limiter.succeeded(0.5)
    assert limiter.limit == start


def test_auto_gives_back_when_latency_doubles() -> None:
    async def scenario() -> tuple[int, int]:
        limiter = AutoLimiter()
        await _served(limiter, 1000, 0.5)
        high = limiter.limit
        await _served(limiter, 2 * high, 1.5)
        return high, limiter.limit

    high, after = asyncio.run(scenario())
    assert high == MOST
    assert after < high


def test_auto_halves_on_throttling_once_for_one_overload() -> None:
    async def scenario() -> list[int]:
        limiter = AutoLimiter()
        await _served(limiter, 1000, 0.5)
        limits = [limiter.limit]
        for _ in range(10):
            limiter.throttled(None)
        limits.append(limiter.limit)
        await _served(limiter, 1000, 0.5)  # still calm: no growth
        return [*limits, limiter.limit]

    before, after, later = asyncio.run(scenario())
    assert after == later == before // 2


def test_make_limiter() -> None:
    assert make_limiter(7, parallel=2).limit == 7
    assert make_limiter(None, parallel=2).most == 2
    assert make_limiter(None, parallel=None).most == MOST


def test_pauses_double_are_capped_and_keep_to_retry_after() -> None:
    policy = RetryPolicy(attempts=6, first_pause=1.0)
    for attempt, longest in [(1, 1.0), (2, 2.0), (3, 4.0), (20, 60.0)]:
        for _ in range(50):
            assert longest / 2 <= policy.pause(attempt, None) <= longest
    assert policy.pause(1, 30.0) == 30.0
    assert policy.pause(1, 1e9) == 600.0


def _mixed(limiter: AutoLimiter, capacity: int, share: float, rounds: int) -> None:
    """As if `share` of the requests failed whatever the load is, and all of those above `capacity`."""
    due = 0.0
    for _ in range(rounds):
        limiter._calm_until = 0.0  # as after a second
        for place in range(limiter.limit):
            due += share
            if place >= capacity or due >= 1:
                due -= due >= 1
                limiter.throttled(None)
            else:
                limiter.succeeded(0.1)


def test_faults_that_do_not_depend_on_the_load_do_not_lower_the_limit() -> None:
    async def scenario(capacity: int, share: float) -> int:
        limiter = AutoLimiter(64)
        limiter._wanted = lambda: True
        _mixed(limiter, capacity, share, 200)
        return limiter.limit

    assert asyncio.run(scenario(1000, 0.3)) == 64
    assert asyncio.run(scenario(1000, 0.1)) == 64
    assert asyncio.run(scenario(8, 0.0)) < 32, "an overload does"
    assert asyncio.run(scenario(1000, 0.8)) == 1, "and so does an endpoint that is hardly there"
