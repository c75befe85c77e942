"""Draws the shares of outcomes: correct, wrong (or answered), unparsable, truncated, refused, failed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evalkit.report.charts.canvas import WIDTH, Canvas, Chart, Scale
from evalkit.report.charts.marks import NamedCell, headlines, held, left_out, rows_of
from evalkit.report.charts.style import Style
from evalkit.report.charts.texts import EM, distinct, shown
from evalkit.report.tabulate import outcome_shares
from evalkit.runfile.store import ANSWERED, OUTCOMES

STYLES = {name: Style(name, f"outcome-{name}") for name in (*OUTCOMES[:2], ANSWERED, *OUTCOMES[2:])}
BARS = 60
"""The highest number of bars in a chart."""
LABELS, RIGHT = 170, WIDTH - 16
"""The width of the names, left of the bars, and the right end of the bars, in pixels."""
BAR, LABEL, GAP = 16, 18, 9
SOLID = ("correct", "wrong", ANSWERED)
"""Outcomes whose fill has no pattern, so that a share can be read on it."""


def outcome_charts(runs: Sequence[NamedCell]) -> Iterator[Chart]:
    """Yields charts with one bar per benchmark and run that has samples; several runs are named."""
    found = [run for run in headlines(runs) if sum(run.cell.outcomes.values())]
    parts = [found[start : start + BARS] for start in range(0, len(found), BARS)]
    several = len({run.name for run in found}) > 1
    for number, part in enumerate(parts, 1):
        words = [f"{shown(f'{r.cell.task}, {r.name}', 60)}: {outcome_shares(r.cell.told)}" for r in part[:8]]
        apart = left_out([run for row in rows_of(part).values() for run in held(row)[1]])
        yield _bars(part, f"chart-outcomes-{number}", several=several).chart(
            "Outcomes" if len(parts) == 1 else f"Outcomes ({number} of {len(parts)})",
            f"{'; '.join(words)}." + (f" {len(part) - 8} more." if len(part) > 8 else ""),
            " ".join(filter(None, (_counted(part), apart))),
        )


def _bars(runs: Sequence[NamedCell], identifier: str, *, several: bool) -> Canvas:
    canvas = Canvas(identifier, Scale(0, 100, LABELS, RIGHT))
    names = list(dict.fromkeys(run.name for run in runs))
    labels = dict(zip(names, distinct(names, (LABELS - 8) / (11 * EM)), strict=True))
    for rows in rows_of(runs).values():
        name = f"{rows[0].cell.task}:{rows[0].cell.protocol}"
        if several:
            canvas.text(0, canvas.y + LABEL / 2, name, bold=True)
            canvas.y += LABEL
        for run in rows:
            _bar(canvas, labels[run.name] if several else name, run.cell.told)
        canvas.y += GAP * several
    canvas.axis("% of all samples")
    canvas.legend([style for name, style in STYLES.items() if any(name in run.cell.told for run in runs)])
    return canvas


def _counted(runs: Sequence[NamedCell]) -> str:
    graded = [run for run in runs if not run.cell.traits.right_or_wrong]
    words = "Unparsable, truncated and refused answers count as wrong; failed samples are not in the values."
    if not graded:
        return words
    return f"{words} If a benchmark's answers are not right or wrong, unparsable ones count as empty."


def _bar(canvas: Canvas, name: str, outcomes: dict[str, int]) -> None:
    total = sum(outcomes.values())
    middle = canvas.y + BAR / 2
    canvas.text(LABELS - 8, middle, name, anchor="end", size=11, room=LABELS - 8)
    start = 0.0
    for outcome, style in STYLES.items():
        share = 100 * outcomes.get(outcome, 0) / total
        x, width = canvas.across(start), canvas.across(start + share) - canvas.across(start)
        if share:
            canvas.bar(x, canvas.y + 1, width, BAR - 2, style)
        if share >= 9 and outcome in SOLID:
            canvas.text(
                x + width / 2, middle, f"{share:.0f}", colour="paper", anchor="middle", size=11, bold=True
            )
        start += share
    canvas.y += BAR
