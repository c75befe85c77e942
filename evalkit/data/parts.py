"""Joins several data sets into one, in which each record has the name of its part."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from evalkit.data.base import Data, DataOptions, Record, Records, Stretch, at_hand, counted
from evalkit.errors import UsageError

PART = "evalkit:part"
"""The key of a record under which the name of its part is stored."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Parts, such as one per language, one after the other. A record has its part's name under `PART`.

    The name is needed because some data sets name the language only in the config, not in a column. A part
    that has parts itself is split: `Parts({"en": Parts({"easy": …, "hard": …})})` has the parts en/easy and
    en/hard. If the task's metric is a mean over groups, the groups are the parts, and `--limit N` takes N
    records of each.

    Local parts, such as those in a folder, are all opened at once. From the Hub, the first part is opened at
    once and each other part when it is reached, so that a few questions of the first language do not need the
    download of eighty languages. The number of records of an unopened part is only known from `sizes`. If the
    part then has a different number, that is an error, unless the user reads other data than the task's.
    """

    parts: Mapping[str, Data]
    sizes: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.parts:
            raise UsageError("Parts({}): must have at least one part")
        if unnamed := [key for key in self.parts if not isinstance(key, str) or not key]:
            raise UsageError(f"Parts: a part's name must be a non-empty text, not {unnamed[0]!r}")
        if unknown := sorted(self.sizes.keys() - self.parts.keys()):
            raise UsageError(f"Parts: sizes has {unknown[0]!r}, which is not the name of a part")

    def split(self) -> Mapping[str, Data]:
        """Returns the parts, with nested parts split. Raises `UsageError` if two have the same name."""
        found: dict[str, Data] = {}
        for key, data in self.parts.items():
            inner = {f"{key}/{name}": part for name, part in parts_of(data).items()} or {key: data}
            if twice := found.keys() & inner.keys():
                raise UsageError(f"Parts: two parts are named {min(twice)!r}")
            found |= inner
        return found

    def stated(self) -> Mapping[str, int]:
        """Returns how many records each part of `split` has, for parts whose size is given."""
        found = dict(self.sizes)
        for key, data in self.parts.items():
            found |= {f"{key}/{name}": size for name, size in stated_of(data).items()}
        return found

    def open(self, options: DataOptions | None = None) -> Records:
        """Returns the records. Raises `DataError` for the parts that it opens; for others, reading does."""
        options = options or DataOptions()
        parts = self.split()
        names = list(parts)
        stated = {} if options.elsewhere else self.stated()
        opened: dict[str, Records] = {}

        def part(name: str) -> Records:
            if name not in opened:
                records = parts[name].open(options)
                if name in stated:
                    records = counted(records, stated[name], f"part {name} of {records.origin['name']}")
                opened[name] = with_part(records, name)
            return opened[name]

        # A lock and an inventory are about all files, so that no part can wait.
        here = options.folder or options.small_sets or options.lock or options.inventory
        for name in names:
            if here or name == names[0] or at_hand(parts[name]):
                part(name)
        counts = [opened[name].count if name in opened else stated.get(name) for name in names]
        known = [count for count in counts if count is not None]

        def stream() -> Iterator[Record]:
            for name in names:
                yield from part(name)

        return Records(
            _together([opened[n].origin if n in opened else _unopened(parts[n]) for n in names], names),
            sum(known) if len(known) == len(counts) else None,
            stream,
            tuple(
                Stretch(name, count, functools.partial(part, name))
                for name, count in zip(names, counts, strict=True)
            ),
        )


def parts_of(data: Data) -> Mapping[str, Data]:
    """Returns the unopened parts of `data`; empty if it has no parts."""
    split = getattr(data, "split", None)
    found: Mapping[str, Data] = split() if callable(split) else {}
    return found


def stated_of(data: Data) -> Mapping[str, int]:
    """Returns how many records the parts of `data` have, for parts whose size is given."""
    stated = getattr(data, "stated", None)
    found: Mapping[str, int] = stated() if callable(stated) else {}
    return found


def with_part(records: Records, name: str) -> Records:
    """Returns the records with the name of their part."""
    return replace(records, read=lambda: ({**record, PART: name} for record in records))


def _unopened(data: Data) -> Mapping[str, str]:
    """Returns what is known of the origin of unopened data: a `Hub` has a name and a split."""
    while (inner := getattr(data, "data", None)) is not None:  # `data` is mapped
        data = inner
    known = {key: getattr(data, key, None) for key in ("name", "split")}
    return {key: value for key, value in known.items() if isinstance(value, str)}


def _together(origins: Sequence[Mapping[str, str]], names: Sequence[str]) -> dict[str, str]:
    """Joins the parts' origins: values that differ are joined by +, and `config` is the parts' names."""
    keys = dict.fromkeys(key for origin in origins for key in origin)
    found = {
        key: "+".join(dict.fromkeys(origin[key] for origin in origins if origin.get(key))) for key in keys
    }
    return {**found, "config": "+".join(names)}
