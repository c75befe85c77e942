"""The context that a solver gets for one sample (`benchmark.solvers.Context`), with the transcript."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias
from typing import Protocol as Shape

import orjson

from evalkit.benchmark.protocol import Protocol
from evalkit.benchmark.signature import combine
from evalkit.benchmark.task import Task
from evalkit.benchmark.transcript import Transcript, Turn
from evalkit.engine.cell import branch_of, rendered, with_system
from evalkit.engine.faults import FAULTS, fault, guarded
from evalkit.errors import BoundaryError, ProviderError, SampleError, ScorerError, ToolError
from evalkit.models.base import Likelihood, Request, Response, TokenLogprob
from evalkit.models.fake import Hints
from evalkit.samples import JSON, Prompt, Sample, Tool

HintsOf: TypeAlias = Callable[[Protocol], Hints]
"""protocol → the responses of a perfect and of a failing model; for `fake/` and `evalkit check`."""
RunTool: TypeAlias = Callable[[], Awaitable[str]]


def task_hints(task: Task, sample: Sample, protocol: Protocol) -> Hints:
    """Returns the task's `gold` and the first of its `wrong_responses`; "" if it has none for the sample."""
    known = bool(sample.target) or task.reference_free

    def gold() -> str:
        return task.gold(sample, protocol) if known else ""

    def wrong() -> str:
        return next(iter(task.wrong_responses(sample, protocol)), "") if known else ""

    return Hints(guarded("gold", gold), guarded("wrong_responses", wrong))


class Call(NamedTuple):
    """A call of a model or a tool for a sample. `key`, `body`: as `Request.encoded` returns them.

    `request`: None for a tool. `branch`: the protocols that led to the call, "" for the cell's own. `hints`:
    for a fake model; None for a judge model and for a tool. `follows`: whether it depends on a response.
    """

    key: bytes
    body: bytes
    draw: int
    request: Request | None = None
    branch: str = ""
    hints: Callable[[], Hints] | None = None
    follows: bool = False


class Channel(Shape):
    """Where a sample's calls go: `engine.client.ModelClient` and the run file, for one cell and sample."""

    def send(self, call: Call) -> Awaitable[Response]:
        """Returns the stored response, or else the model's. Raises `ProviderError`."""
        ...

    def run(self, call: Call, tool: RunTool) -> Awaitable[Response]:
        """Returns the stored result, or else the result of `tool`. Raises what `tool` raises."""
        ...

    def stored(self, call: Call) -> Response | None:
        """Returns the stored response, or None."""
        ...


