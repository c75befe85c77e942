"""Reads the samples of a benchmark in a run file in parts, for the index of `evalkit view`.

A report checks a table as a whole before it reads one row. A run of a million samples is shown before that is
done, so every row is checked here when it is read.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import orjson

from evalkit.errors import UsageError
from evalkit.report.html.browser import grader
from evalkit.report.html.entries import ListEntry, SampleFigure, list_entry
from evalkit.runfile.cell_data import cell_data
from evalkit.runfile.reader import fix
from evalkit.runfile.sample_records import SAMPLE, SampleRecords, record_of
from evalkit.runfile.seals import Seal, fault, tables
from evalkit.runfile.store import Cell, Store

_TABLE = tables()["sample"]
_PLACES = {column.name: place for place, column in enumerate(_TABLE.columns)}
_SELECT = f"SELECT {_TABLE.names}, crc FROM sample WHERE cell = ?"  # noqa: S608 — our names
_RECORD = SAMPLE.split(", ")
_DATA = ["statistics", "outcome", "grp", "tags", "cluster", "question", "asked", "id", "position"]
_SIZES = """
SELECT position, sum(completion_tokens), sum(seconds) FROM asked
JOIN draw ON draw.request = asked.request AND draw.draw = asked.draw
WHERE asked.cell = ? AND position BETWEEN ? AND ? AND judge = 0 AND asked.draw >= 0 GROUP BY position
"""


class Entry(NamedTuple):
    """A sample of one run as the list shows it. `crc`: the checksum of its row, which tells of changes."""

    position: int
    crc: int
    id: str
    line: ListEntry


class CellReader:
    """Reads the samples of one cell. `store` was opened with `whole=False`. Used by one thread."""

    def __init__(self, store: Store, cell: Cell) -> None:
        self.cell = cell
        self.records = SampleRecords(store, cell)
        self._db, self._path = store.connection, store.path
        self._grade = grader(store, cell)
        self._seal = Seal.of(store.connection)

    def after(self, position: int, count: int) -> list[Entry]:
        """The first `count` samples behind a position in the data, in order. Raises `UsageError`."""
        rows = self._db.execute(
            f"{_SELECT} AND position > ? ORDER BY position LIMIT ?", (self.cell.id, position, count)
        )
        return self._entries(rows.fetchall())

    def at(self, positions: Iterable[int]) -> list[Entry]:
        """The samples at these positions, in order. Raises `UsageError`."""
        among = orjson.dumps(list(positions)).decode()
        rows = self._db.execute(
            f"{_SELECT} AND position IN (SELECT value FROM json_each(?)) ORDER BY position",  # noqa: S608
            (self.cell.id, among),
        )
        return self._entries(rows.fetchall())

    def checksums(self) -> list[tuple[int, int]]:
        """(position, checksum) of every sample that is there now. This reads the whole table."""
        found: list[tuple[int, int]] = self._db.execute(
            "SELECT position, crc FROM sample WHERE cell = ?", (self.cell.id,)
        ).fetchall()
        return found

    def expected(self) -> int:
        """About how many samples it has: all of a finished run's, else those up to the last one."""
        if self.cell.finished is not None:
            return self.cell.finished
        (last,) = self._db.execute(
            "SELECT max(position) FROM sample WHERE cell = ?", (self.cell.id,)
        ).fetchone()
        return 0 if last is None else int(last) + 1

    def _entries(self, rows: Sequence[tuple[Any, ...]]) -> list[Entry]:
        for *values, crc in rows:
            if wrong := fault(_TABLE, self._seal, values, crc):
                raise UsageError(
                    f"{self._path} is damaged: table sample, row {_TABLE.label(values)}: {wrong}. "
                    f"{fix(self._path)}"
                )
        if not rows:
            return []
        figures = None
        if self._grade is not None:
            data = ([row[_PLACES[name]] for name in _DATA] for row in rows)
            figures = self._grade(cell_data(map(tuple, data), self.cell.spec.width))
        place = _PLACES["position"]
        sizes = self._sizes(rows[0][place], rows[-1][place])
        found = []
        for row in rows:
            record = record_of(self._path, [row[_PLACES[name]] for name in _RECORD])
            position = row[place]
            figure = None if figures is None else figures.get(position, SampleFigure())
            line = list_entry(0, record.id, (record,), (figure,))
            tokens, seconds = sizes.get(position, (None, None))
            (run,) = line.runs
            run = dataclasses.replace(run, tokens=tokens, seconds=seconds)
            found.append(Entry(position, row[-1], record.id, dataclasses.replace(line, runs=(run,))))
        return found

    def _sizes(self, first: int, last: int) -> dict[int, tuple[int | None, float | None]]:
        """(tokens, seconds) of the responses of each sample, as `RunEntry` has them."""
        rows = self._db.execute(_SIZES, (self.cell.id, first, last))
        return {position: (tokens, round(seconds, 3)) for position, tokens, seconds in rows}
