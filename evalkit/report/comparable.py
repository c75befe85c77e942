"""What keeps a run's figure and another one from standing side by side, in words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from evalkit.errors import UsageError

if TYPE_CHECKING:
    from evalkit.report.paper import Figure, PaperRow
    from evalkit.runfile.cells import TableCell

_ENOUGH = 300
"""Samples of which with 95 % probability one at least is of a kind that is 1 in 100 (0.99^299 = 0.0495)."""
RULES_ALONE = "answers are read by rules alone (no --judge)"
_SHOTS_ALONE = re.compile(r"\d+-shot")
_READERS = {
    "each_draw": "",
    "majority_vote": "majority vote",
    "route_by_agreement": "majority vote where enough draws agree, else greedy",
    "choose_letter": "likeliest letter",
}


def protocol_words(cell: TableCell) -> str:
    """How a run asked: `8-shot, greedy (8-shot-cot)`."""
    parts = cell.signature.parts
    words = [f"{parts['shots']}-shot"] if "shots" in parts else []
    temperature = float(str(parts.get("temperature", 0)))
    reader = str(parts.get("reader", "")).partition("@")[0]
    if int(str(parts.get("draws", 1))) > 1:
        words.append(f"{parts['draws']} draws at temperature {temperature:g}")
    elif temperature:
        words.append(f"one draw at temperature {temperature:g}")
    elif reader != "choose_letter":
        words.append("greedy")
    words.append(_READERS.get(reader, reader))
    return f"{', '.join(filter(None, words))} ({cell.protocol})"


def differs(cell: TableCell, row: PaperRow, figure: Figure) -> str:
    """How a printed figure was obtained otherwise than a run's, "" where it was not.

    The protocol has to be one of `figure.match`. Overrides make another protocol, except those that ask
    for what the printed row is of (`row.options`).
    """
    if figure.unit not in ("", row.unit):
        return f"{cell.metric} here, {figure.unit} there"
    base, overrides = cell.spec.protocol.name, cell.spec.protocol.overrides.items()
    there = figure.protocol or "a protocol that is not stated"
    if _SHOTS_ALONE.fullmatch(there):
        there += " and nothing more said"
    if base not in figure.match:
        return f"{protocol_words(cell)} here, {there} there"
    if row.model_extractor != bool(cell.spec.model_extractor):
        there = "a model reads the answers that rules cannot"
        return (
            f"{RULES_ALONE} here, {there} there"
            if row.model_extractor
            else f"{there} here, {RULES_ALONE} there"
        )
    wanted = _options(row.options).items()
    for key, value in sorted(wanted - overrides):
        mine = cell.spec.data.get(key, "")
        if mine != value:
            return f"{key} {mine or 'as the task has it'} here, {value} there"
    if extra := sorted(f"{key}={value}" for key, value in overrides - wanted):
        return f"{', '.join(extra)} here, {there} there"
    return ""


def apart(first: TableCell, cell: TableCell) -> list[str]:
    """Why two figures of one row may not stand side by side, in words; empty where they may.

    They have to be asked alike, on the same samples, and be both of the whole benchmark or both of the same
    part of it.
    """
    found = first.differences(cell)
    ended = first.completeness.finished, cell.completeness.finished
    if not found and ended[0] != ended[1]:
        found = [cell.completeness.lacking or f"{cell.model} is finished, {first.model} is not"]
    return found


def yardstick(cells: Iterable[TableCell]) -> TableCell | None:
    """The figure of a row that the others are held to: the first of the whole benchmark, else the first."""
    found = list(cells)
    return next((cell for cell in found if cell.completeness.whole), found[0] if found else None)


def corpus_words(cell: TableCell) -> str:
    """What to know of a metric that is one figure of the whole corpus, or the mean of such figures."""
    each = "the mean over groups of one figure of each whole"
    what = each if cell.traits.average else "one figure of the whole"
    return f"{cell.metric} is {what} corpus, no mean over samples: a part's is another quantity"


def run_on_words(cell: TableCell) -> str:
    """Why an interval is likely too narrow where a few answers can carry most of the errors, "" elsewhere.

    What such answers add shows only where there is one among the samples: with one, the interval is wide
    enough, and without it says nothing of it (`bench/coverage.py`; docs/ci.md has the figures).
    """
    if not cell.traits.unbounded or cell.low is None or cell.n >= _ENOUGH:
        return ""
    return (
        f"{cell.task}: {cell.n} samples are few for the 95 % interval of {cell.metric}, which is likely too "
        "narrow: an answer that runs on may have more errors than many others together, and if 1 answer in "
        f"100 does, {cell.n} samples have none {100 * 0.99**cell.n:.0f} % of the time"
    )


def group_measure(cell: TableCell, group: str) -> str:
    """`CER` for a language that is counted in characters where the figure is called WER, "" elsewhere."""
    kind, given = cell.measured.innermost
    if kind != "error_rate" or not cell.metric.startswith("WER"):
        return ""
    from evalkit.scoring.speech import unit_for

    try:
        unit = unit_for(group, str(given.get("units", "report")))
    except UsageError:  # the group is no language
        return ""
    return "CER" if unit == "character" else ""


def _options(text: str) -> dict[str, str]:
    """`split=test, normaliser=none` of a printed row."""
    pairs = (part.partition("=") for part in text.split(",") if part.strip())
    return {key.strip(): value.strip() for key, _, value in pairs}
