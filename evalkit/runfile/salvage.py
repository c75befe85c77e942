"""Saves what is whole in a damaged run file into a new run file, from which reports and resumed runs work.

A sample counts as not asked if its row is damaged, or a response or link that it was scored by. Resuming asks
again only for responses that were lost. No figure of an incomplete cell is kept. A damaged row of `cell` is
taken from its copy.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.errors import StorageError, UsageError
from evalkit.runfile.manifest import manifest_of
from evalkit.runfile.seals import CELL_COPY, Table, inserting, tables
from evalkit.runfile.store import Store
from evalkit.runfile.verify import Damaged, Verified, every_row, opened_damaged
from evalkit.scratch import replacing

_NEEDED = ("model", "seed", "evalkit", "judges")
"""The entries of the manifest without which nothing can be said of the samples."""
_ORDER = ("cell", "request", "draw", "generated", "media", "error", "asked", "sample", "figure")

_UNFOUNDED = """
DELETE FROM draw WHERE request NOT IN (SELECT id FROM request) OR cell NOT IN (SELECT id FROM cell);
DELETE FROM sample WHERE cell NOT IN (SELECT id FROM cell);
DELETE FROM sample WHERE EXISTS (
    SELECT 1 FROM asked WHERE asked.cell = sample.cell AND asked.position = sample.position AND NOT EXISTS (
        SELECT 1 FROM draw WHERE draw.request = asked.request AND draw.draw = asked.draw));
DELETE FROM asked WHERE NOT EXISTS (
    SELECT 1 FROM sample WHERE sample.cell = asked.cell AND sample.position = asked.position);
"""
"""Removes what rests on rows that were not saved."""
_MADE = "DELETE FROM draw WHERE cell IN (SELECT cell FROM draw JOIN generated USING (request, draw))"
"""Removes the responses of each cell with generated files, because one may lack a file now."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What was saved. `samples`: how many by cell. `unfinished`: the cells that have to be resumed."""

    rows: Mapping[str, int]
    samples: Mapping[str, int]
    unfinished: tuple[str, ...]


def save(found: Verified, output: Path) -> Saved:
    """Writes the run file `output`, which must not exist, from what is whole in the file that was verified.

    Raises `UsageError`, also if the entries of the manifest are lost without which nothing can be said.
    """
    if output.exists():
        raise UsageError(f"{output} already exists: remove it, or name another file with -o")
    try:
        with (
            opened_damaged(found.path) as old,
            replacing(output) as part,
            Store.create(part, _manifest(old)) as new,
        ):
            for name in _ORDER:
                new.connection.executemany(inserting(name, "INSERT OR IGNORE"), _whole(old, name))
                if name == "cell" and found.tables["cell"].found:
                    new.connection.executemany(inserting("cell", "INSERT OR IGNORE"), _whole(old, CELL_COPY))
            saved = _settle(new, found)
            new.read_back()
    except (OSError, sqlite3.Error, StorageError) as error:
        raise UsageError(f"cannot write {output}: {error}") from None
    return saved


def _manifest(old: Damaged) -> dict[str, Any]:
    entries = {}
    for (key, value), words in every_row(old, tables()["run"]):
        if not words:
            entries[key] = value
    lost = [key for key in _NEEDED if key not in entries]
    if lost:
        raise UsageError(f"nothing of {old.path} can be saved: the run's {', '.join(lost)} is damaged")
    found = manifest_of(entries.items(), old.path)
    return {key: value for key, value in found.items() if key != "format"}


def _whole(old: Damaged, name: str) -> Iterator[tuple[Any, ...]]:
    table: Table = tables()[name]
    yield from (values for values, words in every_row(old, table) if not words)


def _settle(new: Store, found: Verified) -> Saved:
    """Removes what rests on lost rows, and opens the cells that are not complete."""
    db, hurt = new.connection, {name for name, state in found.tables.items() if state.found}
    if "asked" in hurt:  # a lost link cannot be seen; resuming scores the stored responses again
        db.execute("DELETE FROM sample")
    if "generated" in hurt:
        db.execute(_MADE)
    for statement in filter(str.strip, _UNFOUNDED.split(";")):
        db.execute(statement)
    samples, unfinished = {}, []
    for cell in new.cells():
        (count,) = db.execute("SELECT count(*) FROM sample WHERE cell = ?", (cell.id,)).fetchone()
        samples[cell.spec.label] = count
        if cell.finished != count or hurt & {"figure", "sample"}:
            new.reopen(cell)
            unfinished.append(cell.spec.label)
    counts = {name: db.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables()}  # noqa: S608
    return Saved(counts, samples, tuple(unfinished))
