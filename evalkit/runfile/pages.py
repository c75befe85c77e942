"""Reads the rows of a damaged SQLite file, where SQLite itself stops at the first page that makes no sense.

It follows the tree of a table from its root and leaves out what it cannot read, so that one damaged page
costs the rows in it and below it. A row that it returns may be nonsense, so each must prove itself by its
checksum (`evalkit.runfile.seals`). Source: https://sqlite.org/fileformat2.html
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

MAGIC = b"SQLite format 3\x00"
HEADER = 100
"""Bytes of the header of a file."""
NUMBER = 60
"""The place of `PRAGMA user_version` in the header, a big-endian number of four bytes."""
_INNER_INDEX, _INNER_TABLE, _LEAF_INDEX, _LEAF_TABLE = 2, 5, 10, 13
_INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
"""Bytes of an integer by its serial type."""
_UNREADABLE = (IndexError, ValueError, struct.error, OverflowError)


@dataclass
class Pages:
    """The bytes of a database. Raises `ValueError` if its first 100 bytes, its header, cannot be used."""

    data: Any  # bytes, or a map of a file
    size: int = field(init=False)
    """Bytes of a page."""

    def __post_init__(self) -> None:
        if len(self.data) < 512 or self.data[: len(MAGIC)] != MAGIC:
            raise ValueError("no header of SQLite")
        size = self._number(16, 2)
        self.size = 65536 if size == 1 else size
        if self.size < 512 or self.size & (self.size - 1):
            raise ValueError(f"a page size of {self.size}")
        self._usable = self.size - self.data[20]

    def roots(self) -> dict[str, int]:
        """Returns the first page of each table."""
        found = {}
        for _, row in self.rows(1):
            if len(row) == 5 and row[0] == "table" and isinstance(row[1], str) and isinstance(row[3], int):
                found[row[1]] = row[3]
        return found

    def rows(self, root: int) -> Iterator[tuple[int | None, list[Any]]]:
        """Yields (rowid, or None in a table without; values) of each row below a page."""
        seen, open_pages = {0}, [root]
        while open_pages:
            page = open_pages.pop()
            if page in seen or page * self.size > len(self.data):
                continue
            seen.add(page)
            try:
                kind, cells, last = self._cells(page)
            except _UNREADABLE:
                continue
            children = []
            for place in cells:
                if kind in (_INNER_TABLE, _INNER_INDEX):
                    children.append(self._number(place, 4))
                if kind != _INNER_TABLE:
                    yield from self._row(page, place + 4 * (kind == _INNER_INDEX), kind)
            open_pages += reversed([*children, *last])

    def _cells(self, page: int) -> tuple[int, list[int], list[int]]:
        """Returns (kind of the page, places of its cells in the file, its last child if it has children)."""
        start = (page - 1) * self.size
        head = start + HEADER * (page == 1)
        kind, count = self.data[head], self._number(head + 3, 2)
        if kind not in (_INNER_INDEX, _INNER_TABLE, _LEAF_INDEX, _LEAF_TABLE):
            raise ValueError(f"a page of kind {kind}")
        inner = kind in (_INNER_INDEX, _INNER_TABLE)
        places = head + (12 if inner else 8)
        count = min(count, (start + self.size - places) // 2)
        offsets = [self._number(places + 2 * nth, 2) for nth in range(count)]
        cells = [start + offset for offset in offsets if 0 < offset < self.size - 4]
        return kind, cells, [self._number(head + 8, 4)] if inner else []

    def _row(self, page: int, place: int, kind: int) -> Iterator[tuple[int | None, list[Any]]]:
        try:
            length, place = self._varint(place)
            rowid = None
            if kind == _LEAF_TABLE:
                rowid, place = self._varint(place)
                rowid -= (rowid >> 63) << 64
            yield rowid, _values(self._payload(page, place, length, table=kind == _LEAF_TABLE))
        except _UNREADABLE:
            return

    def _payload(self, page: int, place: int, length: int, *, table: bool) -> bytes:
        usable = self._usable
        most = usable - 35 if table else (usable - 12) * 64 // 255 - 23
        if length <= most:
            return bytes(self.data[place : min(place + length, page * self.size)])
        if length > len(self.data):
            raise ValueError(f"a row of {length} bytes")
        least = (usable - 12) * 32 // 255 - 23
        here = least + (length - least) % (usable - 4)
        here = here if here <= most else least
        parts, left = [bytes(self.data[place : place + here])], length - here
        following = self._number(place + here, 4)
        while left > 0:
            start = (following - 1) * self.size
            if following < 1 or start + self.size > len(self.data):
                raise ValueError(f"no page {following}")
            parts.append(bytes(self.data[start + 4 : start + 4 + min(left, usable - 4)]))
            left -= usable - 4
            following = self._number(start, 4)
        return b"".join(parts)

    def _number(self, place: int, size: int) -> int:
        return int.from_bytes(self.data[place : place + size])

    def _varint(self, place: int) -> tuple[int, int]:
        return _varint(self.data, place)


def _varint(data: Any, place: int) -> tuple[int, int]:
    """Returns (the number at a place, the place after it)."""
    value = 0
    for nth in range(9):
        byte = data[place + nth]
        if nth == 8:
            return (value << 8) | byte, place + 9
        value = (value << 7) | (byte & 0x7F)
        if byte < 0x80:
            return value, place + nth + 1
    raise AssertionError("unreachable")


def _values(record: bytes) -> list[Any]:
    end, place = _varint(record, 0)
    kinds = []
    while place < end:
        kind, place = _varint(record, place)
        kinds.append(kind)
    values = []
    for kind in kinds:
        value, place = _value(record, kind, place)
        values.append(value)
    return values


def _value(record: bytes, kind: int, place: int) -> tuple[Any, int]:
    """Returns (the value of a serial type, the place after it)."""
    if kind == 0:
        return None, place
    if kind in (8, 9):
        return kind - 8, place
    if size := _INTEGERS.get(kind):
        return int.from_bytes(record[place : place + size], signed=True), place + size
    if kind == 7:
        return struct.unpack_from(">d", record, place)[0], place + 8
    if kind < 12:
        raise ValueError(f"a value of type {kind}")
    size = (kind - 12) // 2
    data = record[place : place + size]
    if len(data) < size:
        raise ValueError("a value that ends too early")
    return data.decode("utf-8", "surrogateescape") if kind % 2 else data, place + size
