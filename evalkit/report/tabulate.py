"""Makes the tables of a report: figures in a list, side by side in a grid, and by group."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence

from evalkit.report.comparable import group_measure
from evalkit.report.digits import figure_text, interval_text, printed_interval
from evalkit.report.grid import NOT_PRINTED, Grid, GridCell, GridRow
from evalkit.report.table import Table, signature_line
from evalkit.report.tabular import Column, Tabular, TabularCell, TabularRow
from evalkit.runfile.cells import TableCell
from evalkit.runfile.heat import Group, Heat
from evalkit.runfile.records import ANSWERED

_LIST = (
    Column("benchmark", least=16),
    Column("model", least=12),
    Column("metric", least=10),
    Column("value", "number", unbroken=True),
    Column("95 % interval", unbroken=True),
    Column("n", "number", unbroken=True),
    Column("outcomes", least=13),
)


def figure_list(table: Table) -> Tabular:
    """A table with one row per figure."""
    several = len({cell.model for cell in table.cells}) > 1
    columns = (
        _LIST if several else tuple(dataclasses.replace(one, spare=one.text == "model") for one in _LIST)
    )
    rows = tuple(TabularRow(tuple(_listed(cell))) for cell in table.cells)
    return Tabular(
        table.title,
        columns,
        rows,
        notes=table.notes,
        remarks=_dashes(rows),
        signatures=tuple(dict.fromkeys(map(signature_line, table.cells))),
    )


def _dashes(rows: Sequence[TabularRow]) -> tuple[str, ...]:
    """A sentence about the dashes in lists of figures, if there are any."""
    dashed = any(cell.text == NOT_PRINTED for row in rows for cell in row.cells)
    return (f"{NOT_PRINTED}: too few samples were judged for it, or the metric has none",) if dashed else ()


def _listed(cell: TableCell) -> Iterator[TabularCell]:
    yield TabularCell(f"{cell.task}:{cell.protocol}")
    yield TabularCell(cell.model)
    yield TabularCell(cell.metric + ("" if cell.higher_is_better or cell.traits.best is not None else " ↓"))
    value = value_text(cell, cell.unit, cell.measured.decimals)
    yield TabularCell(value, "run", marks=cell.marks, samples=_samples(cell))
    yield TabularCell(interval_text(cell.low, cell.high, cell.measured.decimals) or NOT_PRINTED)
    yield TabularCell(cell.n_text if cell.counted != "samples" else str(cell.n))
    yield TabularCell(outcome_shares(cell.told))


def _samples(cell: TableCell) -> str:
    return f"{cell.spec.task}:{cell.spec.protocol.name}"


def value_text(figure: TableCell | Group, unit: str, least: int) -> str:
    """`53.2 %`, with the digits of `figure_text`; `—` if there is none."""
    text = figure_text(figure.value, figure.low, figure.high, least)
    return text if figure.value is None else f"{text} {unit}".rstrip()


def outcome_shares(outcomes: Mapping[str, int]) -> str:
    """`correct 54 %, wrong 30 %`: shares of all samples, without outcomes that did not occur."""
    total = sum(outcomes.values())
    return ", ".join(f"{name} {_percent(count, total)}" for name, count in outcomes.items() if count)


def _percent(count: int, total: int) -> str:
    share = 100 * count / total
    return f"{share:.0f} %" if share >= 1 else f"{share:.1g} %"  # so that failures are never rounded to 0 %


def breakdowns(table: Table) -> Iterator[Tabular]:
    """Yields the figures by group and the validation curve of each cell that has them."""
    for cell in table.cells:
        title = f"{cell.model} on {cell.task}:{cell.protocol}, {cell.metric}"
        if cell.groups:
            least = cell.measured.decimals
            groups = (
                (
                    f"{name} ({unit})" if (unit := group_measure(cell, name)) else name,
                    value_text(group, cell.unit, least),
                    interval_text(group.low, group.high, least) or NOT_PRINTED,
                    str(group.n),
                )
                for name, group in cell.groups.items()
            )
            yield number_table(title, ("group", "value", "95 % interval", "n"), groups)
        curve = cell.found.get("validation_curve")
        if curve and not cell.variant:
            points = ((str(point["threshold"]), f"{point['accuracy']:.1f} %") for point in curve)
            yield number_table(
                f"{title} on the validation split, by threshold", ("threshold", "accuracy"), points
            )


def heat_maps(table: Table) -> Iterator[Tabular]:
    """Yields the figures by row and column of each cell whose task has a heat map, without variants."""
    for cell in table.cells:
        heat = cell.heat
        if heat is not None and not cell.variant:
            yield _heat_map(cell, heat)


def _heat_map(cell: TableCell, heat: Heat) -> Tabular:
    least, places = cell.measured.decimals, len(heat.rows) * len(heat.columns)

    def shown(row: str, column: str) -> TabularCell:
        group = heat.figures.get((row, column))
        if group is None:
            return TabularCell(NOT_PRINTED, "empty")
        interval = interval_text(group.low, group.high, least)
        lines = (*([interval] if interval else ()), f"n {group.n:,}")
        return TabularCell(figure_text(group.value, group.low, group.high, least), lines=lines)

    return Tabular(
        f"{cell.model} on {cell.task}:{cell.protocol}, {cell.metric}: heat map",
        (Column(heat.keys.rows, least=12), *(Column(column, "number") for column in heat.columns)),
        tuple(
            TabularRow((TabularCell(row), *(shown(row, column) for column in heat.columns)))
            for row in heat.rows
        ),
        remarks=(
            f"Rows: {heat.keys.rows}. Columns: {heat.keys.columns}. "
            f"Values{f' in {cell.unit}' if cell.unit else ''}, 95 % intervals, numbers of samples.",
            *([f"{NOT_PRINTED}: no sample was judged"] if len(heat.figures) < places else []),
        ),
    )


def number_table(
    title: str, headings: Sequence[str], rows: Iterable[Sequence[str]], *remarks: str
) -> Tabular:
    """A table whose first column is text and whose other columns are numbers."""
    first, *others = headings
    columns = (Column(first), *(Column(heading, "number") for heading in others))
    shown = tuple(TabularRow(tuple(map(TabularCell, row))) for row in rows)
    return Tabular(title, columns, shown, remarks=(*remarks, *_dashes(shown)))


def side_by_side(grid: Grid) -> Tabular:
    """A table with one row per benchmark, with printed models and runs as columns."""
    rows, section = [], ""
    for row in grid.rows:
        details = [_details(grid, cell) for cell in row.cells]
        shared = _shared([one for one, cell in zip(details, row.cells, strict=True) if cell.kind == "run"])
        cells = (
            TabularCell(
                cell.text,
                cell.kind,
                (*(() if cell.kind == "run" and shared else about), *lines),
                marks=cell.marks,
                best=cell.best,
                samples="" if cell.cell is None else _samples(cell.cell),
            )
            for cell, (about, lines) in zip(row.cells, details, strict=True)
        )
        rows.append(TabularRow((_label(row, shared), *cells), row.section if row.section != section else ""))
        section = row.section
    return Tabular(
        grid.title,
        (Column(""), *(Column(column.name, column.kind) for column in grid.columns)),
        tuple(rows),
        notes=grid.notes,
        remarks=(*grid.remarks, *grid.asides),
        signatures=grid.signatures,
        hints=grid.hints,
        id=grid.id,
        source=grid.source,
    )


def _label(row: GridRow, shared: Sequence[str]) -> TabularCell:
    """The label at the left of a row: its name, then metric, unit and direction, and what its runs share."""
    unit = f", {row.unit}" if row.unit else ""
    arrow = "" if row.target is not None else "↑" if row.higher_is_better else "↓"
    runs = (f"runs: {', '.join(shared)}",) if shared else ()
    return TabularCell(row.label, lines=(f"{row.metric}{unit} {arrow}".strip(), *runs))


Details = tuple[tuple[str, ...], tuple[str, ...]]


def _shared(runs: Sequence[Details]) -> tuple[str, ...]:
    """The protocol and n of a row's runs if all of them have the same; () if they differ or there is one."""
    return runs[0][0] if len(runs) > 1 and len({about for about, _ in runs}) == 1 else ()


def _details(grid: Grid, cell: GridCell) -> Details:
    """The lines below a cell's value: (protocol and n), and (interval, unusual outcomes).

    A run's protocol is named in full if the row's label does not name it, else only its overrides are.
    """
    if cell.kind not in ("run", "compared"):
        interval = printed_interval(cell.text, cell.low, cell.high)
        return (), tuple(line for line in (cell.protocol, interval) if line)
    asked = cell.cell.spec.protocol if cell.cell else None
    counted = f" {cell.cell.counted}" if cell.cell and cell.cell.counted != "samples" else ""
    about = (
        asked.name if asked and grid.id else "",
        asked.label.removeprefix(asked.name) if asked else "",
        f"n {cell.n:,}{counted}",
    )
    lines = [interval_text(cell.low, cell.high, cell.cell.measured.decimals if cell.cell else 0)]
    if any(n for name, n in cell.outcomes.items() if name not in ("correct", "wrong", ANSWERED)):
        lines += outcome_shares(cell.outcomes).split(", ")
    return tuple(filter(None, about)), tuple(filter(None, lines))
