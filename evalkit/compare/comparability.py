"""Checks whether two cells can be compared: how their requests differ, and which samples are missing.

Samples are matched by their id. Their references, choices and requests must be the same too. If samples are
missing from head because its run is not finished or because of `--limit`, head is incomplete. If nothing
explains why only one of the runs has some samples, the data was edited, which is a difference. Failed samples
count as missing and not as a difference. Samples that only head has are allowed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from evalkit.compare.paired import Overlap, overlap
from evalkit.compare.policy import Terms
from evalkit.compare.verdicts import INCOMPLETE, Problem
from evalkit.errors import counted
from evalkit.runfile.cells import TableCell
from evalkit.runfile.records import CellData, occurrences

_NAMED = 3
"""Maximum number of differing samples that a message names."""
_BESIDES = ("n", "questions", "prompts", "validation")
"""Parts of a signature that missing samples change too. They are compared sample by sample instead."""


@dataclass(frozen=True, slots=True)
class Side:
    """One run's cell of a benchmark. `validation`: the samples that its threshold was chosen on, if any."""

    name: str
    figure: TableCell
    data: CellData
    validation: CellData | None

    @property
    def asked(self) -> int:
        return len(self.data.ids)

    @property
    def unfinished(self) -> bool:
        return bool(self.figure.completeness.unfinished)

    @property
    def limit(self) -> int | None:
        """The run's `--limit`; None if it left no samples out."""
        whole = self.figure.completeness
        return None if whole.limit is None or whole.asked == whole.records else whole.limit

    def reaches(self, other: Side) -> bool:
        """Whether this side would have all of `other`'s samples if both runs had the same data."""
        return not self.unfinished and (self.limit is None or self.asked >= other.asked)


@dataclass(slots=True)
class Check:
    """The result of `check`.

    `differences`: messages about what the runs asked differently. `problems`: what is incomplete.
    """

    differences: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def check(base: Side, head: Side, terms: Terms) -> Check:
    """Returns how two cells of one benchmark and metric differ, except for the prompts of their samples."""
    old, new = (side.figure.signature.without(_BESIDES) for side in (base, head))
    found = Check(old.differences(new))
    shared = overlap(base.data, head.data)
    for side in (base, head):
        if side.unfinished:
            words = f"{side.name} is {side.figure.completeness.unfinished}"
            fix = "Run it again with the same output to finish it"
            if side.figure.completeness.shard:
                fix = "Merge it with the other shards: evalkit merge"
            found.problems.append(Problem(INCOMPLETE, words, fix))
        _add_failed(found, side, side.data, "sample")
    _add_edits(found, shared)
    if shared.only_base:
        _add_missing(found, base, head, shared, terms)
    if base.validation is not None and head.validation is not None:
        for side in (base, head):
            _add_failed(found, side, side.validation, "validation sample")
        found.differences += _validated(base.validation, head.validation)
    return found


def named(samples: Sequence[str]) -> str:
    """Returns the ids of the first few samples."""
    more = f" and {len(samples) - _NAMED} more" if len(samples) > _NAMED else ""
    return ", ".join(samples[:_NAMED]) + more


def prompts_differ(samples: Sequence[str], common: int) -> list[str]:
    """Returns a message if some samples have different requests."""
    if not samples:
        return []
    return [f"the prompts differ for {len(samples)} of {common} common samples: {named(samples)}"]


def _add_failed(found: Check, side: Side, data: CellData | None, what: str) -> None:
    failed = data.outcomes.count("failed") if data is not None else 0
    if failed:
        words = f"{counted(failed, what)} of {side.name} failed"
        found.problems.append(Problem(INCOMPLETE, words, "Run it again with the same output to retry them"))


def _add_edits(found: Check, shared: Overlap) -> None:
    if edited := shared.other_questions:
        words = f"the references or choices of {len(edited)} of {shared.common} common samples"
        found.differences.append(f"{words}: {named(edited)}")


def _add_missing(found: Check, base: Side, head: Side, shared: Overlap, terms: Terms) -> None:
    lost, new = shared.only_base, shared.only_head
    of_base = f"of base's {base.asked} samples"
    if new and (head.reaches(base) or base.reaches(head)):
        found.differences.append(
            f"the questions: {len(lost)} {of_base} are not in head ({named(lost)}), and {len(new)} of head's "
            f"{head.asked} are not in base ({named(new)})"
        )
    if terms.allow_subset or head.unfinished:
        return
    if not head.reaches(base):
        why = f" (--limit {head.limit})" if head.limit is not None else ""
        fix = "Run it without --limit, or compare with --allow-subset"
        words = f"head has only {shared.common} {of_base}{why}"
        found.problems.append(Problem(INCOMPLETE, words, fix))
    elif not new:
        found.differences.append(
            f"the questions: {len(lost)} {of_base} are not in head's data ({named(lost)})"
        )


def _validated(base: CellData, head: CellData) -> Iterable[str]:
    """Yields how the samples that a threshold was chosen on differ, without failed ones."""
    shared = overlap(base, head)
    before, after = (
        {
            sample: asked
            for sample, asked, outcome in zip(occurrences(data.ids), data.asked, data.outcomes, strict=True)
            if outcome != "failed"
        }
        for data in (base, head)
    )
    unlike = [key[0] for key in before if key in after and before[key] != after[key]]
    changed = dict.fromkeys((*shared.only_base, *shared.only_head, *shared.other_questions, *unlike))
    if changed:
        words = f"{len(changed)} validation samples differ: {named(list(changed))}"
        yield f"the samples that the threshold was chosen on: {words}"
