"""Pictures for the tests: drawn with Pillow, or put together byte by byte where Pillow cannot write them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

from PIL import Image, ImageDraw

from evalkit.media.image import Prepared


def encoded(image: Image.Image, kind: str, **how: Any) -> bytes:
    out = BytesIO()
    image.save(out, kind, **how)
    return out.getvalue()


def shown(picture: Prepared) -> Image.Image:
    """What a reader of the prepared bytes sees; and what `Prepared` says of them is true."""
    image = Image.open(BytesIO(picture.data), formats=("PNG", "JPEG"))
    image.load()
    assert (Image.MIME[image.format or ""], image.size) == (picture.mime, (picture.width, picture.height))
    assert image.mode in ("L", "RGB")
    assert picture.mime == "image/jpeg" or picture.data[24] == 8, "bits a sample"
    small = Image.open(BytesIO(picture.preview), formats=("JPEG",))
    assert max(small.size) <= 320
    assert small.mode == image.mode
    return image


def pixels(image: Image.Image) -> list[Any]:
    read = image.load()
    assert read is not None
    return [read[x, y] for y in range(image.height) for x in range(image.width)]


def arrow(mode: str = "RGB") -> Image.Image:
    """An arrow that points up, left of the middle; no turn and no mirroring leaves it as it is."""
    image = Image.new("RGB", (48, 64), (250, 250, 250))
    draw = ImageDraw.Draw(image)
    draw.polygon([(16, 2), (2, 20), (30, 20)], fill=(200, 0, 0))
    draw.rectangle([12, 20, 20, 60], fill=(0, 0, 200))
    draw.rectangle([40, 48, 47, 63], fill=(0, 160, 0))
    return image.convert(mode)


def exif(orientation: int) -> bytes:
    """EXIF with one tag."""
    return b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01" + struct.pack(">HHI", orientation, 0, 0)


def stored(image: Image.Image, orientation: int) -> Image.Image:
    """The pixels that a camera with this orientation stores for a picture that is upright."""
    turn = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,  # the 0th row is the visual right-hand side
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }.get(orientation)
    return image.copy() if turn is None else image.transpose(turn)


def chunk(name: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(size: tuple[int, int], depth: int, colour: int, rows: bytes, *chunks: bytes) -> bytes:
    """A PNG of unfiltered `rows` (each with its leading 0), `chunks` before its data."""
    header = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0)
    body = (chunk(b"IHDR", header), *chunks, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND"))
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


TIFF = {
    "width": 256,
    "height": 257,
    "bits": 258,
    "compression": 259,
    "photometric": 262,
    "orientation": 274,
    "samples": 277,
    "planes": 284,
    "sort": 339,
}


def tiff(
    size: tuple[int, int], strips: Sequence[bytes], order: str = "<", **tags: int | tuple[int, ...]
) -> bytes:
    """A TIFF of these strips, `tags` by their names in `TIFF`; its directory is at the end."""
    offsets = [8 + sum(map(len, strips[:i])) for i in range(len(strips))]
    whole: Mapping[int, int | tuple[int, ...]] = {
        **{TIFF[name]: value for name, value in {"width": size[0], "height": size[1], **tags}.items()},
        273: tuple(offsets),
        278: size[1],
        279: tuple(map(len, strips)),
    }
    data = b"".join(strips)
    start = 8 + len(data)
    outside = start + 2 + 12 * len(whole) + 4
    entries = late = b""
    for tag, value in sorted(whole.items()):
        values = value if isinstance(value, tuple) else (value,)
        packed = struct.pack(f"{order}{len(values)}I", *values)
        if len(packed) > 4:
            late, packed = late + packed, struct.pack(order + "I", outside + len(late))
        entries += struct.pack(order + "HHI", tag, 4, len(values)) + packed
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", start)
    directory = struct.pack(order + "H", len(whole)) + entries + struct.pack(order + "I", 0)
    return head + data + directory + late
