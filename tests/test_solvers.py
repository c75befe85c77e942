"""What solvers ask for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from evalkit.benchmark.protocol import Protocol
from evalkit.benchmark.solvers import Solver, ask_likelihoods, ask_once, ask_with_fallback
from evalkit.benchmark.transcript import Transcript
from evalkit.errors import ProviderError
from evalkit.models.base import Likelihood, Response, TokenLogprob
from evalkit.samples import Prompt, Sample

SAMPLE = Sample("one", "Which?", (), choices=("w", "x", "y", "z"))


class Scripted:
    """A context that asks a function of the draw, and notes what it was asked."""

    def __init__(self, protocol: Protocol, ask: Callable[[int], Awaitable[Response]]) -> None:
        self.sample, self.protocol, self.prompt = SAMPLE, protocol, "Which?"
        self.asked: list[object] = []
        self._ask = ask

    async def ask(self, prompt: Prompt, *, draw: int = 0, **_: object) -> Response:
        self.asked.append((prompt, draw))
        return await self._ask(draw)

    async def continuations(self, prompt: str, texts: Sequence[str]) -> tuple[Likelihood, ...]:
        self.asked.append((prompt, *texts))
        return ()

    async def under(self, protocol: str) -> Transcript:
        self.asked.append(protocol)
        return Transcript()


def run(solver: Solver, context: Any) -> list[object]:
    async def main() -> None:
        await solver(context)

    asyncio.run(main())
    found: list[object] = context.asked
    return found


async def answer(draw: int) -> Response:
    return Response(str(draw), logprobs=(TokenLogprob("A", -1.0, {"A": -1.0}),))


def drawn(draws: int, **settings: Any) -> Protocol:
    return Protocol(name="p", draws=draws, temperature=1.0, **settings)


@pytest.mark.parametrize("draws", [1, 2, 5])
def test_each_draw_is_asked_once(draws: int) -> None:
    assert run(ask_once, Scripted(drawn(draws), answer)) == [("Which?", draw) for draw in range(draws)]


def test_the_fallback_is_asked_after_the_draws() -> None:
    context = Scripted(drawn(2, fallback=("greedy", "other")), answer)
    assert run(ask_with_fallback, context) == [("Which?", 0), ("Which?", 1), "greedy"]


def test_likelihoods_of_the_next_token_take_one_request() -> None:
    protocol = Protocol(name="p", api="completion", logprobs=5)
    assert run(ask_likelihoods, Scripted(protocol, answer)) == [("Which?", 0)]


def test_likelihoods_of_the_choices_are_asked_for_together() -> None:
    protocol = Protocol(name="p", api="completion", logprobs=1, likelihood="prompt")
    assert run(ask_likelihoods, Scripted(protocol, answer)) == [("Which?", " A", " B", " C", " D")]


def test_an_endpoint_without_log_probabilities_ends_the_run() -> None:
    async def silent(draw: int) -> Response:
        return Response("B")

    protocol = Protocol(name="p", api="completion", logprobs=5)
    with pytest.raises(ProviderError, match="no log-probabilities") as error:
        run(ask_likelihoods, Scripted(protocol, silent))
    assert error.value.fatal


def test_a_draw_that_fails_ends_the_others() -> None:
    ended: list[int] = []

    async def ask(draw: int) -> Response:
        if draw == 2:
            await asyncio.sleep(0)
            raise ProviderError("gone")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append(draw)
            raise
        return Response("late")

    with pytest.raises(ProviderError, match="gone"):
        run(ask_once, Scripted(drawn(5), ask))
    assert sorted(ended) == [0, 1, 3, 4]


def test_of_several_failures_the_first_is_raised() -> None:
    async def ask(draw: int) -> Response:
        raise ProviderError(f"draw {draw}")

    with pytest.raises(ProviderError, match="draw 0"):
        run(ask_once, Scripted(drawn(3), ask))


def test_a_cancelled_solver_leaves_no_draw_running() -> None:
    running = 0

    async def ask(draw: int) -> Response:
        nonlocal running
        running += 1
        try:
            await asyncio.sleep(60)
        finally:
            running -= 1
        return Response("late")

    async def cancelled() -> int:
        context: Any = Scripted(drawn(3), ask)
        solving = asyncio.ensure_future(ask_once(context))
        while running < 3:
            await asyncio.sleep(0)
        solving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await solving
        return running

    assert asyncio.run(cancelled()) == 0
