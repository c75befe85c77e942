"""A comparison as text: terminal, Markdown, JSON; several runs in a row as a trend."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

import orjson

from evalkit.report.render import escape_markdown, printable
from evalkit.samples import JSON
from evalkit.verdicts import Benchmark, Comparison, Flip

HEADINGS = ("benchmark", "verdict", "base → head", "difference", "samples", "won:lost")
_STYLES = {"worse": "bold red", "better": "green", "no worse": "green", "not enough samples": "yellow"}
_NAME = 17
"""Characters of a benchmark's name that stay on one line, where the terminal has 80 of them."""
_SIGNS = {"worse": "✗", "better": "✓", "no worse": "✓", "not enough samples": "?"}


def texts(one: Benchmark) -> tuple[str, ...]:
    """A benchmark's row, as words under `HEADINGS`."""
    difference = one.paired.difference
    arrow = "" if one.higher_is_better else " ↓"
    shown = f"{difference.value:+.1f}"
    if math.isfinite(difference.error):
        shown += f" ({difference.low:+.1f} to {difference.high:+.1f})"
    marks = "".join(
        ("" if one.blocking else " (not blocking)", " (not asked alike)" if one.differences else "")
    )
    return (
        f"{one.name} {one.metric}{arrow}",
        f"{_SIGNS[one.verdict]} {one.words()}{marks}",
        f"{difference.base:.1f} → {difference.head:.1f} {one.unit}".rstrip(),
        shown,
        f"{one.paired.n:,}",
        f"{one.paired.wins}:{one.paired.losses}",
    )


def conclusion(comparison: Comparison) -> str:
    """One sentence: what a job says last."""
    if comparison.regressions:
        worse = ", ".join(f"{one.name} ({one.words()})" for one in comparison.regressions)
        return f"regression: {worse}"
    if comparison.incomplete:
        return f"no regression seen, but incomplete: {'; '.join(comparison.incomplete)}"
    unsettled = [one.name for one in comparison.benchmarks if one.verdict == "not enough samples"]
    if unsettled:
        return f"no regression seen; not enough samples to say more of {', '.join(unsettled)}"
    return "no regression"


def to_terminal(comparison: Comparison, *, width: int | None = None, colour: bool = False) -> str:
    """A box-drawn table, what flipped, notes and the conclusion."""
    from rich.text import Text

    console, out = _console(width, colour)
    console.print(Text(printable(f"{comparison.head} against {comparison.base}"), style="bold"))
    grid = _grid(HEADINGS, [one.name for one in comparison.benchmarks], whole="verdict")
    for one in comparison.benchmarks:
        cells = [Text(text) for text in _lines(texts(one))]
        cells[1].stylize(_STYLES[one.verdict])
        grid.add_row(*cells)
    console.print(grid)
    for one in comparison.benchmarks:
        if one.flips and one.verdict != "better":
            console.print(Text(_flipped(one), style="bold"))
            for flip in one.flips:
                console.print(Text(printable(f"  {flip_text(flip)}")), soft_wrap=True)
    for note in _notes(comparison):
        console.print(Text(printable(note)), soft_wrap=True)
    style = "bold red" if comparison.regressions else "yellow" if comparison.incomplete else "green"
    console.print(Text(printable(conclusion(comparison)), style=style), soft_wrap=True)
    return out.getvalue()


def to_markdown(comparison: Comparison) -> str:
    """For a comment on a pull request: a GitHub table, and what flipped folded away."""
    sign = "❌" if comparison.regressions else "⚠️" if comparison.incomplete else "✅"
    lines = [
        f"### {sign} {escape_markdown(conclusion(comparison))}",
        "",
        escape_markdown(f"{comparison.head} against {comparison.base}"),
        "",
        f"| {' | '.join(HEADINGS)} |",
        "|---|---|---|---|--:|--:|",
    ]
    lines += [f"| {' | '.join(map(escape_markdown, texts(one)))} |" for one in comparison.benchmarks]
    lines.append("")
    for one in comparison.benchmarks:
        if one.flips and one.verdict != "better":
            lines += [f"<details><summary>{escape_markdown(_flipped(one))}</summary>", ""]
            lines += [f"- {escape_markdown(flip_text(flip))}" for flip in one.flips]
            lines += ["", "</details>", ""]
    lines += [f"{escape_markdown(note)}  " for note in _notes(comparison)]
    return "\n".join(lines).rstrip() + "\n"


def to_json(comparison: Comparison) -> str:
    return _document(comparison.as_json())


FORMATS = {"terminal": to_terminal, "markdown": to_markdown, "json": to_json}


