"""Skeletons of a task, a model, a metric and a paper's table, each with its test: `evalkit new`.

The texts stand beside this file. In them, `$name` is the name as typed, `$module` the name of the file
without its ending, and `$title` the name of a class.
"""

from __future__ import annotations

import importlib.util
import keyword
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template

from evalkit.errors import UsageError, unknown

_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")
_LONGEST = 60
_SKELETONS = {"task": ".py", "model": ".py", "metric": ".py", "paper": ".toml"}
"""The ending of the file of each kind."""
KINDS = tuple(_SKELETONS)


@dataclass(frozen=True, slots=True)
class Written:
    """The files that were written, and commands that use them, in order."""

    files: tuple[Path, ...]
    commands: tuple[str, ...]


def write_skeleton(kind: str, name: str, folder: Path) -> Written:
    """Writes a skeleton and its test into `folder`. It never overwrites a file. Raises `UsageError`."""
    if kind not in _SKELETONS:
        raise unknown("kind", kind, _SKELETONS)
    _check_name(name)
    module = name.replace("-", "_")
    title = "".join(part.capitalize() for part in module.split("_"))
    target, test = folder / f"{module}{_SKELETONS[kind]}", folder / f"test_{module}.py"
    for file in (target, test):
        if file.exists() or file.is_symlink():
            raise UsageError(f"{file} exists, and nothing is overwritten: choose another name or folder")
    if target.suffix == ".py":
        _check_module(module, name)

    def filled(skeleton: str) -> str:
        text = resources.files(__name__).joinpath(f"{skeleton}.txt").read_text("utf-8")
        return Template(text).substitute(name=name, module=module, title=title)

    texts = {target: filled(f"{kind}{target.suffix}"), test: filled(f"test_{kind}.py")}
    for file, text in texts.items():
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    return Written((target, test), tuple(filled(f"{kind}.commands").splitlines()))


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise UsageError(
            f"the name {name[:_LONGEST]!r} must be of small letters and digits, with single hyphens between, "
            f"such as my-task, and have at most {_LONGEST} characters"
        )


def _check_module(module: str, name: str) -> None:
    """Refuses what no file can be called that is to be imported, such as `class` and `random`."""
    if keyword.iskeyword(module) or importlib.util.find_spec(module) is not None:
        raise UsageError(
            f"{name!r} is a word or module of Python, or an installed package: choose another name"
        )
