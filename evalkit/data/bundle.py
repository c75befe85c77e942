"""Bundles: the contents of all files of a lock in one tar file, for machines without a network.

A bundle holds nothing but contents, each as `sha256/DIGEST`. Which of them are taken, and where they are
stored, is in the lock alone, so that a hostile bundle decides nothing: no path, no link, and no size.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from evalkit.data import hub_files
from evalkit.data.base import listing
from evalkit.data.fetch import Tell, point
from evalkit.data.lock import Content, LockedFile, Source, content_of
from evalkit.data.verify import IN_CACHES, problems, root_of
from evalkit.errors import DataError, UsageError
from evalkit.scratch import Scratch

_FOLDER = "sha256/"
_CHUNK = 1 << 20
_LISTED = re.compile(r"(?P<oid>[0-9a-f]{40,64}) (?P<size>[0-9]{1,18}) (?P<path>.+)")
"""A line of `hub_files.listing_of`."""
_TREES = 1
"""The version of the format in which `huggingface_hub` keeps a commit's list of files."""


def packed(sources: Iterable[Source]) -> list[Source]:
    """Returns the sources whose files a bundle has: not packages, and not the user's own folders."""
    return [source for source in sources if source.kind in IN_CACHES]


def pack(sources: Iterable[Source], output: Path, tell: Tell) -> int:
    """Writes the bundle and returns how many contents it has. The same lock gives the same bytes.

    Raises `DataError`, which names the file, if one is missing or not as the lock has it.
    """
    sources = packed(sources)
    for source in sources:
        for problem in problems(source, lambda file: tell(file.size, 1)):
            if problem.kind != "additional":
                raise DataError(f"{problem.line()}: `evalkit data fetch` brings it")
    written: set[str] = set()
    form = tarfile.GNU_FORMAT  # which needs no further headers for large files
    with _beside(output) as part, tarfile.open(part, mode="w", format=form) as tar:
        for source in sources:
            for content, data in _contents(source):
                with data:
                    if content.sha256 not in written:
                        written.add(content.sha256)
                        entry = tarfile.TarInfo(_FOLDER + content.sha256)
                        entry.size = content.size
                        tar.addfile(entry, data)
    return len(written)


def unpack(bundle: Path, sources: Iterable[Source], tell: Tell) -> int:
    """Stores the contents where runs find them, and returns how many there are.

    Nothing is stored but what the lock has, each after its digest was checked. Raises `DataError` for a
    bundle that is damaged, lacks a content, or has something else.
    """
    from huggingface_hub import constants

    sources = packed(sources)
    wanted: dict[str, int] = {}
    for source in sources:
        wanted |= {file.sha256: file.size for file in source.files}
        if source.listing is not None:
            wanted[source.listing.sha256] = source.listing.size
    if not wanted:
        raise UsageError("the lock has nothing that a bundle could hold")
    place = Path(constants.HF_HUB_CACHE)
    place.mkdir(parents=True, exist_ok=True)
    with Scratch(place) as scratch:
        taken = _take(bundle, wanted, scratch, tell)
        for source in sources:
            _store(source, taken)
    return len(taken)


def _contents(source: Source) -> Iterator[tuple[Content, IO[bytes]]]:
    """Yields the contents of a source's files, and the list of its commit's files."""
    root = root_of(source)
    for file in source.files:
        yield Content(file.size, file.sha256), (root / file.path).open("rb")
    if source.listing is not None:
        text = hub_files.cached_listing(source.kind, source.name, source.revision)
        yield source.listing, io.BytesIO(text)


def _take(bundle: Path, wanted: dict[str, int], scratch: Path, tell: Tell) -> dict[str, Path]:
    """Copies the wanted contents into the scratch folder and returns where they are, by digest."""
    taken: dict[str, Path] = {}
    with bundle.open("rb") as data:
        while (entry := _entry(data, bundle)) is not None:
            digest = entry.name.removeprefix(_FOLDER)
            if not entry.isreg() or entry.name != _FOLDER + digest or digest not in wanted:
                raise DataError(f"{bundle} is refused: {entry.name[:80]!r} is not a content of the lock")
            if digest in taken:
                raise DataError(f"{bundle} is refused: it has {digest[:12]}… twice")
            if entry.size != wanted[digest]:
                known = f"{entry.size:,} bytes, and the lock has {wanted[digest]:,}"
                raise DataError(f"{bundle} is refused: {digest[:12]}… has {known}")
            taken[digest] = _copied(data, scratch / digest, Content(entry.size, digest), bundle)
            tell(entry.size, 1)
    if missing := sorted(wanted.keys() - taken.keys()):
        raise DataError(f"{bundle} lacks {len(missing)} contents of the lock: {listing(missing, 3)}")
    return taken


def _entry(data: IO[bytes], bundle: Path) -> tarfile.TarInfo | None:
    """Returns the next header, or None at the end.

    `tarfile` itself reads extended headers, of any size, into the memory. Bundles need none.
    """
    block = data.read(tarfile.BLOCKSIZE)
    if block == tarfile.NUL * tarfile.BLOCKSIZE:
        return None
    try:
        return tarfile.TarInfo.frombuf(block, "ascii", "strict")
    except (tarfile.HeaderError, ValueError) as error:
        raise DataError(f"{bundle} is not a bundle, or is cut off ({error}): copy it again") from None


def _copied(data: IO[bytes], place: Path, content: Content, bundle: Path) -> Path:
    """Copies a content and skips the filling behind it. Raises `DataError` if it has another digest."""
    state, left = hashlib.sha256(), content.size
    with place.open("xb") as out:
        while left and (chunk := data.read(min(left, _CHUNK))):
            left -= len(chunk)
            state.update(chunk)
            out.write(chunk)
    data.read(-content.size % tarfile.BLOCKSIZE)
    if state.hexdigest() != content.sha256:
        raise DataError(f"{bundle} is damaged: {content.sha256[:12]}… has other bytes: copy it again")
    return place


def _store(source: Source, taken: dict[str, Path]) -> None:
    root = root_of(source)
    for file in source.files:
        _place(root / file.path, file, taken[file.sha256])
    if source.listing is not None:
        text = taken[source.listing.sha256].read_text("utf-8")
        trees = hub_files.repository_folder(source.kind, source.name) / "trees" / f"{source.revision}.json"
        with _beside(trees) as part:
            part.write_text(_tree_document(text, trees), "utf-8")
    if source.kind != "github":
        point(source)


def _place(target: Path, file: LockedFile, content: Path) -> None:
    """Puts a content in its place. What is there and is the same stays."""
    if target.is_file() and content_of(target) == Content(file.size, file.sha256):
        return
    with _beside(target) as part:
        try:
            part.hardlink_to(content)
        except OSError:  # another disk, or one without links
            shutil.copyfile(content, part)


def _tree_document(text: str, place: Path) -> str:
    """Returns the list of a commit's files (`hub_files.listing_of`) as `huggingface_hub` keeps it."""
    files = {}
    for line in text.split("\n")[:-1]:
        match = _LISTED.fullmatch(line)
        if match is None:
            raise DataError(f"the list of files for {place} has the line {line[:80]!r}: make a new lock")
        files[match["path"]] = {"size": int(match["size"]), "blob_id": match["oid"]}
    return json.dumps({"format_version": _TREES, "files": files}, indent=1)


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A name for a file that then takes the place of `target`; a link there is replaced, not followed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name[:100]}.{os.getpid()}.part")
    try:
        yield part
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