class SampleContext:
    """Sends one sample's requests under one protocol and records them with their responses."""

    def __init__(
        self,
        task: Task,
        sample: Sample,
        protocol: Protocol,
        channel: Channel,
        *,
        hints: HintsOf,
        seed: int = 0,
        branch: str = "",
        harness: bool = False,
    ) -> None:
        """`protocol`: the run's protocol, with its overrides. `harness`: as `Context.harness`."""
        self.sample, self._protocol = sample, protocol
        self._task, self._channel, self._hints = task, channel, hints
        self._seed, self._branch, self._harness = seed, branch, harness
        self._said = functools.partial(hints, protocol)
        self._prompt: Prompt | None = None
        self._encoded: dict[tuple[object, ...], tuple[bytes, bytes]] = {}
        self._turns: dict[tuple[bytes, int], Turn | None] = {}
        self._first: set[bytes] = set()
        self._tools: dict[tuple[str, str, int], int] = {}
        self._others: dict[str, SampleContext] = {}

    @property
    def protocol(self) -> Protocol:
        return self._protocol

    @property
    def harness(self) -> bool:
        return self._harness

    @property
    def prompt(self) -> Prompt:
        if self._prompt is None:
            self._prompt = rendered(self._task, self.sample, self._protocol)
        return self._prompt

    @property
    def transcript(self) -> Transcript:
        """The responses so far, in the order of their requests."""
        return Transcript(
            tuple(turn for turn in self._turns.values() if turn is not None),
            {name: other.transcript for name, other in self._others.items()},
        )

    @property
    def asked(self) -> bytes:
        """16-byte digest of the set of requests that do not depend on a response."""
        return bytes.fromhex(combine([*self._first, *(other.asked for other in self._others.values())]))

    async def solve(self) -> None:
        """Runs the protocol's solver.

        With `Protocol.drop_shots`, it runs again with one shot fewer as long as the prompt is too long for
        the model. Raises `BoundaryError`, or what ends the run (`engine.faults`).
        """
        while True:
            try:
                await self._protocol.solver(self)
            except ProviderError as error:
                if not (error.too_long and self._protocol.drop_shots and self._protocol.shots):
                    raise
                self._drop_a_shot()
            except BoundaryError:
                raise
            except FAULTS as error:
                raise fault(error, "solver") from error
            else:
                break
        if not any(turn is not None for turn in self._turns.values()) and not self._others:
            raise ScorerError("solver: must send at least one request")

    def _drop_a_shot(self) -> None:
        self._protocol = dataclasses.replace(self._protocol, shots=self._protocol.shots - 1)
        self._prompt = None
        for noted in (self._encoded, self._turns, self._first, self._tools, self._others):
            noted.clear()  # the refused requests do not count

    async def ask(
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
    ) -> Response:
        protocol = self._protocol
        heat = protocol.temperature if temperature is None else temperature
        request = Request(
            prompt=with_system(prompt, protocol.system),
            max_tokens=protocol.max_tokens if max_tokens is None else max_tokens,
            temperature=heat,
            top_p=protocol.top_p,
            stop=protocol.stop if stop is None else tuple(stop),
            # A greedy request needs no seed. A sampled one needs a different seed for every draw.
            seed=draw_seed(self._seed, draw) if heat > 0 else None,
            logprobs=protocol.logprobs,
            max_pixels=protocol.max_pixels,
            resample=protocol.resample,
            frames=protocol.frames,
            frame_rule=protocol.frame_rule,
            tools=tuple(tools),
            extra=protocol.parameters,
            lm_eval=lm_eval or {},
        )
        return await self._ask(request, draw, first=follows is None)

    async def continuations(
        self,
        prompt: Prompt,
        texts: Sequence[str],
        *,
        draw: int = 0,
        lm_eval: Mapping[str, JSON] | None = None,
    ) -> tuple[Likelihood, ...]:
        given = tuple(texts)
        request = Request(prompt=prompt, max_tokens=0, continuations=given, lm_eval=lm_eval or {})
        return (await self._ask(request, draw)).likelihoods

    async def tokens(self, text: str, *, draw: int = 0, alternatives: int = 1) -> tuple[TokenLogprob, ...]:
        request = Request(prompt=text, max_tokens=1, logprobs=alternatives, echo=True)
        return (await self._ask(request, draw)).prompt_logprobs

    async def tool(self, name: str, argument: str, run: RunTool, *, draw: int = 0) -> str:
        nth = self._tools[name, argument, draw] = self._tools.get((name, argument, draw), 0) + 1
        body = orjson.dumps(
            {
                "api": "tool",
                "tool": name,
                "prompt": argument,
                "sample": self.sample.id,
                "of": f"{self._task.name}:{self._protocol.name}",
                "branch": self._branch,
                "nth": nth,
            },
            option=orjson.OPT_SORT_KEYS,
        )
        call = Call(hashlib.sha256(body).digest()[:16], body, draw, branch=self._branch)

        async def checked() -> str:
            try:
                found = await run()
            except BoundaryError:
                raise
            except FAULTS as error:
                raise fault(error, f"tool {name}", ToolError) from error
            if not isinstance(found, str):
                raise ToolError(f"tool {name}: must return a text, not {type(found).__name__}")
            return found

        self._turns.setdefault((call.key, draw))
        response = await self._channel.run(call, checked)
        self._turns[call.key, draw] = Turn(response, draw, name)
        return response.text

    async def under(self, protocol: str) -> Transcript:
        if protocol not in self._others:
            self._others[protocol] = SampleContext(
                self._task,
                self.sample,
                branch_of(self._task, self._protocol, protocol),
                self._channel,
                hints=self._hints,
                seed=self._seed,
                branch="/".join(filter(None, (self._branch, protocol))),
                harness=self._harness,
            )
            await self._others[protocol].solve()
        return self._others[protocol].transcript

    async def _ask(self, request: Request, draw: int, *, first: bool = True) -> Response:
        key, body = self._encode(request)
        known = self._turns.get((key, draw))
        if known is not None:
            return known.response
        self._turns.setdefault((key, draw))  # turns are ordered by request, not by response
        call = Call(key, body, draw, request, self._branch, self._said, not first)
        response = await self._channel.send(call)
        self._turns[key, draw] = Turn(response, draw)
        if first:
            self._first.add(key)
        return response

    def _encode(self, request: Request) -> tuple[bytes, bytes]:
        """Returns the request's key and body, computed once for all draws."""
        if self._protocol.draws == 1:
            return _encoded(request)
        what: tuple[object, ...]
        what = (request.prompt, request.max_tokens, request.temperature, request.stop)
        what = (*what, request.echo, request.logprobs, request.continuations, request.tools)
        what = (*what, repr(request.lm_eval))
        if what not in self._encoded:
            self._encoded[what] = _encoded(request)
        return self._encoded[what]


def _encoded(request: Request) -> tuple[bytes, bytes]:
    try:
        return request.encoded()
    except TypeError as error:  # an unpaired surrogate
        raise SampleError(f"prompt: {error}") from error


def draw_seed(seed: int, draw: int) -> int:
    """Returns the seed of a draw: 31 bits, unrelated between neighbouring runs and draws."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{draw}".encode()).digest()[:4]) >> 1
