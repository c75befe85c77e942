"""Report definitions: the tables of a paper, their printed figures and protocols."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from typing import NamedTuple

REPORT = "gemini-1.0"
"""The paper whose tables `report:TABLE` names."""


class Printed(NamedTuple):
    """A printed row's benchmark, and evalkit's names of the protocols of its figures, in their order."""

    task: str
    protocols: tuple[str, ...]


@functools.cache
def reserved() -> Mapping[str, str]:
    """Descriptions of the benchmarks that printed rows name and evalkit has no task for yet, by name."""
    text = resources.files(__name__).joinpath("reserved.toml").read_text("utf-8")
    return tomllib.loads(text)


@functools.cache
def printed_rows() -> Mapping[str, tuple[Printed, ...]]:
    """The rows with a benchmark, by the names of the report's tables in small letters: `table 2`."""
    return rows_in(resources.files(__name__).joinpath(REPORT))


def rows_in(place: Traversable) -> Mapping[str, tuple[Printed, ...]]:
    """The same of the paper in any folder.

    Raises an `OSError`, `ValueError`, `LookupError`, `TypeError` or `AttributeError` for a folder that has no
    paper; `evalkit.report.paper` says what is wrong with one.
    """
    names = tomllib.loads(place.joinpath("paper.toml").read_text("utf-8"))["tables"]
    return {
        name.replace("-", " ").casefold(): tuple(
            Printed(row["task"], tuple(dict.fromkeys(_protocols(row.get("figures", {})))))
            for row in tomllib.loads(place.joinpath(f"{name}.toml").read_text("utf-8"))["rows"]
            if row.get("task")
        )
        for name in names
    }


def _protocols(figures: Mapping[str, Mapping[str, list[str]]]) -> list[str]:
    return [protocol for figure in figures.values() for protocol in figure.get("match", ())]
