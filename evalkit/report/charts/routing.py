"""Draws routing by agreement: three decision rules, as in figure 9, and the choice of the threshold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evalkit.report.charts.canvas import WIDTH, Canvas, Chart, Scale
from evalkit.report.charts.marks import NamedCell, Strip, headlines, marks_of, pictures, rows_of
from evalkit.report.charts.strips import StripChart
from evalkit.report.charts.style import styles
from evalkit.report.charts.texts import pixels, shown

RULES = {"greedy": "Greedy", "majority": "Plain majority", "": "Routed"}
"""The names of the rules by variant, in the order of figure 9."""
NEVER = 1.13
"""The position on the axis of a threshold that no vote reaches."""
SHARES = {0: "0", 0.25: "0.25", 0.5: "0.5", 0.75: "0.75", 1: "1", NEVER: "never"}
HEIGHT = 240
"""The height of the curves, in pixels."""


def rule_strips(runs: Sequence[NamedCell], task: str, protocol: str) -> list[Strip]:
    """The greedy, majority and routed figures of one protocol, if it has these branches."""
    mine = [run for run in runs if (run.cell.task, run.cell.protocol) == (task, protocol)]
    found = []
    for variant, words in RULES.items():
        cells = list({run.name: run for run in reversed(mine) if run.cell.variant == variant}.values())[::-1]
        marks = marks_of(cells)
        if marks:
            cell = cells[0].cell
            found.append(
                Strip(words, task, protocol, cell.unit, cell.higher_is_better, marks, cell.traits.best)
            )
    return found


def rule_charts(
    runs: Sequence[NamedCell], names: Sequence[str], printed: Sequence[Strip] = ()
) -> Iterator[Chart]:
    """Yields a chart of three bars per routed protocol. `printed`: rows of figure 9, which come first."""
    sets: dict[tuple[str, str], list[Strip]] = {}
    for strip in printed:
        sets.setdefault((strip.task, strip.protocol), []).append(strip)
    ruled = rows_of(run for run in runs if run.cell.variant in RULES and run.cell.variant)
    for (task, protocol, _), found in ruled.items():
        strips = rule_strips(runs, task, protocol)
        # A grid's row has the protocol's name without overrides.
        if (task, found[0].cell.spec.protocol.name) not in sets:
            sets[task, protocol] = strips
    several = {key: strips for key, strips in sets.items() if len(strips) > 1}
    for number, ((task, protocol), strips) in enumerate(several.items(), 1):
        drawn = StripChart(strips, names, axis=strips[0].unit, origin=0.0)
        yield drawn.chart(
            f"chart-rules-{number}",
            f"{shown(f'{task}:{protocol}', 60)} under three decision rules",
            drawn.summary,
            drawn.caption,
        )


def curve_charts(runs: Sequence[NamedCell], names: Sequence[str]) -> Iterator[Chart]:
    """Yields charts of the accuracy on the validation split by threshold, with the chosen threshold.

    A run that is not comparable with the others has a chart of its own.
    """
    curved = [run for run in runs if not run.cell.variant and run.cell.found.get("validation_curve")]
    of_protocol = pictures(headlines(curved), lambda run: (run.cell.task, run.cell.protocol), lambda run: run)
    for number, picture in enumerate(of_protocol, 1):
        task, protocol = picture[0].cell.task, picture[0].cell.protocol
        found = {run.name: run for run in picture}
        chosen = [f"{shown(name)} {_words(run.cell.found)}" for name, run in found.items()]
        yield _curves(found, names, f"chart-routing-{number}").chart(
            f"{shown(f'{task}:{protocol}', 60)}: accuracy on the validation split by threshold",
            f"Accuracy against the share of draws that must agree. Chosen: {'; '.join(chosen[:8])}.",
            "The majority is taken if at least this share of the draws agrees, else the greedy answer: at 0 "
            "always the majority, at “never” always the greedy answer. The ring marks the chosen threshold.",
        )


def _words(found: Mapping[str, Any]) -> str:
    threshold = found.get("threshold")
    return f"{threshold:.3g}" if isinstance(threshold, int | float) else shown(str(threshold), 12)


def _place(threshold: object) -> float:
    return float(threshold) if isinstance(threshold, int | float) else NEVER


def _curves(found: Mapping[str, NamedCell], names: Sequence[str], identifier: str) -> Canvas:
    """One curve per run, with a mark at every threshold and a ring around the chosen one."""
    curves = {name: run.cell.found["validation_curve"] for name, run in found.items()}
    values = [float(point["accuracy"]) for curve in curves.values() for point in curve]
    air = 0.06 * (max(values) - min(values)) or 1.0
    down = Scale(min(values) - air, max(values) + air, HEIGHT, 0)
    levels = down.ticks()
    left = max(pixels(label, 11) for label in levels.values()) + 8
    canvas = Canvas(identifier, Scale(-0.03, NEVER, left, WIDTH - 24), y=HEIGHT)
    canvas.levels(levels, down)
    series = styles(names)
    for name, curve in curves.items():
        style, chosen = series[name], found[name].cell.found.get("threshold")
        places = [(canvas.across(_place(p["threshold"])), down(float(p["accuracy"]))) for p in curve]
        canvas.curve(places, style.colour)
        for point, (x, y) in zip(curve, places, strict=True):
            canvas.point(x, y, style, 3)
            if point["threshold"] == chosen:
                canvas.ring(x, y, 8.5, style.colour)
    canvas.axis("share of draws that must agree", SHARES)
    canvas.top -= 22
    canvas.text(0, canvas.top + 8, "accuracy on the validation split, %", colour="muted")
    canvas.legend([series[name] for name in names if name in found])
    return canvas
