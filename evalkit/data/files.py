"""Records of one file: JSON lines, JSON, CSV, TSV or Parquet, the texts also packed with gzip.

Files may be broken or hostile: what is wrong is a `DataError` that names the file and the line. A line of
JSON has at most `MOST_LINE` bytes and a JSON document `MOST_JSON`, unpacked, so that a small packed file
cannot fill the memory; a cell of CSV has at most 131,072 characters.
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
    """The records of the file at `path`, read by its name's ending unless `reader` is given.

    It is read through once, so that damage shows here and not in the middle of a run. Raises `DataError`.
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
    """By the ending of its name. Raises `DataError` for one that nothing is known of."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    ending = suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else "".join(suffixes[-1:])
    if ending == ".parquet" and suffixes[-1] == ".gz":
        raise DataError(f"{path} is a packed Parquet file, which packs itself: gunzip it")
    if ending not in _READERS:
        raise DataError(f"{path}: its name ends in none of {', '.join(_READERS)}, the texts also in .gz")
    return _READERS[ending]


def read_lines(path: Path) -> Iterator[Record]:
    """The objects of a file with one on each line; empty lines are passed over."""
    number = 0
    with _unpacked(path) as data:
        while line := _line(path, data, number):
            number += 1
            if line.isspace():
                continue
            try:
                record = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            except (ValueError, RecursionError) as error:
                _refuse(path, f"line {number}", f"no JSON object ({error})")
            yield _object(path, f"line {number}", record)


def _line(path: Path, data: IO[bytes], before: int) -> bytes:
    try:
        line = data.readline(MOST_LINE + 1)
    except (OSError, EOFError, zlib.error) as error:
        _refuse(path, f"after line {before}", f"it cannot be read on ({error})")
    if len(line) > MOST_LINE:
        _refuse(path, f"line {before + 1}", f"it has more than {MOST_LINE:,} bytes")
    return line


def _read_json(path: Path) -> Iterator[Record]:
    with _unpacked(path) as data:
        try:
            text = data.read(MOST_JSON + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{path} cannot be read ({error})") from None
    if len(text) > MOST_JSON:
        raise DataError(
            f"{path} has more than {MOST_JSON:,} bytes: write JSON lines, which are read one by one"
        )
    try:
        document = json.loads(text.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        _refuse(path, f"line {error.lineno}", f"no JSON ({error.msg}, column {error.colno})")
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is no JSON ({error})") from None
    if not isinstance(document, list):
        raise DataError(f"{path} holds a {type(document).__name__}, not a list of objects")
    for number, record in enumerate(document):
        yield _object(path, f"entry {number}", record)


def _read_table(path: Path, delimiter: str) -> Iterator[Record]:
    """Every cell is a text. A row has a cell for each column: more is a delimiter that was not quoted."""
    with _unpacked(path) as data, TextIOWrapper(data, "utf-8-sig", newline="") as text:
        rows = csv.reader(text, delimiter=delimiter, strict=True)
        try:
            header = next(rows, [])
            if not all(header) or len(set(header)) < len(header):
                _refuse(path, "line 1", "its header has to name each column, and each otherwise")
            for row in rows:
                if not row:
                    continue
                if len(row) != len(header):
                    said = f"{len(row)} cells for {len(header)} columns, quote what holds the delimiter"
                    _refuse(path, f"line {rows.line_num}", said)
                yield dict(zip(header, row, strict=True))
        except (OSError, EOFError, zlib.error, ValueError, csv.Error) as error:
            _refuse(path, f"after line {rows.line_num}", f"it cannot be read on ({error})")


def _read_parquet(path: Path) -> Iterator[Record]:
    from evalkit.data import parquet

    with readable(str(path)):
        features = parquet.features_of(path)
        records = parquet.read([path], features)
    media = media_columns(features)
    while True:
        with readable(str(path)):  # one at a time: the caller's own code must not run inside
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
        _refuse(path, place, f"a {type(record).__name__}, not an object")
    return record


def _refuse(path: Path, place: str, said: str) -> NoReturn:
    raise DataError(f"{path}, {place}: {said}") from None
