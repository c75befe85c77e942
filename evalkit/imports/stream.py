"""Reads large JSON files value by value, so that memory does not grow with the file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import orjson

from evalkit.errors import UsageError

MOST = 256 << 20
"""Maximum number of bytes of one sample in a file."""
_CHUNK = 1 << 18
_MARK = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{}"]', re.DOTALL)
"""A whole text, a bracket, or the quote with which a text begins that goes on after the buffer."""
_QUOTE, _OPEN = ord('"'), b"{["
_ATOM = re.compile(rb"[^\s,\]}]*+")
_SPACE = re.compile(rb"\s*+")


def parsed(text: bytes, where: str) -> Any:
    """Returns the value of a JSON text; NaN and infinities are numbers. Raises `UsageError`."""
    try:
        return orjson.loads(text)
    except ValueError:
        pass  # NaN, an integer of more than 64 bits, half a surrogate pair, or no JSON
    try:
        return json.loads(text)
    except UnicodeDecodeError:
        raise UsageError(f"{where} is not UTF-8: convert the file, or write it again") from None
    except RecursionError:
        raise UsageError(f"{where} is nested too deeply") from None
    except ValueError as error:
        raise UsageError(f"{where} is not valid JSON ({error}): the file may have been cut off") from None


def lines(path: Path) -> Iterator[tuple[str, Any]]:
    """Yields (place, value) of each line of a file of JSON lines. Raises `UsageError`."""
    with opened(path) as file:
        number = 0
        while line := file.readline(MOST + 1):
            number += 1
            where = f"{path}, line {number}"
            if len(line) > MOST:
                raise UsageError(f"{where} has more than {MOST >> 20} MiB, which is no sample's size")
            if line.strip():
                yield where, parsed(line.removeprefix(b"\xef\xbb\xbf"), where)


def opened(path: Path) -> IO[bytes]:
    """Opens a file for reading. Raises `UsageError`."""
    try:
        return path.open("rb")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None


def whole(path: Path, most: int = MOST) -> Any:
    """Returns the value of a JSON file of at most `most` bytes. Raises `UsageError`."""
    with opened(path) as file:
        text = file.read(most + 1)
    if len(text) > most:
        raise UsageError(f"{path} has more than {most >> 20} MiB, which is too much for a file of this kind")
    return parsed(text, str(path))


def members(path: Path, wanted: Callable[[str], bool] = lambda name: True) -> Iterator[tuple[str, str, Any]]:
    """Yields (name, place, value) of the entries of a JSON object, or of the items of a JSON list.

    An entry that is a list gives one value for each of its items. `wanted`: whether an entry of that name is
    parsed; the others are passed over. The name of a list's items is "". Raises `UsageError`.
    """
    with opened(path) as file:
        yield from _Scanner(file, str(path)).members(wanted)


class _Scanner:
    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file, self._name = file, name
        self._data, self._at = b"", 0
        self._line, self._counted = 1, 0
        self._ended = False

    @property
    def where(self) -> str:
        return f"{self._name}, line {self._line_at(self._at)}"

    def _line_at(self, place: int) -> int:
        self._line += self._data.count(b"\n", self._counted, place)
        self._counted = place
        return self._line

    def members(self, wanted: Callable[[str], bool]) -> Iterator[tuple[str, str, Any]]:
        if self._next() == b"[":
            for where, text in self._items():
                yield "", where, parsed(text, where)
            self._end()
            return
        self._take(b"{")
        while self._next() != b"}":
            where = self.where
            name = parsed(self._value(), where)
            if not isinstance(name, str):
                raise UsageError(f"{where} is not valid JSON (a name must be a text)")
            self._take(b":")
            asked = wanted(name)
            if self._next() == b"[":
                for where, text in self._items():
                    if asked:
                        yield name, where, parsed(text, where)
            else:
                where, text = self.where, self._value()
                if asked:
                    yield name, where, parsed(text, where)
            if self._next() != b"}":
                self._take(b",")
        self._take(b"}")
        self._end()

    def _items(self) -> Iterator[tuple[str, bytes]]:
        self._take(b"[")
        while self._next() != b"]":
            yield self.where, self._value()
            if self._next() != b"]":
                self._take(b",")
        self._take(b"]")

    def _end(self) -> None:
        if self._next():
            raise UsageError(f"{self.where}: something follows the end of the JSON document")

    def _next(self) -> bytes:
        """Returns the next byte that is no space; b"" at the end."""
        while True:
            match = _SPACE.match(self._data, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._data) or not self._more(self._at):
                return self._data[self._at : self._at + 1]

    def _take(self, mark: bytes) -> None:
        found = self._next()
        if found != mark:
            says = (
                f"{found.decode('latin-1')!r} is where {mark.decode()!r} must be" if found else "it ends here"
            )
            raise UsageError(f"{self.where} is not valid JSON ({says}): the file may have been cut off")
        self._at += 1

    def _value(self) -> bytes:
        """Returns the text of the next value, and goes past it."""
        first, start = self._next(), self._at
        if first not in (b"{", b"[", b'"'):
            return self._atom()
        depth, at = 0, start
        while True:
            for found in _MARK.finditer(self._data, at):
                at, mark = found.end(), self._data[found.start()]
                if mark == _QUOTE:
                    if at == found.start() + 1:
                        at -= 1
                        break
                else:
                    depth += 1 if mark in _OPEN else -1
                if depth == 0:
                    self._at = at
                    return self._data[start:at]
            size, at = len(self._data) - start, at - start
            if size > MOST:
                raise UsageError(f"{self.where}: a value has more than {MOST >> 20} MiB")
            if not self._more(start):
                raise UsageError(f"{self._name} ends within a value: the file was cut off")
            start = self._at
            at += start

    def _atom(self) -> bytes:
        end = self._at
        while end == self._at or (end == len(self._data) and self._more(self._at)):
            match = _ATOM.match(self._data, self._at)
            end = match.end() if match else self._at
            if end == self._at:
                break
        text = self._data[self._at : end]
        if not text:
            self._take(b"a value")
        self._at = end
        return text

    def _more(self, keep: int) -> bool:
        """Reads on, and drops what is before `keep`, which `_at` then is. Returns False at the end."""
        if self._ended:
            return False
        found = self._file.read(max(_CHUNK, len(self._data) - keep))
        self._ended = not found
        self._line_at(keep)
        self._data, self._at, self._counted = self._data[keep:] + found, 0, 0
        return not self._ended
