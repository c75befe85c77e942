"""What runs cost, whole and for each benchmark: as they were billed, or by prices of tokens.

A run whose model had a price knows what it has spent, with discounts and judges. If its file has several
benchmarks, each has the share of its tokens at the model's rates in evalkit's table; without such rates, or
with a judge's responses, the shares are not known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.models.prices import listed_price
from evalkit.report.charts.marks import NamedCell, headlines, named, named_cells, pictures
from evalkit.report.digits import interval_text
from evalkit.report.layout import runs_of
from evalkit.report.tabular import Tabular, printable
from evalkit.report.tabulate import number_table, value_text
from evalkit.runfile.records import OF_JUDGE
from evalkit.runfile.spent import SPENT
from evalkit.runfile.tallies import has_answer

if TYPE_CHECKING:
    from evalkit.report.grid import Grid
    from evalkit.report.layout import RunColumn
    from evalkit.report.table import Table
    from evalkit.runfile.store import Store
    from evalkit.samples import JSON

TokenPrice = tuple[float, float]
"""The prices of a million prompt tokens and of a million completion tokens, in any currency."""
USD = "US dollars"
_MOST = 1e9
"""US dollars. A larger number in a run file is none that was spent, and could be infinite."""
PER = 1000
"""The number of samples that a benchmark's cost is told for."""


@dataclass(frozen=True, slots=True)
class NamedCost:
    """A run's headline figure, what its benchmark cost, and for how many samples."""

    run: NamedCell
    cost: float
    samples: int

    @property
    def each(self) -> float:
        """The cost of `PER` samples."""
        return PER * self.cost / self.samples


@dataclass(frozen=True, slots=True)
class Costs:
    """What runs cost. `whole`: by run. `figures`: of each benchmark whose cost is known. `currency`: of both.

    `source`: a sentence that says where the numbers are from. Runs that cost nothing, or whose cost is not
    known, are in neither.
    """

    currency: str = USD
    source: str = ""
    whole: Mapping[str, float] | None = None
    figures: tuple[NamedCost, ...] = ()

    def as_json(self) -> dict[str, JSON]:
        figures: list[JSON] = [
            {"model": one.run.name, "task": one.run.cell.task, "protocol": one.run.cell.protocol,
             "cost": one.cost, "samples": one.samples}
            for one in self.figures
        ]  # fmt: skip
        return {"currency": self.currency, "runs": dict(self.whole or {}), "benchmarks": figures}


def costs(
    stores: Sequence[Store],
    table: Table,
    grids: Sequence[Grid] = (),
    prices: Mapping[str, TokenPrice] | None = None,
) -> Costs:
    """The costs of the table's runs. `prices`: by run; if there are any, they alone count, for these runs."""
    runs = headlines(named_cells(table, grids))
    if prices:
        return _priced(runs, prices)
    columns = {run.name: run for run in runs_of(stores, table)}
    whole = {name: spent for name, run in columns.items() if (spent := sum(map(_spent, run.stores))) > 0}
    figures = (_billed(run, columns[run.name]) for run in runs if run.name in whole)
    source = (
        "As the run files say that they were spent, with discounts and judges. Of a run file with several "
        "benchmarks, the share by tokens."
    )
    return Costs(USD, source, whole, tuple(one for one in figures if one))


def _spent(store: Store) -> float:
    found = store.manifest.get(SPENT)
    return float(found) if isinstance(found, int | float) and 0 < found < _MOST else 0.0


def _billed(run: NamedCell, column: RunColumn) -> NamedCost | None:
    store = column.store_of(run.cell)
    share = _share(run, store, column)
    return _cost(run, _spent(store) * share) if share else None


def _share(run: NamedCell, store: Store, column: RunColumn) -> float:
    """The benchmark's share of what its run file has spent; 0 if it is not known."""
    rows = {(cell.task, cell.protocol) for cell in store.cells() if not cell.role}
    if len(rows) == 1:
        return 1.0
    price = listed_price(str(store.manifest["model"]["name"]))
    if price is None or has_answer(store, OF_JUDGE):
        return 0.0
    heads = {cell.row[:2]: cell for cell in column.cells.values() if column.store_of(cell) is store}
    paid = {row: price.input * cell.tokens[0] + price.output * cell.tokens[1] for row, cell in heads.items()}
    total = sum(paid.values())
    return paid[run.cell.row[:2]] / total if total else 0.0


def _priced(runs: Sequence[NamedCell], prices: Mapping[str, TokenPrice]) -> Costs:
    """The costs by tokens at given prices."""
    whole: dict[str, float] = {}
    figures = []
    for run in runs:
        if run.name in prices:
            cost = sum(n * price for n, price in zip(run.cell.tokens, prices[run.name], strict=True)) / 1e6
            whole[run.name] = whole.get(run.name, 0.0) + cost
            figures.append(_cost(run, cost))
    words = [f"{printable(name)} {prices[name][0]:g} and {prices[name][1]:g}" for name in whole]
    source = (
        f"Tokens times the given prices per million: {'; '.join(words)} (prompt and completion). Discounts "
        "and the judge are not included."
    )
    known = {name: cost for name, cost in whole.items() if cost}
    return Costs("the currency of the prices", source, known, tuple(one for one in figures if one))


def _cost(run: NamedCell, cost: float) -> NamedCost | None:
    """None for a figure that cost nothing, such as one of a model that runs here."""
    samples = sum(run.cell.outcomes.values()) + run.cell.answered
    return NamedCost(run, cost, samples) if cost > 0 and samples and run.cell.value is not None else None


def compared(found: Costs) -> list[list[NamedCost]]:
    """The figures with costs that are comparable with each other: of each benchmark with two or more."""
    drawn = pictures(found.figures, lambda one: one.run.cell.row, lambda one: one.run)
    return [picture for picture in drawn if len(picture) > 1]


def cost_tables(found: Costs) -> Iterator[Tabular]:
    """Yields a table of figures and costs for each benchmark that two or more runs have costs of."""
    for picture in compared(found):
        cell = picture[0].run.cell
        least = cell.measured.decimals
        rows = (
            (
                one.run.name,
                value_text(one.run.cell, cell.unit, least),
                interval_text(one.run.cell.low, one.run.cell.high, least) or "—",
                money(one.each),
                money(one.cost),
                f"{one.samples:,}",
            )
            for one in picture
        )
        headings = ("run", "value", "95 % interval", f"cost of {PER:,} samples", "cost", "samples")
        remark = f"Costs are in {found.currency}. {found.source}"
        yield number_table(f"{named(cell)} and costs", headings, rows, remark)


def money(value: float) -> str:
    """`12.35`, `0.0042`."""
    return f"{value:,.2f}" if value >= 0.1 else f"{value:.2g}"
