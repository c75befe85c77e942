"""Folders of evalkit's own that no program may see: where runs, data and task files lie.

Programs see none of this machine's folders but Python's (`evalkit.sandbox.shown`). Where one of evalkit's
lies inside such a folder, an empty one is put over it. Whole folders rather than files, because SQLite and
the run's lock make and remove files beside the run file while programs run.
"""

from __future__ import annotations

import os
from pathlib import Path

from evalkit.errors import UsageError
from evalkit.sandbox.shown import is_needed, is_shown

_hidden: frozenset[str] = frozenset()


def hide_folders(*folders: Path | None) -> None:
    """Programs that start from here on see nothing of `folders`, in every `Sandbox` of this process.

    Raises `UsageError` where it is one that Python itself needs.
    """
    global _hidden
    for folder in filter(None, folders):
        place = os.path.realpath(folder)
        if is_shown(place):
            if is_needed(place):
                raise UsageError(
                    f"programs from a model see all of {place}, because Python or a compiler needs it: "
                    "put runs, data and task files into another folder"
                )
            _hidden |= {place}


def hide_beside(file: Path) -> None:
    """The same for the folder of `file` and, where it is a link, that of the file itself."""
    hide_folders(file.parent, file.resolve().parent)


def hidden() -> frozenset[str]:
    """Folders inside of those that programs see, without symbolic links."""
    return _hidden
