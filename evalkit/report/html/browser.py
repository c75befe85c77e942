"""Chooses, reads and packs the samples of a page."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress

from evalkit.errors import UsageError
from evalkit.metrics.base import merit
from evalkit.report.alignments import Aligner, aligner
from evalkit.report.html.entries import SampleFigure, SampleFigures
from evalkit.report.html.pack import Block, Packer
from evalkit.report.html.records import Steps, chosen, parts, records
from evalkit.runfile.measured import measure
from evalkit.runfile.sample_records import SampleRecord
from evalkit.runfile.store import Cell, CellData, Store
from evalkit.samples import JSON

MOST_BYTES = 256 << 20
"""The highest number of bytes of texts and previews in a page, before compression."""
_KINDS = ((b"\xff\xd8", "image/jpeg"), (b"OggS", "audio/ogg"))


@dataclass(frozen=True, slots=True)
class Browser:
    """The samples of a page, packed. `count`: their number. `notes`: notes on them for the reader.

    `several`: whether there are several runs, which the page can show side by side. `source`: the address at
    a server that has the samples, ending with a slash; "" if they are in the page. `partial`: whether it
    takes its tables and charts from there, too.
    """

    blocks: tuple[Block, ...]
    count: int
    notes: tuple[str, ...]
    several: bool
    source: str = ""
    partial: bool = False


def make_browser(
    stores: Sequence[Store], names: Sequence[str], most: int, source: str = ""
) -> Browser | None:
    """The samples of the page; None if there are none: `most` is 0, or all run files are slim.

    `source`: as in `Browser`; then the page has none itself.
    """
    whole = [(store, name) for store, name in zip(stores, names, strict=True) if not store.is_slim]
    notes = [
        f"{name} has no samples here: its run file is slim"
        for s, name in zip(stores, names, strict=True)
        if s.is_slim
    ]
    if most < 1 or not whole:
        return None
    if source:
        return Browser((), 0, tuple(notes), len(whole) > 1, source)
    read = [store for store, _ in whole]
    found = parts(read, lambda cell: steps_of(cell, notes), graded)
    among, every = chosen(found, most, MOST_BYTES)
    packer = Packer([name for _, name in whole], [part.name for part in found])
    blocks = [*packer.blocks(records(found, among)), packer.index()]
    blocks += _media(read, packer.media)
    if len(among) < every:
        notes.append(
            f"{len(among):,} of {every:,} samples, chosen at random by their ids, the same in every report; "
            "evalkit export writes all of them"
        )
    return Browser(tuple(blocks), len(among), tuple(dict.fromkeys(notes)), len(read) > 1)


def _media(stores: Sequence[Store], keys: Mapping[str, int]) -> Iterator[Block]:
    for key, run in keys.items():
        if found := shown_medium(stores[run], key):
            kind, preview = found
            yield Block(f"m-{key}", b64encode(preview).decode(), kind)


def shown_medium(store: Store, key: str) -> tuple[str, bytes] | None:
    """(media type, preview) of a picture or clip. None for one that was not sent or whose file is broken."""
    preview = store.preview(key) or b""
    kind = next((kind for start, kind in _KINDS if preview.startswith(start)), "")
    return (kind, preview) if kind else None


def graded(store: Store, cell: Cell) -> SampleFigures | None:
    """Each judged sample's figure by the headline metric; None if that is only right or wrong."""
    grade = grader(store, cell)
    return None if grade is None else grade(store.data(cell))


def grader(store: Store, cell: Cell) -> Callable[[CellData], SampleFigures] | None:
    """A function from some samples of `cell` to the figures of the judged ones; None as for `graded`.

    The figures are empty if the metric's code is not available or has changed.
    """
    spec = cell.spec.metrics[0]
    if spec.traits.right_or_wrong:
        return None
    import numpy as np

    from evalkit.stats.aggregates import aggregate_of

    found = measure(store, cell, spec.name)
    try:
        aggregate = aggregate_of(found.usable(store, cell))
    except UsageError:
        return lambda data: {}
    unit = "" if spec.unit == "" else f" {spec.unit}"

    def grade(data: CellData) -> SampleFigures:
        figures = aggregate.each(found.of(data.matrix))
        return {
            at: SampleFigure(
                f"{spec.name} {figure:.4g}{unit}",
                float(f"{figure:.6g}"),
                float(f"{merit(figure, spec.higher_is_better, spec.traits.best):.6g}"),
            )
            for at, figure in zip(compress(data.positions, data.scored), figures, strict=True)
            if np.isfinite(figure)
        }

    return grade


def steps_of(cell: Cell, notes: list[str]) -> Steps | None:
    """The function that aligns transcripts, for benchmarks that transcribe speech; None for others."""
    try:
        align = aligner(cell)
    except UsageError as error:  # the task's file is gone, or a package is missing
        notes.append(f"{cell.task}: no alignments: {error}")
        return None
    return None if align is None else _Alignment(align, cell, notes)


@dataclass(frozen=True, slots=True)
class _Alignment:
    align: Aligner
    cell: Cell
    notes: list[str]

    def __call__(self, sample: SampleRecord) -> list[JSON] | None:
        finals = sample.answer.get("finals", [])
        if not (finals and sample.target):
            return None
        try:
            found = self.align(str(sample.meta["language"]), sample.target[0], finals[0]["value"] or "")
        except UsageError as error:
            self.notes.append(f"{self.cell.task}: no alignments: {error}")
            return None
        return [list(step) for step in found]
