"""Models and functions of the user's as backends: their errors, numbers and answers are looked at here."""

from __future__ import annotations

import asyncio
import inspect
import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, cast

import orjson

from evalkit.errors import BoundaryError, ProviderError, UsageError, unknown
from evalkit.models.base import CAPABILITIES, BatchModel, Capability, Model, Request, Response
from evalkit.models.registry import capabilities_of
from evalkit.samples import JSON, Prompt, Speech

USAGE = "python:FILE.py:NAME"
_MEMBERS = ("name", "capabilities", "parallel", "identity", "generate", "aclose")
_SHOWN = 200
"""Characters of the user's own error that are shown."""
_BATCH = 32
"""Prompts that a function with `prompts` is given at most, unless it says `batch_size`."""
_NO_OPTIONS: Mapping[str, Any] = {}


class UserModel:
    """A model of the user's under evalkit's name for it; its unforeseen errors fail one request each.

    The identity is the file's digest, the name in it, and what the model itself says decides its answers.
    Code and weights that the file only refers to are in no digest: they belong into the model's `identity`.
    """

    def __init__(self, model: Model, name: str, decides: Mapping[str, JSON]) -> None:
        check_members(model, name)
        self.name = name
        self.capabilities = _capabilities(model.capabilities, name)
        self.parallel: int | None = _parallel(model.parallel, name)
        self._model = model
        self._decides = dict(decides)

    @property
    def identity(self) -> dict[str, JSON]:
        return {**self._decides, "own": _plain(self._model.identity, self.name)}

    async def generate(self, request: Request, *, draw: int = 0) -> Response:
        try:
            said = await self._model.generate(request, draw=draw)
        except (Exception, SystemExit) as error:
            raise _translated(error, self.name) from error
        if not isinstance(said, Response):
            raise ProviderError(f"{self.name} returned {type(said).__name__}, not a Response")
        return said

    async def aclose(self) -> None:
        await self._model.aclose()


def check_members(model: object, name: str) -> None:
    """Raises `UsageError` where `model` lacks what every `Model` has."""
    missing = [member for member in _MEMBERS if not hasattr(model, member)]
    if missing:
        raise UsageError(
            f"{name} is no model, it has no {', '.join(missing)}: evalkit.api.Model is the contract"
        )


class UserBatchModel(UserModel):
    """One with `generate_batch` (`BatchModel`)."""

    def __init__(self, model: BatchModel, name: str, decides: Mapping[str, JSON]) -> None:
        super().__init__(model, name, decides)
        self.batch_size = _batch_size(getattr(model, "batch_size", None), name)
        self._batching = model

    async def generate_batch(
        self, requests: Sequence[Request], draws: Sequence[int]
    ) -> Sequence[Response | ProviderError]:
        try:
            return await self._batching.generate_batch(requests, draws)
        except (Exception, SystemExit) as error:
            raise _translated(error, self.name) from error


class UserFunction:
    """A function (prompt) → text, plain or async; `draw` and `seed` are given to it where it has them.

    A plain one runs in a thread, one call at a time; its attribute `parallel = N` allows N at a time. An
    async one gets as many as come, or N. `capabilities` on it adds to chat and image ("completion": it
    also continues texts), `identity` (plain JSON) says what decides its answers besides the file.
    One whose prompt is annotated as `str` is given the texts of a chat's messages, and shown no pictures.
    What it says is cut at the first of the request's stop texts, as endpoints do.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        decides: Mapping[str, JSON],
        options: Mapping[str, Any] = _NO_OPTIONS,
    ) -> None:
        """`options`: what it is given by name at each call."""
        if not callable(function):
            raise UsageError(f"{name} is a {type(function).__name__}: {USAGE} takes a function or a model")
        self._takes = frozenset(parameters(function)) & {"draw", "seed", "draws", "seeds"}
        try:
            inspect.signature(function).bind("", **dict.fromkeys(self._takes), **options)
        except TypeError as error:
            raise UsageError(f"{name} cannot be called with a prompt alone ({error})") from error
        except ValueError:
            pass  # a builtin, which does not tell
        self.name = name
        given = getattr(function, "capabilities", ())
        self.capabilities = capabilities_of("python") | _capabilities(given, name)
        self._texts = _takes_texts(function)
        if self._texts:
            self.capabilities -= {"image", "audio"}
        if only := self.capabilities & {"logprobs", "echo", "likelihood", "tools"}:
            raise UsageError(f"{name}: a function returns no {' and '.join(sorted(only))}, only a model can")
        self._async = any(map(inspect.iscoroutinefunction, (function, getattr(function, "__call__", None))))  # noqa: B004
        self.parallel: int | None = _parallel(getattr(function, "parallel", None if self._async else 1), name)
        self._function = partial(function, **options)
        self._own = getattr(function, "identity", None)
        self._decides = {**decides, "prompt": "text"} if self._texts else {**decides}
        self._threads = self._new_threads()

    def _new_threads(self) -> ThreadPoolExecutor | None:
        """Its own: asyncio's shared ones could be busy with another's work, and more than N."""
        return None if self._async else ThreadPoolExecutor(self.parallel or 1, "python-model")

    @property
    def identity(self) -> dict[str, JSON]:
        return self._decides if self._own is None else {**self._decides, "own": _plain(self._own, self.name)}

    async def generate(self, request: Request, *, draw: int = 0) -> Response:
        start = time.perf_counter()
        said = await self._said(self._shown(request.prompt), draw=draw, seed=request.seed)
        return self._response(said, request, time.perf_counter() - start)

    async def aclose(self) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = self._new_threads()  # which start with the next request, if there is one

    def _shown(self, prompt: Prompt) -> Prompt:
        return _text_of(prompt, self.name) if self._texts else prompt

    async def _said(self, asked: object, **known: object) -> Any:
        given = {key: value for key, value in known.items() if key in self._takes}
        try:
            if self._threads is None:
                return await self._function(asked, **given)
            called = partial(_called, self._function, asked, given)
            return await asyncio.get_running_loop().run_in_executor(self._threads, called)
        except (Exception, SystemExit) as error:
            raise _translated(error, self.name) from error

    def _response(self, said: object, request: Request, seconds: float) -> Response:
        if not isinstance(said, str):
            raise ProviderError(f"{self.name} returned {type(said).__name__}, not a text")
        ends = (said.find(stop) for stop in request.stop)
        text = said[: min((end for end in ends if end >= 0), default=len(said))]
        return Response(text, seconds=seconds)


class UserBatchFunction(UserFunction):
    """A function (prompts) → texts, as many and in their order; `draws` and `seeds` where it has them.

    Its attribute `batch_size` says how many prompts it takes at most. An exception in a text's place, as in
    `[… , ValueError("too long")]`, fails that prompt alone.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        decides: Mapping[str, JSON],
        options: Mapping[str, Any] = _NO_OPTIONS,
    ) -> None:
        super().__init__(function, name, decides, options)
        self.batch_size = _batch_size(getattr(function, "batch_size", _BATCH), name)
        self.parallel = _parallel(getattr(function, "parallel", None), name)

    async def generate(self, request: Request, *, draw: int = 0) -> Response:
        (found,) = await self.generate_batch([request], [draw])
        if isinstance(found, ProviderError):
            raise found
        return found

    async def generate_batch(
        self, requests: Sequence[Request], draws: Sequence[int]
    ) -> Sequence[Response | ProviderError]:
        start = time.perf_counter()
        prompts = [self._shown(request.prompt) for request in requests]
        seeds = [request.seed for request in requests]
        said = await self._said(prompts, draws=list(draws), seeds=seeds)
        if not isinstance(said, list | tuple) or len(said) != len(prompts):
            how = f"{len(said)} answers" if isinstance(said, list | tuple) else type(said).__name__
            raise ProviderError(
                f"{self.name} returned {how} to {len(prompts)} prompts, not a list of as many"
            )
        seconds = time.perf_counter() - start
        return [self._one(one, request, seconds) for one, request in zip(said, requests, strict=True)]

    def _one(self, said: object, request: Request, seconds: float) -> Response | ProviderError:
        try:
            if isinstance(said, Exception):
                raise _translated(said, self.name)
            return self._response(said, request, seconds)
        except ProviderError as error:
            return error


def parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """A callable's parameters; none of a builtin that does not tell."""
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}


def _takes_texts(function: Callable[..., Any]) -> bool:
    """Whether its first parameter is annotated as a text, or as several."""
    first = next(iter(parameters(function).values()), None)
    said = getattr(first, "annotation", "")
    annotation = said.__name__ if isinstance(said, type) else str(said)
    return re.fullmatch(r"str|(\w+\.)*(list|List|Sequence)\[str\]", annotation.strip("'\"")) is not None


def _text_of(prompt: Prompt, name: str) -> str:
    """A prompt's texts, one below the other. Raises `ProviderError` where that would not be what is asked."""
    if isinstance(prompt, str):
        return prompt
    if isinstance(prompt, Speech) or any(turn.role not in ("system", "user") for turn in prompt):
        raise ProviderError(
            f"{name} takes a text (its prompt is annotated as str), and this is a conversation: without the "
            "annotation it is given the messages",
            fatal=True,
        )
    return "\n\n".join(turn.text for turn in prompt)


def line_of(error: Exception | SystemExit) -> str:
    """The user's own error, short and on one line."""
    said = " ".join(str(error).split())[:_SHOWN]
    kind = "" if isinstance(error, UsageError) else type(error).__name__
    return ": ".join(part for part in (kind, said) if part)


def _called(function: Callable[..., Any], asked: object, given: Mapping[str, object]) -> Any:
    try:
        return function(asked, **given)
    except StopIteration as error:  # a future does not take one: the caller would wait for ever
        raise RuntimeError("StopIteration") from error


def _capabilities(given: object, name: str) -> frozenset[Capability]:
    if isinstance(given, str) or not isinstance(given, (frozenset, set, tuple, list)):
        raise UsageError(f"{name}: capabilities is {given!r}, not a set of {', '.join(CAPABILITIES)}")
    for capability in given:
        if capability not in CAPABILITIES:
            raise unknown(f"capability of {name}", str(capability), CAPABILITIES)
    return frozenset(cast("frozenset[Capability]", given))


def _parallel(given: object, name: str) -> int | None:
    if given is None or (type(given) is int and given > 0):
        return given
    raise UsageError(f"{name}: parallel is {given!r}, not a number of requests, or None")


def _batch_size(given: object, name: str) -> int:
    if type(given) is int and given > 0:
        return given
    raise UsageError(f"{name}: batch_size is {given!r}, not the number of requests that it takes at once")


def _plain(own: object, name: str) -> dict[str, JSON]:
    """The user's `identity`, which is stored and compared as JSON."""
    try:
        read = orjson.loads(orjson.dumps(own))
    except TypeError as error:
        raise UsageError(f"{name}: its identity is no plain JSON: {error}") from error
    if not isinstance(read, dict):
        raise UsageError(f"{name}: its identity is {own!r}, not a dict")
    return read


def _translated(error: Exception | SystemExit, name: str) -> BoundaryError:
    """An error of the user's code, as one of evalkit's; a `UsageError` will come back at each request."""
    if isinstance(error, BoundaryError):
        return error
    return ProviderError(f"{name}: {line_of(error)}", fatal=isinstance(error, UsageError))
