"""Shows the progress of a run: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from evalkit.engine.gpus import Gpus
from evalkit.errors import counted
from evalkit.metrics.base import is_prepared, traits_of
from evalkit.metrics.macro import measured
from evalkit.runfile.records import SHARD, told_outcomes

if TYPE_CHECKING:
    from evalkit.engine.cell import CellPlan
    from evalkit.engine.client import ModelClient
    from evalkit.runfile.store import Cell, Row, Store

_PLAIN_EVERY = 10.0
"""Seconds between plain lines."""
_WHY = 200
"""The characters of an error in a line."""
_NEWS = 300
"""The characters of a line about a replica."""


class Progress(Protocol):
    """Receives the progress. It may also have `waiting(seconds, why)`, for long pauses, `news(text)`, for
    endpoints that fail and that answer again, and `awaiting(what)`, which is called every ten seconds."""

    def start(self, planned: CellPlan, cell: Cell, client: ModelClient, store: Store) -> None: ...
    def sample(self, row: Row) -> None: ...
    def close(self) -> None: ...


class Silent:
    """Shows nothing."""

    def start(self, planned: CellPlan, cell: Cell, client: ModelClient, store: Store) -> None:
        return None

    def sample(self, row: Row) -> None:
        return None

    def close(self) -> None:
        return None


class Tally:
    """The running figures of one cell, including samples of an earlier process."""

    def __init__(self, planned: CellPlan, cell: Cell, client: ModelClient, store: Store) -> None:
        self.name = planned.name
        self.total = None if SHARD in store.manifest else planned.count
        self.started = time.monotonic()
        self._client = client
        self._gpus = Gpus(client.model)
        self._tokens_before = client.prompt_tokens + client.completion_tokens
        self._metric = planned.metrics[0]
        data = store.data(cell)
        self.outcomes = Counter(data.outcomes)
        self.outcomes["failed"] = 0  # failed samples are run again now
        self.before = self.done
        self._macro = bool(traits_of(self._metric).average)
        self._finish = getattr(measured(self._metric), "finish", None)
        """None for a metric that is only known once all samples are done."""
        self._totals: dict[str, Any] = {}
        """Sums of statistics by group if the metric is a mean over groups; else of all samples, under ""."""
        rows: dict[str, list[int]] = {}
        groups = (group for group, scored in zip(data.groups, data.scored, strict=True) if scored)
        for row, group in enumerate(groups):
            rows.setdefault(group, []).append(row)
        for group, found in rows.items():
            self._count(group, data.matrix[found].sum(axis=0))

    @property
    def done(self) -> int:
        return sum(self.outcomes.values())

    def place(self) -> str:
        """Returns how many samples are done, such as `12/16`."""
        return f"{self.done}/{self.total}" if self.total else str(self.done)

    def add(self, row: Row) -> None:
        self._gpus.look()
        self.outcomes[row.outcome] += 1
        if row.statistics:
            self._count(row.sample.group, row.statistics)

    def _count(self, group: str, statistics: Any) -> None:
        import numpy as np

        key = group if self._macro else ""
        counted = np.asarray(statistics[: len(self._metric.columns)], dtype=float)
        self._totals[key] = self._totals.get(key, 0.0) + counted

    def _figure(self) -> float:
        """Returns the figure so far, computed as in the table; NaN if there is none yet."""
        totals = [total for group, total in self._totals.items() if group or not self._macro]
        if self._finish is None or is_prepared(measured(self._metric)):
            return math.nan
        try:
            found = [value for total in totals if not math.isnan(value := float(self._finish(total)))]
        except Exception:  # noqa: BLE001 — a user's metric; its error is reported when the run ends
            return math.nan
        return sum(found) / len(found) if found else math.nan

    def figures(self) -> str:
        """Returns a text such as `accuracy 53.1 · correct 270, wrong 230 · 157k tokens · GPU 97 %`."""
        parts = []
        if not math.isnan(figure := self._figure()):
            parts.append(f"{self._metric.name} {figure:.1f}")
        told = told_outcomes(self.outcomes, right_or_wrong=traits_of(self._metric).right_or_wrong)
        parts.append(", ".join(f"{name} {count}" for name, count in told.items()))
        tokens = self._client.prompt_tokens + self._client.completion_tokens - self._tokens_before
        if tokens:
            parts.append(f"{_short(tokens)} tokens")
        parts.append(self._gpus.told())
        return " · ".join(filter(None, parts))

    def pace(self) -> str:
        """Returns a text such as `12.3/s, 1:05 left`."""
        fresh = self.done - self.before
        seconds = time.monotonic() - self.started
        if not fresh or seconds <= 0:
            return ""
        rate = fresh / seconds
        pace = f"{rate:.1f}/s" if rate >= 1 else f"{1 / rate:.1f} s each"
        if self.total is None or self.done >= self.total:
            return pace
        left = round((self.total - self.done) / rate)
        return f"{pace}, {left // 60}:{left % 60:02} left"


class PlainProgress:
    """Prints a line when a cell starts, every ten seconds, and when it ends."""

    def __init__(self, stream: TextIO | None = None, every: float = _PLAIN_EVERY) -> None:
        self._stream = stream or sys.stderr
        self._every = every
        self._tally: Tally | None = None
        self._printed = 0.0
        self._printed_done = -1
        """How many samples were done when the last line was printed."""

    def start(self, planned: CellPlan, cell: Cell, client: ModelClient, store: Store) -> None:
        self.close()
        self._tally = Tally(planned, cell, client, store)
        self._printed = time.monotonic()
        self._printed_done = -1
        kept = f", {self._tally.done} done before" if self._tally.done else ""
        total = "samples" if self._tally.total is None else counted(self._tally.total, "sample")
        self._print(f"{self._tally.name}: {total}{kept}")

    def sample(self, row: Row) -> None:
        assert self._tally is not None
        self._tally.add(row)
        if time.monotonic() - self._printed >= self._every:
            self._print_tally()

    def waiting(self, seconds: float, why: str) -> None:
        if self._tally is not None:
            self._print(f"{self._tally.name}: {self._tally.place()} · {_wait(seconds, why)}")

    def news(self, text: str) -> None:
        self._print(text[:_NEWS])

    def awaiting(self, what: str) -> None:
        """Prints a line if there was none for a while."""
        if self._tally is not None and time.monotonic() - self._printed >= self._every:
            self._printed = time.monotonic()
            self._print(f"{self._tally.name}: " + " · ".join(filter(None, (self._tally.place(), what))))

    def close(self) -> None:
        if self._tally is not None:
            if self._printed_done != self._tally.done:
                self._print_tally()
            self._tally = None

    def _print_tally(self) -> None:
        assert self._tally is not None
        self._printed = time.monotonic()
        self._printed_done = self._tally.done
        done = f"{self._tally.name}: {self._tally.place()}"
        self._print(" · ".join(filter(None, [done, self._tally.pace(), self._tally.figures()])))

    def _print(self, text: str) -> None:
        # A run goes on if nobody reads what it says: a closed pipe or file, a terminal that is gone.
        with contextlib.suppress(OSError, ValueError):
            print(text, file=self._stream, flush=True)


class RichProgress:
    """Shows a bar for each cell, redrawn a few times a second."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[text]}"),
            console=Console(stderr=True),
            refresh_per_second=4,
        )
        self._bar: Any = None
        self._tally: Tally | None = None
        self._drawn = 0.0

    def start(self, planned: CellPlan, cell: Cell, client: ModelClient, store: Store) -> None:
        self._finish()
        if not self._bars.live.is_started:
            self._bars.start()
        self._tally = Tally(planned, cell, client, store)
        self._bar = self._bars.add_task(
            self._tally.name, total=self._tally.total, completed=self._tally.done, text=""
        )

    def sample(self, row: Row) -> None:
        assert self._tally is not None
        self._tally.add(row)
        self._bars.update(self._bar, completed=self._tally.done)
        now = time.monotonic()
        if now - self._drawn > 0.2:  # formatting the text costs more than counting
            self._drawn = now
            self._bars.update(
                self._bar, text=" · ".join(filter(None, [self._tally.pace(), self._tally.figures()]))
            )

    def waiting(self, seconds: float, why: str) -> None:
        if self._tally is not None:
            self._drawn = time.monotonic()
            self._bars.update(self._bar, text=_wait(seconds, why).replace("[", "\\["))

    def awaiting(self, what: str) -> None:
        if self._tally is not None and what and time.monotonic() - self._drawn >= _PLAIN_EVERY:
            self._bars.update(self._bar, text=what.replace("[", "\\["))

    def news(self, text: str) -> None:
        self._bars.console.print(text[:_NEWS], markup=False, highlight=False)

    def close(self) -> None:
        self._finish()
        self._bars.stop()

    def _finish(self) -> None:
        if self._tally is not None:
            self._bars.update(self._bar, text=self._tally.figures())
            self._tally = None


def make_progress() -> Progress:
    """Returns the progress that suits standard error."""
    return RichProgress() if sys.stderr.isatty() else PlainProgress()


def _wait(seconds: float, why: str) -> str:
    return f"waiting {round(seconds)} s: {why[:_WHY]}"


def _short(count: int) -> str:
    if count < 10_000:
        return str(count)
    return f"{count / 1000:.0f}k" if count < 10_000_000 else f"{count / 1_000_000:.1f}M"
