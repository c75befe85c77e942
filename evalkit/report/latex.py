"""Writes tables as LaTeX: floats with the rules of booktabs, ready for pdflatex in one or two columns.

No type is smaller than `\\footnotesize`. A table that is wider than the line gets columns whose texts are
broken, one with more columns or rows than a page holds is continued in another float, and its notes are
inside the floats, as threeparttable sets them. What a person only needs at the command line is a comment.
"""

from __future__ import annotations

import dataclasses
import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from evalkit.report.tabular import Tabular, TabularCell, TabularRow, printable

_NUMBERED = re.compile(r"(?:Table|Figure) [\d.]+: ")
_INSIDE = re.compile(r"(?<=[/?&=_:+–])(?=\w)")
"""The places after signs within names and intervals; LaTeX itself breaks lines after hyphens."""
_NO_LABEL = re.compile(r"[^A-Za-z0-9.:_-]+")
MOST_COLUMNS, _NARROW = 5, 3
"""The highest number of columns besides the first: across the page, and in one of two columns."""
_TEXT_WIDTH, _COLUMN_WIDTH, _CHARACTER = 345, 229, 4.3
"""The widths of article's text and column in points, and that of a character of `\\footnotesize`."""
_PAGE = 42
"""The lines of `\\footnotesize` that a page has room for, besides the caption."""
_LABEL = 0.28
"""The share of the line that the first column has if the table is as wide as the line."""
_WIDE_FLOATS = (
    r"\makeatletter\@ifundefined{table*}{%",  # beamer has no floats across columns
    r"\newenvironment{table*}[1][]{\begin{table}}{\end{table}}}{}\makeatother",
)
_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%",
    "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", '"': "{''}", "'": "'", "`": r"\textasciigrave{}",
    "-": "-{}", "[": "{[}", "]": "{]}", "*": "{*}", "?": "?{}", "!": "!{}",
    "–": "--", "—": "---", "‘": "`", "’": "'", "“": "``", "”": "''", "…": r"\ldots{}", "\u00a0": "~",
    "−": "$-$", "±": r"$\pm$", "×": r"$\times$", "÷": r"$\div$", "·": r"$\cdot$", "°": r"$^\circ$",
    "µ": r"$\mu$", "μ": r"$\mu$", "τ": r"$\tau$", "≤": r"$\leq$", "≥": r"$\geq$", "≈": r"$\approx$",
    "≠": r"$\neq$", "→": r"$\rightarrow$", "←": r"$\leftarrow$", "↑": r"$\uparrow$", "↓": r"$\downarrow$",
    "†": r"\dag{}", "‡": r"\ddag{}", "§": r"\S{}", "ß": r"\ss{}", "æ": r"\ae{}", "Æ": r"\AE{}",
    "ø": r"\o{}", "Ø": r"\O{}", "ł": r"\l{}", "Ł": r"\L{}", "ı": r"\i{}",
}  # fmt: skip
_ACCENTS = {
    "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u", "\u0307": ".",
    "\u0308": '"', "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0327": "c", "\u0323": "d", "\u0331": "b",
}  # fmt: skip


def escape(text: str) -> str:
    """Escapes `text` for pdflatex without packages: no character is a command, and the fonts have them all.

    Accented letters become accent commands; a character that LaTeX's standard fonts do not have becomes its
    code point, `U+4E2D`. Control characters become spaces.
    """
    shown = (character if character.isprintable() else " " for character in text)
    return "".join(map(_character, unicodedata.normalize("NFC", "".join(shown))))


def _character(character: str) -> str:
    if character in _SPECIAL:
        return _SPECIAL[character]
    if character.isascii():
        return character
    apart = unicodedata.normalize("NFD", character)
    base, accents = apart[0], apart[1:]
    if base.isascii() and base.isalpha() and accents and all(accent in _ACCENTS for accent in accents):
        text = base
        for accent in accents:
            text = f"\\{_ACCENTS[accent]}{{{text}}}"
        return text
    return f"U+{ord(character):04X}"


