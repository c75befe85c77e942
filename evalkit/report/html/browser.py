"""Chooses, reads and packs the samples of a page."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
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
from evalkit.runfile.store import Cell, Store
from evalkit.samples import JSON

MOST_BYTES = 256 << 20
"""The highest number of bytes of texts and previews in a page, before compression."""
_KINDS = ((b"\xff\xd8", "image/jpeg"), (b"OggS", "audio/ogg"))


@dataclass(frozen=True, slots=True)
class Browser:
    """The samples of a page, packed. `count`: their number. `notes`: notes on them for the reader.

    `several`: whether there are several runs, which the page can show side by side.
    """

    blocks: tuple[Block, ...]
    count: int
    notes: tuple[str, ...]
    several: bool
    formulas: bool = False
    """Whether there may be formulas among the texts."""


def make_browser(stores: Sequence[Store], names: Sequence[str], most: int) -> Browser | None:
    """The samples of the page; None if there are none: `most` is 0, or all run files are slim."""
    whole = [(store, name) for store, name in zip(stores, names, strict=True) if not store.is_slim]
    notes = [
        f"{name} has no samples here: its run file is slim"
        for s, name in zip(stores, names, strict=True)
        if s.is_slim
    ]
    if most < 1 or not whole:
        return None
    read = [store for store, _ in whole]
    found = parts(read, lambda cell: _steps(cell, notes), graded)
    among, every = chosen(found, most, MOST_BYTES)
    packer = Packer([name for _, name in whole], [part.name for part in found])
    blocks = [*packer.blocks(records(found, among)), packer.index()]
    blocks += _media(read, packer.media)
    if len(among) < every:
        notes.append(
            f"{len(among):,} of {every:,} samples, chosen at random by their ids, the same in every report; "
            "evalkit export writes all of them"
        )
    several = len(read) > 1
    return Browser(tuple(blocks), len(among), tuple(dict.fromkeys(notes)), several, packer.formulas)


def _media(stores: Sequence[Store], keys: Mapping[str, int]) -> Iterator[Block]:
    """Yields the previews of pictures and clips in the run files. Unsent and broken files have no preview."""
    for key, run in keys.items():
        preview = stores[run].preview(key) or b""
        kind = next((kind for start, kind in _KINDS if preview.startswith(start)), "")
        if kind:
            yield Block(f"m-{key}", b64encode(preview).decode(), kind)


def graded(store: Store, cell: Cell) -> SampleFigures | None:
    """Each judged sample's figure by the headline metric; None if that is only right or wrong.

    Empty if the metric's code is not available or has changed.
    """
    spec = cell.spec.metrics[0]
    if spec.traits.right_or_wrong:
        return None
    import numpy as np

    from evalkit.stats.aggregates import aggregate_of

    found, data = measure(store, cell, spec.name), store.data(cell)
    try:
        figures = aggregate_of(found.usable(store, cell)).each(found.of(data.matrix))
    except UsageError:
        return {}
    unit = "" if spec.unit == "" else f" {spec.unit}"
    return {
        at: SampleFigure(
            f"{spec.name} {figure:.4g}{unit}",
            float(f"{figure:.6g}"),
            float(f"{merit(figure, spec.higher_is_better, spec.traits.best):.6g}"),
        )
        for at, figure in zip(compress(data.positions, data.scored), figures, strict=True)
        if np.isfinite(figure)
    }


def _steps(cell: Cell, notes: list[str]) -> Steps | None:
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
