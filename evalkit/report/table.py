"""The table model: cells read from run files, and what may be compared with what."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import evalkit
from evalkit.errors import UsageError
from evalkit.metrics.base import Traits
from evalkit.paired import matrices
from evalkit.report.beside import corpus_words, run_on_words
from evalkit.report.figures import Figures, Group, figures_of
from evalkit.rows import told_outcomes
from evalkit.samples import JSON
from evalkit.signature import Signature, combine
from evalkit.store import ANSWERED, OUTCOMES, VALIDATION, Cell, CellData, Store

if TYPE_CHECKING:
    import pandas as pd

COUNTED = {
    "shots": "{} samples were asked with fewer shots, for the prompt did not fit the model's context",
    "bound_decides": "{} choices hang on a bound, for the endpoint did not return every letter",
}
"""Entries of an answer's detail that a reader of the figure has to know of."""


@dataclass(frozen=True, slots=True)
class TableCell:
    """One figure. `value`, `low`, `high` in `unit`, None when no sample was judged.

    `n`: judged samples, which the value is over. `outcomes`: samples by outcome, failed ones included.
    `low`, `high` are None too where everything is of one cluster. `marks`: numbers of the table's notes
    that belong to it.
    """

    task: str
    protocol: str
    model: str
    metric: str
    view: str
    """The view or leg that the metric measures, "" for the headline."""
    unit: str
    higher_is_better: bool
    traits: Traits
    """The metric's own attributes: its average, its best value, which outcomes suit it."""
    figures: Figures
    n: int
    outcomes: dict[str, int]
    signature: Signature
    tokens: tuple[int, int]
    """(prompt, completion) tokens as the endpoint counted them."""
    data: dict[str, str]
    """Where the records came from (`Records.origin`)."""
    records: int | None
    """How many there are, where it is known."""
    limit: int | None
    found: dict[str, Any]
    """What the run found out for it: a threshold and its validation curve."""
    answered: int
    """Samples with an answer and without a public reference."""
    seconds: float
    """How long the clips are that were played."""
    counts: dict[str, int]
    """Samples that were not asked or read quite as the protocol has it, by what happened; none: left out."""
    verification: dict[str, int] | None = None
    """Greedy answers that were `asked` for a second time, and those that `changed`; None: none was to be."""
    marks: tuple[int, ...] = ()

    @property
    def value(self) -> float | None:
        return self.figures.value

    @property
    def low(self) -> float | None:
        return self.figures.low

    @property
    def high(self) -> float | None:
        return self.figures.high

    @property
    def groups(self) -> dict[str, Group]:
        """By group and then by tag, each in alphabetical order."""
        return self.figures.groups

    @property
    def told(self) -> dict[str, int]:
        """Samples by outcome, as suits the metric: right, or only answered."""
        return told_outcomes(self.outcomes, right_or_wrong=self.traits.right_or_wrong)

    @property
    def row(self) -> tuple[str, str, str]:
        """Cells of one row answer one question; overrides do not make another row."""
        return (self.task, self.protocol.partition("[")[0], self.metric)

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
            "data": dict(self.data),
            "records": self.records,
            "limit": self.limit,
        }


@dataclass(frozen=True, slots=True)
class Table:
    """Cells in rows, notes numbered from 1, and what the reader must know before the first number."""

    title: str
    cells: tuple[TableCell, ...]
    notes: tuple[str, ...] = field(default=())
    breakdown: bool = False
    """Whether people are also shown the figures by group; data formats have them anyway."""

    @property
    def failed(self) -> int:
        """Samples that failed, over all runs; each counts once however many metrics it has."""
        seen = {(cell.task, cell.protocol, cell.model): cell.outcomes["failed"] for cell in self.cells}
        return sum(seen.values())

    def as_json(self) -> dict[str, JSON]:
        return {
            "title": self.title,
            "cells": [cell.as_json() for cell in self.cells],
            "notes": list(self.notes),
            "evalkit": evalkit.__version__,
        }

    def to_pandas(self) -> pd.DataFrame:
        """A row a cell, outcomes as columns."""
        import pandas as pd

        return pd.DataFrame([flat(cell) for cell in self.cells])


