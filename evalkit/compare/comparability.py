"""Whether two cells asked the same, and all of it: what differs between them, and what is missing.

A sample is the same by its id; its references and choices, and the requests that were made for it, have to be
the same too. Samples that only one of the two runs has are explained where they can be: by a run that is not
finished, or by `--limit`, head is incomplete; else the data were edited, and another thing was asked. Samples
that failed say nothing about the others: they are missing, and no difference. What head has beyond base is
no fault.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from evalkit.compare.paired import Overlap, overlap
from evalkit.compare.policy import Terms
from evalkit.compare.verdicts import INCOMPLETE, Problem
from evalkit.runfile.cells import TableCell
from evalkit.runfile.records import CellData

_NAMED = 3
"""Samples that are named of those that differ."""
_BESIDES = ("n", "questions", "prompts", "validation")
"""Parts of a signature that samples which are missing change too; they are compared sample by sample."""


@dataclass(frozen=True, slots=True)
class Side:
    """A run's cell of a benchmark. `validation`: the samples that its threshold was chosen on, if any."""

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
        """`--limit`, where there were more samples."""
        whole = self.figure.completeness
        return None if whole.limit is None or whole.asked == whole.records else whole.limit

    def reaches(self, other: Side) -> bool:
        """Whether it would hold all of `other`'s samples if both were asked of the same data."""
        return not self.unfinished and (self.limit is None or self.asked >= other.asked)


@dataclass(slots=True)
class Check:
    """`differences`: what was not asked alike, in words. `problems`: what is incomplete."""

    differences: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def check(base: Side, head: Side, terms: Terms) -> Check:
    """What differs between two cells of one benchmark and metric, but for the prompts of their samples."""
    old, new = (side.figure.signature.without(_BESIDES) for side in (base, head))
    found = Check(old.differences(new))
    shared = overlap(base.data, head.data)
    for side in (base, head):
        if side.unfinished:
            words = f"{side.name} is {side.figure.completeness.unfinished}"
            found.problems.append(
                Problem(INCOMPLETE, words, "Run it again with the same output to finish it")
            )
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
    """A few of them by id."""
    more = f" and {len(samples) - _NAMED} more" if len(samples) > _NAMED else ""
    return ", ".join(samples[:_NAMED]) + more


def prompts_differ(samples: Sequence[str], common: int) -> list[str]:
    """The difference in words, if any samples were sent other requests."""
    if not samples:
        return []
    return [f"another prompt was sent for {len(samples)} of {common} common samples: {named(samples)}"]


def _add_failed(found: Check, side: Side, data: CellData | None, what: str) -> None:
    failed = data.outcomes.count("failed") if data is not None else 0
    if failed:
        words = f"{failed} {what}{'' if failed == 1 else 's'} of {side.name} failed"
        found.problems.append(
            Problem(INCOMPLETE, words, "Run it again with the same output to ask them again")
        )


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
        fix = "Run it whole, or compare with --allow-subset"
        words = f"head has only {shared.common} {of_base}{why}"
        found.problems.append(Problem(INCOMPLETE, words, fix))
    elif not new:
        found.differences.append(
            f"the questions: {len(lost)} {of_base} are not in head's data ({named(lost)})"
        )


def _validated(base: CellData, head: CellData) -> Iterable[str]:
    """How the samples differ that a threshold was chosen on, those that failed aside."""
    shared = overlap(base, head)
    before, after = (
        {
            sample: asked
            for sample, asked, outcome in zip(data.ids, data.asked, data.outcomes, strict=True)
            if outcome != "failed"
        }
        for data in (base, head)
    )
    unlike = [sample for sample in before if sample in after and before[sample] != after[sample]]
    changed = dict.fromkeys((*shared.only_base, *shared.only_head, *shared.other_questions, *unlike))
    if changed:
        words = f"{len(changed)} validation samples differ: {named(list(changed))}"
        yield f"what the threshold was chosen on: {words}"
