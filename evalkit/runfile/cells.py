"""The figures of a run, read from its file: each with its interval, outcomes, signature and completeness."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from evalkit.benchmark.signature import Signature, combine
from evalkit.benchmark.spec import CellSpec
from evalkit.metrics.base import Traits
from evalkit.metrics.spec import MetricSpec
from evalkit.runfile.completeness import Completeness, completeness
from evalkit.runfile.figures import WHOLE, figures
from evalkit.runfile.measured import Measure, measures, other_code
from evalkit.runfile.records import (
    ANSWERED,
    COUNTED,
    FAILED,
    VALIDATION,
    Cell,
    CellData,
    StoredFigure,
    natural,
    told_outcomes,
)
from evalkit.runfile.store import Store
from evalkit.runfile.tallies import clip_seconds, count_details, usage, verification
from evalkit.samples import JSON

_BY_SAMPLE = ("questions", "prompts", "validation")
"""Parts of a signature that are made of all samples."""


@dataclass(frozen=True, slots=True)
class Group:
    """A figure over the samples of one group or tag. `value`, `low`, `high` in the cell's unit.

    Without an interval (None) where they are all of one cluster.
    """

    value: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, slots=True)
class TableCell:
    """One figure. `value`, `low`, `high` in `unit`, None when no sample was judged.

    `n`: judged samples, which the value is over, or what the metric counts in them (`counted`). `outcomes`:
    samples by outcome, failed ones included. `low`, `high` are None too where everything is of one cluster.
    `marks`: numbers of the table's notes that belong to it.
    """

    spec: CellSpec
    measured: MetricSpec
    model: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    outcomes: dict[str, int]
    groups: dict[str, Group]
    """By group and then by tag, each in natural order."""
    signature: Signature
    tokens: tuple[int, int]
    """(prompt, completion) tokens as the endpoint counted them."""
    found: Mapping[str, Any]
    """What the run found out for it: a threshold and its validation curve."""
    answered: int
    """Samples with an answer and without a public reference."""
    seconds: float
    """How long the clips are that were played."""
    counts: dict[str, int]
    """Samples that were not asked or read quite as the protocol has it, by what happened; none: left out."""
    completeness: Completeness
    samples: Callable[[], Sequence[CellData]] = field(repr=False, compare=False)
    """Reads its samples from the run file, which has to be open still: those that are scored, then those that
    its threshold was chosen on, if any."""
    stale: tuple[str, ...] = ()
    """Where today's code is not the code that the run used, in words."""
    verification: dict[str, int] | None = None
    """Greedy answers that were `asked` for a second time, and those that `changed`; None: none was to be."""
    marks: tuple[int, ...] = ()

    @property
    def task(self) -> str:
        return self.spec.task

    @property
    def protocol(self) -> str:
        """For people: the name with what was overridden."""
        return self.spec.protocol.label

    @property
    def metric(self) -> str:
        return self.measured.name

    @property
    def variant(self) -> str:
        """The variant or branch that the metric measures, "" for the headline."""
        return self.measured.variant

    @property
    def unit(self) -> str:
        return self.measured.unit

    @property
    def higher_is_better(self) -> bool:
        return self.measured.higher_is_better

    @property
    def traits(self) -> Traits:
        """The metric's own attributes: its average, its best value, which outcomes suit it."""
        return self.measured.traits

    @property
    def counted(self) -> str:
        """What `n` is a number of: samples, or what the metric counts in them, such as instructions."""
        return self.traits.denominator or "samples"

    @property
    def n_text(self) -> str:
        return f"{self.n:,}" if self.counted == "samples" else f"{self.n:,} {self.counted}"

    @property
    def told(self) -> dict[str, int]:
        """Samples by outcome, as suits the metric: right, or only answered."""
        return told_outcomes(self.outcomes, right_or_wrong=self.traits.right_or_wrong)

    def differences(self, other: TableCell) -> list[str]:
        """What keeps the two from being compared, in words, this side first; see `Signature.differences`.

        Samples that failed in either change nothing that was asked of the rest: where there are any, what was
        asked is compared sample by sample, on those that failed in neither.
        """
        mine, theirs = self.signature, other.signature
        found = mine.differences(theirs)
        if found and not mine.without(_BY_SAMPLE).differences(theirs.without(_BY_SAMPLE)):
            pairs = zip(self.samples(), other.samples(), strict=True)
            if all(_asked_alike(one, another) for one, another in pairs):
                return []
        return found

    @property
    def row(self) -> tuple[str, str, str]:
        """Cells of one row answer one question; overrides do not make another row."""
        return (self.task, self.spec.protocol.name, self.metric)

    def as_json(self) -> dict[str, JSON]:
        return {
            "task": self.task,
            "protocol": self.protocol,
            "model": self.model,
            "metric": self.metric,
            "average": self.traits.average,
            "value": self.value,
            "unit": self.unit,
            "low": self.low,
            "high": self.high,
            "n": self.n,
            "counted": self.counted,
            "outcomes": dict(self.outcomes),
            "outcome": self.traits.outcome,
            "signature": {
                "short": self.signature.short,
                "line": self.signature.line(),
                "parts": dict(self.signature.parts),
            },
            "group_values": {name: group.value for name, group in self.groups.items()},
            "groups": {name: dataclasses.asdict(group) for name, group in self.groups.items()},
            "found": dict(self.found),
            "seconds": self.seconds,
            "verification": dict(self.verification) if self.verification else None,
            "tokens": {"prompt": self.tokens[0], "completion": self.tokens[1]},
            "overrides": dict(self.spec.protocol.overrides),
            "data": dict(self.spec.data),
            "records": self.spec.records,
            "limit": self.spec.limit,
            "size": self.spec.size,
            "finished": self.completeness.finished,
            "unfinished": self.completeness.unfinished,
            "part": self.completeness.part,
            "marks": list(self.marks),
            "stale": list(self.stale),
        }


