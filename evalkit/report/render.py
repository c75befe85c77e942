"""A table as text: terminal, Markdown, CSV, JSON."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from evalkit.report.digits import figure_text, interval_text
from evalkit.report.table import Table, flat
from evalkit.runfile.cells import TableCell

if TYPE_CHECKING:
    from evalkit.report.grid import Grid

HEADINGS = ("benchmark", "model", "metric", "value", "95 % interval", "n", "outcomes")
_NUMBERS = ("value", "n")
_WRAPS = {"benchmark": 16, "model": 12, "metric": 10, "outcomes": 13}
"""Columns that may take several lines on a narrow terminal, and what they keep at least."""
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?%?")
_NUMBERED = re.compile(r"(\d+)[.)]")
_GITHUB = re.compile(r"(?<!\w)@(?=\w)|(?<!&)#(?=\d)|:(?=[\w+-]+:|//)|\bwww(?=\.)", re.I)
"""What GitHub makes something of: a mention, a reference to an issue, an emoji, an address."""
SUPERSCRIPTS = str.maketrans("0123456789,", "⁰¹²³⁴⁵⁶⁷⁸⁹˒")


def texts(cell: TableCell) -> tuple[str, ...]:
    """A cell's row, as words under `HEADINGS`."""
    marks = ",".join(map(str, cell.marks)).translate(SUPERSCRIPTS)
    arrow = "" if cell.higher_is_better or cell.traits.best is not None else " ↓"
    value = figure_text(cell.value, cell.low, cell.high)
    if cell.value is not None:
        value = f"{value} {cell.unit}".rstrip()
    low_high = interval_text(cell.low, cell.high) or "—"
    return (
        f"{cell.task}:{cell.protocol}",
        cell.model,
        cell.metric + arrow,
        value + marks,
        low_high,
        cell.n_text if cell.counted != "samples" else str(cell.n),
        outcome_shares(cell.told),
    )


def outcome_shares(outcomes: Mapping[str, int]) -> str:
    """`correct 54 %, wrong 30 %`: shares of all samples, those that did not occur left out."""
    total = sum(outcomes.values())
    return ", ".join(f"{name} {_percent(count, total)}" for name, count in outcomes.items() if count)


def _percent(count: int, total: int) -> str:
    share = 100 * count / total
    return f"{share:.0f} %" if share >= 1 else f"{share:.1g} %"  # never a failure rounded to 0 %


