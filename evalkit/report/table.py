"""The table model: cells from run files, with notes on which of them are not comparable."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import evalkit
from evalkit.errors import UsageError, counted
from evalkit.report.comparable import apart, corpus_words, run_on_words, yardstick
from evalkit.report.sources import Source
from evalkit.runfile.causes import Cause, merged, told
from evalkit.runfile.cells import TableCell, cells_of
from evalkit.runfile.measured import FIX
from evalkit.runfile.records import COUNTED, REFUSED
from evalkit.runfile.store import OUTCOMES, Store
from evalkit.samples import JSON

if TYPE_CHECKING:
    import pandas as pd

_NAMED = 8
"""The highest number of groups that a note names."""


@dataclass(frozen=True, slots=True, repr=False)
class Table:
    """The cells in the order of the rows, and notes, numbered from 1, to which the marks of the cells refer.

    Printed, it looks as in `evalkit report`; a notebook shows it as Markdown.
    """

    title: str
    cells: tuple[TableCell, ...]
    notes: tuple[str, ...] = field(default=())
    paths: tuple[Path, ...] = field(default=(), compare=False)
    """The run files that the table was read from."""
    sources: tuple[Source, ...] = field(default=(), compare=False)
    """The columns that they make, in their order."""

    def __repr__(self) -> str:
        from evalkit.report.build import run_text

        return run_text(self).rstrip("\n")

    def _repr_markdown_(self) -> str:
        """The Markdown that a notebook shows."""
        from evalkit.report.markdown import to_markdown
        from evalkit.report.tabulate import figure_list

        return to_markdown([figure_list(self)])

    @property
    def failed(self) -> int:
        """The number of samples that failed, over all runs; a sample with several metrics counts once."""
        seen = {(cell.task, cell.protocol, cell.model): cell.outcomes["failed"] for cell in self.cells}
        return sum(seen.values())

    @property
    def causes(self) -> tuple[Cause, ...]:
        """Why samples failed, the most frequent cause first."""
        return merged({(cell.task, cell.protocol, cell.model): cell.causes for cell in self.cells}.values())

    def as_json(self) -> dict[str, JSON]:
        return {
            "title": self.title,
            "cells": [cell.as_json() for cell in self.cells],
            "notes": list(self.notes),
            "evalkit": evalkit.__version__,
        }

    def to_pandas(self) -> pd.DataFrame:
        """A `pandas.DataFrame` with one row per figure, in the table's order.

        task, protocol, model, metric: what was measured, by the names that the table uses.
        value, unit: the figure, not rounded; NaN if no sample was judged.
        low, high: its 95 % interval, in the same unit; NaN if there is none.
        n: the number of judged samples, or of whatever the metric counts in them.
        correct, wrong, unparsable, truncated, refused, failed: the number of samples with this outcome.
        causes: why samples failed, the most frequent cause first, with counts; "" if none failed.
        signature: one line about the questions and the code that read, scored and measured the answers.
        part: why the figure does not cover the whole benchmark; "" if it does.
        """
        import pandas as pd

        frame = pd.DataFrame([flat(cell) for cell in self.cells])
        return frame.astype(dict.fromkeys(("value", "low", "high"), float))

    def samples(self) -> pd.DataFrame:
        """A `pandas.DataFrame` with one row per sample, in the order of the data, as `evalkit export` writes.

        task, protocol, model: the figure that the sample belongs to.
        position, id: its position in the data, from 0, and its name there.
        input, choices, target: the question, the list of options, and the list of references.
        group, tags, cluster, meta, media: what the benchmark says about it; `media` are keys of files.
        outcome: correct, wrong, unparsable, truncated, refused, answered or failed.
        boundary, error: where and why a sample failed; "" for all others.
        finals: the answers that were read, each with the scorer's verdict (`value`, `correct`, …).
        variants, detail: the answers by the other variants, and further notes of the scorer.
        responses: all responses, in the order of the requests (`request`, `draw`, `judge`, `text`, …).

        The samples are read from the run files, `paths`. Raises `UsageError` if one of them is gone or has no
        texts.
        """
        import pandas as pd

        from evalkit.report.export import rows

        with contextlib.ExitStack() as opened:
            stores = [opened.enter_context(Store.open(path)) for path in self.paths]
            return pd.DataFrame(list(rows(stores)))


def flat(cell: TableCell) -> dict[str, JSON]:
    """A cell as a flat row, for CSV and pandas."""
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


def build_table(
    stores: Sequence[Store], *, strict: bool = False, sources: Sequence[Source] = (), title: str = ""
) -> Table:
    """Reads the cells of all runs, row by row, with notes on figures that are not comparable.

    `strict`: raises `UsageError` instead of making a note. `sources`: the columns that the stores make, with
    as many paths as there are stores; default: a column for each. Their names stand for the models' names.
    `title`: instead of the names of models and benchmarks. Raises `UsageError` also if there are no cells.
    """
    sources = tuple(sources) or tuple(Source((store.path,)) for store in stores)
    names = [source.name for source in sources for _ in source.paths]
    cells = [
        dataclasses.replace(cell, model=name or cell.model)
        for store, name in zip(stores, names, strict=True)
        for cell in cells_of(store)
    ]
    if not cells:
        raise UsageError("no results yet: the run file contains no benchmark")
    rows = list(dict.fromkeys(cell.row for cell in cells))
    cells.sort(key=lambda cell: rows.index(cell.row))
    notes: list[str] = []
    marked = list(_marked(cells, notes))
    barred = list(dict.fromkeys(note for cell in marked for note in _bars(cell, notes)))
    if strict and barred:
        raise UsageError("--strict: " + "; ".join(barred))
    paths = dict.fromkeys(store.path.absolute() for store in stores)
    return Table(title or _title(cells), tuple(marked), tuple(notes), tuple(paths), sources)


def _title(cells: Sequence[TableCell]) -> str:
    models = list(dict.fromkeys(cell.model for cell in cells))
    title = f"{', '.join(models)} on {', '.join(dict.fromkeys(cell.task for cell in cells))}"
    small = dict.fromkeys(cell.task for cell in cells if cell.completeness.small)
    if small:
        every = len(small) > _NAMED and all(cell.task in small for cell in cells)
        of = "all of them" if every else ", ".join(small)
        title += f" ({of}: evalkit's own small sets, for trying it out, not benchmark results)"
    return title


def _marked(cells: Sequence[TableCell], notes: list[str]) -> Iterable[TableCell]:
    """Yields the cells with marks, and adds the sentences that these refer to to `notes`."""
    rows: dict[tuple[str, str, str], list[TableCell]] = {}
    for cell in cells:
        rows.setdefault(cell.row, []).append(cell)
    for cell in cells:
        marks = []
        row = rows[cell.row]
        held_to = yardstick(row) or cell
        differences = apart(held_to, cell)
        if differences:
            place = "the row's first cell" if held_to is row[0] else held_to.model
            notes.append(
                f"{cell.model} on {cell.task}:{cell.protocol} is not comparable with {place}; "
                f"{'; '.join(differences)}"
            )
            marks.append(len(notes))
        marks += [_number(note, notes) for note in (*_faults(cell), *_remarks(cell))]
        yield dataclasses.replace(cell, marks=tuple(marks))


def _bars(cell: TableCell, notes: Sequence[str]) -> Iterable[str]:
    """The notes of a marked cell that say why it is not comparable, without mere remarks."""
    remarks = set(_remarks(cell))
    return (note for mark in cell.marks if (note := notes[mark - 1]) not in remarks)


def _faults(cell: TableCell) -> Iterable[str]:
    """Yields the reasons why a figure is not that of the whole benchmark under its protocol."""
    if lacking := cell.completeness.unasked:  # a small set is named in the title
        yield f"{cell.model} on {cell.task}: {lacking}"
    if cell.stale:
        yield f"{cell.model} on {cell.task}, {cell.metric}: {'; '.join(cell.stale)}: {FIX}"
    failed = cell.outcomes["failed"]
    if failed:
        why = "; ".join(told(cell.causes))
        left_out = counted(failed, "sample failed and is", "samples failed and are")
        yield f"{cell.model} on {cell.task}: {left_out} not in the value: {why}"
    if cell.lost and cell.value is not None:
        names = ", ".join(cell.lost[:_NAMED]) + (", …" if len(cell.lost) > _NAMED else "")
        yield (
            f"{cell.model} on {cell.task}, {cell.metric}: no sample of {names} was scored: the mean leaves "
            f"out {counted(len(cell.lost), 'group')}"
        )
    for key, count in cell.counts.items():
        yield f"{cell.model} on {cell.task}: {counted(count, *COUNTED[key])}"


def _remarks(cell: TableCell) -> Iterable[str]:
    """Yields remarks on a figure that do not make it less comparable."""
    if tool := cell.spec.imported.get("imported"):
        scored = cell.spec.scored_as
        how = f"asked elsewhere, and scored as {scored}" if scored else "asked and scored elsewhere"
        alike = "the same tool, task and settings"
        alike += ", scored by the same rules" if scored else ""
        yield f"imported ({tool}): {how}; comparable only with results of {alike}"
        yield from (
            f"{cell.model} on {cell.task}:{cell.protocol}: {note}" for note in cell.found.get("notes", ())
        )
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
            f"{cell.model} on {cell.task}: {counted(cell.answered, 'sample')} without a reference in the "
            "data, not included in the value"
        )
    elif cell.answered:
        yield (
            f"{cell.model} on {cell.task}: the references of {counted(cell.answered, 'answer')} are not "
            "public; evalkit export --format submission writes the file for the benchmark's server"
        )
    if cell.seconds:
        heard = sum(cell.outcomes.values()) + cell.answered - cell.outcomes["failed"]
        yield (
            f"{cell.task}: {_hours(cell.seconds)} hours of speech, "
            f"{cell.seconds / heard:.1f} s per clip on average"
        )
    if (draws := cell.signature.parts.get("draws", 1)) != 1:
        yield f"{cell.task}: intervals resample the questions; the {draws} draws of each are held fixed"
    if cell.verification:
        yield f"{cell.model} on {cell.task}:{cell.protocol}: {_verified(cell.verification)}"
    if "threshold" in cell.found:
        yield (
            f"{cell.model} on {cell.task}:{cell.protocol}: threshold "
            f"{_number_text(cell.found['threshold'])}, "
            f"chosen on {cell.found['validation_samples']} validation samples"
        )


def _of_responses(cell: TableCell) -> Iterable[str]:
    """Yields remarks on the requests and responses."""
    for habit in cell.habits:
        yield f"{cell.model} on {cell.task}: {habit}"
    if refused := cell.outcomes[REFUSED]:
        by = "refused by the endpoint's filter or the model"
        none = counted(
            refused,
            f"sample was {by}; it has no answer and counts",
            f"samples were {by}; they have no answer and count",
        )
        yield f"{cell.model} on {cell.task}: {none} as wrong"
    for words in (*cell.evidence, *cell.departures):
        yield f"{cell.model} on {cell.task}:{cell.protocol}: {words}"


def _hours(seconds: float) -> str:
    """Hours with two digits, or whole ones from ten on."""
    hours = seconds / 3600
    return f"{hours:.2g}" if hours < 10 else f"{hours:,.0f}"


def _verified(found: dict[str, int]) -> str:
    if not found["asked"]:
        return "no greedy request was answered a second time"
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
