"""Learned scorers: a regression model, a classifier, or natural-language inference.

    ENTAILS = Learned(load, score, model="my-nli@1.0", packages=("torch",))

    async def score(answer, sample):
        value = await ENTAILS(answer, sample.target[0])

The model runs in a worker process, where it is loaded once. Pairs that samples submit at the same time are
scored in batches.
"""

from __future__ import annotations

import asyncio
import functools
import json
import math
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from evalkit.errors import ScorerError, UsageError, WorkerError
from evalkit.identity.declared import Declared, code_identity
from evalkit.keys import HUB, PROXIES
from evalkit.needs import installed
from evalkit.processes.likeness import digest
from evalkit.processes.pool import elsewhere
from evalkit.processes.workers import OverLimit, Place, Workers, find, place_of
from evalkit.samples import JSON

TextPair: TypeAlias = tuple[str, str]
"""(candidate, reference)."""
RESTARTS = 16
"""How often the worker process of a scorer is started again after crashes in a run; then every pair fails."""
_SHOWN = 300
"""The most characters of an error that are shown."""


class Learned:
    """A model that scores a candidate: `await learned(candidate, reference)` → a finite float.

    If the model fails on a batch, its pairs are scored one by one, and the pair on which it fails raises
    `ScorerError`, which fails its sample. The same happens if the process crashes, is killed or takes more
    than `seconds`; a new process is then started, up to `RESTARTS` times. A model that cannot be loaded
    raises `UsageError`, which ends the run.
    """

    def __init__(
        self,
        load: Callable[..., Any],
        score: Callable[[Any, list[TextPair]], Sequence[float]],
        *,
        model: str | Path,
        given: Sequence[JSON] = (),
        packages: Sequence[str] = (),
        batch: int = 32,
        processes: int = 1,
        seconds: float = 1800.0,
    ) -> None:
        """`load` and `score` must be defined at the top level of a module or of a task's file.

        `load`: called once in each process, where it also chooses the device; with several processes, the
        environment variable EVALKIT_WORKER holds the number of the process, from 0. `score`: (the result of
        `load`, at most `batch` pairs) → a number for each pair. `model`: the weights, as `name@revision` or
        as the path of their file or folder, which is identified by its SHA-256. `given`: the arguments of
        `load`, as plain JSON. `packages`: distributions whose versions affect the scores. `seconds`: the wall
        time for a batch; the first includes loading.

        Raises `UsageError` for a `model` without a revision, and for a function that a worker cannot find.
        """
        self._name = f"the learned scorer {model if isinstance(model, str) else model.name}"
        for function in (load, score):
            if "<" in function.__qualname__ or function.__module__ == "__main__":
                raise UsageError(
                    f"{self._name}: a worker process cannot find {function.__qualname__} of "
                    f"{function.__module__}: put it at the top level of a module or of a task's file"
                )
        if isinstance(model, str) and not all(model.partition("@")):
            raise UsageError(
                f"{self._name}: model={model!r} has no revision: write name@revision, or pass a Path"
            )
        if batch < 1 or processes < 1:
            raise UsageError(f"{self._name}: batch and processes must be at least 1")
        self._functions = load, score
        self._places = place_of(load), place_of(score)
        self._model, self._packages, self._batch = model, tuple(packages), batch
        self._given = tuple(given)
        self._workers = Workers(
            cpu_seconds=None,
            memory_megabytes=None,
            wall_seconds=seconds,
            count=processes,
            code=self._functions,
            files=() if isinstance(model, str) else (model,),
            packages=self._packages,
            keys=(*HUB, *PROXIES),
        )
        self._processes = processes
        self._waiting: deque[tuple[TextPair, asyncio.Future[float]]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._busy: set[asyncio.Task[None]] = set()
        self._crashes = 0
        self._gone: Callable[[], ScorerError | UsageError] | None = None
        """The reason why no pair can be scored any more, if any."""

    @functools.cached_property
    def __evalkit_identity__(self) -> Declared:
        """The identity of code, weights and versions; scores may depend on each of these."""
        load, score = map(code_identity, self._functions)
        model = self._model if isinstance(self._model, str) else f"sha256:{digest(self._model)}"
        given = f",given={json.dumps(self._given, ensure_ascii=False)}" if self._given else ""
        return Declared("learned", 1, self._packages, f"model={model},load={load},score={score}{given}")

    def needs(self) -> None:
        """A `Task.needs`. Raises `UsageError` if a package is not installed or the weights are missing."""
        if missing := self._missing():
            raise UsageError(
                f"{self._name} needs packages that are not installed: pip install {' '.join(missing)}"
            )
        if isinstance(self._model, Path) and not self._model.exists():
            raise UsageError(f"{self._name}: there are no weights at {self._model}")

    async def __call__(self, candidate: str, reference: str) -> float:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # the tasks and futures belong to a loop that has ended
            self._loop, self._busy = loop, set()
            self._waiting.clear()
        if self._gone is not None:
            raise self._gone()
        future: asyncio.Future[float] = loop.create_future()
        self._waiting.append(((candidate, reference), future))
        machines = elsewhere()
        if len(self._busy) < self._processes * (machines.nodes if machines is not None else 1):
            task = loop.create_task(self._work())
            self._busy.add(task)
            task.add_done_callback(self._busy.discard)
        return await future

    def close(self) -> None:
        """Ends the processes. A later call starts new ones, which load the model again."""
        self._workers.close()

    async def _work(self) -> None:
        """Sends batches to one process until no pair waits; pairs that arrive meanwhile form the next."""
        while self._waiting:
            taken = [self._waiting.popleft() for _ in range(min(self._batch, len(self._waiting)))]
            batch = [(pair, future) for pair, future in taken if not future.done()]  # done means cancelled
            try:
                scores = await self._scores([pair for pair, _ in batch])
            except BaseException:
                for _, future in batch:
                    future.cancel()
                raise
            for (_, future), score in zip(batch, scores, strict=True):
                if future.done():
                    continue
                if isinstance(score, float):
                    future.set_result(score)
                else:
                    future.set_exception(score)

    async def _scores(self, pairs: list[TextPair]) -> list[float | ScorerError | UsageError]:
        """The score of each pair, or the error for it."""
        if not pairs:
            return []
        if self._gone is not None:
            return [self._gone() for _ in pairs]
        answer = await self._answer(pairs)
        if isinstance(answer, list):
            return [self._checked(score) for score in answer]
        if len(pairs) == 1:
            return [answer]
        return [score for pair in pairs for score in await self._scores([pair])]

    async def _answer(self, pairs: list[TextPair]) -> list[float] | ScorerError | UsageError:
        try:
            reply = await self._workers.call(score_in_worker, *self._places, pairs, self._given)
        except UsageError as error:  # no machine has what it needs
            self._gone = functools.partial(UsageError, f"{self._name}: {error}")
            return self._gone()
        except (ScorerError, OverLimit, OSError) as error:
            self._crashes += 1
            kind = WorkerError if isinstance(error, WorkerError) else ScorerError
            message = f"{self._name}: {error}"
            if self._crashes > RESTARTS:
                message += f"; it was started again {RESTARTS} times and is not started any more"
                self._gone = functools.partial(kind, message)
            return kind(message)
        if "unloadable" in reply:
            self._gone = functools.partial(UsageError, self._unloadable(reply["unloadable"], reply["lacks"]))
            return self._gone()
        if "error" in reply:
            return ScorerError(f"{self._name}: {reply['error']}")
        scores: list[float] = reply["scores"]
        return scores

    def _checked(self, score: float) -> float | ScorerError:
        if math.isfinite(score):
            return float(score)
        return ScorerError(f"{self._name} returned {score}, which is not a finite number")

    def _unloadable(self, error: str, lacks: str) -> str:
        missing = self._missing() or ([lacks] if lacks else [])
        fix = f": pip install {' '.join(missing)}" if missing else ""
        return f"{self._name} cannot be loaded ({error}){fix}"

    def _missing(self) -> list[str]:
        return [package for package in self._packages if not installed(package)]


_LOADED: list[tuple[Any, Callable[..., Any]]] = []
"""In a worker process: the model and the function that scores with it, once loaded."""


def score_in_worker(
    load: Place, score: Place, pairs: Sequence[TextPair], given: Sequence[JSON] = ()
) -> dict[str, Any]:
    """In a worker: {`scores`}, or {`error`} of the model, or {`unloadable`, `lacks`: a missing module}."""
    if not _LOADED:
        try:
            scorer = find(score)
            _LOADED.append((find(load)(*given), scorer))
        except (Exception, SystemExit) as error:  # noqa: BLE001 — the next call would fail in the same way
            return {"unloadable": _message_of(error), "lacks": _module_lacking(error)}
    model, scorer = _LOADED[0]
    try:
        scores = [float(score) for score in scorer(model, [(one, other) for one, other in pairs])]
    except (Exception, SystemExit) as error:  # noqa: BLE001 — it concerns only this batch
        return {"error": _message_of(error)}
    if len(scores) != len(pairs):
        return {"error": f"it returned {len(scores)} scores for {len(pairs)} pairs"}
    return {"scores": scores}


def _module_lacking(error: BaseException | None) -> str:
    while error is not None:
        if isinstance(error, ModuleNotFoundError):
            return (error.name or "").partition(".")[0]
        error = error.__cause__
    return ""


def _message_of(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:_SHOWN]
