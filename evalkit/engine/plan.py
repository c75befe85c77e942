"""What a run will do, checked whole before the first request."""

from __future__ import annotations

import itertools
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import evalkit
from evalkit.data.base import DataOptions, Record, Records
from evalkit.engine.score import metrics_for
from evalkit.errors import DataError, EvalkitError, UsageError, unknown
from evalkit.metrics.base import Metric
from evalkit.models.base import Model
from evalkit.protocol import Protocol
from evalkit.samples import JSON, Sample
from evalkit.signature import code_identity
from evalkit.store import Store
from evalkit.task import Task, file_of, load_task, parse_spec

REVISION = "revision"
"""The one `--set` key that is the data's, not the protocol's."""


@dataclass(frozen=True, slots=True)
class CellPlan:
    """One task under one protocol, with its records opened."""

    spec: str
    """What `load_task` takes, to find the task's code again."""
    task: Task
    protocol: Protocol
    metrics: tuple[Metric, ...]
    records: Records
    limit: int | None

    @property
    def name(self) -> str:
        """What it is called in tables: `gsm8k:8-shot-cot`."""
        return f"{self.task.name}:{self.protocol.name}"

    @property
    def count(self) -> int | None:
        """How many samples will be asked, where it is known."""
        if self.records.count is None:
            return self.limit
        return self.records.count if self.limit is None else min(self.limit, self.records.count)

    def samples(self) -> Iterator[tuple[int, Sample]]:
        """(position, sample), streamed. Raises `DataError` for a record that the task cannot read."""
        for position, record in enumerate(itertools.islice(self.records, self.limit)):
            yield position, self.sample(record, position)

    def sample(self, record: Record, position: int) -> Sample:
        try:
            return self.task.sample(record)
        except EvalkitError:
            raise
        except Exception as error:
            raise DataError(
                f"record {position} of {self.records.origin['name']} does not fit {self.task.name} "
                f"({type(error).__name__}: {error}); its columns are {', '.join(record)}"
            ) from error

    def spec_json(self) -> dict[str, JSON]:
        """Everything but the questions that decides what is asked and how it is scored."""
        p = self.protocol
        metrics: list[JSON] = [
            {
                "name": metric.name,
                "unit": metric.unit,
                "higher_is_better": metric.higher_is_better,
                "columns": list(metric.columns),
                "identity": code_identity(metric),
            }
            for metric in self.metrics
        ]
        return {
            "task_spec": self.spec,
            "report": self.task.report,
            "protocol": {
                "api": p.api,
                "shots": p.shots,
                "draws": p.draws,
                "temperature": p.temperature,
                "top_p": p.top_p,
                "max_tokens": p.max_tokens,
                "stop": list(p.stop),
                "solver": code_identity(p.solver),
            },
            "extract": code_identity(self.task.extract(p)),
            "judge": code_identity(self.task.judge),
            "metrics": metrics,
            "data": dict(self.records.origin),
            "records": self.records.count,
            "limit": self.limit,
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """The cells of a run and the settings that decide its answers."""

    model: Model
    cells: tuple[CellPlan, ...]
    seed: int = 0

    def manifest(self) -> dict[str, Any]:
        """What a run file says of itself. A resumed run is bound by the model's identity and the seed."""
        return {
            "model": {"name": self.model.name, "identity": self.model.identity},
            "seed": self.seed,
            "evalkit": evalkit.__version__,
            "python": platform.python_version(),
            "platform": platform.platform(),
        }

    def conflicts(self, store: Store) -> list[str]:
        """What an existing run file was made with that this plan does not have, in words."""
        found, mine = store.manifest, self.manifest()
        problems = _differences("seed", found["seed"], mine["seed"])
        problems += _differences("model", found["model"]["identity"], mine["model"]["identity"])
        # By the name without overrides, so that an override shows as the field that it changes.
        theirs = {(cell.task, cell.protocol.partition("[")[0]): cell.spec for cell in store.cells()}
        ours = {(cell.task.name, cell.protocol.base): cell.spec_json() for cell in self.cells}
        for key in theirs.keys() | ours.keys():
            name = ":".join(key)
            if key not in ours:
                problems.append(f"{name} is in the file and not asked for now")
            elif key not in theirs:
                problems.append(f"{name} is asked for now and not in the file")
            else:
                problems += _differences(name, _binding(theirs[key]), _binding(ours[key]))
        return sorted(problems)


def make_plan(
    model: Model,
    tasks: Sequence[str],
    *,
    settings: Mapping[str, str] | None = None,
    data: DataOptions | None = None,
    limit: int | None = None,
    seed: int = 0,
    strict: bool = False,
    scoring: bool = True,
) -> Plan:
    """Opens everything a run needs and tries it on the first record; nothing is asked.

    `tasks`: names as on the command line. `settings`: protocol fields to override, and `revision`.
    `strict`: refuse whatever would not be comparable with the report. `scoring`: also try what scoring
    needs, such as the sandbox. Raises `UsageError`.
    """
    settings = dict(settings or {})
    data = data or DataOptions()
    if REVISION in settings:
        data = DataOptions(data.folder, data.small_sets, settings.pop(REVISION))
    if limit is not None and limit < 1:
        raise UsageError(f"--limit {limit}: at least 1")
    specs = [part for entry in tasks for part in expand(entry)]
    if not specs:
        raise UsageError("no task named: evalkit tasks lists them")
    cells: list[CellPlan] = []
    for spec in specs:
        cell = _plan_cell(spec, settings, data, limit)
        twin = next((c for c in cells if c.name == cell.name), None)
        if twin is not None and twin.spec != cell.spec:
            raise UsageError(f"{twin.spec} and {cell.spec} are both called {cell.name}: rename one")
        if twin is not None:
            continue
        if strict:
            _comparable(cell, data)
        if cell.protocol.api not in model.capabilities:
            raise UsageError(
                f"{model.name} does not do {cell.protocol.api}, which {spec} asks with: "
                f"it does {', '.join(sorted(model.capabilities))}"
            )
        cells.append(cell)
    if scoring:
        for cell in cells:
            cell.task.needs()
    return Plan(model, tuple(cells), seed)


def expand(entry: str) -> list[str]:
    """A comma list of names; `report:TABLE` stands for every task that table prints."""
    found: list[str] = []
    for part in filter(None, (piece.strip() for piece in entry.split(","))):
        if part.startswith("report:"):
            from evalkit.task import all_tasks

            table = part.removeprefix("report:").strip().casefold()
            names = [task.name for task in all_tasks() if task.report.casefold() == table]
            if not names:
                raise unknown("report table", part, {f"report:{t.report}" for t in all_tasks()})
            found += names
        else:
            found.append(part)
    return found


def _plan_cell(spec: str, settings: Mapping[str, str], data: DataOptions, limit: int | None) -> CellPlan:
    name, protocol_name = parse_spec(spec)
    task = load_task(name)
    protocol = task.protocol(protocol_name).override(settings)
    if protocol.shots > task.max_shots:
        raise UsageError(f"{task.name} has {task.max_shots} exemplars, shots={protocol.shots} asks for more")
    file = file_of(name)
    if file is not None:  # so that a report finds it from another folder
        name = f"{file[0].resolve()}:{task.name}"
    cell = CellPlan(name, task, protocol, metrics_for(task, protocol), task.data.open(data), limit)
    first = next(iter(cell.samples()), None)
    if first is None:
        raise DataError(f"{cell.records.origin['name']} at {cell.records.origin['where']} has no records")
    task.prompt(first[1], protocol)  # a changed schema, or a missing exemplar, shows here
    return cell


def _comparable(cell: CellPlan, data: DataOptions) -> None:
    reasons = []
    if cell.protocol.name != cell.task.protocols[0].name:
        reasons.append(f"the report's protocol is {cell.task.protocols[0].name}")
    if cell.limit is not None:
        reasons.append("--limit takes a part of the questions")
    if data.small_sets:
        reasons.append("--data samples are not the benchmark's questions")
    if reasons:
        raise UsageError(
            f"--strict: {cell.task.name}:{cell.protocol.name} would not be comparable with the report: "
            + "; ".join(reasons)
        )


def _binding(spec: dict[str, Any]) -> dict[str, Any]:
    """A cell's spec without the places that its data and its code were found in."""
    data = {key: value for key, value in spec["data"].items() if key not in ("kind", "where")}
    return {**{key: value for key, value in spec.items() if key != "task_spec"}, "data": data}


def _differences(where: str, theirs: Any, mine: Any) -> list[str]:
    """Where two JSON values differ: `gsm8k:8-shot-cot limit: 10 in the file, None now`."""
    if isinstance(theirs, dict) and isinstance(mine, dict):
        return [
            line
            for key in sorted(theirs.keys() | mine.keys())
            for line in _differences(f"{where} {key}", theirs.get(key), mine.get(key))
        ]
    return [] if theirs == mine else [f"{where}: {theirs} in the file, {mine} now"]
