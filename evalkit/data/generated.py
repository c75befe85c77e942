"""Records that a function makes, the same whenever it is called."""

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
    """What `function(Random(seed))` yields, such as texts of a stated length with a fact hidden in them.

    All chance has to come from the generator that it is given: then seed and code, which stand in the run
    file, make the same records anywhere. Python keeps `random()` the same between its versions, and other
    methods nearly always; the questions' digest tells. `count` is held against what is read; None: unknown.
    """

    seed: int
    function: Callable[[Random], Iterable[Record]]
    count: int | None = None
    at_hand: ClassVar[bool] = True

    def open(self, options: DataOptions | None = None) -> Records:
        """The records. Raises `DataError` for a function that does not make the same ones twice."""
        (options or DataOptions()).without_revision("what is generated")
        name = name_of(self.function)
        if next(self._read(name), None) != next(self._read(name), None):
            raise DataError(
                f"{name} makes another record each time: all chance has to come from the Random it is given"
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
        for record in self.function(Random(self.seed)):  # noqa: S311 — made data, no secret
            if not isinstance(record, Mapping):
                raise DataError(f"{name} makes a {type(record).__name__}, not a record")
            yield record
