"""From responses to answers."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

import pytest

from evalkit.answers import final_number
from evalkit.errors import ProviderError
from evalkit.models.base import Likelihood, Response, TokenLogprob
from evalkit.protocol import Protocol
from evalkit.samples import Answer, Final, Prompt, Sample
from evalkit.solvers import (
    Ask,
    Solver,
    agreement,
    ask_once,
    choose_letter,
    choose_threshold,
    majority_vote,
    route_by_agreement,
)

SAMPLE = Sample("one", "Which?", ())
PROMPT = "Which?"


class Nothing:
    """The parts of `Ask` that these solvers must not use."""

    async def continuations(self, prompt: str, texts: Sequence[str]) -> Sequence[Likelihood]:
        raise AssertionError("not asked for")

    async def under(self, protocol: str) -> Answer:
        raise AssertionError("not asked for")


class Scripted(Nothing):
    """Asks a function."""

    def __init__(self, ask: Callable[[int], Awaitable[Response]]) -> None:
        self._ask = ask

    async def __call__(self, prompt: Prompt, *, draw: int = 0) -> Response:
        return await self._ask(draw)


class Model(Nothing):
    """Says one text for each draw; those that begin with "~" are cut at max_tokens.

    `greedy`: what it answers under another protocol.
    """

    def __init__(self, *texts: str, greedy: str | None = None) -> None:
        self.texts = texts
        self.greedy = greedy
        self.draws: list[int] = []

    async def under(self, protocol: str) -> Answer:
        assert protocol == "greedy"
        return Answer((Final(self.greedy),), {"how": "greedily"})

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

    protocol = Protocol(name="p", solver=solver, draws=5, temperature=1.0)
    with pytest.raises(ProviderError, match="gone"):
        run(solver, Scripted(ask), protocol)
    assert sorted(ended) == [0, 1, 3, 4]


def test_of_several_failures_the_first_is_raised() -> None:
    async def ask(draw: int) -> Response:
        raise ProviderError(f"draw {draw}")

    protocol = Protocol(name="p", solver=ask_once, draws=3, temperature=1.0)
    with pytest.raises(ProviderError, match="draw 0"):
        run(ask_once, Scripted(ask), protocol)


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
        protocol = Protocol(name="p", solver=ask_once, draws=3, temperature=1.0)
        solving = asyncio.ensure_future(ask_once(SAMPLE, PROMPT, Scripted(ask), final_number, protocol))
        while running < 3:
            await asyncio.sleep(0)
        solving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await solving
        return running

    assert asyncio.run(cancelled()) == 0


# -- routing -------------------------------------------------------------------------------------------


def route(texts: tuple[str, ...], greedy: str | None, threshold: float | None) -> Answer:
    protocol = Protocol(
        name="routed",
        solver=route_by_agreement,
        draws=len(texts),
        temperature=0.7,
        fallback=("greedy",),
        threshold=threshold,
    )
    return run(route_by_agreement, Model(*texts, greedy=greedy), protocol)


@pytest.mark.parametrize(
    ("texts", "threshold", "routed", "value"),
    [
        (("4", "4", "4", "5"), 0.75, "majority", "4"),  # a share equal to the threshold is enough
        (("4", "4", "4", "5"), 0.76, "greedy", "7"),
        (("4", "4", "5", "5"), 0.5, "majority", "4"),  # a tie goes to the first
        (("5", "4", "4", "5"), 0.5, "majority", "5"),
        (("4", "none", "none", "none"), 0.5, "greedy", "7"),  # what cannot be read stays in the denominator
        (("4", "none", "none", "none"), 0.25, "majority", "4"),
        (("none", "none", "none", "none"), 0.25, "greedy", "7"),
        (("none", "none", "none", "none"), 0.0, "majority", None),  # 0 is the plain majority
        (("4", "4", "4", "4"), 1.0, "majority", "4"),
        (("4", "4", "4", "4"), math.inf, "greedy", "7"),
        (("4", "5", "6", "7"), None, "majority", "4"),  # before the threshold is known
    ],
)
def test_routing(texts: tuple[str, ...], threshold: float | None, routed: str, value: str | None) -> None:
    answer = route(texts, "7", threshold)
    assert [final.value for final in answer.finals] == [value]
    assert answer.detail["routed_to"] == routed
    assert [final.value for final in answer.legs["greedy"]] == ["7"]
    assert answer.legs["majority"] == solve(majority_vote, *texts).finals
    assert answer.detail["greedy"] == {"how": "greedily"}


def test_thresholds_beyond_agreement_are_equal_in_floats() -> None:
    """17 of 32 is compared with 17/32: nothing is lost on the way."""
    for draws in (3, 7, 8, 10, 32, 49):
        for agreeing in range(draws + 1):
            votes = {"4": agreeing} if agreeing else {}
            assert agreement({"votes": dict(votes), "draws": draws}) >= agreeing / draws


def test_the_threshold_is_the_lowest_of_the_best() -> None:
    # agreement, majority right, greedy right
    rows = [(1.0, True, False), (0.75, True, True), (0.5, False, True), (0.5, False, False)]
    threshold, curve = choose_threshold(4, *zip(*rows, strict=True))
    assert curve == [(0.0, 50.0), (0.25, 50.0), (0.5, 50.0), (0.75, 75.0), (1.0, 75.0), (math.inf, 50.0)]
    assert threshold == 0.75


def test_routing_is_at_least_as_good_as_both_legs_where_its_threshold_was_chosen() -> None:
    shares = (0.0, 0.25, 0.5, 0.75, 1.0)
    outcomes = list(itertools.product(shares, (True, False), (True, False)))
    for size in (1, 2, 3):
        for rows in itertools.combinations(outcomes, size):
            share, majority, greedy = zip(*rows, strict=True)
            threshold, curve = choose_threshold(4, share, majority, greedy)
            best = max(accuracy for _, accuracy in curve)
            assert curve[0] == (0.0, 100 * sum(majority) / size)
            assert curve[-1] == (math.inf, 100 * sum(greedy) / size)
            routed = sum(m if s >= threshold else g for s, m, g in rows)
            assert 100 * routed / size == best


# -- likelihood ----------------------------------------------------------------------------------------

FOUR = Sample("q", "Which?", ("B",), choices=("w", "x", "y", "z"))


class Likely(Nothing):
    """An endpoint whose next token has these alternatives."""

    def __init__(self, **top: float) -> None:
        self.top = {token.replace("_", " "): value for token, value in top.items()}

    async def __call__(self, prompt: Prompt, *, draw: int = 0) -> Response:
        first = next(iter(self.top), "")
        tokens = (TokenLogprob(first, self.top[first], self.top),) if self.top else ()
        return Response(first, finish="length", logprobs=tokens)

    async def continuations(self, prompt: str, texts: Sequence[str]) -> Sequence[Likelihood]:
        return [Likelihood(text, self.top[text]) for text in texts]


def choose(ask: Ask, protocol: Protocol | None = None) -> Answer:
    protocol = protocol or Protocol(name="p", solver=choose_letter, api="completion", logprobs=5)

    async def main() -> Answer:
        return await choose_letter(FOUR, "Answer:", ask, final_number, protocol)

    return asyncio.run(main())


def test_the_likeliest_letter() -> None:
    answer = choose(Likely(_B=-0.5, _A=-1.5, _C=-2.0, _D=-3.0, E=-4.0))
    assert answer.finals == (Final("B"),)
    assert answer.detail["logprobs"] == {"A": -1.5, "B": -0.5, "C": -2.0, "D": -3.0}
    assert "bound_decides" not in answer.detail


def test_a_letter_that_was_not_returned_is_no_likelier_than_what_was() -> None:
    answer = choose(Likely(_the=-0.5, _C=-1.5, _a=-2.0, _of=-2.5, _E=-3.0))
    assert answer.finals == (Final("C"),)
    assert answer.detail["logprobs"] == {"A": None, "B": None, "C": -1.5, "D": None}


def test_without_any_letter_there_is_no_answer() -> None:
    answer = choose(Likely(_the=-0.5, _a=-1.0, _of=-2.5, _no=-3.0, _an=-3.5))
    assert answer.finals == (Final(None),)
    assert answer.detail["bound_decides"] is True


def test_an_endpoint_without_log_probabilities_ends_the_run() -> None:
    with pytest.raises(ProviderError, match="no log-probabilities") as error:
        choose(Likely())
    assert error.value.fatal


@pytest.mark.parametrize("likelihood", ["prompt", "backend"])
def test_from_the_likelihood_of_the_whole_choice(likelihood: Literal["prompt", "backend"]) -> None:
    protocol = Protocol(name="p", solver=choose_letter, api="completion", logprobs=1, likelihood=likelihood)
    answer = choose(Likely(_A=-4.0, _B=-3.0, _C=-2.0, _D=-5.0), protocol)
    assert answer.finals == (Final("C"),)
    assert answer.detail["logprobs"] == {"A": -4.0, "B": -3.0, "C": -2.0, "D": -5.0}
