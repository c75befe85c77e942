"""A comparison as text: terminal, Markdown, JSON; several runs in a row as a trend."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

import orjson

from evalkit.compare.verdicts import DIFFERENT, INCOMPLETE, Benchmark, Comparison, Flip, Unmeasured
from evalkit.report.render import escape_markdown, printable
from evalkit.runfile.records import ANSWERED
from evalkit.samples import JSON

HEADINGS = ("benchmark", "verdict", "base → head", "difference", "samples", "won:lost")
_STYLES = {"worse": "bold red", "better": "green", "no worse": "green", "no change seen": "green"}
_NAME = 17
"""Characters of a benchmark's name that stay on one line, where the terminal has 80 of them."""
_VERDICT, _WIDE = 24, 100
"""Characters of a verdict that do, and those of a terminal where longer ones do too."""
_JUDGED = ("correct", "wrong", ANSWERED)
"""Outcomes that a figure says more of than their names do."""
_SIGNS = {"worse": "✗", "better": "✓", "no worse": "✓", "no change seen": "✓"}
_SHORT = {"not enough samples": "not enough", "not enough clusters": "not enough"}


def texts(one: Benchmark | Unmeasured) -> tuple[str, ...]:
    """A benchmark's row, as words under `HEADINGS`."""
    marks = "" if one.blocking else " (not blocking)"
    if isinstance(one, Unmeasured):
        return (one.name, f"{sign(one)} {one.status}{marks}", *["—"] * (len(HEADINGS) - 2))
    difference = one.paired.difference
    arrow = "" if one.higher_is_better else " ↓"
    shown = f"{difference.value:+.1f}"
    if math.isfinite(difference.error):
        shown += f" ({one.low:+.1f} to {one.high:+.1f})"
    marks += " (incomplete)" if one.problems else ""
    marks += " (not asked alike)" if one.differences else ""
    return (
        f"{one.name} {one.metric}{arrow}",
        f"{sign(one)} {one.words()}{marks}",
        f"{difference.base:.1f} → {difference.head:.1f} {one.unit}".rstrip(),
        shown,
        f"{one.paired.n:,}",
        f"{one.paired.wins}:{one.paired.losses}",
    )


def sign(one: Benchmark | Unmeasured) -> str:
    """How a benchmark stands: ✗ worse, ✓ passed, ! refused or incomplete, ? unsettled, – nothing to say."""
    if isinstance(one, Benchmark) and one.verdict == "worse":
        return "✗"
    if one.problems:
        return "!"
    return _SIGNS.get(one.verdict, "?") if isinstance(one, Benchmark) else "–"


def _style(one: Benchmark | Unmeasured) -> str:
    if one.problems and not (isinstance(one, Benchmark) and one.verdict == "worse"):
        return "yellow"
    return _STYLES.get(one.verdict, "yellow") if isinstance(one, Benchmark) else ""


def rows(comparison: Comparison) -> tuple[Benchmark | Unmeasured, ...]:
    """Every benchmark that the comparison has to say something of, those with a verdict first."""
    return (*comparison.benchmarks, *comparison.unmeasured)


def conclusion(comparison: Comparison) -> str:
    """One sentence: what a job says last. Everything that keeps it from passing is in it."""
    said = []
    if comparison.regressions:
        worse = ", ".join(f"{one.name} ({one.words()})" for one in comparison.regressions)
        said.append(f"regression: {worse}")
    elif comparison.problems:
        said.append("no regression seen, but")
    for code, what in ((DIFFERENT, ""), (INCOMPLETE, "incomplete: ")):
        found = [
            f"{name}: {problem.words}" if name else problem.words
            for name, problem in comparison.problems
            if problem.code == code
        ]
        if found:
            said.append(f"{what}{'; '.join(found)}")
    if said:
        first, *rest = said
        joint = " " if first.endswith("but") else "; "
        return joint.join([first, "; ".join(rest)]) if rest else first
    unsettled = [one.name for one in comparison.benchmarks if one.verdict.startswith("not enough")]
    if unsettled:
        return f"no regression seen; not enough samples to say more of {', '.join(unsettled)}"
    return "no regression"


def explained(comparison: Comparison) -> str:
    """What the intervals and the p values are, in a sentence."""
    count = len(comparison.benchmarks)
    if not any(math.isfinite(one.paired.difference.error) for one in comparison.benchmarks):
        return ""
    whole = f"{100 * (1 - comparison.alpha):.4g} %"
    if count == 1:
        return f"Interval: {whole}."
    each = f"{100 * comparison.benchmarks[0].confidence:.4g} %"
    return (
        f"Intervals: {each} each, so that all {count} hold with {whole}; "
        f"p values are adjusted likewise, times {count}."
    )


