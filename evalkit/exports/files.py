"""Writes files that must not be there yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from evalkit.errors import UsageError
from evalkit.scratch import replacing


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """Opens a file to write, in a folder that is made if there is none; it appears once it is whole.

    Raises `UsageError` if there is a file of that name already, or if it cannot be written.
    """
    if path.exists():
        raise UsageError(f"{path} already exists: remove it, or name another place with -o")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part, part.open("wb") as file:
            yield file
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None


def write_new(path: Path, parts: Iterable[bytes]) -> None:
    """Writes a file as `new_file` does."""
    with new_file(path) as file:
        for part in parts:
            file.write(part)
