"""Files of a commit on the Hub: their sizes and digests, and where the Hugging Face cache has them."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from evalkit.data import folder
from evalkit.data.hub_errors import at
from evalkit.data.lock import Content, Kind, LockedFile, Source, content_of, is_inside
from evalkit.errors import DataError

if TYPE_CHECKING:
    from huggingface_hub import RepoFile

_MOST_LICENCE = 100


def repo_type(kind: Kind) -> Literal["dataset", "space"]:
    """The Hub's name for a kind of source."""
    return "space" if kind == "space" else "dataset"


def repository_folder(kind: Kind, name: str) -> Path:
    """The repository's folder in the Hugging Face cache, with `blobs`, `refs`, `snapshots` and `trees`."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    return Path(constants.HF_HUB_CACHE, repo_folder_name(repo_id=name, repo_type=repo_type(kind)))


def snapshot_folder(kind: Kind, name: str, commit: str) -> Path:
    """The folder of a commit in the Hugging Face cache. It may not exist."""
    return repository_folder(kind, name) / "snapshots" / commit


def snapshot(kind: Kind, name: str, commit: str, names: Iterable[str], *, bars: bool = False) -> Path:
    """Returns the commit's folder in the cache, with those of the files `names` that the commit has."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils.tqdm import tqdm

    class Bar(tqdm):
        """The bar of `snapshot_download`, hidden only here and not for the whole process."""

        def __init__(self, *args: Any, **settings: Any) -> None:
            hidden = {} if bars else {"disable": True}
            super().__init__(*args, **settings | hidden)  # type: ignore[no-untyped-call]

    with folder.quiet():
        return Path(
            snapshot_download(
                name,
                repo_type=repo_type(kind),
                revision=commit,
                allow_patterns=[glob.escape(name) for name in names],
                tqdm_class=Bar,
            )
        )


def tree(kind: Kind, name: str, commit: str) -> dict[str, RepoFile]:
    """Asks the Hub for all files of a commit, by path: sizes, git ids, and SHA-256 of large files."""
    from huggingface_hub import HfApi, RepoFile

    with folder.quiet():
        listed = HfApi().list_repo_tree(name, recursive=True, revision=commit, repo_type=repo_type(kind))
        return {file.path: file for file in listed if isinstance(file, RepoFile)}


def listing_of(files: Iterable[RepoFile]) -> bytes:
    """The list of a commit's files, one `git-id size path` a line, in the order of the paths."""
    rows = sorted((file.path, file.blob_id, file.size) for file in files)
    return "".join(f"{oid} {size} {path}\n" for path, oid, size in rows).encode()


def cached_listing(kind: Kind, name: str, commit: str) -> bytes:
    """The same list as the cache has it. Raises huggingface_hub's error if the cache does not have it."""
    from huggingface_hub import get_cached_repo_tree

    return listing_of(get_cached_repo_tree(name, repo_type=repo_type(kind), revision=commit))


def check_listing(source: Source) -> str:
    """Returns how the cache's list of a commit's files differs from the locked one, or "".

    With another list, other files may belong to a split.
    """
    from huggingface_hub.errors import CachedRepoTreeNotFoundError

    if source.listing is None:
        return ""
    try:
        text = cached_listing(source.kind, source.name, source.revision)
    except CachedRepoTreeNotFoundError:
        return "the list of the commit's files is missing"
    same = hashlib.sha256(text).hexdigest() == source.listing.sha256
    return "" if same else "the list of the commit's files is another one"


def hub_source(kind: Kind, name: str, asked: str, commit: str, names: Sequence[str]) -> Source:
    """Returns the source with the files `names` of a commit.

    The Hub gives the SHA-256 of large files (LFS, Xet), which are not downloaded; others are, to hash them.
    """
    listed = tree(kind, name, commit)
    if missing := sorted(set(names) - listed.keys()):
        raise DataError(f"{at(name, commit)} has no file {missing[0]}")
    if odd := [path for path in listed if not is_inside(path)]:
        raise DataError(f"{at(name, commit)} has a file that a lock cannot name: {odd[0]!r}")
    card = [path for path in folder.CARDS[:1] if path in listed]
    small = [path for path in names if listed[path].lfs is None]
    place = snapshot(kind, name, commit, [*small, *card])
    files = []
    for path in sorted(names):
        large = listed[path].lfs
        known = Content(large.size, large.sha256) if large is not None else content_of(place / path)
        files.append(LockedFile(path, known.size, known.sha256))
    text = listing_of(listed.values())
    return Source(
        kind,
        name,
        tuple(files),
        asked,
        commit,
        _licence(place / card[0]) if card else "",
        Content(len(text), hashlib.sha256(text).hexdigest()),
    )


def _licence(card: Path) -> str:
    """Returns the licences that a card states, without characters that a terminal would obey."""
    from huggingface_hub.repocard import metadata_load

    try:
        stated = (metadata_load(card) or {}).get("license")
    except Exception:  # noqa: BLE001 — a card's YAML may be anything, and the licence is only shown
        return ""
    said = ", ".join(map(str, stated)) if isinstance(stated, list) else str(stated or "")
    return "".join(filter(str.isprintable, said))[:_MOST_LICENCE]
