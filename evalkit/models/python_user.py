"""A user's models and functions as backends: their attributes, errors and responses are checked here."""

from __future__ import annotations

import asyncio
import inspect
import re
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar, cast

import orjson

from evalkit.errors import BoundaryError, ProviderError, UsageError, counted, unknown
from evalkit.models.base import CAPABILITIES, BatchModel, ByIdModel, Capability, Model, Request, Response
from evalkit.models.registry import capabilities_of
from evalkit.models.stops import cut
from evalkit.samples import JSON, Prompt, Speech

_T = TypeVar("_T")
USAGE = "python:FILE.py:NAME"
_MEMBERS = ("name", "capabilities", "parallel", "identity", "generate", "aclose")
_SHOWN = 200
"""The most characters of an error of the user's code that are shown."""
_BATCH = 32
"""The most prompts for one call of a function with `prompts`, unless it has a `batch_size`."""
_NO_OPTIONS: Mapping[str, Any] = {}


class UserModel:
    """A user's model under evalkit's name for it. An unexpected exception fails only its request.

    The identity consists of the file's digest, the name in the file, and the model's own `identity`. No
    digest covers code and weights to which the file only refers: they belong into the model's `identity`.
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
        return await self._answered(self._model.generate(request, draw=draw))

    async def _answered(self, answer: Awaitable[Response]) -> Response:
        try:
            response = await _awaitable(answer, self.name)
        except (Exception, SystemExit) as error:
            raise _translated(error, self.name) from error
        if not isinstance(response, Response):
            raise ProviderError(f"{self.name} returned {type(response).__name__}, not a Response")
        return response

    async def aclose(self) -> None:
        await self._model.aclose()


def _awaitable(answer: Awaitable[_T], name: str) -> Awaitable[_T]:
    """Raises `ProviderError` for what a method without `async` returned."""
    if not inspect.isawaitable(answer):
        raise ProviderError(f"{name}: it has a method that must be `async def`", fatal=True)
    return answer


def check_members(model: object, name: str) -> None:
    """Raises `UsageError` if `model` lacks a member that every `Model` has."""
    missing = [member for member in _MEMBERS if not hasattr(model, member)]
    if missing:
        raise UsageError(f"{name} is not a model, it has no {', '.join(missing)}: see evalkit.api.Model")


class UserBatchModel(UserModel):
    """A user's model with `generate_batch` (`BatchModel`)."""

    def __init__(self, model: BatchModel, name: str, decides: Mapping[str, JSON]) -> None:
        super().__init__(model, name, decides)
        self.batch_size = _batch_size(getattr(model, "batch_size", None), name)
        self._batching = model

    async def generate_batch(
        self, requests: Sequence[Request], draws: Sequence[int]
    ) -> Sequence[Response | ProviderError]:
        try:
            return await _awaitable(self._batching.generate_batch(requests, draws), self.name)
        except (Exception, SystemExit) as error:
            raise _translated(error, self.name) from error


class UserByIdModel(UserModel):
    """A user's model with `answer_of` (`ByIdModel`)."""

    def __init__(self, model: ByIdModel, name: str, decides: Mapping[str, JSON]) -> None:
        super().__init__(model, name, decides)
        self._by_id = model

    @property
    def ids(self) -> Collection[str]:
        return self._by_id.ids

    async def answer_of(self, sample: str, *, draw: int = 0) -> Response:
        return await self._answered(self._by_id.answer_of(sample, draw=draw))


