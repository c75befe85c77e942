"""Fake models with scripted responses, for tests, for trying out evalkit, and for measuring its speed."""

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
    """The responses of a perfect and a failing model to a sample under the current protocol.

    They are computed only when they are called. Both raise `ScorerError` if the task's own function raises.
    """

    gold: Callable[[], str]
    wrong: Callable[[], str]


Script: TypeAlias = Callable[[Request, int], str | Response]
"""(request, draw) → the response, or its text."""


@dataclass(frozen=True, slots=True)
class Hinted:
    """A script that also receives the hints: (request, draw, hints) → the response, or its text."""

    script: Callable[[Request, int, Hints], str | Response]


GOLD = Hinted(lambda request, draw, hints: hints.gold())
_FIRST_TOKEN = re.compile(r"\s*(?:\w+|\S|$)")
_WORD = re.compile(r"\s*\S+|\s+$")
_LIKELIHOODS: frozenset[Capability] = frozenset({"logprobs", "echo", "likelihood"})
_END = "<|end|>"
"""The token of an empty response, like the end token of a real model."""
_SURE = 0.9
"""The probability of the first token of a response; the letters share the rest."""
_LETTERS = "ABCDEFGHIJ"


@final
class FakeModel:
    """A model that answers by a script. It is the only model that receives hints.

    The engine calls `generate_hinted` only for this class, which cannot be subclassed.

    `wrong`: the share of requests that get the task's wrong response instead.
    `errors`: the share of attempts that fail with a retryable error; a retry counts as a new attempt.
    `delay`: seconds before each response. Random choices depend only on `seed`, request and draw, so a run
    is reproducible.
    `logprobs`: whether it returns log-probabilities: of the first token, with letters as alternatives; of a
    prompt's tokens, with invented values; and of continuations, where its response is the likeliest one.
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
                raise UsageError(f"{name}: {label} must be between 0 and 1, not {share}")
        if not 0 <= delay < math.inf:
            raise UsageError(f"{name}: delay must be a finite number of seconds, at least 0, not {delay}")
        self.name = self._decides = name
        given = capabilities_of("fake")
        self.capabilities: frozenset[Capability] = given if logprobs else given - _LIKELIHOODS
        self.asked = 0
        """The number of attempts so far."""
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
        """Answers without hints. Raises `ProviderError` if the script needs them."""
        return await self.generate_hinted(request, None, draw=draw)

    async def generate_hinted(self, request: Request, hints: Hints | None, *, draw: int = 0) -> Response:
        """Answers with the `hints` of the sample; None if there is no sample, as for a judge."""
        self.asked += 1
        if self._delay:
            await asyncio.sleep(self._delay)
        if self._errors:
            key = request.encoded()[0] + draw.to_bytes(4)
            self._attempts[key] = attempt = self._attempts.get(key, 0) + 1
            if self._chance("error", request, draw, attempt) < self._errors:
                raise ProviderError("an error as ordered", retryable=True, throttled=True)
        if self._wrong and self._chance("wrong", request, draw, 0) < self._wrong:
            scripted: str | Response = self._known(hints).wrong()
        elif isinstance(self._script, Hinted):
            scripted = self._script.script(request, draw, self._known(hints))
        else:
            scripted = self._script(request, draw)
        response = scripted if isinstance(scripted, Response) else Response(scripted)
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
                f"{self.name} answers with the references of a task's sample, and here there is no sample: "
                "it cannot be a judge",
                fatal=True,
            )
        return hints

    def _chance(self, kind: str, request: Request, draw: int, attempt: int) -> float:
        text = orjson.dumps([kind, self._seed, request.body(), draw, attempt])
        return int.from_bytes(hashlib.sha256(text).digest()[:8]) / 2**64


def _first_token(text: str, alternatives: int) -> TokenLogprob:
    """The first token of `text` as the likeliest one, then letters in the same form, " B" if it is " A"."""
    match = _FIRST_TOKEN.match(text)
    first = match[0] if match and match[0] else _END
    space = first[: len(first) - len(first.lstrip())]
    others = [space + letter for letter in _LETTERS if space + letter != first]
    top = {first: math.log(_SURE)} | dict.fromkeys(others, math.log((1 - _SURE) / len(others)))
    return TokenLogprob(first, top[first], dict(list(top.items())[:alternatives]))


def _likelihoods(response: str, texts: Sequence[str]) -> tuple[Likelihood, ...]:
    """`_SURE` for the text that equals `response`, except for spaces; the others share the rest.

    A text has as many tokens as words.
    """
    share = (1 - _SURE) / len(texts)
    chosen = [text.strip() == response.strip() for text in texts]
    return tuple(
        Likelihood(text, math.log(_SURE if right else share), len(text.split()), right)
        for text, right in zip(texts, chosen, strict=True)
    )


def _tokens(prompt: str) -> tuple[TokenLogprob, ...]:
    """The words of `prompt`, each with a value that depends on the text before it; the first has nan."""
    tokens: list[TokenLogprob] = []
    before = hashlib.sha256()
    for word in _WORD.findall(prompt):
        logprob = -4 * before.digest()[0] / 255 if tokens else math.nan
        before.update(word.encode())
        tokens.append(TokenLogprob(word, logprob, {word: logprob} if tokens else {}))
    return tuple(tokens)


def _echo(request: Request, draw: int) -> str:
    if isinstance(request.prompt, Speech):
        return ""
    return request.prompt if isinstance(request.prompt, str) else request.prompt[-1].text


def open_fake(named: Named) -> FakeModel:
    """Opens `fake/gold`, `fake/echo` or `fake/fixed?text=…`, each with the options of `FakeModel`."""
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
    model.name = named.typed  # as typed, including options that do not decide the responses
    return model
