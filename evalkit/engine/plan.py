"""The plan of a run: everything is checked before the first request is sent."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

import evalkit
from evalkit.benchmark.names import file_of
from evalkit.benchmark.protocol import SETTINGS, Protocol
from evalkit.benchmark.task import Task
from evalkit.data.base import DataOptions
from evalkit.data.lock import Lock
from evalkit.engine.able import able, missing_for
from evalkit.engine.bounds import bounded
from evalkit.engine.by_id import Ids, compare_ids
from evalkit.engine.cell import CellPlan, branch_of, rendered
from evalkit.engine.chosen import REVISION, Chosen, TaskLike, check_owners, choose, wanted
from evalkit.engine.differences import binding, differences
from evalkit.engine.faults import FAULTS, fault
from evalkit.engine.judge_models import JudgeModels, check_used, identity_text
from evalkit.engine.locking import locked_data, note_reads
from evalkit.engine.moved import has_moved, is_known, judges_are_known, without_addresses
from evalkit.engine.needed import check_needs
from evalkit.engine.probed import check_probed
from evalkit.engine.score import metrics_for
from evalkit.engine.shards import Shard, parse_shard
from evalkit.engine.strict import check_comparable
from evalkit.errors import BoundaryError, DataError, OwnDataError, SampleError, UsageError, unknown
from evalkit.models import BACKENDS
from evalkit.models.base import Model
from evalkit.models.parameters import EXTRA, SAMPLING
from evalkit.runfile.encoding import dump
from evalkit.runfile.records import SHARD, VALIDATION
from evalkit.runfile.store import Store
from evalkit.samples import JSON, JUDGE, PICTURES, Sample
from evalkit.sandbox.hidden import hide_beside, hide_folders

_TRIED = 10
"""Number of records at the start of the data of which at least one must give a prompt."""
_MOVED = " (if it is the same model at another address, add --same-model)"


@dataclass(frozen=True, slots=True)
class Plan:
    """The cells of a run and the settings that decide its answers.

    `judges`: the models, by role, that score answers, or read them if a task's rules cannot.
    """

    model: Model
    cells: tuple[CellPlan, ...]
    seed: int = 0
    judges: Mapping[str, Model] = field(default_factory=dict)
    same_model: bool = False
    """Whether a run file is resumed although the model's endpoint had another address."""
    ids: Ids | None = None
    """The ids of a model that answers by them, compared with those of the samples."""
    left_out: tuple[str, ...] = ()
    """The benchmarks of a `report:TABLE` that have no public data, with the reason."""
    shard: Shard | None = None
    """The part of the samples that is asked; None: all of them."""

    def manifest(self) -> dict[str, Any]:
        """Returns the run file's manifest. A resumed run must have the same model identity and seed."""
        return {
            "model": {"name": self.model.name, "identity": self.model.identity},
            "judges": {role: judge.name for role, judge in self.judges.items()},
            "seed": self.seed,
            "evalkit": evalkit.__version__,
            **({} if self.shard is None else {SHARD: str(self.shard)}),
        }

    def warnings(self) -> list[str]:
        """Returns one line for each reason why a cell's figure cannot be compared with the benchmark's."""
        sizes = [
            f"{cell.name}: {cell.mismatch}: its figure is marked and not comparable with any printed one"
            for cell in self.cells
            if cell.mismatch
        ]
        unread = [
            f"{cell.name}: by its rule a model reads what the rules cannot read: add --judge MODEL, or those "
            "answers count as unparsable"
            for cell in self.cells
            if cell.task.model_extractor is not None and not cell.model_extractor and not cell.role
        ]
        by_id = [f"{self.model.name}: {note}" for note in self.ids.notes()] if self.ids else []
        return [*self.left_out, *sizes, *unread, *by_id]

    def check_resumes(self, store: Store) -> None:
        """Raises `UsageError`, which names every difference, if `store` holds another run."""
        if conflicts := self.conflicts(store):
            raise UsageError(
                f"{store.path} holds another run: {'; '.join(conflicts)}. Name another file with -o"
            )

    def conflicts(self, store: Store) -> list[str]:
        """Returns a message for each difference between this plan and the one that `store` was made with."""
        found, mine = store.manifest, orjson.loads(dump(self.manifest()))  # as a file holds it
        problems = differences("seed", found["seed"], mine["seed"])
        problems += differences("shard", found.get(SHARD), mine.get(SHARD))
        moved = has_moved(store, self.model)
        if not (moved and (self.same_model or is_known(store, self.model))):
            models = differences("model", found["model"]["identity"], mine["model"]["identity"])
            problems += [f"{line}{_MOVED}" if moved else line for line in models]
        # By the name without overrides, so that an override shows as the field that it changes.
        theirs = {(cell.task, cell.protocol, cell.role): cell.spec for cell in store.cells()}
        ours = {(cell.task.name, cell.protocol.name, cell.role): cell.spec() for cell in self.cells}
        for key in theirs.keys() | ours.keys():
            name = ":".join(filter(None, key))
            if key not in ours:
                problems.append(f"{name} is in the file but not in this run")
            elif key not in theirs:
                problems.append(f"{name} is in this run but not in the file")
            else:
                problems += self._unlike(name, binding(theirs[key]), binding(ours[key]), store)
        return sorted(problems)

    def _unlike(self, name: str, theirs: JSON, mine: JSON, store: Store) -> list[str]:
        """Returns how a cell differs, but for judge models that are known to be at another address."""
        lines = differences(name, theirs, mine)
        if not lines or differences(name, without_addresses(theirs), without_addresses(mine)):
            return lines
        if self.same_model or judges_are_known(store, self.judges):
            return []
        return [f"{line}{_MOVED}" for line in lines]


