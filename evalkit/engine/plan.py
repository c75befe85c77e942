"""What a run will do, checked whole before the first request."""

from __future__ import annotations

import dataclasses
import itertools
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import evalkit
from evalkit.data.base import DataOptions, Record, Records
from evalkit.engine.score import metrics_for
from evalkit.errors import DataError, EvalkitError, UsageError, unknown
from evalkit.metrics.base import Metric
from evalkit.models.base import Capability, Model
from evalkit.protocol import NEVER, Protocol
from evalkit.samples import JSON, Sample
from evalkit.signature import code_identity, digest
from evalkit.store import VALIDATION, Store
from evalkit.task import Task, View, file_of, load_task, parse_spec

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
    shots: Mapping[str, tuple[Sample, ...]] = field(default_factory=dict)
    """`Sample.shots` by group."""
    role: str = ""
    """`validation` for the samples that a threshold is chosen on, "" for those that are scored."""

    @property
    def name(self) -> str:
        """What it is called in tables: `gsm8k:8-shot-cot`."""
        return f"{self.task.name}:{self.protocol.name}" + (f" ({self.role})" if self.role else "")

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
            sample = self.task.sample(record)
            if not self.shots:
                return sample
            if sample.group not in self.shots:
                raise DataError(f"{self.task.name} has no solved examples of {sample.group!r} to show")
            return dataclasses.replace(sample, shots=self.shots[sample.group])
        except EvalkitError:
            raise
        except Exception as error:
            raise DataError(
                f"record {position} of {self.records.origin['name']} does not fit {self.task.name} "
                f"({type(error).__name__}: {error}); its columns are {', '.join(record)}"
            ) from error

    def spec_json(self) -> dict[str, JSON]:
        """Everything but the questions that decides what is asked and how it is scored."""
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
        protocol = _protocol_json(self.protocol)
        if self.protocol.fallback:
            protocol["fallback"] = _fallback_json(self.task, self.protocol)
        return {
            "task_spec": self.spec,
            "report": self.task.report,
            "protocol": protocol,
            "extract": code_identity(self.task.extract(self.protocol)),
            "judge": code_identity(self.task.judge),
            "views": {view.name: _view_json(view) for view in self.task.views},
            "metrics": metrics,
            "notes": dict(self.task.notes(self.protocol)),
            "data": dict(self.records.origin),
            "records": self.records.count,
            "limit": self.limit,
        }


def _protocol_json(p: Protocol) -> dict[str, JSON]:
    found: dict[str, JSON] = {
        "api": p.api,
        "shots": p.shots,
        "draws": p.draws,
        "temperature": p.temperature,
        "top_p": p.top_p,
        "max_tokens": p.max_tokens,
        "stop": list(p.stop),
        "solver": code_identity(p.solver),
    }
    if p.logprobs:
        found |= {"logprobs": p.logprobs, "likelihood": p.likelihood}
    if p.fallback:
        found["threshold"] = _threshold_json(p.threshold)
    return found


def _threshold_json(threshold: float | None) -> JSON:
    if threshold is None:
        return "chosen on the validation split"
    return "never" if threshold == NEVER else threshold


def _fallback_json(task: Task, protocol: Protocol) -> JSON:
    """The leg's protocol as one line: what matters is whether two are equal."""
    leg = task.protocol(protocol.fallback[0])
    parts = {**_protocol_json(leg), "extract": code_identity(task.extract(leg))}
    return f"{leg.name} {digest(parts).hex()[:8]}"


def _view_json(view: View) -> JSON:
    parts: dict[str, JSON] = {}
    if view.extract is not None:
        parts["extract"] = code_identity(view.extract)
    if view.judge is not None:
        parts["judge"] = code_identity(view.judge)
    return parts


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
        theirs = {
            (cell.task, cell.protocol.partition("[")[0], cell.role): cell.spec for cell in store.cells()
        }
        ours = {(cell.task.name, cell.protocol.base, cell.role): cell.spec_json() for cell in self.cells}
        for key in theirs.keys() | ours.keys():
            name = ":".join(filter(None, key))
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
        cell = _plan_cell(spec, model, settings, data, limit)
        twin = next((c for c in cells if c.name == cell.name and not c.role), None)
        if twin is not None and twin.spec != cell.spec:
            raise UsageError(f"{twin.spec} and {cell.spec} are both called {cell.name}: rename one")
        if twin is not None:
            continue
        if strict:
            _comparable(cell, data)
        _require(model, cell.task, cell.protocol, spec)
        if cell.protocol.calibrated:
            cells.append(_validation(cell, data))
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


