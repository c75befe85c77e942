"""Prints the test files that concern the changed files, for `make check`.

    python -m tools.touched          changes since the last commit, or those of the last commit if none
    python -m tools.touched main     changes since that commit

A test file concerns the modules that it imports, also through a helper in tests/. If a module has few such
tests, those of the modules that import it are added, and so on. A test file also concerns the commands that
it calls, the pages and data files that it names, the data files in its folder of tests/ or below it, and
the conftest.py in its folder or above it. Code that a test reaches only through the command line is not
found: `make test` runs those tests.
"""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from pathlib import Path

from evalkit.identity.source import tree_of
from tools.house import PLACES, ROOT

ALWAYS = ("tests/test_architecture.py",)
FEW = 6
"""If a module has fewer test files, those of the modules that import it are added."""


def changed(since: str = "") -> list[str]:
    """The paths of changed and new files."""
    found = _git("diff", "--name-only", since or "HEAD") + _git("ls-files", "--others", "--exclude-standard")
    return found or _git("diff", "--name-only", "HEAD~1")


def touched(paths: list[str]) -> list[str]:
    """The test files that concern `paths`, sorted."""
    found = {*ALWAYS, *(path for path in paths if path in _tests())}
    for path in paths:
        if path.endswith("/conftest.py"):
            found |= _below(Path(path).parent)
        elif path.endswith(".py"):
            found |= _of_module(_module(path))
        else:
            found |= _of_file(Path(path))
    return sorted(found)


def _of_module(module: str) -> set[str]:
    found: set[str] = set()
    if module.startswith("evalkit.cli."):
        called = f'"{module.rpartition(".")[2]}"'
        found = {test for test in _below(Path("tests/cli")) if called in _text(test)}
    names, seen = {module}, {module}
    while names and len(found) < FEW:
        found |= {test for test in _tests() if test not in ALWAYS and names & _reached(test)}
        names = {name for name, path in _modules().items() if names & _imports(path)} - seen
        seen |= names
    return found


def _of_file(path: Path) -> set[str]:
    # A name without an ending, such as `run`, is a word that occurs everywhere.
    name = path.name if path.suffix else path.as_posix()
    found = {test for test in _tests() if name in _text(test)}
    folder = path.parent
    while folder.parts[:1] == ("tests",) and len(folder.parts) > 1:
        found |= {test for test in _tests() if Path(test).parent == folder}
        folder = folder.parent
    return found


def _below(folder: Path) -> set[str]:
    return {test for test in _tests() if Path(test).is_relative_to(folder)}


@functools.cache
def _tests() -> tuple[str, ...]:
    return tuple(path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "tests").rglob("test_*.py")))


@functools.cache
def _text(test: str) -> str:
    return (ROOT / test).read_text("utf-8")


@functools.cache
def _modules() -> dict[str, Path]:
    """The modules through which a test can reach others (package, tools, docs, bench), by dotted name."""
    folders = (*(folder for folder, _ in PLACES), "tools", "docs", "bench")
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return {_module(path.relative_to(ROOT).as_posix()): path for path in paths}


@functools.cache
def _reached(test: str) -> frozenset[str]:
    """The modules that a test file imports, directly or through its helpers."""
    found = set(_imports(ROOT / test))
    for name in list(found):
        helper = ROOT / Path(*name.split(".")).with_suffix(".py")
        if name.startswith("tests.") and helper.is_file():
            found |= _imports(helper)
    return frozenset(found)


@functools.cache
def _imports(path: Path) -> frozenset[str]:
    found: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return frozenset(found)


def _module(path: str) -> str:
    place = Path(path).with_suffix("")
    for folder, package in PLACES:
        if place.parts[:1] == (folder,):
            return ".".join((package, *place.parts[1:])).removesuffix(".__init__")
    return ".".join(place.parts).removesuffix(".__init__")


def _git(*arguments: str) -> list[str]:
    done = subprocess.run(("git", *arguments), cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.split("\n")[:-1]


if __name__ == "__main__":
    sys.stdout.write("\n".join(touched(changed(*sys.argv[1:2]))) + "\n")
