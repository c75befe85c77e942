"""Checks the length of an MP4 or Matroska file against its own headers, before it is decoded."""

from __future__ import annotations

import os
import struct
from typing import IO

from evalkit.errors import MediaError

_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067


def check_whole(file: IO[bytes], mime: str, what: str = "") -> None:
    """Raises `MediaError` if a file ends before the end that its own headers give.

    `what`: the name of its format in the message, if not `mime`.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    try:
        if mime in ("video/mp4", "video/quicktime"):
            end = _end_of_boxes(file, size)
        else:
            end = _end_of_segment(file, size)
    except (struct.error, IndexError):
        end = size + 1
    if end > size:
        raise MediaError(f"truncated {what or mime}: it has {size:,} bytes, and should go on")
    file.seek(0)


def _end_of_boxes(file: IO[bytes], size: int) -> int:
    """The offset where the last top-level box of an MP4 ends, by the lengths of the boxes."""
    at = 0
    while at < size:
        file.seek(at)
        (length,) = struct.unpack(">I", file.read(4))
        if length == 1:
            file.seek(at + 8)
            (length,) = struct.unpack(">Q", file.read(8))
        if length == 0:  # the box extends to the end of the file
            return size
        if length < 8:
            raise MediaError("damaged MP4: a box without a length")
        at += length
    return at


def _end_of_segment(file: IO[bytes], size: int) -> int:
    """The offset where the segment of a Matroska file ends; `size` if the file does not give its length."""
    if _identifier(file) != _EBML:
        return size + 1
    header = _length(file)
    if header is None:
        return size
    file.seek(header, os.SEEK_CUR)
    if _identifier(file) != _SEGMENT:
        return size + 1
    length = _length(file)
    return size if length is None else file.tell() + length


def _identifier(file: IO[bytes]) -> int:
    return int(struct.unpack(">I", file.read(4))[0])


def _length(file: IO[bytes]) -> int | None:
    """Reads an EBML length of one to eight bytes; None for the unknown length, all of whose bits are set."""
    first = file.read(1)[0]
    width = 9 - first.bit_length()
    if width > 8:
        raise MediaError("damaged Matroska: a length without a width")
    rest = file.read(width - 1)
    if len(rest) < width - 1:
        raise IndexError
    value = int.from_bytes(bytes([first & (0xFF >> width)]) + rest)
    return None if value == (1 << 7 * width) - 1 else value
