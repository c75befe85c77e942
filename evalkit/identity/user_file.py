"""Imports a user's Python files: tasks, models, and the modules in the same folder."""

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
    """Imports the file as a module with a unique name, so that two files with the same name do not collide.

    Like a script, the file may import modules and packages in its folder; installed ones have precedence.
    Raises `UsageError` if the import fails, and if an installed module has the same name as one in the folder
    that the file imports.
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
    """The file of a module that `import_file` made; "" for any other module."""
    return str(sys.modules[name].__file__) if name.startswith(_PREFIX) else ""


def neighbours(file: Path) -> list[Path]:
    """The files in the folder of `file` that it imports, directly or indirectly, sorted by name.

    Of a package they are all its files. Raises `UsageError` if the import of such a file would find another
    module instead.
    """
    found = {file.resolve()}
    importlib.invalidate_caches()  # a file may be newer than Python's cached listing of its folder
    _find_neighbours(file.resolve(), found)
    return sorted(found - {file.resolve()})


def _find_neighbours(file: Path, seen: set[Path]) -> None:
    for name in _imported(file):
        beside = [file.parent / f"{name}.py", file.parent / name / "__init__.py"]
        neighbour = next((path for path in beside if path.is_file()), None)
        if neighbour is None or neighbour in seen:
            continue
        seen |= {neighbour, *(neighbour.parent.rglob("*.py") if neighbour.name == "__init__.py" else ())}
        spec = importlib.util.find_spec(name)
        origin = Path(spec.origin).resolve() if spec is not None and spec.origin else None
        if origin != neighbour.resolve():
            raise UsageError(
                f"{file} imports {name}, and {origin or 'a module of Python'} has the same name as "
                f"{neighbour.relative_to(file.parent)} in its folder: rename the file in the folder"
            )
        _find_neighbours(neighbour, seen)


def _imported(file: Path) -> Iterator[str]:
    """The top-level names of the modules that a file imports anywhere in its code."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