def trend_texts(comparisons: Sequence[Comparison]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """(headings, rows): each benchmark's figure in every run, with the verdict against the first run."""
    names = list(dict.fromkeys(one.name for comparison in comparisons for one in comparison.benchmarks))
    headings = ("benchmark", comparisons[0].base, *(comparison.head for comparison in comparisons))
    rows = []
    for name in names:
        found = [
            next((one for one in comparison.benchmarks if one.name == name), None)
            for comparison in comparisons
        ]
        first = next(one for one in found if one is not None)
        before = first.paired.difference.base
        row = [f"{name} {first.metric}", f"{before:.1f} {first.unit}".rstrip()]
        for one in found:
            if one is None:
                row.append("—")
                continue
            after = one.paired.difference.head
            row.append(f"{after:.1f} ({after - before:+.1f}) {_SIGNS[one.verdict]} {_short(one)}")
            before = after
        rows.append(tuple(row))
    return headings, rows


def trend_to_terminal(
    comparisons: Sequence[Comparison], *, width: int | None = None, colour: bool = False
) -> str:
    """A row a benchmark, a column a run, each with its change from the run before."""
    from rich.text import Text

    console, out = _console(width, colour)
    headings, rows = trend_texts(comparisons)
    grid = _grid(headings, [one.name for one in comparisons[0].benchmarks])
    for row in rows:
        grid.add_row(*map(Text, _lines(row)))
    console.print(Text("In brackets the change from the run before; verdicts are against the first."))
    console.print(grid)
    for note in dict.fromkeys(note for comparison in comparisons for note in _notes(comparison)):
        console.print(Text(printable(note)), soft_wrap=True)
    console.print(Text(printable(f"last against first: {conclusion(comparisons[-1])}"), style="bold"))
    return out.getvalue()


def trend_to_markdown(comparisons: Sequence[Comparison]) -> str:
    headings, rows = trend_texts(comparisons)
    lines = [f"| {' | '.join(map(escape_markdown, headings))} |", "|---|" + "--:|" * (len(headings) - 1)]
    lines += [f"| {' | '.join(map(escape_markdown, row))} |" for row in rows]
    lines += ["", "In brackets the change from the run before; verdicts are against the first.  "]
    lines.append(escape_markdown(f"Last against first: {conclusion(comparisons[-1])}"))
    return "\n".join(lines) + "\n"


def trend_to_json(comparisons: Sequence[Comparison]) -> str:
    return _document({"comparisons": [comparison.as_json() for comparison in comparisons]})


TRENDS = {"terminal": trend_to_terminal, "markdown": trend_to_markdown, "json": trend_to_json}


def _lines(row: Sequence[str]) -> list[str]:
    """What stands in a terminal's grid: the metric is under the benchmark's name."""
    first, *rest = map(printable, row)
    return [first.replace(" ", "\n", 1), *rest]


def _short(one: Benchmark) -> str:
    return "not enough" if one.verdict == "not enough samples" else one.verdict


def _flipped(one: Benchmark) -> str:
    plural = "sample" if one.paired.losses == 1 else "samples"
    return f"{one.name}: {one.paired.losses} {plural} worse and {one.paired.wins} better, the worst first"


def flip_text(flip: Flip) -> str:
    known = [answer or "(none)" for answer in flip.answers if answer is not None]
    answers = f": {' → '.join(known)}" if any(flip.answers) else ""
    return f"{flip.sample}  {' → '.join(flip.outcomes)} ({flip.gain:+.3g}){answers}"


def _notes(comparison: Comparison) -> list[str]:
    unlike = [
        f"{one.name} was not asked the same way: {'; '.join(one.differences)}"
        for one in comparison.benchmarks
        if one.differences
    ]
    short = [one.shortage() for one in comparison.benchmarks if one.shortage()]
    return [*comparison.notes, *unlike, *short, *comparison.incomplete]


def _console(width: int | None, colour: bool) -> tuple[Any, io.StringIO]:
    from rich.console import Console

    out = io.StringIO()
    return (
        Console(file=out, width=width, force_terminal=colour, no_color=not colour, highlight=False),
        out,
    )


def _grid(headings: Sequence[str], names: Sequence[str], *, whole: str = "") -> Any:
    """`names`: of benchmarks, not broken unless they are long. `whole`: the column that is never broken."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    short = all(len(name) <= _NAME for name in names)
    for place, heading in enumerate(headings):
        unbroken = heading == whole or (short and not place)
        grid.add_column(Text(printable(heading)), overflow="fold", no_wrap=unbroken)
    return grid


def _document(value: JSON) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()
