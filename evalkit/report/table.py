"""The table model: cells read from run files, and what may be compared with what."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import evalkit
from evalkit.errors import UsageError
from evalkit.report.comparable import apart, corpus_words, run_on_words, yardstick
from evalkit.runfile.causes import Cause, merged, told
from evalkit.runfile.cells import TableCell, cells_of
from evalkit.runfile.measured import FIX
from evalkit.runfile.records import COUNTED, REFUSED
from evalkit.runfile.store import OUTCOMES, Store
from evalkit.samples import JSON

if TYPE_CHECKING:
    import pandas as pd

_NAMED = 8
"""Groups that a note names."""


@dataclass(frozen=True, slots=True, repr=False)
class Table:
    """Cells in rows, notes numbered from 1, and what the reader must know before the first number.

    It shows itself as `evalkit report` does, in a notebook as Markdown.
    """

    title: str
    cells: tuple[TableCell, ...]
    notes: tuple[str, ...] = field(default=())
    paths: tuple[Path, ...] = field(default=(), compare=False)
    """The run files that it was read from."""

    def __repr__(self) -> str:
        from evalkit.report.tabulate import figure_list
        from evalkit.report.terminal import to_terminal

        return to_terminal([figure_list(self)]).rstrip("\n")

    def _repr_markdown_(self) -> str:
        """What a notebook shows."""
        from evalkit.report.markdown import to_markdown
        from evalkit.report.tabulate import figure_list

        return to_markdown([figure_list(self)])

    @property
    def failed(self) -> int:
        """Samples that failed, over all runs; each counts once however many metrics it has."""
        seen = {(cell.task, cell.protocol, cell.model): cell.outcomes["failed"] for cell in self.cells}
        return sum(seen.values())

    @property
    def causes(self) -> tuple[Cause, ...]:
        """Why they failed, the commonest cause first."""
        return merged({(cell.task, cell.protocol, cell.model): cell.causes for cell in self.cells}.values())

    def as_json(self) -> dict[str, JSON]:
        return {
            "title": self.title,
            "cells": [cell.as_json() for cell in self.cells],
            "notes": list(self.notes),
            "evalkit": evalkit.__version__,
        }

    def to_pandas(self) -> pd.DataFrame:
        """A `pandas.DataFrame` with a row a figure, in the table's order.

        task, protocol, model, metric: what was measured, each as the table names it.
        value, unit: the figure, as precise as it is; NaN where no sample was judged.
        low, high: its 95 % interval, in the same unit; NaN where there is none.
        n: what the value is over: judged samples, or what the metric counts in them.
        correct, wrong, unparsable, truncated, refused, failed: how many samples ended so.
        causes: why samples failed, the commonest first, with their counts; "" where none did.
        signature: one line that says what was asked and by what code it was read, scored and measured.
        part: why it is no figure of the whole benchmark, in words; "" where it is.
        """
        import pandas as pd

        frame = pd.DataFrame([flat(cell) for cell in self.cells])
        return frame.astype(dict.fromkeys(("value", "low", "high"), float))

    def samples(self) -> pd.DataFrame:
        """A `pandas.DataFrame` with a row a sample, in the order of the data: what `evalkit export` writes.

        task, protocol, model: which figure it belongs to.
        position, id: its place in the data, from 0, and its name there.
        input, choices, target: what was asked, from what to choose, and the references; the latter two lists.
        group, tags, cluster, meta, media: what the benchmark says of it; `media` are keys of files.
        outcome: correct, wrong, unparsable, truncated, refused, answered or failed.
        boundary, error: of one that failed, on which side and why; else "".
        finals: the answers that were read, each with what the scorer said of it (`value`, `correct`, …).
        variants, detail: the same by its other readings, and what the scorer noted besides.
        responses: every response, in the order of asking (`request`, `draw`, `judge`, `text`, `finish`, …).

        Read from the run files, `paths`. Raises `UsageError` where one of them is gone, or has no texts.
        """
        import pandas as pd

        from evalkit.report.export import rows

        with contextlib.ExitStack() as opened:
            stores = [opened.enter_context(Store.open(path)) for path in self.paths]
            return pd.DataFrame(list(rows(stores)))


def flat(cell: TableCell) -> dict[str, JSON]:
    """A cell as one flat row, for CSV and pandas."""
    kept = ("task", "protocol", "model", "metric", "value", "unit", "low", "high", "n")
    whole = cell.as_json()
    return {
        **{key: whole[key] for key in kept},
        **{name: cell.outcomes[name] for name in OUTCOMES},
        "causes": "; ".join(told(cell.causes)),
        "signature": cell.signature.line(),
        "part": cell.completeness.lacking,
    }


def signature_line(cell: TableCell) -> str:
    """`gsm8k:8-shot-cot accuracy  n:1319|…|sig:1f2e3d4c`."""
    return f"{cell.task}:{cell.protocol} {cell.metric}  {cell.signature.line()}"


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
    paths = dict.fromkeys(store.path.absolute() for store in stores)
    return Table(_title(cells), tuple(marked), tuple(notes), paths=tuple(paths))


def _title(cells: Sequence[TableCell]) -> str:
    models = list(dict.fromkeys(cell.model for cell in cells))
    title = f"{', '.join(models)} on {', '.join(dict.fromkeys(cell.task for cell in cells))}"
    small = dict.fromkeys(cell.task for cell in cells if cell.completeness.small)
    if small:
        title += f" ({', '.join(small)}: evalkit's own small sets, for trying it out; no benchmark results)"
    return title


def _marked(cells: Sequence[TableCell], notes: list[str]) -> Iterable[TableCell]:
    """The cells with marks; `notes` gets the sentences."""
    rows: dict[tuple[str, str, str], list[TableCell]] = {}
    for cell in cells:
        rows.setdefault(cell.row, []).append(cell)
    for cell in cells:
        marks = []
        row = rows[cell.row]
        held_to = yardstick(row) or cell
        differences = apart(held_to, cell)
        if differences:
            place = "the row's first cell" if held_to is row[0] else f"that of {held_to.model}"
            notes.append(
                f"{cell.model} on {cell.task}:{cell.protocol} is not comparable with {place}; "
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
    if lacking := cell.completeness.unasked:  # a small set stands in the title
        yield f"{cell.model} on {cell.task}: {lacking}"
    if cell.stale:
        yield f"{cell.model} on {cell.task}, {cell.metric}: {'; '.join(cell.stale)}: {FIX}"
    failed = cell.outcomes["failed"]
    if failed:
        why = "; ".join(told(cell.causes))
        yield f"{cell.model} on {cell.task}: {failed} samples failed and are not in the value: {why}"
    if cell.lost and cell.value is not None:
        names = ", ".join(cell.lost[:_NAMED]) + (", …" if len(cell.lost) > _NAMED else "")
        yield (
            f"{cell.model} on {cell.task}, {cell.metric}: no sample of {names} was scored: the mean is "
            f"without {_counted(len(cell.lost), 'group')}"
        )
    for key, count in cell.counts.items():
        yield f"{cell.model} on {cell.task}: {COUNTED[key].format(count)}"


def _remarks(cell: TableCell) -> Iterable[str]:
    """What to know of a figure that is as comparable as any."""
    if cell.traits.whole_corpus:
        yield corpus_words(cell)
    if words := run_on_words(cell):
        yield words
    if cell.unjudged:
        yield (
            f"{cell.model} on {cell.task}: {cell.unjudged:,} unparsable: this benchmark's rule needs "
            "--judge MODEL, which reads what the rules cannot"
        )
    yield from _of_responses(cell)
    if cell.answered and not cell.traits.right_or_wrong:
        yield (
            f"{cell.model} on {cell.task}: {_counted(cell.answered, 'sample')} without a reference in the "
            "data, not in the value"
        )
    elif cell.answered:
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


def _of_responses(cell: TableCell) -> Iterable[str]:
    """What the requests and responses themselves say."""
    for habit in cell.habits:
        yield f"{cell.model} on {cell.task}: {habit}"
    if refused := cell.outcomes[REFUSED]:
        yield (
            f"{cell.model} on {cell.task}: {refused} samples were refused by the endpoint's filter or the "
            "model; they have no answer and count as wrong"
        )
    for words in (*cell.evidence, *cell.departures):
        yield f"{cell.model} on {cell.task}:{cell.protocol}: {words}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


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
