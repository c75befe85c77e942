"""Whether a cell is of the whole benchmark: one rule for tables, comparisons, exports and pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evalkit.rows import Cell
from evalkit.store import Store
from evalkit.tallies import group_counts

SMALL_SETS = "small sets"
"""`kind` of the data that comes with evalkit, for trying it out."""
SMALL = "evalkit's own small set, not the benchmark: comparable with no printed figure"


@dataclass(frozen=True, slots=True)
class Completeness:
    """`asked`: samples in the run file, failed ones included. `records`: how many the data had, where known.

    `finished`: whether the run has come to the end of its data, or of `limit`. `size`: samples of the
    benchmark itself, as its authors count them, and `groups`: (asked, size) of each of its groups where these
    differ. None and empty where the task does not say.
    """

    asked: int
    records: int | None
    finished: bool
    limit: int | None
    small: bool
    size: int | None
    groups: Mapping[str, tuple[int, int]]

    @property
    def unfinished(self) -> str:
        """`unfinished, 329 of 2,750 samples`; "" for a run that came to its end."""
        if self.finished:
            return ""
        return f"unfinished, {self.asked:,} of {self._wanted} samples"

    @property
    def _wanted(self) -> str:
        wanted = min((n for n in (self.limit, self.records) if n is not None), default=None)
        return "nobody knows how many" if wanted is None else f"{wanted:,}"

    @property
    def part(self) -> str:
        """What a finished run is of, where it is not the benchmark: less of it, or more; "" where it is."""
        whole = self.records if self.size is None or self.small else self.size
        if self.limit is not None and self.asked != whole:
            of = "all" if whole is None else f"{whole:,}"
            return f"a part: {self.asked:,} of {of} samples (--limit {self.limit})"
        if self.small:
            return SMALL
        if self.size is not None and self.asked != self.size:
            verb = "a part" if self.asked < self.size else "more than the benchmark"
            return f"{verb}: {self.asked:,} samples, and the benchmark has {self.size:,}{self._lacking()}"
        if self.groups:
            name, (asked, size) = next(iter(self.groups.items()))
            return f"not the benchmark's samples: {asked:,} of {name}, which has {size:,}"
        return ""

    def _lacking(self) -> str:
        absent = [name for name, (asked, _) in self.groups.items() if not asked]
        return f" ({len(absent)} of its groups are absent)" if absent else ""


def completeness(store: Store, cell: Cell) -> Completeness:
    """How complete `cell` is."""
    spec = cell.spec
    counts = group_counts(store, cell)
    asked = sum(counts.values())
    return Completeness(
        asked=asked,
        records=spec.records,
        finished=cell.finished is not None and asked >= cell.finished,
        limit=spec.limit,
        small=spec.data.get("kind") == SMALL_SETS,
        size=spec.size,
        groups={
            name: (counts.get(name, 0), size)
            for name, size in spec.group_sizes.items()
            if counts.get(name, 0) != size
        },
    )
