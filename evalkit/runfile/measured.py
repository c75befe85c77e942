"""Finds the code that measured a stored cell, and checks whether the current code is the same.

A run file is input and runs no code: evalkit's metrics are created again from their specs in the file, and
the code of tasks comes from evalkit's own index. A user's task file is imported only if the user names it
(`Store.task_files`).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.benchmark.names import file_of, is_lm_eval
from evalkit.benchmark.spec import BY, CellSpec
from evalkit.benchmark.task import ModelScorer, Task, load_task
from evalkit.errors import UsageError
from evalkit.identity.declared import OWN, code_identity
from evalkit.metrics.base import Metric
from evalkit.metrics.macro import measured
from evalkit.metrics.plugged import is_plugged, plugged_metric
from evalkit.metrics.spec import MetricSpec
from evalkit.metrics.stored import stored_metric
from evalkit.runfile.records import Cell
from evalkit.runfile.scored import answered
from evalkit.runfile.store import Store

if TYPE_CHECKING:
    from evalkit.metrics.base import Floats

FIX = "evalkit rescore measures it again from the stored responses"


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric of a stored cell. `columns`: its columns in the statistics matrix.

    `metric`: None if its code is not found. `stale`: a message if `metric` is not the code that measured the
    cell, else "".
    """

    spec: MetricSpec
    columns: slice
    metric: Metric | None
    stale: str

    def of(self, matrix: Floats) -> Floats:
        """Returns the metric's columns of a cell's matrix."""
        return matrix[:, self.columns]

    def usable(self, store: Store, cell: Cell) -> Metric:
        """Returns the metric for computations. Raises `UsageError` if it is not the code that measured."""
        where = f"{store.path}: {cell.spec.label}, {self.spec.name}"
        if self.metric is None:
            file = file_of(cell.spec.source)
            named = f": name its file with --task-file {file[0].name}" if file else ""
            if is_plugged(spec := self.spec.kind):
                named = f", but of a package that has {spec}: evalkit doctor says what is wrong with it"
            raise UsageError(f"{where} was measured by code that is not part of evalkit{named}")
        if self.stale:
            raise UsageError(f"{where} was {self.stale}: {FIX}")
        recall(self.metric, store, cell)
        return self.metric


def recall(metric: Metric, store: Store, cell: Cell) -> None:
    """Gives a metric with `recall` the answers of `cell`. Raises `UsageError` if a slim run file has none."""
    take = getattr(measured(metric), "recall", None)
    if take is not None:
        store.needs_texts(f"{metric.name}, which is computed from answers,")
        take(answered(store, cell))


def measures(store: Store, cell: Cell) -> Iterator[Measure]:
    """Yields the metrics of `cell`, in its order."""
    task = task_of(store, cell.spec)
    own = {metric.name: metric for metric in task.metrics} if task else {}
    start = 0
    for spec in cell.spec.metrics:
        columns = slice(start, start + len(spec.columns))
        start = columns.stop
        plugged = is_plugged(spec.kind) and plugged_metric(spec.kind, spec.parameters) is not None
        foreign = OWN in spec.identity and not plugged
        code = own.get(spec.name) if foreign else stored_metric(spec)
        stale = "" if cell.spec.scored_elsewhere else _stale("measured", spec.identity, code)
        yield Measure(spec, columns, code or stored_metric(spec), stale)


def measure(store: Store, cell: Cell, name: str) -> Measure:
    """Returns the metric with that name. Raises `UsageError` if the cell has none."""
    for found in measures(store, cell):
        if found.spec.name == name:
            return found
    raise UsageError(f"{store.path}: {cell.spec.label} was not measured by {name!r}")


def task_of(store: Store, spec: CellSpec) -> Task | None:
    """Returns the task from this evalkit, or from a task file that the user named; None if not found."""
    if spec.scored_elsewhere:
        return None
    if is_lm_eval(spec.source):  # its code may be the user's, and building it reads its data
        return None
    file = file_of(spec.source)
    if file is not None:
        for path in store.task_files:
            if path.name == file[0].name:
                return _loaded(f"{path}:{spec.task}", tuple(sorted(spec.options.items())))
        return None
    try:
        return _loaded(spec.source, tuple(sorted(spec.options.items())))
    except UsageError:  # only an earlier or a later evalkit has it
        return None


@functools.lru_cache(maxsize=256)
def _loaded(source: str, options: tuple[tuple[str, str], ...]) -> Task:
    return load_task(source, dict(options))


def other_code(store: Store, cell: Cell, variant: str = "") -> list[str]:
    """Returns how the current code that reads or scores `variant` differs from the code of the run.

    Such as `read by x@1, and this evalkit has x@2`.
    """
    task, spec = task_of(store, cell.spec), cell.spec
    if task is None:
        return []
    now = next((one for one in task.variants if one.name == variant), None)
    stored = spec.variant(variant)
    try:
        protocol = task.protocol(spec.reading)
        extract = (now and now.extract) or task.extract(protocol)
    except (UsageError, KeyError):  # the protocol no longer exists
        return []
    reader = (now and now.reader) or protocol.reader
    scorer = (now and now.scorer) or task.scorer
    scored = (stored.scorer or spec.scorer).partition(BY)[0]  # the judge models are the user's choice
    found = [
        _stale("read", stored.extract or spec.extract, extract),
        _stale("put together", stored.reader or spec.reader, reader),
        _stale("scored", scored, scorer.score if isinstance(scorer, ModelScorer) else scorer),
    ]
    return [words for words in found if words]


def _stale(done: str, then: str, code: object) -> str:
    if code is None:
        return ""
    now = code_identity(code)
    if now == then:
        return ""
    if then.startswith(OWN) and now.startswith(OWN):
        return f"{done} by an earlier state of your own code ({then}, now {now})"
    return f"{done} by {then}, and this evalkit has {now}"


def check_task_files(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Returns `paths`. Raises `UsageError` if one of them is not a file."""
    found = tuple(paths)
    for path in found:
        if not path.is_file():
            raise UsageError(f"no task file {str(path)!r} in {Path.cwd()}")
    return found
