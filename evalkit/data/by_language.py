"""Data sets of one language each, as one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from evalkit.data.base import Data, DataOptions, Record, Records

LANGUAGE = "evalkit:language"
"""The key under which a record says which part it is of."""


@dataclass(frozen=True, slots=True)
class ByLanguage:
    """One part after the other; every record says under `LANGUAGE` which.

    Its own columns need not tell: some data sets name the language nowhere but in the config.
    The first part is opened at once, each other when it is reached: a few questions of the first language
    shall not cost the download of eighty. How many records there are is known of a single part only.
    """

    parts: tuple[tuple[str, Data], ...]

    def open(self, options: DataOptions | None = None) -> Records:
        """The records. Raises `DataError` here for the first part, while reading for the others."""
        options = options or DataOptions()
        opened = {0: self.parts[0][1].open(options)}

        def stream() -> Iterator[Record]:
            for at, (language, data) in enumerate(self.parts):
                if at not in opened:
                    opened[at] = data.open(options)
                for record in opened[at]:
                    yield {**record, LANGUAGE: language}

        first = opened[0]
        config = "+".join(language for language, _ in self.parts)
        count = first.count if len(self.parts) == 1 else None
        return Records({**first.origin, "config": config}, count, stream)
