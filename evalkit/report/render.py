"""A table as text: terminal, Markdown, CSV, JSON, HTML."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from importlib import resources
from typing import Any

import orjson

from evalkit.report.table import Table, TableCell, flat
from evalkit.store import OUTCOMES

HEADINGS = ("benchmark", "model", "metric", "value", "95 % interval", "n", "outcomes")
_NUMBERS = ("value", "n")
_WRAPS = {"benchmark": 14, "model": 12, "outcomes": 18}
"""Columns that may take several lines on a narrow terminal, and what they keep at least."""
_SUPERSCRIPTS = str.maketrans("0123456789,", "⁰¹²³⁴⁵⁶⁷⁸⁹˒")


def texts(cell: TableCell) -> tuple[str, ...]:
    """A cell's row, as words under `HEADINGS`."""
    marks = ",".join(map(str, cell.marks)).translate(_SUPERSCRIPTS)
    arrow = "" if cell.higher_is_better else " ↓"
    value = "—" if cell.value is None else f"{cell.value:.1f} {cell.unit}".rstrip()
    low_high = "—" if cell.low is None else f"{cell.low:.1f}–{cell.high:.1f}"
    return (
        f"{cell.task}:{cell.protocol}",
        cell.model,
        cell.metric + arrow,
        value + marks,
        low_high,
        str(cell.n),
        outcome_shares(cell.outcomes),
    )


def outcome_shares(outcomes: dict[str, int]) -> str:
    """`correct 54 %, wrong 30 %`: shares of all samples, those that did not occur left out."""
    total = sum(outcomes.values())
    return ", ".join(f"{name} {_percent(outcomes[name], total)}" for name in OUTCOMES if outcomes[name])


def _percent(count: int, total: int) -> str:
    share = 100 * count / total
    return f"{share:.0f} %" if share >= 1 else f"{share:.1g} %"  # never a failure rounded to 0 %


def signature_lines(cells: Sequence[TableCell]) -> Iterator[str]:
    """A line a signature, each once: `gsm8k:8-shot-cot accuracy  n:1319|…|sig:1f2e3d4c`."""
    yield from dict.fromkeys(
        f"{cell.task}:{cell.protocol} {cell.metric}  {cell.signature.line()}" for cell in cells
    )


def to_terminal(table: Table, *, width: int | None = None, colour: bool = False) -> str:
    """Box-drawn, at most `width` columns wide (default: the terminal's)."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table as Grid
    from rich.text import Text

    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=colour, no_color=not colour, highlight=False)
    grid = Grid(box=SIMPLE_HEAD, pad_edge=False)
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
        grid.add_row(*(Text(_plain(row[i])) for i in shown))
    console.print(Text(_plain(table.title), style="bold"))
    console.print(grid)
    for number, note in enumerate(table.notes, 1):
        console.print(Text(f"{str(number).translate(_SUPERSCRIPTS)} {_plain(note)}"))
    for line in signature_lines(table.cells):
        console.print(Text(_plain(line), style="dim"), soft_wrap=True)
    return out.getvalue()


def to_markdown(table: Table) -> str:
    """A GitHub table, with notes and signatures under it."""
    lines = [
        f"**{_markdown(table.title)}**",
        "",
        f"| {' | '.join(HEADINGS)} |",
        "|---|---|---|--:|---|--:|---|",
    ]
    lines += [f"| {' | '.join(map(_markdown, texts(cell)))} |" for cell in table.cells]
    lines.append("")
    lines += [
        f"{str(number).translate(_SUPERSCRIPTS)} {_markdown(note)}  "
        for number, note in enumerate(table.notes, 1)
    ]
    if table.notes:
        lines.append("")
    lines += [f"`{_plain(line).replace('`', chr(39))}`  " for line in signature_lines(table.cells)]
    return "\n".join(lines) + "\n"


def to_csv(table: Table) -> str:
    """A line a cell; values unrounded."""
    out = io.StringIO()
    rows = [flat(cell) for cell in table.cells]
    writer = csv.DictWriter(out, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _csv(value) for key, value in row.items()} for row in rows)
    return out.getvalue()


def to_json(table: Table) -> str:
    """One document, keys as the command line's contract has them; values unrounded."""
    return orjson.dumps(table.as_json(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def to_html(table: Table) -> str:
    """One page without scripts or anything from elsewhere; every text escaped."""
    import jinja2

    source = resources.files("evalkit.report").joinpath("table.html.j2").read_text("utf-8")
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(source)
    return template.render(
        table=table,
        headings=HEADINGS,
        rows=[texts(cell) for cell in table.cells],
        signatures=list(signature_lines(table.cells)),
    )


FORMATS: dict[str, Callable[[Table], str]] = {
    "terminal": to_terminal,
    "markdown": to_markdown,
    "csv": to_csv,
    "json": to_json,
    "html": to_html,
}


def _plain(text: str) -> str:
    """Without control characters: model names and errors come from elsewhere."""
    return "".join(character if character.isprintable() else " " for character in text)


def _markdown(text: str) -> str:
    escaped = _plain(text).replace("&", "&amp;").replace("<", "&lt;")
    for character in "\\|*_`[]":
        escaped = escaped.replace(character, "\\" + character)
    return escaped


def _csv(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula gets a quote before it."""
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and value else value
