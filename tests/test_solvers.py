"""From responses to answers."""

from __future__ import annotations

import asyncio

import pytest

from evalkit.answers import final_number
from evalkit.errors import ProviderError
from evalkit.models.base import Response
from evalkit.protocol import Protocol
from evalkit.samples import Answer, Final, Prompt, Sample
from evalkit.solvers import Ask, Solver, ask_once, majority_vote

SAMPLE = Sample("one", "Which?", ())
PROMPT = "Which?"


class Model:
    """Says one text for each draw; those that begin with "~" are cut at max_tokens."""

    def __init__(self, *texts: str) -> None:
        self.texts = texts
        self.draws: list[int] = []

    async def __call__(self, prompt: Prompt, *, draw: int = 0) -> Response:
        assert prompt == PROMPT
        self.draws.append(draw)
        # The first draw answers last: the order is the draws', not the answers'.
        for _ in range(len(self.texts) - draw):
            await asyncio.sleep(0)
        text = self.texts[draw]
        return Response(text.lstrip("~"), finish="length" if text.startswith("~") else "stop")


def run(solver: Solver, ask: Ask, protocol: Protocol) -> Answer:
    async def main() -> Answer:
        return await solver(SAMPLE, PROMPT, ask, final_number, protocol)

    return asyncio.run(main())


def solve(solver: Solver, *texts: str) -> Answer:
    protocol = Protocol(name="p", solver=solver, draws=len(texts), temperature=0.7)
    model = Model(*texts)
    answer = run(solver, model, protocol)
    assert model.draws == list(range(len(texts)))
    return answer


@pytest.mark.parametrize(
    ("texts", "winner", "votes"),
    [
        (("29",), "29", {"29": 1}),
        (("3", "4", "4"), "4", {"4": 2, "3": 1}),
        (("30", "29.00", "It is $29."), "29", {"29": 2, "30": 1}),
        (("none", "no idea", "5"), "5", {"5": 1}),
        (("-1", "1", "-1", "1"), "-1", {"-1": 2, "1": 2}),
        (("7", "8", "9", "9", "8"), "8", {"8": 2, "9": 2, "7": 1}),
        (("dunno", "dunno", "dunno", "4"), "4", {"4": 1}),
        (("dunno", "dunno"), None, {}),
    ],
    ids=lambda value: repr(value),
)
def test_the_majority(texts: tuple[str, ...], winner: str | None, votes: dict[str, int]) -> None:
    answer = solve(majority_vote, *texts)
    assert [final.value for final in answer.finals] == [winner]
    assert answer.detail == {"votes": votes, "draws": len(texts)}


@pytest.mark.parametrize(
    ("texts", "truncated"),
    [
        (("~4",), True),
        (("~4", "~4", "5"), True),
        (("~4", "4", "5"), False),
        (("4", "4", "~5"), False),
        (("~so", "~or", "4"), False),
        (("~so", "~or"), True),
        (("~so", "dunno"), False),
    ],
)
def test_a_majority_is_truncated_when_all_who_voted_for_it_are(
    texts: tuple[str, ...], truncated: bool
) -> None:
    (final,) = solve(majority_vote, *texts).finals
    assert final.truncated is truncated


def test_asked_once_every_draw_is_an_answer() -> None:
    assert solve(ask_once, "4", "~so", "4", "~5") == Answer(
        (Final("4"), Final(None, truncated=True), Final("4"), Final("5", truncated=True))
    )


@pytest.mark.parametrize("solver", [ask_once, majority_vote])
def test_a_draw_that_fails_ends_the_others(solver: Solver) -> None:
    ended: list[int] = []

    async def ask(prompt: Prompt, *, draw: int = 0) -> Response:
        if draw == 2:
            await asyncio.sleep(0)
            raise ProviderError("gone")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append(draw)
            raise
        return Response("late")

    protocol = Protocol(name="p", solver=solver, draws=5, temperature=1.0)
    with pytest.raises(ProviderError, match="gone"):
        run(solver, ask, protocol)
    assert sorted(ended) == [0, 1, 3, 4]


def test_of_several_failures_the_first_is_raised() -> None:
    async def ask(prompt: Prompt, *, draw: int = 0) -> Response:
        raise ProviderError(f"draw {draw}")

    protocol = Protocol(name="p", solver=ask_once, draws=3, temperature=1.0)
    with pytest.raises(ProviderError, match="draw 0"):
        run(ask_once, ask, protocol)


def test_a_cancelled_solver_leaves_no_draw_running() -> None:
    running = 0

    async def ask(prompt: Prompt, *, draw: int = 0) -> Response:
        nonlocal running
        running += 1
        try:
            await asyncio.sleep(60)
        finally:
            running -= 1
        return Response("late")

    async def cancelled() -> int:
        protocol = Protocol(name="p", solver=ask_once, draws=3, temperature=1.0)
        solving = asyncio.ensure_future(ask_once(SAMPLE, PROMPT, ask, final_number, protocol))
        while running < 3:
            await asyncio.sleep(0)
        solving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await solving
        return running

    assert asyncio.run(cancelled()) == 0
