"""The index of some runs that are shown together: an SQLite file with a row for each line of the list.

It is made for one server and removed with it. `line` has what the page's list knows of a sample, with a set
of columns for each run; `texts` has what a search looks into, a row for each run of a sample.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

_TEXT = "TEXT NOT NULL DEFAULT ''"
COLUMNS = {
    "at": "INTEGER", "outcome": _TEXT, "value": _TEXT, "figure": _TEXT, "score": "REAL", "merit": "REAL",
    "tokens": "INTEGER", "seconds": "REAL", "error": _TEXT,
}  # fmt: skip
"""The columns that each run has, with their types: `at_0`, `outcome_0`, …; `at` is the position in the
run's data."""
MOST_RUNS = 100
"""The most runs that can be shown together, because a table of SQLite has at most 2,000 columns."""
ORDER = "part, home, position"
"""The order of the data: of the first run that has a sample, then of the next one."""


def of_run(run: int) -> list[str]:
    """The names of the columns of a run."""
    return [f"{name}_{run}" for name in COLUMNS]


def connect(path: Path) -> sqlite3.Connection:
    """Opens an index. A thread of its own writes it, so readers never wait."""
    db = sqlite3.connect(path, timeout=60)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = OFF")  # it is worth nothing after a crash
    return db


def create(db: sqlite3.Connection, runs: int) -> None:
    """Creates the tables for so many runs."""
    columns = [f"{name}_{run} {kind}" for run in range(runs) for name, kind in COLUMNS.items()]
    db.execute(
        "CREATE TABLE line (n INTEGER PRIMARY KEY, part INTEGER NOT NULL, id TEXT NOT NULL, "
        "home INTEGER NOT NULL, position INTEGER NOT NULL, groups TEXT NOT NULL, question TEXT NOT NULL, "
        f"disputed INTEGER NOT NULL, {', '.join(columns)}, UNIQUE (part, id))"
    )
    db.execute(f"CREATE INDEX in_order ON line ({ORDER})")
    try:
        db.execute(
            "CREATE VIRTUAL TABLE texts USING "
            "fts5(text, tokenize = 'trigram case_sensitive 1', detail = none, columnsize = 0)"
        )
    except (
        sqlite3.OperationalError
    ):  # SQLite without FTS5 or before 3.34: the same searches, without an index
        db.execute("CREATE TABLE texts (text TEXT NOT NULL)")
    db.commit()


def add_line(db: sqlite3.Connection, run: int, values: tuple[object, ...]) -> int | None:
    """Adds a run's sample, to the line of other runs if there is one; returns the number of the line.

    `values`: part, id, home (the run), position, groups, question, disputed, and the columns of the run.
    Returns None, and adds nothing, if the line already has another sample of this run.
    """
    found = db.execute(_adding(run), values).fetchone()
    return None if found is None else int(found[0])


def _adding(run: int) -> str:
    names = of_run(run)
    first = ("groups", "question", "position")
    return (
        f"INSERT INTO line (part, id, home, position, groups, question, disputed, {', '.join(names)}) "  # noqa: S608
        f"VALUES (?, ?, ?, ?, ?, ?, ?, {', '.join('?' * len(names))}) ON CONFLICT (part, id) DO UPDATE SET "
        + "".join(f"{name} = iif(excluded.home <= home, excluded.{name}, {name}), " for name in first)
        + "home = min(home, excluded.home), disputed = max(disputed, excluded.disputed), "
        + ", ".join(f"{name} = excluded.{name}" for name in names)
        + f" WHERE at_{run} IS NULL OR at_{run} = excluded.at_{run} RETURNING n"
    )