@dataclass(frozen=True, slots=True)
class Part:
    """A small table below the main one, in words. The first column is text, the others figures."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def breakdowns(table: Table) -> Iterator[Part]:
    """What people are shown besides with `Table.breakdown`: figures by group, and validation curves."""
    for cell in table.cells if table.breakdown else ():
        title = f"{cell.model} on {cell.task}:{cell.protocol}, {cell.metric}"
        if cell.groups:
            yield Part(title, ("group", "value", "95 % interval", "n"), tuple(_group_rows(cell)))
        curve = cell.found.get("validation_curve")
        if curve and not cell.variant:
            rows = tuple((str(point["threshold"]), f"{point['accuracy']:.1f} %") for point in curve)
            yield Part(f"{title} on the validation split, by threshold", ("threshold", "accuracy"), rows)


def _group_rows(cell: TableCell) -> Iterator[tuple[str, ...]]:
    for name, group in cell.groups.items():
        value = f"{figure_text(group.value, group.low, group.high)} {cell.unit}".rstrip()
        yield (name, value, interval_text(group.low, group.high) or "—", str(group.n))


def signature_lines(cells: Sequence[TableCell]) -> Iterator[str]:
    """A line a signature, each once: `gsm8k:8-shot-cot accuracy  n:1319|…|sig:1f2e3d4c`."""
    yield from dict.fromkeys(
        f"{cell.task}:{cell.protocol} {cell.metric}  {cell.signature.line()}" for cell in cells
    )


def to_terminal(table: Table, *, width: int | None = None, colour: bool = False) -> str:
    """Box-drawn, at most `width` columns wide (default: the terminal's)."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table as Box
    from rich.text import Text

    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=colour, no_color=not colour, highlight=False)
    grid = Box(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    # With one model, the title has it.
    several = len({cell.model for cell in table.cells}) > 1
    shown = [i for i, heading in enumerate(HEADINGS) if several or heading != "model"]
    for heading in (HEADINGS[i] for i in shown):
        grid.add_column(
            heading,
            justify="right" if heading in _NUMBERS else "left",
            no_wrap=heading not in _WRAPS,
            min_width=_WRAPS.get(heading),
            overflow="fold",
        )
    for cell in table.cells:
        row = texts(cell)
        grid.add_row(*(Text(printable(row[i])) for i in shown))
    console.print(Text(printable(table.title), style="bold"))
    console.print(grid)
    for number, note in enumerate(table.notes, 1):
        console.print(Text(f"{str(number).translate(SUPERSCRIPTS)} {printable(note)}"))
    out.write(breakdowns_terminal(table, width=width, colour=colour))
    for line in signature_lines(table.cells):
        console.print(Text(printable(line), style="dim"), soft_wrap=True)
    return out.getvalue()


def breakdowns_terminal(table: Table, *, width: int | None = None, colour: bool = False) -> str:
    """`breakdowns` as boxes."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table as Box
    from rich.text import Text

    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=colour, no_color=not colour, highlight=False)
    for part in breakdowns(table):
        console.print(Text(printable(part.title), style="bold"))
        inner = Box(box=SIMPLE_HEAD, pad_edge=False)
        for i, heading in enumerate(part.headings):
            inner.add_column(heading, justify="right" if i else "left")
        for words in part.rows:
            inner.add_row(*(Text(printable(word)) for word in words))
        console.print(inner)
    return out.getvalue()


def to_markdown(table: Table) -> str:
    """A GitHub table, with notes and signatures under it."""
    lines = [
        f"**{escape_markdown(table.title)}**",
        "",
        f"| {' | '.join(HEADINGS)} |",
        "|---|---|---|--:|---|--:|---|",
    ]
    lines += [f"| {' | '.join(map(escape_markdown, texts(cell)))} |" for cell in table.cells]
    lines.append("")
    lines += [
        f"{str(number).translate(SUPERSCRIPTS)} {escape_markdown(note)}  "
        for number, note in enumerate(table.notes, 1)
    ]
    if table.notes:
        lines.append("")
    lines += breakdowns_markdown(table)
    lines += [f"`{printable(line).replace('`', chr(39))}`  " for line in signature_lines(table.cells)]
    return "\n".join(lines) + "\n"


def breakdowns_markdown(table: Table) -> list[str]:
    """`breakdowns` as lines of GitHub tables."""
    lines: list[str] = []
    for part in breakdowns(table):
        lines += [f"**{escape_markdown(part.title)}**", "", f"| {' | '.join(part.headings)} |"]
        lines.append("|---|" + "--:|" * (len(part.headings) - 1))
        lines += [f"| {' | '.join(map(escape_markdown, row))} |" for row in part.rows]
        lines.append("")
    return lines


def to_csv(table: Table) -> str:
    """A line a cell; values unrounded."""
    out = io.StringIO()
    rows = [flat(cell) for cell in table.cells]
    writer = csv.DictWriter(out, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: no_formula(value) for key, value in row.items()} for row in rows)
    return out.getvalue()


def to_json(table: Table, grids: Sequence[Grid] = (), paper: str = "") -> str:
    """One document, keys as the command line's contract has them; values unrounded.

    With `grids` it has them too, and the name of the `paper` whose printed figures are in them.
    """
    document = table.as_json()
    if grids:
        document |= {"grids": [grid.as_json() for grid in grids], "paper": paper or None}
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


FORMATS: dict[str, Callable[[Table], str]] = {
    "terminal": to_terminal,
    "markdown": to_markdown,
    "csv": to_csv,
    "json": to_json,
}


def printable(text: str) -> str:
    """Without control characters: model names and errors come from elsewhere."""
    return "".join(character if character.isprintable() else " " for character in text)


def escape_markdown(text: str) -> str:
    """`text` for the inside of a line or cell of GitHub's Markdown, where nothing in it acts.

    An empty comment keeps `@name`, `#12`, `:100:` and `http://…` from being a mention, a reference, a picture
    or a link.
    """
    escaped = printable(text).replace("&", "&amp;").replace("<", "&lt;").replace("$", "&#36;")
    for character in "\\|*_`[]~":
        escaped = escaped.replace(character, "\\" + character)
    return _GITHUB.sub(r"\g<0><!-- -->", escaped)


def paragraph(text: str) -> str:
    """`escape_markdown` for a line of its own: no heading, list, rule or quotation."""
    escaped = escape_markdown(text.strip())
    number = _NUMBERED.match(escaped)
    if number:
        return f"{number[1]}\\{escaped[number.end(1) :]}"
    return "\\" + escaped if escaped[:1] in tuple("#>+-=") else escaped


def no_formula(value: Any) -> Any:
    """A text without control characters, and with a quote before it where a spreadsheet saw a formula."""
    if not isinstance(value, str):
        return value
    text = printable(value)
    if text.lstrip()[:1] not in tuple("=+-@＝＋－＠") or _NUMBER.fullmatch(text):
        return text
    return f"'{text}"