def to_latex(tables: Sequence[Tabular], *, caption: str = "", label: str = "") -> str:
    r"""One or more floats for each table, to be included with `\input`. A comment names the packages needed.

    `caption`, `label`: those of the first table; default: its title, and `tab:` with its id.
    """
    lines = ["% Needs, in the preamble: \\usepackage{booktabs,array}", *_WIDE_FLOATS]
    for number, table in enumerate(tables):
        own = (caption, label) if number == 0 else ("", "")
        lines += _floats(table, own[0] or _caption(table), own[1] or _label(table))
    return "\n".join(lines) + "\n"


def _caption(table: Tabular) -> str:
    """The title, without the number of a printed table, because LaTeX adds one, but with its source."""
    title = _NUMBERED.sub("", table.title)
    if title != table.title:
        title = title[:1].upper() + title[1:]
    return f"{title} (printed: {table.source})" if table.source else title


def _label(table: Tabular) -> str:
    return f"tab:{table.id}" if table.id else ""


def _floats(table: Tabular, caption: str, label: str) -> Iterator[str]:
    """Yields the lines of the table's floats; the first one is continued in the others, under its number."""
    parts = [part for band in _bands(table) for part in _pages(band)]
    across = _across(parts[-1])
    first, *others = _parcels(table.remarks, across, _PAGE - _lines(parts[-1]))
    floats = [[*_tabular(part), *_notes(part, ())] for part in parts[:-1]]
    floats += [[*_tabular(parts[-1]), *_notes(parts[-1], first)]]
    floats += [[r"\footnotesize\raggedright\sloppy", *map(_sentence, remarks)] for remarks in others]
    name = "table*" if any(len(part.columns) > _NARROW + 1 for part in parts) else "table"
    for number, lines in enumerate(floats):
        yield rf"\begin{{{name}}}[{'tp' if name == 'table*' else 'htbp'}]"
        if number:
            yield rf"\addtocounter{{table}}{{-1}}\caption[]{{{escape(caption)} (continued)}}"
        else:
            yield rf"\caption{{{escape(caption)}}}" + (
                rf"\label{{{_NO_LABEL.sub('-', label)}}}" if label else ""
            )
        yield r"\par\smallskip"
        yield from lines
        yield rf"\end{{{name}}}"
    yield from (f"% {printable(line)}" for line in (*table.hints, *table.signatures))


def _parcels(remarks: Sequence[str], across: float, room: float) -> list[list[str]]:
    """The remarks in parcels: what the last rows leave `room` for, in lines, then as many as fill a page."""
    parcels: list[list[str]] = [[]]
    for remark in remarks:
        if (lines := _height(remark, across)) > room:
            parcels.append([])
            room = _PAGE
        parcels[-1].append(remark)
        room -= lines
    return parcels


