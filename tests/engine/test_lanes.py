"""Which endpoint of a model a request is sent to, and how long one rests that failed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from evalkit.engine.lanes import Lane, Lanes, Turn
from evalkit.engine.limiter import AutoLimiter, Limiter
from evalkit.engine.waits import RetryPolicy
from evalkit.errors import ProviderError
from evalkit.models.fake import FakeModel
from evalkit.runfile.replica_use import ReplicaUse


def lanes(limits: Sequence[int], total: int | None = None) -> tuple[list[Lane], Lanes]:
    made = [Lane(FakeModel(lambda request, draw: ""), Limiter(limit)) for limit in limits]
    return made, Lanes(made, total)


def test_a_request_takes_the_lane_with_the_smallest_share_of_its_limit() -> None:
    async def go() -> None:
        (small, large), both = lanes([2, 4])
        taken = [(await both.take()).lane for _ in range(6)]
        assert [taken.count(lane) for lane in (small, large)] == [2, 4]
        assert taken[:2] == [small, large]

    asyncio.run(go())


def test_requests_wait_in_their_order_for_whichever_lane_is_free_first() -> None:
    async def go() -> None:
        _, both = lanes([1, 1])
        first, second = await both.take(), await both.take()
        waiting = [asyncio.create_task(both.take()) for _ in range(3)]
        await asyncio.sleep(0)
        with second:
            pass
        assert (await waiting[0]).lane is second.lane
        with first:
            pass
        assert (await waiting[1]).lane is first.lane
        assert not waiting[2].done()
        waiting[2].cancel()

    asyncio.run(go())


def test_a_turn_that_a_cancelled_request_was_given_is_passed_on() -> None:
    async def go() -> None:
        _, both = lanes([1, 1])
        first, _ = await both.take(), await both.take()
        cancelled, other = asyncio.create_task(both.take()), asyncio.create_task(both.take())
        await asyncio.sleep(0)
        with first:
            pass  # the turn is given to the first that waits
        cancelled.cancel()
        assert (await asyncio.wait_for(other, 1)).lane is first.lane

    asyncio.run(go())


def test_the_total_holds_over_all_lanes() -> None:
    async def go() -> None:
        _, both = lanes([3, 3], total=3)
        taken = [await both.take() for _ in range(3)]
        waiting = asyncio.create_task(both.take())
        await asyncio.sleep(0)
        assert not waiting.done()
        assert (both.limit, both.most) == (3, 3)
        with taken[0]:
            pass
        await asyncio.wait_for(waiting, 1)

    asyncio.run(go())


def test_a_request_avoids_the_lane_where_it_failed_and_others_do_not() -> None:
    async def go() -> None:
        (one, other), both = lanes([1, 1])
        first, second = await both.take(), await both.take()
        avoiding = asyncio.create_task(both.take({one}))
        await asyncio.sleep(0)
        last = asyncio.create_task(both.take())
        await asyncio.sleep(0)
        with first if first.lane is one else second:
            pass
        assert (await asyncio.wait_for(last, 1)).lane is one, "the one that avoids it does not block it"
        with second if first.lane is one else first:
            pass
        assert (await asyncio.wait_for(avoiding, 1)).lane is other

    asyncio.run(go())


_BROKEN = ProviderError("connection refused", retryable=True)


def test_after_a_rest_a_single_request_tries_the_lane_and_rests_grow() -> None:
    async def go() -> None:
        (one, other), both = lanes([4, 4])
        policy = RetryPolicy(second=0.001)
        rests = []
        for _ in range(3):
            turn = await both.take({other})
            with turn:
                rests.append(one.failed(_BROKEN, turn.sent, policy))
            assert not one.free
            await asyncio.sleep(rests[-1] * policy.second + 0.005)
            assert one.free
        assert 0.5 <= rests[0] <= 1 <= rests[1] <= 2 <= rests[2] <= 4
        trial = await both.take({other})
        assert not one.free, "only one request tries it"
        with trial:
            assert one.succeeded(0.1)
        assert one.free
        assert not one.rests

    asyncio.run(go())


def test_a_request_from_before_the_last_response_is_no_news_of_a_lane() -> None:
    async def go() -> None:
        (one, other), both = lanes([4, 4])
        old = [await both.take({other}) for _ in range(3)]
        with old[0]:
            one.succeeded(0.1)
        with old[1]:
            assert one.failed(_BROKEN, old[1].sent, RetryPolicy()) == 0
        turn = await both.take({other})
        with turn:
            assert one.failed(_BROKEN, turn.sent, RetryPolicy()) > 0
        with old[2]:
            assert one.failed(_BROKEN, old[2].sent, RetryPolicy()) == 0, "it rests already"
        assert one.rests == 1

    asyncio.run(go())


def test_the_limit_of_a_replica_rises_while_requests_wait_for_any() -> None:
    async def go() -> None:
        made = [Lane(FakeModel(lambda request, draw: ""), AutoLimiter()) for _ in range(2)]
        both = Lanes(made)
        start = both.limit
        turns: list[Turn] = [await both.take() for _ in range(start)]
        waiting = [asyncio.create_task(both.take()) for _ in range(40)]
        await asyncio.sleep(0)
        for turn in turns:
            with turn:
                turn.lane.succeeded(0.1)
        assert both.limit > start
        await asyncio.wait(waiting, timeout=0.01)
        assert sum(task.done() for task in waiting) >= start
        for task in waiting:
            task.cancel()

    asyncio.run(go())


def test_the_median_of_a_replica_is_right_within_two_per_cent() -> None:
    use = ReplicaUse("http://a/v1")
    for i in range(1, 1002):
        use.add(i / 1000)
    assert use.median == pytest.approx(0.501, rel=0.025)
    assert len(use.steps) < 200
    use.failures, use.error = 2, "HTTP 500"
    assert use.line() == "http://a/v1: 1,001 requests, median 0.5 s; 2 failures, the last one: HTTP 500"
