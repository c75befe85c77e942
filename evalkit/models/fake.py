"""Models that do what they are told: for tests, for trying evalkit, for measuring it."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, final

import orjson

from evalkit.errors import ProviderError, UsageError, unknown
from evalkit.models.base import Capability, Request, Response, TokenLogprob
from evalkit.samples import JSON, Speech


@dataclass(frozen=True, slots=True)
class Hints:
    """What a perfect and a failing model would say to a sample under the protocol that asks.

    Worked out when it is called for and never before. Both raise `ScorerError` where the task's own
    function raises.
    """

    gold: Callable[[], str]
    spoiled: Callable[[], str]


Script: TypeAlias = Callable[[Request, int], str | Response]
"""(request, draw) → what to say."""


@dataclass(frozen=True, slots=True)
class Hinted:
    """A script that is also given the hints: (request, draw, hints) → what to say."""

    script: Callable[[Request, int, Hints], str | Response]


GOLD = Hinted(lambda request, draw, hints: hints.gold())
_FIRST_TOKEN = re.compile(r"\s*(?:\w+|\S|$)")
_END = "<|end|>"
"""The token of an answer without text, as of a real model that has nothing to say."""
_SURE = 0.9
"""Probability of the first token of what is said; letters share the rest."""
_LETTERS = "ABCDEFGHIJ"


@final
class FakeModel:
    """Answers by a script, and is the only model that is ever given hints.

    The engine asks it by `generate_hinted`, and a model of no other class, derived ones included.

    `wrong`: share of requests answered with the task's spoiled response instead.
    `errors`: share of attempts that fail with a retryable error; a request's next attempt is another.
    `delay`: seconds before each answer. Shares are drawn from `seed`, request and draw, so a run repeats.
    `logprobs`: whether it gives log-probabilities; those of the first token, with letters as alternatives.
    """

    parallel: int | None = None

    def __init__(
        self,
        script: Script | Hinted,
        name: str = "fake/callable",
        *,
        wrong: float = 0.0,
        errors: float = 0.0,
        delay: float = 0.0,
        seed: int = 0,
        logprobs: bool = True,
    ) -> None:
        for label, share in (("wrong", wrong), ("errors", errors)):
            if not 0 <= share <= 1:
                raise UsageError(f"{name}: {label}={share} is no share between 0 and 1")
        if not 0 <= delay < math.inf:
            raise UsageError(f"{name}: delay={delay} is no number of seconds")
        self.name = self._decides = name
        given: frozenset[Capability] = frozenset({"chat", "completion", "transcription", "image", "audio"})
        self.capabilities: frozenset[Capability] = given | ({"logprobs"} if logprobs else set())
        self.asked = 0
        """Attempts so far."""
        self._script = script
        self._wrong, self._errors, self._delay, self._seed = wrong, errors, delay, seed
        self._attempts: dict[bytes, int] = {}

    @property
    def identity(self) -> dict[str, JSON]:
        identity: dict[str, JSON] = {"backend": "fake", "model": self._decides}
        identity |= {"wrong": self._wrong, "seed": self._seed}
        if "logprobs" not in self.capabilities:
            identity["logprobs"] = False
        return identity

    async def generate(self, request: Request, *, draw: int = 0) -> Response:
        """Raises `ProviderError` where it could only say what the hints say."""
        return await self.generate_hinted(request, None, draw=draw)

    async def generate_hinted(self, request: Request, hints: Hints | None, *, draw: int = 0) -> Response:
        """`hints`: of the sample that is asked; None where there is none, as for a judge."""
        self.asked += 1
        if request.echo:
            raise ProviderError(
                "fake/ has no log-probabilities of prompts: --set likelihood=next-token", fatal=True
            )
        if self._delay:
            await asyncio.sleep(self._delay)
        if self._errors:
            key = request.encoded()[0] + draw.to_bytes(4)
            self._attempts[key] = attempt = self._attempts.get(key, 0) + 1
            if self._chance("error", request, draw, attempt) < self._errors:
                raise ProviderError("an error as ordered", retryable=True, throttled=True)
        if self._wrong and self._chance("wrong", request, draw, 0) < self._wrong:
            said: str | Response = self._known(hints).spoiled()
        elif isinstance(self._script, Hinted):
            said = self._script.script(request, draw, self._known(hints))
        else:
            said = self._script(request, draw)
        response = said if isinstance(said, Response) else Response(said)
        if request.logprobs and "logprobs" in self.capabilities and not response.logprobs:
            response = dataclasses.replace(
                response, logprobs=(_first_token(response.text, request.logprobs),)
            )
        return response

    async def aclose(self) -> None:
        return None

    def _known(self, hints: Hints | None) -> Hints:
        if hints is None:
            raise ProviderError(
                f"{self.name} says what a task's references say, and here is no sample of a task: "
                "it cannot be a judge",
                fatal=True,
            )
        return hints

    def _chance(self, kind: str, request: Request, draw: int, attempt: int) -> float:
        text = orjson.dumps([kind, self._seed, request.body(), draw, attempt])
        return int.from_bytes(hashlib.sha256(text).digest()[:8]) / 2**64


def _first_token(text: str, alternatives: int) -> TokenLogprob:
    """The first token of `text` as the likeliest, then letters in the same form, " B" beside " A"."""
    match = _FIRST_TOKEN.match(text)
    said = match[0] if match and match[0] else _END
    space = said[: len(said) - len(said.lstrip())]
    others = [space + letter for letter in _LETTERS if space + letter != said]
    top = {said: math.log(_SURE)} | dict.fromkeys(others, math.log((1 - _SURE) / len(others)))
    return TokenLogprob(said, top[said], dict(list(top.items())[:alternatives]))


def _echo(request: Request, draw: int) -> str:
    if isinstance(request.prompt, Speech):
        return ""
    return request.prompt if isinstance(request.prompt, str) else request.prompt[-1].text


def open_fake(typed: str, name: str, options: dict[str, str]) -> FakeModel:
    """`fake/gold`, `fake/echo`, `fake/fixed?text=…`, each with the options of `FakeModel`."""
    text = options.pop("text", "")
    logprobs = options.pop("logprobs", "on")
    if logprobs not in ("on", "off"):
        raise UsageError(f"fake/{name}: logprobs={logprobs} is neither on nor off")
    scripts: dict[str, Script | Hinted] = {
        "gold": GOLD,
        "echo": _echo,
        "fixed": lambda request, draw: text,
    }
    if name not in scripts:
        raise unknown("fake model", name, scripts)
    numbers: dict[str, float] = {}
    for key, value in options.items():
        if key not in ("wrong", "errors", "delay", "seed"):
            raise unknown("option of fake", key, ("text", "wrong", "errors", "delay", "seed", "logprobs"))
        try:
            numbers[key] = int(value) if key == "seed" else float(value)
        except ValueError:
            raise UsageError(f"fake/{name}?{key}={value}: not a number") from None
    seed = int(numbers.pop("seed", 0))
    decides = f"fake/{name}" + (f"?text={text}" if text else "")
    model = FakeModel(scripts[name], decides, seed=seed, logprobs=logprobs == "on", **numbers)
    model.name = f"fake/{typed}"  # as typed, with what does not decide the answers
    return model
