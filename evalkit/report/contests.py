"""The runs of a report against each other: samples won and lost on each benchmark, with p, in one table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING

from evalkit.compare.verdicts import p_text
from evalkit.report.layout import Key, headlines
from evalkit.report.significance import ALPHA
from evalkit.report.tabular import Column, Conclusion, Style, Tabular, TabularCell, TabularRow

if TYPE_CHECKING:
    from evalkit.report.grid import Grid, GridCell
    from evalkit.report.table import Table

_PAIRS = 3
"""The highest number of pairs of runs in the table; with more, each run is only set against the first."""
EXPLAINED = (
    "won:lost: the samples on which the first-named run is better and worse than the other, of those that "
    "both judged; p: of the difference of their figures, not corrected for the number of rows; ✓ better, "
    f"✗ worse, with p < {ALPHA}"
)
_ONLY_FIRST = "every run against the first one; --format json has every pair"
_SIGNS: dict[str, tuple[str, Style]] = {"better": (" ✓", "good"), "worse": (" ✗", "bad"), "": ("", "")}

Pair = tuple[str, str]
"""The names of two runs, (base, head), in the order of the columns."""


def contest_table(grids: Sequence[Grid], table: Table) -> Tabular | None:
    """One row for each benchmark that two comparable runs have, by its headline; one column for each pair.

    The conclusion counts the benchmarks on which each run is better or worse than the first. None if no two
    runs are comparable.
    """
    found = _headline_cells(grids, table)
    every = (column.name for grid in grids for column in grid.columns if column.kind == "run")
    runs = list(dict.fromkeys(every))
    pairs = list(combinations(runs, 2))
    if only_first := len(pairs) > _PAIRS:
        pairs = pairs[: len(runs) - 1]
    rows = {
        key: cells
        for key, cells in found.items()
        if any(head in cells and base in cells[head].against for base, head in pairs)
    }
    if not rows:
        return None
    return Tabular(
        "Samples won and lost",
        (Column("benchmark"), *(Column(f"{head} against {base}", "compared") for base, head in pairs)),
        tuple(
            TabularRow((TabularCell(f"{task}:{protocol}"), *(_outcome(cells, pair) for pair in pairs)))
            for (task, protocol, _), cells in rows.items()
        ),
        remarks=(EXPLAINED, *([_ONLY_FIRST] if only_first else [])),
        conclusion=_conclusion(runs, list(rows.values())),
    )


def _headline_cells(grids: Sequence[Grid], table: Table) -> dict[Key, dict[str, GridCell]]:
    """The runs' cells with the headline of each benchmark, by the run's name; each benchmark once."""
    wanted = {cell.row for cell in headlines(table.cells)}
    found: dict[Key, dict[str, GridCell]] = {}
    for grid in grids:
        for row in grid.rows:
            for column, cell in zip(grid.columns, row.cells, strict=True):
                if cell.against and cell.cell and cell.cell.row in wanted:
                    found.setdefault(cell.cell.row, {}).setdefault(column.name, cell)
    return found


def _outcome(cells: dict[str, GridCell], pair: Pair) -> TabularCell:
    base, head = pair
    if head not in cells or base not in cells[head].against:
        return TabularCell("not comparable", "empty")
    contest = cells[head].against[base]
    sign, style = _SIGNS[contest.verdict]
    p = "" if math.isnan(contest.p) else f", p {p_text(contest.p).removeprefix('= ')}"
    return TabularCell(f"{contest.won}:{contest.lost}{p}{sign}", "compared", style=style)


def _conclusion(runs: Sequence[str], rows: Sequence[dict[str, GridCell]]) -> Conclusion:
    """How many benchmarks each run is better and worse on than the first run."""
    base, *heads = runs
    clauses, every = [], []
    for head in heads:
        contests = (row[head].against.get(base) for row in rows if head in row)
        verdicts = [contest.verdict for contest in contests if contest]
        every += verdicts
        better, worse = verdicts.count("better"), verdicts.count("worse")
        left = len(verdicts) - better - worse
        clauses.append(f"{head} {better} better, {worse} worse, {left} undecided")
    style: Style = "bad" if "worse" in every else "good" if "better" in every else "doubt"
    return Conclusion(f"benchmarks against {base}: {'; '.join(clauses)}", style, unbroken=False)
