"""Adds up the requests to one model for one task, for `--dry-run`: tokens and their cost."""

from __future__ import annotations

import asyncio
import heapq
from array import array
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from evalkit.errors import counted
from evalkit.models.base import Model, Request, Response
from evalkit.models.likelihood import echo_request
from evalkit.models.prices import Price
from evalkit.models.request_tokens import TextTokens, has_audio, input_tokens, most_output_tokens
from evalkit.models.text_tokens import estimated_tokens

SAMPLED = 64
"""How many prompts of a task an endpoint is asked to count."""
_AT_ONCE = 8
_END = 1
"""The token that ends a response, which servers count."""
CountOf: TypeAlias = Callable[[Model, Request], Awaitable[int]]
"""The tokens of a request's prompt, by the model's endpoint."""


@dataclass(frozen=True, slots=True)
class Counting:
    """How tokens are counted. `text`: those of a text; `named`: how, in words.

    `endpoint`: asks the endpoint of the evaluated model; None: nobody is asked. `like`: the mean tokens of a
    response in earlier runs, by (task, protocol).
    """

    text: TextTokens = estimated_tokens
    named: str = "estimated from the text"
    endpoint: CountOf | None = None
    like: Mapping[tuple[str, str], float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the requests to one model for one task take.

    `judge`: the role of a judge model; "" for the evaluated one. `answered`: requests whose responses the run
    file has already; they are not among the others. `following`: those of the requests that depend on a
    response. `skipped`: samples that cannot be asked. `input`, `output`, `most_output`: tokens. `cost`,
    `most_cost`: US dollars; None without a price.
    `input_by`, `output_by`: where the numbers come from.
    """

    task: str
    model: str
    judge: str
    requests: int
    answered: int
    following: int
    skipped: int
    input: int
    output: int
    most_output: int
    cost: float | None
    most_cost: float | None
    input_by: str
    output_by: str


class Tally:
    """The requests to `model` for `task`. `expected`: the tokens of a response, None if unknown before."""

    def __init__(
        self,
        task: str,
        model: Model,
        price: Price | None,
        counting: Counting,
        expected: float | None = None,
        judge: str = "",
    ) -> None:
        self._task, self._model, self._judge = task, model, judge
        self._price, self._counting, self._expected = price, counting, expected
        self._whole = "likelihood" in model.capabilities
        self._inputs, self._outputs, self._most = array("d"), array("d"), array("q")
        self._audio = array("b")
        self._answered = self._following = self._unknown = 0
        self.skipped = 0
        """How many samples cannot be asked, such as those whose picture cannot be decoded."""
        self._sampled: list[tuple[int, int, Request, float]] = []
        """The requests with the smallest keys, which are hashes, so that they are a random sample."""
        self._last: tuple[bytes, float] | None = None
        """The key and the tokens of the last request, which has several draws."""

    def __bool__(self) -> bool:
        """Whether there are requests."""
        return bool(self._inputs or self._answered or self.skipped)

    def add_answered(self) -> None:
        self._answered += 1

    def add(self, key: bytes, request: Request, reply: Response, *, follows: bool) -> None:
        """Adds a request, with its files as they are sent. `reply`: about what the model will respond."""
        text = reply.reasoning + reply.text
        if request.continuations and not self._whole:  # the engine asks for each of them
            for number, one in enumerate(request.continuations):
                asked = echo_request(str(request.prompt), one)
                self._add(key + number.to_bytes(4), asked, 1.0, follows=follows)
            return
        length = 1.0 if request.max_tokens <= 1 else self._counting.text(text) + _END if text else None
        self._add(key, request, length, follows=follows)

    def _add(self, key: bytes, request: Request, length: float | None, *, follows: bool) -> None:
        if self._last is None or self._last[0] != key:
            self._last = key, input_tokens(request, self._model.name, self._counting.text)
            if self._counting.endpoint is not None and not self._judge:
                self._sample(key, request, self._last[1])
        most = most_output_tokens(request)
        if self._expected is not None:
            length = self._expected
        self._unknown += length is None
        self._following += follows
        self._inputs.append(self._last[1])
        self._outputs.append(min(most, most if length is None else length))
        self._most.append(most)
        self._audio.append(has_audio(request))

    def _sample(self, key: bytes, request: Request, tokens: float) -> None:
        place = (-int.from_bytes(key), len(self._inputs), request, tokens)
        if len(self._sampled) < SAMPLED:
            heapq.heappush(self._sampled, place)
        elif place[0] > self._sampled[0][0]:
            heapq.heapreplace(self._sampled, place)

    async def estimate(self) -> Estimate:
        """Asks the endpoint for its counts, if it is to be asked, and returns the sums."""
        factor, input_by = await self._corrected()
        cost = most = None
        if self._price is not None:
            cost = most = 0.0
            rows = zip(self._inputs, self._outputs, self._most, self._audio, strict=True)
            for tokens, output, longest, audio in rows:
                cost += self._price.cost(factor * tokens, output, audio=bool(audio))
                most += self._price.cost(factor * tokens, longest, audio=bool(audio))
        return Estimate(
            self._task,
            self._model.name,
            self._judge,
            len(self._inputs),
            self._answered,
            self._following,
            self.skipped,
            round(factor * sum(self._inputs)),
            round(sum(self._outputs)),
            sum(self._most),
            cost,
            most,
            input_by,
            self._output_by(),
        )

    async def _corrected(self) -> tuple[float, str]:
        """(the factor of the estimated tokens of prompts, where the numbers come from)."""
        count = self._counting.endpoint
        if count is None or not self._sampled:
            return 1.0, self._counting.named
        places = asyncio.Semaphore(_AT_ONCE)

        async def counted(request: Request) -> int:
            async with places:
                return await count(self._model, request)

        found = await asyncio.gather(*(counted(request) for _, _, request, _ in self._sampled))
        estimated = sum(tokens for *_, tokens in self._sampled)
        return sum(found) / estimated, f"the endpoint's counts of {len(found)} of the prompts"

    def _output_by(self) -> str:
        if self._expected is not None:
            return f"{self._expected:,.4g} tokens for each response, as in the earlier run"
        if self._unknown:
            return (
                f"max_tokens for {counted(self._unknown, 'request')} without references that tell the length"
            )
        return "a reply to each question" if self._judge else "the length of the references"