def flat(cell: TableCell) -> dict[str, JSON]:
    """A cell as one flat row, for CSV and pandas."""
    kept = ("task", "protocol", "model", "metric", "value", "unit", "low", "high", "n")
    whole = cell.as_json()
    return {
        **{key: whole[key] for key in kept},
        **{name: cell.outcomes[name] for name in OUTCOMES},
        "signature": cell.signature.line(),
    }


def build_table(stores: Sequence[Store], *, strict: bool = False) -> Table:
    """The cells of all runs, row by row, with notes on what cannot be compared.

    `strict`: raises `UsageError` instead of noting it.
    """
    cells = [cell for store in stores for cell in cells_of(store)]
    if not cells:
        raise UsageError("no results yet: the run file holds no cell")
    rows = list(dict.fromkeys(cell.row for cell in cells))
    cells.sort(key=lambda cell: rows.index(cell.row))
    notes: list[str] = []
    marked = list(_marked(cells, notes))
    barred = list(dict.fromkeys(note for cell in marked for note in _bars(cell, notes)))
    if strict and barred:
        raise UsageError("--strict: " + "; ".join(barred))
    return Table(_title(cells), tuple(marked), tuple(notes))


def _asked(cell: Cell, data: CellData, validation: CellData | None) -> dict[str, JSON]:
    """The parts of a signature that all metrics of a cell share, from what the run file has."""
    parts: dict[str, JSON] = {
        "n": len(data.outcomes),
        **cell.spec["protocol"],
        "questions": combine(data.questions),
        "prompts": combine(data.asked),
        "extract": cell.spec["extract"],
        "judge": cell.spec["judge"],
        **({"referee": cell.spec["referee"]} if "referee" in cell.spec else {}),
    }
    if validation is not None:
        parts["validation"] = combine([*validation.questions, *validation.asked])
    return parts


def cells_of(store: Store) -> Iterable[TableCell]:
    """The figures of one run, in its order; a cell's headline metric first."""
    model = store.manifest["model"]["name"]
    cells = store.cells()
    validations = {(cell.task, cell.protocol): cell for cell in cells if cell.role == VALIDATION}
    for cell in cells:
        if cell.role:
            continue
        data = store.data(cell)
        calibration = validations.get((cell.task, cell.protocol))
        asked = _asked(cell, data, store.data(calibration) if calibration else None)
        threshold = {"threshold": cell.found["threshold"]} if "threshold" in cell.found else {}
        notes: dict[str, JSON] = {**threshold, **cell.spec["notes"], "evalkit": evalkit.__version__}
        used = [store.usage(c) for c in (cell, calibration) if c is not None]
        seconds = store.seconds(cell)
        counts = {key: n for key, n in store.count_details(cell, COUNTED).items() if n}
        for metric, described, matrix in matrices(store, cell, data):
            traits = Traits(**{f.name: described[f.name] for f in dataclasses.fields(Traits)})
            average: dict[str, JSON] = {"average": traits.average} if traits.average else {}
            yield TableCell(
                task=cell.task,
                protocol=cell.protocol,
                model=model,
                metric=described["name"],
                view=metric.view,
                unit=described["unit"],
                higher_is_better=described["higher_is_better"],
                traits=traits,
                figures=figures_of(metric, matrix, data),
                n=len(matrix),
                outcomes=store.outcomes(cell, metric.view),
                signature=Signature(
                    {**asked, **average, **_view(cell, metric.view), "metric": described["identity"]}, notes
                ),
                tokens=(sum(u[1] for u in used), sum(u[2] for u in used)),
                data=cell.spec["data"],
                records=cell.spec["records"],
                limit=cell.spec["limit"],
                found=cell.found,
                answered=data.outcomes.count(ANSWERED),
                seconds=seconds,
                counts=counts,
                verification=store.verification(cell),
            )


def _view(cell: Cell, view: str) -> dict[str, JSON]:
    """The extractor and the judge of a view, where they are not the task's own."""
    found: dict[str, JSON] = dict(cell.spec["views"].get(view, {}))
    return found


