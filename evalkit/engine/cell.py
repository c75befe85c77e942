"""One cell of a plan: a task under a protocol, its records opened, and what decides its answers."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from evalkit.data.base import Record, Records
from evalkit.errors import DataError, EvalkitError
from evalkit.metrics.base import Metric, traits_of
from evalkit.protocol import NEVER, Protocol
from evalkit.samples import JSON, Sample
from evalkit.signature import code_identity, digest
from evalkit.task import Referee, Task, View


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
    referee: str = ""
    """The model that reads what the task's rules cannot, by its identity; "" where none does."""
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
                **dataclasses.asdict(traits_of(metric)),
            }
            for metric in self.metrics
        ]
        protocol = _protocol_json(self.protocol)
        if self.protocol.fallback:
            protocol["fallback"] = _fallback_json(self.task, self.protocol)
        referee: dict[str, JSON] = {}
        if self.referee and self.task.referee is not None:
            referee = {"referee": _referee_json(self.task.referee, self.referee)}
        return {
            "task_spec": self.spec,
            "options": dict(self.task.options),
            **referee,
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
    if p.language_hint:
        found["language_hint"] = True
    if p.max_pixels:
        found |= {"max_pixels": p.max_pixels, "resample": p.resample}
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


def _referee_json(referee: Referee, model: str) -> JSON:
    return f"{model} {code_identity(referee.prompt)} {code_identity(referee.read)}"


def _view_json(view: View) -> JSON:
    parts: dict[str, JSON] = {}
    if view.extract is not None:
        parts["extract"] = code_identity(view.extract)
    if view.judge is not None:
        parts["judge"] = code_identity(view.judge)
    return parts