class UserFunction:
    """A function (prompt) → text, plain or async; it receives `draw` and `seed` if it has these parameters.

    A plain function runs in a thread, one call at a time; its attribute `parallel = N` allows N calls at a
    time. What it returns may be awaitable. An async function gets all requests at once, or N. Its attribute
    `capabilities` adds to chat and image ("completion": it also continues texts), and `identity` (plain JSON)
    describes what its answers depend on besides the file. If its prompt is annotated as `str`, it receives
    the texts of a chat's messages, and no pictures. Its text is cut at the first of the request's stop texts,
    as by endpoints.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        decides: Mapping[str, JSON],
        options: Mapping[str, Any] = _NO_OPTIONS,
    ) -> None:
        """`options`: arguments that the function receives by name at each call. Raises `UsageError`."""
        if not callable(function):
            raise UsageError(f"{name} is a {type(function).__name__}: {USAGE} needs a function or a model")
        calls = (function, getattr(function, "__call__", None))  # noqa: B004
        if any(map(inspect.isgeneratorfunction, calls)) or any(map(inspect.isasyncgenfunction, calls)):
            raise UsageError(f"{name} yields its answer piece by piece: return the whole of it")
        self._takes = frozenset(parameters(function)) & {"draw", "seed", "draws", "seeds"}
        try:
            inspect.signature(function).bind("", **dict.fromkeys(self._takes), **options)
        except TypeError as error:
            raise UsageError(f"{name} cannot be called with only a prompt ({error})") from error
        except ValueError:
            pass  # a builtin without a signature
        self.name = name
        given = getattr(function, "capabilities", ())
        self.capabilities = capabilities_of("python") | _capabilities(given, name)
        self._texts = _takes_texts(function)
        if self._texts:
            self.capabilities -= {"image", "audio"}
        if only := self.capabilities & {"logprobs", "echo", "likelihood", "tools", "extra"}:
            raise UsageError(f"{name}: only a model can have {' and '.join(sorted(only))}, not a function")
        self._async = any(map(inspect.iscoroutinefunction, calls))
        self.parallel: int | None = _parallel(getattr(function, "parallel", None if self._async else 1), name)
        self._function = partial(function, **options)
        self._own = getattr(function, "identity", None)
        self._decides = {**decides, "prompt": "text"} if self._texts else {**decides}
        self._threads = self._new_threads()

    def _new_threads(self) -> ThreadPoolExecutor | None:
        """Threads of its own: asyncio's shared threads could be busy with other work, or be more than N."""
        return None if self._async else ThreadPoolExecutor(self.parallel or 1, "python-model")

    @property
    def identity(self) -> dict[str, JSON]:
        return self._decides if self._own is None else {**self._decides, "own": _plain(self._own, self.name)}

    async def generate(self, request: Request, *, draw: int = 0) -> Response:
        start = time.perf_counter()
        returned = await self._called(self._shown(request.prompt), draw=draw, seed=request.seed)
        return self._response(returned, request, time.perf_counter() - start)

    async def aclose(self) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = self._new_threads()  # no thread starts before the next request

    def _shown(self, prompt: Prompt) -> Prompt:
        return _text_of(prompt, self.name) if self._texts else prompt

    async def _called(self, prompt: object, **known: object) -> Any:
        """The result of the function for `prompt` and those of `known` that are parameters of it."""
        given = {key: value for key, value in known.items() if key in self._takes}
        try:
            if self._threads is None:
                return await self._function(prompt, **given)
            call = partial(_call, self._function, prompt, given)
            returned = await asyncio.get_running_loop().run_in_executor(self._threads, call)
            return await returned if inspect.isawaitable(returned) else returned
        except (Exception, SystemExit) as error:
            raise _translated(error, self.name) from error

    def _response(self, returned: object, request: Request, seconds: float) -> Response:
        if not isinstance(returned, str):
            raise ProviderError(f"{self.name} returned {type(returned).__name__}, not a text")
        return cut(Response(returned, seconds=seconds), request.stop)


