"""Figures by the length of prompts: over parts with equal numbers of samples, as tables and JSON.

All runs in one picture have the same samples in each part, because lengths are those of one run: the tokens
of the first prompt of a sample, if the endpoint counted them for every sample and not all alike, else the
characters of its question.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from evalkit.errors import UsageError
from evalkit.report.charts.marks import NamedCell, headlines, named, named_cells, pictures
from evalkit.report.digits import interval_text
from evalkit.report.layout import runs_of
from evalkit.report.significance import stored_cell
from evalkit.report.tabular import Tabular
from evalkit.report.tabulate import number_table, value_text
from evalkit.runfile.figures import figures_by
from evalkit.runfile.heat import Group
from evalkit.runfile.measured import measure
from evalkit.runfile.tallies import prompt_tokens, question_characters

if TYPE_CHECKING:
    from evalkit.report.grid import Grid
    from evalkit.report.table import Table
    from evalkit.runfile.store import Store
    from evalkit.samples import JSON

PARTS = 5
"""The highest number of parts."""
LEAST = 20
"""The least number of samples for a part: fewer make intervals that say nothing."""


@dataclass(frozen=True, slots=True)
class Part:
    """The samples whose lengths are from `least` to `most`, and the figure over them; None: there is none."""

    least: int
    most: int
    figure: Group | None

    @property
    def words(self) -> str:
        """`1,200–1,450`."""
        return f"{self.least:,}–{self.most:,}"


@dataclass(frozen=True, slots=True)
class NamedLengths:
    """A run's figures by length. `counts`: what a length is, such as "characters of the question"."""

    run: NamedCell
    counts: str
    parts: tuple[Part, ...]

    def as_json(self) -> dict[str, JSON]:
        cell = self.run.cell
        return {
            "task": cell.task,
            "protocol": cell.protocol,
            "model": self.run.name,
            "metric": cell.metric,
            "unit": cell.unit,
            "counts": self.counts,
            "parts": [asdict(part) for part in self.parts],
        }


def lengths(stores: Sequence[Store], table: Table, grids: Sequence[Grid] = ()) -> tuple[NamedLengths, ...]:
    """The figures by length of each headline whose samples have lengths that differ, and enough samples.

    A run whose code measures otherwise now has none.
    """
    owners = {run.name: run for run in runs_of(stores, table)}
    runs = [run for run in headlines(named_cells(table, grids)) if run.name in owners]
    found = []
    for picture in pictures(runs, lambda run: run.cell.row, lambda run: run):
        of_run = [(run, owners[run.name].store_of(run.cell)) for run in picture]
        counts, known = _known(*of_run[0])
        bounds = divided(known.values())
        if len(bounds) > 1:
            placed = {at: _part(bounds, length) for at, length in known.items()}
            for run, store in of_run:
                if figures := _figures(run, store, placed):
                    parts = (Part(*ends, figures.get(i)) for i, ends in enumerate(bounds))
                    found.append(NamedLengths(run, counts, tuple(parts)))
    return tuple(found)


def _known(run: NamedCell, store: Store) -> tuple[str, Mapping[int, int]]:
    """(what is counted, the length of each sample by its position)."""
    cell = stored_cell(store, run.cell)
    tokens, characters = prompt_tokens(store, cell), question_characters(store, cell)
    if len(tokens) >= len(characters) and len({*tokens.values()}) > 1:
        return f"prompt tokens, as counted for {run.name}", tokens
    return "characters of the question", characters


def divided(found: Iterable[int]) -> list[tuple[int, int]]:
    """The least and greatest length of each part, of lengths in any order.

    There are at most `PARTS`, each of `LEAST` samples or more. They have equal numbers of samples as far as
    no length is in two parts. Fewer samples than `LEAST` make no part.
    """
    ordered = sorted(found)
    count, begin = min(PARTS, len(ordered) // LEAST), 0
    parts: list[tuple[int, int]] = []
    while len(parts) < count and len(ordered) - begin >= LEAST:
        size = max(LEAST, -(-(len(ordered) - begin) // (count - len(parts))))
        end = bisect_right(ordered, ordered[begin + size - 1])
        parts.append((ordered[begin], ordered[end - 1]))
        begin = end
    if parts:  # what is left is too little for a part of its own
        parts[-1] = parts[-1][0], ordered[-1]
    return parts


def _part(bounds: Sequence[tuple[int, int]], length: int) -> int:
    return next(i for i, (_, most) in enumerate(bounds) if length <= most)


def _figures(run: NamedCell, store: Store, placed: Mapping[int, int]) -> dict[int, Group]:
    cell = stored_cell(store, run.cell)
    measured = measure(store, cell, run.cell.metric)
    try:
        metric = measured.usable(store, cell)
    except UsageError:  # the figures of other code cannot be computed for a part
        return {}
    data = store.data(cell)
    found = figures_by(metric, measured.of(data.matrix), data, placed)
    return {
        i: Group(one.value, one.low, one.high, one.n) for i, one in found.items() if one.value is not None
    }


def length_tables(found: Sequence[NamedLengths]) -> Iterator[Tabular]:
    """Yields a table of the parts for each run and benchmark."""
    for one in found:
        cell, least = one.run.cell, one.run.cell.measured.decimals
        rows = ((part.words, *_cells(part.figure, cell.unit, least)) for part in one.parts)
        headings = ("length", "value", "95 % interval", "n")
        title = f"{one.run.name} on {named(cell)} by length"
        yield number_table(title, headings, rows, f"Lengths are {one.counts}.")


def _cells(figure: Group | None, unit: str, least: int) -> tuple[str, str, str]:
    if figure is None:
        return "—", "—", "0"
    between = interval_text(figure.low, figure.high, least)
    return value_text(figure, unit, least), between or "—", f"{figure.n:,}"