def cells_of(store: Store) -> Iterator[TableCell]:
    """The figures of one run, in its order; a cell's headline metric first."""
    cells = store.cells()
    validations = {(cell.task, cell.protocol): cell for cell in cells if cell.role == VALIDATION}
    for cell in cells:
        if not cell.role:
            yield from _cells(store, cell, validations.get((cell.task, cell.protocol)))


def _cells(store: Store, cell: Cell, calibration: Cell | None) -> Iterator[TableCell]:
    manifest = store.manifest
    read = functools.partial(_read, store, cell, calibration)
    data, *validation = read()
    asked = _asked(data, *validation)
    threshold = {"threshold": cell.found["threshold"]} if "threshold" in cell.found else {}
    notes: dict[str, JSON] = {**threshold, **cell.spec.notes, "evalkit": manifest["evalkit"]}
    used = [usage(store, c) for c in (cell, calibration) if c is not None]
    stored: dict[str, list[StoredFigure]] = {}
    for figure in store.figures(cell):
        stored.setdefault(figure.metric, []).append(figure)
    seconds = clip_seconds(store, cell)
    counts = {key: n for key, n in count_details(store, cell, COUNTED).items() if n}
    whole = completeness(store, cell)
    for measured in measures(store, cell):
        spec = measured.spec
        found = stored.get(spec.name) or _computed(measured, cell, data)
        headline = next((figure for figure in found if figure.group == WHOLE), None)
        counts_own = headline is not None and spec.traits.denominator
        corpus = {"corpus": _corpus(data)} if spec.traits.prepared else {}
        yield TableCell(
            spec=cell.spec,
            measured=spec,
            model=manifest["model"]["name"],
            value=headline.value if headline else None,
            low=headline.low if headline else None,
            high=headline.high if headline else None,
            n=headline.n if headline and counts_own else int(data.scored.sum()),
            outcomes=store.outcomes(cell, spec.variant),
            groups={
                figure.group: Group(figure.value, figure.low, figure.high, figure.n)
                for figure in sorted(found, key=functools.partial(_place, {*data.groups}))
                if figure.group != WHOLE and figure.value is not None
            },
            signature=Signature(
                {**asked, **cell.spec.signed(spec), **corpus, "metric": spec.identity}, notes
            ),
            tokens=(sum(u[1] for u in used), sum(u[2] for u in used)),
            found=cell.found,
            answered=data.outcomes.count(ANSWERED),
            seconds=seconds,
            counts=counts,
            completeness=whole,
            samples=read,
            stale=tuple(filter(None, (*other_code(store, cell, spec.variant), _stale(measured, found)))),
            verification=verification(store, cell),
        )


def _read(store: Store, cell: Cell, calibration: Cell | None) -> tuple[CellData, ...]:
    return tuple(store.data(one) for one in (cell, calibration) if one is not None)


def _asked(data: CellData, *validation: CellData) -> dict[str, JSON]:
    """The parts of a signature that only the samples show."""
    parts: dict[str, JSON] = {
        "n": len(data.outcomes),
        "questions": combine(data.questions),
        "prompts": combine(_answered(data)),
    }
    for one in validation:
        parts["validation"] = combine([*one.questions, *_answered(one)])
    return parts


def _corpus(data: CellData) -> JSON:
    """Of which samples a metric knows that is measured of all those that were scored."""
    return combine(question for question, judged in zip(data.questions, data.scored, strict=True) if judged)


def _place(groups: Set[str], figure: StoredFigure) -> tuple[bool, object]:
    """Groups stand before tags."""
    return figure.group not in groups, natural(figure.group)


def _answered(data: CellData) -> Iterator[bytes]:
    """What was asked for the samples that did not fail; of one that did, not all was asked."""
    return (asked for asked, outcome in zip(data.asked, data.outcomes, strict=True) if outcome != FAILED)


def _asked_alike(one: CellData, other: CellData) -> bool:
    """Whether samples that failed in neither had the same questions and prompts.

    Without any that failed there is nothing that would explain why the parts of the signatures differ.
    """
    if len(one.outcomes) != len(other.outcomes) or FAILED not in (*one.outcomes, *other.outcomes):
        return one.questions == other.questions and one.asked == other.asked
    return all(
        (one.questions[i], one.asked[i]) == (other.questions[i], other.asked[i])
        for i, outcomes in enumerate(zip(one.outcomes, other.outcomes, strict=True))
        if FAILED not in outcomes
    )


def _computed(measured: Measure, cell: Cell, data: CellData) -> Sequence[StoredFigure]:
    """The figures of a cell that is not finished, if the code that measures it is at hand."""
    if measured.metric is None or measured.stale:
        return ()
    return figures(measured.metric, measured.of(data.matrix), data)


def _stale(measured: Measure, found: Sequence[StoredFigure]) -> str:
    if measured.metric is None and not found:
        return "measured by code that is no part of evalkit, and not finished: --task-file names that code"
    return measured.stale
