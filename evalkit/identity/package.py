"""The digest of the Python files of an installed package."""

from __future__ import annotations

import functools
import hashlib
import sys
from pathlib import Path


@functools.cache
def package_digest(module: str) -> str:
    """The SHA-256 of the Python files of the top-level package of `module`, which is imported, by name.

    Of a module outside any package, it is that of its file. "" for code without files.
    """
    top = sys.modules.get(module.partition(".")[0])
    folders = [Path(folder) for folder in getattr(top, "__path__", ())]
    files = {path.relative_to(folder).as_posix(): path for folder in folders for path in folder.rglob("*.py")}
    if not folders and getattr(top, "__file__", None):
        file = Path(str(getattr(top, "__file__", "")))
        files = {file.name: file}
    state = hashlib.sha256()
    for name, path in sorted(files.items()):
        state.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\0".encode())
    return state.hexdigest() if files else ""
