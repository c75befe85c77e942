"""Reads the benchmarks of a run for other tools' formats: figures, the samples' own values, and samples."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import compress
from typing import TYPE_CHECKING, Any

from evalkit.errors import UsageError
from evalkit.exports.shared import hidden
from evalkit.runfile.cells import TableCell, cells_of
from evalkit.runfile.measured import Measure, measures
from evalkit.runfile.records import AGAIN, CellData
from evalkit.runfile.sample_records import AskedRequest, SampleRecord, SampleRecords
from evalkit.runfile.store import Cell, Store
from evalkit.samples import JSON

if TYPE_CHECKING:
    from evalkit.metrics.base import Floats

_BY_SAMPLES = ("n", "questions", "prompts", "validation", "corpus", "counted")
"""Parts of a signature that differ between runs of the same settings."""
_CLOSE = 1e-9
"""The greatest relative difference, by rounding, between a mean and the mean of its samples' values."""
_Z = 1.959963984540054
"""Half the width of a 95 % interval in standard errors, of a normal distribution."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of a benchmark, with what each sample contributes, by the sample's position in the data.

    Percentages are shares between 0 and 1 here (`value`, `low`, `high`, `values`); all else has the metric's
    own unit. `values`: the samples' own figures; samples that the figure leaves out have none. `statistics`:
    the numbers that the figure is computed from. `is_mean`: whether the figure is the mean of `values`; an
    error rate of a corpus or BLEU is not. `error`: the standard error of the mean; for other figures, and
    where samples share a passage or picture, half of the interval's width in standard errors.
    """

    cell: TableCell
    name: str
    value: float | None
    low: float | None
    high: float | None
    values: Mapping[int, float]
    statistics: Mapping[int, tuple[float, ...]]
    is_mean: bool
    error: float | None

    @property
    def variant(self) -> str:
        """The other reading of the same responses that the figure measures; "" for the headline's."""
        return self.cell.variant


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A benchmark of a run. `name`: its task, with its protocol if the run has the task under several."""

    store: Store
    cell: Cell
    name: str
    figures: tuple[Figure, ...]

    @property
    def model(self) -> str:
        return str(self.store.manifest["model"]["name"])

    @property
    def finished(self) -> bool:
        return self.figures[0].cell.completeness.finished

    @property
    def asked(self) -> int:
        """The number of samples in the run file, with those that failed."""
        return len(self.store.data(self.cell).ids)

    @property
    def variants(self) -> tuple[str, ...]:
        """The readings that figures measure, the headline's first."""
        return tuple(dict.fromkeys(figure.variant for figure in self.figures))

    def samples(self) -> Iterator[tuple[str, int, SampleRecord]]:
        """Yields (id, position, sample); a second sample of the same id is called `id (2)`."""
        records = SampleRecords(self.store, self.cell)
        for name, position in records.positions.items():
            yield name, position, records.read(position)


def benchmarks(store: Store) -> list[Benchmark]:
    """Returns the benchmarks of a run in its order. Raises `UsageError` if there are none."""
    cells = {(cell.task, cell.protocol): cell for cell in store.cells() if not cell.role}
    if not cells:
        raise UsageError(f"{store.path} has no results yet: the run file contains no benchmark")
    table: dict[tuple[str, str], list[TableCell]] = {}
    for one in cells_of(store):
        table.setdefault((one.task, one.spec.protocol.name), []).append(one)
    tasks = Counter(task for task, _ in cells)
    found = []
    for (task, protocol), cell in cells.items():
        pairs = zip(measures(store, cell), table[task, protocol], strict=True)
        data = store.data(cell)
        figures = tuple(_figure(measure, one, data) for measure, one in pairs)
        found.append(Benchmark(store, cell, task if tasks[task] == 1 else f"{task}_{protocol}", figures))
    return found


def started(store: Store) -> datetime:
    """Returns when the run began; for a run file that does not have it, when the file was last written."""
    told = store.manifest.get("started")
    return datetime.fromisoformat(told) if isinstance(told, str) else written(store)


def written(store: Store) -> datetime:
    """Returns when the run file was last written, in whole seconds."""
    return datetime.fromtimestamp(int(store.path.stat().st_mtime), UTC)


