"""How samples ended: correct, wrong (or answered), unparsable, truncated, failed, as shares of all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evalkit.report.charts.lines import Run, headlines, held, left_out, rows_of
from evalkit.report.charts.sheet import Look, Sheet, shown
from evalkit.report.charts.svg import LIGHT
from evalkit.report.charts.types import Chart, chart_of
from evalkit.report.tabulate import outcome_shares
from evalkit.runfile.store import ANSWERED, OUTCOMES

LOOKS = {name: Look(name, LIGHT[f"outcome-{name}"]) for name in (*OUTCOMES[:2], ANSWERED, *OUTCOMES[2:])}
BARS = 60
"""In one chart."""
WIDTH, LABELS = 206, 160
BAR, LABEL, GAP = 16, 18, 9
SOLID = ("correct", "wrong", ANSWERED)
"""Outcomes whose fill has no lines, so that a share can be read on it."""


def outcome_charts(runs: Sequence[Run]) -> Iterator[Chart]:
    """A bar a benchmark and run that any sample was dealt with in; runs are named where there are several."""
    found = [run for run in headlines(runs) if sum(run.cell.outcomes.values())]
    several = len({run.name for run in found}) > 1
    for number, start in enumerate(range(0, len(found), BARS), 1):
        part = found[start : start + BARS]
        sheet = Sheet(0, 100, "% of all samples", width=WIDTH, left=LABELS, y=2)
        for rows in rows_of(part).values():
            cell = rows[0].cell
            name = f"{cell.task}:{cell.protocol}"
            if several:
                sheet.text(
                    0, sheet.y + LABEL / 2, shown(name, 60), weight=600, dx=-LABELS, limit=WIDTH + LABELS
                )
                sheet.y += LABEL
            for run in rows:
                _bar(sheet, run.name if several else name, run.cell.told)
            sheet.y += GAP * several
        words = [f"{shown(f'{r.cell.task}, {r.name}', 60)}: {outcome_shares(r.cell.told)}" for r in part[:8]]
        yield chart_of(
            sheet.chart([look for name, look in LOOKS.items() if any(name in run.cell.told for run in part)]),
            f"chart-outcomes-{number}",
            "Outcomes" if len(found) <= BARS else f"Outcomes ({number} of {-(-len(found) // BARS)})",
            f"{'; '.join(words)}." + (f" {len(part) - 8} more." if len(part) > 8 else ""),
            " ".join(
                filter(
                    None,
                    (
                        _counted(part),
                        left_out([run for row in rows_of(part).values() for run in held(row)[1]]),
                    ),
                )
            ),
        )


def _counted(runs: Sequence[Run]) -> str:
    graded = [run for run in runs if not run.cell.traits.right_or_wrong]
    words = "Unparsable answers and truncated ones count as wrong; failed samples are in no value."
    if not graded:
        return words
    return f"{words} Where answers are neither right nor wrong, unparsable ones count as empty."


def _bar(sheet: Sheet, name: str, outcomes: dict[str, int]) -> None:
    total = sum(outcomes.values())
    middle = sheet.y + BAR / 2
    sheet.text(0, middle, shown(name, 24), align="right", dx=-8, limit=LABELS - 8, size=11)
    start = 0.0
    for outcome, look in LOOKS.items():
        share = 100 * outcomes.get(outcome, 0) / total
        if share:
            sheet.bar(start, start + share, sheet.y + 1, BAR - 2, look)
        if share >= 9 and outcome in SOLID:
            text = f"{share:.0f}"
            sheet.text(
                start + share / 2, middle, text, colour=LIGHT["paper"], align="center", size=11, weight=600
            )
        start += share
    sheet.y += BAR
