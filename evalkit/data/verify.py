"""Where the files of a lock are on this machine, and which of them are not as the lock has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Literal

from evalkit.data.hub_files import check_listing, snapshot_folder
from evalkit.data.inventory import below
from evalkit.data.lock import LockedFile, Source, difference
from evalkit.data.repository import Repository
from evalkit.errors import DataError

IN_CACHES = ("hub", "space", "github")
"""The kinds of sources that can be fetched: the others are installed packages and the user's own folders."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A file that is not as the lock has it. `what`: how it differs; `file`: its path in the source."""

    kind: Literal["missing", "changed", "additional"]
    source: Source
    file: str
    what: str

    def line(self) -> str:
        """The problem in one line."""
        return f"{self.kind}: {self.file} of {self.source.shown}: {self.what}"


def root_of(source: Source) -> Path:
    """Returns the folder of a source's files on this machine; it may not exist.

    Raises `DataError` for a package that is not installed.
    """
    if source.kind in ("hub", "space"):
        return snapshot_folder(source.kind, source.name, source.revision)
    if source.kind == "github":
        return Repository(source.name, source.revision, {}).folder
    if source.kind == "local":
        return Path(source.name)
    try:
        found = distribution(source.name)
    except PackageNotFoundError:
        fix = f"`pip install {source.name}=={source.revision}`"
        raise DataError(f"package {source.name!r} is not installed: {fix}") from None
    return Path(str(found.locate_file("")))


def problems(source: Source, tell: Callable[[LockedFile], object] = lambda file: None) -> Iterator[Problem]:
    """Yields each file that is missing, has changed, or is additional. `tell` gets each file once checked.

    Additional are files beside a commit's own in the Hugging Face cache, and those that the lock does not
    have in a folder of which all files are read.
    """
    try:
        root = root_of(source)
    except DataError as error:
        yield from (Problem("missing", source, file.path, str(error)) for file in source.files)
        return
    for file in source.files:
        place = root / file.path
        if not place.is_file():
            yield Problem("missing", source, file.path, f"there is no {place}")
        elif said := difference(place, file):
            yield Problem("changed", source, file.path, said)
        tell(file)
    if said := check_listing(source):
        yield Problem("changed", source, "the list of files", said)
    known = {file.path for file in source.files} | _of_the_commit(source)
    for path in _beside(source, root):
        if path not in known:
            yield Problem("additional", source, path, f"the lock does not have {root / path}")


def _beside(source: Source, root: Path) -> Iterator[str]:
    return below(root) if source.whole or source.kind in ("hub", "space") else iter(())


def _of_the_commit(source: Source) -> set[str]:
    """Returns all files of the commit by the cache's list: another task may have downloaded them."""
    from huggingface_hub import get_cached_repo_tree
    from huggingface_hub.errors import CachedRepoTreeNotFoundError

    from evalkit.data.hub_files import repo_type

    if source.kind not in ("hub", "space"):
        return set()
    try:
        tree = get_cached_repo_tree(source.name, repo_type=repo_type(source.kind), revision=source.revision)
    except CachedRepoTreeNotFoundError:
        return set()
    return {file.path for file in tree}
