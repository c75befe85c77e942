"""Reads a folder with one data set laid out as on the Hub: a card (README.md) and data files."""

from __future__ import annotations

import copy
import hashlib
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.data import parquet
from evalkit.data.base import Record, Records, check_columns, listing, readable
from evalkit.data.folder_texts import texts
from evalkit.data.media import embedded, media_columns, undecoded
from evalkit.errors import DataError
from evalkit.scratch import Scratch

if TYPE_CHECKING:
    from datasets import DatasetBuilder, Features, IterableDataset
    from datasets.load import DatasetModule

CARDS = ("README.md", ".huggingface.yaml", "dataset_infos.json")
"""The files from which `datasets` reads configs and features."""
DEFAULT = "default"
"""The name that `datasets` gives the config of a data set whose card states none."""
SMALL_SETS = Path(__file__).parent / "small_sets"

_SHARD = re.compile(r"(?P<stem>.*)-(?P<index>\d{5,})-of-(?P<total>\d{5,})")


@dataclass(frozen=True, slots=True)
class SplitFiles:
    """The files of one split of one config, and the reader for them."""

    builder: DatasetBuilder
    split: str
    files: tuple[str, ...]
    """Paths relative to the data set's folder, in reading order."""


def locate(folder: Path, name: str) -> Path:
    """Returns `FOLDER/<owner>/<name>`. Raises `DataError`, which lists the data sets in the folder."""
    root = folder / name
    if root.is_dir():
        return root
    if not folder.is_dir():
        raise DataError(f"no folder {folder}: --data needs a folder laid out like the Hub, with {name} in it")
    there = sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/*") if path.is_dir())
    close = get_close_matches(name, there, n=1, cutoff=0.6)
    if close:
        raise DataError(f"{folder} has no data set {name}: did you mean {close[0]}?")
    raise DataError(f"{folder} has no data set {name}: it has {listing(there)}")


def plan(root: Path, configs: Sequence[str], split: str, place: str) -> list[SplitFiles]:
    """Returns the files of a split in each config, by the card's `configs` or else by the files' names.

    `datasets` itself decides, so a folder is read as by `load_dataset`. Only names and the card are read.
    If no card states configs, a folder with the name of a config has its files. `place`: the name of the data
    set in errors. Raises `DataError`.
    """
    root = root.resolve()
    fix = "its card and its files do not fit together, so copy the whole data set"
    with readable(place, fix), quiet():
        state = _state(root)
        folders = () if _states_configs(root, state) else _folders(root)
        builders = []
        for config in configs:
            inside = root / config
            if config in folders:
                builders.append(_found(inside, _state(inside), DEFAULT, place, folders))
            else:
                builders.append(_found(root, state, config, place, folders))
    return [
        _plan(builder, root, config, split, place) for builder, config in zip(builders, configs, strict=True)
    ]


@lru_cache(maxsize=8)
def _states_configs(root: Path, state: bytes) -> bool:
    """Whether a card states configs, as `datasets` reads it. It is kept for each state, as in `_module`."""
    from huggingface_hub.repocard import metadata_load

    card = root / CARDS[0]
    return (root / CARDS[1]).is_file() or (card.is_file() and "configs" in (metadata_load(card) or {}))


def _folders(root: Path) -> Sequence[str]:
    """Returns the names of the folders that may be configs: `DEFAULT` is what a data set without any has."""
    names = (path.name for path in root.iterdir() if path.is_dir())
    return sorted(name for name in names if name != DEFAULT and not name.startswith("."))


def _found(root: Path, state: bytes, config: str, place: str, folders: Sequence[str]) -> DatasetBuilder:
    """Returns the builder of a config that `datasets` finds. `folders`: other configs of the data set."""
    # The builder leaves a lock file in its cache folder, although streaming caches nothing.
    with Scratch() as scratch:
        module = _module(root, state)
        there = [one.name for one in module.builder_configs_parameters.builder_configs or ()]
        if config not in there:
            raise DataError(f"{place} has no config {config!r}: it has {listing([*there, *folders])}")
        return _builder(module, config, str(scratch))


@lru_cache(maxsize=8)
def _module(root: Path, state: bytes) -> DatasetModule:
    """Returns what `datasets` finds in a folder.

    It is kept for each state, because parsing a card with a hundred configs takes a tenth of a second.
    """
    from datasets.load import dataset_module_factory

    return dataset_module_factory(str(root))


def _state(root: Path) -> bytes:
    """Returns a digest of the cards, and of the names, sizes and times of everything below `root`."""
    found = hashlib.sha256()
    for place, folders, files in os.walk(root):
        folders.sort()
        for name in sorted((*folders, *files)):
            path = Path(place, name)
            known = path.stat() if path.exists() else None  # a link may lead nowhere
            found.update(repr((str(path), known and (known.st_size, known.st_mtime_ns))).encode())
    for name in CARDS:
        if (root / name).is_file():
            found.update((root / name).read_bytes())
    return found.digest()


def _builder(module: DatasetModule, name: str, scratch: str) -> DatasetBuilder:
    """Returns the builder of a config, as `load_dataset_builder` does, which would read the card again.

    It gets copies, because a builder changes its config.
    """
    from datasets.load import configure_builder_class, import_main_class

    configs = module.builder_configs_parameters.builder_configs or ()
    own = [copy.deepcopy(config) for config in configs if config.name == name]
    kind = import_main_class(module.module_path)
    maker = configure_builder_class(kind, own, None, module.builder_kwargs["dataset_name"])
    info = copy.deepcopy((module.dataset_infos or {}).get(name))
    found: DatasetBuilder = maker(
        cache_dir=scratch, config_name=name, hash=module.hash, info=info, **module.builder_kwargs
    )
    return found


def _plan(builder: DatasetBuilder, root: Path, config: str, split: str, place: str) -> SplitFiles:
    splits = {str(key): list(paths) for key, paths in (builder.config.data_files or {}).items()}
    if not splits.get(split):
        filled = [key for key, paths in splits.items() if paths]
        raise DataError(f"{place} has no split {split!r} in config {config!r}: it has {listing(filled)}")
    files = tuple(Path(path).relative_to(root).as_posix() for path in splits[split])
    _check_shards(files, place)
    return SplitFiles(builder=builder, split=split, files=files)


def read(
    plans: Sequence[SplitFiles], root: Path, *, columns: Sequence[str], place: str, origin: Mapping[str, str]
) -> Records:
    """Returns the records of the plans, one plan after the other, streamed from the files below `root`."""
    parts = [_read(plan, root, columns, place) for plan in plans]
    counts = [count for count, _ in parts if count is not None]

    def stream() -> Iterator[Record]:
        for _, start in parts:
            records = start()
            while True:
                # One record at a time, because errors of the caller's code must not be caught here.
                with readable(place), quiet():
                    record = next(records, None)
                if record is None:
                    break
                yield record

    return Records(origin=origin, count=sum(counts) if len(counts) == len(parts) else None, read=stream)


def _read(
    plan: SplitFiles, root: Path, columns: Sequence[str], place: str
) -> tuple[int | None, Callable[[], Iterator[Record]]]:
    """Returns (how many records, a function that streams the records) of one plan."""
    root = root.absolute()  # `datasets` would resolve a relative path below the data set's folder
    files = [root / name for name in plan.files]
    with readable(place), quiet():
        count: int | None
        stream: Callable[[], Iterator[Record]]
        if {file.suffix for file in files} == {".parquet"}:
            count, found = _measure(files)
            features = plan.builder.info.features or parquet.features_of(files[0])
            media, stream = media_columns(features), partial(parquet.read, files, features)
        elif listed := texts(plan.builder, files, root, place):
            count, found, media, stream = listed.count, set(listed.columns), listed.media, listed.read
        else:
            dataset, features = _streamed(plan, files)
            count, found, stream = None, set(next(iter(dataset), {})), partial(iter, dataset)
            media = media_columns(features)
    check_columns(columns, found, place)
    if not media:
        return count, stream
    return count, lambda: (embedded(record, media, root) for record in stream())


def _streamed(plan: SplitFiles, files: Sequence[Path]) -> tuple[IterableDataset, Features | None]:
    """Returns (the records, their features), read by `datasets`."""
    # Only this split, because the card may name files of other splits that are not on this machine.
    plan.builder.config.data_files = {plan.split: [str(file) for file in files]}
    dataset = plan.builder.as_streaming_dataset(split=plan.split)
    features = dataset.features
    if media_columns(features):
        dataset = dataset.cast(undecoded(features))
    return dataset, features


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps the log lines of `datasets` and `huggingface_hub` off the terminal.

    Their problems are reported as a `DataError`. The handlers get a filter instead of another level, because
    each filter is added and removed separately, so that two threads may do this at the same time.
    """

    def mute(_record: logging.LogRecord) -> bool:
        return False

    names = ("datasets", "huggingface_hub")
    handlers = [handler for name in names for handler in logging.getLogger(name).handlers]
    for handler in handlers:
        handler.addFilter(mute)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(mute)


def _measure(files: Sequence[Path]) -> tuple[int, set[str]]:
    """Returns (the number of records, the columns that all files have) of parquet files."""
    measured = []
    for file in files:
        with readable(str(file)):
            measured.append(parquet.columns_of(file))
    return sum(count for count, _ in measured), set.intersection(*(columns for _, columns in measured))


def _check_shards(files: Sequence[str], place: str) -> None:
    """Raises `DataError` if a file is missing: `x-00000-of-00002` says that there must be two."""
    seen: dict[tuple[str, int], set[int]] = {}
    for match in filter(None, map(_SHARD.match, files)):
        seen.setdefault((match["stem"], int(match["total"])), set()).add(int(match["index"]))
    for (stem, total), there in seen.items():
        missing = sorted(set(range(total)) - there)
        if missing:
            raise DataError(
                f"{place} is incomplete: {stem} lacks {len(missing)} of its {total} files, "
                f"the first is {stem}-{missing[0]:05d}-of-{total:05d}: copy or download it again"
            )
