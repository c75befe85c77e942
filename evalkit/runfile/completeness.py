"""Decides whether a cell covers the whole benchmark: one rule for tables, comparisons, exports and pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evalkit.errors import counted
from evalkit.runfile.records import SHARD, Cell
from evalkit.runfile.store import Store
from evalkit.runfile.tallies import group_counts, samples_of_all

SMALL_SETS = "small sets"
"""`kind` of the small data sets that come with evalkit."""
SMALL = "evalkit's own small set, not the benchmark: comparable with no printed figure"


@dataclass(frozen=True, slots=True)
class Completeness:
    """How much of a benchmark a cell covers.

    `asked`: samples in the run file, including failed ones. `records`: records in the data, None if unknown.
    `finished`: whether the run has reached the end of its data, or of `limit`. `wanted`: samples planned for
    the run, None if unknown. `by_group`: whether `limit` applies to each group. `size`: samples of the
    benchmark itself, as its authors count them, None if the task does not say. `groups`: (asked, size) of
    each of the benchmark's groups for which these differ, empty if the task does not say. `shard`: `I/N` if
    the file has one shard of the run, which is then not finished: the others lack.
    """

    asked: int
    records: int | None
    finished: bool
    limit: int | None
    small: bool
    size: int | None
    groups: Mapping[str, tuple[int, int]]
    wanted: int | None = None
    by_group: bool = False
    shard: str = ""

    @property
    def whole(self) -> bool:
        """Whether the run covers the whole benchmark, and nothing else."""
        return not self.lacking

    @property
    def lacking(self) -> str:
        """The text that says why the figure is not over the benchmark's samples; "" if it is."""
        return self.unfinished or self.part

    @property
    def unasked(self) -> str:
        """`lacking`, but "" for evalkit's own small sets, all of whose samples were asked."""
        return "" if self.lacking == SMALL else self.lacking

    @property
    def unfinished(self) -> str:
        """A text such as `unfinished, 329 of 2,750 samples`; "" for a finished run."""
        if self.shard:
            of = "" if self.wanted is None else f" of {self.wanted:,}"
            return f"shard {self.shard}: {self.asked:,}{of} samples"
        if self.finished:
            return ""
        if self.wanted is None:
            return f"unfinished, {counted(self.asked, 'sample')}; the total number is not known"
        return f"unfinished, {self.asked:,} of {self.wanted:,} samples"

    @property
    def part(self) -> str:
        """A text that says how a finished run's samples differ from the benchmark's; "" if they do not."""
        if self._cut:
            of = "all" if self.all is None else f"{self.all:,}"
            each = " of each group" if self.by_group else ""
            return f"a part: {self.asked:,} of {of} samples (--limit {self.limit}{each})"
        if self.small:
            return SMALL
        if self.size is not None and self.asked != self.size:
            verb = "a part" if self.asked < self.size else "more than the benchmark"
            samples = counted(self.asked, "sample")
            return f"{verb}: {samples}, and the benchmark has {self.size:,}{self._lacking()}"
        if self.groups:
            name, (asked, size) = next(iter(self.groups.items()))
            return f"not the benchmark's samples: {asked:,} of {name}, which has {size:,}"
        return ""

    @property
    def all(self) -> int | None:
        """How many samples there are, from the task or else from the data; None if unknown."""
        return self.records if self.size is None or self.small else self.size

    @property
    def _cut(self) -> bool:
        """Whether `limit` may have left samples out."""
        if self.limit is None:
            return False
        if self.all is not None:
            return self.asked < self.all
        return self.by_group or self.asked >= self.limit

    def _lacking(self) -> str:
        absent = sum(not asked for asked, _ in self.groups.values())
        return f" ({absent} of its groups {'is' if absent == 1 else 'are'} absent)" if absent else ""


def completeness(store: Store, cell: Cell) -> Completeness:
    """Returns how complete `cell` is."""
    spec = cell.spec
    counts = group_counts(store, cell)
    asked = sum(counts.values())
    shard = str(store.manifest.get(SHARD, ""))
    return Completeness(
        asked=asked,
        records=spec.records,
        finished=cell.finished is not None and asked >= cell.finished and not shard,
        limit=spec.limit,
        small=spec.data.get("kind") == SMALL_SETS,
        size=spec.size,
        groups=other_groups(counts, spec.group_sizes),
        wanted=samples_of_all(store, cell) or spec.wanted,
        by_group=spec.limit_by_group,
        shard=shard,
    )


def other_groups(counts: Mapping[str, int], sizes: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """Returns (asked, size) of the groups with more or fewer samples than they should have.

    A record that gave no sample has no group, so as many samples may be missing from the groups.
    """
    found = {name: (counts.get(name, 0), size) for name, size in sizes.items()}
    lacking = sum(size - asked for asked, size in found.values() if asked < size)
    if lacking <= counts.get("", 0) and all(asked <= size for asked, size in found.values()):
        return {}
    return {name: pair for name, pair in found.items() if pair[0] != pair[1]}
