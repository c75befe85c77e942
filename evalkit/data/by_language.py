"""Data sets of one language each, as one."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace

from evalkit.data.base import Data, DataOptions, Part, Record, Records

LANGUAGE = "evalkit:language"
"""The key under which a record says which part it is of."""


@dataclass(frozen=True, slots=True)
class ByLanguage:
    """One part after the other; every record says under `LANGUAGE` which.

    Its own columns need not tell: some data sets name the language nowhere but in the config.
    Parts in a folder are all opened at once, so it is known how many records there are. From the Hub the
    first part is opened at once, each other when it is reached: a few questions of the first language shall
    not cost the download of eighty. How many records there are is then known of a single part only.
    """

    parts: tuple[tuple[str, Data], ...]

    def open(self, options: DataOptions | None = None) -> Records:
        """The records. Raises `DataError` here for the parts that it opens, while reading for the others."""
        options = options or DataOptions()
        here = options.folder is not None or options.small_sets
        opened: dict[int, Records] = {}

        def part(at: int) -> Records:
            if at not in opened:
                language, data = self.parts[at]
                opened[at] = _told(data.open(options), language)
            return opened[at]

        for at in range(len(self.parts) if here else 1):
            part(at)
        counts = [opened[at].count if at in opened else None for at in range(len(self.parts))]
        known = [count for count in counts if count is not None]

        def stream() -> Iterator[Record]:
            for at in range(len(self.parts)):
                yield from part(at)

        return Records(
            {**opened[0].origin, "config": "+".join(language for language, _ in self.parts)},
            sum(known) if len(known) == len(counts) else None,
            stream,
            tuple(
                Part(language, count, functools.partial(part, at))
                for at, ((language, _), count) in enumerate(zip(self.parts, counts, strict=True))
            ),
        )


def _told(records: Records, language: str) -> Records:
    """The records with their language."""
    return replace(records, read=lambda: ({**record, LANGUAGE: language} for record in records))
