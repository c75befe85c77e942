"""Reads the text files of a folder's split as they stand.

`datasets` decides which files those are. It is not used to read them, because it guesses types: it makes a
time of the JSON text "2019-05-01", the number 7 of the cell 007, and nothing at all of the cell "None"
(5.2.0, packaged_modules/json and csv). Only the types that the card declares are applied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.data.base import CsvCell, Record, text_of
from evalkit.data.files import DELIMITERS, Reader, read_json, read_lines, read_table, reader_of
from evalkit.data.media import media_columns
from evalkit.data.packed import ending
from evalkit.errors import DataError

if TYPE_CHECKING:
    from datasets import DatasetBuilder, Features

_ENDINGS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".txt")
_LIST = "_file_names"
_ONE = "_file_name"


@dataclass(frozen=True, slots=True)
class Texts:
    """The records of a split's text files. `columns`: those of any record; a record without one has None."""

    count: int
    columns: dict[str, None]
    media: tuple[str, ...]
    read: Callable[[], Iterator[Record]]


def texts(builder: DatasetBuilder, files: Sequence[Path], root: Path, place: str) -> Texts | None:
    """Returns the records of the files, or None if they are not text files that evalkit reads.

    The files are read once, to find damage before a run. `place`: the data set's name in errors. Raises
    `DataError`.
    """
    sources = _sources(builder, files, root)
    if not sources:
        return None
    features: Features | None = builder.info.features
    typed = dict(features or {})

    def raw() -> Iterator[Record]:
        for source in sources:
            records = source()
            while True:
                try:
                    record = next(records, None)
                except DataError as error:
                    raise DataError(f"{place} cannot be read ({error})") from error
                if record is None:
                    break
                yield record

    count, columns, media = 0, dict.fromkeys(features or ()), dict.fromkeys(media_columns(features))
    for record in raw():
        count += 1
        columns.update(dict.fromkeys(record))
        media.update(dict.fromkeys(name for name, value in record.items() if _is_file(value)))

    def read() -> Iterator[Record]:
        for record in raw():
            whole = {**columns, **record}
            yield {
                name: _typed(value, typed[name], f"{place}: {name}") if name in typed else value
                for name, value in whole.items()
            }

    return Texts(count, columns, tuple(media), read)


def _sources(
    builder: DatasetBuilder, files: Sequence[Path], root: Path
) -> list[Callable[[], Iterator[Record]]] | None:
    """Returns a reader per file; None for other formats, and for CSV with settings that only pandas knows."""
    config: Any = builder.config
    kind = type(config).__name__
    if kind.endswith("FolderConfig"):
        folders: Any = builder
        names = config.metadata_filenames or folders.METADATA_FILENAMES
        lists = [file for file in files if file.name in names]
        if any(file.suffix == ".parquet" for file in lists) or config.drop_metadata:
            return None
        return [partial(_listed, reader_of(file), file, root, folders.BASE_COLUMN_NAME) for file in lists]
    if kind not in ("JsonConfig", "CsvConfig") or not all(_is_text(file) for file in files):
        return None
    if kind == "JsonConfig":
        if config.encoding != "utf-8":
            return None
        key = config.field
        return [
            partial(read_lines, file)
            if ending(file) in (".jsonl", ".ndjson")
            else partial(read_json, file, key)
            for file in files
        ]
    if _set(config) - {"sep", "delimiter", "encoding"} or (config.encoding or "utf-8").lower() != "utf-8":
        config.dtype, config.keep_default_na, config.na_filter = str, False, False
        return None
    given = config.delimiter or config.sep
    return [partial(read_table, file, DELIMITERS if given == "," else given) for file in files]


def _set(config: Any) -> set[str]:
    """Returns the names of the settings of a builder's config that a card has changed, for reading CSV."""
    plain = type(config)()
    skipped = {"name", "version", "data_dir", "data_files", "description", "features", "chunksize"}
    return {
        name for name in vars(config) if name not in skipped and vars(config)[name] != vars(plain).get(name)
    }


def _is_text(file: Path) -> bool:
    return ending(file) in _ENDINGS


def _listed(reader: Reader, file: Path, root: Path, column: str) -> Iterator[Record]:
    """Yields the rows of a list of files, with the files themselves in place of their names.

    Files are named under `file_name`, `x_file_name`, `file_names` or `x_file_names`, relative to the list.
    They become the columns `column`, x, `column` with an s, and x, as `datasets` has them
    (packaged_modules/folder_based_builder).
    """
    here = file.parent.relative_to(root)
    for row in reader(file):
        yield {
            new: value if new == name else _named(value, here)
            for name, value in row.items()
            for new in [_renamed(name, column)]
        }


def _renamed(name: str, column: str) -> str:
    if name == _ONE[1:] or name.endswith(_ONE):
        return name[: -len(_ONE)] or column
    if name == _LIST[1:] or name.endswith(_LIST):
        return name[: -len(_LIST)] or column + "s"
    return name


def _named(value: Any, here: Path) -> Any:
    if isinstance(value, CsvCell) and (several := value.listed()) is not None:
        value = several
    if isinstance(value, list):
        return [_named(item, here) for item in value]
    return {"bytes": None, "path": (here / value).as_posix()} if isinstance(value, str) and value else None


def _is_file(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_is_file, value))
    return isinstance(value, Mapping) and set(value) == {"bytes", "path"}


def _typed(value: Any, feature: Any, place: str) -> Any:
    """Returns the value as the type that the card declares. Raises `DataError` if it does not fit."""
    from datasets import ClassLabel, Value

    if value is None:
        return None
    if isinstance(feature, dict):
        return {name: _typed(value.get(name), inner, place) for name, inner in feature.items()}
    inner = feature[0] if isinstance(feature, list) else getattr(feature, "feature", None)
    if inner is not None and isinstance(value, list):
        return [_typed(item, inner, place) for item in value]
    try:
        if isinstance(feature, ClassLabel) and isinstance(value, str):
            return feature.str2int(value)
        if isinstance(feature, Value):
            return _valued(value, feature.dtype, place)
    except ValueError as error:
        raise DataError(f"{place} is {str(value)[:60]!r}, and the card says {feature}: {error}") from None
    if isinstance(value, str) and hasattr(feature, "decode") and type(feature).__name__ != "Json":
        return {"bytes": None, "path": value}
    return value


def _valued(value: Any, dtype: str, place: str) -> Any:
    if dtype in ("string", "large_string"):
        return value if isinstance(value, str) else text_of(value, place)
    if not isinstance(value, str) or not dtype.startswith(("int", "uint", "float", "bool")):
        return value
    if not value.strip():  # an empty cell
        return None
    if dtype.startswith("bool"):
        if value.strip().lower() not in ("true", "false", "1", "0"):
            raise ValueError("neither true nor false")
        return value.strip().lower() in ("true", "1")
    return float(value) if dtype.startswith("float") else int(value)
