"""What experiment trackers get of a run: metrics with intervals, parameters, tags, the table, the page."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import evalkit
from evalkit.errors import UsageError
from evalkit.exports.read import started
from evalkit.needs import load
from evalkit.report.build import render_report
from evalkit.report.documents import to_csv, to_json
from evalkit.report.table import build_table, flat
from evalkit.runfile.store import Store

PROJECT = "evalkit"
"""The project, or experiment, if neither the user nor the tracker's own environment variable names one."""
_LONGEST = 300
"""Maximum number of characters of a tracker's error."""


@dataclass(frozen=True, slots=True)
class Tracked:
    """One run for a tracker.

    `metrics`: by `TASK/PROTOCOL/METRIC`, in the table's unit; `_low` and `_high` follow for the 95 %
    interval, and `TASK/PROTOCOL/failed` for the number of failed samples. `params`: the model, the settings
    and the signatures. `rows`: the table, a dict for each figure. `files`: the table as JSON, CSV and
    Markdown, and the page, by name. `began`: seconds since 1970.
    """

    name: str
    metrics: Mapping[str, float]
    params: Mapping[str, str | int]
    tags: Mapping[str, str]
    rows: list[dict[str, Any]]
    files: Mapping[str, str]
    began: float


def tracked(store: Store) -> Tracked:
    """Reads a run that was opened to be shared. Raises `UsageError` if it has no results."""
    table = build_table([store])
    manifest = store.manifest
    metrics: dict[str, float] = {}
    params: dict[str, str | int] = {
        "model": manifest["model"]["name"],
        "tasks": ", ".join(dict.fromkeys(f"{cell.task}:{cell.protocol}" for cell in table.cells)),
        "seed": manifest["seed"],
    }
    for cell in table.cells:
        place = f"{cell.task}/{cell.spec.protocol.name}"
        numbers = {"": cell.value, "_low": cell.low, "_high": cell.high}
        metrics |= {f"{place}/{cell.metric}{end}": one for end, one in numbers.items() if one is not None}
        metrics[f"{place}/failed"] = cell.outcomes["failed"]
        params |= {
            f"{place}/{cell.metric}/n": cell.n,
            f"{place}/protocol": cell.protocol,
            f"{place}/{cell.metric}/signature": cell.signature.line(),
        }
        if cell.completeness.lacking:
            params[f"{place}/part"] = cell.completeness.lacking
    document = table.as_json()
    document["cells"] = [{**cell.as_json(), "signature": cell.signature.line()} for cell in table.cells]
    return Tracked(
        name=table.title,
        metrics=metrics,
        params=params,
        tags={"evalkit": evalkit.__version__, "model": manifest["model"]["name"]},
        rows=[flat(cell) for cell in table.cells],
        files={
            "table.json": to_json(document),
            "table.csv": to_csv(map(flat, table.cells)),
            "table.md": render_report([store], "markdown"),
            "page.html": render_report([store], "html"),
        },
        began=started(store).timestamp(),
    )


def project_of(project: str, variable: str) -> str:
    """Returns the project that the user named, else that of the tracker's environment variable."""
    return project or os.environ.get(variable, "") or PROJECT


def package(name: str) -> Any:
    """Imports a tracker's package. Raises `UsageError`, which names evalkit's extra."""
    tool = name.partition(".")[0]
    return load(name, f"--format {tool}", f"pip install 'evalkit[{tool}]'")


@contextlib.contextmanager
def settings(**defaults: str) -> Iterator[None]:
    """Sets environment variables that the user has not set, until the end of the block."""
    added = {name: value for name, value in defaults.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


@contextlib.contextmanager
def refused(name: str, fix: str) -> Iterator[None]:
    """Turns an error of a tracker into a `UsageError` of one line; what it prints goes to standard error."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except UsageError:
        raise
    except Exception as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise UsageError(f"{name} did not take the run: {said[:_LONGEST].rstrip('.')}: {fix}") from error
