"""Figures that are not in a run file: means over chosen groups, ratios to and differences from another run.

They are computed from the stored statistics of the samples. If one cannot be computed, the functions return
the reason as a text instead.
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
from evalkit.runfile.heat import Group
from evalkit.runfile.measured import measure

if TYPE_CHECKING:
    from evalkit.report.paper import Comparing, PaperRow
    from evalkit.runfile.cells import TableCell
    from evalkit.runfile.store import Store

NO_CODE = "the code of its metric is not available: name its file with --task-file"
NO_COMMON = "the two runs have no judged sample in common"


def figure_of(row: PaperRow | None, store: Store, cell: TableCell) -> TableCell | Group | str | None:
    """The figure of `cell` that `row` asks for: its own, a group's or tag's, or a mean over groups.

    Returns None if no sample of the group was judged, and the reason as a text if there is no mean.
    """
    if row is not None and row.group:
        return cell.groups.get(row.group)
    return macro(store, cell, row.macro) if row is not None and row.macro else cell


def macro(store: Store, cell: TableCell, groups: Sequence[str]) -> Group | str:
    """The unweighted mean of the figures of `groups`, with its interval.

    Returns the reason as a text if a group has no figure: a mean over fewer groups is a different figure.
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
        return f"no figure for {', '.join(missing)}, which the mean includes"
    if not values:
        return "its samples have no groups"
    parts = [(matrix[of], [clusters[i] for i in of]) for of in rows.values()]
    low, high = aggregate.macro_interval(parts) or (None, None)
    return Group(sum(values.values()) / len(values), low, high, sum(map(len, rows.values())))


def compared(
    kind: Comparing, base: tuple[Store, TableCell], head: tuple[Store, TableCell], row: PaperRow | None
) -> Group | str:
    """The ratio of head's figure to base's, or their difference, for `row`, on the common judged samples.

    Its interval is that of a paired comparison: both figures are resampled together. The caller must have
    checked that the two figures are comparable. Returns the reason as a text if there is no such figure.
    """
    from evalkit.stats import paired_ratio
    from evalkit.stats.aggregates import Sums, aggregate_of

    stores = [(store, stored_cell(store, cell)) for store, cell in (base, head)]
    try:
        both = common(*stores[0], *stores[1], head[1].metric)
    except UsageError:
        return NO_CODE
    chosen = of_row(both, row, {*head[0].data(stores[1][1]).groups}) if both else NO_COMMON
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
        return f"{head[1].metric} is not computed from sums over samples, so it has no ratio"
    ratio = paired_ratio(found.base, found.head, sums.finish, clusters, groups=groups, scale=sums.scale)
    if ratio is None:
        return f"the figure of {base[1].model} is not above 0, so there is no ratio to it"
    return Group(ratio.value, ratio.low, ratio.high, n)


def compared_text(kind: Comparing, figure: Group) -> str:
    """`0.84`, `+2.3`: a ratio has at least two decimals, a difference has its sign."""
    digits = decimals(figure.low, figure.high)
    if kind == "ratio":
        return f"{figure.value:.{max(2, digits)}f}"
    return f"{figure.value:+.{digits}f}"


def of_row(
    both: Common, row: PaperRow | None, every: Collection[str]
) -> tuple[Common, list[str] | None] | str:
    """(the samples of a printed row, their groups if the figure is a mean over groups), or a reason.

    The reason, a text, says why there are no such samples. `every`: all groups of the benchmark, including
    those without a judged sample.
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
        # If the metric is a mean over groups, a tag's figure is such a mean too; a group's is of its samples.
        return (found, found.groups if average and tagged else None) if rows else NO_COMMON
    return both, both.groups if average else None
