"""Figures that no run file holds: means over chosen groups, ratios to and differences from another run.

They are measured from the stored statistics of the samples. Where one cannot be had, the reason is given in
words instead.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from itertools import compress
from typing import TYPE_CHECKING

from evalkit.compare.paired import Common, common, difference_of
from evalkit.errors import UsageError
from evalkit.metrics.base import traits_of
from evalkit.report.digits import decimals
from evalkit.report.paper import ALL_GROUPS
from evalkit.report.significance import stored_cell
from evalkit.runfile.cells import Group
from evalkit.runfile.measured import measure

if TYPE_CHECKING:
    from evalkit.report.paper import Comparing, PaperRow
    from evalkit.runfile.cells import TableCell
    from evalkit.runfile.store import Store

NO_CODE = "the code that measured it is not at hand: name its file with --task-file"
NO_COMMON = "the two runs have no judged sample of it in common"


def figure_of(row: PaperRow | None, store: Store, cell: TableCell) -> TableCell | Group | str | None:
    """The figure of `cell` that `row` is of: its own, a group's or tag's, or a mean over groups.

    None where no sample of the group was judged, in words why there is no mean.
    """
    if row is not None and row.group:
        return cell.groups.get(row.group)
    return macro(store, cell, row.macro) if row is not None and row.macro else cell


def macro(store: Store, cell: TableCell, groups: Sequence[str]) -> Group | str:
    """The mean of the figures of `groups`, each counting the same, with its interval.

    In words why there is none: a mean over fewer groups than it should be over is another figure.
    """
    from evalkit.stats.aggregates import aggregate_of

    stored = stored_cell(store, cell)
    data, measured = store.data(stored), measure(store, stored, cell.metric)
    try:
        metric = measured.usable(store, stored)
    except UsageError:
        return NO_CODE
    names = list(compress(data.groups, data.scored))
    clusters = list(compress(data.clusters, data.scored))
    matrix = measured.of(data.matrix)
    wanted = sorted({*data.groups} - {""}) if tuple(groups) == ALL_GROUPS else groups
    rows = {group: [i for i, name in enumerate(names) if name == group] for group in wanted}
    aggregate = aggregate_of(metric)
    values = {group: aggregate.figure(matrix[of]) for group, of in rows.items() if of}
    if missing := [group for group in wanted if math.isnan(values.get(group, math.nan))]:
        return f"no figure of {', '.join(missing)}, which the mean is over too"
    if not values:
        return "its samples are of no groups"
    parts = [(matrix[of], [clusters[i] for i in of]) for of in rows.values()]
    low, high = aggregate.macro_interval(parts) or (None, None)
    return Group(sum(values.values()) / len(values), low, high, sum(map(len, rows.values())))


def compared(
    kind: Comparing, base: tuple[Store, TableCell], head: tuple[Store, TableCell], row: PaperRow | None
) -> Group | str:
    """The ratio of head's figure to base's, or the difference, of what `row` is of, on common judged samples.

    With the interval of a paired comparison: both figures are resampled together. Of samples that were asked
    alike only, so the caller looks at that first. In words why there is none.
    """
    from evalkit.stats import paired_ratio
    from evalkit.stats.aggregates import Sums, aggregate_of

    stores = [(store, stored_cell(store, cell)) for store, cell in (base, head)]
    try:
        both = common(*stores[0], *stores[1], head[1].metric)
    except UsageError:
        return NO_CODE
    chosen = _of_row(both, row, {*head[0].data(stores[1][1]).groups}) if both else NO_COMMON
    if isinstance(chosen, str):
        return chosen
    found, groups = chosen
    clusters, n = found.clusters, len(found.ids)
    if kind == "difference":
        apart, _ = difference_of(found.metric, found.base, found.head, clusters, groups)
        if math.isnan(apart.value):
            return NO_COMMON
        known = math.isfinite(apart.error)
        return Group(apart.value, apart.low if known else None, apart.high if known else None, n)
    sums = aggregate_of(found.metric)
    if not isinstance(sums, Sums):
        return f"{head[1].metric} is no figure of sums, and no ratio of it is worked out"
    ratio = paired_ratio(found.base, found.head, sums.finish, clusters, groups=groups, scale=sums.scale)
    if ratio is None:
        return f"{base[1].model} has no figure above 0, and nothing is a ratio to that"
    return Group(ratio.value, ratio.low, ratio.high, n)


def compared_text(kind: Comparing, figure: Group) -> str:
    """`0.84`, `+2.3`: a ratio has two digits after the point at least, a difference its sign."""
    digits = decimals(figure.low, figure.high)
    if kind == "ratio":
        return f"{figure.value:.{max(2, digits)}f}"
    return f"{figure.value:+.{digits}f}"


def _of_row(
    both: Common, row: PaperRow | None, every: Collection[str]
) -> tuple[Common, list[str] | None] | str:
    """(the samples that a printed row is of, their groups where the figure is a mean over these).

    `every`: the groups of the benchmark, those without a judged sample too.
    """
    average = bool(traits_of(both.metric).average)
    if row is not None and row.macro:
        wanted = {*every} - {""} if row.macro == ALL_GROUPS else {*row.macro}
        if missing := sorted(wanted - {*both.groups}):
            return f"{NO_COMMON}: {', '.join(missing)}"
        found = both.only([i for i, group in enumerate(both.groups) if group in wanted])
        return found, found.groups
    if row is not None and row.group:
        tagged = [i for i, tags in enumerate(both.tags) if row.group in tags]
        rows = tagged or [i for i, group in enumerate(both.groups) if group == row.group]
        found = both.only(rows)
        # Under a mean over groups a tag's figure is the mean too, and a group's is that of its samples.
        return (found, found.groups if average and tagged else None) if rows else NO_COMMON
    return both, both.groups if average else None
