"""The file formats of pictures: which format a file has, and checks that are made before Pillow reads it."""

from __future__ import annotations

import struct

from evalkit.errors import MediaError
from evalkit.media.unread import looks_like

_TIFF_SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
"""The bytes of a value by the number of its type."""

JPEG_2000 = "JPEG 2000"
_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"BM", "BMP"),
    (b"\0\0\0\x0cjP  ", JPEG_2000),
    (b"\xff\x4f\xff\x51", JPEG_2000),
)
_OTHERS = (
    (b"%PDF", "PDF"),
    (b"8BPS", "Photoshop"),
    (b"\0\0\1\0", "an icon"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
)
_AVIF = {b"avif", b"avis"}
_HEIC = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}


def kind_of(data: bytes) -> str:
    """The format that the first bytes show. Raises `MediaError` if evalkit does not read it."""
    for start, kind in _SIGNATURES:
        if data.startswith(start):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if not data:
        raise MediaError("no picture: zero bytes")
    brands = _brands(data)
    if brands & _AVIF and b"meta" in data[: 256 + 4 * len(brands)]:
        return "AVIF"
    if _is_heic(brands):
        return "HEIC"
    looks = "AVIF" if brands & _AVIF else looks_like(data, _OTHERS)
    raise MediaError(f"no PNG, JPEG, WebP, GIF, AVIF, HEIC, TIFF, BMP or JPEG 2000: it looks like {looks}")


def _brands(data: bytes) -> set[bytes]:
    """The brands of a file of boxes, the major one and all compatible ones (ISO/IEC 14496-12)."""
    if data[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(data[:4], "big"), 256)
    return {data[8:12], *(data[at : at + 4] for at in range(16, end, 4))}


def goes_apart(data: bytes) -> bool:
    """Whether the picture is decoded in another process."""
    return data.startswith(tuple(start for start, kind in _SIGNATURES if kind == JPEG_2000)) or bool(
        _is_heic(_brands(data))
    )


def _is_heic(brands: set[bytes]) -> bool:
    return bool(brands & _HEIC) and not brands & _AVIF


def check_directory(data: bytes) -> None:
    """Raises `MediaError` unless a TIFF's first directory, and all values it points to, are inside the file.

    Pillow continues without missing tags, and would then misread the samples.
    """
    order, big = ("<" if data[:1] == b"I" else ">"), 43 in data[2:4]
    (start,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
    (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, start)
    entry = struct.Struct(order + ("HHQ8s" if big else "HHI4s"))
    start += 8 if big else 2
    for at in range(start, start + count * entry.size, entry.size):
        _, sort, values, inline = entry.unpack_from(data, at)
        size = values * _TIFF_SIZES.get(sort, 0)
        if size > len(inline):
            (outside,) = struct.unpack(order + ("Q" if big else "I"), inline)
            if outside + size > len(data):
                raise MediaError("damaged TIFF: a tag points behind the end of the file")
