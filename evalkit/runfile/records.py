"""The records of a run file, as dataclasses."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from evalkit.benchmark.readable import LONGEST, UNREAD
from evalkit.samples import JSON, Sample

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from evalkit.benchmark.spec import CellSpec

Occurrence: TypeAlias = tuple[str, int]
"""A sample's id, and how many earlier samples of the data set have the same id."""


def occurrences(ids: Iterable[str]) -> Iterator[Occurrence]:
    """Yields the ids of samples in the data set's order, each with how many earlier ones are the same.

    Samples of two runs with the same id are told apart, and paired, by this.
    """
    seen = Counter[str]()
    for sample in ids:
        yield sample, seen[sample]
        seen[sample] += 1


COUNTED = {
    "shots": (
        "sample was asked with fewer shots, because the prompt did not fit the model's context",
        "samples were asked with fewer shots, because the prompt did not fit the model's context",
    ),
    "bound_decides": (
        "choice depends on a bound, because the endpoint did not return every letter",
        "choices depend on a bound, because the endpoint did not return every letter",
    ),
    UNREAD: (
        f"sample has a response of over {LONGEST:,} characters, which is not read: no answer",
        f"samples have a response of over {LONGEST:,} characters, which is not read: no answer",
    ),
}
"""Entries of an answer's detail that are reported beside the figure: their texts for 1 and for several."""
ANSWERED = "answered"
"""The outcome of a sample with an answer whose references are not public, so that it cannot be scored."""
OUTCOMES = ("correct", "wrong", "unparsable", "truncated", "refused", "failed")
REFUSED = "refused"
"""The outcome of a sample that the endpoint's filter refused; it has no answer, and counts as wrong."""
FAILED = "failed"
AGAIN = -1
"""The draw of a greedy request that was sent a second time, to check that the answer is the same."""
OF_MODEL, OF_JUDGE, OF_TOOL = 0, 1, 2
"""The source of a response: the evaluated model, a judge model or a tool."""
SHARD = "shard"
"""The entry of the manifest of a run file that has a part of a run: `I/N`, counted from 1."""
VALIDATION = "validation"
"""The role of a cell whose samples do not count towards the figure: a threshold is chosen on them."""


def told_outcomes(outcomes: Mapping[str, int], *, right_or_wrong: bool) -> dict[str, int]:
    """Returns the outcomes that occurred, for display; correct and wrong are one unless `right_or_wrong`."""
    there = {name: outcomes.get(name, 0) for name in (*OUTCOMES, ANSWERED)}
    if not right_or_wrong:
        answered = there.pop("correct") + there.pop("wrong") + there.pop(ANSWERED)
        there = {ANSWERED: answered, **there}
    return {name: count for name, count in there.items() if count}


_NUMBER = re.compile(r"([0-9]{1,18})")


def natural(name: str) -> tuple[tuple[int, str, int], ...]:
    """Returns a sort key for names in natural order: `4096` before `16384`, `part 2` before `part 10`.

    Numbers come before other texts. Case only breaks ties.
    """
    parts = _NUMBER.split(name)
    found = [(0, "", int(part)) if i % 2 else (1, part.casefold(), 0) for i, part in enumerate(parts) if part]
    return (*found, (-1, name, 0))


@dataclass(frozen=True, slots=True)
class Cell:
    """One task under one protocol. `spec` is what `engine.cell` wrote.

    `role`: "" or `VALIDATION`. `found`: what the run determined for the cell, such as its threshold.
    `finished`: the number of samples when the data ended; None while the run has not reached the end.
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
        """The protocol's name without overrides."""
        return self.spec.protocol.name


@dataclass(frozen=True, slots=True)
class Row:
    """A scored sample, or a failed one (`statistics` empty, `error` and `boundary` set)."""

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
    """The sample's responses, in the order of its requests."""


@dataclass(frozen=True, slots=True)
class Link:
    """A response of a sample: draw number `draw` of its request number `turn`, in the order of its requests.

    `key`: the request's key, as `Request.encoded` returns it. `branch`: the protocols that led to the
    request, separated by slashes; "" for the cell's own.
    """

    turn: int
    draw: int
    key: bytes
    branch: str = ""


@dataclass(frozen=True, slots=True)
class StoredFigure:
    """A figure as the run stored it. `group`: "" for all samples, else a group or tag.

    `value`, `low` and `high` are in the metric's unit; None if there is none.
    """

    metric: str
    group: str
    value: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, slots=True)
class CellData:
    """A cell's results in the data set's order, including failed samples.

    `matrix`: float64 (scored samples, columns of every metric). `scored`: bool (samples,), for which of the
    samples in `ids`, `groups`, `clusters` and `outcomes` the matrix has a row.
    """

    matrix: npt.NDArray[np.float64]
    scored: npt.NDArray[np.bool_]
    ids: list[str]
    positions: Sequence[int]
    """Positions in the data set, from 0. A `--limit` that applies to each group leaves gaps."""
    groups: list[str]
    tags: list[tuple[str, ...]]
    clusters: list[str]
    outcomes: list[str]
    questions: Sequence[bytes]
    asked: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """A batch of requests at a provider (`evalkit.runfile.batches`).

    `mark`: its name in the run file, which is random. `batch`: the provider's id; "" before it is known.
    `endpoint`: the address. `route`: where its requests would be sent alone. `requests`: how many it has.
    `at`: when it was submitted, in seconds since 1970.
    """

    mark: str
    batch: str
    endpoint: str
    route: str
    requests: int
    at: float
