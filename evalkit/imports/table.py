"""Reads tables of one's own: CSV, or JSON lines, with a row for each scored answer.

The columns: `id`, `question`, `response`, `reference` and `score`, of which only `id` and `score` must be
there. Further ones are `draw` (the number of the answer to the same question, from 0), `group`, `error` (why
there is no score) and `model`. Any other column is not read. Several scores have a column each, such as
`score:accuracy` and `score:f1`.
"""

from __future__ import annotations

import csv
import functools
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evalkit.errors import UsageError
from evalkit.imports.results import Asked, Results, Scored, mapping, number_of, text_of
from evalkit.imports.stream import MOST, lines, opened

TOOL = "table"
ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson")
_TRUE, _FALSE = ("true", "yes", "correct"), ("false", "no", "incorrect", "wrong")
_NEEDED = "a row must have an id and a score (or columns such as score:f1), and may have question, response, "
_COLUMNS = _NEEDED + "reference, group, draw, error and model"


def read(paths: Sequence[Path]) -> Iterator[Results]:
    """Yields the results of each file; its name is the task. Raises `UsageError`."""
    for path in paths:
        rows = functools.partial(_rows, path)
        first = next(rows(), None)
        if first is None:
            raise UsageError(f"{path} has no rows: {_COLUMNS}")
        where, record = first
        scores = _scores(record)
        if "id" not in record or not scores:
            there = ", ".join(map(str, record)) or "none"
            raise UsageError(f"{where}: the columns are {there}: {_COLUMNS}")
        yield Results(
            tool=TOOL,
            task=path.stem,
            model=text_of(record.get("model")) or "unknown model",
            where=str(path),
            samples=functools.partial(_samples, rows, text_of(record.get("model"))),
            settings={"scores": ", ".join(scores.values())},
        )


def _scores(record: Mapping[str, Any]) -> dict[str, str]:
    """Returns the columns with scores, and the names of their metrics."""
    named = {column: column.partition(":")[2].strip() or "score" for column in map(str, record)}
    return {
        column: name for column, name in named.items() if column == "score" or column.startswith("score:")
    }


def _rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if path.suffix in (".jsonl", ".ndjson"):
        for where, value in lines(path):
            yield where, mapping(value, where, "a row")
        return
    with opened(path) as file, io.TextIOWrapper(file, "utf-8-sig", newline="") as text:
        before = csv.field_size_limit(MOST)
        reader = csv.DictReader(text, dialect="excel-tab" if path.suffix == ".tsv" else "excel", strict=True)
        try:
            for record in reader:
                where = f"{path}, line {reader.line_num}"
                if None in record or None in record.values():
                    raise UsageError(
                        f"{where} does not have the {len(reader.fieldnames or ())} fields of the first line: "
                        "put fields with commas, quotes or line breaks in quotes"
                    )
                yield where, record
        except UnicodeDecodeError:
            raise UsageError(
                f"{path}, after line {reader.line_num}: is not UTF-8: convert the file"
            ) from None
        except csv.Error as error:
            raise UsageError(f"{path}, line {reader.line_num} is not valid CSV ({error})") from None
        finally:
            csv.field_size_limit(before)


def _samples(rows: Callable[[], Iterator[tuple[str, Mapping[str, Any]]]], model: str) -> Iterator[Scored]:
    for where, record in rows():
        if text_of(record.get("model")) != model:
            raise UsageError(
                f"{where}: the model is {text_of(record.get('model'))!r}, and {model!r} in the first row: "
                "a run file holds the results of one model: split the file"
            )
        yield _sample(record, where)


def _sample(record: Mapping[str, Any], where: str) -> Scored:
    name = text_of(record.get("id"))
    if not name.strip():
        raise UsageError(f"{where} has no id: each question needs one, the same in all files")
    error = text_of(record.get("error")).strip()
    values = {}
    for column, metric in _scores(record).items():
        value = record[column]
        number = _number(value)
        if number is None and text_of(value).strip():
            raise UsageError(
                f"{where}: the {column} is {text_of(value)[:40]!r}: it must be a number, true or false, or "
                "empty for an answer without a score"
            )
        if number is not None:
            values[metric] = number
    reference, response = record.get("reference"), record.get("response")
    there = isinstance(response, str) and response != ""
    return Scored(
        id=name,
        where=where,
        input=text_of(record.get("question")),
        target=tuple(map(text_of, reference)) if isinstance(reference, list) else (text_of(reference),),
        group=text_of(record.get("group")),
        draw=_draw(record.get("draw"), where),
        answer=text_of(response) if response is not None else None,
        values=values,
        asked=(Asked(prompt=text_of(record.get("question")), text=text_of(response)),) if there else (),
        compared=False,
        error=error or ("" if values else "it has no score"),
        boundary="provider" if error else "scorer",
    )


def _number(value: object) -> float | None:
    if isinstance(value, str):
        word = value.strip().casefold()
        if word in _TRUE or word in _FALSE:
            return float(word in _TRUE)
        try:
            return number_of(float(word))
        except ValueError:
            return None
    return number_of(value)


def _draw(value: object, where: str) -> int:
    text = text_of(value).strip()
    if text and not (text.isdecimal() and text.isascii() and len(text) < 10):
        raise UsageError(f"{where}: the draw is {text[:40]!r}: it must be a whole number from 0 on")
    return int(text or 0)
