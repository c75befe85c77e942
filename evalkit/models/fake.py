"""Models that do what they are told: for tests, for trying evalkit, for measuring it."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, final

import orjson

from evalkit.errors import ProviderError, UsageError, unknown
from evalkit.models.base import Capability, Likelihood, Request, Response, TokenLogprob
from evalkit.models.registry import Named, capabilities_of
from evalkit.samples import JSON, Speech


@dataclass(frozen=True, slots=True)
class Hints:
    """What a perfect and a failing model would say to a sample under the protocol that asks.

    Worked out when it is called for and never before. Both raise `ScorerError` where the task's own
    function raises.
    """

    gold: Callable[[], str]
    wrong_responses: Callable[[], str]


Script: TypeAlias = Callable[[Request, int], str | Response]
"""(request, draw) → what to say."""


@dataclass(frozen=True, slots=True)
class Hinted:
    """A script that is also given the hints: (request, draw, hints) → what to say."""

    script: Callable[[Request, int, Hints], str | Response]


GOLD = Hinted(lambda request, draw, hints: hints.gold())
_FIRST_TOKEN = re.compile(r"\s*(?:\w+|\S|$)")
_WORD = re.compile(r"\s*\S+|\s+$")
_LIKELIHOODS: frozenset[Capability] = frozenset({"logprobs", "echo", "likelihood"})
_END = "<|end|>"
"""The token of an answer without text, as of a real model that has nothing to say."""
_SURE = 0.9
"""Probability of the first token of what is said; letters share the rest."""
_LETTERS = "ABCDEFGHIJ"


@final
class FakeModel:
    """Answers by a script, and is the only model that is ever given hints.

    The engine asks it by `generate_hinted`, and a model of no other class, derived ones included.

    `wrong`: share of requests answered with the task's wrong response instead.
    `errors`: share of attempts that fail with a retryable error; a request's next attempt is another.
    `delay`: seconds before each answer. Shares are drawn from `seed`, request and draw, so a run repeats.
    `logprobs`: whether it gives log-probabilities: those of the first token, with letters as alternatives;
    those of a prompt's tokens, which are made up; and of continuations, where what it says is the likeliest.
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
        given = capabilities_of("fake")
        self.capabilities: frozenset[Capability] = given if logprobs else given - _LIKELIHOODS
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
        if self._delay:
            await asyncio.sleep(self._delay)
        if self._errors:
            key = request.encoded()[0] + draw.to_bytes(4)
            self._attempts[key] = attempt = self._attempts.get(key, 0) + 1
            if self._chance("error", request, draw, attempt) < self._errors:
                raise ProviderError("an error as ordered", retryable=True, throttled=True)
        if self._wrong and self._chance("wrong", request, draw, 0) < self._wrong:
            said: str | Response = self._known(hints).wrong()
        elif isinstance(self._script, Hinted):
            said = self._script.script(request, draw, self._known(hints))
        else:
            said = self._script(request, draw)
        response = said if isinstance(said, Response) else Response(said)
        if request.continuations and not response.likelihoods:
            return Response("", likelihoods=_likelihoods(response.text, request.continuations))
        if request.echo and not response.prompt_logprobs:
            response = dataclasses.replace(response, prompt_logprobs=_tokens(str(request.prompt)))
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


def _likelihoods(said: str, texts: Sequence[str]) -> tuple[Likelihood, ...]:
    """`_SURE` of what is said, spaces apart, the rest shared by the others; as many tokens as words."""
    share = (1 - _SURE) / len(texts)
    chosen = [text.strip() == said.strip() for text in texts]
    return tuple(
        Likelihood(text, math.log(_SURE if right else share), len(text.split()), right)
        for text, right in zip(texts, chosen, strict=True)
    )


def _tokens(prompt: str) -> tuple[TokenLogprob, ...]:
    """Its words, each with a figure that depends on all that stands before it; the first has none."""
    found: list[TokenLogprob] = []
    before = hashlib.sha256()
    for word in _WORD.findall(prompt):
        logprob = -4 * before.digest()[0] / 255 if found else math.nan
        before.update(word.encode())
        found.append(TokenLogprob(word, logprob, {word: logprob} if found else {}))
    return tuple(found)


def _echo(request: Request, draw: int) -> str:
    if isinstance(request.prompt, Speech):
        return ""
    return request.prompt if isinstance(request.prompt, str) else request.prompt[-1].text


def open_fake(named: Named) -> FakeModel:
    """`fake/gold`, `fake/echo`, `fake/fixed?text=…`, each with the options of `FakeModel`."""
    options = dict(named.options)
    text = options.pop("text", "")
    scripts: dict[str, Script | Hinted] = {
        "gold": GOLD,
        "echo": _echo,
        "fixed": lambda request, draw: text,
    }
    if named.name not in scripts:
        raise unknown("fake model", named.name, scripts)
    decides = f"fake/{named.name}" + (f"?text={text}" if text else "")
    model = FakeModel(scripts[named.name], decides, **options)
    model.name = named.typed  # as typed, with what does not decide the answers
    return model
