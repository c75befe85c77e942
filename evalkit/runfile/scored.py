"""The scored samples of a cell with their answers, read from its run file a few at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from evalkit.metrics.base import Scored
from evalkit.runfile.records import FAILED, Cell
from evalkit.runfile.sample_records import known_medium
from evalkit.runfile.store import Store
from evalkit.runfile.stored_json import columns
from evalkit.samples import JSON, Answer, Final, Sample

AT_ONCE = 500
"""Number of samples in memory."""
_COLUMNS = "position, id, input, target, choices, grp, tags, cluster, meta, media, answer, statistics"


def scored_samples(store: Store, cell: Cell) -> Iterator[tuple[int, Sample, dict[str, Any], bytes]]:
    """Yields (position, sample, answer as `engine.score` wrote it, statistics), read a few at a time."""
    after = -1
    while True:
        rows = store.connection.execute(
            f"SELECT {_COLUMNS} FROM sample WHERE cell = ? AND position > ? AND outcome != ? "  # noqa: S608
            "AND length(statistics) > 0 ORDER BY position LIMIT ?",
            (cell.id, after, FAILED, AT_ONCE),
        ).fetchall()
        if not rows:
            return
        for position, name, text, *lists, answer, statistics in rows:
            target, choices, group, tags, cluster, meta, media = lists
            read = columns(store.path, name, target, choices, tags, meta, media, answer)
            sample = Sample(
                id=name,
                input=text,
                target=tuple(read.target),
                choices=tuple(read.choices),
                group=group,
                tags=tuple(read.tags),
                cluster=cluster,
                meta=read.meta,
                media=tuple(known_medium(store, key) for key in read.media),
            )
            yield position, sample, read.answer, statistics
        after = rows[-1][0]


def scored_of(answer: dict[str, Any]) -> Scored:
    """Rebuilds `Score.scored` from what `Score.as_json` wrote."""
    finals, branches = answer["finals"], answer["branches"]
    others: dict[str, list[dict[str, Any]]] = {**answer["variants"], **branches}
    detail: dict[str, JSON] = answer["detail"]
    readings = {"": finals, **others}
    return Scored(
        Answer(_finals(finals), detail, {name: _finals(branch) for name, branch in branches.items()}),
        _correct(finals),
        tuple(final["reason"] for final in finals),
        {name: _correct(graded) for name, graded in others.items()},
        {name: tuple(_credit(final) for final in graded) for name, graded in readings.items()},
        {name: tuple(_values(final) for final in graded) for name, graded in readings.items()},
    )


def _finals(graded: Sequence[dict[str, Any]]) -> tuple[Final, ...]:
    return tuple(Final(final["value"], final["truncated"], final.get("refused", False)) for final in graded)


def _correct(graded: Sequence[dict[str, Any]]) -> tuple[bool, ...]:
    return tuple(final["correct"] for final in graded)


def _credit(final: dict[str, Any]) -> float:
    return float(final.get("credit", final["correct"]))


def _values(final: dict[str, Any]) -> dict[str, float] | None:
    return None if final["value"] is None else final.get("values", {})


def answered(store: Store, cell: Cell) -> Iterator[tuple[Sample, Scored]]:
    """Yields each scored sample with its answer."""
    for _, sample, answer, _ in scored_samples(store, cell):
        yield sample, scored_of(answer)
