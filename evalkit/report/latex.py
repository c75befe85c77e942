"""Grids as LaTeX: a `table` each, with booktabs' rules. Compiles with pdflatex as it is."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence

from evalkit.report.grid import Grid, GridCell, GridRow, interval_text

_WIDE = 5
"""Grids of more columns are shrunk to the width of the text."""
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
    r"""A `table` for each grid, to be read with `\input`; the packages it needs are named in a comment."""
    head = ["% Needs, in the preamble: \\usepackage{booktabs}"]
    if any(len(grid.columns) > _WIDE for grid in grids):
        head.append("%                         \\usepackage{graphicx}")
    return "\n".join([*head, *(line for grid in grids for line in _table(grid))]) + "\n"


def _table(grid: Grid) -> Iterator[str]:
    wide = len(grid.columns) > _WIDE
    yield r"\begin{table}[tbp]"
    yield rf"\caption{{{escape(grid.title)}}}"
    yield r"\centering\small"
    if wide:
        yield r"\resizebox{\linewidth}{!}{%"
    yield rf"\begin{{tabular}}{{l{'r' * len(grid.columns)}}}"
    yield r"\toprule"
    yield _line(["", *(escape(column.name) for column in grid.columns)])
    yield r"\midrule"
    section = ""
    for row in grid.rows:
        if row.section != section:
            yield rf"\multicolumn{{{len(grid.columns) + 1}}}{{l}}{{\emph{{{escape(row.section)}}}}} \\"
            section = row.section
        yield from _row(row)
    yield r"\bottomrule"
    yield r"\end{tabular}" + ("}" if wide else "")
    yield from _below(grid)
    yield r"\end{table}"


def _row(row: GridRow) -> Iterator[str]:
    """Two lines: the figures, and in small type what belongs to them."""
    arrow = r"$\uparrow$" if row.higher_is_better else r"$\downarrow$"
    unit = f", {row.unit}" if row.unit else ""
    yield _line([escape(row.label), *map(_figure, row.cells)])
    small = [f"{escape(row.metric + unit)} {arrow}", *map(_detail, row.cells)]
    yield _line([rf"{{\footnotesize {text}}}" if text else "" for text in small])


def _line(cells: Sequence[str]) -> str:
    # The empty group keeps a cell that begins with a bracket from being an argument of the line before.
    return "{}" + " & ".join(cells) + r" \\"


def _figure(cell: GridCell) -> str:
    text = rf"\textbf{{{escape(cell.text)}}}" if cell.best else escape(cell.text)
    marks = ",".join(map(str, cell.marks))
    return text + (rf"\textsuperscript{{{marks}}}" if marks else "")


def _detail(cell: GridCell) -> str:
    if cell.kind != "run":
        return escape(cell.protocol)
    between = interval_text(cell.low, cell.high)
    return escape(", ".join(filter(None, (between, f"n {cell.n:,}"))))


def _below(grid: Grid) -> Iterator[str]:
    yield r"\par\medskip\raggedright\footnotesize"
    for number, note in enumerate(grid.notes, 1):
        yield rf"\textsuperscript{{{number}}} {escape(note)}\par"
    for remark in grid.remarks:
        yield rf"{escape(remark)}\par"
    for line in grid.signatures:
        yield rf"{{\ttfamily\sloppy {_breakable(line)}\par}}"


def _breakable(line: str) -> str:
    """A signature that may be broken after its bars."""
    return r"\textbar\allowbreak{}".join(map(escape, line.split("|")))
