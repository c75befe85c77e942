"""The run file: one SQLite database per run; schema.sql describes its tables.

Every response is committed in the next turn of the event loop, so a killed process loses at most the
responses that arrived in the same instant. Readers may open the file while a run writes it.
"""

from __future__ import annotations

import dataclasses
import math
import sqlite3
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from evalkit.benchmark.spec import CellSpec
from evalkit.convert import from_json, to_json
from evalkit.errors import StorageError, UsageError
from evalkit.media.sent import SentFile
from evalkit.models.base import Response
from evalkit.runfile import media_tables
from evalkit.runfile.cell_data import SELECT, cell_data
from evalkit.runfile.encoding import RESPONSE, dump, listed_columns, response_of, row_columns
from evalkit.runfile.manifest import manifest_of
from evalkit.runfile.opening import FORMAT, opened
from evalkit.runfile.reader import Reader
from evalkit.runfile.records import (
    ANSWERED,
    OF_MODEL,
    OUTCOMES,
    VALIDATION,
    Cell,
    CellData,
    Row,
    StoredFigure,
)
from evalkit.runfile.runlock import RunLock
from evalkit.runfile.seals import inserting, number, script, seal_writes
from evalkit.runfile.stored_json import answer, columns, determined
from evalkit.runfile.writer import Writer
from evalkit.samples import JSON, plain_text

__all__ = ["ANSWERED", "FORMAT", "OUTCOMES", "VALIDATION", "Cell", "CellData", "Row", "Store"]