def make_plan(
    model: Model,
    tasks: TaskLike | Iterable[TaskLike],
    *,
    settings: Mapping[str, str] | None = None,
    data: DataOptions | None = None,
    limit: int | None = None,
    seed: int = 0,
    strict: bool = False,
    scoring: bool = True,
    judges: Mapping[str, Model] | None = None,
    judged: bool = True,
    same_model: bool = False,
    shard: str = "",
    lock: Lock | None = None,
    tell: Callable[[str], object] = len,
) -> Plan:
    """Opens everything that a run needs and tries it on the first record. No request is sent.

    `tasks`: names as on the command line, or tasks themselves. `settings`: protocol fields to override, and
    `revision`. `strict`: refuse tasks whose results would not be comparable with the report. `scoring`: also
    try what scoring needs, such as the sandbox. `judges`: the judge models by role. `judged`: refuse a task
    whose judge models are missing. `same_model`: see `Plan`. `shard`: as `parse_shard` takes it, "" for all
    samples. `lock`: the files that the data may be read from. `tell` is called with the name of each task
    before its data is opened. Raises `UsageError`.
    """
    settings, judges = dict(settings or {}), judges or {}
    data = data or DataOptions()
    part = parse_shard(shard) if shard else None
    bounded("limit", 1 if limit is None else limit, "--limit")
    bounded("seed", seed, "--seed")
    hide_folders(data.folder)
    cells, shown, left_out = list[CellPlan](), list[str](), dict[str, str]()
    for one in wanted(tasks):
        chosen = choose(one.given, settings, data)
        shown.append(chosen.shown)
        tell(chosen.shown)
        own = locked_data(chosen.data(data), lock, chosen.task.name)
        try:
            cell = _plan_cell(chosen, model, own, limit, JudgeModels(judges, judged))
        except OwnDataError as error:
            if not one.table:
                raise
            left_out[chosen.task.name] = f"{one.table} without {chosen.shown}: {error}"
            continue
        if _planned_before(cell, cells):
            continue
        if strict:
            check_comparable(cell, own)
        _check_model(model, cell.task, cell.protocol, chosen.shown)
        if cell.protocol.calibrated:
            cells.append(_validation(cell, own))
        cells.append(cell)
    check_owners(settings, [*dict.fromkeys((*(cell.task.name for cell in cells), *left_out))])
    if not cells:
        raise OwnDataError("; ".join(left_out.values()))
    if scoring:
        for cell in cells:
            check_needs(cell)
    _check_judges(judges, cells, shown)
    check_probed(model, cells)
    ids = compare_ids(model, cells)
    return Plan(model, tuple(cells), seed, judges, same_model, ids, tuple(left_out.values()), part)


