"""How far the probabilities of chosen letters are right, of each run that has them, as tables and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING

from evalkit.report.charts.marks import NamedCell, headlines, named_cells
from evalkit.report.layout import runs_of
from evalkit.report.tabular import Column, Tabular, TabularCell, TabularRow

if TYPE_CHECKING:
    from evalkit.report.grid import Grid
    from evalkit.report.table import Table
    from evalkit.runfile.records import Cell
    from evalkit.runfile.store import Store
    from evalkit.samples import JSON
    from evalkit.stats.calibration import Reliability

SCORES = "logprobs"
"""The detail of an answer with the log-probability of each letter (`evalkit.benchmark.readers`)."""
_LOOKED = 50
"""The number of answers after which a benchmark without log-probabilities is not read further."""


@dataclass(frozen=True, slots=True)
class NamedReliability:
    """The reliability of a run's probabilities on a benchmark, and the figure that it belongs to."""

    run: NamedCell
    found: Reliability

    @property
    def name(self) -> str:
        return f"{self.run.cell.task}:{self.run.cell.protocol}"

    def as_json(self) -> dict[str, JSON]:
        cell = self.run.cell
        return {
            "task": cell.task,
            "protocol": cell.protocol,
            "model": self.run.name,
            "expected_calibration_error": self.found.error,
            "samples": self.found.count,
            "bins": [asdict(part) for part in self.found.bins],
        }


def reliabilities(
    stores: Sequence[Store], table: Table, grids: Sequence[Grid] = ()
) -> tuple[NamedReliability, ...]:
    """The reliability of each headline figure that is right or wrong and read from probabilities of letters.

    A sample's confidence is the probability of the chosen letter among the letters of its choices; a letter
    that the endpoint did not return counts as impossible.
    """
    from evalkit.stats.calibration import reliability

    of_name = {run.name: run for run in runs_of(stores, table)}
    found = []
    for run in headlines(named_cells(table, grids)):
        if run.name not in of_name or run.cell.variant or not run.cell.traits.right_or_wrong:
            continue
        store = of_name[run.name].store_of(run.cell)
        if store.is_slim:
            continue
        asked = (cell for cell in store.cells() if not cell.role and cell.spec == run.cell.spec)
        pairs = [pair for cell in asked for pair in _chosen(store, cell)]
        if pairs:
            confidences, right = zip(*pairs, strict=True)
            found.append(NamedReliability(run, reliability(confidences, right)))
    return tuple(found)


def _chosen(store: Store, cell: Cell) -> Iterator[tuple[float, bool]]:
    """Yields (confidence, whether it is right) of the samples whose answer was chosen by probabilities."""
    first = islice(store.answers(cell), _LOOKED)
    if not any(SCORES in answer.get("detail", {}) for _, answer in first):
        return
    for _, answer in store.answers(cell):
        scores = answer.get("detail", {}).get(SCORES)
        finals = answer.get("finals", [])
        if isinstance(scores, dict) and len(finals) == 1 and finals[0]["correct"] is not None:
            chances = {letter: math.exp(score) for letter, score in scores.items() if score is not None}
            chosen = finals[0]["value"]
            if chosen in chances and (whole := sum(chances.values())) > 0:
                yield chances[chosen] / whole, bool(finals[0]["correct"])


def calibration_tables(found: Sequence[NamedReliability]) -> Iterator[Tabular]:
    """Yields a table of the bins for each run and benchmark."""
    for one in found:
        rows = (
            (
                f"{100 * part.above:.0f}–{100 * part.until:.0f} %",
                f"{100 * part.confidence:.1f}",
                f"{100 * part.accuracy:.1f}",
                f"{100 * part.low:.1f}–{100 * part.high:.1f}",
                f"{part.count:,}",
            )
            for part in one.found.bins
        )
        first, *others = ("confidence", "mean confidence, %", "accuracy, %", "95 % interval", "samples")
        yield Tabular(
            f"{one.run.name} on {one.name}, calibration",
            (Column(first, unbroken=True), *(Column(other, "number", unbroken=True) for other in others)),
            tuple(TabularRow(tuple(map(TabularCell, row))) for row in rows),
            remarks=(f"Expected calibration error over bins of equal width: {100 * one.found.error:.1f} %.",),
        )
