"""Brings the files of a lock onto this machine: into the Hugging Face cache, or evalkit's for repositories.

Each file is compared with the lock before it gets its name. A download that was killed goes on where it
stopped: `huggingface_hub` 2.4 would begin the file again, so that its content is brought, with a request of a
range, to the place in its cache where it then finds it.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.data import hub_files
from evalkit.data.folder import quiet
from evalkit.data.hub_errors import explained, patiently
from evalkit.data.lock import Content, LockedFile, Source, content_of, difference
from evalkit.data.repository import Repository
from evalkit.data.verify import IN_CACHES, root_of
from evalkit.errors import DataError

if TYPE_CHECKING:
    from huggingface_hub import RepoFile

AT_ONCE = 4
"""Downloads at a time."""
_HEX = re.compile(r"[0-9a-f]{40,64}")
_ELSEWHERE = "`evalkit data unpack` takes the files from a bundle"
Tell = Callable[[int, int], object]
"""(bytes, files) that are there now and were not before; a download that begins again takes bytes back."""


def fetch(sources: Iterable[Source], tell: Tell) -> list[Source]:
    """Brings the files, and returns the sources that nobody can bring: packages and the user's own folders.

    Raises `DataError`, which names the file, for one that cannot be brought or is not as the lock has it.
    """
    left = []
    for source in sources:
        if source.kind not in IN_CACHES:
            left.append(source)
            continue
        missing = list(_missing(source, tell))
        if source.kind == "github":
            _from_github(source, missing, tell)
        else:
            with explained(source.name, source.revision, _ELSEWHERE):
                _from_hub(source, missing, tell)
    return left


def point(source: Source) -> None:
    """Lets the branch or tag that the task asks for mean the locked commit where there is no network."""
    if source.asked and source.asked != source.revision:
        ref = hub_files.repository_folder(source.kind, source.name) / "refs" / source.asked
        ref.parent.mkdir(parents=True, exist_ok=True)
        ref.write_text(source.revision, "utf-8")


def _missing(source: Source, tell: Tell) -> Iterator[LockedFile]:
    root = root_of(source)
    for file in source.files:
        place = root / file.path
        if not place.is_file():
            yield file
        elif said := difference(place, file):
            raise DataError(
                f"{source.shown}: {file.path} {said}: delete {place.resolve()} and fetch it again"
            )
        else:
            tell(file.size, 1)


def _from_github(source: Source, files: Iterable[LockedFile], tell: Tell) -> None:
    repository = Repository(source.name, source.revision, {})

    def bring(file: LockedFile) -> None:
        content = repository.content(file.path)
        _check(source, file, Content(len(content), hashlib.sha256(content).hexdigest()))
        repository.store(file.path, content)
        tell(file.size, 1)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(bring, files))


def _from_hub(source: Source, files: Sequence[LockedFile], tell: Tell) -> None:
    """Brings the contents of the files, and then lets `huggingface_hub` put them into the commit's folder."""
    from huggingface_hub import constants

    find = partial(hub_files.tree, source.kind, source.name, source.revision)
    tree = patiently(find) if files else {}
    # The Hub serves larger files with its own protocol only, which `huggingface_hub` speaks.
    own, other = list[LockedFile](), list[LockedFile]()
    for file in files:
        if file.path not in tree:
            raise DataError(f"{source.shown} has no file {file.path}, which the lock has")
        (own if file.size <= constants.MAX_HTTP_DOWNLOAD_SIZE else other).append(file)
    with ThreadPoolExecutor(AT_ONCE) as pool, quiet():
        list(pool.map(lambda file: _blob(source, file, tree[file.path], tell), own))
    names = [file.path for file in source.files]
    place = patiently(partial(hub_files.snapshot, source.kind, source.name, source.revision, names))
    for file in other:
        _check(source, file, content_of(place / file.path))
        tell(file.size, 1)
    if said := hub_files.check_listing(source):
        raise DataError(f"{source.shown}: {said}")
    point(source)


def _blob(source: Source, file: LockedFile, known: RepoFile, tell: Tell) -> None:
    """Brings a file's content to where `huggingface_hub` looks for it by its digest."""
    from huggingface_hub import constants
    from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]

    etag = known.lfs.sha256 if known.lfs is not None else known.blob_id
    if not _HEX.fullmatch(etag):
        raise DataError(f"{source.shown}: {constants.ENDPOINT} gives {file.path} the digest {etag[:80]!r}")
    repository = hub_files.repository_folder(source.kind, source.name)
    blob = repository / "blobs" / etag
    lock = Path(
        constants.HF_HUB_CACHE, ".locks", repository.name, f"{etag}.lock"
    )  # as huggingface_hub has it
    for folder in (blob.parent, lock.parent):
        folder.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(lock):
        if blob.is_file():
            _check(source, file, content_of(blob))
            tell(file.size, 1)
            return
        part = blob.with_name(f"{etag}.part")
        tell(_length(part), 0)
        patiently(partial(_go_on, source, file, part, tell))
        try:
            _check(source, file, content_of(part))
        except DataError:
            part.unlink()
            raise
        part.replace(blob)
        tell(0, 1)


def _go_on(source: Source, file: LockedFile, part: Path, tell: Tell) -> None:
    """Appends to `part` what it lacks of the file."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    kind = hub_files.repo_type(source.kind)
    url = hf_hub_url(source.name, file.path, repo_type=kind, revision=source.revision)
    if _length(part) > file.size:
        tell(-_length(part), 0)
        part.unlink()
    count: Any = partial(_Count, tell)
    there = _length(part)
    with part.open("ab") as target:
        http_get(
            url,
            target,
            resume_size=there,
            headers=build_hf_headers(),
            expected_size=file.size,
            tqdm_class=count,
        )


def _length(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _check(source: Source, file: LockedFile, found: Content) -> None:
    """Raises `DataError` for content that is not as the lock has it."""
    if found != Content(file.size, file.sha256):
        raise DataError(
            f"{source.shown}: {file.path} is refused: it has {found.size:,} bytes and SHA-256 "
            f"{found.sha256[:12]}…, and the lock has {file.size:,} bytes and {file.sha256[:12]}…"
        )


class _Count(contextlib.AbstractContextManager["_Count"]):
    """What `http_get` takes for a progress bar: it passes on how many bytes came."""

    def __init__(self, tell: Tell, *given: Any, **settings: Any) -> None:
        self._tell = tell

    def __exit__(self, *raised: object) -> None:
        return None

    def update(self, count: float | None = 1) -> None:
        self._tell(int(count or 0), 0)
