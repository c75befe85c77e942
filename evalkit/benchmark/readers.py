"""Readers: each makes the answer of a sample from its transcript.

The answer may be that of each draw, that of the majority, the likeliest letter, or routed. A reader is a
plain function of the transcript: it sends no request and keeps no state. So the headline, the variants, a
model extractor and `evalkit rescore` can all read the same transcript with it, any number of times.
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
"""(response text, sample) → the answer in canonical form, or None if no answer is found (unparsable)."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The input of a reader.

    `extract`: extracts the answer from one response. `branches`: the answers under the other protocols that
    were asked, by protocol, each read by the reader of its own protocol.
    """

    transcript: Transcript
    sample: Sample
    protocol: ProtocolSettings
    extract: Extract
    branches: Mapping[str, Answer] = field(default_factory=dict)

    def final(self, response: Response) -> Final:
        """The answer in one response."""
        return Final(self.extract(response.text, self.sample), response.truncated, response.refused)


Reader: TypeAlias = Callable[[Reading], Answer]


@versioned("each_draw", 1)
def each_draw(reading: Reading) -> Answer:
    """Each draw gives its own answer: accuracy is the mean over them, pass@k their unbiased estimate."""
    return Answer(tuple(map(reading.final, reading.transcript.responses)))


@versioned("first_draw", 1)
def first_draw(reading: Reading) -> Answer:
    """Only the first draw gives an answer: the quality of one response if several were drawn."""
    return Answer(tuple(map(reading.final, reading.transcript.responses[:1])))


@versioned("majority_vote", 1)
def majority_vote(reading: Reading) -> Answer:
    """Self-consistency (Wang et al. 2022): the most frequent answer among the draws is the answer.

    Answers are compared in their canonical form, so "29.00" and "29" count as the same vote. Draws without
    an answer do not vote. A tie goes to the answer that was drawn first.
    """
    finals = [reading.final(response) for response in reading.transcript.responses]
    votes = Counter(final.value for final in finals if final.value is not None)
    # Counter keeps the order of first occurrence and most_common is stable: the earliest wins a tie.
    winner = votes.most_common(1)[0][0] if votes else None
    voters = [final for final in finals if final.value == winner]
    truncated, refused = all(final.truncated for final in voters), all(final.refused for final in voters)
    detail: dict[str, JSON] = {"votes": dict(votes.most_common()), "draws": len(finals)}
    return Answer((Final(winner, truncated, refused),), detail)


@versioned("choose_letter", 1)
def choose_letter(reading: Reading) -> Answer:
    """The answer is the letter, among those of the sample's choices, that is likeliest to come next.

    Hendrycks et al. (hendrycks/test at 4450500, evaluate.py): the argmax of the log-probabilities of
    " A", " B", … as the next token; a tie goes to the earliest. `evalkit.models.likelihood` describes how
    tokens are read. For a letter that the endpoint did not return, only an upper bound is known; the detail
    has `bound_decides` if the choice depends on such a bound. If no letter was returned there is no answer
    (the original takes "A" then).
    """
    from evalkit.models.likelihood import something_else

    names = letters(reading.sample)
    if any(response.refused and not response.logprobs for response in reading.transcript.responses):
        return Answer((Final(None, refused=True),))
    scores = _letter_scores(reading, names)
    index, bound_decides = scores.best()
    if index is None and (first := something_else(reading.transcript.responses[0])):
        raise ScorerError(
            f"none of the letters is among the likeliest next tokens, and the likeliest is {first!r}: the "
            "model says something else before its answer (use a protocol that reads the response's text)"
        )
    detail: dict[str, JSON] = {"logprobs": dict(zip(names, scores.scores, strict=True)), "form": scores.form}
    if bound_decides:
        detail["bound_decides"] = True
    return Answer((Final(None if index is None else names[index]),), detail)


ANOTHER = "another continuation"
"""The answer of `greedy_reference` if the reference is not what greedy decoding gives."""
BY_BYTES, WHOLE = "by bytes", "unnormalised"


@versioned("choose_continuation", 1)
def choose_continuation(reading: Reading) -> Answer:
    """The answer is the letter of the choice whose text is the likeliest continuation for its length.

    The log-probability of a text is divided by the number of its characters, as in `acc_norm` of
    lm-evaluation-harness 0.4.13 (api/task.py); the blank before the text is not counted. The branch
    `by bytes` divides by the number of its bytes in UTF-8 (`acc_bytes`), the branch `unnormalised` by nothing
    (`acc`). A tie goes to the earliest. A text without characters is never the answer of the first two.
    """
    (response,) = reading.transcript.responses
    names, texts = letters(reading.sample), reading.sample.choices
    if response.refused:
        final = (Final(None, refused=True),)
        return Answer(final, {}, {BY_BYTES: final, WHOLE: final})
    scores = [likelihood.logprob for likelihood in response.likelihoods]
    if len(scores) != len(texts):
        raise ScorerError(f"the response has {len(scores)} likelihoods for {len(texts)} choices")
    lengths = {
        "": [len(text) for text in texts],
        BY_BYTES: [len(text.encode("utf-8")) for text in texts],
        WHOLE: [1 for _ in texts],
    }
    chosen: dict[str, tuple[Final, ...]] = {}
    for name, counts in lengths.items():
        rates = [score / n if n else float("-inf") for score, n in zip(scores, counts, strict=True)]
        chosen[name] = (Final(names[rates.index(max(rates))]),)
    detail: dict[str, JSON] = {"logprobs": dict(zip(names, scores, strict=True))}
    return Answer(chosen.pop(""), detail, chosen)


@versioned("greedy_reference", 1)
def greedy_reference(reading: Reading) -> Answer:
    """The answer is the sample's reference if greedy decoding gives it, token by token, else another one.

    This is the `acc` of output type `loglikelihood` in lm-evaluation-harness 0.4.13 (api/task.py). The detail
    has the log-probability of the reference, in nats, and its number of tokens; the branch `likelihood` is
    the same answer, for metrics that need the log-probability. Raises `ScorerError` if the endpoint does not
    say which token was the likeliest.
    """
    (response,) = reading.transcript.responses
    if response.refused:
        final = (Final(None, refused=True),)
        return Answer(final, {}, {"likelihood": final})
    (found,) = response.likelihoods
    if found.greedy is None:
        raise ScorerError("the endpoint returned no likeliest token beside the tokens of the reference")
    final = (Final(reading.sample.target[0] if found.greedy else ANOTHER),)
    return Answer(final, {"logprob": found.logprob, "tokens": found.tokens}, {"likelihood": final})


def _letter_scores(reading: Reading, names: str) -> LetterScores:
    from evalkit.models.likelihood import LetterScores, letter_scores

    (response,) = reading.transcript.responses
    if response.likelihoods:
        scores = tuple(likelihood.logprob for likelihood in response.likelihoods)
        return LetterScores(scores, float("-inf"), "spaced")
    if not response.logprobs:
        raise ScorerError("the response has no log-probabilities from which a letter can be chosen")
    protocol = reading.protocol
    return letter_scores(response.logprobs[0], names, api=protocol.api, asked=protocol.logprobs)


@versioned("route_by_agreement", 1)
def route_by_agreement(reading: Reading) -> Answer:
    """Uncertainty-routed chain of thought (Gemini 1.0 report, appendix 10.2 and figure 9).

    If at least the share `threshold` of the draws agree, the answer is that of the majority, otherwise the
    answer under `fallback`, which is greedy and without chain of thought. The report leaves three points
    open, which are settled here: draws without an answer count in the denominator, a tie goes to the answer
    that was drawn first, and a share equal to the threshold is enough. `choose_threshold` chooses the
    threshold on the validation split; until it is known, the answer is the majority's. Both branches are
    scored beside the routed answer.
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
    """The share of draws that gave the most frequent answer; draws without an answer count as draws."""
    votes, draws = detail["votes"], detail["draws"]
    assert isinstance(votes, dict)
    assert isinstance(draws, int)
    return max((count for count in votes.values() if isinstance(count, int)), default=0) / draws


def choose_threshold(
    draws: int, agreements: Sequence[float], majority: Sequence[bool], greedy: Sequence[bool]
) -> tuple[float, list[tuple[float, float]]]:
    """(threshold, curve) for validation samples; `curve` holds (threshold, accuracy in percent) pairs.

    `agreements`, `majority` and `greedy` have one entry per sample, at least one: the share of draws that
    agree, and whether each branch's answer is right. The candidates are 0 (always the majority), 1/draws, …,
    1 and `math.inf` (never the majority), which covers every way to route, so that routing is at least as
    good as both branches on these samples. The result is the best candidate, the lowest in case of a tie.
    """
    curve = []
    for threshold in [*(i / draws for i in range(draws + 1)), float("inf")]:
        right = sum(
            m if share >= threshold else g for share, m, g in zip(agreements, majority, greedy, strict=True)
        )
        curve.append((threshold, 100 * right / len(agreements)))
    best = max(curve, key=lambda point: point[1])  # max returns the first of several maxima
    return best[0], curve
