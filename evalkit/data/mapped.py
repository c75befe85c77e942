"""Records made of the records of other data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from evalkit.data.base import Data, DataOptions, Record, Records, at_hand, counted, name_of
from evalkit.data.parts import Parts, parts_of, stated_of, told
from evalkit.errors import DataError
from evalkit.identity.declared import code_identity


@dataclass(frozen=True, slots=True)
class Mapped:
    """What `function` makes of the records of `data`: a generator over all of them, in order.

    Such as one that gives each question the earlier ones of its passage, or leaves records out. It is called
    anew for each reading, and reads on only as far as records are taken from it. Of data in parts each part
    is mapped on its own.

    `count`: how many records it makes. None: not known. "same": as many as it is given. A number: of the
    task's own data. What is stated is held against what is read.
    """

    data: Data
    function: Callable[[Iterable[Record]], Iterable[Record]]
    count: int | Literal["same"] | None = None

    @property
    def at_hand(self) -> bool:
        return at_hand(self.data)

    def split(self) -> Mapping[str, Data]:
        """The parts of the data, each mapped; empty where they have none."""
        count = self.count if self.count == "same" else None
        return {
            key: Mapped(_Told(part, key), self.function, count) for key, part in parts_of(self.data).items()
        }

    def stated(self) -> Mapping[str, int]:
        """How many records each of `split` has, where that is stated."""
        return stated_of(self.data) if self.count == "same" else {}

    def open(self, options: DataOptions | None = None) -> Records:
        """The records. Raises `DataError` here where `data` do, and in reading for what is no record."""
        options = options or DataOptions()
        parts = self.split()
        if parts:
            records = Parts(parts, self.stated()).open(options)
        else:
            records = self._mapped(self.data.open(options))
        if isinstance(self.count, int) and not options.elsewhere:
            records = counted(records, self.count, f"{records.origin['name']}, mapped by {self._name},")
        return records

    @property
    def _name(self) -> str:
        return name_of(self.function)

    def _mapped(self, records: Records) -> Records:
        by = f"{self._name} {code_identity(self.function)}"
        before = records.origin.get("mapped")
        origin = {**records.origin, "mapped": f"{before}, then {by}" if before else by}
        same = self.count == "same"
        return Records(origin, records.count if same else None, lambda: self._read(records, same))

    def _read(self, records: Records, same: bool) -> Iterator[Record]:
        given = made = 0

        def source() -> Iterator[Record]:
            nonlocal given
            for record in records:
                given += 1
                yield record

        for record in self.function(source()):
            made += 1
            if not isinstance(record, Mapping):
                kind = type(record).__name__
                raise DataError(f"{self._name} makes a {kind} of {records.origin['name']}, not a record")
            yield record
        expected = given if records.count is None else records.count
        if same and made != expected:
            raise DataError(
                f"{self._name} makes {made} records of the {expected} of {records.origin['name']}, "
                'and count="same" states as many'
            )


@dataclass(frozen=True, slots=True)
class _Told:
    """The records of a part, which say which: the function may want to know."""

    data: Data
    name: str

    @property
    def at_hand(self) -> bool:
        return at_hand(self.data)

    def open(self, options: DataOptions | None = None) -> Records:
        return told(self.data.open(options or DataOptions()), self.name)
