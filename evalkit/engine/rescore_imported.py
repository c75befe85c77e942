"""`evalkit rescore -t`: scores the responses of imported results with the rules of a task.

No request is sent. Questions, references, groups and scores are then those of the task. The prompts stay the
other tool's, so a figure is compared only with those of the same tool, task and settings that are scored by
the same rules.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import orjson

from evalkit.benchmark.names import is_lm_eval
from evalkit.benchmark.protocol import Protocol, ProtocolSettings
from evalkit.benchmark.signature import digest
from evalkit.benchmark.spec import SCORED_AS, CellSpec
from evalkit.benchmark.task import ModelScorer, Task
from evalkit.data.base import DataOptions
from evalkit.engine.cell import CellPlan
from evalkit.engine.chosen import REVISION, check_owners, choose
from evalkit.engine.corpus import complete
from evalkit.engine.matching import Matched, Placed, Stored, match, references_disagree
from evalkit.engine.rescore import TRIED_AGAIN, Changed, Rescored, change, note, read_again, together
from evalkit.engine.score import metrics_for
from evalkit.errors import UsageError, unknown
from evalkit.runfile.encoding import question_digest
from evalkit.runfile.figures import WHOLE, figures_of
from evalkit.runfile.records import FAILED, Cell, Row
from evalkit.runfile.sample_records import SampleRecords
from evalkit.runfile.store import Store
from evalkit.samples import JSON
from evalkit.sandbox.hidden import hide_beside
from evalkit.scratch import replacing

_NAMED = 5
"""Maximum number of samples that a message names."""
_NONE: Mapping[str, str] = {}


def rescore_imported(
    run: Path,
    output: Path,
    tasks: str,
    *,
    data: DataOptions | None = None,
    settings: Mapping[str, str] = _NONE,
    unmatched: int = 0,
) -> Iterator[Rescored]:
    """Writes the run file `output`, with a cell for each entry of `tasks`, and yields the cells.

    `tasks`: a comma list of tasks, or of `IMPORTED=TASK`, where IMPORTED is the name of an imported task, or
    a pattern such as `bbh_*` if several of them are one benchmark. `data`: where the tasks' data is read.
    `settings`: options of the tasks and `revision`. `unmatched`: how many imported samples may be left out
    because the task does not have them. Raises `UsageError`; `output` appears only once all cells are done.
    """
    if output.exists():
        raise UsageError(f"{output} already exists: remove it, or name another file")
    for file in (run, output):
        hide_beside(file)
    with Store.open(run) as old:
        old.needs_texts("rescoring")
        jobs = [
            _Job(old, cells, name, data or DataOptions(), settings, unmatched)
            for cells, name in _assigned(old, tasks)
        ]
        check_owners(settings, [job.task.name for job in jobs])
        manifest = {key: value for key, value in old.manifest.items() if key != "format"}
        with replacing(output) as part, Store.create(part, manifest) as new:
            note(old, new)
            for job in jobs:
                yield job.rescore(new)
                new.commit()


def _assigned(store: Store, tasks: str) -> Iterator[tuple[list[Cell], str]]:
    """Yields (imported cells, the name of the task that scores them) of each entry. Raises `UsageError`."""
    imported = {cell.task: cell for cell in store.cells() if cell.spec.imported}
    if not imported:
        raise UsageError(f"{store.path} was not imported: leave out -t, which is for results of other tools")
    for entry in filter(None, map(str.strip, tasks.split(","))):
        pattern, equals, name = entry.partition("=")
        found = [cell for task, cell in imported.items() if equals and fnmatchcase(task, pattern)]
        if not found and not equals:
            name, task = entry, entry.partition(":")[0]
            found = [imported[task]] if task in imported else [*imported.values()] * (len(imported) == 1)
        if not found:
            names = ", ".join(imported)
            raise UsageError(
                f"{store.path} has the imported tasks {names}, and -t {entry} does not say which of them to "
                f"score: name it, such as -t '{next(iter(imported))}={name}'"
            )
        yield found, name


@dataclass(frozen=True, slots=True)
class _Found:
    """A matched sample: of the task, with its position, and as imported, with the links of its responses."""

    placed: Placed
    records: SampleRecords
    position: int


class _Job:
    """Imported cells whose responses a task's rules score."""

    def __init__(
        self,
        old: Store,
        cells: Sequence[Cell],
        name: str,
        data: DataOptions,
        settings: Mapping[str, str],
        most: int,
    ) -> None:
        self._old, self._cells, self._most = old, cells, most
        chosen = choose(name, settings, data)
        self._label = " and ".join(cell.spec.label for cell in cells[:_NAMED])
        if is_lm_eval(chosen.source):
            raise UsageError(
                f"-t {name}: only tasks of evalkit's kind score imported responses, not lm-eval's"
            )
        for key in chosen.settings:
            if key != REVISION and key not in chosen.options:
                raise unknown("option", key, (*chosen.options, REVISION), f"of {chosen.task.name}")
        self._records = [SampleRecords(old, cell, whole=True) for cell in cells]
        self.task = _without_judges(chosen.task)
        self.task.needs()
        self._protocol = self._reading(chosen.protocol)
        self._plan = CellPlan(
            source=chosen.source,
            task=self.task,
            protocol=self._protocol,
            metrics=metrics_for(self.task, self._protocol),
            records=self.task.data.open(chosen.data(data)),
            limit=None,
        )

    def _reading(self, name: str) -> Protocol:
        """Returns the protocol whose reader reads the responses: the first that needs no more of them."""
        stored = self._draws()
        if name:
            protocol = self.task.protocol(name)
            if why := _unreadable(protocol, stored):
                raise UsageError(f"{self.task.name}:{name} cannot read {self._label}: {why}")
            return protocol
        able = [protocol for protocol in self.task.protocols if not _unreadable(protocol, stored)]
        if not able:
            why = _unreadable(self.task.protocols[0], stored)
            raise UsageError(f"no protocol of {self.task.name} can read {self._label}: {why}")
        return able[0]

    def _draws(self) -> int:
        """Returns the number of responses of a sample. Raises `UsageError` if there are no texts."""
        for records in self._records:
            for position in records.positions.values():
                responses = records.read(position).transcript().responses
                if any(one.likelihoods for one in responses):
                    raise UsageError(
                        f"{self._old.path}: the responses of {self._label} are likelihoods of given texts; "
                        "only written responses can be read and scored again"
                    )
                if responses:
                    return len(responses)
        raise UsageError(
            f"{self._old.path}: {self._label} has no responses to score: import files that have them, which "
            "lm-eval writes with --log_samples and lighteval with --save-details; a table needs a column "
            "response"
        )

    def rescore(self, new: Store) -> Rescored:
        matched, notes = self._matched()
        cell = new.add_cell(self._spec(matched))
        new.set_found(cell, {"notes": list(notes)})
        found = [_Found(placed, self._records[one.place[0]], one.place[1]) for one, placed in matched.pairs]
        changed = asyncio.run(together(found, functools.partial(self._sample, new, cell)))
        complete(new, cell, self._plan.metrics)
        data = new.data(cell)
        figures = figures_of(self._plan.metrics, data)
        if all(one.finished is not None for one in self._cells):
            new.finish(cell, len(data.ids), figures)
        headline = self._plan.metrics[0]
        after = next((one.value for one in figures if one.metric == headline.name), None)
        return Rescored(
            cell.spec.label,
            headline.name,
            headline.unit,
            len(data.outcomes),
            (self._before(headline.unit), after),
            tuple(changed),
            notes,
        )

    def _before(self, unit: str) -> float | None:
        """Returns the tool's own headline figure, if there is one in the same unit."""
        if len(self._cells) > 1:
            return None
        spec = self._cells[0].spec.metrics[0]
        whole = (one for one in self._old.figures(self._cells[0]) if one.group == WHOLE)
        return next((one.value for one in whole if one.metric == spec.name and spec.unit == unit), None)

    def _matched(self) -> tuple[Matched, tuple[str, ...]]:
        """Matches the samples. Raises `UsageError` if more than allowed would be left out."""
        disagrees = functools.partial(references_disagree, self.task, self._protocol)
        found = match(list(self._stored()), self._plan.samples, disagrees)
        name, samples = self.task.name, len(found.unmatched) + len(found.ambiguous) + len(found.pairs)
        lost: list[str] = []
        if found.unmatched:
            lost.append(f"{_some(found.unmatched, samples)} are no samples of {name}")
        if found.ambiguous:
            lost.append(f"{_some(found.ambiguous, samples)} may each be one of several")
        count = len(found.unmatched) + len(found.ambiguous)
        if not found.pairs or count > self._most:
            fix = f"; --unmatched {count} leaves them out" if found.pairs else ""
            raise UsageError(
                f"{self._old.path}, {self._label}: by id and by question, {' and '.join(lost)}: is the data "
                f"of {name} ({self._plan.records.origin['where']}) that of the import?{fix}"
            )
        notes = [f"left out: {words}" for words in lost]
        how = f"{found.by_text:,} of them by their question and not by their id"
        notes.append(f"{len(found.pairs):,} of {name}'s {found.of:,} samples were matched, {how}")
        if found.disagree:
            words = _some(found.disagree, len(found.pairs))
            notes.append(f"the imported references of {words} are not those of {name}, which count here")
        return found, tuple(notes)

    def _stored(self) -> Iterator[Stored]:
        for number, cell in enumerate(self._cells):
            rows = self._old.connection.execute(
                "SELECT position, id, input, target FROM sample WHERE cell = ? ORDER BY position", (cell.id,)
            )
            for position, name, text, target in rows:
                yield Stored((number, position), name, text, tuple(orjson.loads(target)))

    def _spec(self, matched: Matched) -> CellSpec:
        """Returns the task's spec of what is read, scored and measured, with the tool's of what was asked."""
        first, spec = self._cells[0].spec, self._plan.spec()
        limits = [cell.spec.limit for cell in self._cells]
        tool = str(first.imported["imported"])
        return dataclasses.replace(
            spec,
            protocol=ProtocolSettings(name=f"{tool.split(' ')[0]}-rescored", shots=first.protocol.shots),
            solver="",
            prompt="",
            imported={**self._asked(), SCORED_AS: f"{self.task.name}:{self._protocol.name}"},
            records=matched.of,
            size=matched.of if spec.size is None else spec.size,
            limit=sum(limit for limit in limits if limit is not None) if None not in limits else None,
            wanted=len(matched.pairs),
            summary=f"Imported ({tool}): asked elsewhere, and scored by evalkit. {spec.summary}",
        )

    def _asked(self) -> dict[str, JSON]:
        """Returns what the files say of how it was asked; of several tasks, a digest of it."""
        if len(self._cells) == 1:
            return {**self._cells[0].spec.imported}
        every = sorted((dict(cell.spec.imported) for cell in self._cells), key=lambda one: str(one["task"]))
        return {
            "imported": " and ".join(sorted({str(one["imported"]) for one in every})),
            "task": ", ".join(str(one["task"]) for one in every),
            "settings": digest([*every]).hex(),
        }

    async def _sample(self, new: Store, cell: Cell, found: _Found) -> Changed | None:
        position, sample = found.placed
        sample = dataclasses.replace(sample, media=())  # the files were not sent by evalkit
        asked = found.records.read(found.position)
        _, prompts = found.records.digests(found.position)
        links = found.records.links(found.position)
        keys = dict.fromkeys((link.turn, link.key) for link in links)
        for (_, key), request in zip(keys, asked.requests, strict=True):
            body = orjson.dumps(request.body, option=orjson.OPT_SORT_KEYS)
            for drawn in request.draws:
                new.add_response(key, body, drawn.draw, cell, sample.id, drawn.response)
        row = Row(sample, position, question_digest(sample), prompts, FAILED, links=links)
        if not asked.requests:
            why = asked.error or "the imported file has no response to it"
            row = dataclasses.replace(row, boundary="provider", error=why)
        elif asked.outcome == FAILED and asked.boundary not in TRIED_AGAIN:
            row = dataclasses.replace(row, boundary=asked.boundary, error=asked.error)
        else:
            row = await read_again(self.task, self._plan.metrics, self._protocol, row, asked)
        new.add_sample(cell, row, fresh=True)
        return change(asked, row)