def _check_judges(judges: Mapping[str, Model], cells: Sequence[CellPlan], shown: Sequence[str]) -> None:
    """Raises `UsageError` for a judge model that no cell asks."""
    roles = {role for cell in cells for role in cell.judges}
    check_used(judges, roles, any(cell.model_extractor for cell in cells), shown)


def _planned_before(cell: CellPlan, cells: Sequence[CellPlan]) -> bool:
    """Whether the same cell is there already. Raises `UsageError` where another one has its name."""
    twin = next((c for c in cells if c.name == cell.name and not c.role), None)
    if twin is None:
        return False
    if twin.source != cell.source:
        both = " and ".join(one.source or "one that is in no file" for one in (twin, cell))
        raise UsageError(f"{both} are both named {cell.name}: rename one")
    if twin.spec() != cell.spec():
        raise UsageError(f"two different tasks are both named {cell.name}: rename one")
    return True


def _check_model(model: Model, task: Task, protocol: Protocol, asker: str) -> None:
    """Raises `UsageError` if `model` lacks a capability that `asker` needs; the message names a way out."""
    missing = missing_for(task, protocol, model)
    if not missing:
        return
    if missing == ["extra"]:
        typed = [f"--set {key}" for key in protocol.overrides if key.startswith(EXTRA) or key in SAMPLING]
        raise UsageError(
            f"{model.name} cannot send {' and '.join(typed) or 'further parameters'}: only a backend with "
            "the capability extra can, such as openai/"
        )
    if "lm-eval" in missing:
        raise UsageError(
            f"{asker} compares likelihoods, and a chat endpoint returns none of a prompt: leave out --set "
            "chat=on, or use a model class of lm-eval (-m 'lm-eval/hf?pretrained=…')"
        )
    runs = [f"{task.name}:{p.name}" for p in task.protocols if not missing_for(task, p, model)]
    fix = f"; protocols that it can run: {', '.join(runs)}" if runs else ""
    if task.media:
        takers = [name for name, backend in BACKENDS.items() if set(missing) <= able(backend.capabilities)]
        fix += f"; backends that support {' and '.join(missing)}: {', '.join(takers)}"
    raise UsageError(
        f"{model.name} does not support {' and '.join(missing)}, which {asker} needs: "
        f"it supports {', '.join(sorted(model.capabilities))}{fix}"
    )


