"""What a solver sees as `ask`, for one sample, and solving it."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Awaitable, Callable
from typing import Protocol as Shape
from typing import TypeAlias

from evalkit.engine.cell import rendered
from evalkit.engine.faults import FAULTS, fault, guarded
from evalkit.errors import BoundaryError, ProviderError, SampleError, ScorerError
from evalkit.models.base import Request, Response
from evalkit.models.fake import Hints
from evalkit.protocol import Protocol
from evalkit.samples import Answer, Prompt, Sample
from evalkit.signature import combine
from evalkit.solvers import Extract
from evalkit.task import Referee, Task

HintsOf: TypeAlias = Callable[[Protocol], Hints]
"""protocol → what a perfect and a failing model would say under it; for `fake/` and the gold self-test."""


def task_hints(task: Task, sample: Sample, protocol: Protocol) -> Hints:
    """The task's own: its `gold` and the first of its `spoiled`, "" where the references are not public."""

    def gold() -> str:
        return task.gold(sample, protocol) if sample.target else ""

    def spoiled() -> str:
        return next(iter(task.spoiled(sample, protocol)), "") if sample.target else ""

    return Hints(guarded("gold", gold), guarded("spoiled", spoiled))


class Send(Shape):
    """Sends a request: `engine.ask.Line`, bound to a cell and a sample. Raises `ProviderError`.

    `hints`: for a fake model; None for a judge.
    """

    def __call__(
        self, request: Request, key: bytes, body: bytes, draw: int, hints: Hints | None
    ) -> Awaitable[Response]: ...


class Asking:
    """Asks for one sample and remembers what came back, so that another view of it costs no request."""

    def __init__(
        self,
        task: Task,
        sample: Sample,
        protocol: Protocol,
        send: Send,
        *,
        hints: HintsOf,
        seed: int = 0,
        judge: Send | None = None,
    ) -> None:
        """`protocol`: as the run asks it, overrides and all. `judge`: the way to the task's referee."""
        self._task, self._sample, self._protocol, self._send = task, sample, protocol, send
        self._hints, self._seed = hints, seed
        self._shots = protocol.shots
        self._said = hints(protocol)
        self._encoded: dict[tuple[Prompt, int], tuple[bytes, bytes]] = {}
        self._answers: dict[tuple[bytes, int], Response] = {}
        self._others: dict[str, Asking] = {}
        self._judge = judge
        self._decided: dict[str, str | None] = {}

    async def __call__(self, prompt: Prompt, *, draw: int = 0) -> Response:
        return await self._ask(prompt, draw)

    async def continuation(self, prompt: str, text: str) -> float:
        from evalkit.models.likelihood import continuation_logprob

        response = await self._ask(prompt + text, 0, tail=len(text))
        kept = sum(len(token.token) for token in response.prompt_logprobs)
        return continuation_logprob(response, kept - len(text))

    async def under(self, protocol: str) -> Answer:
        if protocol not in self._others:
            self._others[protocol] = Asking(
                self._task,
                self._sample,
                self._task.protocol(protocol),
                self._send,
                hints=self._hints,
                seed=self._seed,
                judge=self._judge,
            )
        return await self._others[protocol].solve()

    async def solve(self, extract: Extract | None = None) -> Answer:
        """The sample's answer, read with `extract` or else the task's own.

        With `Protocol.drop_shots`, asked with one shot fewer as long as the prompt is too long for the
        model; `shots` in the detail then says how many were left. Raises `BoundaryError`, or what ends the
        run (`engine.faults`).
        """
        while True:
            protocol = self._protocol
            try:
                prompt = rendered(self._task, self._sample, protocol)
                answer = await self._solved(prompt, extract, protocol)
                if not isinstance(answer, Answer) or not answer.finals:
                    raise ScorerError(f"solver: it returned no Answer with finals, but {answer!r:.80}")
            except ProviderError as error:
                if not (error.too_long and protocol.drop_shots and protocol.shots):
                    raise
                self._protocol = dataclasses.replace(protocol, shots=protocol.shots - 1)
                self._encoded.clear()  # what was refused was not asked
                continue
            except BoundaryError:
                raise
            except FAULTS as error:
                raise fault(error) from error
            if protocol.shots < self._shots:
                answer.detail["shots"] = protocol.shots
            return answer

    async def _solved(self, prompt: Prompt, extract: Extract | None, protocol: Protocol) -> Answer:
        """What the solver makes of it; what the task's rules cannot read, the referee reads."""
        if extract is not None or self._judge is None or self._task.referee is None:
            return await protocol.solver(
                self._sample, prompt, self, extract or self._task.extract(protocol), protocol
            )
        rules, open_questions = self._task.extract(protocol), set[str]()

        def read(text: str, sample: Sample) -> str | None:
            if text in self._decided:
                return self._decided[text]
            value = rules(text, sample)
            if value is None and text.strip():
                open_questions.add(text)
            return value

        answer = await protocol.solver(self._sample, prompt, self, read, protocol)
        if open_questions:
            for text in sorted(open_questions):
                self._decided[text] = await self._refereed(self._task.referee, text, self._judge)
            # Nothing is asked of the model again: its responses are remembered.
            answer = await protocol.solver(self._sample, prompt, self, read, protocol)
            answer.detail["refereed"] = len(open_questions)
        return answer

    async def _refereed(self, referee: Referee, text: str, judge: Send) -> str | None:
        request = Request(referee.prompt(text, self._sample), max_tokens=referee.max_tokens)
        reply = await judge(request, *request.encoded(), 0, None)
        return referee.read(reply.text, self._sample)

    @property
    def asked(self) -> bytes:
        """16-byte digest of the set of requests made."""
        keys = {key for key, _ in self._encoded.values()}
        return bytes.fromhex(combine([*keys, *(other.asked for other in self._others.values())]))

    async def _ask(self, prompt: Prompt, draw: int, *, tail: int = 0) -> Response:
        protocol = self._protocol
        request = Request(
            prompt=prompt,
            max_tokens=1 if tail else protocol.max_tokens,
            temperature=protocol.temperature,
            top_p=protocol.top_p,
            stop=() if tail else protocol.stop,
            # A greedy request needs no seed; a drawn one needs another for every draw.
            seed=draw_seed(self._seed, draw) if protocol.temperature > 0 else None,
            logprobs=1 if tail else protocol.logprobs,
            echo=tail > 0,
            tail=tail,
            max_pixels=protocol.max_pixels,
            resample=protocol.resample,
            frames=protocol.frames,
            frame_rule=protocol.frame_rule,
        )
        if (prompt, tail) not in self._encoded:
            try:
                self._encoded[prompt, tail] = request.encoded()
            except TypeError as error:  # half of a surrogate pair
                raise SampleError(f"prompt: {error}") from error
        key, body = self._encoded[prompt, tail]
        if (key, draw) not in self._answers:
            self._answers[key, draw] = await self._send(request, key, body, draw, self._said)
        return self._answers[key, draw]


def draw_seed(seed: int, draw: int) -> int:
    """The seed of a draw: 31 bits, unrelated between neighbouring runs and draws."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{draw}".encode()).digest()[:4]) >> 1
