"""One cell of a plan: a task under a protocol, its opened records, and all that decides its answers."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from evalkit.benchmark.names import file_of
from evalkit.benchmark.protocol import Protocol
from evalkit.benchmark.spec import BY, CellSpec, VariantSpec, fallback_text
from evalkit.benchmark.task import ModelScorer, Scorer, Task, limits_groups
from evalkit.data.base import Record, Records
from evalkit.engine.faults import FAULTS, fault
from evalkit.errors import BoundaryError, DataError, EvalkitError, MediaError, SampleError, counted
from evalkit.identity.declared import code_identity
from evalkit.metrics.base import Metric
from evalkit.metrics.stored import metric_spec
from evalkit.models.parameters import SAMPLING
from evalkit.runfile.completeness import SMALL_SETS
from evalkit.runfile.encoding import sample_columns
from evalkit.samples import Message, Prompt, Sample, Speech


@dataclass(frozen=True, slots=True)
class CellPlan:
    """One task under one protocol, with its opened records."""

    source: str
    """The argument of `load_task` with which the task's code is found again."""
    task: Task
    protocol: Protocol
    metrics: tuple[Metric, ...]
    records: Records
    limit: int | None
    shots: Mapping[str, tuple[Sample, ...]] = field(default_factory=dict)
    """`Sample.shots` by `Task.shots_by`."""
    model_extractor: str = ""
    """The identity of the model that reads responses if the task's rules cannot; "" without such a model."""
    judges: Mapping[str, str] = field(default_factory=dict)
    """Identities of the judge models of the task's scorers, by role."""
    lock: str = ""
    """The digest of all files that the task may read by the run's lock file; "" without one."""
    role: str = ""
    """`validation` for the samples that a threshold is chosen on, "" for those that the figure is from."""
    only: frozenset[int] | None = None
    """The positions of the samples that are asked now, of those within `limit`; None: all of them."""

    @property
    def name(self) -> str:
        """The name in tables, such as `gsm8k:8-shot-cot`."""
        return f"{self.task.name}:{self.protocol.label}" + (f" ({self.role})" if self.role else "")

    @property
    def by_group(self) -> bool:
        """Whether `limit` applies to each group: the first group alone would change a figure of groups."""
        return self.limit is not None and limits_groups(self.task)

    @property
    def count(self) -> int | None:
        """How many samples the run will have; None if unknown."""
        sizes = {} if self._small else self.task.group_sizes
        whole = self.records.count
        if whole is None and not self._small:
            whole = self.task.size
        if self.limit is None:
            return whole
        if not self.by_group:
            return self.limit if whole is None else min(self.limit, whole)
        if self.records.parts:
            parts = [(part.count, sizes.get(part.name)) for part in self.records.parts]
            counts = [size if count is None else count for count, size in parts]
        else:
            counts = [*sizes.values()] if self.records.count in (None, self.task.size) else []
        known = [min(self.limit, count) for count in counts if count is not None]
        return sum(known) if counts and len(known) == len(counts) else None

    @property
    def _small(self) -> bool:
        return self.records.origin.get("kind") == SMALL_SETS

    @property
    def size(self) -> int | None:
        """How many samples the benchmark has; None if unknown, and for validation samples."""
        return None if self.role else self.task.size

    @property
    def mismatch(self) -> str:
        """A message if the data are known to have more or fewer samples than the benchmark, else ""."""
        found = self.records.count
        if self.size is None or self._small or found is None or found == self.size:
            return ""
        return f"the data have {counted(found, 'sample')}, and the benchmark has {self.size:,}"

    def samples(self) -> Iterator[tuple[int, Sample]]:
        """Yields (position, sample). Raises `DataError` for a record that the task cannot read."""
        for position, found in self.tried():
            if isinstance(found, BoundaryError):
                raise DataError(str(found)) from found
            yield position, found

    def tried(self) -> Iterator[tuple[int, Sample | BoundaryError]]:
        """Yields (position, sample, or the error if the record gives none).

        Raises `DataError` if the data cannot be read any further, and `UsageError` for errors that end a run.
        """
        quota = None
        if self.by_group and not self.records.parts and self.limit is not None:
            quota = _Quota(self.limit, () if self._small else self.task.group_sizes)
        for position, record in self._read():
            if self.only is not None and position not in self.only:
                continue
            found: Sample | BoundaryError
            try:
                found = self.sample(record, position)
            except BoundaryError as error:
                found = error
            if quota is None or quota.takes(found):
                yield position, found
            if quota is not None and quota.full:
                return

    def sample(self, record: Record, position: int) -> Sample:
        """Makes a record into a sample. Raises `SampleError` or `MediaError` if that is not possible."""
        where = f"record {position} of {self.records.origin['name']}"
        try:
            sample = self.task.sample(record)
            if not isinstance(sample, Sample):
                raise SampleError(f"sample must return a Sample, not {type(sample).__name__}")
            key = self.task.shots_by(sample) if self.shots else ""
        except BoundaryError as error:
            kind = MediaError if isinstance(error, MediaError) else SampleError
            raise kind(f"{where}: {error}") from error
        except OSError as error:
            kind = MediaError if self.task.media else SampleError
            raise fault(error, where, kind) from error
        except FAULTS as error:
            said = fault(error, kind=SampleError)
            raise SampleError(
                f"{where} does not fit {self.task.name} ({said}); its columns are {_columns(record)}"
            ) from error
        if self.shots:
            if key not in self.shots:
                raise DataError(f"{self.task.name} has no solved examples of {key!r} for the prompt")
            sample = dataclasses.replace(sample, shots=self.shots[key])
        try:
            sample_columns(sample)  # checked before any request, because the run file could not hold it
        except SampleError as error:
            raise SampleError(f"{where}: {error}; its columns are {_columns(record)}") from error
        return sample

    def _read(self) -> Iterator[tuple[int, Record]]:
        """Yields (position in the data, record) of the records within `limit`."""
        position = 0
        try:
            for position, record in self._limited():
                yield position, record
                position += 1
        except EvalkitError:
            raise
        except (Exception, SystemExit) as error:
            raise DataError(
                f"cannot read {self.records.origin['name']} at {self.records.origin['where']} from record "
                f"{position} on ({type(error).__name__}: {error})"
            ) from error

    def _limited(self) -> Iterator[tuple[int, Record]]:
        if not self.by_group:
            yield from enumerate(itertools.islice(self.records, self.limit))
        elif not self.records.parts:  # a record's group is only known once it is a sample
            yield from enumerate(self.records)
        else:
            start = 0
            for part in self.records.parts:
                records = part.open()
                rest = iter(records)
                taken = 0
                for record in itertools.islice(rest, self.limit):
                    yield start + taken, record
                    taken += 1
                start += taken + sum(1 for _ in rest) if records.count is None else records.count

    def spec(self) -> CellSpec:
        """Returns everything, except for the questions, that decides the requests and how they are scored."""
        task, protocol = self.task, self.protocol
        model_extractor = ""
        if self.model_extractor and task.model_extractor is not None:
            reads = code_identity(task.model_extractor.prompt), code_identity(task.model_extractor.read)
            model_extractor = " ".join((self.model_extractor, *reads))
        fallback = ""
        if protocol.fallback:
            branch = branch_of(task, protocol, protocol.fallback[0])
            code = (
                code_identity(branch.solver),
                code_identity(branch.reader),
                code_identity(task.extract(branch)),
            )
            fallback = fallback_text(branch, *code)
        return CellSpec(
            task=task.name,
            source=self.source,
            protocol=protocol.settings(),
            options=dict(task.options),
            solver=code_identity(protocol.solver),
            reader=code_identity(protocol.reader),
            prompt=code_identity(task.prompt),
            extract=code_identity(task.extract(protocol)),
            scorer=self._scorer(task.scorer),
            model_extractor=model_extractor,
            fallback=fallback,
            variants=tuple(
                VariantSpec(
                    name=variant.name,
                    extract="" if variant.extract is None else code_identity(variant.extract),
                    reader="" if variant.reader is None else code_identity(variant.reader),
                    scorer="" if variant.scorer is None else self._scorer(variant.scorer),
                )
                for variant in task.variants
            ),
            metrics=tuple(metric_spec(metric) for metric in self.metrics),
            notes=dict(task.notes(protocol)),
            data={**self.records.origin, **({"lock": self.lock} if self.lock else {})},
            records=self.records.count,
            limit=self.limit,
            limit_by_group=self.by_group,
            wanted=self.count,
            size=self.size,
            group_sizes={} if self.role else dict(task.group_sizes),
            heat_map=task.heat_map,
            report=task.report,
            summary=task.summary,
            code=_code(self.source),
        )

    def _scorer(self, scorer: Scorer) -> str:
        """Returns the identity of a scorer and of the judge models that it uses."""
        if not isinstance(scorer, ModelScorer):
            return code_identity(scorer)
        asked = (f"{role}={self.judges[role]}" for role in scorer.roles)
        return code_identity(scorer.score) + BY + " ".join(asked)


