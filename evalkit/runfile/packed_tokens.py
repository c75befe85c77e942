"""Packs the tokens of a long prompt: 32,000 of them take about 250 kB, and 2 MB as JSON with alternatives.

A column with packed tokens is a JSON object with base64 of compressed data: `texts`, a JSON list of the
tokens' texts, and `float32` or `float64`, their log-probabilities as little-endian numbers. NaN stays NaN.
"""

from __future__ import annotations

import struct
import zlib
from base64 import b64decode, b64encode
from collections.abc import Sequence

import orjson

from evalkit.keys import redacted
from evalkit.models.base import TokenLogprob

FEWEST_PACKED = 64
"""Fewer tokens are stored as plain JSON, which anybody can read."""
_CODES = {"float32": "f", "float64": "d"}


def pack(tokens: Sequence[TokenLogprob]) -> str:
    """The column for tokens without alternatives. Nothing is rounded.

    Servers compute in 32 bits, and their numbers then fit into 32; if one does not, 64 are stored.
    """
    values = [token.logprob for token in tokens]
    texts = redacted(orjson.dumps([token.token for token in tokens]).decode()).encode()
    kind = "float32" if all(map(_fits, values)) else "float64"
    packed = struct.pack(f"<{len(values)}{_CODES[kind]}", *values)
    return orjson.dumps({"texts": _coded(texts), kind: _coded(packed)}).decode()


def is_packed(column: str) -> bool:
    return column.startswith("{")


def unpack(column: str) -> tuple[TokenLogprob, ...]:
    """The tokens that `pack` packed."""
    found = orjson.loads(column)
    texts = orjson.loads(_plain(found["texts"]))
    kind = next(kind for kind in _CODES if kind in found)
    values = struct.unpack(f"<{len(texts)}{_CODES[kind]}", _plain(found[kind]))
    return tuple(TokenLogprob(text, value, {}) for text, value in zip(texts, values, strict=True))


def _fits(value: float) -> bool:
    try:
        return bool(struct.unpack("<f", struct.pack("<f", value))[0] == value) or value != value
    except OverflowError:
        return False


def _coded(data: bytes) -> str:
    return b64encode(zlib.compress(data)).decode()


def _plain(text: str) -> bytes:
    return zlib.decompress(b64decode(text))
