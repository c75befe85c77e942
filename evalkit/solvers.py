"""From a prompt to an answer: ask once, ask many times and vote, choose by likelihood, or route.

A solver is a plain async function. It renders nothing, retries nothing, caches nothing: `ask` does that.
Draws are asked together; `ask` decides how many are in flight.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

from evalkit.errors import ProviderError
from evalkit.identity import versioned
from evalkit.samples import JSON, Answer, Final, Prompt, Sample, letters

if TYPE_CHECKING:
    from evalkit.models.base import Likelihood, Response
    from evalkit.models.likelihood import LetterScores
    from evalkit.protocol import Protocol as AskingProtocol

Extract: TypeAlias = Callable[[str, Sample], str | None]
"""(response text, sample) → the answer in canonical form, or None when there is none (unparsable)."""


class Ask(Protocol):
    """Asks the model. Raises `ProviderError` when every attempt failed."""

    def __call__(self, prompt: Prompt, *, draw: int = 0) -> Awaitable[Response]: ...

    def continuations(self, prompt: str, texts: Sequence[str]) -> Awaitable[Sequence[Likelihood]]:
        """How likely each of `texts` is after `prompt`, in their order.

        Where that is read from the prompt's own tokens, the first call of a run shows whether the endpoint's
        figures are right; it stops where they are not.
        """
        ...

    def under(self, protocol: str) -> Awaitable[Answer]:
        """The answer to the same sample under another protocol of its task."""
        ...


Solver: TypeAlias = Callable[[Sample, Prompt, Ask, Extract, "AskingProtocol"], Awaitable[Answer]]


@versioned("ask_once", 1)
async def ask_once(
    sample: Sample, prompt: Prompt, ask: Ask, extract: Extract, protocol: AskingProtocol
) -> Answer:
    """Every draw is an answer of its own: accuracy is their mean, pass@k their unbiased estimate."""
    responses = await _draws(prompt, ask, protocol.draws)
    return Answer(tuple(Final(extract(r.text, sample), r.truncated) for r in responses))


@versioned("majority_vote", 1)
async def majority_vote(
    sample: Sample, prompt: Prompt, ask: Ask, extract: Extract, protocol: AskingProtocol
) -> Answer:
    """Self-consistency (Wang et al. 2022): the most frequent answer of `draws` is the one answer.

    Answers are compared in their canonical form, so "29.00" and "29" vote together. Draws without an
    answer do not vote. A tie goes to the answer that was drawn first.
    """
    responses = await _draws(prompt, ask, protocol.draws)
    answers = [extract(response.text, sample) for response in responses]
    votes = Counter(answer for answer in answers if answer is not None)
    # Counter keeps the order of first sight and most_common is stable: the earliest wins a tie.
    winner = votes.most_common(1)[0][0] if votes else None
    voters = [r for r, answer in zip(responses, answers, strict=True) if answer == winner]
    detail: dict[str, JSON] = {"votes": dict(votes.most_common()), "draws": len(answers)}
    return Answer((Final(winner, all(r.truncated for r in voters)),), detail)


@versioned("choose_letter", 1)
async def choose_letter(
    sample: Sample, prompt: Prompt, ask: Ask, extract: Extract, protocol: AskingProtocol
) -> Answer:
    """The letter that is likeliest to come next, of as many as the sample has choices.

    Hendrycks et al. (hendrycks/test at 4450500, evaluate.py): the argmax of the log-probabilities of
    " A", " B", … as the next token; a tie goes to the earliest. `evalkit.models.likelihood` says how
    tokens are read. A letter that the endpoint did not return is known only by a bound; `bound_decides`
    stands in the detail where the choice hangs on one, and with no letter returned there is no answer
    (the original takes "A" then).
    """
    found = await _letter_scores(letters(sample), prompt, ask, protocol)
    index, bound_decides = found.best()
    detail: dict[str, JSON] = {
        "logprobs": dict(zip(letters(sample), found.scores, strict=True)),
        "form": found.form,
    }
    if bound_decides:
        detail["bound_decides"] = True
    return Answer((Final(None if index is None else letters(sample)[index]),), detail)


async def _letter_scores(
    names: Sequence[str], prompt: Prompt, ask: Ask, protocol: AskingProtocol
) -> LetterScores:
    from evalkit.models.likelihood import LetterScores, letter_scores

    if protocol.likelihood != "next-token":
        assert isinstance(prompt, str)  # the protocol's api is completion
        found = await ask.continuations(prompt, [f" {name}" for name in names])
        return LetterScores(tuple(one.logprob for one in found), float("-inf"), "spaced")
    response = await ask(prompt)
    if not response.logprobs:
        raise ProviderError(
            "the endpoint returned no log-probabilities for what it generated: choose a protocol that needs "
            "none (evalkit tasks lists them), or --set fallback=… one for the greedy leg of a routed one",
            fatal=True,
        )
    return letter_scores(response.logprobs[0], names, api=protocol.api, asked=protocol.logprobs)


@versioned("route_by_agreement", 1)
async def route_by_agreement(
    sample: Sample, prompt: Prompt, ask: Ask, extract: Extract, protocol: AskingProtocol
) -> Answer:
    """Uncertainty-routed chain of thought (Gemini 1.0 report, appendix 10.2 and figure 9).

    The majority of `draws` where at least the share `threshold` of them agree, else the answer under
    `fallback`, which is greedy and without chain of thought. What the report leaves open is settled here:
    draws without an answer stay in the denominator, a tie goes to the answer that was drawn first, and a
    share equal to the threshold is enough. `choose_threshold` chooses it on the validation split; until it
    is known the majority stands for the answer. Both legs are judged beside the routed answer.
    """
    vote = await majority_vote(sample, prompt, ask, extract, protocol)
    greedy = await ask.under(protocol.fallback[0])
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
    there are different answers to give, so that routing is at least as good as both legs on the samples
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


async def _draws(prompt: Prompt, ask: Ask, draws: int) -> Sequence[Response]:
    if draws == 1:
        return [await ask(prompt)]
    # gather would leave the other draws running when one fails; a task group ends them.
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_one(ask, prompt, draw)) for draw in range(draws)]
    except ExceptionGroup as failures:  # Python 3.11.2 wraps what except* raises
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


async def _one(ask: Ask, prompt: Prompt, draw: int) -> Response:
    return await ask(prompt, draw=draw)
