"""From a prompt to an answer: ask once, or ask many times and vote.

A solver is a plain async function. It renders nothing, retries nothing, caches nothing: `ask` does that.
Draws are asked together; `ask` decides how many are in flight.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

from evalkit.samples import JSON, Answer, Final, Prompt, Sample

if TYPE_CHECKING:
    from evalkit.models.base import Response
    from evalkit.protocol import Protocol as AskingProtocol

Extract: TypeAlias = Callable[[str, Sample], str | None]
"""(response text, sample) → the answer in canonical form, or None when there is none (unparsable)."""


class Ask(Protocol):
    """Asks the model. Raises `ProviderError` when every attempt failed."""

    def __call__(self, prompt: Prompt, *, draw: int = 0) -> Awaitable[Response]: ...


Solver: TypeAlias = Callable[[Sample, Prompt, Ask, Extract, "AskingProtocol"], Awaitable[Answer]]


async def ask_once(
    sample: Sample, prompt: Prompt, ask: Ask, extract: Extract, protocol: AskingProtocol
) -> Answer:
    """Every draw is an answer of its own: accuracy is their mean, pass@k their unbiased estimate."""
    responses = await _draws(prompt, ask, protocol.draws)
    return Answer(tuple(Final(extract(r.text, sample), r.truncated) for r in responses))


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
