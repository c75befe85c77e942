"""`python:FILE.py:NAME`: a model in a Python file of the user's, run in this process.

`NAME` is a function from the prompt to the answer's text, or a `Model` (`evalkit.models.base`), or a class
or a function without arguments that gives either. What the file does is trusted like any code that is
imported: only a file of one's own should be named.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeGuard, cast, get_args

import orjson

from evalkit.errors import BoundaryError, ProviderError, UsageError, unknown
from evalkit.models.base import Capability, Model, Request, Response
from evalkit.samples import JSON
from evalkit.user_file import import_file

USAGE = "python:FILE.py:NAME"
_MEMBERS = ("name", "capabilities", "parallel", "identity", "generate", "aclose")
_GIVEN: frozenset[Capability] = frozenset({"chat", "image"})
_SHOWN = 200
"""Characters of the user's own error that are shown."""


def open_python(rest: str) -> Model:
    """The model that `python:` and `rest`, `FILE.py:NAME`, stand for. Raises `UsageError`."""
    path, mark, attribute = rest.partition(".py:")
    if not mark or not attribute:
        raise UsageError(f"model 'python:{rest}' names no model: {USAGE}, a function or an object in it")
    file = Path(f"{path}.py")
    if not file.is_file():
        raise UsageError(f"no model file {str(file)!r} in {Path.cwd()}: {USAGE} takes a Python file")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    decides: dict[str, JSON] = {"backend": "python", "file": digest, "attribute": attribute}
    named = vars(_imported(file, digest))
    if attribute not in named:
        public = (key for key, value in named.items() if callable(value) and not key.startswith("_"))
        raise unknown(f"model in {file}", attribute, public, f"{file} defines no {attribute}")
    name = f"python:{rest}"
    value = _made(named[attribute], name)
    if _is_model(value):
        return UserModel(value, name, decides)
    return UserFunction(value, name, decides)


class UserModel:
    """A model of the user's under evalkit's name for it; its unforeseen errors fail one request each.

    The identity is the file's digest, the name in it, and what the model itself says decides its answers.
    Code and weights that the file only refers to are in no digest: they belong into the model's `identity`.
    """

    def __init__(self, model: Model, name: str, decides: Mapping[str, JSON]) -> None:
        missing = [member for member in _MEMBERS if not hasattr(model, member)]
        if missing:
            raise UsageError(
                f"{name} is no model, it has no {', '.join(missing)}: evalkit/models/base.py is the contract"
            )
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


class UserFunction:
    """A function (prompt) → text, plain or async.

    A plain one runs in a thread, one call at a time; its attribute `parallel = N` allows N at a time. An
    async one gets as many as come, or N. `capabilities` on it adds to chat and image ("completion": it
    also continues texts), `identity` (plain JSON) says what decides its answers besides the file.
    What it says is cut at the first of the request's stop texts, as endpoints do.
    """

    def __init__(self, function: Callable[..., Any], name: str, decides: Mapping[str, JSON]) -> None:
        if not callable(function):
            raise UsageError(f"{name} is a {type(function).__name__}: {USAGE} takes a function or a model")
        try:
            inspect.signature(function).bind("")
        except TypeError as error:
            raise UsageError(f"{name} cannot be called with a prompt alone ({error})") from error
        except ValueError:
            pass  # a builtin, which does not tell
        self.name = name
        given = getattr(function, "capabilities", ())
        self.capabilities = _GIVEN | _capabilities(given, name)
        if "logprobs" in self.capabilities:
            raise UsageError(f"{name}: a function returns no log-probabilities, only a model can")
        self._async = any(map(inspect.iscoroutinefunction, (function, getattr(function, "__call__", None))))  # noqa: B004
        self.parallel: int | None = _parallel(getattr(function, "parallel", None if self._async else 1), name)
        self._function = function
        self._decides = dict(decides)
        # Its own threads: asyncio's shared ones could be busy with another's work, and more than N.
        self._threads = None if self._async else ThreadPoolExecutor(self.parallel or 1, "python-model")

    @property
    def identity(self) -> dict[str, JSON]:
        own = getattr(self._function, "identity", None)
        return self._decides if own is None else {**self._decides, "own": _plain(own, self.name)}

    async def generate(self, request: Request, *, draw: int = 0) -> Response:
        start = time.perf_counter()
        try:
            if self._threads is None:
                said = await self._function(request.prompt)
            else:
                called = partial(_called, self._function, request.prompt)
                said = await asyncio.get_running_loop().run_in_executor(self._threads, called)
        except (Exception, SystemExit) as error:
            raise _translated(error, self.name) from error
        if not isinstance(said, str):
            raise ProviderError(f"{self.name} returned {type(said).__name__}, not a text")
        ends = (said.find(stop) for stop in request.stop)
        text = said[: min((end for end in ends if end >= 0), default=len(said))]
        return Response(text, seconds=time.perf_counter() - start)

    async def aclose(self) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)


def _called(function: Callable[..., Any], prompt: object) -> Any:
    try:
        return function(prompt)
    except StopIteration as error:  # a future does not take one: the caller would wait for ever
        raise RuntimeError("StopIteration") from error


def _made(value: Any, name: str) -> Any:
    """The object that a class or a function without arguments gives; other values as they are."""
    if not isinstance(value, type) and (_is_model(value) or not callable(value) or not _takes_nothing(value)):
        return value
    try:
        return value()
    except UsageError:
        raise
    except (Exception, SystemExit) as error:
        raise UsageError(f"{name} cannot be made: {_line(error)}") from error


def _takes_nothing(function: Callable[..., Any]) -> bool:
    try:
        return not inspect.signature(function).parameters
    except ValueError:
        return False


def _is_model(value: object) -> TypeGuard[Model]:
    return callable(getattr(value, "generate", None))


def _known(kind: Any = Capability) -> list[str]:
    """The values of `Capability`, which is made of several `Literal`s."""
    return [name for part in get_args(kind) for name in (_known(part) if get_args(part) else [part])]


def _capabilities(given: object, name: str) -> frozenset[Capability]:
    if isinstance(given, str) or not isinstance(given, (frozenset, set, tuple, list)):
        raise UsageError(f"{name}: capabilities is {given!r}, not a set of {', '.join(_known())}")
    for capability in given:
        if capability not in _known():
            raise unknown(f"capability of {name}", str(capability), _known())
    return frozenset(cast("frozenset[Capability]", given))


def _parallel(given: object, name: str) -> int | None:
    if given is None or (type(given) is int and given > 0):
        return given
    raise UsageError(f"{name}: parallel is {given!r}, not a number of requests, or None")


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
    return ProviderError(f"{name}: {_line(error)}", fatal=isinstance(error, UsageError))


def _line(error: Exception | SystemExit) -> str:
    said = " ".join(str(error).split())[:_SHOWN]
    kind = "" if isinstance(error, UsageError) else type(error).__name__
    return ": ".join(part for part in (kind, said) if part)


def _imported(file: Path, digest: str) -> Any:
    """The file as a module, once more where it has changed since this process imported it."""
    module = import_file(file)
    if getattr(module, "__evalkit_digest__", digest) != digest:
        del sys.modules[module.__name__]
        module = import_file(file)
    setattr(module, "__evalkit_digest__", digest)  # noqa: B010 — modules have no such attribute
    return module
