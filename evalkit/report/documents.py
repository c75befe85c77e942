"""Figures for other programs: JSON, and CSV for spreadsheets."""

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
    """One document of what `orjson` takes, indented."""
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def to_csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """A line a row under the keys of the first one, values unrounded, no cell a formula; "" without rows."""
    out = io.StringIO()
    writer = None
    for row in rows:
        if writer is None:
            writer = csv.DictWriter(out, fieldnames=list(row), lineterminator="\n")
            writer.writeheader()
        writer.writerow({key: no_formula(value) for key, value in row.items()})
    return out.getvalue()


def no_formula(value: Any) -> Any:
    """A text without control characters, and with a quote before it where a spreadsheet saw a formula."""
    if not isinstance(value, str):
        return value
    text = printable(value)
    if text.lstrip()[:1] not in tuple("=+-@＝＋－＠") or _NUMBER.fullmatch(text):
        return text
    return f"'{text}"
