"""Builds the index of some runs, and keeps it up to date while they go on."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from evalkit.errors import EvalkitError
from evalkit.report.html.records import browser_record, searched
from evalkit.runfile.store import Cell, Store
from evalkit.runfile.tallies import samples_of_all
from evalkit.site.folder import stamp_of
from evalkit.view.reading import CellReader, Entry
from evalkit.view.tables import add_line, connect, create

FIRST, BATCH = 100, 2_000
"""Samples of the first part that is read, which the page waits for, and of each further one."""
_TEXTS = 200
_WAIT = 1.0
"""Seconds between two looks at a run that goes on."""
_REST = 10
"""Looking for changed samples reads the whole table, so it may take a tenth of the time."""
UNREADABLE = (EvalkitError, sqlite3.Error, ValueError, TypeError, LookupError, AttributeError)
"""What reading a run file raises that somebody edited."""


@dataclass
class Progress:
    """How far the index is. The builder writes it, others read it.

    `parts`: the benchmarks, `task:protocol`. `groups`: those of the samples. `wanted`: the planned samples
    of each (benchmark, run); None if that is not known. `lines`: samples that are listed, of
    about `expected`. `listed`: whether these are all that the files have. `texts`: samples whose texts can be
    searched; None if no text was searched yet. `going`: whether a run is unfinished. `version`: grows with
    every change, once that is committed and `lines` counts it. `texts` and `listed` grow only after that: who
    reads them first, then the version, then looks into the index, finds all that they speak of.
    `fault`: why it stopped; "" while it works.
    """

    parts: list[str] = field(default_factory=list)
    groups: set[str] = field(default_factory=set)
    wanted: dict[tuple[int, int], int | None] = field(default_factory=dict)
    lines: int = 0
    expected: int = 0
    listed: bool = False
    texts: int | None = None
    going: bool = False
    version: int = 0
    fault: str = ""


@dataclass
class _Track:
    """A benchmark in one run. `last`: the position up to which it was read once. `passed`: whether all was.

    `known`: the checksums of a run that goes on, by position. `changed`: positions to be read again.
    """

    part: int
    run: int
    reader: CellReader
    last: int = -1
    passed: bool = False
    known: dict[int, int] | None = None
    changed: list[int] = field(default_factory=list)


class Builder:
    """Fills the index at `place` from run files, in a thread of its own, until `close`."""

    def __init__(self, place: Path, paths: Sequence[Path]) -> None:
        self.progress = Progress()
        self.first = threading.Event()
        """Set when the first samples are listed, or there are none."""
        self._place, self._paths = place, tuple(paths)
        self._tracks: dict[tuple[int, int], _Track] = {}
        self._numbers: dict[tuple[int, str], int] = {}
        self._wants_texts = False
        self._texted = 0
        self._again: set[int] = set()
        self._closed = False
        self._called = threading.Event()
        self._thread = threading.Thread(target=self._run, name="evalkit-view-index", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def index_texts(self) -> None:
        """Also makes the index of texts, from now on."""
        if not self._wants_texts:
            self.progress.texts = 0  # first, because the thread may begin as soon as they are wanted
            self._wants_texts = True
            self._called.set()

    def close(self) -> None:
        """Ends the thread."""
        self._closed = True
        self._called.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            with ExitStack() as opened:
                db = opened.enter_context(closing(connect(self._place)))
                create(db, len(self._paths))
                stores = [opened.enter_context(Store.open(path, whole=False)) for path in self._paths]
                self._work(db, stores)
        except UNREADABLE as error:
            self.progress.fault = str(error)
        finally:
            self.progress.version += 1
            self.first.set()

    def _work(self, db: sqlite3.Connection, stores: Sequence[Store]) -> None:
        self._find_cells(stores)
        stamps, rested = self._stamps(), 0.0
        while not self._closed:
            if self._list(db):
                continue
            self.progress.listed = True
            self.first.set()
            if self._wants_texts and self._add_texts(db):
                continue
            self._called.wait(_WAIT if self.progress.going else None)
            self._called.clear()
            now, found = time.monotonic(), self._stamps()
            if self.progress.going and found != stamps and now >= rested:
                stamps = found
                self._find_cells(stores)
                self._find_changes()
                rested = time.monotonic() + _REST * (time.monotonic() - now)

    def _stamps(self) -> list[tuple[int, ...]]:
        return [stamp_of(path) for path in self._paths]

    def _find_cells(self, stores: Sequence[Store]) -> None:
        """Takes up benchmarks that runs have begun, and sees which are finished."""
        going = False
        for run, store in enumerate(stores):
            cells = [cell for cell in store.cells() if not cell.role]
            going = going or not cells or any(cell.finished is None for cell in cells)
            for cell in cells:
                self._find_cell(run, store, cell)
        readers = [track.reader for track in self._tracks.values()]
        by_part: dict[str, int] = {}
        for reader in readers:
            name = _name(reader.cell)
            by_part[name] = max(by_part.get(name, 0), reader.expected())
        self.progress.expected = sum(by_part.values())
        self.progress.going = going

    def _find_cell(self, run: int, store: Store, cell: Cell) -> None:
        parts, name = self.progress.parts, _name(cell)
        if name not in parts:
            parts.append(name)
        key = (parts.index(name), run)
        self.progress.wanted[key] = cell.finished or samples_of_all(store, cell) or cell.spec.wanted
        track = self._tracks.get(key)
        if track is None:
            known: dict[int, int] | None = {} if cell.finished is None else None
            self._tracks[key] = _Track(*key, CellReader(store, cell), known=known)
        elif track.reader.cell.id == cell.id:
            track.reader.cell = cell

    def _list(self, db: sqlite3.Connection) -> bool:
        """Lists the next samples of each run of a benchmark; returns whether there were any to be read."""
        waiting = [track for track in self._tracks.values() if not track.passed or track.changed]
        if not waiting:
            return False
        part = min(track.part for track in waiting)
        for track in (track for track in waiting if track.part == part):
            count = BATCH if self.progress.lines else FIRST
            if track.passed:
                some, track.changed = track.changed[:BATCH], track.changed[BATCH:]
                entries = track.reader.at(some)
            else:
                entries = track.reader.after(track.last, count)
                track.passed = len(entries) < count
            for entry in entries:
                self._add(db, track, entry)
            if entries and track.last < entries[-1].position:
                track.last = entries[-1].position
        db.commit()
        (lines,) = db.execute("SELECT max(n) FROM line").fetchone()
        self.progress.lines = lines or 0
        self.progress.expected = max(self.progress.expected, self.progress.lines)
        self.progress.version += 1
        if self.progress.lines:
            self.first.set()
        return True

    def _add(self, db: sqlite3.Connection, track: _Track, entry: Entry) -> None:
        if track.known is not None:
            track.known[entry.position] = entry.crc
        for label in _labels(entry.id):
            number = add_line(db, track.run, _values(track, entry, label))
            if number is not None:
                break
        self.progress.groups.update(entry.line.groups)
        if number is not None and number <= self._texted:
            self._again.add(number)

    def _find_changes(self) -> None:
        """Finds the samples of unfinished runs that are new, or that were run again."""
        for track in self._tracks.values():
            if track.known is None or not track.passed:
                continue
            known = track.known
            track.changed = [at for at, crc in track.reader.checksums() if known.get(at) != crc]
            if track.reader.cell.finished is not None and not track.changed:
                track.known = None

    def _add_texts(self, db: sqlite3.Connection) -> bool:
        """Adds the texts of the next samples; returns whether there were any."""
        again = [self._again.pop() for _ in range(min(_TEXTS, len(self._again)))]
        runs = len(self._paths)
        places = ", ".join(f"at_{run}, value_{run}" for run in range(runs))
        among = (
            ("n IN (SELECT value FROM json_each(?))", orjson.dumps(again).decode())
            if again
            else ("n > ?", self._texted)
        )
        rows = db.execute(
            f"SELECT n, part, id, question, {places} FROM line WHERE {among[0]} ORDER BY n LIMIT {_TEXTS}",  # noqa: S608
            among[1:],
        ).fetchall()
        for n, part, name, short, *columns in rows:
            for run, (position, value) in enumerate(zip(columns[::2], columns[1::2], strict=True)):
                if position is not None:
                    text = "\n".join([name, short, value, *self._texts(part, run, position)]).lower()
                    if again:
                        db.execute("DELETE FROM texts WHERE rowid = ?", (n * runs + run,))
                    db.execute("INSERT INTO texts (rowid, text) VALUES (?, ?)", (n * runs + run, text))
        db.commit()
        self.progress.version += bool(rows)
        if rows and not again:
            self._texted = self.progress.texts = rows[-1][0]
        return bool(rows)

    def _texts(self, part: int, run: int, position: int) -> Iterator[str]:
        record = self._tracks[part, run].reader.records.read(position)
        return searched(browser_record(part, record.id, [record], [None], [None]).answers)


def _name(cell: Cell) -> str:
    return f"{cell.task}:{cell.protocol}"


def _labels(name: str) -> Iterator[str]:
    """The names that a sample may get: its id, and others if an earlier sample of the run has it."""
    yield name
    number = 2
    while True:
        yield f"{name} ({number})"
        number += 1


def _values(track: _Track, entry: Entry, label: str) -> tuple[object, ...]:
    line = entry.line
    (run,) = line.runs
    return (
        track.part,
        label,
        track.run,
        entry.position,
        orjson.dumps(line.groups).decode(),
        line.question,
        int(line.disputed),
        entry.position,
        run.outcome,
        run.value,
        run.figure.text,
        run.figure.score,
        run.figure.merit,
        run.tokens,
        run.seconds,
        run.error,
    )
