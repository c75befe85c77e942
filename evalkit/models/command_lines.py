"""The lines between evalkit and a program of `command:`, as docs/command.md describes them."""

from __future__ import annotations

import dataclasses
import math
import mimetypes
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, cast

import orjson

from evalkit.convert import from_json
from evalkit.errors import ProviderError, UsageError, unknown
from evalkit.models.base import (
    CAPABILITIES,
    MOST_TOKENS,
    Capability,
    Finish,
    Likelihood,
    Request,
    Response,
    TokenLogprob,
)
from evalkit.models.bodies import one_line
from evalkit.samples import JSON, Message, Shown, Speech, ToolCall

VERSION = 1
LONGEST = 64 << 20
"""The most bytes of a line of a program."""
_KNOWN = frozenset(CAPABILITIES) - {"lm-eval"}
_SHOWN = 80
_MOST = 4096
"""The most requests that a program may get at once."""
_NOT_SENT = ("max_pixels", "resample", "frames", "frame_rule")
"""What evalkit has already done with the media."""
_ROUNDED = 0.01
"""The most by which rounding lifts the logarithm of a probability above 0."""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """The first line of a program. `evalkit`: the version of the protocol."""

    evalkit: int
    capabilities: tuple[str, ...] = ("chat",)
    parallel: int = 1
    identity: Mapping[str, JSON] = field(default_factory=dict)

    @property
    def able(self) -> frozenset[Capability]:
        return frozenset(cast("tuple[Capability, ...]", self.capabilities))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Token:
    token: str
    logprob: float | None = None
    top: Mapping[str, float] = field(default_factory=dict)

    @property
    def known(self) -> TokenLogprob:
        """Raises `Unreadable` for what is no logarithm of a probability."""
        top = {token: _logarithm(logprob) for token, logprob in self.top.items()}
        logprob = math.nan if self.logprob is None else _logarithm(self.logprob)
        return TokenLogprob(self.token, logprob, top)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Likelihood:
    logprob: float
    tokens: int | None = None
    greedy: bool | None = None

    def of(self, text: str) -> Likelihood:
        """The same of a continuation. Raises `Unreadable` for numbers that cannot be."""
        if self.tokens is not None and not 1 <= self.tokens <= MOST_TOKENS:
            raise Unreadable(f"returned {self.tokens} as the number of tokens of a continuation")
        return Likelihood(text, _logarithm(self.logprob), self.tokens, self.greedy)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    text: str | None = None
    finish: Finish = "stop"
    reasoning: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    logprobs: tuple[_Token, ...] = ()
    prompt_logprobs: tuple[_Token, ...] = ()
    likelihoods: tuple[_Likelihood, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failure:
    error: str
    kind: Literal["once", "request", "too_long", "refused", "all"] = "request"


class Unreadable(Exception):
    """A line that is not one of the protocol; the message says what it is instead."""


def _logarithm(number: float) -> float:
    if not number <= _ROUNDED:
        raise Unreadable(f"returned {number} as the logarithm of a probability, which is at most 0")
    return number


def parsed(line: bytes) -> dict[str, Any]:
    """The object in a line. Raises `Unreadable`."""
    if len(line) > LONGEST:
        raise Unreadable(f"wrote a line of more than {LONGEST >> 20} MB: {shown(line)}")
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise Unreadable(f"wrote a line that is not JSON ({error}): {shown(line)}") from None
    if not isinstance(found, dict):
        raise Unreadable(f"wrote a line that is no JSON object: {shown(line)}")
    return found


def shown(line: bytes) -> str:
    """The beginning of a line, for an error."""
    text = line[: 4 * _SHOWN].decode(errors="replace")
    return repr(text[:_SHOWN]) + (" …" if len(text) > _SHOWN else "")


def read_hello(line: bytes) -> Hello:
    """The first line of a program. Raises `Unreadable`."""
    hello = _read(Hello, parsed(line), "its first line")
    if hello.evalkit != VERSION:
        raise Unreadable(f"speaks version {hello.evalkit} of the protocol, not {VERSION}")
    for capability in hello.capabilities:
        if capability not in _KNOWN:
            raise Unreadable(f"says {unknown('capability', capability, _KNOWN)}")
    if not 1 <= hello.parallel <= _MOST:
        raise Unreadable(f"says parallel={hello.parallel}: it must be from 1 to {_MOST}")
    return hello


def _read(kind: type[_T], entries: object, where: str) -> _T:
    try:
        return from_json(kind, entries, where)
    except UsageError as error:
        raise Unreadable(f"wrote what is not in the protocol: {str(error)[:300]}") from None


def request_line(request: Request, draw: int, number: int, place: Callable[[Shown], str]) -> bytes:
    """The line of a request. `place`: the path of the file that a medium was written to."""
    body = {name: value for name, value in request.body().items() if name not in _NOT_SENT}
    if isinstance(request.prompt, Speech):
        speech = request.prompt
        path = place(speech.audio)
        body["prompt"] = {"audio": path, "translate": speech.translate, "language": speech.language}
    elif request.media:
        chat = cast("tuple[Message, ...]", request.prompt)
        turns = cast("list[dict[str, JSON]]", body["prompt"])
        for message, turn in zip(chat, turns, strict=True):
            turn["content"] = _content(message, place)
    return orjson.dumps({"id": number, **body, "seed": request.seed, "draw": draw})


def _content(message: Message, place: Callable[[Shown], str]) -> JSON:
    if isinstance(message.content, str):
        return message.content
    return [{"text": one} if isinstance(one, str) else {one.kind: place(one)} for one in message.parts]


def ending(medium: Shown) -> str:
    """The ending of the name of a medium's file, such as `.png`; "" for an unknown format."""
    return mimetypes.guess_extension(medium.mime) or ""


def response_of(answer: Mapping[str, Any], request: Request, name: str, seconds: float) -> Response:
    """The response in a line without its id. Raises `ProviderError`, also if the line is a failure."""
    try:
        if "error" in answer:
            raise _failure(_read(_Failure, answer, "its answer"), name)
        return _response(_read(_Answer, answer, "its answer"), request, seconds)
    except Unreadable as error:
        raise ProviderError(f"{name} {error}") from None


def _response(told: _Answer, request: Request, seconds: float) -> Response:
    if len(told.likelihoods) != len(request.continuations):
        returned, asked = len(told.likelihoods), len(request.continuations)
        raise Unreadable(f"returned {returned} likelihoods for {asked} continuations")
    if told.text is None and not (told.likelihoods or told.tool_calls):
        raise Unreadable("returned neither text nor error")
    pairs = zip(request.continuations, told.likelihoods, strict=True)
    return Response(
        told.text or "",
        told.finish,
        told.prompt_tokens,
        told.completion_tokens,
        seconds,
        told.reasoning,
        logprobs=tuple(token.known for token in told.logprobs),
        prompt_logprobs=tuple(token.known for token in told.prompt_logprobs),
        likelihoods=tuple(one.of(text) for text, one in pairs),
        tool_calls=told.tool_calls,
    )


def _failure(told: _Failure, name: str) -> ProviderError:
    message = f"{name}: {one_line(' '.join(told.error.split())) or 'an error without a message'}"
    return ProviderError(
        message,
        retryable=told.kind == "once",
        too_long=told.kind == "too_long",
        refused=told.kind == "refused",
        fatal=told.kind == "all",
    )


def differences(first: Hello, other: Hello) -> str:
    """The fields in which a later process of a program says something else than the first one."""
    return ", ".join(
        one.name for one in dataclasses.fields(Hello) if getattr(first, one.name) != getattr(other, one.name)
    )