def _missing(protocol: Protocol, model: Model) -> str:
    """What `protocol` needs of a model that this one does not have; "" when nothing is missing."""
    needed: tuple[Capability, ...] = (protocol.api, *(("logprobs",) if protocol.logprobs else ()))
    return " and ".join(capability for capability in needed if capability not in model.capabilities)


def _require(model: Model, task: Task, protocol: Protocol, asker: str) -> None:
    """Raises `UsageError` where `model` cannot do what `asker` asks with, naming what it could do."""
    missing = _missing(protocol, model)
    if not missing:
        return
    able = [f"{task.name}:{p.name}" for p in task.protocols if not _missing(p, model)]
    raise UsageError(
        f"{model.name} does not do {missing}, which {asker} asks with: "
        f"it does {', '.join(sorted(model.capabilities))}"
        + (f"; it can be asked under {', '.join(able)}" if able else "")
    )


def _plan_cell(
    spec: str, model: Model, settings: Mapping[str, str], data: DataOptions, limit: int | None
) -> CellPlan:
    name, protocol_name = parse_spec(spec)
    task = load_task(name)
    protocol = task.protocol(protocol_name).override(settings)
    if protocol.shots > task.max_shots:
        raise UsageError(f"{task.name} has {task.max_shots} exemplars, shots={protocol.shots} asks for more")
    file = file_of(name)
    if file is not None:  # so that a report finds it from another folder
        name = f"{file[0].resolve()}:{task.name}"
    legs = [task.protocol(leg) for leg in protocol.fallback]
    if legs:  # the first that this model can do, else the first, which is then refused in words
        leg = next((leg for leg in legs if not _missing(leg, model)), legs[0])
        _require(model, task, leg, leg.name)
        protocol = dataclasses.replace(protocol, fallback=(leg.name,))
    shots = _shots(task, data) if task.dev and any(p.shots for p in (protocol, *legs)) else {}
    metrics = metrics_for(task, protocol)
    cell = CellPlan(name, task, protocol, metrics, task.data.open(data), limit, shots)
    _try(cell)
    return cell


def _shots(task: Task, data: DataOptions) -> dict[str, tuple[Sample, ...]]:
    """The task's solved examples by group, in the order of the data."""
    assert task.dev is not None
    found: dict[str, list[Sample]] = {}
    for record in task.dev.open(data):
        sample = task.sample(record)
        found.setdefault(sample.group, []).append(sample)
    return {group: tuple(samples) for group, samples in found.items()}


def _validation(cell: CellPlan, data: DataOptions) -> CellPlan:
    """The same protocol on the samples that its threshold is chosen on."""
    if cell.task.validation is None:
        raise UsageError(f"{cell.name} has no validation data to choose its threshold on: --set threshold=…")
    records = cell.task.validation.open(data)
    validation = dataclasses.replace(cell, records=records, role=VALIDATION)
    _try(validation)
    return validation


def _try(cell: CellPlan) -> None:
    """Renders the first sample: a changed schema, or a missing exemplar, shows here."""
    first = next(iter(cell.samples()), None)
    if first is None:
        raise DataError(f"{cell.records.origin['name']} at {cell.records.origin['where']} has no records")
    cell.task.prompt(first[1], cell.protocol)
    for leg in cell.protocol.fallback:
        cell.task.prompt(first[1], cell.task.protocol(leg))


def _comparable(cell: CellPlan, data: DataOptions) -> None:
    reasons = []
    if cell.protocol.name != cell.task.protocols[0].name:
        reasons.append(f"the report's protocol is {cell.task.protocols[0].name}")
    legs = cell.protocol.fallback
    if legs and legs != cell.task.protocols[0].fallback[:1]:
        reasons.append(f"the report falls back to {cell.task.protocols[0].fallback[0]}, not to {legs[0]}")
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
