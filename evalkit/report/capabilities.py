"""Capabilities: the mean of a run's ratios to a base run over a group of benchmarks, as in figure 3.

A member of a group counts for a run if the run and the base have it under one protocol and their signatures
are comparable; its ratio is the run's figure divided by the base's on the samples that both judged. If lower
is better (WER), the ratio is base to run, so that above 1 is always better. A member that does not count is
named with the reason. The means of a group are all over the same members, those that count for every run of
which any counts, because means over different members cannot be compared.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.compare.paired import common
from evalkit.errors import UsageError, unknown
from evalkit.report.comparable import apart
from evalkit.report.derived import NO_CODE, NO_COMMON, of_row
from evalkit.report.grid import BASE_NOT_RUN, NO_TASK, NOT_COMPARABLE, NOT_RUN
from evalkit.report.layout import runs_of
from evalkit.report.significance import stored_cell
from evalkit.report.table import signature_line
from evalkit.reports import reserved
from evalkit.runfile.heat import Group

if TYPE_CHECKING:
    from evalkit.report.layout import RunColumn
    from evalkit.report.paper import Capabilities, Member
    from evalkit.report.table import Table
    from evalkit.runfile.cells import TableCell
    from evalkit.runfile.store import Store
    from evalkit.samples import JSON
    from evalkit.stats import MeanRatio, RatioDraws

ZERO = "base is 0"
NO_RATIO = "no ratio"
"""Why a member has no ratio, with `NOT_RUN` and the other texts of empty cells."""
NO_INTERVAL = (
    "no interval, and so none of the mean: the member, or a group of it, is a single cluster, or its samples "
    "show no difference, or the base may be 0"
)


@dataclass(frozen=True, slots=True)
class Ratio:
    """A run's ratio to the base run for one member.

    `figure`: the ratio, its paired interval and the number of common samples; None if there is no ratio, for
    the `reason`, of which `why` are details. `values`: the figures (base, run) on these samples. `cells`: the
    same of the table. `inverted`: whether it is base to run, because lower is better.
    """

    figure: Group | None = None
    reason: str = ""
    why: str = ""
    values: tuple[float, float] | None = None
    cells: tuple[TableCell, TableCell] | None = None
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class Capability:
    """A group. `ratios`: by run, one for each member; `means`: by run, None for a run without one.

    `common`: the members that the means are over.
    """

    name: str
    members: tuple[Member, ...]
    ratios: Mapping[str, tuple[Ratio, ...]]
    means: Mapping[str, MeanRatio | None]
    common: tuple[Member, ...]

    def counted(self, run: str) -> list[str]:
        """The names of the members that a run's mean is over."""
        return [one.name for one in self.common] if self.means[run] else []

    @property
    def uncommon(self) -> list[str]:
        """The names of the members that have a ratio for some run, and are in no mean."""
        return [
            member.name
            for at, member in enumerate(self.members)
            if member not in self.common and any(ratios[at].figure for ratios in self.ratios.values())
        ]


@dataclass(frozen=True, slots=True)
class View:
    """All capabilities. `base`, `runs`: names of the runs. `source`: where the groups are from."""

    title: str
    source: str
    base: str
    runs: tuple[str, ...]
    groups: tuple[Capability, ...]
    notes: tuple[str, ...]
    signatures: tuple[str, ...]
    numbers: Mapping[str, int]
    """The number of each of `notes`."""
    table_notes: tuple[str, ...]
    """The notes that the marks of the runs' figures refer to."""

    def as_json(self) -> dict[str, JSON]:
        return {
            "base": self.base,
            "groups": self.source,
            "capabilities": [
                {
                    "name": group.name,
                    "members": [dataclasses.asdict(one) for one in group.members],
                    "runs": [_run_json(group, run) for run in self.runs],
                }
                for group in self.groups
            ],
        }


def capabilities_of(
    stores: Sequence[Store], table: Table, groups: Capabilities, source: str, relative_to: str = ""
) -> View:
    """The view of `stores`, of which `build_table` made `table`. `relative_to`: the base; default: the first.

    Raises `UsageError` if there is no second run, no such base, or no group of which a run has a member.
    """
    runs = runs_of(stores, table)
    names = [run.name for run in runs]
    if relative_to and relative_to not in names:
        raise unknown("base run", relative_to, names)
    base = runs[names.index(relative_to)] if relative_to else runs[0]
    heads = [run for run in runs if run is not base]
    if not heads:
        raise UsageError("--capabilities compares runs with a base run: give at least two run files")
    found = [_capability(name, members, base, heads) for name, members in groups.items()]
    shown = [one for one in found if any(ratio.cells for of in one.ratios.values() for ratio in of)]
    if not shown:
        raise UsageError(f"no run has a benchmark of the capabilities of {source} that {base.name} has too")
    cells = [ratio.cells for one in shown for of in one.ratios.values() for ratio in of if ratio.cells]
    notes = dict.fromkeys(
        [ratio.why for one in shown for of in one.ratios.values() for ratio in of if ratio.why]
        + [table.notes[mark - 1] for pair in cells for cell in pair for mark in cell.marks]
    )
    return View(
        title=f"Capabilities, relative to {base.name}",
        source=source,
        base=base.name,
        runs=tuple(run.name for run in heads),
        groups=tuple(shown),
        notes=tuple(notes),
        signatures=tuple(dict.fromkeys(signature_line(cell) for pair in cells for cell in pair)),
        numbers={note: number for number, note in enumerate(notes, 1)},
        table_notes=tuple(table.notes),
    )


