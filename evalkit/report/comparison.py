"""Writes a comparison for the terminal, in Markdown or JSON; several runs one after the other as a trend."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

from evalkit.compare.verdicts import DIFFERENT, INCOMPLETE, Benchmark, Comparison, Flip, Unmeasured
from evalkit.errors import counted, unknown
from evalkit.report.documents import to_json
from evalkit.report.markdown import to_markdown
from evalkit.report.tabular import Column, Conclusion, Fold, Style, Tabular, TabularCell, TabularRow
from evalkit.report.terminal import to_terminal
from evalkit.runfile.records import ANSWERED

HEADINGS = ("benchmark", "verdict", "base → head", "difference", "samples", "won:lost")
FORMATS = ("terminal", "markdown", "json")
ENDINGS = {".txt": "terminal", ".md": "markdown", ".json": "json"}
_HEADED = (
    Column(HEADINGS[1], unbroken=True),
    Column(HEADINGS[2], least=7),
    Column(HEADINGS[3]),
    *(Column(heading, "number") for heading in HEADINGS[4:]),
)
_STYLES: dict[str, Style] = {"worse": "bad", "better": "good", "no worse": "good", "no change seen": "good"}
_NAME = 17
"""The longest name of a benchmark, in characters, that is kept on one line of a terminal with 80."""
_VERDICT = 24
"""The longest verdict, in characters, that is kept on one line."""
_PARTS = re.compile(r"(?<=,) (?=p )| (?=\(not )| (?=\(inc)")
"""The places where a longer verdict is broken."""
_JUDGED = ("correct", "wrong", ANSWERED)
"""Outcomes whose names add nothing to the figure."""
_SIGNS = {"worse": "✗", "better": "✓", "no worse": "✓", "no change seen": "✓"}
_SHORT = {"not enough samples": "not enough", "not enough clusters": "not enough"}


def texts(benchmark: Benchmark | Unmeasured) -> tuple[str, ...]:
    """The texts of a benchmark's row, one for each of `HEADINGS`."""
    marks = "" if benchmark.blocking else " (not blocking)"
    if isinstance(benchmark, Unmeasured):
        return (benchmark.name, f"{sign(benchmark)} {benchmark.status}{marks}", *["—"] * (len(HEADINGS) - 2))
    difference = benchmark.paired.difference
    arrow = "" if benchmark.higher_is_better else " ↓"
    digits = benchmark.decimals
    shown = f"{difference.value:+.{digits}f}"
    if math.isfinite(difference.error):
        shown += f" ({benchmark.low:+.{digits}f} to {benchmark.high:+.{digits}f})"
    marks += " (incomplete)" if benchmark.problems else ""
    marks += " (not asked alike)" if benchmark.differences else ""
    return (
        f"{benchmark.name} {benchmark.metric}{arrow}",
        f"{sign(benchmark)} {benchmark.words()}{marks}",
        f"{difference.base:.{digits}f} → {difference.head:.{digits}f} {benchmark.unit}".rstrip(),
        shown,
        f"{benchmark.paired.n:,}",
        f"{benchmark.paired.wins}:{benchmark.paired.losses}",
    )


def sign(benchmark: Benchmark | Unmeasured) -> str:
    """The sign of a benchmark: ✗ worse, ✓ passed, ! refused or incomplete, ? undecided, – not compared."""
    if isinstance(benchmark, Benchmark) and benchmark.verdict == "worse":
        return "✗"
    if benchmark.problems:
        return "!"
    return _SIGNS.get(benchmark.verdict, "?") if isinstance(benchmark, Benchmark) else "–"


def _style(benchmark: Benchmark | Unmeasured) -> Style:
    if benchmark.problems and not (isinstance(benchmark, Benchmark) and benchmark.verdict == "worse"):
        return "doubt"
    return _STYLES.get(benchmark.verdict, "doubt") if isinstance(benchmark, Benchmark) else ""


def rows(comparison: Comparison) -> tuple[Benchmark | Unmeasured, ...]:
    """All benchmarks of the comparison, those with a verdict first."""
    return (*comparison.benchmarks, *comparison.unmeasured)


def conclusion(comparison: Comparison) -> str:
    """The last sentence of a job. It names everything that makes the job fail."""
    clauses = []
    if comparison.regressions:
        worse = ", ".join(f"{benchmark.name} ({benchmark.words()})" for benchmark in comparison.regressions)
        clauses.append(f"regression: {worse}")
    elif comparison.problems:
        clauses.append("no regression seen, but")
    for code, what in ((DIFFERENT, ""), (INCOMPLETE, "incomplete: ")):
        found = [
            f"{name}: {problem.words}" if name else problem.words
            for name, problem in comparison.problems
            if problem.code == code
        ]
        if found:
            clauses.append(f"{what}{'; '.join(found)}")
    if clauses:
        first, *rest = clauses
        joint = " " if first.endswith("but") else "; "
        return joint.join([first, "; ".join(rest)]) if rest else first
    unsettled = [
        benchmark.name for benchmark in comparison.benchmarks if benchmark.verdict.startswith("not enough")
    ]
    if unsettled:
        return f"no regression seen; not enough samples to say more about {', '.join(unsettled)}"
    return "no regression"


def explained(comparison: Comparison) -> str:
    """A sentence that explains the intervals and the p values."""
    count = len(comparison.benchmarks)
    if not any(math.isfinite(benchmark.paired.difference.error) for benchmark in comparison.benchmarks):
        return ""
    whole = f"{100 * (1 - comparison.alpha):.4g} %"
    if count == 1:
        return f"Interval: {whole}."
    each = f"{100 * comparison.benchmarks[0].confidence:.4g} %"
    return (
        f"Intervals: {each} each, so that all {count} hold with {whole}; "
        f"p values are adjusted likewise, times {count}."
    )


