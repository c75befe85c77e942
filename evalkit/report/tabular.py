"""One table, whatever it is of: what every format draws. Each format has one renderer.

`evalkit.report.tabulate` and `evalkit.report.comparison` make them; `terminal`, `markdown`, `latex` and
`html` draw them. Texts come as they are: each renderer sees to it that nothing in them acts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

_SUPERSCRIPTS = str.maketrans("0123456789,", "⁰¹²³⁴⁵⁶⁷⁸⁹˒")
Style = Literal["", "good", "bad", "doubt"]
_FIGURES = ("run", "printed", "compared")


@dataclass(frozen=True, slots=True)
class Cell:
    """`lines`: below its text, in small letters. `marks`: numbers of the table's notes.

    `more`: goes on after the text, each part on a line of its own where a terminal is narrow. `best`: of its
    row. `kind`: as of `evalkit.report.grid.GridCell`, or "text".
    """

    text: str
    kind: Literal["text", "run", "printed", "compared", "empty"] = "text"
    lines: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    marks: tuple[int, ...] = ()
    best: bool = False
    style: Style = ""

    @property
    def whole(self) -> str:
        """The text on one line."""
        return " ".join((self.text, *self.more))

    @property
    def superscripts(self) -> str:
        return superscript(",".join(map(str, self.marks)))


@dataclass(frozen=True, slots=True)
class Row:
    """A cell a column, the first of which says what the row is of. `section`: a heading over it, if any."""

    cells: tuple[Cell, ...]
    section: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """`kind`: "run", "printed" and "compared" over figures of such cells, "number" over other figures.

    In a terminal: `unbroken` keeps its lines whole, `least` is how narrow it may become, and `spare` leaves
    it out, for the title says it too.
    """

    text: str
    kind: Literal["text", "number", "run", "printed", "compared"] = "text"
    unbroken: bool = False
    least: int | None = None
    spare: bool = False


@dataclass(frozen=True, slots=True)
class Fold:
    """Lines that belong to one row, and are folded away where a format can."""

    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The sentence that counts most."""

    text: str
    style: Style


@dataclass(frozen=True, slots=True)
class Tabular:
    """`notes`: numbered from 1, cells refer to them. `remarks`: what holds for the whole table.

    `statements`: sentences that are never broken, for logs are searched for them. `signatures`: a line each.
    `id`, `source`: of a printed table, its name and where it is printed.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    folds: tuple[Fold, ...] = ()
    statements: tuple[str, ...] = ()
    signatures: tuple[str, ...] = ()
    conclusion: Conclusion | None = None
    id: str = ""
    source: str = ""

    @property
    def side_by_side(self) -> bool:
        """Whether its columns are models, of which there may be more than fit beside each other."""
        return any(column.kind in _FIGURES for column in self.columns)

    def numbered_notes(self) -> Iterator[tuple[str, str]]:
        """(number as the cells have it, note)."""
        return ((superscript(str(number)), note) for number, note in enumerate(self.notes, 1))

    def with_columns(self, order: Sequence[int]) -> Tabular:
        """With these of its columns, in this order."""
        rows = tuple(dataclasses.replace(row, cells=tuple(row.cells[i] for i in order)) for row in self.rows)
        return dataclasses.replace(self, columns=tuple(self.columns[i] for i in order), rows=rows)


def superscript(numbers: str) -> str:
    """`1,2` as it stands above a line."""
    return numbers.translate(_SUPERSCRIPTS)


def printable(text: str) -> str:
    """Without control characters: model names and errors come from elsewhere."""
    return "".join(character if character.isprintable() else " " for character in text)


def cleaned(table: Tabular) -> Tabular:
    """The table with every text `printable`."""
    found: Tabular = _cleaned(table)
    return found


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, tuple):
        return tuple(map(_cleaned, value))
    if isinstance(value, Tabular | Column | Row | Cell | Fold | Conclusion):
        parts = {field.name: _cleaned(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return dataclasses.replace(value, **parts)
    return value