def _without_judges(task: Task) -> Task:
    """Returns the task without variants that ask judge models. Raises `UsageError` if its scorer asks one."""
    if isinstance(task.scorer, ModelScorer):
        raise UsageError(
            f"{task.name} is scored by a judge model, which rescoring does not ask: imported responses are "
            "scored by rules only"
        )
    variants = tuple(one for one in task.variants if not isinstance(one.scorer, ModelScorer))
    return dataclasses.replace(task, variants=variants)


def _unreadable(protocol: Protocol, draws: int) -> str:
    """Why the protocol's reader cannot read `draws` written responses of a sample; "" if it can."""
    if protocol.logprobs or protocol.likelihood != "next-token":
        return f"{protocol.name} reads log-probabilities, and an import has written responses"
    if protocol.fallback or protocol.branches:
        return f"{protocol.name} is made of several protocols, each with responses of its own"
    if protocol.api == "transcription":
        return ""
    if protocol.draws > draws:
        return f"{protocol.name} takes {protocol.draws} responses of each sample, and the import has {draws}"
    return ""


def _some(ids: Sequence[str], of: int) -> str:
    """`3 of 8 imported samples (q1, q2, q3)`."""
    named = ", ".join(itertools.islice(ids, _NAMED)) + (", …" if len(ids) > _NAMED else "")
    return f"{len(ids):,} of {of:,} imported samples ({named})"
