"""Reads the results of a cell. A million samples take about 200 bytes each, so equal values are kept once."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import Any, overload

from evalkit.runfile.encoding import tags_of
from evalkit.runfile.records import ANSWERED, FAILED, OUTCOMES, CellData

SELECT = "SELECT statistics, outcome, grp, tags, cluster, question, asked, id, position FROM sample"
_OUTCOMES = frozenset({*OUTCOMES, ANSWERED})


class Packed(Sequence[bytes]):
    """Byte strings in one block of memory, without an object for each."""

    def __init__(self) -> None:
        self._block, self._ends = bytearray(), array("Q")

    def append(self, value: bytes) -> None:
        self._block += value
        self._ends.append(len(self._block))

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, at: int) -> bytes: ...
    @overload
    def __getitem__(self, at: slice) -> list[bytes]: ...
    def __getitem__(self, at: int | slice) -> bytes | list[bytes]:
        if isinstance(at, slice):
            return [self[one] for one in range(*at.indices(len(self)))]
        end = self._ends[at]
        at = at % len(self)
        return bytes(self._block[self._ends[at - 1] if at else 0 : end])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Packed):
            return NotImplemented
        return self._ends == other._ends and self._block == other._block

    __hash__ = None  # type: ignore[assignment]


def cell_data(rows: Iterable[tuple[Any, ...]], width: int) -> CellData:
    """Returns a cell's data. `rows`: of `SELECT`, in order. `width`: the columns of all metrics.

    Raises `ValueError` for tags or an outcome that are none.
    """
    import numpy as np

    known: dict[str, str] = {}
    sets: dict[str, tuple[str, ...]] = {}
    statistics, scored, positions = bytearray(), bytearray(), array("q")
    ids, outcomes, groups, clusters = list[str](), list[str](), list[str](), list[str]()
    tags, questions, asked = list[tuple[str, ...]](), Packed(), Packed()
    for values, outcome, group, tagged, cluster, question, request, name, position in rows:
        statistics += values
        scored.append(outcome != FAILED and len(values) == 8 * width)
        if outcome not in _OUTCOMES:
            raise ValueError(f"{outcome!r:.60} is no outcome")
        outcomes.append(known.setdefault(outcome, outcome))
        groups.append(known.setdefault(group, group))
        if tagged not in sets:
            sets[tagged] = tags_of(tagged)
        tags.append(sets[tagged])
        if clusters and clusters[-1] == cluster:  # the samples of a cluster mostly follow each other
            cluster = clusters[-1]
        clusters.append(name if name == cluster else cluster)
        questions.append(question)
        asked.append(request)
        ids.append(name)
        positions.append(position)
    kept = np.frombuffer(scored, dtype=np.bool_)
    matrix = np.frombuffer(statistics, dtype="<f8").reshape(int(kept.sum()), width)
    return CellData(matrix, kept, ids, positions, groups, tags, clusters, outcomes, questions, asked)