def _columns(record: Record) -> str:
    """The columns of a record, each with its type if it is no text: `question, answer (NoneType)`."""
    return ", ".join(
        str(name) if isinstance(value, str) else f"{name} ({type(value).__name__})"
        for name, value in record.items()
    )


class _Quota:
    """Lets at most `most` samples of each group through. A record without a sample has the group ""."""

    def __init__(self, most: int, groups: Collection[str]) -> None:
        self._most, self._open, self._known = most, set(groups), bool(groups)
        self._counts: Counter[str] = Counter()

    def takes(self, found: Sample | BoundaryError) -> bool:
        group = found.group if isinstance(found, Sample) else ""
        self._counts[group] += 1
        if self._counts[group] >= self._most:
            self._open.discard(group)
        return self._counts[group] <= self._most

    @property
    def full(self) -> bool:
        """Whether every group has its share; always False if the groups are not known in advance."""
        return self._known and not self._open


def rendered(task: Task, sample: Sample, protocol: Protocol) -> Prompt:
    """Returns the sample's prompt. Raises `SampleError`, or a `BoundaryError` of the task's own."""
    try:
        prompt = task.prompt(sample, protocol)
    except BoundaryError:
        raise
    except FAULTS as error:
        raise fault(error, "prompt", SampleError) from error
    if not isinstance(prompt, str | tuple | Speech):
        kind = type(prompt).__name__
        raise SampleError(f"prompt: must be a text, a tuple of messages or a Speech, not {kind}")
    return with_system(prompt, protocol.system)


def with_system(prompt: Prompt, system: str) -> Prompt:
    """Returns a chat with the message `system` of `--set system` before it; any prompt as it is without one.

    Raises `SampleError` if the chat begins with another system message, which is the benchmark's own.
    """
    if not system or not isinstance(prompt, tuple):
        return prompt
    first = prompt[0] if prompt else None
    if first is not None and first.role == "system":
        if first.content == system:
            return prompt
        raise SampleError("prompt: it already has a system message, so --set system cannot add one")
    return (Message("system", system), *prompt)


def branch_of(task: Task, protocol: Protocol, name: str) -> Protocol:
    """Returns the protocol that `protocol` falls back to, asked with the same system message and parameters.

    The other settings are the fallback's own.
    """
    branch = task.protocol(name)
    carried: dict[str, Any] = {
        key: getattr(protocol, key) for key in SAMPLING if getattr(protocol, key) is not None
    }
    if protocol.extra:
        carried["extra"] = protocol.extra
    if protocol.system and branch.api == "chat":
        carried["system"] = protocol.system
    return dataclasses.replace(branch, **carried) if carried else branch


def _code(source: str) -> str:
    file = file_of(source)
    return file[0].read_text("utf-8", "replace") if file is not None else ""
