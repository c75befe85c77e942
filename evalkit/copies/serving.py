"""The copy's end: a process that opens a model by its name and answers requests with it.

Requests and answers are pickled. Only a process and the copies that it started itself exchange them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias, TypeGuard, TypeVar

import evalkit
from evalkit.errors import EvalkitError, ProviderError, ScorerError, UsageError, one_line
from evalkit.models.base import BatchModel, Capability, Model, Request, Response, answers_by_id
from evalkit.models.fake import FakeModel, Hints
from evalkit.models.opening import open_model
from evalkit.samples import JSON

Said: TypeAlias = "str | ScorerError"
"""What a function of the hints returned or raised."""


class Asked(NamedTuple):
    """One request to a copy. `hints`: of a fake model, the perfect and the wrong response."""

    request: Request
    draw: int = 0
    hints: tuple[Said, Said] | None = None


@dataclass(frozen=True, slots=True)
class Setup:
    """What a copy opens: the arguments of `open_model`, and the folder in which it does so if that exists.

    `hidden`: whether the copy may use no GPU.
    """

    spec: str
    base_url: str = ""
    timeout: float = 600.0
    folder: str = "."
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Opened:
    """What a copy says of its model. `batch_size`: 0 if the model answers one request in each call."""

    name: str
    identity: dict[str, JSON]
    capabilities: frozenset[Capability]
    parallel: int | None
    batch_size: int
    gathers: int
    node: str
    version: str


_F = TypeVar("_F")
_BROKEN = "CUDA error"
Answers: TypeAlias = "list[Response | ProviderError]"


class Served:
    """The model of a copy. Errors are returned and not raised, because each transport raises them its way."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._model: Model | None = None

    def open(self) -> Opened | EvalkitError:
        """Opens the model; most are loaded at the first request."""
        given = self._setup
        if given.hidden:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        with contextlib.suppress(OSError):
            os.chdir(given.folder)
        try:
            self._model = model = open_model(given.spec, base_url=given.base_url, timeout=given.timeout)
            if answers_by_id(model):
                raise UsageError(f"{model.name} answers by the sample's id, and copies get only requests")
            return Opened(
                model.name,
                model.identity,
                model.capabilities,
                model.parallel,
                model.batch_size if _batches(model) else 0,
                getattr(model, "gathers", 0),
                socket.gethostname(),
                evalkit.__version__,
            )
        except (Exception, SystemExit) as error:  # noqa: BLE001 — code of others may raise anything
            return plain(error)

    async def answer(self, asked: Sequence[Asked]) -> Answers | EvalkitError:
        """A response or an error for each request; one error if the whole call failed."""
        model = self._model
        assert model is not None
        try:
            if _batches(model):
                found = await model.generate_batch(
                    [one.request for one in asked], [one.draw for one in asked]
                )
                return [_sendable(_usable(one), model.name) for one in found]
            return [*await asyncio.gather(*(self._one(model, one) for one in asked))]
        except (Exception, SystemExit) as error:  # noqa: BLE001 — as above
            return plain(_usable(error))

    async def _one(self, model: Model, asked: Asked) -> Response | ProviderError:
        try:
            if type(model) is FakeModel:
                hints = None if asked.hints is None else Hints(*map(_repeated, asked.hints))
                return await model.generate_hinted(asked.request, hints, draw=asked.draw)
            return _sendable(await model.generate(asked.request, draw=asked.draw), model.name)
        except ProviderError as error:
            found = plain(_usable(error))
            assert isinstance(found, ProviderError)
            return found


def said(function: Callable[[], str]) -> Said:
    """What `function` of the hints returns or raises, to be sent to a copy."""
    try:
        return function()
    except ScorerError as error:
        return error


def _repeated(what: Said) -> Callable[[], str]:
    def again() -> str:
        if isinstance(what, ScorerError):
            raise what
        return what

    return again


def _usable(found: _F) -> _F:
    """`found`, unless it is an error after which this process cannot use its GPU; the process then ends.

    CUDA returns such an error from every later call (CUDA Runtime API, "Error Handling"). To be out of memory
    is none of them.
    """
    if isinstance(found, BaseException) and _BROKEN in str(found):
        sys.stderr.write(f"{one_line(found, 300)}\n")
        sys.stderr.flush()
        os._exit(os.EX_SOFTWARE)
    return found


def _batches(model: object) -> TypeGuard[BatchModel]:
    return callable(getattr(model, "generate_batch", None))


def _sendable(found: object, name: str) -> Response | ProviderError:
    if type(found) is Response:
        return found
    if isinstance(found, BaseException):
        error = plain(found)
        return error if isinstance(error, ProviderError) else ProviderError(str(error))
    return ProviderError(f"{name} returned {type(found).__name__}, not a Response")


def plain(error: BaseException) -> EvalkitError:
    """`error` as one of `evalkit.errors`, which every process can unpickle: its nearest class there."""
    kind = next((one for one in type(error).__mro__ if one.__module__ == "evalkit.errors"), None)
    if kind is None or not issubclass(kind, EvalkitError):
        return ProviderError(one_line(error, 500))
    found = kind(str(error.args[0]) if error.args else "")
    if isinstance(found, ProviderError):
        vars(found).update((key, value) for key, value in vars(error).items() if key in vars(found))
    return found
