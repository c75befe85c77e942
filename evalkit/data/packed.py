"""Unpacks text files by the end of their names: gzip, bzip2, xz and Zstandard."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Mapping
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, cast


def _zstd(file: IO[bytes]) -> IO[bytes]:
    import pyarrow  # which `datasets` needs; Python has a module of its own from 3.14 on

    stream: Any = pyarrow.CompressedInputStream(pyarrow.PythonFile(file, mode="r"), "zstd")
    return BufferedReader(stream)


_UNPACKERS: Mapping[str, Callable[[IO[bytes]], Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": _zstd,
}
PACKED = tuple(_UNPACKERS)
DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError)
"""What reading a damaged file raises."""


def unpacked(path: Path, file: IO[bytes]) -> IO[bytes]:
    """Returns the open file, unpacked while it is read if its name says that it is packed."""
    unpacker = _UNPACKERS.get(path.suffix.lower())
    return cast("IO[bytes]", unpacker(file)) if unpacker else file


def ending(path: Path) -> str:
    """Returns the extension in lower case, of a packed file the one before that of its packing."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if len(suffixes) > 1 and suffixes[-1] in PACKED:
        return suffixes[-2]
    return "".join(suffixes[-1:])
