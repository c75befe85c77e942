"""Capabilities as a table, as rows of CSV, and as a chart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from evalkit.report.derived import compared_text
from evalkit.report.digits import decimals, interval_text
from evalkit.report.tabular import Column, Tabular, TabularCell, TabularRow
from evalkit.runfile.heat import Group

if TYPE_CHECKING:
    from evalkit.report.capabilities import Capability, Ratio, View
    from evalkit.report.charts import Chart
    from evalkit.samples import JSON
    from evalkit.stats import MeanRatio

_LEAST = 2
"""The least number of decimals of a ratio."""
MEAN = "mean of the ratios"
EXPLAINED = (
    "A ratio is the run's figure divided by the base's on the samples that both judged, inverted (↓) if "
    "lower is better, so that above 1 is always better. The means of a group are over the members that all "
    "runs of it have, each with equal weight. For an interval (95 %), each member's samples are resampled, "
    "the same for both runs."
)


def capability_table(view: View) -> Tabular:
    """One row for each capability with its mean, and below it one for each member, counted or not."""
    rows = [row for group in view.groups for row in _rows(view, group)]
    return Tabular(
        title=view.title,
        columns=(
            Column("capability", least=22),
            *(Column(f"{run} ÷ {view.base}", "compared") for run in view.runs),
        ),
        rows=tuple(rows),
        notes=view.notes,
        remarks=(EXPLAINED, *_uncommon(view), f"groups of {view.source}"),
        signatures=view.signatures,
    )


def flat(view: View) -> Iterator[dict[str, JSON]]:
    """Yields one row for each mean and each member of each run, for CSV."""
    for group in view.groups:
        for run in view.runs:
            counted = group.counted(run)
            words = f"{len(counted)} of {len(group.members)}: {', '.join(counted)}"
            yield _line(view, group, run, MEAN, group.means[run], words)
            for member, one in zip(group.members, group.ratios[run], strict=True):
                yield _line(view, group, run, member.name, one.figure, one.why or one.reason, one)


def _line(
    view: View,
    group: Capability,
    run: str,
    member: str,
    found: MeanRatio | Group | None,
    reason: str,
    one: Ratio | None = None,
) -> dict[str, JSON]:
    of_base, of_run = (one and one.values) or (None, None)
    return {
        "capability": group.name,
        "run": run,
        "base": view.base,
        "member": member,
        "ratio": found.value if found else None,
        "low": found.low if found else None,
        "high": found.high if found else None,
        "n": one.figure.n if one and one.figure else None,
        "of_base": of_base,
        "of_run": of_run,
        "inverted": bool(one and one.inverted),
        "reason": reason,
        "signature": one.cells[1].signature.line() if one and one.cells else "",
    }


def capability_chart(view: View) -> Chart:
    """The means with their intervals, as figure 3 has them: a strip for each capability, with its members."""
    from evalkit.report.charts.marks import Mark, Strip
    from evalkit.report.charts.strips import StripChart
    from evalkit.report.charts.texts import shown

    strips = []
    for group in view.groups:
        means = ((run, group.means[run]) for run in view.runs)
        marks = tuple(Mark(run, mean.value, mean.low, mean.high) for run, mean in means if mean)
        if marks:
            label = f"{shown(group.name, 60)} ({len(group.common)} of {len(group.members)} members)"
            about = ", ".join(shown(member.name) for member in group.common)
            strips.append(Strip(label, "", "", "", True, marks, about=about))
    base = shown(view.base)
    drawn = StripChart(
        strips, view.runs, axis=f"relative to {base}", origin=1.0, yardstick=True,
        form=lambda mark: _text(mark.value, mark.low, mark.high),
    )  # fmt: skip
    words = " ".join((EXPLAINED.replace(" (↓)", ""), *_uncommon(view), drawn.caption))
    return drawn.chart("chart-capabilities", f"Capabilities, relative to {base}", drawn.summary, words)


def _rows(view: View, group: Capability) -> Iterator[TabularRow]:
    cells = [_mean(group, run) for run in view.runs]
    yield TabularRow((TabularCell(MEAN), *cells), section=group.name)
    for at, member in enumerate(group.members):
        ratios = [group.ratios[run][at] for run in view.runs]
        lines = tuple(filter(None, (_about(ratios), member.note)))
        label = TabularCell(member.name, lines=lines)
        yield TabularRow((label, *(_member(view, one) for one in ratios)))


def _mean(group: Capability, run: str) -> TabularCell:
    mean, counted = group.means[run], len(group.counted(run))
    of = f"{counted} of {len(group.members)} members"
    if mean is None:
        return TabularCell("—", "empty", (of,))
    between = interval_text(mean.low, mean.high, _LEAST)
    return TabularCell(_text(mean.value, mean.low, mean.high), "compared", tuple(filter(None, (between, of))))


def _member(view: View, one: Ratio) -> TabularCell:
    marks = tuple(
        dict.fromkeys(view.numbers[note] for note in (one.why, *_notes(view, one)) if note in view.numbers)
    )
    if one.figure is None:
        return TabularCell(one.reason, "empty", marks=marks)
    figure: Group = one.figure
    lines = [interval_text(figure.low, figure.high, _LEAST), f"n {figure.n}"]
    return TabularCell(compared_text("ratio", figure), "compared", tuple(filter(None, lines)), marks=marks)


def _notes(view: View, one: Ratio) -> Iterator[str]:
    for cell in one.cells or ():
        yield from (view.table_notes[mark - 1] for mark in cell.marks)


def _about(ratios: list[Ratio]) -> str:
    """`3-shot-cot, accuracy (macro)`, with ↓ if lower is better; "" without a figure."""
    cell = next((one.cells[1] for one in ratios if one.cells), None)
    if cell is None:
        return ""
    return f"{cell.protocol}, {cell.metric}" + (" ↓" if any(one.inverted for one in ratios) else "")


def _uncommon(view: View) -> Iterator[str]:
    """A remark on members that some runs have, and the means are without."""
    for group in view.groups:
        if group.uncommon:
            without = ", ".join(group.uncommon)
            yield f"{group.name}: the means are without what only some of the runs have: {without}."


def _text(value: float, low: float | None, high: float | None) -> str:
    return f"{value:.{max(_LEAST, decimals(low, high))}f}"
