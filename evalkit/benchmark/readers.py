"""From a transcript to an answer: each draw's, a majority's, the likeliest letter, or routed.

A reader is a plain function of what was asked and answered. It asks nothing and keeps nothing, so headline,
variants, a judge model's second reading and `evalkit rescore` all read the same transcript with it, as often as
they like.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from evalkit.errors import ScorerError
from evalkit.identity.declared import versioned
from evalkit.samples import JSON, Answer, Final, Sample, letters

if TYPE_CHECKING:
    from evalkit.benchmark.protocol import ProtocolSettings
    from evalkit.benchmark.transcript import Transcript
    from evalkit.models.base import Response
    from evalkit.models.likelihood import LetterScores

Extract: TypeAlias = Callable[[str, Sample], str | None]
"""(response text, sample) → the answer in canonical form, or None when there is none (unparsable)."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader is given.

    `extract`: how the answer is read from one response. `branches`: the answers under other protocols that
    were asked, each as its own protocol reads it.
    """

    transcript: Transcript
    sample: Sample
    protocol: ProtocolSettings
    extract: Extract
    branches: Mapping[str, Answer] = field(default_factory=dict)

    def final(self, response: Response) -> Final:
        """The answer in one response."""
        return Final(self.extract(response.text, self.sample), response.truncated)


Reader: TypeAlias = Callable[[Reading], Answer]


@versioned("each_draw", 1)
def each_draw(reading: Reading) -> Answer:
    """Every draw is an answer of its own: accuracy is their mean, pass@k their unbiased estimate."""
    return Answer(tuple(map(reading.final, reading.transcript.responses)))


@versioned("first_draw", 1)
def first_draw(reading: Reading) -> Answer:
    """The first draw alone: what one response is worth where many were drawn."""
    return Answer(tuple(map(reading.final, reading.transcript.responses[:1])))


@versioned("majority_vote", 1)
def majority_vote(reading: Reading) -> Answer:
    """Self-consistency (Wang et al. 2022): the most frequent answer of `draws` is the one answer.

    Answers are compared in their canonical form, so "29.00" and "29" vote together. Draws without an
    answer do not vote. A tie goes to the answer that was drawn first.
    """
    finals = [reading.final(response) for response in reading.transcript.responses]
    votes = Counter(final.value for final in finals if final.value is not None)
    # Counter keeps the order of first sight and most_common is stable: the earliest wins a tie.
    winner = votes.most_common(1)[0][0] if votes else None
    truncated = all(final.truncated for final in finals if final.value == winner)
    detail: dict[str, JSON] = {"votes": dict(votes.most_common()), "draws": len(finals)}
    return Answer((Final(winner, truncated),), detail)


@versioned("choose_letter", 1)
def choose_letter(reading: Reading) -> Answer:
    """The letter that is likeliest to come next, of as many as the sample has choices.

    Hendrycks et al. (hendrycks/test at 4450500, evaluate.py): the argmax of the log-probabilities of
    " A", " B", … as the next token; a tie goes to the earliest. `evalkit.models.likelihood` says how
    tokens are read. A letter that the endpoint did not return is known only by a bound; `bound_decides`
    stands in the detail where the choice hangs on one, and with no letter returned there is no answer
    (the original takes "A" then).
    """
    names = letters(reading.sample)
    found = _letter_scores(reading, names)
    index, bound_decides = found.best()
    detail: dict[str, JSON] = {"logprobs": dict(zip(names, found.scores, strict=True)), "form": found.form}
    if bound_decides:
        detail["bound_decides"] = True
    return Answer((Final(None if index is None else names[index]),), detail)


def _letter_scores(reading: Reading, names: str) -> LetterScores:
    from evalkit.models.likelihood import LetterScores, letter_scores

    (response,) = reading.transcript.responses
    if response.likelihoods:
        scores = tuple(likelihood.logprob for likelihood in response.likelihoods)
        return LetterScores(scores, float("-inf"), "spaced")
    if not response.logprobs:
        raise ScorerError("the response has no log-probabilities to choose a letter by")
    protocol = reading.protocol
    return letter_scores(response.logprobs[0], names, api=protocol.api, asked=protocol.logprobs)


@versioned("route_by_agreement", 1)
def route_by_agreement(reading: Reading) -> Answer:
    """Uncertainty-routed chain of thought (Gemini 1.0 report, appendix 10.2 and figure 9).

    The majority of `draws` where at least the share `threshold` of them agree, else the answer under
    `fallback`, which is greedy and without chain of thought. What the report leaves open is settled here:
    draws without an answer stay in the denominator, a tie goes to the answer that was drawn first, and a
    share equal to the threshold is enough. `choose_threshold` chooses it on the validation split; until it
    is known the majority stands for the answer. Both branches are scored beside the routed answer.
    """
    protocol = reading.protocol
    vote = majority_vote(reading)
    greedy = reading.branches[protocol.fallback[0]]
    agreed = agreement(vote.detail)
    routed = vote if protocol.threshold is None or agreed >= protocol.threshold else greedy
    detail: dict[str, JSON] = {
        **vote.detail,
        "agreement": agreed,
        "routed_to": "majority" if routed is vote else "greedy",
        "greedy": greedy.detail,
    }
    return Answer(routed.finals, detail, {"majority": vote.finals, "greedy": greedy.finals})


def agreement(detail: dict[str, JSON]) -> float:
    """Share of all draws, those without an answer included, that gave the most frequent one."""
    votes, draws = detail["votes"], detail["draws"]
    assert isinstance(votes, dict)
    assert isinstance(draws, int)
    return max((count for count in votes.values() if isinstance(count, int)), default=0) / draws


def choose_threshold(
    draws: int, agreements: Sequence[float], majority: Sequence[bool], greedy: Sequence[bool]
) -> tuple[float, list[tuple[float, float]]]:
    """(threshold, curve) from validation samples: `curve` holds (threshold, accuracy in percent).

    The candidates are 0 (plain majority), 1/draws, …, 1 and `math.inf` (never: plain greedy), as many as
    there are different answers to give, so that routing is at least as good as both branches on the samples
    that it is chosen on. The best is taken, the lowest of equals. Needs at least one sample.
    """
    curve = []
    for threshold in [*(i / draws for i in range(draws + 1)), float("inf")]:
        right = sum(
            m if share >= threshold else g for share, m, g in zip(agreements, majority, greedy, strict=True)
        )
        curve.append((threshold, 100 * right / len(agreements)))
    best = max(curve, key=lambda point: point[1])  # max keeps the first of equals
    return best[0], curve
