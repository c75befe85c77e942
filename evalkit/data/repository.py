"""Files of a repository on GitHub at a commit, each checked by its id in that commit, and kept in a cache."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from evalkit.data import folder
from evalkit.data.base import DataOptions
from evalkit.data.cache import cache_folder
from evalkit.data.inventory import note
from evalkit.errors import DataError
from evalkit.scratch import Scratch

RAW = "https://raw.githubusercontent.com"
"""The address of single files of public repositories; EVALKIT_GITHUB sets another, such as a mirror's."""
MOST_BYTES = 100 << 20
"""The largest download: GitHub accepts no larger file, so that a larger one is not from there."""
_TIMEOUT = 60.0
_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


@dataclass(frozen=True, slots=True)
class Repository:
    """The files of a data set that is a repository and not on the Hub.

    `files`: the paths of the files that may be read, with their git ids: the SHA-1 of `blob <size>`, a zero
    byte and the content (git-hash-object(1)), as `git ls-tree` prints it at the commit `revision`.
    """

    name: str
    """`owner/name` on GitHub."""
    revision: str
    files: Mapping[str, str]

    def origin(self, config: str, split: str, options: DataOptions) -> dict[str, str]:
        """Where the files are from, for `Records.origin`."""
        kind = "folder" if options.folder else "small sets" if options.small_sets else "repository"
        where = options.folder or (folder.SMALL_SETS if options.small_sets else None)
        return {
            "kind": kind,
            "name": self.name,
            "config": config,
            "split": split,
            "revision": "" if where else self.revision,
            "where": str(where) if where else f"https://github.com/{self.name}/tree/{self.revision}",
        }

    def path(self, file: str, options: DataOptions) -> Path:
        """The place of `file` on this machine: in the user's folder (`FOLDER/owner/name/…`), in evalkit's
        small sets, or in the cache, into which it is downloaded if necessary.

        Raises `DataError` if it is not there or cannot be downloaded, and for a download with another id.
        """
        options.without_revision(f"{self.name}, whose files are checked by their ids at one commit,")
        tree = folder.SMALL_SETS if options.small_sets else options.folder
        if tree is None:
            path = self._downloaded(file)
        else:
            path = folder.locate(tree, self.name) / file
            if not path.is_file():
                raise DataError(f"{self.name} in {tree} has no file {file}: copy it from {self._url(file)}")
        note(options, "github", self.name, {file: path}, revision=self.revision)
        return path

    def holds(self, file: str, options: DataOptions) -> bool:
        """Whether `path` can find `file`: a download can always be tried, a folder may be a part."""
        tree = folder.SMALL_SETS if options.small_sets else options.folder
        return tree is None or (folder.locate(tree, self.name) / file).is_file()

    def _url(self, file: str) -> str:
        base = os.environ.get("EVALKIT_GITHUB", "").rstrip("/") or RAW
        return f"{base}/{self.name}/{self.revision}/{file}"

    def _downloaded(self, file: str) -> Path:
        known = self.files[file]
        target = self.folder / file
        if target.is_file():  # it was checked before it was put there
            return target
        content = self.content(file)
        found = blob_id(content)
        if found != known:
            raise DataError(
                f"{self._url(file)} is refused: its git id is {found}, not {known}: a proxy may have changed "
                f"it; {self._elsewhere}"
            )
        return self.store(file, content)

    @property
    def folder(self) -> Path:
        """Where the cache has the files of this commit. It may not exist."""
        return cache_folder() / "repositories" / self.name / self.revision

    def store(self, file: str, content: bytes) -> Path:
        """Puts a file into the cache, whose content the caller has checked. Raises `DataError`."""
        target = self.folder / file
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with Scratch(target.parent) as scratch:
                place = scratch / "file"
                place.write_bytes(content)
                place.replace(target)  # atomic: the cache never holds an incomplete file
        except OSError as error:
            raise DataError(
                f"{file} of {self.name} cannot be stored in {target.parent} ({error.strerror}): "
                "make room there, or set EVALKIT_CACHE to another folder"
            ) from error
        return target

    def content(self, file: str) -> bytes:
        """Downloads a file, unchecked. Raises `DataError`."""
        import httpx2

        for name in _OFFLINE:
            if os.environ.get(name, "").lower() in ("1", "true", "yes", "on"):
                raise DataError(
                    f"{file} of {self.name} is not in the cache, and {name} is set: unset it once to "
                    f"download; {self._elsewhere}"
                )
        url = self._url(file)
        content = bytearray()
        try:
            with (
                httpx2.Client(timeout=_TIMEOUT, follow_redirects=True) as client,
                client.stream("GET", url) as response,
            ):
                if response.status_code != 200:
                    said = f"HTTP status {response.status_code}"
                    raise DataError(f"cannot download {url} ({said}): {self._elsewhere}")
                for chunk in response.iter_bytes():
                    content += chunk
                    if len(content) > MOST_BYTES:
                        raise DataError(
                            f"{url} is refused: it has more than {MOST_BYTES:,} bytes, and no file of "
                            f"{self.name} is so large: a proxy may answer in its place; {self._elsewhere}"
                        )
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            reason = str(error).strip() or type(error).__name__
            raise DataError(f"cannot download {url} ({reason}): {self._elsewhere}") from error
        return bytes(content)

    @property
    def _elsewhere(self) -> str:
        return (
            "`--data builtin` reads evalkit's own small data sets, `--data DIR` reads a copy in "
            f"DIR/{self.name}, such as a clone of https://github.com/{self.name}"
        )


def blob_id(content: bytes) -> str:
    """The id that git gives a file with this content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def lines_of(path: Path) -> list[str]:
    """The lines of a text file with one sentence per line, without their ends.

    Only a line feed ends a line, as for `sacrebleu`: a sentence may contain other separators of Unicode.
    Raises `DataError` for a file that is not UTF-8.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read ({error}): copy it again") from error
    lines = text.split("\n")
    return [line.removesuffix("\r") for line in (lines[:-1] if not lines[-1] else lines)]
