"""Statistics that depend on all scored samples, such as on the number of references with an n-gram.

They are computed after the last sample is scored, from the run file: the samples are read twice, a few at a
time, first by the metric's `prepare` and then for their statistics. Until then the statistics are NaN.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from evalkit.engine.faults import FAULTS, fault
from evalkit.engine.score import Score, statistics_of
from evalkit.errors import BoundaryError, ScorerError, UsageError
from evalkit.metrics.base import Metric, Scored, is_prepared, prepare
from evalkit.metrics.macro import measured
from evalkit.runfile.measured import recall
from evalkit.runfile.records import Cell
from evalkit.runfile.scored import AT_ONCE, scored_of, scored_samples
from evalkit.runfile.store import Store
from evalkit.samples import Sample


def complete(store: Store, cell: Cell, metrics: Sequence[Metric]) -> bool:
    """Computes the statistics of the `metrics` that are prepared, for all scored samples of `cell`.

    Metrics with `recall` get the cell's answers. Returns whether any statistics were computed. The caller
    commits. Either all statistics are written or none, so that a file never mixes two corpora. Raises
    `UsageError` if a metric fails; all responses are stored.
    """
    for metric in {id(inner): inner for inner in map(measured, metrics)}.values():
        recall(metric, store, cell)
    if not any(is_prepared(measured(metric)) for metric in metrics):
        return False
    store.connection.execute("SAVEPOINT corpus")
    try:
        _complete(store, cell, metrics)
    except BaseException as error:
        store.connection.execute("ROLLBACK TO corpus")
        if isinstance(error, BoundaryError):
            raise UsageError(
                f"{error}; every response is stored: correct the metric, then run evalkit rescore"
            ) from error
        raise
    finally:
        store.connection.execute("RELEASE corpus")
    return True


def _complete(store: Store, cell: Cell, metrics: Sequence[Metric]) -> None:
    start, made = 0, dict[int, Any]()
    for metric in metrics:
        inner = measured(metric)
        if is_prepared(inner):
            answers = (
                (sample, functools.partial(scored_of, answer))
                for _, sample, answer, _ in scored_samples(store, cell)
            )
            if id(inner) not in made:
                made[id(inner)] = _prepared(inner, answers)
            _take(store, cell, inner, made[id(inner)], start)
        start += len(metric.columns)


def completed(metrics: Sequence[Metric], scores: Sequence[tuple[Sample, Score]]) -> list[tuple[float, ...]]:
    """Returns the samples' statistics, including those that depend on all samples. Raises `ScorerError`."""
    found = [list(score.statistics) for _, score in scores]
    start = 0
    for metric in metrics:
        inner = measured(metric)
        if hasattr(inner, "recall"):
            inner.recall((sample, score.scored) for sample, score in scores)
        if is_prepared(inner):
            corpus = _prepared(
                inner, ((sample, functools.partial(_scored, score)) for sample, score in scores)
            )
            for row, (sample, score) in zip(found, scores, strict=True):
                row[start : start + len(metric.columns)] = statistics_of(inner, sample, score.scored, corpus)
        start += len(metric.columns)
    return [tuple(row) for row in found]


def _scored(score: Score) -> Scored:
    return score.scored


def _prepared(metric: Metric, answered: Iterable[tuple[Sample, Callable[[], Scored]]]) -> Any:
    """Returns what the metric's `prepare` returns. Raises `ScorerError`."""
    try:
        return prepare(metric, answered)
    except FAULTS as error:
        raise fault(error, f"metric {metric.name}: prepare") from error


def _take(store: Store, cell: Cell, metric: Metric, corpus: object, start: int) -> None:
    """Writes the metric's columns, which begin at `start`, for every sample."""
    rows = []
    for position, sample, answer, statistics in scored_samples(store, cell):
        try:
            found = statistics_of(metric, sample, scored_of(answer), corpus)
        except BoundaryError as error:
            raise ScorerError(f"{error} (sample {sample.id})") from error
        place, packed = 8 * start, struct.pack(f"<{len(found)}d", *found)
        rows.append((statistics[:place] + packed + statistics[place + len(packed) :], cell.id, position))
        if len(rows) == AT_ONCE:
            _write(store, rows)
            rows.clear()
    _write(store, rows)


def _write(store: Store, rows: Sequence[tuple[bytes, int, int]]) -> None:
    store.connection.executemany("UPDATE sample SET statistics = ? WHERE cell = ? AND position = ?", rows)