def _title(cells: Sequence[TableCell]) -> str:
    models = list(dict.fromkeys(cell.model for cell in cells))
    title = f"{', '.join(models)} on {', '.join(dict.fromkeys(cell.task for cell in cells))}"
    small = dict.fromkeys(cell.task for cell in cells if cell.data["kind"] == "small sets")
    if small:
        title += f" ({', '.join(small)}: evalkit's own small sets, for trying it out; no benchmark results)"
    return title


def _marked(cells: Sequence[TableCell], notes: list[str]) -> Iterable[TableCell]:
    """The cells with marks; `notes` gets the sentences. The first cell of a row is its yardstick."""
    first: dict[tuple[str, str, str], TableCell] = {}
    for cell in cells:
        marks = []
        yardstick = first.setdefault(cell.row, cell)
        differences = yardstick.signature.differences(cell.signature)
        if differences:
            notes.append(
                f"{cell.model} on {cell.task}:{cell.protocol} is not comparable with the row's first cell; "
                f"{'; '.join(differences)}"
            )
            marks.append(len(notes))
        marks += [_number(note, notes) for note in (*_faults(cell), *_remarks(cell))]
        yield dataclasses.replace(cell, marks=tuple(marks))


def _bars(cell: TableCell, notes: Sequence[str]) -> Iterable[str]:
    """The notes of a marked cell that keep it from being compared, rather than tell of it."""
    told = set(_remarks(cell))
    return (note for mark in cell.marks if (note := notes[mark - 1]) not in told)


def _faults(cell: TableCell) -> Iterable[str]:
    """What makes a figure another one than that of the whole benchmark under its protocol."""
    asked = sum(cell.outcomes.values()) + cell.answered
    if cell.limit is not None and (cell.records is None or cell.limit < cell.records):
        yield f"{cell.task}: the first {cell.limit} of {cell.records or 'all'} samples"
    expected = min(filter(None, (cell.limit, cell.records)), default=asked)
    if asked < expected:
        yield f"{cell.model} on {cell.task}: unfinished, {asked} of {expected} samples"
    failed = cell.outcomes["failed"]
    if failed:
        yield f"{cell.model} on {cell.task}: {failed} samples failed and are not in the value"
    for key, count in cell.counts.items():
        yield f"{cell.model} on {cell.task}: {COUNTED[key].format(count)}"


def _remarks(cell: TableCell) -> Iterable[str]:
    """What to know of a figure that is as comparable as any."""
    if cell.traits.whole_corpus:
        yield corpus_words(cell)
    if words := run_on_words(cell):
        yield words
    if cell.answered:
        yield (
            f"{cell.model} on {cell.task}: the references of {cell.answered} answers are not public; "
            "evalkit export --format submission writes what their server takes"
        )
    if cell.seconds:
        heard = sum(cell.outcomes.values()) + cell.answered - cell.outcomes["failed"]
        yield (
            f"{cell.task}: {cell.seconds / 3600:.3g} hours of speech, "
            f"{cell.seconds / heard:.1f} s a clip on average"
        )
    if (draws := cell.signature.parts.get("draws", 1)) != 1:
        yield f"{cell.task}: intervals resample the questions; the {draws} draws of each are held"
    if cell.verification:
        yield f"{cell.model} on {cell.task}:{cell.protocol}: {_verified(cell.verification)}"
    if "threshold" in cell.found:
        yield (
            f"{cell.model} on {cell.task}:{cell.protocol}: threshold "
            f"{_number_text(cell.found['threshold'])}, "
            f"chosen on {cell.found['validation_samples']} validation samples"
        )


def _verified(found: dict[str, int]) -> str:
    if not found["asked"]:
        return "no greedy answer came a second time"
    share = 100 * found["changed"] / found["asked"]
    return (
        f"{found['changed']} of {found['asked']} greedy answers changed when asked for again ({share:.2g} %)"
    )


def _number_text(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"


def _number(note: str, notes: list[str]) -> int:
    if note not in notes:
        notes.append(note)
    return notes.index(note) + 1
