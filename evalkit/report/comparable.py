"""Says why a run's figure is not comparable with another figure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from evalkit.errors import UsageError, counted

if TYPE_CHECKING:
    from evalkit.report.paper import Figure, PaperRow
    from evalkit.runfile.cells import TableCell

_ENOUGH = 300
"""A kind of sample that 1 in 100 is occurs in this many with 95 % probability (0.99^299 = 0.0495)."""
RULES_ALONE = "answers are read by rules alone (no --judge)"
_ANY = "*"
"""The value of a stated option that may have any."""
_SHOTS_ALONE = re.compile(r"\d+-shot")
_READERS = {
    "each_draw": "",
    "majority_vote": "majority vote",
    "route_by_agreement": "majority vote where enough draws agree, else greedy",
    "choose_letter": "likeliest letter",
}


def protocol_words(cell: TableCell) -> str:
    """A run's protocol as a phrase: `8-shot, greedy (8-shot-cot)`."""
    parts = cell.signature.parts
    if cell.spec.imported:
        return f"imported from {cell.spec.imported['imported']} ({cell.protocol})"
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
    """The difference between the protocols of a printed figure and a run's figure; "" if there is none.

    The run's protocol must be one of `figure.match`. Overrides make it a different protocol, except those
    that the printed row states (`row.options`; `*` for any value).
    """
    if figure.unit not in ("", row.unit):
        return f"{cell.metric} here, {figure.unit} there"
    if any(fnmatchcase(cell.metric, name) for name in row.stand_ins):
        return f"{cell.metric} here, {row.metric} there"
    base, overrides = cell.spec.protocol.name, cell.spec.protocol.overrides.items()
    theirs = figure.protocol or "a protocol that is not stated"
    if _SHOTS_ALONE.fullmatch(theirs):
        theirs += " without further details"
    if base not in figure.match:
        return f"{protocol_words(cell)} here, {theirs} there"
    if row.model_extractor != bool(cell.spec.model_extractor):
        theirs = "a model reads the answers that rules cannot"
        return (
            f"{RULES_ALONE} here, {theirs} there"
            if row.model_extractor
            else f"{theirs} here, {RULES_ALONE} there"
        )
    stated = _options(row.options)
    wanted = stated.items()
    for key, value in sorted((key, value) for key, value in wanted - overrides if value != _ANY):
        mine = cell.spec.data.get(key, "")
        if mine != value:
            return f"{key} {mine or 'not set'} here, {value} there"
    others = (pair for pair in overrides - wanted if stated.get(pair[0]) != _ANY)
    if extra := sorted(f"{key}={value}" for key, value in others):
        return f"{', '.join(extra)} here, {theirs} there"
    return ""


def apart(first: TableCell, cell: TableCell) -> list[str]:
    """The reasons why two figures of one row are not comparable; empty if they are.

    Comparable figures have the same protocol and the same samples, and cover the whole benchmark or the same
    part of it.
    """
    differences = first.differences(cell)
    ended = first.completeness.finished, cell.completeness.finished
    if not differences and ended[0] != ended[1]:
        differences = [cell.completeness.lacking or f"{cell.model} is finished, {first.model} is not"]
    return differences


def yardstick(cells: Iterable[TableCell]) -> TableCell | None:
    """The figure to compare the others of a row with: the first of a whole benchmark, else the first."""
    row = list(cells)
    return next((cell for cell in row if cell.completeness.whole), row[0] if row else None)


def corpus_words(cell: TableCell) -> str:
    """A note on a metric that is one figure of the whole corpus, or the mean of such figures."""
    each = "the mean over groups of one figure of each whole"
    what = each if cell.traits.average else "one figure of the whole"
    return f"{cell.metric} is {what} corpus, no mean over samples: a part's is another quantity"


def run_on_words(cell: TableCell) -> str:
    """Why an interval is likely too narrow if a few answers can hold most of the errors; "" otherwise.

    The interval is wide enough only if such an answer is among the samples; without one, the samples do not
    show how many errors it would add (`bench/coverage.py`; docs/ci.md has the figures).
    """
    if not cell.traits.unbounded or cell.low is None or cell.n >= _ENOUGH:
        return ""
    few = counted(cell.n, "sample is", "samples are")
    none = counted(cell.n, "sample has", "samples have")
    return (
        f"{cell.task}: {few} few for the 95 % interval of {cell.metric}, which is likely too "
        "narrow: an answer that runs on may have more errors than many others together, and if 1 answer in "
        f"100 does, {none} none {100 * 0.99**cell.n:.0f} % of the time"
    )


def group_measure(cell: TableCell, group: str) -> str:
    """`CER` for a language that is counted in characters although the figure is called WER; else ""."""
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
    """Parses the options of a printed row: `split=test, normaliser=none`."""
    pairs = (part.partition("=") for part in text.split(",") if part.strip())
    return {key.strip(): value.strip() for key, _, value in pairs}
