"""Finds the best figure of a row, and counts the samples that one run won and lost against another."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Literal

from evalkit.compare.paired import pair
from evalkit.errors import UsageError

if TYPE_CHECKING:
    from evalkit.report.grid import GridCell
    from evalkit.runfile.cells import TableCell
    from evalkit.runfile.store import Cell, Store
    from evalkit.stats import Difference

ALPHA = 0.05
EXPLAINED = (
    "bold or *: best in its row, that is, better than every figure that it is comparable with: than another "
    "run's figure with p < 0.05 on common samples; a printed figure has no samples, so it must lie outside "
    "the run's 95 % interval, and is never marked as best itself"
)


@dataclass(frozen=True, slots=True)
class HeadToHead:
    """Two runs on their common samples: how many the first won and lost, and the p of the difference.

    `p`: NaN if there are too few clusters or groups for one. `gain`: by how much the first run's figure is
    better than the second's, in the figure's unit.
    """

    won: int
    lost: int
    p: float
    gain: float = 0.0

    @property
    def verdict(self) -> Literal["better", "worse", ""]:
        """Whether the first run is better or worse with p < `ALPHA`; "" if neither."""
        if not self.p < ALPHA or not self.gain:
            return ""
        return "better" if self.gain > 0 else "worse"

    def turned(self) -> HeadToHead:
        return HeadToHead(self.lost, self.won, self.p, -self.gain)


def head_to_heads(found: Mapping[int, tuple[Store, TableCell]]) -> dict[tuple[int, int], HeadToHead]:
    """Compares every two of the runs. The keys are pairs of columns, in both orders.

    Pairs without a common sample are left out, and so are figures whose metric's code is not available.
    """
    result = {}
    for (i, (store, cell)), (j, (other, against)) in combinations(found.items(), 2):
        mine, theirs = stored_cell(store, cell), stored_cell(other, against)
        try:
            paired = pair(other, theirs, store, mine, cell.metric)
        except UsageError:  # the metric's code is not available: the table is made without this pair
            continue
        if paired is not None:
            found_p = paired.difference.p if math.isfinite(paired.difference.error) else math.nan
            one = HeadToHead(paired.wins, paired.losses, found_p, _gain(paired.difference, cell))
            result[i, j], result[j, i] = one, one.turned()
    return result


def _gain(difference: Difference, cell: TableCell) -> float:
    """By how much the head of the difference is better than its base."""
    target = cell.traits.best
    if target is not None:
        return abs(difference.base - target) - abs(difference.head - target)
    return difference.value if cell.higher_is_better else -difference.value


def best(
    cells: Sequence[GridCell],
    higher_is_better: bool,
    contests: Mapping[tuple[int, int], HeadToHead],
    target: float | None = None,
) -> int | None:
    """The position of the best figure in a row; None if no figure is clearly better than all others.

    Only a run's figure of the whole benchmark can be best, and only if the row has at least two comparable
    figures. It must differ significantly from every other run's: p < `ALPHA` on common samples, or, without
    an entry in `contests`, as for groups, intervals that do not overlap. Printed figures must lie outside its
    interval. The tests are not corrected for the number of rows. `target`: the best value, if there is one;
    figures are then compared by their distance from it.
    """
    if target is not None:
        cells, higher_is_better = [_distance(cell, target) for cell in cells], False
    sign = 1 if higher_is_better else -1
    shown = {i: cell for i, cell in enumerate(cells) if cell.comparable and cell.value is not None}
    top = max(shown, key=lambda i: sign * (shown[i].value or 0.0), default=None)
    if top is None or len(shown) < 2:
        return None
    cell = shown[top].cell
    if cell is None or cell.completeness.lacking:
        return None
    for i, other in shown.items():
        contest = contests.get((top, i))
        if i != top and not (contest.p < ALPHA if contest else _apart(shown[top], other, sign)):
            return None
    return top


def _distance(cell: GridCell, target: float) -> GridCell:
    """The cell with the distances from `target` in place of its value and interval."""
    if cell.value is None:
        return cell
    value = abs(cell.value - target)
    if cell.low is None or cell.high is None:
        return dataclasses.replace(cell, value=value)
    near, far = sorted((abs(cell.low - target), abs(cell.high - target)))
    near = 0.0 if cell.low <= target <= cell.high else near
    return dataclasses.replace(cell, value=value, low=near, high=far)


def _apart(top: GridCell, other: GridCell, sign: int) -> bool:
    """Whether the whole interval of `top` is better than that of `other`, or than a bare printed value."""
    worst = top.low if sign > 0 else top.high
    reached = other.high if sign > 0 else other.low
    reached = other.value if reached is None and other.kind == "printed" else reached
    return worst is not None and reached is not None and sign * (worst - reached) > 0


def stored_cell(store: Store, cell: TableCell) -> Cell:
    """The cell of the run file that a table's cell was read from."""
    wanted = (cell.task, cell.spec.protocol.name, "")
    return next(found for found in store.cells() if (found.task, found.protocol, found.role) == wanted)
