"""Records that a function generates, the same ones in every call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from evalkit.data.base import DataOptions, Record, Records, counted, name_of
from evalkit.errors import DataError
from evalkit.identity.declared import code_identity


@dataclass(frozen=True, slots=True)
class Generated:
    """The records that `function(Random(seed))` yields, such as texts of a given length with a hidden fact.

    All randomness must come from the given generator. Then the seed and the code, which are in the run file,
    give the same records everywhere. Python keeps `random()` the same between its versions, and other methods
    nearly always; the digest of the questions shows a change. `count`: the number of records, which reading
    checks; None if unknown.
    """

    seed: int
    function: Callable[[Random], Iterable[Record]]
    count: int | None = None
    at_hand: ClassVar[bool] = True

    def open(self, options: DataOptions | None = None) -> Records:
        """Returns the records. Raises `DataError` if two calls of the function give different records."""
        (options or DataOptions()).without_revision("generated data")
        name = name_of(self.function)
        if next(self._read(name), None) != next(self._read(name), None):
            raise DataError(
                f"{name} gives different records each time: all randomness must come from its Random argument"
            )
        origin = {
            "kind": "generated",
            "name": name,
            "config": "",
            "split": "",
            "revision": f"seed {self.seed}, {code_identity(self.function)}",
            "where": "",
        }
        records = Records(origin, None, lambda: self._read(name))
        return records if self.count is None else counted(records, self.count, name)

    def _read(self, name: str) -> Iterator[Record]:
        for record in self.function(Random(self.seed)):  # noqa: S311 — generated data, not a secret
            if not isinstance(record, Mapping):
                raise DataError(f"{name} must yield records, not {type(record).__name__}")
            yield record
