"""Plans the rows and columns of a grid: which run belongs to which printed row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from evalkit.errors import UsageError
from evalkit.report.sources import Source

if TYPE_CHECKING:
    from evalkit.report.paper import Compared, Comparing, PaperRow, PaperTable
    from evalkit.report.table import Table
    from evalkit.runfile.cells import TableCell
    from evalkit.runfile.store import Store

Key = tuple[str, str, str]
"""`TableCell.row`: task, protocol without overrides, metric."""
JOINS = "a task of your own with this name fills its row"
PAIRED = (
    "÷ ratio, − difference: on the samples that both runs judged; the 95 % interval is paired: both figures "
    "are resampled together"
)


@dataclass(frozen=True, slots=True)
class RunColumn:
    """A column of one or more run files of a model: its name, and its figures by row."""

    name: str
    stores: tuple[Store, ...]
    cells: Mapping[Key, TableCell]
    owners: Mapping[Key, Store]

    def store_of(self, cell: TableCell) -> Store:
        """The run file that a cell of this column was read from."""
        return self.owners[cell.row]


@dataclass(frozen=True, slots=True)
class PlannedRow:
    """A row of the grid: the runs' key, if any run has the row, and the printed row, if there is one.

    `elsewhere`: the name of the printed row that has the runs' figure, if this row states no protocol that
    could be run: table 2 prints a second figure of GPT-4 on MATH.
    """

    key: Key | None
    printed: PaperRow | None = None
    elsewhere: str = ""


def runs_of(stores: Sequence[Store], table: Table) -> list[RunColumn]:
    """One column per source of the table, named as the source says, or else after its model.

    If several columns have one model, the names of their files follow. Raises `UsageError` if two sources
    have one name, or if the files of one source are of two models or have the same benchmark.
    """
    left = iter(stores)
    parts = [tuple(islice(left, len(source.paths))) for source in table.sources]
    named, names = _names(table.sources, parts)
    found = _found(parts, named, table)
    return [
        RunColumn(name, part, {row: cell for row, (cell, _) in cells.items()},
                  {row: store for row, (_, store) in cells.items()})
        for name, part, cells in zip(names, parts, found, strict=True)
    ]  # fmt: skip


def names_of(stores: Sequence[Store]) -> list[str]:
    """The names of the columns of run files that are a column each, as `runs_of` gives them."""
    return _names([Source((store.path,)) for store in stores], [(store,) for store in stores])[1]


def _names(sources: Sequence[Source], parts: Sequence[tuple[Store, ...]]) -> tuple[list[str], list[str]]:
    """(name as the source or the model says, name of the column) of each source."""
    models = [_model(part) for part in parts]
    named = [source.name or model for source, model in zip(sources, models, strict=True)]
    several = Counter(named)
    names: list[str] = []
    for source, part, text in zip(sources, parts, named, strict=True):
        if source.name and several[text] > 1:
            raise UsageError(f"two columns are called {text!r}: give one of them another name, RUN=NAME")
        name = text if several[text] == 1 else f"{text} ({part[0].path.stem})"
        names.append(name if name not in names else f"{name} {len(names) + 1}")
    return named, names


def file_names(runs: Sequence[RunColumn]) -> list[str]:
    """A name for each run file, in order: its column's, and the file's own if the column has several."""
    return [
        run.name if len(run.stores) == 1 else f"{run.name} ({store.path.stem})"
        for run in runs
        for store in run.stores
    ]


def _model(stores: Sequence[Store]) -> str:
    """The model of the run files of one column."""
    by_model = {str(store.manifest["model"]["name"]): store.path for store in stores}
    if len(by_model) > 1:
        files = ", ".join(f"{path} has {model}" for model, path in by_model.items())
        raise UsageError(f"one column is of one model, but {files}: give them as two columns")
    return next(iter(by_model))


def _found(
    parts: Sequence[Sequence[Store]], labels: Sequence[str], table: Table
) -> list[dict[Key, tuple[TableCell, Store]]]:
    """The figures of each column by row, each with the run file that has it."""
    found: list[dict[Key, tuple[TableCell, Store]]] = [{} for _ in parts]
    places = [
        (i, store, {(one.task, one.protocol, metric.name) for one in store.cells() if not one.role
                    for metric in one.spec.metrics})
        for i, part in enumerate(parts)
        for store in part
    ]  # fmt: skip
    used: set[tuple[int, Key]] = set()
    for cell in table.cells:  # the cells of a row are in the order of their runs
        at, (i, store, _) = next(
            (at, place)
            for at, place in enumerate(places)
            if labels[place[0]] == cell.model and cell.row in place[2] and (at, cell.row) not in used
        )
        used.add((at, cell.row))
        if cell.row in found[i]:
            both = f"{found[i][cell.row][1].path} and {store.path}"
            raise UsageError(
                f"{both} both have {cell.task}:{cell.protocol}, and one column has each benchmark once: "
                "give them as two columns"
            )
        found[i][cell.row] = cell, store
    return found


@dataclass(frozen=True, slots=True)
class ComparedColumn:
    """A column of the grid: the figures of `head` relative to those of `base`, as `compared` defines."""

    base: RunColumn
    head: RunColumn
    compared: Compared

    @property
    def kind(self) -> Comparing:
        return self.compared.kind

    @property
    def name(self) -> str:
        """`fake/nano ÷ fake/pro`."""
        return f"{self.head.name} {'÷' if self.kind == 'ratio' else '−'} {self.base.name}"

    def unit(self, of: str) -> str:
        return self.compared.unit(of)


def compared_columns(
    compared: Iterable[Compared], runs: Sequence[RunColumn], relative_to: str
) -> Iterator[ComparedColumn]:
    """Yields every other run against the base run, for each kind of comparison that a table has.

    The base is the run `relative_to`; by default the run that the table names, if there is one.
    """
    named = {run.name: run for run in runs}
    kinds: dict[str, Compared] = {}
    for comparison in compared:
        kinds.setdefault(comparison.kind, comparison)
    for comparison in kinds.values():
        base = named.get(relative_to or comparison.base)
        yield from (ComparedColumn(base, run, comparison) for run in runs if base and run is not base)


def without_base(printed: PaperTable, pairs: Sequence[ComparedColumn]) -> str:
    """How to get the ratios or differences that a table has and the runs do not; "" if nothing is missing."""
    if pairs or not printed.compared:
        return ""
    columns = ", ".join(printed.compared)
    bases = " or ".join(dict.fromkeys(one.base for one in printed.compared.values()))
    return f"{columns}: computed with a second run and --relative-to RUN, which takes the place of {bases}"


def planned_rows(
    printed: PaperTable, rows: Sequence[Key], runs: Sequence[RunColumn], placed: Collection[Key] = ()
) -> Iterator[PlannedRow]:
    """Yields the printed rows in order, each once for every protocol under which runs have answered it.

    If several printed rows are about one benchmark, a run belongs to the one with its protocol. `placed`: the
    figures that are in a row with their protocol, maybe of another table: such a figure is not repeated below
    one that has this row's protocol. MMLU's routed figure is in table 2, so table 3 has the 5-shot one alone.
    """
    owners = _owners(printed, rows, runs)
    for i, row in enumerate(printed.rows):
        keys = owners.get(i, [])
        if any(row.states(protocol) for _, protocol, _ in keys):
            keys = [key for key in keys if row.states(key[1]) or key not in placed]
        others = (printed.rows[j] for j in owners if printed.rows[j].task == row.task)
        states_none = not any(figure.match for figure in row.figures.values())
        elsewhere = next((other.name for other in others if states_none and other.figure == row.figure), "")
        if keys:
            yield from (PlannedRow(key, row) for key in keys)
        else:
            yield PlannedRow(None, row, elsewhere)


def placed_rows(tables: Iterable[PaperTable], rows: Sequence[Key], runs: Sequence[RunColumn]) -> set[Key]:
    """The figures of `rows` that are in a row of `tables` with their protocol."""
    return {
        key
        for printed in tables
        for i, keys in _owners(printed, rows, runs).items()
        for key in keys
        if printed.rows[i].states(key[1])
    }


def _owners(printed: PaperTable, rows: Sequence[Key], runs: Sequence[RunColumn]) -> dict[int, list[Key]]:
    """The runs' figures by the number of the printed row that they belong to."""
    owners: dict[int, list[Key]] = {}
    leading = {cell.row for run in runs for cell in headlines(run.cells.values())}
    for key in rows:
        task, base, metric = key
        fitting = [
            i
            for i, row in enumerate(printed.rows)
            if row.task == task and (row.measure == metric if row.measure else key in leading)
        ]
        fitting = [
            i
            for i, row in enumerate(printed.rows)
            if row.task == task and base in row.headline_of and key in leading
        ] or fitting
        same = [i for i in fitting if printed.rows[i].states(base)]
        kinds = dict.fromkeys(printed.rows[i].figure for i in fitting)
        for kind in kinds:  # the whole benchmark, each of its groups, means over some of them
            alike = [i for i in fitting if printed.rows[i].figure == kind]
            for i in [i for i in alike if i in same] or alike[:1]:
                owners.setdefault(i, []).append(key)
    return owners


def headlines(cells: Iterable[TableCell]) -> Iterator[TableCell]:
    """The first cell of each task and protocol."""
    yield from {(cell.task, cell.protocol): cell for cell in reversed(list(cells))}.values()
