"""Grids as LaTeX: a `table` each, with booktabs' rules. Compiles with pdflatex as it is."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from evalkit.report.grid import Grid, GridCell, GridRow
from evalkit.report.grid_text import details, head_to_head_lines, row_lines

_NUMBERED = re.compile(r"(?:Table|Figure) [\d.]+: ")
_NO_LABEL = re.compile(r"[^A-Za-z0-9.-]+")
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
    """`text` for pdflatex with no package: nothing in it acts, and every character is one that it has.

    Accented letters become accent commands; a character that LaTeX's standard fonts lack becomes its code
    point, `U+4E2D`. Control characters become spaces.
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


def to_latex(grids: Sequence[Grid]) -> str:
    r"""A `table` for each grid, to be read with `\input`; the packages it needs are named in a comment.

    What is wider than the text is shrunk to its width. The numbered notes are in the table's float, remarks
    and signatures follow it.
    """
    head = "% Needs, in the preamble: \\usepackage{booktabs,graphicx}"
    return "\n".join([head, *(line for grid in grids for line in _table(grid))]) + "\n"


def _table(grid: Grid) -> Iterator[str]:
    yield r"\begin{table}[htbp]"
    yield rf"\caption{{{escape(_caption(grid))}}}"
    if grid.id:
        yield rf"\label{{tab:{_NO_LABEL.sub('-', grid.id)}}}"
    yield r"\centering\footnotesize\setlength{\tabcolsep}{4pt}"
    yield r"\sbox0{%"
    yield rf"\begin{{tabular}}{{l{'r' * len(grid.columns)}}}"
    yield r"\toprule"
    yield _line(["", *(escape(column.name) for column in grid.columns)])
    yield r"\midrule"
    section = ""
    for number, row in enumerate(grid.rows):
        if number:
            yield r"\addlinespace"
        if row.section != section:
            yield rf"\multicolumn{{{len(grid.columns) + 1}}}{{l}}{{\emph{{{escape(row.section)}}}}} \\"
            section = row.section
        yield from _row(grid, row)
    yield r"\bottomrule"
    yield r"\end{tabular}}"
    yield r"\ifdim\wd0>\linewidth\resizebox{\linewidth}{!}{\usebox0}\else\usebox0\fi"
    if grid.notes:
        yield r"\par\smallskip\raggedright\scriptsize"
    for number, note in enumerate(grid.notes, 1):
        yield rf"\textsuperscript{{{number}}}\,{escape(note)}{'.' * (not note.endswith('.'))}"
    yield r"\end{table}"
    yield from _below(grid)


def _caption(grid: Grid) -> str:
    """The title without a number, for LaTeX gives its own, and where the figures are printed."""
    title = _NUMBERED.sub("", grid.title)
    title = title[:1].upper() + title[1:]
    return f"{title} (printed: {grid.source})" if grid.source else title


def _row(grid: Grid, row: GridRow) -> Iterator[str]:
    """The figures, and in small type what belongs to them."""
    name, measure = row_lines(row)
    yield _line([escape(name), *map(_figure, row.cells)])
    below = [[measure], *(details(grid, cell) for cell in row.cells)]
    for small in zip_longest(*below, fillvalue=""):
        yield _line([rf"{{\scriptsize {escape(text)}}}" if text else "" for text in small])


def _line(cells: Sequence[str]) -> str:
    # The empty group keeps a cell that begins with a bracket from being an argument of the line before.
    return "{}" + " & ".join(cells) + r" \\"


def _figure(cell: GridCell) -> str:
    text = rf"\textbf{{{escape(cell.text)}}}" if cell.best else escape(cell.text)
    marks = ",".join(map(str, cell.marks))
    return text + (rf"\textsuperscript{{{marks}}}" if marks else "")


def _below(grid: Grid) -> Iterator[str]:
    lines = [escape(line) for line in (*head_to_head_lines(grid), *grid.remarks)]
    lines += [rf"\texttt{{{_breakable(line)}}}" for line in grid.signatures]
    if lines:
        yield r"\begingroup\footnotesize\raggedright\sloppy\noindent"
        yield "\\par\\noindent\n".join(lines)
        yield r"\par\endgroup"


def _breakable(line: str) -> str:
    """A signature that may be broken after its bars."""
    return r"\textbar\allowbreak{}".join(map(escape, line.split("|")))
