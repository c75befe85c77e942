"""One cell of a plan: a task under a protocol, its records opened, and what decides its answers."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from evalkit.data.base import Record, Records
from evalkit.encoding import sample_columns
from evalkit.engine.faults import FAULTS, fault
from evalkit.errors import BoundaryError, DataError, EvalkitError, MediaError, SampleError
from evalkit.identity import code_identity
from evalkit.metrics.base import Metric
from evalkit.metrics.stored import metric_spec
from evalkit.protocol import Protocol
from evalkit.samples import Prompt, Sample, Speech
from evalkit.spec import CellSpec, ViewSpec, fallback_text
from evalkit.task import Task, View, file_of


@dataclass(frozen=True, slots=True)
class CellPlan:
    """One task under one protocol, with its records opened."""

    source: str
    """What `load_task` takes, to find the task's code again."""
    task: Task
    protocol: Protocol
    metrics: tuple[Metric, ...]
    records: Records
    limit: int | None
    shots: Mapping[str, tuple[Sample, ...]] = field(default_factory=dict)
    """`Sample.shots` by group."""
    referee: str = ""
    """The model that reads what the task's rules cannot, by its identity; "" where none does."""
    role: str = ""
    """`validation` for the samples that a threshold is chosen on, "" for those that are scored."""

    @property
    def name(self) -> str:
        """What it is called in tables: `gsm8k:8-shot-cot`."""
        return f"{self.task.name}:{self.protocol.label}" + (f" ({self.role})" if self.role else "")

    @property
    def count(self) -> int | None:
        """How many samples will be asked, where it is known."""
        if self.records.count is None:
            return self.limit
        return self.records.count if self.limit is None else min(self.limit, self.records.count)

    def samples(self) -> Iterator[tuple[int, Sample]]:
        """(position, sample), streamed. Raises `DataError` for a record that the task cannot read."""
        for position, found in self.tried():
            if isinstance(found, BoundaryError):
                raise DataError(str(found)) from found
            yield position, found

    def tried(self) -> Iterator[tuple[int, Sample | BoundaryError]]:
        """(position, sample or why there is none), streamed.

        Raises `DataError` where the data cannot be read on, and `UsageError` for what ends a run.
        """
        for position, record in enumerate(self._read()):
            try:
                yield position, self.sample(record, position)
            except BoundaryError as error:
                yield position, error

    def sample(self, record: Record, position: int) -> Sample:
        """Raises `SampleError` or `MediaError` for a record that gives no sample."""
        where = f"record {position} of {self.records.origin['name']}"
        try:
            sample = self.task.sample(record)
            if not isinstance(sample, Sample):
                raise SampleError(f"its sample is of type {type(sample).__name__}, not a Sample")
            sample_columns(sample)  # what no file can hold would be asked in vain
        except BoundaryError as error:
            kind = MediaError if isinstance(error, MediaError) else SampleError
            raise kind(f"{where}: {error}") from error
        except OSError as error:
            kind = MediaError if self.task.media else SampleError
            raise fault(error, where, kind) from error
        except FAULTS as error:
            said, columns = fault(error, kind=SampleError), ", ".join(map(str, record))
            raise SampleError(
                f"{where} does not fit {self.task.name} ({said}); its columns are {columns}"
            ) from error
        if not self.shots:
            return sample
        if sample.group not in self.shots:  # of every sample of that group
            raise DataError(f"{self.task.name} has no solved examples of {sample.group!r} to show")
        return dataclasses.replace(sample, shots=self.shots[sample.group])

    def _read(self) -> Iterator[Record]:
        position = 0
        try:
            for record in itertools.islice(self.records, self.limit):
                yield record
                position += 1
        except EvalkitError:
            raise
        except (Exception, SystemExit) as error:
            raise DataError(
                f"{self.records.origin['name']} at {self.records.origin['where']} cannot be read from record "
                f"{position} on ({type(error).__name__}: {error})"
            ) from error

    def spec(self) -> CellSpec:
        """Everything but the questions that decides what is asked and how it is scored."""
        task, protocol = self.task, self.protocol
        referee = ""
        if self.referee and task.referee is not None:
            reads = code_identity(task.referee.prompt), code_identity(task.referee.read)
            referee = " ".join((self.referee, *reads))
        fallback = ""
        if protocol.fallback:
            leg = task.protocol(protocol.fallback[0])
            fallback = fallback_text(leg, code_identity(leg.solver), code_identity(task.extract(leg)))
        return CellSpec(
            task=task.name,
            source=self.source,
            protocol=protocol.settings(),
            options=dict(task.options),
            solver=code_identity(protocol.solver),
            prompt=code_identity(task.prompt),
            extract=code_identity(task.extract(protocol)),
            judge=code_identity(task.judge),
            referee=referee,
            fallback=fallback,
            views=tuple(_view(view) for view in task.views),
            metrics=tuple(metric_spec(metric) for metric in self.metrics),
            notes=dict(task.notes(protocol)),
            data=dict(self.records.origin),
            records=self.records.count,
            limit=self.limit,
            size=task.size,
            group_sizes=dict(task.group_sizes),
            report=task.report,
            summary=task.summary,
            code=_code(self.source),
        )


def rendered(task: Task, sample: Sample, protocol: Protocol) -> Prompt:
    """The sample's prompt. Raises `SampleError`, or what its builder raised of evalkit's own."""
    try:
        prompt = task.prompt(sample, protocol)
    except BoundaryError:
        raise
    except FAULTS as error:
        raise fault(error, "prompt", SampleError) from error
    if not isinstance(prompt, str | tuple | Speech):
        kind = type(prompt).__name__
        raise SampleError(f"prompt: it is of type {kind}, not a text, a tuple of messages or a clip")
    return prompt


def _view(view: View) -> ViewSpec:
    return ViewSpec(
        name=view.name,
        extract="" if view.extract is None else code_identity(view.extract),
        judge="" if view.judge is None else code_identity(view.judge),
    )


def _code(source: str) -> str:
    file = file_of(source)
    return file[0].read_text("utf-8", "replace") if file is not None else ""
