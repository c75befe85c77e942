"""What the pages over a folder need to know of a run file: its model, and the headline of each benchmark."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from evalkit.errors import NoRunFile, UsageError
from evalkit.exports.shared import without_places
from evalkit.runfile.cells import TableCell, cells_of
from evalkit.runfile.figures import WHOLE
from evalkit.runfile.records import Cell, natural, told_outcomes
from evalkit.runfile.store import Store
from evalkit.runfile.tallies import samples_of_all

_MEASURED = 20_000
"""The most samples of an unfinished run for which figures so far are computed."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure in its metric's unit, with its 95 % interval; None where there is none."""

    value: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Headline:
    """The headline of a benchmark in a run. `label`: the protocol with its overrides.

    `groups`: figures of groups and tags. `finished`: its samples, once all are done. `wanted`: how many
    samples are planned, None if unknown. Only known after all samples were read: `signature` (its digest)
    and `line` ("" before), `outcomes` as tables show them, and `notes`: what speaks against the figure.
    """

    task: str
    protocol: str
    label: str
    source: str
    metric: str
    unit: str
    decimals: int
    higher_is_better: bool
    best: float | None
    figure: Figure | None
    groups: Mapping[str, Figure]
    finished: int | None
    wanted: int | None
    signature: str = ""
    line: str = ""
    outcomes: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.task}:{self.protocol}"

    @property
    def key(self) -> tuple[str, str]:
        return self.task, self.protocol

    @property
    def lasts(self) -> bool:
        """Whether the figure is finished and its signature is known, so that it can stand beside others."""
        return self.finished is not None and bool(self.signature)

    @property
    def done(self) -> int:
        """The samples that have an outcome, as far as they were counted."""
        return sum(self.outcomes.values()) or self.finished or 0


@dataclass(frozen=True, slots=True)
class Contents:
    """What a run file says of its run. `started`: ISO 8601, "" if not known. `ended`: whether all is done.

    `damage`: what is wrong with the file, "" if nothing is; then it has no headlines.
    """

    model: str
    started: str
    headlines: tuple[Headline, ...]
    ended: bool = False
    damage: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """The contents of a file; None if it is no run file. `lasts`: whether they stay as they are."""

    contents: Contents | None

    @property
    def lasts(self) -> bool:
        return self.contents is not None and self.contents.ended


def figures_in(path: Path, called: str) -> Contents | None:
    """The run's stored figures, without reading samples; None if the file at `path` is no run file.

    `called`: what messages call the file.
    """
    return _read(path, called, _stored)


def contents_of(path: Path, called: str) -> Contents | None:
    """As `figures_in`, with what only its samples tell: signatures, outcomes, and figures so far."""
    return _read(path, called, _whole)


def _read(path: Path, called: str, headlines: Callable[[Store], Iterable[Headline]]) -> Contents | None:
    try:
        with Store.open(path) as store:
            store.connection.execute("BEGIN")  # one state of a file that a run is writing
            manifest, cells = store.manifest, store.cells()
            return Contents(
                manifest["model"]["name"],
                manifest.get("started", ""),
                tuple(headlines(store)),
                ended=bool(cells) and all(cell.finished is not None for cell in cells),
            )
    except NoRunFile:
        return None
    except UsageError as error:
        return Contents("", "", (), damage=without_places(str(error).replace(str(path), called)))


def _stored(store: Store) -> Iterator[Headline]:
    return (_headline(store, cell) for cell in store.cells() if not cell.role)


def _headline(store: Store, cell: Cell) -> Headline:
    spec, metric = cell.spec, cell.spec.metrics[0]
    stored = [one for one in store.figures(cell) if one.metric == metric.name]
    figures = {one.group: Figure(one.value, one.low, one.high, one.n) for one in stored}
    return Headline(
        task=spec.task,
        protocol=spec.protocol.name,
        label=spec.protocol.label,
        source=spec.source,
        metric=metric.name,
        unit=metric.unit,
        decimals=metric.decimals,
        higher_is_better=metric.higher_is_better,
        best=metric.traits.best,
        figure=figures.pop(WHOLE, None),
        groups={name: figures[name] for name in sorted(figures, key=natural)},
        finished=cell.finished,
        wanted=samples_of_all(store, cell) or spec.wanted,
    )


def _whole(store: Store) -> Iterator[Headline]:
    counted = {cell.id: store.outcomes(cell) for cell in store.cells() if not cell.role}
    unfinished = any(cell.finished is None for cell in store.cells())
    if unfinished and sum(sum(counts.values()) for counts in counted.values()) > _MEASURED:
        for cell in store.cells():
            if not cell.role:
                told = told_outcomes(
                    counted[cell.id], right_or_wrong=cell.spec.metrics[0].traits.right_or_wrong
                )
                yield dataclasses.replace(_headline(store, cell), outcomes=told)
        return
    measured: dict[tuple[str, str], TableCell] = {}
    for one in cells_of(store):
        measured.setdefault((one.task, one.spec.protocol.name), one)
    for headline in _stored(store):
        yield _completed(headline, measured[headline.key])


def _completed(headline: Headline, cell: TableCell) -> Headline:
    lacking = (cell.completeness.lacking,) if cell.completeness.lacking else ()
    return dataclasses.replace(
        headline,
        figure=Figure(cell.value, cell.low, cell.high, cell.n),
        groups={name: Figure(one.value, one.low, one.high, one.n) for name, one in cell.groups.items()},
        signature=cell.signature.short,
        line=cell.signature.line(),
        outcomes=cell.told,
        notes=(*lacking, *cell.evidence, *cell.stale),
    )
