"""Importing Python files of the user's: tasks, models, and the modules beside them."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from evalkit.errors import UsageError

_PREFIX = "evalkit_user_"


def import_file(path: Path) -> ModuleType:
    """The file as a module, under a name of its own, so that two files called alike do not collide.

    It may import modules and packages that lie beside it, as a script may; they are found after whatever
    is installed. Raises `UsageError` where it fails, and where another module has a neighbour's name.
    """
    resolved = path.resolve()
    name = f"{_PREFIX}{resolved.stem}_{hashlib.sha256(str(resolved).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, resolved)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} cannot be imported: is it a Python file?")
    if str(resolved.parent) not in sys.path:
        sys.path.append(str(resolved.parent))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        neighbours(resolved)
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"{path} fails on import: {type(error).__name__}: {error}") from error
    return module


def file_of_module(name: str) -> str:
    """The file of a module that `import_file` made, "" of any other."""
    return str(sys.modules[name].__file__) if name.startswith(_PREFIX) else ""


def neighbours(file: Path) -> list[Path]:
    """The files beside `file` that it imports, and that these import, in the order of their names; of a
    package all of its files.

    Raises `UsageError` where one is meant, and an import would give another module.
    """
    found = {file.resolve()}
    importlib.invalidate_caches()  # a file may be newer than what Python remembers of its folder
    _find_neighbours(file.resolve(), found)
    return sorted(found - {file.resolve()})


def _find_neighbours(file: Path, seen: set[Path]) -> None:
    for name in _imported(file):
        beside = [file.parent / f"{name}.py", file.parent / name / "__init__.py"]
        there = next((one for one in beside if one.is_file()), None)
        if there is None or there in seen:
            continue
        seen |= {there, *(there.parent.rglob("*.py") if there.name == "__init__.py" else ())}
        found = importlib.util.find_spec(name)
        origin = Path(found.origin).resolve() if found is not None and found.origin else None
        if origin != there.resolve():
            raise UsageError(
                f"{file} imports {name}, and {origin or 'a module of Python'} has that name as well as "
                f"{there.relative_to(file.parent)} beside it: give the file beside it another name"
            )
        _find_neighbours(there, seen)


def _imported(file: Path) -> Iterator[str]:
    """The top-level names that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
