"""Imports in this process, and files of other tools with one thing changed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evalkit.imports.find import found_in
from evalkit.imports.write import Imported, write
from evalkit.report.table import Table, build_table
from evalkit.runfile.store import Store

FILES = Path(__file__).parents[1] / "fixtures" / "imports"


def imported(output: Path, *files: Path, tool: str = "", model: str = "") -> list[Imported]:
    return list(write(found_in(files, tool), output, model))


def table_of(output: Path, *files: Path, tool: str = "") -> Table:
    imported(output, *files, tool=tool)
    with Store.open(output) as store:
        return build_table([store])


def samples_of(output: Path) -> list[dict[str, Any]]:
    with Store.open(output) as store:
        return [sample for cell in store.cells() for sample in store.samples(cell)]


def copied(source: Path, to: Path) -> Path:
    """Returns a copy of a folder of `FILES`."""
    return Path(shutil.copytree(source, to))


def rewritten(path: Path, change: Callable[[Any], Any]) -> Path:
    """Changes the document in a JSON file."""
    path.write_text(json.dumps(change(json.loads(path.read_text("utf-8")))), "utf-8")
    return path


def jsonl(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path
