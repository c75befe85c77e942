"""Records that a function makes from the records of other data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from evalkit.data.base import Data, DataOptions, Record, Records, at_hand, counted, name_of
from evalkit.data.parts import Parts, parts_of, stated_of, with_part
from evalkit.errors import DataError
from evalkit.identity.declared import code_identity


@dataclass(frozen=True, slots=True)
class Mapped:
    """The records that `function`, a generator, makes from all records of `data`, in order.

    For example, it may add to each question the earlier ones of its passage, or leave records out. It is
    called again for each iteration, and reads only as far as its records are used. If the data has parts,
    each part is mapped separately.

    `count`: how many records it makes. None: unknown. "same": as many as it gets. A number: this many from
    the task's own data. Reading the records checks the count.
    """

    data: Data
    function: Callable[[Iterable[Record]], Iterable[Record]]
    count: int | Literal["same"] | None = None

    @property
    def at_hand(self) -> bool:
        return at_hand(self.data)

    def split(self) -> Mapping[str, Data]:
        """Returns the mapped parts of the data; empty if it has no parts."""
        count = self.count if self.count == "same" else None
        return {
            key: Mapped(_WithPart(part, key), self.function, count)
            for key, part in parts_of(self.data).items()
        }

    def stated(self) -> Mapping[str, int]:
        """Returns how many records each part of `split` has, for parts whose size is given."""
        return stated_of(self.data) if self.count == "same" else {}

    def open(self, options: DataOptions | None = None) -> Records:
        """Returns the records. Raises `DataError` if `data` does; reading raises it for a wrong type."""
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
                raise DataError(f"{self._name} must yield records from {records.origin['name']}, not {kind}")
            yield record
        expected = given if records.count is None else records.count
        if same and made != expected:
            raise DataError(
                f"{self._name} makes {made} records from the {expected} of {records.origin['name']}, "
                'but count="same" needs as many'
            )


@dataclass(frozen=True, slots=True)
class _WithPart:
    """The records of a part with the name of the part, which the function may need."""

    data: Data
    name: str

    @property
    def at_hand(self) -> bool:
        return at_hand(self.data)

    def open(self, options: DataOptions | None = None) -> Records:
        return with_part(self.data.open(options or DataOptions()), self.name)
