"""The common form of every table, which each format draws with one renderer.

`evalkit.report.tabulate` and `evalkit.report.comparison` make these tables; `terminal`, `markdown`, `latex`
and `html` draw them. Their texts are not escaped: each renderer does that for its format.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

_SUPERSCRIPTS = str.maketrans("0123456789,", "⁰¹²³⁴⁵⁶⁷⁸⁹˒")
Style = Literal["", "good", "bad", "doubt"]
_FIGURES = ("run", "printed", "compared")


@dataclass(frozen=True, slots=True)
class TabularCell:
    """A cell of a table. `lines`: lines below the text, in small letters. `marks`: numbers of the notes.

    `more`: the rest of the text; in a narrow terminal each part is on a line of its own. `best`: whether it
    is the best of its row. `kind`: as in `evalkit.report.grid.GridCell`, or "text". `samples`: of a run's
    figure, the `task:protocol` whose samples it is made of. `href`: in HTML, the page that the text leads to.
    """

    text: str
    kind: Literal["text", "run", "printed", "compared", "empty"] = "text"
    lines: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    marks: tuple[int, ...] = ()
    best: bool = False
    style: Style = ""
    samples: str = ""
    href: str = ""

    @property
    def whole(self) -> str:
        """The text on one line."""
        return " ".join((self.text, *self.more))

    @property
    def superscripts(self) -> str:
        return superscript(",".join(map(str, self.marks)))


@dataclass(frozen=True, slots=True)
class TabularRow:
    """One cell per column; the first is the label of the row. `section`: the heading above it, if any.

    `id`: by which a script finds it in HTML.
    """

    cells: tuple[TabularCell, ...]
    section: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A column's heading and kind: "run", "printed" or "compared" like its cells, "number" for other figures.

    In a terminal: `unbroken` keeps its lines whole, `least` is its smallest width, and `spare` leaves it out
    because the title says the same.
    """

    text: str
    kind: Literal["text", "number", "run", "printed", "compared"] = "text"
    unbroken: bool = False
    least: int | None = None
    spare: bool = False


@dataclass(frozen=True, slots=True)
class Fold:
    """Lines that belong to one row. Formats that can fold them do so."""

    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The most important sentence of a table. `unbroken`: on one line, so that a search in a log finds it."""

    text: str
    style: Style
    unbroken: bool = True


@dataclass(frozen=True, slots=True)
class Tabular:
    """A table. `notes`: numbered from 1; cells refer to them. `remarks`: sentences about the whole table.

    `statements`: sentences that are never broken, so that a search in a log finds them. `signatures`: one
    line each. `hints`: how to see what is left out. `id`, `source`: the name of a printed table, and where it
    is printed.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[TabularRow, ...]
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    folds: tuple[Fold, ...] = ()
    statements: tuple[str, ...] = ()
    signatures: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    conclusion: Conclusion | None = None
    id: str = ""
    source: str = ""

    @property
    def side_by_side(self) -> bool:
        """Whether its columns are models. There may be more of them than fit beside each other."""
        return any(column.kind in _FIGURES for column in self.columns)

    def numbered_notes(self) -> Iterator[tuple[str, str]]:
        """Yields (number as the cells show it, note)."""
        return ((superscript(str(number)), note) for number, note in enumerate(self.notes, 1))

    def with_columns(self, order: Sequence[int]) -> Tabular:
        """The table with only the columns at these positions, in this order."""
        rows = tuple(dataclasses.replace(row, cells=tuple(row.cells[i] for i in order)) for row in self.rows)
        return dataclasses.replace(self, columns=tuple(self.columns[i] for i in order), rows=rows)


def superscript(numbers: str) -> str:
    """The numbers `1,2` as superscripts."""
    return numbers.translate(_SUPERSCRIPTS)


def parts(name: str) -> list[str]:
    """The parts between which a name may be broken: after spaces and signs, not within words and numbers."""
    return re.findall(r"[^\s/?&=_:,+–-]*[\s/?&=_:,+–-]+|[^\s/?&=_:,+–-]+$", name)


def printable(text: str) -> str:
    """The text with spaces for control characters, which names of models and errors may contain."""
    return "".join(character if character.isprintable() else " " for character in text)


def cleaned(table: Tabular) -> Tabular:
    """The table with every text `printable`."""
    result: Tabular = _cleaned(table)
    return result


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, tuple):
        return tuple(map(_cleaned, value))
    if isinstance(value, Tabular | Column | TabularRow | TabularCell | Fold | Conclusion):
        parts = {field.name: _cleaned(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return dataclasses.replace(value, **parts)
    return value
