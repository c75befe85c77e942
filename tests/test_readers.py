"""From transcripts to answers."""

from __future__ import annotations

import itertools
import math

import pytest

from evalkit.benchmark.protocol import Protocol
from evalkit.benchmark.readers import (
    Reader,
    Reading,
    agreement,
    choose_letter,
    choose_threshold,
    each_draw,
    first_draw,
    majority_vote,
    route_by_agreement,
)
from evalkit.benchmark.transcript import Transcript, Turn
from evalkit.errors import ScorerError
from evalkit.models.base import Likelihood, Response, TokenLogprob
from evalkit.samples import Answer, Final, Sample
from evalkit.scoring import final_number

SAMPLE = Sample("one", "Which?", ())


def said(text: str) -> Response:
    """What begins with "~" is cut at max_tokens."""
    return Response(text.lstrip("~"), finish="length" if text.startswith("~") else "stop")


def read(reader: Reader, *texts: str) -> Answer:
    protocol = Protocol(name="p", draws=len(texts), temperature=0.7)
    turns = [Turn(said(text), draw) for draw, text in enumerate(texts)]
    # Draws answer in any order; the order is the draws', not the answers'.
    return reader(Reading(Transcript(tuple(reversed(turns))), SAMPLE, protocol, final_number))


def test_the_last_response_of_a_draw_is_its_answer() -> None:
    turns = (Turn(said("3")), Turn(said("4"), 1), Turn(said("5")), Turn(said("6"), 0, tool="search"))
    reading = Reading(Transcript(turns), SAMPLE, Protocol(name="p"), final_number)
    assert each_draw(reading).finals == (Final("5"), Final("4"))
    assert first_draw(reading).finals == (Final("5"),)


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
    answer = read(majority_vote, *texts)
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
    (final,) = read(majority_vote, *texts).finals
    assert final.truncated is truncated


def test_every_draw_is_an_answer() -> None:
    assert read(each_draw, "4", "~so", "4", "~5") == Answer(
        (Final("4"), Final(None, truncated=True), Final("4"), Final("5", truncated=True))
    )


# -- routing -------------------------------------------------------------------------------------------


def route(texts: tuple[str, ...], greedy: str | None, threshold: float | None) -> Answer:
    protocol = Protocol(
        name="routed", draws=len(texts), temperature=0.7, fallback=("greedy",), threshold=threshold
    )
    transcript = Transcript(tuple(Turn(said(text), draw) for draw, text in enumerate(texts)))
    branches = {"greedy": Answer((Final(greedy),), {"how": "greedily"})}
    return route_by_agreement(Reading(transcript, SAMPLE, protocol, final_number, branches))


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
    assert [final.value for final in answer.branches["greedy"]] == ["7"]
    assert answer.branches["majority"] == read(majority_vote, *texts).finals
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


def choose(response: Response, **settings: object) -> Answer:
    protocol = Protocol(name="p", api="completion", logprobs=5, **settings)  # type: ignore[arg-type]
    return choose_letter(Reading(Transcript((Turn(response),)), FOUR, protocol, final_number))


def likely(**top: float) -> Response:
    """A response whose first token has these alternatives."""
    named = {token.replace("_", " "): value for token, value in top.items()}
    first = next(iter(named))
    return Response(first, finish="length", logprobs=(TokenLogprob(first, named[first], named),))


def test_the_likeliest_letter() -> None:
    answer = choose(likely(_B=-0.5, _A=-1.5, _C=-2.0, _D=-3.0, E=-4.0))
    assert answer.finals == (Final("B"),)
    assert answer.detail["logprobs"] == {"A": -1.5, "B": -0.5, "C": -2.0, "D": -3.0}
    assert "bound_decides" not in answer.detail


def test_a_letter_that_was_not_returned_is_no_likelier_than_what_was() -> None:
    answer = choose(likely(_the=-0.5, _C=-1.5, _a=-2.0, _of=-2.5, _E=-3.0))
    assert answer.finals == (Final("C"),)
    assert answer.detail["logprobs"] == {"A": None, "B": None, "C": -1.5, "D": None}


def test_without_any_letter_there_is_no_answer() -> None:
    answer = choose(likely(_the=-0.5, _a=-1.0, _of=-2.5, _no=-3.0, _an=-3.5))
    assert answer.finals == (Final(None),)
    assert answer.detail["bound_decides"] is True


def test_without_log_probabilities_no_letter_is_guessed() -> None:
    with pytest.raises(ScorerError, match="no log-probabilities"):
        choose(Response("B"))


def test_from_the_likelihoods_of_continuations() -> None:
    found = zip("ABCD", (-4.0, -3.0, -2.0, -5.0), strict=True)
    response = Response("", likelihoods=tuple(Likelihood(f" {name}", value) for name, value in found))
    answer = choose(response, likelihood="prompt")
    assert answer.finals == (Final("C"),)
    assert answer.detail["logprobs"] == {"A": -4.0, "B": -3.0, "C": -2.0, "D": -5.0}