class UserBatchFunction(UserFunction):
    """A function (prompts) → one text for each prompt, in order.

    It receives `draws` and `seeds` if it has these parameters. Its attribute `batch_size` is the most prompts
    for one call. An exception in place of a text, as in `[… , ValueError("too long")]`, fails only that
    prompt.
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
        (response,) = await self.generate_batch([request], [draw])
        if isinstance(response, ProviderError):
            raise response
        return response

    async def generate_batch(
        self, requests: Sequence[Request], draws: Sequence[int]
    ) -> Sequence[Response | ProviderError]:
        start = time.perf_counter()
        prompts = [self._shown(request.prompt) for request in requests]
        seeds = [request.seed for request in requests]
        texts = await self._called(prompts, draws=list(draws), seeds=seeds)
        if not isinstance(texts, list | tuple) or len(texts) != len(prompts):
            what = counted(len(texts), "answer") if isinstance(texts, list | tuple) else type(texts).__name__
            raise ProviderError(
                f"{self.name} returned {what} for {counted(len(prompts), 'prompt')}, not a list with one "
                "text for each"
            )
        seconds = time.perf_counter() - start
        return [self._one(text, request, seconds) for text, request in zip(texts, requests, strict=True)]

    def _one(self, returned: object, request: Request, seconds: float) -> Response | ProviderError:
        try:
            if isinstance(returned, Exception):
                raise _translated(returned, self.name)
            return self._response(returned, request, seconds)
        except ProviderError as error:
            return error


def parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """The parameters of a callable by name; empty for a builtin without a signature."""
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}


def _takes_texts(function: Callable[..., Any]) -> bool:
    """Whether the function's first parameter is annotated as a text or as several texts."""
    first = next(iter(parameters(function).values()), None)
    given = getattr(first, "annotation", "")
    annotation = given.__name__ if isinstance(given, type) else str(given)
    return re.fullmatch(r"str|(\w+\.)*(list|List|Sequence)\[str\]", annotation.strip("'\"")) is not None


def _text_of(prompt: Prompt, name: str) -> str:
    """A prompt's texts, one below the other. Raises `ProviderError` if texts cannot replace the prompt."""
    if isinstance(prompt, str):
        return prompt
    if isinstance(prompt, Speech) or any(turn.role not in ("system", "user") for turn in prompt):
        raise ProviderError(
            f"{name} takes a text (its prompt is annotated as str), and this is a conversation: remove the "
            "annotation to receive the messages",
            fatal=True,
        )
    return "\n\n".join(turn.text for turn in prompt)


def line_of(error: Exception | SystemExit) -> str:
    """An error of the user's code as one short line."""
    message = " ".join(str(error).split())[:_SHOWN]
    kind = "" if isinstance(error, UsageError) else type(error).__name__
    return ": ".join(part for part in (kind, message) if part)


def _call(function: Callable[..., Any], prompt: object, given: Mapping[str, object]) -> Any:
    try:
        return function(prompt, **given)
    except StopIteration as error:  # a future does not accept it: the caller would wait forever
        raise RuntimeError("StopIteration") from error


def _capabilities(given: object, name: str) -> frozenset[Capability]:
    if isinstance(given, str) or not isinstance(given, (frozenset, set, tuple, list)):
        raise UsageError(f"{name}: capabilities must be a set of {', '.join(CAPABILITIES)}, not {given!r}")
    for capability in given:
        if capability not in CAPABILITIES:
            raise unknown(f"capability of {name}", str(capability), CAPABILITIES)
    return frozenset(cast("frozenset[Capability]", given))


def _parallel(given: object, name: str) -> int | None:
    if given is None or (type(given) is int and given > 0):
        return given
    raise UsageError(f"{name}: parallel must be a positive integer or None, not {given!r}")


def _batch_size(given: object, name: str) -> int:
    if type(given) is int and given > 0:
        return given
    raise UsageError(f"{name}: batch_size must be a positive integer, not {given!r}")


def _plain(own: object, name: str) -> dict[str, JSON]:
    """The user's `identity` as it is stored and compared: as JSON. Raises `UsageError`."""
    try:
        identity = orjson.loads(orjson.dumps(own))
    except TypeError as error:
        raise UsageError(f"{name}: its identity must be plain JSON: {error}") from error
    if not isinstance(identity, dict):
        raise UsageError(f"{name}: its identity must be a dict, not {own!r}")
    return identity


def _translated(error: Exception | SystemExit, name: str) -> BoundaryError:
    """An error of the user's code as one of evalkit's; a `UsageError` is fatal, as it would occur again."""
    if isinstance(error, BoundaryError):
        return error
    return ProviderError(f"{name}: {line_of(error)}", fatal=isinstance(error, UsageError))