def comparison_table(comparison: Comparison) -> Tabular:
    """A table with one row per benchmark, the flipped samples, notes and the conclusion."""
    shown = rows(comparison)
    short = all(len(benchmark.name) <= _NAME for benchmark in shown)
    return Tabular(
        f"{comparison.head} against {comparison.base}",
        (Column(HEADINGS[0], unbroken=short), *_HEADED),
        tuple(TabularRow(tuple(_cells(benchmark))) for benchmark in shown),
        folds=tuple(
            Fold(_flipped(benchmark), tuple(map(flip_text, benchmark.flips)))
            for benchmark in comparison.benchmarks
            if benchmark.flips and benchmark.verdict != "better"
        ),
        statements=tuple(_notes(comparison)),
        conclusion=Conclusion(conclusion(comparison), _standing(comparison)),
    )


def _cells(benchmark: Benchmark | Unmeasured) -> Iterator[TabularCell]:
    name, verdict, *rest = texts(benchmark)
    first, *more = _PARTS.split(verdict) if len(verdict) > _VERDICT else [verdict]
    yield _named(name)
    yield TabularCell(first, more=tuple(more), style=_style(benchmark))
    yield from map(TabularCell, rest)


def _named(name: str) -> TabularCell:
    """A benchmark's name, with the metric below it."""
    first, *metric = name.split(" ", 1)
    return TabularCell(first, lines=tuple(metric))


def _standing(comparison: Comparison) -> Style:
    return "bad" if comparison.regressions else "doubt" if comparison.exit_code else "good"


def trend_table(comparisons: Sequence[Comparison]) -> Tabular:
    """A table with one row per benchmark and one column per run, with the change from the run before."""
    last = comparisons[-1]
    headings = (comparisons[0].base, *(comparison.head for comparison in comparisons))
    held = [{benchmark.name: benchmark for benchmark in rows(comparison)} for comparison in comparisons]
    short = all(len(benchmark.name) <= _NAME for benchmark in rows(comparisons[0]))
    notes = dict.fromkeys(note for comparison in comparisons for note in _notes(comparison))
    return Tabular(
        "",
        (Column(HEADINGS[0], unbroken=short), *map(Column, headings)),
        tuple(
            TabularRow(tuple(_trend(name, [found.get(name) for found in held])))
            for name in dict.fromkeys(name for found in held for name in found)
        ),
        remarks=("In brackets: the change from the run before. The verdicts are against the first run.",),
        statements=tuple(notes),
        conclusion=Conclusion(f"last against first: {conclusion(last)}", _standing(last)),
    )


def _trend(name: str, found: Sequence[Benchmark | Unmeasured | None]) -> list[TabularCell]:
    """The row of a benchmark: its figure in every run, with the verdict against the first run."""
    before, row = None, [TabularCell(name), TabularCell("—")]
    for benchmark in found:
        if not isinstance(benchmark, Benchmark):
            row.append(TabularCell(f"{sign(benchmark)} {benchmark.status}" if benchmark else "—"))
            continue
        if before is None:
            before = benchmark.paired.difference.base
            row[:2] = (
                _named(f"{name} {benchmark.metric}"),
                TabularCell(f"{before:.{benchmark.decimals}f} {benchmark.unit}".rstrip()),
            )
        after = benchmark.paired.difference.head
        verdict = _SHORT.get(benchmark.verdict, benchmark.verdict)
        changed = f"{after:.{benchmark.decimals}f} ({after - before:+.{benchmark.decimals}f})"
        row.append(TabularCell(f"{changed} {sign(benchmark)} {verdict}"))
        before = after
    return row


def comparison_text(
    comparisons: Sequence[Comparison], name: str, *, width: int | None = None, colour: bool = False
) -> str:
    """One comparison, or several with the same base as a trend, in the format `name`, one of `FORMATS`."""
    if name not in FORMATS:
        raise unknown("format of a comparison", name, FORMATS)
    if name == "json":
        several = {"comparisons": [comparison.as_json() for comparison in comparisons]}
        return to_json(several if len(comparisons) > 1 else comparisons[0].as_json())
    table = trend_table(comparisons) if len(comparisons) > 1 else comparison_table(comparisons[0])
    if name == "markdown":
        return to_markdown([table])
    return to_terminal([table], width=width, colour=colour)


def _flipped(benchmark: Benchmark) -> str:
    paired = benchmark.paired
    worse = counted(paired.losses, "sample")
    return f"{benchmark.name}: {worse} worse and {paired.wins} better, the worst first"


def flip_text(flip: Flip) -> str:
    """`q7  correct → wrong (-100): 4 → 5`; for graded samples `c3  worse, 12.5 % → 37.5 % (-25): …`."""
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
        f"{benchmark.name} was not asked the same way: {'; '.join(benchmark.differences)}"
        for benchmark in comparison.benchmarks
        if benchmark.differences
    ]
    short = [benchmark.shortage() for benchmark in comparison.benchmarks if benchmark.shortage()]
    amiss = [f"{benchmark.name}: {problem.text()}" for benchmark in shown for problem in benchmark.problems]
    passed = [
        f"{benchmark.name}: {benchmark.words}"
        for benchmark in comparison.unmeasured
        if not benchmark.problems
    ]
    return [*filter(None, [explained(comparison)]), *comparison.notes, *unlike, *short, *passed, *amiss]
