"""Statistics that depend on all scored samples, such as on the number of references with an n-gram.

They are computed after the last sample is scored, from the run file: the samples are read twice, a few at a
time, first by the metric's `prepare` and then for their statistics. Until then the statistics are NaN.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson

from evalkit.engine.faults import FAULTS, fault
from evalkit.engine.score import Score, statistics_of
from evalkit.errors import BoundaryError, ScorerError, UsageError
from evalkit.metrics.base import Metric, Scored, prepare, traits_of
from evalkit.metrics.macro import measured
from evalkit.runfile.records import FAILED, Cell
from evalkit.runfile.sample_records import known_medium
from evalkit.runfile.store import Store
from evalkit.samples import JSON, Answer, Final, Sample

_AT_ONCE = 500
"""Number of samples in memory."""
_COLUMNS = "position, id, input, target, choices, grp, tags, cluster, meta, media, answer, statistics"


def complete(store: Store, cell: Cell, metrics: Sequence[Metric]) -> bool:
    """Computes the statistics of the `metrics` with a `prepare`, for all scored samples of `cell`.

    Returns whether there is such a metric. The caller commits. Either all statistics are written or none, so
    that a file never mixes two corpora. Raises `UsageError` if a metric fails; all responses are stored.
    """
    if not any(traits_of(metric).prepared for metric in metrics):
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
        if traits_of(metric).prepared:
            if id(inner) not in made:
                made[id(inner)] = _prepared(inner, (sample for _, sample, _, _ in _scored(store, cell)))
            _take(store, cell, inner, made[id(inner)], start)
        start += len(metric.columns)


def completed(metrics: Sequence[Metric], scores: Sequence[tuple[Sample, Score]]) -> list[tuple[float, ...]]:
    """Returns the samples' statistics, including those that depend on all samples. Raises `ScorerError`."""
    found = [list(score.statistics) for _, score in scores]
    start = 0
    for metric in metrics:
        if traits_of(metric).prepared:
            inner = measured(metric)
            corpus = _prepared(inner, (sample for sample, _ in scores))
            for row, (sample, score) in zip(found, scores, strict=True):
                row[start : start + len(metric.columns)] = statistics_of(inner, sample, score.scored, corpus)
        start += len(metric.columns)
    return [tuple(row) for row in found]


def _prepared(metric: Metric, samples: Iterable[Sample]) -> Any:
    """Returns what the metric's `prepare` returns. Raises `ScorerError`."""
    try:
        return prepare(metric, samples)
    except FAULTS as error:
        raise fault(error, f"metric {metric.name}: prepare") from error


def _take(store: Store, cell: Cell, metric: Metric, corpus: object, start: int) -> None:
    """Writes the metric's columns, which begin at `start`, for every sample."""
    rows = []
    for position, sample, answer, statistics in _scored(store, cell):
        try:
            found = statistics_of(metric, sample, scored_of(answer), corpus)
        except BoundaryError as error:
            raise ScorerError(f"{error} (sample {sample.id})") from error
        place, packed = 8 * start, struct.pack(f"<{len(found)}d", *found)
        rows.append((statistics[:place] + packed + statistics[place + len(packed) :], cell.id, position))
        if len(rows) == _AT_ONCE:
            _write(store, rows)
            rows.clear()
    _write(store, rows)


def _write(store: Store, rows: Sequence[tuple[bytes, int, int]]) -> None:
    store.connection.executemany("UPDATE sample SET statistics = ? WHERE cell = ? AND position = ?", rows)


def _scored(store: Store, cell: Cell) -> Iterator[tuple[int, Sample, dict[str, Any], bytes]]:
    """Yields (position, sample, answer as `engine.score` wrote it, statistics), read a few at a time."""
    after = -1
    while True:
        rows = store.connection.execute(
            f"SELECT {_COLUMNS} FROM sample WHERE cell = ? AND position > ? AND outcome != ? "  # noqa: S608
            "AND length(statistics) > 0 ORDER BY position LIMIT ?",
            (cell.id, after, FAILED, _AT_ONCE),
        ).fetchall()
        if not rows:
            return
        for position, name, text, *lists, answer, statistics in rows:
            target, choices, group, tags, cluster, meta, media = lists
            sample = Sample(
                id=name,
                input=text,
                target=tuple(orjson.loads(target)),
                choices=tuple(orjson.loads(choices)),
                group=group,
                tags=tuple(orjson.loads(tags)),
                cluster=cluster,
                meta=orjson.loads(meta),
                media=tuple(known_medium(store, key) for key in orjson.loads(media)),
            )
            yield position, sample, orjson.loads(answer), statistics
        after = rows[-1][0]


def scored_of(answer: dict[str, Any]) -> Scored:
    """Rebuilds `Score.scored` from what `Score.as_json` wrote."""
    finals, branches = answer["finals"], answer["branches"]
    others: dict[str, list[dict[str, Any]]] = {**answer["variants"], **branches}
    detail: dict[str, JSON] = answer["detail"]
    readings = {"": finals, **others}
    return Scored(
        Answer(_finals(finals), detail, {name: _finals(branch) for name, branch in branches.items()}),
        _correct(finals),
        tuple(final["reason"] for final in finals),
        {name: _correct(graded) for name, graded in others.items()},
        {name: tuple(_credit(final) for final in graded) for name, graded in readings.items()},
        {name: tuple(_values(final) for final in graded) for name, graded in readings.items()},
    )


def _finals(graded: Sequence[dict[str, Any]]) -> tuple[Final, ...]:
    return tuple(Final(final["value"], final["truncated"], final.get("refused", False)) for final in graded)


def _correct(graded: Sequence[dict[str, Any]]) -> tuple[bool, ...]:
    return tuple(final["correct"] for final in graded)


def _credit(final: dict[str, Any]) -> float:
    return float(final.get("credit", final["correct"]))


def _values(final: dict[str, Any]) -> dict[str, float] | None:
    return None if final["value"] is None else final.get("values", {})
