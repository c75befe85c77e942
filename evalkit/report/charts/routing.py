"""Routing by agreement: three decision rules side by side, as figure 9, and how the threshold was chosen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from evalkit.report.charts.lines import Line, Mark, Run, rows_of
from evalkit.report.charts.sheet import WIDTH, Look, configured, distinct, looks, shown
from evalkit.report.charts.strips import Strips
from evalkit.report.charts.types import Chart, chart_of

if TYPE_CHECKING:
    import altair as alt

RULES = {"greedy": "Greedy", "majority": "Plain majority", "": "Routed"}
"""By view, in figure 9's order."""
NEVER = 1.08
"""Where a threshold stands that no vote reaches."""
DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3])


def rule_lines(runs: Sequence[Run], task: str, protocol: str) -> list[Line]:
    """Greedy, majority and routed of one protocol, where it has these legs."""
    mine = [run for run in runs if (run.cell.task, run.cell.protocol) == (task, protocol)]
    found = []
    for view, words in RULES.items():
        cells = list({run.name: run for run in reversed(mine) if run.cell.view == view}.values())[::-1]
        marks = tuple(
            Mark(run.name, run.cell.value, run.cell.low, run.cell.high)
            for run in cells
            if run.cell.value is not None
        )
        if marks:
            cell = cells[0].cell
            found.append(Line(words, task, protocol, cell.unit, cell.higher_is_better, marks))
    return found


def rule_charts(runs: Sequence[Run], names: Sequence[str], printed: Sequence[Line] = ()) -> Iterator[Chart]:
    """Three bars a routed protocol. `printed`: figure 9's lines where a grid has them, which come first."""
    sets: dict[tuple[str, str], list[Line]] = {}
    for line in printed:
        sets.setdefault((line.task, line.protocol.partition("[")[0]), []).append(line)
    for task, protocol, _ in rows_of(run for run in runs if run.cell.view in RULES and run.cell.view):
        lines = rule_lines(runs, task, protocol)
        if (task, protocol.partition("[")[0]) not in sets and len(lines) > 1:
            sets[task, protocol] = lines
    for number, ((task, protocol), lines) in enumerate(sets.items(), 1):
        strips = Strips(lines, names, axis=shown(lines[0].unit, 30), origin=0.0)
        yield chart_of(
            strips.chart(),
            f"chart-rules-{number}",
            f"{shown(f'{task}:{protocol}', 60)} under three decision rules",
            strips.summary,
            strips.caption,
        )


def curve_charts(runs: Sequence[Run], names: Sequence[str]) -> Iterator[Chart]:
    """Accuracy on the validation split by threshold, and the threshold that was chosen."""
    curved = [run for run in runs if not run.cell.view and run.cell.found.get("validation_curve")]
    by_protocol: dict[tuple[str, str], dict[str, Run]] = {}
    for run in curved:
        by_protocol.setdefault((run.cell.task, run.cell.protocol), {}).setdefault(run.name, run)
    for number, ((task, protocol), found) in enumerate(by_protocol.items(), 1):
        chosen = [f"{shown(name)} {_words(run.cell.found)}" for name, run in found.items()]
        yield chart_of(
            _curves(found, names),
            f"chart-routing-{number}",
            f"{shown(f'{task}:{protocol}', 60)}: accuracy on the validation split by threshold",
            f"Accuracy against the share of draws that must agree. Chosen: {'; '.join(chosen[:8])}.",
            "The majority is taken where at least this share of the draws agrees, else the greedy answer: at "
            "0 always the majority, at “never” always the greedy one. The mark is the threshold chosen.",
        )


def _words(found: dict[str, Any]) -> str:
    threshold = found.get("threshold")
    return f"{threshold:.3g}" if isinstance(threshold, int | float) else shown(str(threshold), 12)


def _place(threshold: object) -> float:
    return float(threshold) if isinstance(threshold, int | float) else NEVER


def _curves(found: dict[str, Run], names: Sequence[str]) -> alt.TopLevelMixin:
    """A line a run, and its look's mark where its threshold is."""
    import altair as alt

    series = dict(zip(names, looks(distinct(names)), strict=True))
    points, chosen = [], []
    for name, run in found.items():
        for point in run.cell.found["validation_curve"]:
            place = {"x": _place(point["threshold"]), "y": float(point["accuracy"])}
            points.append({**place, "series": series[name].name})
            if point["threshold"] == run.cell.found.get("threshold"):
                chosen.append(points[-1])
    used = [series[name] for name in names if name in found]
    dashes = [DASHES[i % len(DASHES)] for i in range(len(used))]
    encoded: dict[str, Any] = {
        "x": alt.X("x", type="quantitative", scale=alt.Scale(domain=[0, NEVER], nice=False)).axis(
            title="share of draws that must agree",
            values=[0, 0.25, 0.5, 0.75, 1, NEVER],
            format=".2~f",
            labelExpr="datum.value > 1 ? 'never' : datum.label",
        ),
        "y": alt.Y("y", type="quantitative", scale=alt.Scale(zero=False, padding=8)).axis(
            title="accuracy on the validation split, %", tickCount=6
        ),
        "color": _scaled(alt.Color, used, [look.colour for look in used]),
    }
    lines = alt.Chart(alt.InlineData(points)).mark_line(strokeWidth=2, interpolate="linear")
    layers = [lines.encode(**encoded, strokeDash=_scaled(alt.StrokeDash, used, dashes))]
    if chosen:
        marks = alt.Chart(alt.InlineData(chosen)).mark_point(filled=True, size=110, opacity=1)
        layers.append(
            marks.encode(
                **encoded, shape=_scaled(alt.Shape, used, [look.shape for look in used], shown=False)
            )
        )
    return configured(alt.layer(*layers).properties(width=WIDTH - 40, height=240, background="transparent"))


def _scaled(channel: type[Any], used: Sequence[Look], values: Sequence[Any], *, shown: bool = True) -> Any:
    import altair as alt

    legend = alt.Legend(
        title=None, orient="top", columns=1, labelLimit=WIDTH - 40, symbolSize=300, symbolType="stroke"
    )
    scale = alt.Scale(domain=[look.name for look in used], range=list(values))
    return channel("series", type="nominal", scale=scale, legend=legend if shown else None)