def _capability(
    name: str, members: tuple[Member, ...], base: RunColumn, heads: Sequence[RunColumn]
) -> Capability:
    from evalkit.stats import mean_ratio

    found = {
        head.name: [_ratio(member, base, head, number) for number, member in enumerate(members)]
        for head in heads
    }
    ratios = {run: tuple(ratio for ratio, _ in of) for run, of in found.items()}
    able = {run: [draws for _, draws in of] for run, of in found.items() if any(draws for _, draws in of)}
    common = [at for at in range(len(members)) if able and all(draws[at] for draws in able.values())]
    means: dict[str, MeanRatio | None] = dict.fromkeys(found)
    for run, draws in able.items() if common else ():
        means[run] = mean_ratio([one for at in common if (one := draws[at])])
    return Capability(name, members, ratios, means, tuple(members[at] for at in common))


def _ratio(member: Member, base: RunColumn, head: RunColumn, seed: int) -> tuple[Ratio, RatioDraws | None]:
    """The ratio for a member, with its draws if there is one. `seed`: one of its own in its group."""
    if member.missing:
        return Ratio(reason=member.missing), None
    mine, theirs = list(_figures(member, base)), list(_figures(member, head))
    if not mine or not theirs:
        kept = member.task in reserved() and not (mine or theirs)
        return Ratio(reason=NO_TASK if kept else BASE_NOT_RUN if theirs else NOT_RUN), None
    both = {cell.row: cell for cell in theirs}
    pairs = [(cell, both[cell.row]) for cell in mine if cell.row in both]
    if not pairs:
        here, there = (", ".join(dict.fromkeys(cell.protocol for cell in of)) for of in (theirs, mine))
        why = f"{member.name}: {head.name} has {here}, {base.name} has {there}"
        return Ratio(reason=NOT_COMPARABLE, why=why), None
    pair = next((one for one in pairs if not apart(*one)), pairs[0])
    if differences := apart(*pair):
        why = f"{member.name}: {head.name} is not comparable with {base.name}; {'; '.join(differences)}"
        return Ratio(reason=NOT_COMPARABLE, why=why, cells=pair), None
    return _computed(member, base, head, pair, seed)


def _figures(member: Member, run: RunColumn) -> Iterator[TableCell]:
    """Yields the run's figures that a member may be about: one for each protocol."""
    done = set()
    for cell in run.cells.values():
        if cell.task != member.task or (member.protocols and cell.row[1] not in member.protocols):
            continue
        wanted = cell.metric == member.measure if member.measure else cell.row[1] not in done
        done.add(cell.row[1])
        if wanted:
            yield cell


def _computed(
    member: Member, base: RunColumn, head: RunColumn, cells: tuple[TableCell, TableCell], seed: int
) -> tuple[Ratio, RatioDraws | None]:
    from evalkit.stats import Pair, mean_ratio, ratio_draws
    from evalkit.stats.aggregates import Sums, aggregate_of

    def without(reason: str, why: str = "") -> tuple[Ratio, None]:
        return Ratio(reason=reason, why=f"{member.name}: {why}" if why else "", cells=cells), None

    if cells[0].traits.best is not None:
        return without(NO_RATIO, f"the best value of {cells[0].metric} is neither the highest nor the lowest")
    (store, mine), (other, theirs) = (
        (owner := run.store_of(cell), stored_cell(owner, cell))
        for run, cell in zip((base, head), cells, strict=True)
    )
    try:
        both = common(store, mine, other, theirs, cells[0].metric)
    except UsageError:
        return without(NO_RATIO, NO_CODE)
    chosen = of_row(both, member.row, {*store.data(mine).groups}) if both else NO_COMMON
    if isinstance(chosen, str):
        return without(NO_RATIO, chosen)
    found, groups = chosen
    sums = aggregate_of(found.metric)
    if not isinstance(sums, Sums):
        return without(NO_RATIO, f"{cells[0].metric} is not computed from sums over samples")
    inverted = not cells[0].higher_is_better
    pair = Pair(found.base, found.head, sums.finish, found.clusters, groups, sums.scale, inverted)
    drawn = ratio_draws(pair, seed)
    if drawn is None:
        return without(NO_RATIO if inverted else ZERO, "the figure to divide by is not above 0")
    mean = mean_ratio([drawn])
    figure = Group(mean.value, mean.low, mean.high, len(found.ids))
    why = NO_INTERVAL if mean.low is None else ""
    return Ratio(figure, "", why, pair.figures, cells, inverted), drawn


def _run_json(group: Capability, run: str) -> dict[str, JSON]:
    mean = group.means[run]
    return {
        "run": run,
        "value": mean.value if mean else None,
        "low": mean.low if mean else None,
        "high": mean.high if mean else None,
        "counted": list(group.counted(run)),
        "missing": len(group.members) - len(group.counted(run)),
        "members": [
            {
                "name": member.name,
                "value": ratio.figure.value if ratio.figure else None,
                "low": ratio.figure.low if ratio.figure else None,
                "high": ratio.figure.high if ratio.figure else None,
                "n": ratio.figure.n if ratio.figure else None,
                "figures": list(ratio.values) if ratio.values else None,
                "inverted": ratio.inverted,
                "protocol": ratio.cells[1].protocol if ratio.cells else "",
                "metric": ratio.cells[1].metric if ratio.cells else "",
                "reason": ratio.reason,
                "why": ratio.why,
                "signature": ratio.cells[1].signature.short if ratio.cells else None,
            }
            for member, ratio in zip(group.members, group.ratios[run], strict=True)
        ],
    }