class Store:
    """An open run file, until `close` or the end of `with Store.open(path) as store:`.

    It must be used by one thread only.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, task_files: tuple[Path, ...] = ()) -> None:
        """`task_files`: task files that may be imported to read the run. A run file alone runs no code."""
        self._db = connection
        self.path = path
        self.task_files = task_files
        self.lock: RunLock | None = None
        """The lock that `close` releases."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @classmethod
    def create(cls, path: Path, manifest: dict[str, Any]) -> Store:
        """Creates a run file. Raises `UsageError` if it cannot be written."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            store = cls(Writer.create(path), path)
            # One transaction, so that a killed process does not leave an incomplete file behind.
            store._db.executescript(f"BEGIN;\n{script()}")
            number(store._db)
            seal_writes(store._db)
            store._db.executemany(
                inserting("run"),
                [(key, dump(value)) for key, value in {"format": FORMAT, **manifest}.items()],
            )
            store.commit()
        except (OSError, sqlite3.Error, StorageError) as error:
            raise UsageError(f"cannot write the run file {path}: {error}") from None
        return store

    @classmethod
    def open(
        cls,
        path: str | Path,
        task_files: tuple[Path, ...] = (),
        *,
        to_write: bool = False,
        whole: bool = True,
    ) -> Store:
        """Opens a run file. Raises `UsageError` if it is not a run file, or has an unknown format.

        `task_files`: task files that may be imported. `to_write`: open it to resume the run; the caller holds
        its lock. `whole`: check each table as a whole before it is read; else the caller checks rows.
        """
        path = Path(path)
        return cls(opened(path, to_write=to_write, whole=whole), path, task_files)

    def check_all(self) -> None:
        """Checks the whole file. Raises `UsageError`. Reading checks only the tables that are read."""
        if isinstance(self._db, Reader):
            self._db.check_all()

    @property
    def connection(self) -> sqlite3.Connection:
        """The database, for reading (`evalkit.runfile.sample_records`)."""
        return self._db

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest. Raises `UsageError` if an entry is not as evalkit writes it, or one is missing."""
        return manifest_of(self._db.execute("SELECT key, value FROM run"), self.path)

    @property
    def is_slim(self) -> bool:
        """Whether it is a slim run file without texts (`evalkit.runfile.slim`)."""
        return self.manifest.get("slim") is True

    def needs_texts(self, what: str) -> None:
        """Raises `UsageError` for a slim run file, which has no texts."""
        if self.is_slim:
            raise UsageError(f"{self.path} is a slim run file without texts: {what} needs the whole file")

    def commit(self) -> None:
        self._db.commit()

    def read_back(self) -> None:
        """Commits, and raises `StorageError` if a reader that opens the file now does not find everything."""
        assert isinstance(self._db, Writer), "opened to be read"
        self._db.read_back()

    def close(self) -> None:
        try:
            if self._db.in_transaction:
                self._db.commit()
        finally:
            self._db.close()
            if self.lock is not None:
                self.lock.release()

    # -- cells ---------------------------------------------------------------------------------------

    def add_cell(self, spec: CellSpec, role: str = "") -> Cell:
        """Adds a cell. The caller commits."""
        cursor = self._db.execute(
            "INSERT INTO cell (task, protocol, role, spec, found) VALUES (?, ?, ?, ?, '{}')",
            (spec.task, spec.protocol.name, role, dump(to_json(spec))),
        )
        return Cell(int(cursor.lastrowid or 0), spec, role)

    def cells(self) -> list[Cell]:
        rows = self._db.execute("SELECT id, spec, role, found, finished FROM cell ORDER BY id")
        try:
            return [
                Cell(
                    i,
                    from_json(CellSpec, orjson.loads(spec), str(self.path)),
                    role,
                    determined(found),
                    finished,
                )
                for i, spec, role, found, finished in rows
            ]
        except ValueError as error:
            raise UsageError(f"{self.path}, table cell: {error}: it was edited") from None

    def finish(self, cell: Cell, samples: int, figures: Iterable[StoredFigure]) -> None:
        """Stores that `cell` has reached the end of its data, and its figures. The caller commits."""
        self._db.execute("UPDATE cell SET finished = ? WHERE id = ?", (samples, cell.id))
        self._db.execute("DELETE FROM figure WHERE cell = ?", (cell.id,))
        self._db.executemany(
            inserting("figure"),
            [(cell.id, *dataclasses.astuple(figure)) for figure in figures],
        )

    def reopen(self, cell: Cell) -> None:
        """Undoes `finish`, because samples of `cell` are run or scored again."""
        self._db.execute("UPDATE cell SET finished = NULL WHERE id = ?", (cell.id,))
        self._db.execute("DELETE FROM figure WHERE cell = ?", (cell.id,))

    def set_spec(self, cell: Cell, spec: CellSpec) -> None:
        """Replaces the spec of `cell`, when other code reads, scores and measures it. The caller commits."""
        self._db.execute("UPDATE cell SET spec = ? WHERE id = ?", (dump(to_json(spec)), cell.id))

    def set_entry(self, key: str, value: JSON) -> None:
        """Sets an entry of the manifest. The caller commits."""
        self._db.execute(inserting("run", "INSERT OR REPLACE"), (key, dump(value)))

    def drop_entry(self, key: str) -> None:
        """Removes an entry of the manifest. The caller commits."""
        self._db.execute("DELETE FROM run WHERE key = ?", (key,))

    def figures(self, cell: Cell) -> list[StoredFigure]:
        """Returns the figures that were stored when the cell was finished."""
        rows = self._db.execute(
            "SELECT metric, grp, value, low, high, n FROM figure WHERE cell = ?", (cell.id,)
        )
        found = [StoredFigure(*row) for row in rows]
        for one in found:
            if not all(math.isfinite(x) for x in (one.value, one.low, one.high) if x is not None):
                raise UsageError(f"{self.path}, table figure: {one.metric!r:.60}: not finite: it was edited")
        return found

    def set_found(self, cell: Cell, found: dict[str, JSON]) -> None:
        """Stores what the run determined for `cell`, and deletes samples scored under anything else."""
        (before,) = self._db.execute("SELECT found FROM cell WHERE id = ?", (cell.id,)).fetchone()
        if orjson.loads(before) != orjson.loads(dump(found)):
            for table in ("sample", "asked"):
                self._db.execute(f"DELETE FROM {table} WHERE cell = ?", (cell.id,))  # noqa: S608 — fixed
            self.reopen(cell)
            self._db.execute("UPDATE cell SET found = ? WHERE id = ?", (dump(found), cell.id))

    # -- responses -----------------------------------------------------------------------------------

    def response(self, key: bytes, draw: int) -> Response | None:
        """Returns the stored response to a request's draw, or None."""
        found = self._db.execute(
            f"SELECT id, {RESPONSE} FROM request JOIN draw ON draw.request = request.id "  # noqa: S608 — fixed
            "WHERE key = ? AND draw = ?",
            (key, draw),
        ).fetchone()
        return found and media_tables.with_made(self._db, found[0], draw, response_of(found[1:]))

    def add_response(
        self,
        key: bytes,
        body: bytes,
        draw: int,
        cell: Cell,
        sample: str,
        response: Response,
        asked_of: int = OF_MODEL,
    ) -> None:
        """Stores a response. `key`, `body`: of the request, as `Request.encoded` returns them.

        `asked_of`: the source of the response, such as `evalkit.runfile.records.OF_MODEL`.
        """
        listed = listed_columns(response)
        # Nearly every request is new, so it is inserted first and only looked up if that fails.
        new = self._db.execute(
            "INSERT OR IGNORE INTO request (key, body) VALUES (?, ?)", (key, body.decode())
        )
        identifier = new.lastrowid
        if not new.rowcount:
            (identifier,) = self._db.execute("SELECT id FROM request WHERE key = ?", (key,)).fetchone()
        self._db.execute(
            inserting("draw", "INSERT OR REPLACE"),
            (identifier, draw, cell.id, sample, asked_of, response.text, response.reasoning, response.finish)
            + (response.prompt_tokens, response.completion_tokens, response.seconds)
            + listed,
        )
        if response.media or not new.rowcount:
            media_tables.add_made(self._db, int(identifier or 0), draw, response.media)

    def add_error(self, cell: Cell, sample: str, draw: int, boundary: str, message: str) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._db.execute(
            "INSERT INTO error (at, cell, sample, draw, boundary, message) VALUES (?, ?, ?, ?, ?, ?)",
            (now, cell.id, sample, draw, boundary, plain_text(message)),
        )

    def add_media(self, medium: SentFile) -> None:
        """Adds a file that was sent or generated. A file that is already there stays as it is."""
        media_tables.add(self._db, medium)

    def mime(self, key: str) -> str:
        """Returns the type of a file that was sent, or "" if it was not sent."""
        return str(media_tables.column(self._db, "mime", key) or "")

    def preview(self, key: str) -> bytes | None:
        """Returns the small JPEG or Ogg of a file, or None if it was neither sent nor generated."""
        found: bytes | None = media_tables.column(self._db, "preview", key)
        return found

    # -- samples -------------------------------------------------------------------------------------

    def state(self, cell: Cell, position: int) -> tuple[str, str, bytes] | None:
        """Returns (id, outcome, digest of the question) of the sample at `position`, or None."""
        found: tuple[str, str, bytes] | None = self._db.execute(
            "SELECT id, outcome, question FROM sample WHERE cell = ? AND position = ?", (cell.id, position)
        ).fetchone()
        return found

    def add_sample(self, cell: Cell, row: Row, *, fresh: bool = False) -> None:
        """Writes a sample and its links to responses, and replaces one that failed earlier.

        `fresh`: the caller knows that the sample is not in the file yet.

        Raises `SampleError` or `ScorerError`, and writes nothing, if a value cannot be stored.
        """
        values = row_columns(row)
        if not fresh:
            self._db.execute("DELETE FROM asked WHERE cell = ? AND position = ?", (cell.id, row.position))
        self._db.executemany(
            "INSERT INTO asked (cell, position, turn, draw, request, branch) "
            "SELECT ?, ?, ?, ?, id, ? FROM request WHERE key = ?",
            [(cell.id, row.position, link.turn, link.draw, link.branch, link.key) for link in row.links],
        )
        self._db.execute(inserting("sample", "INSERT OR REPLACE"), (cell.id, *values))

    def data(self, cell: Cell) -> CellData:
        """Returns everything that a table needs of a cell."""
        rows = self._db.execute(f"{SELECT} WHERE cell = ? ORDER BY position", (cell.id,))
        try:
            return cell_data(rows, cell.spec.width)
        except ValueError as error:
            raise UsageError(f"{self.path}, table sample: {error}: it was edited") from None

    def outcomes(self, cell: Cell, variant: str = "") -> dict[str, int]:
        """Returns the samples by outcome in `variant`, "" for the headline; every outcome has an entry."""
        if variant:
            rows = self._db.execute(
                "SELECT coalesce(json_extract(answer, '$.outcomes.\"' || ? || '\"'), outcome) AS ended, "
                "count(*) FROM sample WHERE cell = ? GROUP BY ended",
                (variant, cell.id),
            )
        else:
            rows = self._db.execute(
                "SELECT outcome, count(*) FROM sample WHERE cell = ? GROUP BY outcome", (cell.id,)
            )
        found = dict(rows.fetchall())
        return {outcome: int(found.get(outcome, 0)) for outcome in OUTCOMES}

    def answers(self, cell: Cell) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yields (sample, answer as `engine.score` wrote it) of the scored samples, in order."""
        rows = self._db.execute(
            "SELECT id, answer FROM sample WHERE cell = ? AND outcome != 'failed' ORDER BY position",
            (cell.id,),
        )
        try:
            yield from ((sample, answer(text)) for sample, text in rows)
        except ValueError as error:
            raise UsageError(f"{self.path}, table sample: {error}: it was edited") from None

    def samples(self, cell: Cell) -> Iterator[dict[str, Any]]:
        """Yields a cell's samples in order, as plain JSON. A failed sample has no `finals`."""
        names = ("position", "id", "input", "target", "choices", "grp", "tags", "cluster", "meta", "media")
        rows = self._db.execute(
            f"SELECT {', '.join(names)}, outcome, boundary, error, answer "  # noqa: S608 — fixed names
            "FROM sample WHERE cell = ? ORDER BY position",
            (cell.id,),
        )
        for position, identifier, text, *lists, outcome, boundary, error, result in rows:
            target, choices, group, tags, cluster, meta, media = lists
            read = columns(self.path, identifier, target, choices, tags, meta, media, result)
            yield {
                "position": position,
                "id": identifier,
                "input": text,
                "target": read.target,
                "choices": read.choices,
                "group": group,
                "tags": read.tags,
                "cluster": cluster,
                "meta": read.meta,
                "media": read.media,
                "outcome": outcome,
                "boundary": boundary,
                "error": error,
                "finals": read.answer.get("finals", []),
                "variants": read.answer.get("variants", {}),
                "detail": read.answer.get("detail", {}),
            }

    def failures(self, cell: Cell) -> Iterator[tuple[str, str, str]]:
        """Yields (sample, boundary, message) of the failed samples."""
        yield from self._db.execute(
            "SELECT id, boundary, error FROM sample WHERE cell = ? AND outcome = 'failed' ORDER BY position",
            (cell.id,),
        )
