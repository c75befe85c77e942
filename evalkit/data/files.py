"""Reads records from one file: JSON lines, JSON, CSV, TSV or Parquet; text files also packed (`data.packed`).

A record is what the file says: no type is guessed. A cell of CSV is a text as it stands, whether it looks
like a number, a date or "NA", and a number of JSON remembers its spelling (`Number`).

Files may be broken or hostile: every error is a `DataError` that names the file and the line. A line has at
most `MOST_LINE` bytes and a JSON document `MOST_JSON`, when unpacked, so that a small packed file cannot fill
the memory. A cell of CSV has at most 131,072 characters.
"""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from io import StringIO
from pathlib import Path
from typing import IO, Any, NoReturn

from evalkit.data.base import CsvCell, Number, Record, Records, check_columns, readable
from evalkit.data.media import embedded, media_columns
from evalkit.data.packed import DAMAGE, PACKED, ending, unpacked
from evalkit.errors import DataError

MOST_LINE = 64 << 20
MOST_JSON = 256 << 20
DELIMITERS = ",;\t"
"""What may stand between the cells of a .csv file: the one that gives its header the most columns."""
UNNAMED = "Unnamed: 0"
"""The name of a table's first column if it has none: it is the index that pandas writes."""
_HEADER = "the header must name each column, with different names"
_EXCEL = re.compile(r"sep=(.)\r?\n?", re.IGNORECASE)
"""The line before the header in which Excel reads the delimiter."""
Reader = Callable[[Path], Iterator[Record]]


def open_file(path: Path, columns: Sequence[str], reader: Reader | None = None) -> Records:
    """Returns the records of the file at `path`. Without `reader`, the extension decides how it is read.

    The file is read once, to find damage before a run. Raises `DataError`.
    """
    if not path.is_file():
        raise DataError(f"no file {path} in {Path.cwd()}")
    read = partial(reader or reader_of(path), path)
    count, found = 0, set[str]()
    for record in read():
        found = found or set(record)
        count += 1
    if not count:
        raise DataError(f"{path} has no records")
    check_columns(columns, found, str(path))
    with path.open("rb") as data:
        digest = hashlib.file_digest(data, "sha256").hexdigest()
    origin = {
        "kind": "file",
        "name": path.name,
        "config": "",
        "split": "",
        "revision": f"sha256 {digest[:12]}",
        "where": str(path),
    }
    return Records(origin, count, read)


def reader_of(path: Path) -> Reader:
    """Returns the reader for the file's extension. Raises `DataError` for an unknown extension."""
    form, packed = ending(path), path.suffix.lower() in PACKED
    if form == ".parquet" and packed:
        kind = "gzip: gunzip it" if path.suffix.lower() == ".gz" else f"{path.suffix[1:]}: unpack it"
        raise DataError(f"{path}: a Parquet file must not be packed with {kind}")
    if form not in _READERS:
        raise DataError(
            f"{path}: the extension must be one of {', '.join(_READERS)}; text files may also have "
            f"{', '.join(PACKED)}"
        )
    return _READERS[form]


def read_lines(path: Path) -> Iterator[Record]:
    """Yields the objects of a file with one object per line. Empty lines are skipped."""
    with _unpacked(path) as data:
        yield from objects(path, data)


def objects(path: Path, data: IO[bytes]) -> Iterator[Record]:
    """Yields the objects of an open file with one object per line. `path`: its name in errors."""
    for number, value in _values(path, data):
        yield _object(path, f"line {number}", value)


def numbered_values(path: Path) -> Iterator[tuple[int, Any]]:
    """Yields (line, value) of a file with one JSON value per line. Empty lines are skipped."""
    with _unpacked(path) as data:
        yield from _values(path, data)


def _values(path: Path, data: IO[bytes]) -> Iterator[tuple[int, Any]]:
    for number, line in _lines(path, data):
        if line.isspace():
            continue
        try:
            value = _loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
        except ValueError as error:
            _refuse(path, f"line {number}", f"not a JSON object ({error}), so it cannot be read{_fix(error)}")
        yield number, value


def _loads(text: str) -> Any:
    """Returns the JSON value. Raises `ValueError`, also for an object that has a key twice."""
    try:
        return json.loads(text, parse_float=Number, parse_constant=Number, object_pairs_hook=_distinct)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in found if keys.count(key) > 1)
        raise ValueError(f"it has {twice[:80]!r} twice")
    return found


def _fix(error: Exception) -> str:
    return ": save it as UTF-8" if isinstance(error, UnicodeDecodeError) else ""


