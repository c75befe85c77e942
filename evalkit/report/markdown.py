"""Writes tables in GitHub's Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from evalkit.report.tabular import Tabular, TabularCell, printable

_NUMBERED = re.compile(r"(\d+)[.)]")
_GITHUB = re.compile(r"(?<!\w)@(?=\w)|(?<!&)#(?=\d)|:(?=[\w+-]+:|//)|\bwww(?=\.)", re.I)
"""Texts that GitHub turns into something else: a mention, a reference to an issue, an emoji, a link."""
COMMENT = 65_536
"""The highest number of characters of a comment on GitHub."""
_FEW = 5
"""The highest number of notes and signatures that are not folded."""
_MARKS = {"good": "✅", "bad": "❌", "doubt": "⚠️", "": ""}


def to_markdown(tables: Sequence[Tabular]) -> str:
    """The tables, each with its notes and signatures below it. A conclusion comes first, for comments."""
    return "\n\n".join("\n".join(_lines(table)).rstrip() for table in tables) + "\n"


def _lines(table: Tabular) -> Iterator[str]:
    title = escape_markdown(table.title.strip())
    if conclusion := table.conclusion:
        yield from (f"### {_MARKS[conclusion.style]} {escape_markdown(conclusion.text)}", "")
    if title:
        yield from (title if table.conclusion else f"**{title}**", "")
    yield f"| {' | '.join(escape_markdown(column.text) for column in table.columns)} |"
    yield f"|{'|'.join('---' if column.kind == 'text' else '--:' for column in table.columns)}|"
    for row in table.rows:
        if row.section:
            yield f"| *{escape_markdown(row.section)}* |" + "  |" * (len(table.columns) - 1)
        yield f"| {' | '.join(map(_cell, row.cells))} |"
    yield ""
    notes = [f"{number} {escape_markdown(note)}  " for number, note in table.numbered_notes()]
    yield from notes if len(notes) <= _FEW else _folded(f"{len(notes)} notes", notes)
    for remark in (*table.remarks, *table.hints):
        yield f"{paragraph(remark)}  "
    for fold in table.folds:
        yield from _folded(escape_markdown(fold.title), [f"- {escape_markdown(line)}" for line in fold.lines])
    for statement in table.statements:
        yield f"{paragraph(statement)}  "
    signatures = [f"`{printable(line).replace('`', chr(39))}`  " for line in table.signatures]
    yield from signatures if len(signatures) <= _FEW else _folded("Signatures", signatures)


def _folded(title: str, lines: Sequence[str]) -> Iterator[str]:
    yield from (f"<details><summary>{title}</summary>", "", *lines, "", "</details>", "")


def _cell(cell: TabularCell) -> str:
    text = escape_markdown(cell.whole)
    head = (f"**{text}**" if cell.best else text) + cell.superscripts
    return "<br>".join([head, *map(escape_markdown, cell.lines)])


def escape_markdown(text: str) -> str:
    """Escapes `text` for the inside of a line or cell of GitHub's Markdown, so that it has no effect there.

    An empty comment keeps `@name`, `#12`, `:100:` and `http://…` from becoming a mention, a reference, a
    picture or a link.
    """
    escaped = printable(text).replace("&", "&amp;").replace("<", "&lt;").replace("$", "&#36;")
    for character in "\\|*_`[]~":
        escaped = escaped.replace(character, "\\" + character)
    return _GITHUB.sub(r"\g<0><!-- -->", escaped)


def paragraph(text: str) -> str:
    """Escapes `text` for a line of its own: it cannot become a heading, list, rule or quotation either."""
    escaped = escape_markdown(text.strip())
    number = _NUMBERED.match(escaped)
    if number:
        return f"{number[1]}\\{escaped[number.end(1) :]}"
    return "\\" + escaped if escaped[:1] in tuple("#>+-=") else escaped
