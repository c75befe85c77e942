"""Writes figures for other programs: JSON, and CSV for spreadsheets."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from evalkit.report.tabular import printable

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?%?")


def to_json(document: Any) -> str:
    """Writes `document`, which may be anything that `orjson` takes, as indented JSON."""
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def to_csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """CSV with one line per row under the keys of the first row; "" if there are no rows.

    Values are not rounded, and no cell is a formula.
    """
    out = io.StringIO()
    writer = None
    for row in rows:
        if writer is None:
            writer = csv.DictWriter(out, fieldnames=list(row), lineterminator="\n")
            writer.writeheader()
        writer.writerow({key: no_formula(value) for key, value in row.items()})
    return out.getvalue()


def no_formula(value: Any) -> Any:
    """A text without control characters, with a quote before it if a spreadsheet would read a formula."""
    if not isinstance(value, str):
        return value
    text = printable(value)
    if text.lstrip()[:1] not in tuple("=+-@＝＋－＠") or _NUMBER.fullmatch(text):
        return text
    return f"'{text}"
