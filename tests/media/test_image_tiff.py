"""TIFF: the many meanings of its samples."""

from __future__ import annotations

import struct
import zlib

import pytest
from PIL import Image

from evalkit.errors import MediaError
from evalkit.media.image import prepare
from tests.media.making import arrow, encoded, pixels, shown, tiff

DEFLATE = 8
GREYS = (0, 255, 256, 0x8000, 0xFFFF)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [1, DEFLATE])
def test_16_bits_of_either_byte_order_are_scaled(order: str, compression: int) -> None:
    data = struct.pack(f"{order}5H", *GREYS)
    strip = zlib.compress(data) if compression == DEFLATE else data
    grey = tiff((5, 1), [strip], order, bits=16, compression=compression, photometric=1)
    assert pixels(shown(prepare(grey))) == [0, 0, 1, 128, 255]
    colour = struct.pack(f"{order}6H", 0, 255, 256, 0x8000, 0xFFFF, 0x1234)
    strip = zlib.compress(colour) if compression == DEFLATE else colour
    three = tiff((2, 1), [strip], order, bits=(16, 16, 16), compression=compression, photometric=2, samples=3)
    assert pixels(shown(prepare(three))) == [(0, 0, 1), (128, 255, 0x12)]


def test_12_bits() -> None:
    data = tiff((2, 1), [b"\x00\xff\xff"], bits=12, photometric=1)
    assert pixels(shown(prepare(data))) == [0, 255]


@pytest.mark.parametrize("bits", [1, 4, 8, 16])
def test_where_0_is_white(bits: int) -> None:
    row = {1: b"\x40", 4: b"\x0f", 8: b"\x00\xff", 16: b"\x00\x00\xff\xff"}[bits]
    assert pixels(shown(prepare(tiff((2, 1), [row], bits=bits, photometric=0)))) == [255, 0]


def test_lab() -> None:
    lab = bytes([255, 0, 0, 0, 0, 0, 136, 80, 67])
    white, black, red = pixels(shown(prepare(tiff((3, 1), [lab], bits=(8, 8, 8), photometric=8, samples=3))))
    for seen, right in ((white, (255, 255, 255)), (black, (0, 0, 0)), (red, (255, 0, 0))):
        assert max(abs(a - b) for a, b in zip(seen, right, strict=True)) <= 12


def test_ycbcr() -> None:
    data = tiff((1, 1), [bytes([76, 85, 255])], bits=(8, 8, 8), photometric=6, samples=3)
    red, green, blue = pixels(shown(prepare(data)))[0]
    assert red > 250
    assert max(green, blue) < 5


def test_planes_apart() -> None:
    strips = [b"\1\2", b"\3\4", b"\5\6"]
    data = tiff((2, 1), strips, bits=(8, 8, 8), photometric=2, samples=3, planes=2)
    assert pixels(shown(prepare(data))) == [(1, 3, 5), (2, 4, 6)]
    deep = [strip + strip for strip in strips]
    with pytest.raises(MediaError, match="planes"):
        prepare(tiff((2, 1), deep, bits=(16, 16, 16), photometric=2, samples=3, planes=2))
    with pytest.raises(MediaError, match="planes"):
        prepare(tiff((2, 1), [b"\x40"], bits=1, photometric=0, planes=2))


@pytest.mark.parametrize(
    ("bits", "sort", "row"),
    [(8, 2, b"\0"), (16, 2, b"\0\0"), (32, 1, b"\0" * 4), (32, 2, b"\0" * 4), (32, 3, b"\0" * 4)],
)
def test_samples_without_a_known_range_are_refused(bits: int, sort: int, row: bytes) -> None:
    with pytest.raises(MediaError, match="range is not known"):
        prepare(tiff((1, 1), [row], bits=bits, photometric=1, sort=sort))


def test_integers_and_floats_that_pillow_writes_are_refused() -> None:
    for mode in ("I", "F"):
        with pytest.raises(MediaError, match="range is not known"):
            prepare(encoded(Image.new(mode, (4, 4)), "TIFF"))


@pytest.mark.parametrize("how", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "lzma", None])
def test_every_compression(how: str | None) -> None:
    assert pixels(shown(prepare(encoded(arrow(), "TIFF", compression=how)))) == pixels(arrow())
    assert shown(prepare(encoded(arrow(), "TIFF", compression=how, big_tiff=True))).size == (48, 64)


def test_the_first_page() -> None:
    data = encoded(arrow(), "TIFF", save_all=True, append_images=[Image.new("RGB", (9, 9))])
    assert pixels(shown(prepare(data))) == pixels(arrow())


def test_tags_that_point_out_of_the_file() -> None:
    data = tiff((2, 1), [bytes(6)], bits=(8, 8, 8), photometric=2, samples=3)
    entry = data.index(struct.pack("<HHI", 258, 4, 3))
    absurd = data[: entry + 4] + struct.pack("<I", 0x4000_0000) + data[entry + 8 :]
    with pytest.raises(MediaError, match="behind the end"):
        prepare(absurd)
    far = data[:4] + struct.pack("<I", 0xFFFF_FFF0) + data[8:]
    with pytest.raises(MediaError, match="damaged TIFF"):
        prepare(far)


@pytest.mark.parametrize("side", [0, 0x7FFF_FFFF, 0xFFFF_FFFF])
def test_absurd_strips_and_tiles(side: int) -> None:
    whole = tiff((2, 2), [bytes(4)], bits=8, photometric=1)
    rows = whole.index(struct.pack("<HHI", 278, 4, 1))
    try:
        assert shown(prepare(whole[: rows + 8] + struct.pack("<I", side) + whole[rows + 12 :])).size == (2, 2)
    except MediaError as error:
        assert "damaged TIFF" in str(error)  # noqa: PT017 — either is right, nothing else is