def settings_of(figure: Figure) -> dict[str, JSON]:
    """Returns what the signature says of the settings and of the code, without addresses and local paths.

    Readers that compare two runs compare these; the questions and prompts are in the samples.
    """
    parts = figure.cell.signature.parts
    return {name: hidden(value) for name, value in parts.items() if name not in _BY_SAMPLES}


def of_model(record: SampleRecord) -> list[AskedRequest]:
    """Returns a sample's requests to the evaluated model, without repeated ones, in order."""
    return [
        AskedRequest(one.body, one.judge, draws, one.branch)
        for one in record.requests
        if not one.judge and not one.tool and (draws := tuple(d for d in one.draws if d.draw != AGAIN))
    ]


def finals(record: SampleRecord, variant: str) -> list[dict[str, Any]]:
    """Returns the answers of a sample with their verdicts, as one reading of its responses has them."""
    answer = record.answer
    if not variant:
        return list(answer.get("finals", []))
    return list({**answer.get("variants", {}), **answer.get("branches", {})}.get(variant, []))


def origin(record: SampleRecord) -> dict[str, JSON]:
    """Returns what `evalkit import` needs to break down and resample as evalkit did, if the sample has it."""
    return {name: one for name, one in (("group", record.group), ("cluster", record.cluster)) if one}


def file_name(text: str) -> str:
    """Returns a name that any file system accepts: letters, digits and `_ . + @ -`."""
    return re.sub(r"[^\w.+@-]+", "_", text).strip("._") or "unnamed"


def _figure(measure: Measure, cell: TableCell, data: CellData) -> Figure:
    scale = 0.01 if cell.unit == "%" else 1.0
    value, low, high = (None if one is None else one * scale for one in (cell.value, cell.low, cell.high))
    kept = [position for position, scored in zip(data.positions, data.scored, strict=True) if scored]
    matrix = measure.of(data.matrix)
    own = _each(measure, matrix)
    values = {position: one * scale for position, one in zip(kept, own, strict=True) if math.isfinite(one)}
    mean = math.fsum(values.values()) / len(values) if values else math.nan
    is_mean = (
        value is not None
        and math.isclose(mean, value, rel_tol=_CLOSE, abs_tol=_CLOSE)
        and _is_mean(measure, matrix, own)
    )
    clusters = [one for one in compress(data.clusters, data.scored) if one]
    plain = is_mean and len(set(clusters)) == len(clusters)
    return Figure(
        cell=cell,
        name=_without(cell.metric, cell.variant),
        value=value,
        low=low,
        high=high,
        values=values,
        statistics={at: tuple(map(float, row)) for at, row in zip(kept, matrix, strict=True)},
        is_mean=is_mean,
        error=_error(list(values.values())) if plain else _of_interval(low, high),
    )


def _without(metric: str, variant: str) -> str:
    """Returns a metric's name without its variant: `accuracy (strict, macro)` → `accuracy (macro)`."""
    if not variant:
        return metric
    return metric.replace(f" ({variant})", "").replace(f"({variant}, ", "(")


def _is_mean(measure: Measure, matrix: Floats, own: Sequence[float]) -> bool:
    """Whether the figure is by its definition the mean of its samples' values, each counting once.

    An error rate is not, also where all references happen to have the same length.
    """
    spec = measure.spec
    if spec.scale is None or len(spec.columns) != 2 or spec.traits.average or spec.traits.unbounded:
        return False
    return all(row[1] == 1 for row, one in zip(matrix, own, strict=True) if math.isfinite(one))


def _each(measure: Measure, matrix: Floats) -> Sequence[float]:
    """Returns each scored sample's own figure; NaN where it has none, or where the metric's code is gone."""
    from evalkit.stats.aggregates import aggregate_of, counted

    if measure.metric is None or measure.stale or not len(matrix):
        return [math.nan] * len(matrix)
    figures, counts = aggregate_of(measure.metric).each(matrix), counted(measure.metric, matrix)
    return [float(one) if count else math.nan for one, count in zip(figures, counts, strict=True)]


def _error(values: Sequence[float]) -> float | None:
    """Returns the standard error of a mean, as lm-eval and Inspect compute it; None for one value."""
    import statistics

    return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None


def _of_interval(low: float | None, high: float | None) -> float | None:
    return None if low is None or high is None else (high - low) / (2 * _Z)