def _bands(table: Tabular) -> Iterator[Tabular]:
    """Yields the table in parts of as many columns as fit beside the first one, about equally many each."""
    columns = len(table.columns) - 1
    count = max(1, -(-columns // MOST_COLUMNS))
    for k in range(count):
        start, end = columns * k // count, columns * (k + 1) // count
        yield table.with_columns([0, *range(start + 1, end + 1)])


def _pages(table: Tabular) -> Iterator[Tabular]:
    """Yields the table in parts of as many rows as a page holds, with their notes."""
    page = dataclasses.replace(table, rows=())
    section = ""
    for row in table.rows:
        section = row.section or section
        more = dataclasses.replace(page, rows=(*page.rows, row))
        if page.rows and _lines(more) > _PAGE:
            yield page
            more = dataclasses.replace(page, rows=(dataclasses.replace(row, section=section),))
        page = more
    yield page


def _across(table: Tabular) -> float:
    """The number of characters on a line of the narrowest page that the float may be on."""
    return (_COLUMN_WIDTH if len(table.columns) <= _NARROW + 1 else _TEXT_WIDTH) / _CHARACTER


def _height(text: str, width: float) -> int:
    return max(1, math.ceil(len(text) / width))


def _lines(table: Tabular) -> float:
    """The lines that the rows of a float and their notes take at most."""
    across = _across(table)
    each = across * (1 - _LABEL) / max(1, len(table.columns) - 1) - 2
    widths = [across * _LABEL, *[each] * (len(table.columns) - 1)]
    lines = sum(_height(table.notes[mark - 1], across) for mark in _marks(table)) + 0.0
    for row in table.rows:
        texts = zip_longest(*((cell.whole, *cell.lines) for cell in row.cells), fillvalue="")
        lines += sum(max(map(_height, line, widths)) for line in texts) + 0.5 + bool(row.section)
    return lines


def _marks(table: Tabular) -> list[int]:
    return sorted({mark for row in table.rows for cell in row.cells for mark in cell.marks})


def _tabular(table: Tabular) -> Iterator[str]:
    """Yields the table with columns as wide as their texts, or, if that is wider than the line, narrower."""
    others = table.columns[1:]
    yield r"\centering\footnotesize\setlength{\tabcolsep}{4pt}"
    yield r"\def\evalkitrows{%"
    yield r"\toprule"
    yield _line([_breakable(column.text) for column in table.columns])
    yield r"\midrule"
    for number, row in enumerate(table.rows):
        if number:
            yield r"\addlinespace"
        if row.section:
            span = rf"\multicolumn{{{len(table.columns)}}}{{@{{}}l}}"
            yield rf"{span}{{\emph{{{escape(row.section)}}}}} \tabularnewline"
        yield from _row(row)
    yield r"\bottomrule}"
    kinds = "".join("l" if one.kind == "text" else "r" for one in others)
    yield rf"\sbox0{{\begin{{tabular}}{{@{{}}l{kinds}@{{}}}}\evalkitrows\end{{tabular}}}}"
    yield r"\ifdim\wd0>\linewidth\setlength{\tabcolsep}{3pt}"
    rest = rf"\dimexpr({1 - _LABEL:g}\linewidth-{2 * len(others)}\tabcolsep)/{max(1, len(others))}\relax"
    narrow = "".join(
        rf">{{\ragged{'right' if one.kind == 'text' else 'left'}\arraybackslash}}p{{{rest}}}"
        for one in others
    )
    yield (
        rf"\sbox0{{\begin{{tabular}}{{@{{}}>{{\raggedright\arraybackslash}}p{{{_LABEL:g}\linewidth}}{narrow}@{{}}}}"
        r"\evalkitrows\end{tabular}}"
    )
    yield r"\fi\usebox0"


def _row(row: TabularRow) -> Iterator[str]:
    """Yields the line of the figures, then the lines below them."""
    yield _line(list(map(_figure, row.cells)))
    for small in zip_longest(*(cell.lines for cell in row.cells), fillvalue=""):
        yield _line(list(map(_breakable, small)))


def _line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \tabularnewline"


def _figure(cell: TabularCell) -> str:
    text = _breakable(cell.whole)
    marks = ",".join(map(str, cell.marks))
    return (rf"\textbf{{{text}}}" if cell.best else text) + (rf"\textsuperscript{{{marks}}}" if marks else "")


def _notes(table: Tabular, remarks: Sequence[str]) -> Iterator[str]:
    """Yields the notes to which the cells refer, and the remarks, below the table and as wide."""
    texts = [rf"\textsuperscript{{{mark}}}\,{_sentence(table.notes[mark - 1])}" for mark in _marks(table)]
    texts += map(_sentence, remarks)
    if texts:
        yield r"\par\smallskip"
        yield r"\parbox{\ifdim\wd0<.7\linewidth .7\linewidth\else\wd0\fi}{\footnotesize\raggedright\sloppy"
        yield from texts
        yield "}"


def _sentence(text: str) -> str:
    return _breakable(text) + "." * (not text.endswith("."))


def _breakable(text: str) -> str:
    """The text, escaped, that LaTeX may also break after the signs in names and intervals."""
    return r"\allowbreak{}".join(map(escape, _INSIDE.split(text)))
