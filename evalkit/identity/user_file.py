"""Imports a user's Python files: tasks, models, and the modules in the same folder."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Collection, Iterator
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
)
from pathlib import Path
from types import CodeType, ModuleType

from evalkit.errors import UsageError
from evalkit.identity.source import parsed

_PREFIX = "evalkit_user_"
_folders: set[Path] = set()
"""The folders whose modules are compiled at each import."""


class _FromSource(SourceFileLoader):
    """Compiles the file at each import.

    Python takes the bytecode of an earlier import if the file has the same size and was written in the same
    second, so a file that is edited quickly (`2 * n` to `3 * n`) would run as it was before.
    """

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


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
    if resolved.suffix not in SOURCE_SUFFIXES:
        raise UsageError(f"{path} cannot be imported: is it a Python file?")
    if str(resolved.parent) not in sys.path:
        sys.path.append(str(resolved.parent))
    try:
        _import_from_source({resolved.parent, *(file.parent for file in neighbours(resolved))})
        return import_from_source(resolved, name)
    except (Exception, SystemExit) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"{path} fails on import: {type(error).__name__}: {error}") from error


def import_from_source(file: Path, name: str) -> ModuleType:
    """Compiles and runs the file as the module `name`, which is left out again if that raises an error."""
    loader = _FromSource(name, str(file))
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _import_from_source(folders: Collection[Path]) -> None:
    """Has later imports of modules in these folders compile them."""
    _folders.update(folders)
    if _finder not in sys.path_hooks:
        sys.path_hooks.insert(0, _finder)
    for path in [*sys.path_importer_cache]:
        if Path(path).resolve() in _folders:
            del sys.path_importer_cache[path]


def _finder(path: str) -> FileFinder:
    """A hook of Python's import: raises `ImportError` for a folder that is not its concern."""
    if Path(path).resolve() not in _folders:
        raise ImportError(path)
    return FileFinder(path, (ExtensionFileLoader, EXTENSION_SUFFIXES), (_FromSource, SOURCE_SUFFIXES))


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
    for node in ast.walk(parsed(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
