"""A copy as an actor of a Ray cluster: both ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, cast

from evalkit.copies.serving import Answers, Asked, Opened, Served, Setup
from evalkit.errors import EvalkitError
from evalkit.processes.pool import Ended

_AT_ONCE = 1000
"""The most calls that an actor works at; the engine has fewer in flight."""


class RayCopy:
    """The actor."""

    def __init__(self, setup: Setup) -> None:
        self._served = Served(setup)

    async def open(self) -> Opened | EvalkitError:
        return await asyncio.to_thread(self._served.open)

    async def answer(self, asked: Sequence[Asked]) -> Answers | EvalkitError:
        return await self._served.answer(asked)


@dataclass(frozen=True, slots=True)
class Resources:
    """What each actor asks Ray for. Ray places it on a node that has it free, or adds a node if it can."""

    gpus: float = 0.0
    cpus: float = 1.0

    def __str__(self) -> str:
        cpus = f"{self.cpus:g} CPU"
        return f"{self.gpus:g} GPU and {cpus}" if self.gpus else cpus


class ActorCopy:
    """The driver's end. Ray does not start the actor again if it dies, because the driver does."""

    def __init__(self, ray: Any, setup: Setup, resources: Resources) -> None:
        self._ray = ray
        self.where = "an actor"
        kind = ray.remote(
            num_gpus=resources.gpus, num_cpus=resources.cpus, max_concurrency=_AT_ONCE, max_restarts=0
        )(RayCopy)
        self._actor = kind.remote(setup)
        self.opening: Future[Opened] = Future()
        self.opening.set_running_or_notify_cancel()
        self._actor.open.remote().future().add_done_callback(self._opened)

    def _opened(self, found: Future[Opened | EvalkitError]) -> None:
        try:
            opened = found.result()
        except BaseException as error:  # noqa: BLE001 — Ray raises many kinds, also cancellations
            self.opening.set_exception(Ended(_last(error)))
            return
        if isinstance(opened, EvalkitError):
            self.opening.set_exception(opened)
        else:
            self.where = f"the node {opened.node}"
            self.opening.set_result(opened)

    async def answer(self, asked: Sequence[Asked]) -> Answers:
        """Raises `Ended`, or the `EvalkitError` of the whole call."""
        try:
            reference = self._actor.answer.remote([*asked])
            found = await asyncio.wrap_future(reference.future())
        except self._ray.exceptions.RayError as error:
            raise Ended(_last(error)) from None
        if isinstance(found, EvalkitError):
            raise found
        return cast(Answers, found)

    def close(self) -> None:
        with contextlib.suppress(Exception):  # it has ended, or Ray has
            self._ray.kill(self._actor)


def _last(error: BaseException) -> str:
    """Ray's message about an actor that ended, without the lists of names and of common causes."""
    text = " ".join(str(error).partition("Some common causes")[0].split())
    _, mark, rest = text.rpartition("Worker exit detail: ")
    return (rest if mark else f"{type(error).__name__}: {text}").strip()[:300]