def _plan_cell(
    chosen: Chosen,
    model: Model,
    data: DataOptions,
    limit: int | None,
    judges: JudgeModels,
) -> CellPlan:
    task, judged = judges.of(chosen.task)
    protocol_name, options = chosen.protocol, chosen.options
    settings = {key: text for key, text in chosen.settings.items() if key != REVISION}
    for key in settings:
        if key not in (*SETTINGS, *options) and not key.startswith(EXTRA):
            known = (*SETTINGS, *options, REVISION)
            sent = f"--set {EXTRA}{key}={settings[key][:80]}"
            raise UsageError(f"{unknown('setting', key, known)}; {sent} would put it into each request")
    if not protocol_name and "chat" not in model.capabilities and "transcription" in model.capabilities:
        # A model that only transcribes speech gets the transcription protocol.
        protocol_name = next((p.name for p in task.protocols if p.api == "transcription"), "")
    protocol = task.protocol(protocol_name).override(
        {key: text for key, text in settings.items() if key not in options}, task.options
    )
    if protocol.likelihood == "prompt" and "likelihood" in model.capabilities:
        protocol = dataclasses.replace(protocol, likelihood="backend")  # the signature shows the method
    _check_media(task, protocol)
    if protocol.shots > task.max_shots:
        raise UsageError(
            f"{task.name} has {task.max_shots} exemplars: shots must be at most {task.max_shots}, "
            f"not {protocol.shots}"
        )
    if (file := file_of(chosen.source)) is not None:
        hide_beside(file[0])
    branches = [branch_of(task, protocol, branch) for branch in protocol.fallback]
    if branches:  # if the model supports none of them, the first is refused
        branch = next((branch for branch in branches if not missing_for(task, branch, model)), branches[0])
        _check_model(model, task, branch, branch.name)
        protocol = dataclasses.replace(protocol, fallback=(branch.name,))
    shots = _shots(task, data) if task.dev and any(p.shots for p in (protocol, *branches)) else {}
    metrics = metrics_for(task, protocol)
    reads = judges.models.get(JUDGE) if task.model_extractor is not None else None
    model_extractor = "" if reads is None else identity_text(reads)
    records = task.data.open(data)
    note_reads(task, data)
    lock = data.lock.digest if data.lock else ""
    cell = CellPlan(
        chosen.source, task, protocol, metrics, records, limit, shots, model_extractor, judged, lock
    )
    _try(cell)
    return cell


def _check_media(task: Task, protocol: Protocol) -> None:
    if task.media and protocol.api == "completion":
        raise UsageError(f"{task.name} has prompts with more than text, which need --set api=chat")
    if protocol.max_pixels and PICTURES.isdisjoint(task.media):
        raise UsageError(f"--set max_pixels={protocol.max_pixels}: {task.name} has no pictures")
    if protocol.frames and "video" not in task.media:
        raise UsageError(f"--set frames={protocol.frames}: {task.name} has no videos")
    if "video" in task.media and not protocol.frames:
        raise UsageError(
            f"{task.name} has videos, and {protocol.name} does not set the number of frames: "
            "add --set frames=16"
        )


def _shots(task: Task, data: DataOptions) -> dict[str, tuple[Sample, ...]]:
    """Returns the task's solved examples by `Task.shots_by`, in the order of the data."""
    assert task.dev is not None
    found: dict[str, list[Sample]] = {}
    records = task.dev.open(data)
    try:
        for record in records:
            sample = task.sample(record)
            found.setdefault(task.shots_by(sample), []).append(sample)
    except UsageError:
        raise
    except FAULTS as error:  # the examples are in every prompt, so no sample could be run
        raise DataError(
            f"solved examples of {records.origin['name']}: {fault(error, kind=SampleError)}"
        ) from error
    return {key: tuple(samples) for key, samples in found.items()}


def _validation(cell: CellPlan, data: DataOptions) -> CellPlan:
    """Returns the cell with the same protocol on the samples that its threshold is chosen on."""
    if cell.task.validation is None:
        raise UsageError(f"{cell.name} has no validation data to choose its threshold on: --set threshold=…")
    records = cell.task.validation.open(data)
    validation = dataclasses.replace(cell, records=records, role=VALIDATION)
    _try(validation)
    return validation


def _try(cell: CellPlan) -> None:
    """Renders a sample, to detect a changed schema or a missing exemplar. Raises `DataError`.

    One sample that can be rendered is enough: a single broken record is a failure of that sample. If the
    first `_TRIED` records are all broken, the data set is.
    """
    reason: BoundaryError | None = None
    for _, found in itertools.islice(cell.tried(), _TRIED):
        try:
            if isinstance(found, BoundaryError):
                raise found
            branches = [branch_of(cell.task, cell.protocol, name) for name in cell.protocol.fallback]
            for protocol in (cell.protocol, *branches):
                rendered(cell.task, found, protocol)
            return
        except BoundaryError as error:
            reason = reason or error
    if reason is None:
        raise DataError(f"{cell.records.origin['name']} at {cell.records.origin['where']} has no records")
    raise DataError(f"{cell.name}: {reason}") from reason
