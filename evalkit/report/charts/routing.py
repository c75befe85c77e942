"""Routing by agreement: three decision rules side by side, as figure 9, and how the threshold was chosen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evalkit.report.charts.lines import Line, Run, held, marks_of, rows_of
from evalkit.report.charts.sheet import WIDTH, by_series, distinct, layered, looks, shown
from evalkit.report.charts.strips import Strips
from evalkit.report.charts.types import Chart, chart_of

if TYPE_CHECKING:
    import altair as alt

RULES = {"greedy": "Greedy", "majority": "Plain majority", "": "Routed"}
"""By variant, in figure 9's order."""
NEVER = 1.13
"""Where a threshold stands that no vote reaches."""


def rule_lines(runs: Sequence[Run], task: str, protocol: str) -> list[Line]:
    """Greedy, majority and routed of one protocol, where it has these branches."""
    mine = [run for run in runs if (run.cell.task, run.cell.protocol) == (task, protocol)]
    found = []
    for variant, words in RULES.items():
        cells = list({run.name: run for run in reversed(mine) if run.cell.variant == variant}.values())[::-1]
        marks = marks_of(cells)
        if marks:
            cell = cells[0].cell
            found.append(
                Line(words, task, protocol, cell.unit, cell.higher_is_better, marks, cell.traits.best)
            )
    return found


def rule_charts(runs: Sequence[Run], names: Sequence[str], printed: Sequence[Line] = ()) -> Iterator[Chart]:
    """Three bars a routed protocol. `printed`: figure 9's lines where a grid has them, which come first."""
    sets: dict[tuple[str, str], list[Line]] = {}
    for line in printed:
        sets.setdefault((line.task, line.protocol), []).append(line)
    ruled = rows_of(run for run in runs if run.cell.variant in RULES and run.cell.variant)
    for (task, protocol, _), found in ruled.items():
        lines = rule_lines(runs, task, protocol)
        # A grid's line has the protocol's name without overrides.
        if (task, found[0].cell.spec.protocol.name) not in sets:
            sets[task, protocol] = lines
    several = {key: lines for key, lines in sets.items() if len(lines) > 1}
    for number, ((task, protocol), lines) in enumerate(several.items(), 1):
        strips = Strips(lines, names, axis=shown(lines[0].unit, 30), origin=0.0)
        yield chart_of(
            strips.chart(),
            f"chart-rules-{number}",
            f"{shown(f'{task}:{protocol}', 60)} under three decision rules",
            strips.summary,
            strips.caption,
        )


def curve_charts(runs: Sequence[Run], names: Sequence[str]) -> Iterator[Chart]:
    """Accuracy on the validation split by threshold, and the threshold that was chosen.

    A run that may not stand beside the others has a picture of its own.
    """
    curved = [run for run in runs if not run.cell.variant and run.cell.found.get("validation_curve")]
    by_protocol: dict[tuple[str, str], dict[str, Run]] = {}
    for run in curved:
        by_protocol.setdefault((run.cell.task, run.cell.protocol), {}).setdefault(run.name, run)
    pictures: list[tuple[tuple[str, str], dict[str, Run]]] = []
    for key, runs_of_it in by_protocol.items():
        together, apart = held(list(runs_of_it.values()))
        parts = (together, *([run] for run in apart))
        pictures += [(key, {run.name: run for run in part}) for part in parts]
    for number, ((task, protocol), found) in enumerate(pictures, 1):
        chosen = [f"{shown(name)} {_words(run.cell.found)}" for name, run in found.items()]
        yield chart_of(
            _curves(found, names),
            f"chart-routing-{number}",
            f"{shown(f'{task}:{protocol}', 60)}: accuracy on the validation split by threshold",
            f"Accuracy against the share of draws that must agree. Chosen: {'; '.join(chosen[:8])}.",
            "The majority is taken where at least this share of the draws agrees, else the greedy answer: at "
            "0 always the majority, at “never” always the greedy one. The ring is the threshold chosen.",
        )


def _words(found: Mapping[str, Any]) -> str:
    threshold = found.get("threshold")
    return f"{threshold:.3g}" if isinstance(threshold, int | float) else shown(str(threshold), 12)


def _place(threshold: object) -> float:
    return float(threshold) if isinstance(threshold, int | float) else NEVER


def _curves(found: dict[str, Run], names: Sequence[str]) -> alt.TopLevelMixin:
    """A line a run with its mark at every threshold, and a ring around the one that was chosen."""
    import altair as alt

    series = dict(zip(names, looks(distinct(names)), strict=True))
    points, chosen = [], []
    for name, run in found.items():
        look = series[name]
        for point in run.cell.found["validation_curve"]:
            place = {"x": _place(point["threshold"]), "y": float(point["accuracy"])}
            points.append({**place, "series": look.name, "colour": look.colour})
            if point["threshold"] == run.cell.found.get("threshold"):
                chosen.append(points[-1])
    places = {
        "x": alt.X("x", type="quantitative", scale=alt.Scale(domain=[-0.03, NEVER], nice=False)).axis(
            title="share of draws that must agree",
            values=[0, 0.25, 0.5, 0.75, 1, NEVER],
            format=".2~f",
            labelExpr="datum.value > 1 ? 'never' : datum.label",
        ),
        "y": alt.Y("y", type="quantitative", scale=alt.Scale(zero=False, padding=12)).axis(
            title="accuracy on the validation split, %", tickCount=6
        ),
    }
    used = [series[name] for name in names if name in found]
    plain = alt.Color("colour", type="nominal", scale=None)
    layers = [
        alt.Chart(alt.NamedData("points"))
        .mark_line(strokeWidth=1.5, interpolate="linear")
        .encode(**places, color=plain, detail=alt.Detail("series", type="nominal")),
        alt.Chart(alt.NamedData("points"))
        .mark_point(filled=True, size=34, opacity=1)
        .encode(
            **places,
            color=by_series(alt.Color, "colour", used, WIDTH),
            shape=by_series(alt.Shape, "shape", used, WIDTH),
        ),
    ]
    if chosen:
        rings = alt.Chart(alt.NamedData("chosen")).mark_point(
            shape="circle", size=230, strokeWidth=2, opacity=1
        )
        layers.append(rings.encode(**places, color=plain))
    return layered(layers, {"points": points, "chosen": chosen}, width=WIDTH - 40, height=240)
