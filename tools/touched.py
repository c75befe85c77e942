"""Which test files concern what has changed: printed for `make check`.

    python -m tools.touched          changed since the last commit, or in it where nothing is
    python -m tools.touched main     changed since that commit

A test file concerns a module that it imports, or that a helper in tests/ imports which it imports, and a page
or data file that it names.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.house import PLACES, ROOT

ALWAYS = ("tests/test_architecture.py",)


def changed(since: str = "") -> list[str]:
    """Paths of files that changed, also those that are new."""
    found = _git("diff", "--name-only", since or "HEAD") + _git("ls-files", "--others", "--exclude-standard")
    return found or _git("diff", "--name-only", "HEAD~1")


def touched(paths: list[str]) -> list[str]:
    """Test files that concern `paths`, in their order."""
    modules = {_module(path) for path in paths if path.endswith(".py")}
    names = {Path(path).name for path in paths if not path.endswith(".py")}
    tests = sorted((ROOT / "tests").rglob("test_*.py"))
    found = set(ALWAYS)
    for test in tests:
        place = test.relative_to(ROOT).as_posix()
        text = test.read_text("utf-8")
        if place in paths or modules & _reached(test) or any(name in text for name in names):
            found.add(place)
    return sorted(found)


def _reached(test: Path) -> set[str]:
    """Modules that a test file imports, and those that the helpers it imports do."""
    found = set(_imports(test))
    for name in list(found):
        helper = ROOT / Path(*name.split(".")).with_suffix(".py")
        if name.startswith("tests.") and helper.is_file():
            found |= set(_imports(helper))
    return found


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def _module(path: str) -> str:
    place = Path(path).with_suffix("")
    for folder, package in PLACES:
        if place.parts[:1] == (folder,):
            return ".".join((package, *place.parts[1:])).removesuffix(".__init__")
    return ".".join(place.parts)


def _git(*arguments: str) -> list[str]:
    said = subprocess.run(("git", *arguments), cwd=ROOT, capture_output=True, text=True, check=True)
    return said.stdout.split("\n")[:-1]


if __name__ == "__main__":
    sys.stdout.write("\n".join(touched(changed(*sys.argv[1:2]))) + "\n")
