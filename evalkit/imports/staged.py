"""Puts the readings of samples, which a file may have in any order, together on the disk."""

from __future__ import annotations

import pickle
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from evalkit.errors import UsageError
from evalkit.imports.results import Scored
from evalkit.samples import plain_text

_TABLES = """
CREATE TABLE reading (position INTEGER, draw INTEGER, name INTEGER, seen INTEGER, data BLOB,
    PRIMARY KEY (position, draw, name)) WITHOUT ROWID;
CREATE TABLE sample (position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE);
CREATE TABLE value (metric INTEGER, position INTEGER, draw INTEGER, value REAL, weight REAL);
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """What the samples say about one metric: its least and greatest value, and the mean over samples.

    With weights, the mean is the sum of the values over that of the weights.

    `whole`: whether each value is 0 or 1. `n`: the number of samples with a value.
    """

    name: str
    least: float
    greatest: float
    mean: float
    whole: bool
    n: int


@dataclass(slots=True)
class Staged:
    """The readings of one task's samples, in a database that is deleted when it is closed."""

    where: str
    _db: sqlite3.Connection = field(default_factory=lambda: sqlite3.connect(""))
    _metrics: dict[str, int] = field(default_factory=dict)
    _readings: dict[str, int] = field(default_factory=dict)
    samples: int = 0

    def __post_init__(self) -> None:
        self._db.executescript(f"PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF; {_TABLES}")

    def close(self) -> None:
        self._db.close()

    def add(self, one: Scored) -> None:
        """Adds a reading. Raises `UsageError` if the sample has one for that draw already."""
        name = plain_text(one.id)
        found = self._db.execute("SELECT position FROM sample WHERE id = ?", (name,)).fetchone()
        position = found[0] if found else self.samples
        if not found:
            self._db.execute("INSERT INTO sample VALUES (?, ?)", (position, name))
            self.samples += 1
        reading = self._readings.setdefault(one.reading, len(self._readings))
        try:
            self._db.execute(
                "INSERT INTO reading VALUES (?, ?, ?, ?, ?)",
                (position, one.draw, reading, self.samples, pickle.dumps(one)),
            )
        except sqlite3.IntegrityError:
            of = f" of {one.reading}" if one.reading else ""
            raise UsageError(
                f"{one.where}: the sample {one.id!r} is there twice{of} (draw {one.draw}): import each "
                "result once, or number the draws of a sample"
            ) from None
        if not one.error:
            self._db.executemany(
                "INSERT INTO value VALUES (?, ?, ?, ?, ?)",
                [
                    (self._metric(metric), position, one.draw, value, one.weights.get(metric, 1.0))
                    for metric, value in one.values.items()
                ],
            )

    def _metric(self, name: str) -> int:
        return self._metrics.setdefault(name, len(self._metrics))

    @property
    def readings(self) -> tuple[str, ...]:
        """The names of the readings, in the order of the file."""
        return tuple(self._readings)

    def measured(self) -> list[Measured]:
        """Returns what is known of each metric, in the order of the file."""
        rows = self._db.execute(
            "SELECT metric, min(least), max(greatest), sum(mean) / sum(weight), min(whole), count(*) FROM "
            "(SELECT metric, min(value) AS least, max(value) AS greatest, avg(value) AS mean, "
            "avg(weight) AS weight, min(value IN (0, 1)) AS whole FROM value GROUP BY metric, position) "
            "GROUP BY metric"
        )
        names = list(self._metrics)
        return [
            Measured(names[at], least, greatest, mean, bool(whole), n)
            for at, least, greatest, mean, whole, n in sorted(rows)
        ]

    def groups(self) -> Iterator[tuple[int, Sequence[Scored]]]:
        """Yields (position, its readings by draw and then by name) of each sample, in the file's order."""
        rows = self._db.execute("SELECT position, data FROM reading ORDER BY position, draw, name")
        at, found = -1, list[Scored]()
        for position, data in rows:
            if position != at and found:
                yield at, found
                found = []
            at = position
            found.append(pickle.loads(data))  # noqa: S301 — written above, into a database of this process
        if found:
            yield at, found
