"""What is asked for a sample: once, many times, for likelihoods, under two protocols, or in turns.

A solver is a plain async function that asks. It reads no answer: whatever was asked and came back is the
sample's transcript, and a reader (`evalkit.benchmark.readers`) makes the answer of it. It retries nothing and
stores nothing: its context does that. Draws are asked together; the engine decides how many are in flight.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

from evalkit.errors import ProviderError
from evalkit.identity.declared import versioned
from evalkit.samples import Prompt, Sample, Tool, letters

if TYPE_CHECKING:
    from evalkit.benchmark.protocol import ProtocolSettings
    from evalkit.benchmark.transcript import Transcript
    from evalkit.models.base import Likelihood, Response, TokenLogprob


class Context(Protocol):
    """What a solver works with, for one sample.

    Each method raises `ProviderError` when every attempt failed.
    """

    @property
    def sample(self) -> Sample: ...

    @property
    def protocol(self) -> ProtocolSettings:
        """As the run asks it, overrides and all."""
        ...

    @property
    def prompt(self) -> Prompt:
        """The task's prompt for the sample under the protocol."""
        ...

    def ask(
        self,
        prompt: Prompt,
        *,
        draw: int = 0,
        follows: Response | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        stop: Sequence[str] | None = None,
        tools: Sequence[Tool] = (),
    ) -> Awaitable[Response]:
        """The model's response; asked for again, also by a resumed run, it is the stored one.

        `follows`: the response that the prompt was made from. What follows an answer differs from model to
        model, so it is stored and is no part of what two runs must have asked alike; everything else is.
        `temperature`, `max_tokens`, `stop`: the protocol's where None. `tools`: what the model may call
        (`Response.tool_calls`); a protocol whose solver gives some says `needs=("tools",)`.
        """
        ...

    def continuations(
        self, prompt: str, texts: Sequence[str], *, draw: int = 0
    ) -> Awaitable[tuple[Likelihood, ...]]:
        """How likely each of `texts` is after `prompt`; in one call where the backend can.

        Where that is read from the prompt's own tokens, the first call of a run shows whether the endpoint's
        figures are right; it stops where they are not.
        """
        ...

    def tokens(self, text: str, *, draw: int = 0) -> Awaitable[tuple[TokenLogprob, ...]]:
        """The log-probabilities of a text's own tokens; the first has none (nan)."""
        ...

    def tool(
        self, name: str, argument: str, run: Callable[[], Awaitable[str]], *, draw: int = 0
    ) -> Awaitable[str]:
        """What `run()` gives, stored under `name` and `argument`: a resumed run does not run it again.

        What is stored is used as it is, so what a tool keeps from call to call is not there after a resume.
        """
        ...

    def under(self, protocol: str) -> Awaitable[Transcript]:
        """Asks the same sample under another protocol of its task."""
        ...


Solver: TypeAlias = Callable[[Context], Awaitable[None]]


@versioned("ask_once", 2)
async def ask_once(context: Context) -> None:
    """Asks the prompt, once for each of the protocol's draws."""
    if context.protocol.draws == 1:
        await context.ask(context.prompt)
    else:
        await each_draw_of(context, lambda draw: context.ask(context.prompt, draw=draw))


@versioned("ask_with_fallback", 1)
async def ask_with_fallback(context: Context) -> None:
    """`ask_once`, and the sample under the protocol's `fallback`, one after the other."""
    await ask_once(context)
    await context.under(context.protocol.fallback[0])


@versioned("ask_likelihoods", 1)
async def ask_likelihoods(context: Context) -> None:
    """Asks how likely the letter of each choice is to come next.

    With `likelihood=next-token` it is one request for one token and its alternatives, else one for the
    likelihoods of all letters behind the prompt.
    """
    if context.protocol.likelihood != "next-token":
        assert isinstance(context.prompt, str)  # the protocol's api is completion
        await context.continuations(context.prompt, [f" {letter}" for letter in letters(context.sample)])
        return
    response = await context.ask(context.prompt)
    if not response.logprobs:
        raise ProviderError(
            "the endpoint returned no log-probabilities for what it generated: choose a protocol that needs "
            "none (evalkit tasks lists them), or --set fallback=… one for the greedy branch of a routed one",
            fatal=True,
        )


async def each_draw_of(context: Context, work: Callable[[int], Awaitable[object]]) -> None:
    """Does `work` for every draw of the protocol, side by side; the first failure ends the others."""

    async def one(draw: int) -> object:
        return await work(draw)

    # gather would leave the other draws running when one fails; a task group ends them.
    try:
        async with asyncio.TaskGroup() as group:
            for draw in range(context.protocol.draws):
                group.create_task(one(draw))
    except ExceptionGroup as failures:  # Python 3.11.2 wraps what except* raises
        raise failures.exceptions[0] from None
