"""Samples whose verdict depends on the extractor or the judge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.report.failures import failure_lines
from evalkit.runfile.store import Store
from evalkit.samples import JSON

HEADLINE = "headline"


@dataclass(frozen=True, slots=True)
class Dispute:
    """A sample whose verdict under a variant differs from the headline's.

    `readings`: by variant, the headline first: the answers that it read, each with its verdict and reason.
    """

    task: str
    protocol: str
    model: str
    sample: str
    readings: dict[str, list[dict[str, Any]]]

    def as_json(self) -> dict[str, JSON]:
        return {
            "task": self.task,
            "protocol": self.protocol,
            "model": self.model,
            "sample": self.sample,
            "readings": {name: list(finals) for name, finals in self.readings.items()},
        }

    def lines(self) -> Iterator[str]:
        """Yields a line for the sample and one for each answer that was read."""
        yield f"{self.task}:{self.protocol}  {self.model}  sample {self.sample}"
        for name, finals in self.readings.items():
            for final in finals:
                verdict = "right" if final["correct"] else "wrong"
                value = "no answer" if final["value"] is None else repr(final["value"])
                reason = f" ({final['reason']})" if final["reason"] and final["value"] is not None else ""
                yield f"    {name}: {verdict}, {value}{reason}"
                yield from (f"    {line}" for line in failure_lines(final))


def disputes(stores: Sequence[Store]) -> Iterator[Dispute]:
    """Yields every disputed sample of the runs, in the order of the data."""
    for store in stores:
        model = store.manifest["model"]["name"]
        for cell in store.cells():
            if cell.role:
                continue
            for sample, answer in store.answers(cell):
                readings = {HEADLINE: answer.get("finals", []), **answer.get("variants", {})}
                verdicts = {tuple(final["correct"] for final in finals) for finals in readings.values()}
                if len(verdicts) > 1:
                    yield Dispute(cell.task, cell.spec.protocol.label, model, sample, readings)
