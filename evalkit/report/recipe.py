"""A report as a file: `evalkit report table.toml` makes it again, with the same runs, columns and title."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.convert import from_json, read_toml
from evalkit.errors import UsageError


@dataclass(frozen=True, slots=True)
class Recipe:
    """The keys of the file: `runs`, as the command takes them, and the command's options by their names."""

    runs: tuple[str, ...]
    paper: str = ""
    title: str = ""
    columns: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    signatures: bool = False
    private: bool = False
    caption: str = ""
    label: str = ""
    relative_to: str = ""
    capabilities: str = ""
    strict: bool = False
    breakdown: bool = False
    format: str = ""
    output: str = ""
    task_file: tuple[str, ...] = ()


def read_recipe(path: Path) -> Recipe:
    """Reads the file. Its relative paths, other than those in `runs`, become relative to its folder.

    Raises `UsageError` for a file that is no TOML, and for a key that is unknown or has a wrong value.
    """
    recipe = from_json(Recipe, read_toml(path), str(path))
    if not recipe.runs:
        raise UsageError(f"{path}: runs must name at least one run file")
    folder = path.parent
    return dataclasses.replace(
        recipe,
        paper=_own(recipe.paper, folder),
        capabilities=_own(recipe.capabilities, folder),
        output=str(folder / recipe.output) if recipe.output else "",
        task_file=tuple(str(folder / name) for name in recipe.task_file),
    )


def given(recipe: Recipe) -> Mapping[str, Any]:
    """The keys that differ from their defaults, without `runs`."""
    fields = dataclasses.fields(recipe)[1:]
    return {f.name: value for f in fields if (value := getattr(recipe, f.name)) != f.default}


def _own(paper: str, folder: Path) -> str:
    """The path of a paper or table of the user's own beside the file; other names as they are."""
    place = folder / paper
    own = paper.endswith(".toml") or any((one / "paper.toml").is_file() for one in (place, place.parent))
    return str(place) if paper and own else paper
