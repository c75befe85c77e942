"""What a run file holds, as values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from evalkit.samples import JSON, Sample

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from evalkit.benchmark.spec import CellSpec

COUNTED = {
    "shots": "{} samples were asked with fewer shots, for the prompt did not fit the model's context",
    "bound_decides": "{} choices hang on a bound, for the endpoint did not return every letter",
}
"""Entries of an answer's detail that a reader of the figure has to know of."""
ANSWERED = "answered"
"""The outcome of a sample whose references are not public: there is an answer and nothing to judge it by."""
OUTCOMES = ("correct", "wrong", "unparsable", "truncated", "failed")
FAILED = "failed"
AGAIN = -1
"""The draw of a greedy request that was asked a second time, to see whether the answer is the same."""
OF_MODEL, OF_JUDGE, OF_TOOL = 0, 1, 2
"""Who gave a response: the model that is evaluated, a judge model, a tool."""
VALIDATION = "validation"
"""The role of a cell whose samples are not scored: a threshold is chosen on them."""


def told_outcomes(outcomes: Mapping[str, int], *, right_or_wrong: bool) -> dict[str, int]:
    """Those that occurred, as people are told: correct and wrong ones together unless `right_or_wrong`."""
    there = {name: outcomes.get(name, 0) for name in (*OUTCOMES, ANSWERED)}
    if not right_or_wrong:
        answered = there.pop("correct") + there.pop("wrong") + there.pop(ANSWERED)
        there = {ANSWERED: answered, **there}
    return {name: count for name, count in there.items() if count}


_NUMBER = re.compile(r"([0-9]{1,18})")


def natural(name: str) -> tuple[tuple[int, str, int], ...]:
    """To sort names as people do, numbers in them by value: `4096` before `16384`, `part 2` before `part 10`.

    Numbers stand before other texts; capitals are told apart only where nothing else does.
    """
    parts = _NUMBER.split(name)
    found = [(0, "", int(part)) if i % 2 else (1, part.casefold(), 0) for i, part in enumerate(parts) if part]
    return (*found, (-1, name, 0))


@dataclass(frozen=True, slots=True)
class Cell:
    """One task under one protocol. `spec` is what `engine.cell` wrote.

    `role`: "" or `VALIDATION`. `found`: what the run found out for it, such as its threshold. `finished`: how
    many samples there were when the data ended; None while the run has not come to their end.
    """

    id: int
    spec: CellSpec
    role: str = ""
    found: Mapping[str, Any] = field(default_factory=dict)
    finished: int | None = None

    @property
    def task(self) -> str:
        return self.spec.task

    @property
    def protocol(self) -> str:
        """Its name, without what was overridden."""
        return self.spec.protocol.name


@dataclass(frozen=True, slots=True)
class Row:
    """A judged sample, or one that failed (`statistics` empty, `error` and `boundary` set)."""

    sample: Sample
    position: int
    question: bytes
    asked: bytes
    outcome: str
    statistics: tuple[float, ...] = ()
    answer: JSON = None
    boundary: str = ""
    error: str = ""
    links: tuple[Link, ...] = ()
    """Which responses are its own, in the order of asking."""


@dataclass(frozen=True, slots=True)
class Link:
    """A response that a sample asked for: the `draw`-th to its `turn`-th request, in the order of asking.

    `key`: the request's, as `Request.encoded` gives it. `branch`: the protocols that led to it, with slashes
    between; "" for the cell's own.
    """

    turn: int
    draw: int
    key: bytes
    branch: str = ""


@dataclass(frozen=True, slots=True)
class StoredFigure:
    """A figure as the run that measured it wrote it down; `group`: "" for the whole, else a group or tag.

    `value`, `low`, `high` in the metric's unit; None: there is none.
    """

    metric: str
    group: str
    value: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, slots=True)
class CellData:
    """A cell's results in the data set's order, failed samples included.

    `matrix`: float64 (judged samples, columns of every metric); `scored`: bool (samples,), which of
    `ids`, `groups`, `clusters`, `outcomes` the matrix has a row for.
    """

    matrix: npt.NDArray[np.float64]
    scored: npt.NDArray[np.bool_]
    ids: list[str]
    positions: list[int]
    """In the data set, from 0; with `--limit` of each group some are left out."""
    groups: list[str]
    tags: list[tuple[str, ...]]
    clusters: list[str]
    outcomes: list[str]
    questions: list[bytes]
    asked: list[bytes]
