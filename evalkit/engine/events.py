"""What happens in a run, as events of Python's `logging`, on the logger `evalkit.run`.

An event is made only if a handler wants it: `evalkit run --log-file` (`evalkit.engine.log_file`), or one of
the user's. It has names, counts, times and errors, and no text of a prompt or a response. docs/faults.md
lists the events and their fields.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import evalkit
from evalkit.errors import EvalkitError, ProviderError
from evalkit.runfile.records import FAILED

if TYPE_CHECKING:
    from pathlib import Path

    from evalkit.engine.cell import CellPlan
    from evalkit.engine.client import Asker, ModelClient
    from evalkit.engine.lanes import Turn
    from evalkit.engine.plan import Plan
    from evalkit.engine.progress import Progress
    from evalkit.engine.waits import Waits
    from evalkit.models.base import Response
    from evalkit.runfile.store import Cell, Row, Store

LOGGER = logging.getLogger("evalkit.run")
LOGGER.addHandler(logging.NullHandler())  # otherwise Python writes warnings to standard error
_LOOKED_AT = (25, 50, 100, 200)
"""The numbers of samples after which it is looked how many answers were cut."""
_MANY = 0.1
"""The share of cut answers from which the user is told."""
_LONGEST = 500
"""The characters of an error in an event."""


class Event:
    """The message of a log record: the event's name, and its fields."""

    def __init__(self, name: str, fields: Mapping[str, Any]) -> None:
        self.name, self.fields = name, fields

    def __str__(self) -> str:
        return " ".join([self.name, *(f"{key}={value!r}" for key, value in self.fields.items())])


def emit(name: str, level: int = logging.INFO, /, **fields: Any) -> None:
    """Logs an event. Fields that are None are left out."""
    if LOGGER.isEnabledFor(level):
        LOGGER.log(level, Event(name, {key: one for key, one in fields.items() if one is not None}))


def answered(turn: Turn, asker: Asker, draw: int, role: str, response: Response) -> None:
    """A request was answered. `role`: of the judge model, "" for the evaluated one."""
    if LOGGER.isEnabledFor(logging.DEBUG):
        counts = [one.completion_tokens for one in response.draws]
        emit(
            "request_answered",
            logging.DEBUG,
            **_asked(turn, asker, draw, role),
            draws=len(counts) if response.more else None,
            status="ok",
            finish=response.finish,
            seconds=round(response.seconds, 4),
            prompt_tokens=response.prompt_tokens,
            completion_tokens=None if None in counts else sum(filter(None, counts)),
        )


def failed(turn: Turn, asker: Asker, draw: int, role: str, error: ProviderError) -> None:
    """An attempt at a request failed."""
    if LOGGER.isEnabledFor(logging.WARNING):
        emit(
            "request_failed",
            logging.WARNING,
            **_asked(turn, asker, draw, role),
            status=_status(error),
            cause=str(error)[:_LONGEST],
            retry_after=error.retry_after,
        )


def retried(waits: Waits, asker: Asker, draw: int, seconds: float) -> None:
    """A request will be sent again in `seconds`."""
    emit(
        "retry",
        **_place(asker.cell),
        sample=asker.sample,
        draw=draw,
        attempt=waits.sent + 1,
        seconds=round(seconds, 3),
    )


def _asked(turn: Turn, asker: Asker, draw: int, role: str) -> dict[str, Any]:
    return {
        **_place(asker.cell),
        "sample": asker.sample,
        "draw": draw,
        "attempt": getattr(turn.request, "sent", None),
        "judge": role or None,
        "replica": turn.lane.address or None,
    }


def _place(cell: Cell) -> dict[str, Any]:
    return {"task": cell.task, "protocol": cell.spec.protocol.label, "role": cell.role or None}


def _status(error: ProviderError) -> int | str:
    """The status of the HTTP response, or else what came instead of one."""
    status = getattr(error, "status", None)
    if isinstance(status, int):
        return status
    return "timeout" if error.waited else "no response" if error.away else "error"


@contextlib.contextmanager
def run_events(plan: Plan, path: Path) -> Iterator[None]:
    """Logs the start of a run and how it ended."""
    emit(
        "run_started",
        evalkit=evalkit.__version__,
        run_file=str(path),
        model=plan.model.name,
        judges={role: judge.name for role, judge in plan.judges.items()} or None,
        seed=plan.seed,
        tasks=[cell.name for cell in plan.cells],
        shard=None if plan.shard is None else str(plan.shard),
    )
    try:
        yield
    except (asyncio.CancelledError, KeyboardInterrupt):
        emit("run_ended", logging.WARNING, status="interrupted")
        raise
    except Exception as error:
        cause = str(error) if isinstance(error, EvalkitError) else f"{type(error).__name__}: {error}"
        emit("run_ended", logging.ERROR, status="stopped", cause=cause[:_LONGEST])
        raise
    emit("run_ended", status="finished")


class Events:
    """A progress that passes everything on to `progress`, and logs it.

    It also tells, once for each task and while the run can be stopped, that many answers are cut.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._cell: Cell | None = None
        self._counts = Counter[str]()
        self._name, self._most = "", 0
        """The task's `max_tokens`; 0 once it was told that many answers are cut."""

    def __getattr__(self, name: str) -> Any:
        """What else the progress has, such as `awaiting`."""
        return getattr(self._progress, name)

    def start(self, planned: CellPlan, cell: Cell, client: ModelClient, store: Store) -> None:
        self._end()
        self._cell, self._counts, self._most = cell, Counter(), planned.protocol.max_tokens
        self._name = planned.name
        done = {name: count for name, count in store.outcomes(cell).items() if count and name != FAILED}
        emit("task_started", **_place(cell), samples=planned.count, done_before=sum(done.values()))
        self._progress.start(planned, cell, client, store)

    def sample(self, row: Row) -> None:
        self._counts[row.outcome] += 1
        level = logging.WARNING if row.outcome == FAILED else logging.INFO
        if self._cell is not None and LOGGER.isEnabledFor(level):
            emit(
                "sample",
                level,
                **_place(self._cell),
                sample=row.sample.id,
                position=row.position,
                outcome=row.outcome,
                boundary=row.boundary or None,
                cause=row.error[:_LONGEST] or None,
            )
        self._progress.sample(row)
        if self._most and (seen := self._counts.total()) in _LOOKED_AT:
            self._tell_cut(seen)

    def _tell_cut(self, seen: int) -> None:
        share = self._counts["truncated"] / seen
        if share >= _MANY:
            cut = f"{100 * share:.0f} % of the first {seen} answers were cut at {self._most} tokens"
            self.news(f"{self._name}: {cut}: stop, and raise --set max_tokens")
            self._most = 0

    def waiting(self, seconds: float, why: str) -> None:
        emit("waiting", logging.WARNING, seconds=round(seconds, 3), cause=why[:_LONGEST])
        if (tell := getattr(self._progress, "waiting", None)) is not None:
            tell(seconds, why)

    def news(self, text: str) -> None:
        emit("news", logging.WARNING, text=text[:_LONGEST])
        if (tell := getattr(self._progress, "news", None)) is not None:
            tell(text)

    def close(self) -> None:
        self._end()
        self._progress.close()

    def _end(self) -> None:
        if self._cell is not None:
            emit("task_ended", **_place(self._cell), outcomes=dict(self._counts))
            self._cell = None