def _lines(path: Path, data: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    number = 0
    while line := _line(path, data, number):
        number += 1
        yield number, line


def _line(path: Path, data: IO[bytes], before: int) -> bytes:
    try:
        line = data.readline(MOST_LINE + 1)
    except DAMAGE as error:
        _refuse(path, f"after line {before}", f"the file cannot be read ({error})")
    if len(line) > MOST_LINE:
        _refuse(path, f"line {before + 1}", f"the line has more than {MOST_LINE:,} bytes")
    return line


def read_json(path: Path, key: str | None = None) -> Iterator[Record]:
    """Yields the objects of a JSON file: a list of objects, or the list under `key`; or of JSON lines."""
    with _unpacked(path) as data:
        try:
            text = data.read(MOST_JSON + 1)
        except DAMAGE as error:
            raise DataError(f"{path} cannot be read ({error})") from None
    if len(text) > MOST_JSON:
        raise DataError(
            f"{path} has more than {MOST_JSON:,} bytes: use JSON lines, which are read one by one"
        )
    try:
        document = _loads(text.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":  # several values, one per line
            yield from read_lines(path)
            return
        _refuse(path, f"line {error.lineno}", f"not valid JSON ({error.msg}, column {error.colno})")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path} is not valid JSON (line {line}: {error}){_fix(error)}") from None
    except ValueError as error:
        raise DataError(f"{path} is not valid JSON ({error})") from None
    if key is not None and isinstance(document, dict):
        document = document.get(key)
    if not isinstance(document, list):
        raise DataError(f"{path} must hold a list of objects, not {type(document).__name__}")
    for number, record in enumerate(document):
        yield _object(path, f"entry {number}", record)


def read_table(path: Path, delimiters: str = DELIMITERS) -> Iterator[Record]:
    """Yields the rows of a table with a header. A row with too many cells has an unquoted delimiter."""
    for line, header, row in numbered_rows(path, delimiters):
        if len(row) != len(header):
            counts = f"{len(row)} cells for {len(header)} columns"
            _refuse(path, f"line {line}", f"{counts}: quote each cell that contains the delimiter")
        yield dict(zip(header, row, strict=True))


def numbered_rows(path: Path, delimiters: str = DELIMITERS) -> Iterator[tuple[int, list[str], list[CsvCell]]]:
    """Yields (line, header, cells) of each row that is not blank; every cell is a text.

    `delimiters`: of which the one that gives the header the most columns is meant.
    """
    with _unpacked(path) as data:
        texts = _texts(path, data)
        before, first = next(((number, text) for number, text in enumerate(texts) if text.strip()), (0, ""))
        if said := _EXCEL.fullmatch(first):
            delimiters, before, first = said[1], before + 1, next(texts, "")
        delimiter = _delimiter(first, delimiters)
        rows = csv.reader(itertools.chain((first,), texts), delimiter=delimiter, strict=True)
        try:
            header = _header(path, next(rows, []))
            for row in rows:
                if any(row):
                    yield before + rows.line_num, header, [CsvCell(cell) for cell in row]
        except (ValueError, csv.Error) as error:
            _refuse(path, f"after line {before + rows.line_num}", f"the file cannot be read ({error})")


def _texts(path: Path, data: IO[bytes]) -> Iterator[str]:
    for number, line in _lines(path, data):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            _refuse(path, f"line {number}", f"the file cannot be read ({error}){_fix(error)}")
        yield from StringIO(text, newline="")  # also ends a line at a lone carriage return


def _delimiter(header: str, delimiters: str) -> str:
    """Returns the delimiter that gives the header the most columns; the first of those that give as many."""

    def columns(delimiter: str) -> int:
        return len(next(csv.reader([header], delimiter=delimiter), []))

    return max(delimiters, key=columns)


def _header(path: Path, names: list[str]) -> list[str]:
    if names and not names[0]:
        names[0] = UNNAMED
    if not all(names):
        _refuse(path, "line 1", "the header must name each column, with different names")
    if twice := [name for name in names if names.count(name) > 1]:
        _refuse(
            path,
            "line 1",
            f"the header must name each column, with different names: {twice[0]!r} is there twice",
        )
    return names


def _read_parquet(path: Path) -> Iterator[Record]:
    from evalkit.data import parquet

    with readable(str(path)):
        features = parquet.features_of(path)
        records = parquet.read([path], features)
    media = media_columns(features)
    while True:
        with readable(
            str(path)
        ):  # one record at a time, because errors of the caller's code must not be caught here
            record = next(records, None)
        if record is None:
            return
        yield embedded(record, media, path.absolute().parent) if media else record


_READERS: dict[str, Reader] = {
    ".jsonl": read_lines,
    ".ndjson": read_lines,
    ".json": read_json,
    ".csv": read_table,
    ".tsv": partial(read_table, delimiters="\t"),
    ".parquet": _read_parquet,
}


@contextmanager
def _unpacked(path: Path) -> Iterator[IO[bytes]]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise DataError(f"{path} cannot be opened: {error.strerror or error}") from None
    with file:
        try:
            data = unpacked(path, file)
        except DAMAGE as error:
            raise DataError(f"{path} cannot be read ({error})") from None
        yield data


def _object(path: Path, place: str, record: object) -> Record:
    if not isinstance(record, dict):
        _refuse(path, place, f"must be an object, not {type(record).__name__}")
    return record


def _refuse(path: Path, place: str, problem: str) -> NoReturn:
    raise DataError(f"{path}, {place}: {problem}") from None
