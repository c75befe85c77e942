"""Folders that no program may see because runs, data or task files are in them.

Of this machine's folders, programs see only Python's (`evalkit.sandbox.shown`). If a folder to hide is inside
one of these, it is covered by an empty one. Whole folders are covered, not files, because SQLite and the
run's lock create and remove files beside the run file while programs run.
"""

from __future__ import annotations

import os
from pathlib import Path

from evalkit.errors import UsageError
from evalkit.sandbox.shown import is_needed, is_shown

_hidden: frozenset[str] = frozenset()


def hide_folders(*folders: Path | None) -> None:
    """Hides `folders` from all programs that start from now on, in every `Sandbox` of this process.

    Raises `UsageError` for a folder that Python itself needs.
    """
    global _hidden
    for folder in filter(None, folders):
        place = os.path.realpath(folder)
        if is_shown(place):
            if is_needed(place):
                raise UsageError(
                    f"a model's programs see all of {place}, because Python or a compiler needs it: "
                    "put runs, data and task files into another folder"
                )
            _hidden |= {place}


def hide_beside(file: Path) -> None:
    """Hides the folder of `file` and, if `file` is a link, the folder of its target."""
    hide_folders(file.parent, file.resolve().parent)


def hidden() -> frozenset[str]:
    """The hidden folders that are inside folders that programs see; their paths have no symbolic links."""
    return _hidden
