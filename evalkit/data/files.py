"""Reads records from one file: JSON lines, JSON, CSV, TSV or Parquet; text files also packed with gzip.

Files may be broken or hostile: every error is a `DataError` that names the file and the line. A line of JSON
has at most `MOST_LINE` bytes and a JSON document `MOST_JSON`, when unpacked, so that a small packed file
cannot fill the memory. A cell of CSV has at most 131,072 characters.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import IO, NoReturn, cast

from evalkit.data.base import Record, Records
from evalkit.data.folder import check_columns, readable
from evalkit.data.media import embedded, media_columns
from evalkit.errors import DataError

MOST_LINE = 64 << 20
MOST_JSON = 256 << 20
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
    suffixes = [suffix.lower() for suffix in path.suffixes]
    ending = suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else "".join(suffixes[-1:])
    if ending == ".parquet" and suffixes[-1] == ".gz":
        raise DataError(f"{path}: a Parquet file must not be packed with gzip: gunzip it")
    if ending not in _READERS:
        raise DataError(
            f"{path}: the extension must be one of {', '.join(_READERS)}; text files may also have .gz"
        )
    return _READERS[ending]


def read_lines(path: Path) -> Iterator[Record]:
    """Yields the objects of a file with one object per line. Empty lines are skipped."""
    number = 0
    with _unpacked(path) as data:
        while line := _line(path, data, number):
            number += 1
            if line.isspace():
                continue
            try:
                record = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            except (ValueError, RecursionError) as error:
                _refuse(path, f"line {number}", f"not a JSON object ({error})")
            yield _object(path, f"line {number}", record)


def _line(path: Path, data: IO[bytes], before: int) -> bytes:
    try:
        line = data.readline(MOST_LINE + 1)
    except (OSError, EOFError, zlib.error) as error:
        _refuse(path, f"after line {before}", f"the file cannot be read ({error})")
    if len(line) > MOST_LINE:
        _refuse(path, f"line {before + 1}", f"the line has more than {MOST_LINE:,} bytes")
    return line


def _read_json(path: Path) -> Iterator[Record]:
    with _unpacked(path) as data:
        try:
            text = data.read(MOST_JSON + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{path} cannot be read ({error})") from None
    if len(text) > MOST_JSON:
        raise DataError(
            f"{path} has more than {MOST_JSON:,} bytes: use JSON lines, which are read one by one"
        )
    try:
        document = json.loads(text.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        _refuse(path, f"line {error.lineno}", f"not valid JSON ({error.msg}, column {error.colno})")
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not valid JSON ({error})") from None
    if not isinstance(document, list):
        raise DataError(f"{path} must hold a list of objects, not {type(document).__name__}")
    for number, record in enumerate(document):
        yield _object(path, f"entry {number}", record)


def _read_table(path: Path, delimiter: str) -> Iterator[Record]:
    """Yields the rows; every cell is a text. A row with too many cells has an unquoted delimiter."""
    with _unpacked(path) as data, TextIOWrapper(data, "utf-8-sig", newline="") as text:
        rows = csv.reader(text, delimiter=delimiter, strict=True)
        try:
            header = next(rows, [])
            if not all(header) or len(set(header)) < len(header):
                _refuse(path, "line 1", "the header must name each column, with different names")
            for row in rows:
                if not row:
                    continue
                if len(row) != len(header):
                    counts = f"{len(row)} cells for {len(header)} columns"
                    fix = "quote each cell that contains the delimiter"
                    _refuse(path, f"line {rows.line_num}", f"{counts}: {fix}")
                yield dict(zip(header, row, strict=True))
        except (OSError, EOFError, zlib.error, ValueError, csv.Error) as error:
            _refuse(path, f"after line {rows.line_num}", f"the file cannot be read ({error})")


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
    ".json": _read_json,
    ".csv": partial(_read_table, delimiter=","),
    ".tsv": partial(_read_table, delimiter="\t"),
    ".parquet": _read_parquet,
}


@contextmanager
def _unpacked(path: Path) -> Iterator[IO[bytes]]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise DataError(f"{path} cannot be opened: {error.strerror or error}") from None
    with file:
        yield cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if path.suffix.lower() == ".gz" else file


def _object(path: Path, place: str, record: object) -> Record:
    if not isinstance(record, dict):
        _refuse(path, place, f"must be an object, not {type(record).__name__}")
    return record


def _refuse(path: Path, place: str, problem: str) -> NoReturn:
    raise DataError(f"{path}, {place}: {problem}") from None