def to_terminal(comparison: Comparison, *, width: int | None = None, colour: bool = False) -> str:
    """A box-drawn table, what flipped, notes and the conclusion."""
    from rich.text import Text

    console, out = _console(width, colour)
    console.print(Text(printable(f"{comparison.head} against {comparison.base}"), style="bold"))
    grid = _grid(HEADINGS, [one.name for one in rows(comparison)], whole="verdict")
    for one in rows(comparison):
        name, verdict, *rest = _lines(texts(one))
        if len(verdict) > _VERDICT and console.width < _WIDE:
            verdict = (
                verdict.replace(", p ", ",\np ", 1).replace(" (not ", "\n(not ").replace(" (inc", "\n(inc")
            )
        grid.add_row(Text(name), Text(verdict, style=_style(one)), *map(Text, rest))
    console.print(grid)
    for one in comparison.benchmarks:
        if one.flips and one.verdict != "better":
            console.print(Text(_flipped(one), style="bold"))
            for flip in one.flips:
                console.print(Text(printable(f"  {flip_text(flip)}")), soft_wrap=True)
    for note in _notes(comparison):
        console.print(Text(printable(note)), soft_wrap=True)
    style = "bold red" if comparison.regressions else "yellow" if comparison.exit_code else "green"
    console.print(Text(printable(conclusion(comparison)), style=style), soft_wrap=True)
    return out.getvalue()


def to_markdown(comparison: Comparison) -> str:
    """For a comment on a pull request: a GitHub table, and what flipped folded away."""
    mark = "❌" if comparison.regressions else "⚠️" if comparison.exit_code else "✅"
    lines = [
        f"### {mark} {escape_markdown(conclusion(comparison))}",
        "",
        escape_markdown(f"{comparison.head} against {comparison.base}"),
        "",
        f"| {' | '.join(HEADINGS)} |",
        "|---|---|---|---|--:|--:|",
    ]
    lines += [f"| {' | '.join(map(escape_markdown, texts(one)))} |" for one in rows(comparison)]
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
    headings = ("benchmark", comparisons[0].base, *(comparison.head for comparison in comparisons))
    held = [{one.name: one for one in rows(comparison)} for comparison in comparisons]
    shown = []
    for name in dict.fromkeys(name for found in held for name in found):
        before, row = None, [name, "—"]
        for one in (found.get(name) for found in held):
            if not isinstance(one, Benchmark):
                row.append(f"{sign(one)} {one.status}" if one else "—")
                continue
            if before is None:
                before = one.paired.difference.base
                row[:2] = f"{name} {one.metric}", f"{before:.1f} {one.unit}".rstrip()
            after = one.paired.difference.head
            verdict = _SHORT.get(one.verdict, one.verdict)
            row.append(f"{after:.1f} ({after - before:+.1f}) {sign(one)} {verdict}")
            before = after
        shown.append(tuple(row))
    return headings, shown


def trend_to_terminal(
    comparisons: Sequence[Comparison], *, width: int | None = None, colour: bool = False
) -> str:
    """A row a benchmark, a column a run, each with its change from the run before."""
    from rich.text import Text

    console, out = _console(width, colour)
    headings, shown = trend_texts(comparisons)
    grid = _grid(headings, [one.name for one in rows(comparisons[0])])
    for row in shown:
        grid.add_row(*map(Text, _lines(row)))
    console.print(Text("In brackets the change from the run before; verdicts are against the first."))
    console.print(grid)
    for note in dict.fromkeys(note for comparison in comparisons for note in _notes(comparison)):
        console.print(Text(printable(note)), soft_wrap=True)
    console.print(Text(printable(f"last against first: {conclusion(comparisons[-1])}"), style="bold"))
    return out.getvalue()


def trend_to_markdown(comparisons: Sequence[Comparison]) -> str:
    headings, shown = trend_texts(comparisons)
    lines = [f"| {' | '.join(map(escape_markdown, headings))} |", "|---|" + "--:|" * (len(headings) - 1)]
    lines += [f"| {' | '.join(map(escape_markdown, row))} |" for row in shown]
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


def _flipped(one: Benchmark) -> str:
    plural = "sample" if one.paired.losses == 1 else "samples"
    return f"{one.name}: {one.paired.losses} {plural} worse and {one.paired.wins} better, the worst first"


def flip_text(flip: Flip) -> str:
    """`q7  correct → wrong (-100): 4 → 5`; of graded samples `c3  worse, 12.5 % → 37.5 % (-25): …`."""
    known = [answer or "(none)" for answer in flip.answers if answer is not None]
    answers = f": {' → '.join(known)}" if any(flip.answers) else ""
    changed = " → ".join(flip.outcomes)
    if len(set(flip.outcomes)) == 1 or ANSWERED in flip.outcomes:
        figures = " → ".join(
            f"{figure:.4g} {flip.unit}".rstrip() + ("" if outcome in _JUDGED else f" ({outcome})")
            for figure, outcome in zip(flip.figures, flip.outcomes, strict=True)
        )
        changed = f"{'better' if flip.gain > 0 else 'worse'}, {figures}"
    return f"{flip.name}  {changed} ({flip.gain:+.3g}){answers}"


def _notes(comparison: Comparison) -> list[str]:
    shown = rows(comparison)
    unlike = [
        f"{one.name} was not asked the same way: {'; '.join(one.differences)}"
        for one in comparison.benchmarks
        if one.differences
    ]
    short = [one.shortage() for one in comparison.benchmarks if one.shortage()]
    amiss = [f"{one.name}: {problem.text()}" for one in shown for problem in one.problems]
    passed = [f"{one.name}: {one.words}" for one in comparison.unmeasured if not one.problems]
    return [*filter(None, [explained(comparison)]), *comparison.notes, *unlike, *short, *passed, *amiss]


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
