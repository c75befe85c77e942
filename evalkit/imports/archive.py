"""Reads the members of archives, which may be compressed with Zstandard, with a limit on their size."""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path

from evalkit.errors import UsageError
from evalkit.imports.stream import MOST

ZSTANDARD = 93
"""The number of Zstandard in the ZIP specification (APPNOTE 4.4.5); zipfile knows it from Python 3.14 on."""
_LOCAL = struct.Struct("<4s5H3I2H")


class Archive:
    """An open ZIP archive. Nothing is written to the disk, and no member's stated size is trusted."""

    def __init__(self, path: Path) -> None:
        """Raises `UsageError` if it is no ZIP archive, or one that was cut off."""
        self._path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror}") from None
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise UsageError(
                f"{path} is not a whole ZIP archive ({error}): the evaluation may still be running, or the "
                "file was cut off"
            ) from None
        self.names = tuple(dict.fromkeys(self._zip.namelist()))

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def read(self, name: str) -> bytes:
        """Returns the last member of that name. Raises `UsageError` if it is broken or too large."""
        where = f"{self._path}: {name}"
        try:
            info = self._zip.getinfo(name)
            if info.compress_type == ZSTANDARD:
                found = self._zstandard(info)
            else:
                with self._zip.open(info) as member:
                    found = member.read(MOST + 1)
        except KeyError:
            raise UsageError(f"{where} is missing: the file is not a log of Inspect") from None
        except (OSError, EOFError, ValueError, RuntimeError, struct.error, zlib.error) as error:
            raise UsageError(f"{where} cannot be read ({error}): the file is damaged") from None
        except zipfile.BadZipFile as error:
            raise UsageError(f"{where} cannot be read ({error}): the file is damaged") from None
        if len(found) > MOST:
            raise UsageError(f"{where} has more than {MOST >> 20} MiB, which is no sample's size")
        return found

    def _zstandard(self, info: zipfile.ZipInfo) -> bytes:
        import pyarrow as pa

        if info.flag_bits & 1:
            raise ValueError("it is encrypted")
        if info.compress_size > MOST:
            return bytes(MOST + 1)
        with self._path.open("rb") as file:
            file.seek(info.header_offset)
            mark, *_, name, extra = _LOCAL.unpack(file.read(_LOCAL.size))
            if mark != b"PK\x03\x04":
                raise ValueError("it has no header")
            file.seek(name + extra, 1)
            packed = file.read(info.compress_size)
        parts, size = list[bytes](), 0
        with pa.CompressedInputStream(pa.BufferReader(packed), "zstd") as stream:
            while size <= MOST and (part := stream.read(1 << 20)):
                parts.append(part)
                size += len(part)
        found = b"".join(parts)
        if size <= MOST and zlib.crc32(found) != info.CRC:
            raise ValueError("its checksum is wrong")
        return found
