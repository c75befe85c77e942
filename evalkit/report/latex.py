"""Writes tables as LaTeX: one `table` each, with the rules of booktabs, ready for pdflatex."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from evalkit.report.tabular import Tabular, TabularCell, TabularRow

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


def to_latex(tables: Sequence[Tabular]) -> str:
    r"""One LaTeX `table` per table, to be included with `\input`. A comment names the packages needed.

    A table that is wider than the text is shrunk to its width. The numbered notes are in the table's float;
    remarks and signatures follow it.
    """
    head = "% Needs, in the preamble: \\usepackage{booktabs,graphicx}"
    return "\n".join([head, *(line for table in tables for line in _table(table))]) + "\n"


def _table(table: Tabular) -> Iterator[str]:
    yield r"\begin{table}[htbp]"
    yield rf"\caption{{{escape(_caption(table))}}}"
    if table.id:
        yield rf"\label{{tab:{_NO_LABEL.sub('-', table.id)}}}"
    yield r"\centering\footnotesize\setlength{\tabcolsep}{4pt}"
    yield r"\sbox0{%"
    yield rf"\begin{{tabular}}{{{''.join('l' if one.kind == 'text' else 'r' for one in table.columns)}}}"
    yield r"\toprule"
    yield _line([escape(column.text) for column in table.columns])
    yield r"\midrule"
    for number, row in enumerate(table.rows):
        if number:
            yield r"\addlinespace"
        if row.section:
            yield rf"\multicolumn{{{len(table.columns)}}}{{l}}{{\emph{{{escape(row.section)}}}}} \\"
        yield from _row(row)
    yield r"\bottomrule"
    yield r"\end{tabular}}"
    yield r"\ifdim\wd0>\linewidth\resizebox{\linewidth}{!}{\usebox0}\else\usebox0\fi"
    if table.notes:
        yield r"\par\smallskip\raggedright\scriptsize"
    for number, note in enumerate(table.notes, 1):
        yield rf"\textsuperscript{{{number}}}\,{escape(note)}{'.' * (not note.endswith('.'))}"
    yield r"\end{table}"
    yield from _below(table)


def _caption(table: Tabular) -> str:
    """The title without its number, because LaTeX adds one, and the source of the printed figures."""
    title = _NUMBERED.sub("", table.title)
    title = title[:1].upper() + title[1:]
    return f"{title} (printed: {table.source})" if table.source else title


def _row(row: TabularRow) -> Iterator[str]:
    """Yields the line of the figures, then the lines below them in small type."""
    yield _line(list(map(_figure, row.cells)))
    for small in zip_longest(*(cell.lines for cell in row.cells), fillvalue=""):
        yield _line([rf"{{\scriptsize {escape(text)}}}" if text else "" for text in small])


def _line(cells: Sequence[str]) -> str:
    # Without the empty group, LaTeX would read a cell that begins with a bracket as an argument of the `\\`
    # on the line before.
    return "{}" + " & ".join(cells) + r" \\"


def _figure(cell: TabularCell) -> str:
    text = rf"\textbf{{{escape(cell.whole)}}}" if cell.best else escape(cell.whole)
    marks = ",".join(map(str, cell.marks))
    return text + (rf"\textsuperscript{{{marks}}}" if marks else "")


def _below(table: Tabular) -> Iterator[str]:
    lines = list(map(escape, table.remarks))
    lines += [rf"\texttt{{{_breakable(line)}}}" for line in table.signatures]
    if lines:
        yield r"\begingroup\footnotesize\raggedright\sloppy\noindent"
        yield "\\par\\noindent\n".join(lines)
        yield r"\par\endgroup"


def _breakable(line: str) -> str:
    """A signature that LaTeX may break after its bars."""
    return r"\textbar\allowbreak{}".join(map(escape, line.split("|")))
