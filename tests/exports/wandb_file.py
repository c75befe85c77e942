"""Reads what W&B wrote into the file of an offline run."""

from __future__ import annotations

import importlib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_BLOCK = 32768
_HEADER = struct.Struct("<IHB")
"""Of a part of a record: checksum, length, and whether it is a whole record (1), a first part (2) or the
last one (4), as in LevelDB's logs (github.com/google/leveldb, doc/log_format.md)."""


def records(path: Path) -> Iterator[Any]:
    """Yields W&B's records in order."""
    internal: Any = importlib.import_module("wandb.proto.wandb_internal_pb2")  # without following its types
    data, at, whole = path.read_bytes(), 7, b""
    assert data.startswith(b":W&B")
    while at + _HEADER.size <= len(data):
        if _BLOCK - at % _BLOCK < _HEADER.size:
            at += _BLOCK - at % _BLOCK
            continue
        _, length, kind = _HEADER.unpack_from(data, at)
        whole = (whole if kind in (3, 4) else b"") + data[at + _HEADER.size :][:length]
        at += _HEADER.size + length
        if kind in (1, 4):
            record = internal.Record()
            record.ParseFromString(whole)
            yield record
