"""Several data sets as one, each record with the name of its part."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from evalkit.data.base import Data, DataOptions, Record, Records, Stretch, at_hand, counted
from evalkit.errors import UsageError

PART = "evalkit:part"
"""The key under which a record says which part it is of."""


@dataclass(frozen=True, slots=True)
class Parts:
    """One part after the other, such as a language each; every record says under `PART` which.

    Its own columns need not tell: some data sets name the language nowhere but in the config. A part that is
    made of parts itself is taken apart: `Parts({"en": Parts({"easy": …, "hard": …})})` has the parts en/easy
    and en/hard. `--limit N` takes N of each where the task's figure is a mean over groups; its groups are
    then the parts.

    Parts in a folder, or that are at hand otherwise, are all opened at once. From the Hub the first is
    opened at once, each other when it is reached: a few questions of the first language shall not cost the
    download of eighty. How many records an unopened part has is known where `sizes` states it; a part that
    then has another number is an error, unless the user reads other data than the task's.
    """

    parts: Mapping[str, Data]
    sizes: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.parts:
            raise UsageError("Parts({}): there has to be a part")
        if unnamed := [key for key in self.parts if not isinstance(key, str) or not key]:
            raise UsageError(f"Parts: {unnamed[0]!r} is no name of a part, it has to be a text")
        if unknown := sorted(self.sizes.keys() - self.parts.keys()):
            raise UsageError(f"Parts: sizes states {unknown[0]!r}, which is no part")

    def split(self) -> Mapping[str, Data]:
        """The parts, those of parts taken apart. Raises `UsageError` where two have one name."""
        found: dict[str, Data] = {}
        for key, data in self.parts.items():
            inner = {f"{key}/{name}": part for name, part in parts_of(data).items()} or {key: data}
            if twice := found.keys() & inner.keys():
                raise UsageError(f"Parts: two parts are called {min(twice)!r}")
            found |= inner
        return found

    def stated(self) -> Mapping[str, int]:
        """How many records each of `split` has, where that is stated."""
        found = dict(self.sizes)
        for key, data in self.parts.items():
            found |= {f"{key}/{name}": size for name, size in stated_of(data).items()}
        return found

    def open(self, options: DataOptions | None = None) -> Records:
        """The records. Raises `DataError` here for the parts that it opens, while reading for the others."""
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
                opened[name] = told(records, name)
            return opened[name]

        here = options.folder is not None or options.small_sets
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
    """What `data` consist of by their own word, unopened; empty where they have no parts."""
    split = getattr(data, "split", None)
    found: Mapping[str, Data] = split() if callable(split) else {}
    return found


def stated_of(data: Data) -> Mapping[str, int]:
    """How many records the parts of `data` have, where they state it."""
    stated = getattr(data, "stated", None)
    found: Mapping[str, int] = stated() if callable(stated) else {}
    return found


def told(records: Records, name: str) -> Records:
    """The records with the name of their part."""
    return replace(records, read=lambda: ({**record, PART: name} for record in records))


def _unopened(data: Data) -> Mapping[str, str]:
    """What data say of their origin before they are opened: a `Hub` knows its name and split."""
    while (inner := getattr(data, "data", None)) is not None:  # mapped
        data = inner
    known = {key: getattr(data, key, None) for key in ("name", "split")}
    return {key: value for key, value in known.items() if isinstance(value, str)}


def _together(origins: Sequence[Mapping[str, str]], names: Sequence[str]) -> dict[str, str]:
    """The parts' origins as one: what differs is written side by side, and `config` is the parts' names."""
    keys = dict.fromkeys(key for origin in origins for key in origin)
    found = {
        key: "+".join(dict.fromkeys(origin[key] for origin in origins if origin.get(key))) for key in keys
    }
    return {**found, "config": "+".join(names)}
