"""What another machine must have as this one has it, so that its processes give the same results.

Each thing is a (kind, name). Its value is a version or a SHA-256, or "" if the thing is not there.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import importlib.util
import platform
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

from evalkit.identity.user_file import file_of_module, neighbours

Thing: TypeAlias = tuple[str, str]
_OWN = ("evalkit", "evalkit.tasks")
"""The packages that are compared as a whole."""
PYTHON: Thing = ("Python", "")
EVALKIT: Thing = ("evalkit", "")


def things(
    functions: Iterable[Callable[..., object]] = (), files: Iterable[Path] = (), packages: Iterable[str] = ()
) -> dict[Thing, str]:
    """Returns what `functions` need, each thing with its value here.

    It is the code of evalkit, Python, the files in which the functions are defined, those beside a user's
    file that it imports, `files` (weights, for example), and the versions of `packages`.
    """
    named = {PYTHON, EVALKIT, *(("package", name) for name in packages)}
    named |= {("file", str(path.resolve())) for path in files}
    for module in {function.__module__ for function in functions}:
        if file := file_of_module(module):
            named |= {("file", str(path)) for path in (Path(file), *neighbours(Path(file)))}
        elif module.partition(".")[0] != "evalkit":
            named.add(("module", module))
    return {thing: value_of(thing) for thing in sorted(named)}


def difference(theirs: Mapping[Thing, str]) -> str:
    """Says what is not here as it is there, where `things` was called; "" if everything is."""
    for (kind, name), there in theirs.items():
        here = value_of((kind, name))
        if here == there:
            continue
        what = f"{kind} {name}".strip()
        if not here:
            return f"it has no {what}"
        if kind in ("package", "Python"):
            return f"it has {what} {here}, and the run has {there or 'none'}"
        return f"its {what} is not the run's"
    return ""


def value_of(thing: Thing) -> str:
    """The value of a thing on this machine."""
    kind, name = thing
    if thing == PYTHON:
        libc = " ".join(platform.libc_ver())
        return f"{platform.python_version()} ({platform.machine()}, {libc or sys.platform})"
    if thing == EVALKIT:
        return _code()
    if kind == "package":
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return ""
    path = Path(name) if kind == "file" else _file_of(name)
    return digest(path) if path is not None and path.exists() else ""


def digest(path: Path) -> str:
    """The SHA-256 of a file, or of the names and contents of a folder's files; "none" if there are none.

    Files in `__pycache__` are ignored.
    """
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    files = sorted(
        entry for entry in path.rglob("*") if entry.is_file() and entry.parent.name != "__pycache__"
    )
    return _digest_of(path, files) if files else "none"


def _digest_of(folder: Path, files: Iterable[Path]) -> str:
    state = hashlib.sha256()
    for entry in files:
        state.update(f"{entry.relative_to(folder).as_posix()}\0{digest(entry)}\n".encode())
    return state.hexdigest()


@functools.cache
def _code() -> str:
    """The digest of the modules of evalkit and its tasks."""
    found = []
    for package in _OWN:
        path = _file_of(package)
        if path is not None:
            found.append(_digest_of(path.parent, sorted(path.parent.rglob("*.py"))))
    return " ".join(found)


def _file_of(module: str) -> Path | None:
    """The file of a module that is imported or can be; None for a built-in one or none."""
    loaded = sys.modules.get(module)
    if loaded is not None:
        origin = getattr(loaded, "__file__", None)
    else:
        try:
            spec = importlib.util.find_spec(module)
        except (ImportError, ValueError):
            spec = None
        origin = spec.origin if spec is not None else None
    return Path(origin) if origin else None
