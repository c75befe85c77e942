"""Reads the figures of a run from its file, each with its interval, outcomes, signature and completeness."""

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
from evalkit.runfile.causes import Cause, causes
from evalkit.runfile.completeness import Completeness, completeness
from evalkit.runfile.evidence import evidence
from evalkit.runfile.figures import WHOLE, figures
from evalkit.runfile.habits import habits
from evalkit.runfile.heat import Group, Heat, heat_of
from evalkit.runfile.measured import Measure, measures, other_code, task_of
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
from evalkit.runfile.tallies import clip_seconds, count_details, departures, usage, verification
from evalkit.samples import JSON

_BY_SAMPLE = ("questions", "prompts", "validation")
"""Parts of a signature that depend on all samples."""


@dataclass(frozen=True, slots=True)
class TableCell:
    """One figure. `value`, `low` and `high` are in `unit`, and None if no sample was scored.

    `n`: the scored samples that the value is computed from, or what the metric counts in them (`counted`).
    `outcomes`: samples by outcome, including failed ones. `low` and `high` are also None if all samples
    belong to one cluster. `marks`: numbers of the table's notes that belong to the figure.
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
    """The figures of the groups and then of the tags, each in natural order."""
    signature: Signature
    tokens: tuple[int, int]
    """(prompt, completion) tokens as the endpoint counted them."""
    found: Mapping[str, Any]
    """What the run determined for the cell: a threshold and its validation curve."""
    answered: int
    """Number of samples with an answer and without a public reference."""
    seconds: float
    """Total seconds of the clips that were sent."""
    counts: dict[str, int]
    """Numbers of samples that deviate from the protocol, by the kind of deviation; zeros are omitted."""
    completeness: Completeness
    samples: Callable[[], Sequence[CellData]] = field(repr=False, compare=False)
    """Reads the samples from the run file, which must still be open: the scored samples, then those that the
    threshold was chosen on, if any."""
    stale: tuple[str, ...] = ()
    """Messages about current code that differs from the code that the run used."""
    verification: dict[str, int] | None = None
    """Greedy requests that were `asked` a second time, and answers that `changed`; None if not verified."""
    evidence: tuple[str, ...] = ()
    """What the responses say against the figure (`evalkit.runfile.evidence`)."""
    causes: tuple[Cause, ...] = ()
    """Why samples failed, the commonest cause first."""
    unjudged: int = 0
    """Answers that no rule could read, in a run without the model that by the benchmark's rule reads them."""
    departures: tuple[str, ...] = ()
    """Texts that describe how the requests differed from the protocol."""
    habits: tuple[str, ...] = ()
    """Texts that describe how nearly all answers begin or end (`evalkit.runfile.habits`)."""
    lost: tuple[str, ...] = ()
    """Groups that a mean over groups leaves out, because no sample of theirs was scored."""
    marks: tuple[int, ...] = ()

    @property
    def task(self) -> str:
        return self.spec.task

    @property
    def protocol(self) -> str:
        """The protocol's name with its overrides, for display."""
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
        """The metric's traits: its average, its best value, and which outcomes apply to it."""
        return self.measured.traits

    @property
    def counted(self) -> str:
        """The unit of `n`: samples, or what the metric counts in them, such as instructions."""
        return self.traits.denominator or "samples"

    @property
    def n_text(self) -> str:
        return f"{self.n:,}" if self.counted == "samples" else f"{self.n:,} {self.counted}"

    @property
    def heat(self) -> Heat | None:
        """The groups' figures by row and column; None if the task declares no heat map."""
        return heat_of(self.spec.heat_map, self.groups)

    @property
    def told(self) -> dict[str, int]:
        """Samples by outcome, for display: correct or wrong, or only answered, depending on the metric."""
        return told_outcomes(self.outcomes, right_or_wrong=self.traits.right_or_wrong)

    def differences(self, other: TableCell) -> list[str]:
        """Returns the reasons why the two cannot be compared, this side first; see `Signature.differences`.

        Failed samples do not change the requests of the others. If samples failed on either side, questions
        and requests are compared sample by sample, for the samples that failed on neither side.
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
        """The key of the table row. Overrides do not make another row."""
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
            "causes": [cause.as_json() for cause in self.causes],
            "outcome": self.traits.outcome,
            "signature": {
                "short": self.signature.short,
                "line": self.signature.line(),
                "parts": dict(self.signature.parts),
            },
            "group_values": {name: group.value for name, group in self.groups.items()},
            "groups": {name: dataclasses.asdict(group) for name, group in self.groups.items()},
            "heat_map": None if (heat := self.heat) is None else heat.as_json(),
            "found": dict(self.found),
            "seconds": self.seconds,
            "verification": dict(self.verification) if self.verification else None,
            "evidence": list(self.evidence),
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
            "departures": list(self.departures),
        }


def cells_of(store: Store) -> Iterator[TableCell]:
    """Yields the figures of one run, in its order; each cell's headline metric first."""
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
    sent = departures(store, cell)
    decoded = _decoded(cell, sent)
    made = {"data": cell.spec.data["made"]} if "made" in cell.spec.data else {}
    notes: dict[str, JSON] = {**threshold, **made, **cell.spec.notes, "evalkit": manifest["evalkit"]}
    used = [usage(store, c) for c in (cell, calibration) if c is not None]
    stored: dict[str, list[StoredFigure]] = {}
    for figure in store.figures(cell):
        stored.setdefault(figure.metric, []).append(figure)
    seconds = clip_seconds(store, cell)
    counts = {key: n for key, n in count_details(store, cell, COUNTED).items() if n}
    whole, against, own = completeness(store, cell), evidence(store, cell), habits(store, cell)
    why = causes((boundary, message) for _, boundary, message in store.failures(cell))
    unjudged = _unjudged(store, cell)
    for measured in measures(store, cell):
        spec = measured.spec
        found = stored.get(spec.name) or _computed(measured, cell, data)
        headline = next((figure for figure in found if figure.group == WHOLE), None)
        counts_own = headline is not None and spec.traits.denominator
        corpus = {"corpus": _corpus(data)} if spec.traits.prepared else {}
        if spec.traits.own_units and headline is not None:
            corpus = {**corpus, "counted": f"{headline.n} {spec.traits.denominator}"}
        yield TableCell(
            spec=cell.spec,
            measured=spec,
            model=manifest["model"]["name"],
            value=headline.value if headline else None,
            low=headline.low if headline else None,
            high=headline.high if headline else None,
            n=headline.n if headline and counts_own else int(data.scored.sum()),
            outcomes=store.outcomes(cell, spec.variant),
            groups=_groups(found, data),
            signature=Signature(
                {**asked, **cell.spec.signed(spec), **decoded, **corpus, "metric": spec.identity}, notes
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
            evidence=against,
            causes=why,
            unjudged=unjudged,
            departures=tuple(sent.values()),
            habits=own,
            lost=_lost(spec, found, data, cell, whole),
        )


def _decoded(cell: Cell, sent: Mapping[str, str]) -> dict[str, JSON]:
    """The settings of the signature that the endpoint changed, by the `departures` of its requests."""
    decoded: dict[str, JSON] = {
        name: "the endpoint's default" for name in ("temperature", "top_p") if name in sent
    }
    if "system" in sent:
        decoded["system"] = f"{cell.spec.protocol.system} (in the user's message)".strip()
    return decoded


def _groups(found: Sequence[StoredFigure], data: CellData) -> dict[str, Group]:
    """The figures of the groups and tags, the groups first."""
    return {
        figure.group: Group(figure.value, figure.low, figure.high, figure.n)
        for figure in sorted(found, key=functools.partial(_place, {*data.groups}))
        if figure.group != WHOLE and figure.value is not None
    }


def _unjudged(store: Store, cell: Cell) -> int:
    task = task_of(store, cell.spec)
    if task is None or task.model_extractor is None or cell.spec.model_extractor:
        return 0
    return store.outcomes(cell)["unparsable"]


def _read(store: Store, cell: Cell, calibration: Cell | None) -> tuple[CellData, ...]:
    return tuple(store.data(one) for one in (cell, calibration) if one is not None)


def _asked(data: CellData, *validation: CellData) -> dict[str, JSON]:
    """Returns the parts of a signature that depend on the samples."""
    parts: dict[str, JSON] = {
        "n": len(data.outcomes),
        "questions": combine(data.questions),
        "prompts": combine(_answered(data)),
    }
    for one in validation:
        parts["validation"] = combine([*one.questions, *_answered(one)])
    return parts


def _corpus(data: CellData) -> JSON:
    """Returns the digest of all scored samples, for a metric whose statistics depend on all of them."""
    return combine(question for question, scored in zip(data.questions, data.scored, strict=True) if scored)


def _place(groups: Set[str], figure: StoredFigure) -> tuple[bool, object]:
    """Returns a sort key that puts groups before tags."""
    return figure.group not in groups, natural(figure.group)


def _answered(data: CellData) -> Iterator[bytes]:
    """Yields the request digests of the samples that did not fail; a failed one may lack requests."""
    return (asked for asked, outcome in zip(data.asked, data.outcomes, strict=True) if outcome != FAILED)


def _asked_alike(one: CellData, other: CellData) -> bool:
    """Whether the samples that failed on neither side had the same questions and prompts.

    Without failed samples, everything must be equal, because nothing else explains a difference.
    """
    if len(one.outcomes) != len(other.outcomes) or FAILED not in (*one.outcomes, *other.outcomes):
        return one.questions == other.questions and one.asked == other.asked
    return all(
        (one.questions[i], one.asked[i]) == (other.questions[i], other.asked[i])
        for i, outcomes in enumerate(zip(one.outcomes, other.outcomes, strict=True))
        if FAILED not in outcomes
    )


def _computed(measured: Measure, cell: Cell, data: CellData) -> Sequence[StoredFigure]:
    """Returns the figures of an unfinished cell, or nothing if the code that measures it is not found."""
    if measured.metric is None or measured.stale:
        return ()
    return figures(measured.metric, measured.of(data.matrix), data)


def _lost(
    spec: MetricSpec, found: Sequence[StoredFigure], data: CellData, cell: Cell, whole: Completeness
) -> tuple[str, ...]:
    """Returns the groups without a figure of their own, although they were asked, or should have been.

    A group all of whose records gave no sample is known only by the sizes that the task names.
    """
    if not spec.traits.average or not found:
        return ()
    there = {figure.group for figure in found if figure.value is not None}
    asked = {group for group in data.groups if group}
    if whole.finished and not whole.small and not whole.groups:
        asked |= {*cell.spec.group_sizes}
    return tuple(sorted(asked - there, key=natural))


def _stale(measured: Measure, found: Sequence[StoredFigure]) -> str:
    if measured.metric is None and not found:
        return "measured by code that is not part of evalkit, and not finished: --task-file names that code"
    return measured.stale
