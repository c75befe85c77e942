"""Solvers: each makes the requests for a sample, once, many times, for likelihoods, or under two protocols.

A solver is a plain async function that sends requests. It reads no answer: its requests and their responses
are the sample's transcript, from which a reader (`evalkit.benchmark.readers`) makes the answer. It does not
retry or store anything: its context does. Draws are requested concurrently; the engine decides how many
requests are in flight.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

from evalkit.errors import ProviderError
from evalkit.identity.declared import versioned
from evalkit.samples import JSON, Prompt, Sample, Tool, letters

if TYPE_CHECKING:
    from evalkit.benchmark.protocol import ProtocolSettings
    from evalkit.benchmark.transcript import Transcript
    from evalkit.models.base import Likelihood, Response, TokenLogprob


class Context(Protocol):
    """The interface that a solver uses, for one sample.

    Each method raises `ProviderError` if every attempt failed.
    """

    @property
    def sample(self) -> Sample: ...

    @property
    def protocol(self) -> ProtocolSettings:
        """The protocol of the run, with its overrides."""
        ...

    @property
    def prompt(self) -> Prompt:
        """The task's prompt for the sample under the protocol."""
        ...

    @property
    def harness(self) -> bool:
        """Whether the model is a class of lm-eval, which takes `lm_eval` of the methods below."""
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
        lm_eval: Mapping[str, JSON] | None = None,
    ) -> Awaitable[Response]:
        """The model's response. The same request made again, also by a resumed run, gets the stored response.

        `follows`: the response from which the prompt was made. Such a request differs from model to model,
        so it is stored but is not part of the signature, as all other requests are. `temperature`,
        `max_tokens`, `stop`: None means the protocol's. `tools`: the tools that the model may call
        (`Response.tool_calls`); a protocol whose solver offers tools has `needs=("tools",)`. `lm_eval`: see
        `Request`.
        """
        ...

    def continuations(
        self,
        prompt: Prompt,
        texts: Sequence[str],
        *,
        draw: int = 0,
        lm_eval: Mapping[str, JSON] | None = None,
    ) -> Awaitable[tuple[Likelihood, ...]]:
        """The likelihood of each of `texts` after `prompt`, in one call if the backend supports it.

        Otherwise it is read from the prompt's own tokens. The first call of a run then checks whether the
        endpoint's log-probabilities are right; the run stops if they are not. A prompt that is a chat, and
        `lm_eval` (see `Request`), are for a `harness`.
        """
        ...

    def tokens(
        self, text: str, *, draw: int = 0, alternatives: int = 1
    ) -> Awaitable[tuple[TokenLogprob, ...]]:
        """The log-probabilities of the tokens of `text`, with as many `alternatives` for each.

        That of the first token is nan, unless the server puts a token of its own before the text. Without
        alternatives the tokens of a long text take a fifth of the room in the run file.
        """
        ...

    def tool(
        self, name: str, argument: str, run: Callable[[], Awaitable[str]], *, draw: int = 0
    ) -> Awaitable[str]:
        """The result of `run()`, stored under `name` and `argument`: a resumed run does not call it again.

        A tool must not keep state between calls: a resumed run uses the stored results, so the state would
        be missing.
        """
        ...

    def under(self, protocol: str) -> Awaitable[Transcript]:
        """Asks the same sample under another protocol of its task, and returns that transcript."""
        ...


Solver: TypeAlias = Callable[[Context], Awaitable[None]]


@versioned("ask_once", 2)
async def ask_once(context: Context) -> None:
    """Sends the prompt, once for each draw of the protocol."""
    if context.protocol.draws == 1:
        await context.ask(context.prompt)
    else:
        await each_draw_of(context, lambda draw: context.ask(context.prompt, draw=draw))


@versioned("ask_with_fallback", 1)
async def ask_with_fallback(context: Context) -> None:
    """Does what `ask_once` does, then asks the sample under the protocol's `fallback`."""
    await ask_once(context)
    await context.under(context.protocol.fallback[0])


@versioned("ask_likelihoods", 1)
async def ask_likelihoods(context: Context) -> None:
    """Asks for the likelihood of the letter of each choice after the prompt.

    With `likelihood=next-token` it requests one token and its alternatives, otherwise the likelihoods of all
    letters as continuations of the prompt.
    """
    if context.protocol.likelihood != "next-token":
        assert isinstance(context.prompt, str)  # the protocol's api is completion
        await context.continuations(context.prompt, [f" {letter}" for letter in letters(context.sample)])
        return
    response = await context.ask(context.prompt)
    if not response.logprobs:
        raise ProviderError(
            "the endpoint returned no log-probabilities of the generated token: choose a protocol that does "
            "not need them (evalkit tasks lists them); for the greedy branch of a routed protocol, choose "
            "one with --set fallback=…",
            fatal=True,
        )


@versioned("ask_continuations", 1)
async def ask_continuations(context: Context) -> None:
    """Asks for the likelihood of each choice's text after the prompt, with a blank before it.

    The choices are whole texts, such as the endings of a story, so the protocol needs `api="completion"` and
    `likelihood="prompt"`.
    """
    assert isinstance(context.prompt, str)  # the protocol's api is completion
    await context.continuations(context.prompt, [f" {choice}" for choice in context.sample.choices])


@versioned("ask_reference", 1)
async def ask_reference(context: Context) -> None:
    """Asks for the likelihood of the sample's first reference after the prompt, with a blank before it."""
    assert isinstance(context.prompt, str)  # the protocol's api is completion
    await context.continuations(context.prompt, [f" {context.sample.target[0]}"])


async def each_draw_of(context: Context, work: Callable[[int], Awaitable[object]]) -> None:
    """Runs `work` for every draw of the protocol concurrently; the first failure cancels the others."""

    async def work_on(draw: int) -> object:
        return await work(draw)

    # gather would leave the other draws running if one fails; a task group cancels them.
    try:
        async with asyncio.TaskGroup() as group:
            for draw in range(context.protocol.draws):
                group.create_task(work_on(draw))
    except ExceptionGroup as failures:  # Python 3.11.2 wraps what except* raises
        raise failures.exceptions[0] from None
