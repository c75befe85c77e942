"""What is sent of a picture: its bytes where nothing is to be done, otherwise the right pixels."""

from __future__ import annotations

import subprocess
import sys
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

import pytest
from PIL import Image, ImageCms

from evalkit.errors import MediaError, UsageError
from evalkit.media.image import prepare, rgb
from evalkit.media.image_files import goes_apart
from evalkit.needs import installed
from evalkit.samples import RESAMPLES
from tests.gaps import longest_gap
from tests.media.making import arrow, chunk, encoded, exif, pixels, png, shown, stored


def test_importing_it_does_not_import_pillow() -> None:
    code = "import sys, evalkit.media.image; sys.exit('PIL' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_what_needs_nothing_is_sent_byte_for_byte(kind: str, mode: str) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for how in ({}, {"optimize": True}, {"icc_profile": profile}, {"exif": exif(1)}, {"exif": exif(9)}):
        data = encoded(arrow(mode), kind, **how)
        for budget in (0, 48 * 64, 10**9):
            assert prepare(data, budget).data == data
    assert shown(prepare(data)).mode == mode


def test_bytes_after_the_end_and_other_ways_to_store_the_same_are_left_alone() -> None:
    for data in (
        encoded(arrow(), "JPEG", progressive=True),
        encoded(arrow(), "JPEG", quality=20, subsampling=2) + b"\0" * 99,
        encoded(arrow(), "PNG") + b"trailing",
    ):
        assert prepare(data).data == data


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_upright_once(kind: str, orientation: int) -> None:
    how: dict[str, object] = {"lossless": True} if kind == "WEBP" else {}
    if kind == "JPEG":
        how = {"quality": 100, "subsampling": 0}
    if kind == "TIFF":
        tags = Image.Exif()
        tags[274] = orientation
        data = encoded(stored(arrow(), orientation), kind, exif=tags)
    else:
        data = encoded(stored(arrow(), orientation), kind, exif=exif(orientation), **how)
    picture = prepare(data)
    image = shown(picture)
    if kind == "JPEG":
        assert (picture.data == data) == (orientation == 1)
        far = max(
            abs(a - b)
            for one, two in zip(pixels(image), pixels(arrow()), strict=True)
            for a, b in zip(one, two, strict=True)
        )
        assert far < 30
    else:
        assert pixels(image) == pixels(arrow())
    assert prepare(picture.data).data == picture.data, "turned a second time"
    small = Image.open(BytesIO(picture.preview))
    assert small.size == (48, 64)
    assert small.getpixel((43, 57)) != small.getpixel((43, 6)), "the preview is upright as well"


@pytest.mark.parametrize(
    "junk", [b"", b"MM", b"II*\0\xff\xff\xff\xff", b"\0" * 40, b"MM\0*\0\0\0\x08\xff\xff" + b"\1" * 30]
)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_damaged_exif_is_as_none(kind: str, junk: bytes) -> None:
    data = encoded(arrow(), kind, exif=b"Exif\0\0" + junk, **({"lossless": True} if kind == "WEBP" else {}))
    assert shown(prepare(data)).size == (48, 64)
    if kind != "WEBP":
        assert prepare(data).data == data


def test_transparency_becomes_white() -> None:
    clear = Image.new("RGBA", (4, 1))
    for x, colour in enumerate([(0, 0, 0, 255), (0, 0, 0, 0), (0, 0, 0, 128), (200, 100, 0, 51)]):
        clear.putpixel((x, 0), colour)
    right = [(0, 0, 0), (255, 255, 255), (127, 127, 127), (244, 224, 204)]
    assert pixels(shown(prepare(encoded(clear, "PNG")))) == right
    assert pixels(shown(prepare(encoded(clear, "TIFF")))) == right
    assert pixels(shown(prepare(encoded(clear, "WEBP", lossless=True, exact=True)))) == right
    assert pixels(shown(prepare(encoded(clear.convert("LA"), "PNG"))))[:3] == [0, 255, 127]
    opaque = Image.new("RGBA", (3, 3), (1, 2, 3, 255))
    assert set(pixels(shown(prepare(encoded(opaque, "PNG"))))) == {(1, 2, 3)}


@pytest.mark.parametrize("kind", ["PNG", "GIF", "TIFF"])
def test_palettes(kind: str) -> None:
    image = arrow().quantize(4)
    assert pixels(shown(prepare(encoded(image, kind)))) == pixels(image.convert("RGB"))


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_palettes_with_a_transparent_colour(kind: str) -> None:
    image = arrow().quantize(4)
    ground = image.getpixel((0, 0))
    right = [
        (255, 255, 255) if index == ground else colour
        for index, colour in zip(pixels(image), pixels(image.convert("RGB")), strict=True)
    ]
    assert pixels(shown(prepare(encoded(image, kind, transparency=ground)))) == right


def test_a_palette_with_an_alpha_for_each_colour() -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([0, 0, 0, 0, 0, 0, 0, 0, 255])
    for x in range(3):
        image.putpixel((x, 0), x)
    data = encoded(image, "PNG", transparency=bytes([0, 128, 255]))
    assert pixels(shown(prepare(data))) == [(255,) * 3, (127,) * 3, (0, 0, 255)]


@pytest.mark.parametrize(
    ("depth", "row", "key", "right"),
    [
        (1, b"\0\x40", 0, [255, 255]),
        (2, b"\0\x1b", 1, [0, 255, 170, 255]),
        (4, b"\0\x0f\x70", 7, [0, 255, 255, 0]),
        (8, b"\0\x00\x07\x80", 7, [0, 255, 128]),
        (16, b"\0\x00\x07\x00\x08\x80\x00", 7, [255, 0, 128]),
    ],
)
def test_grey_of_every_depth_with_a_transparent_level(
    depth: int, row: bytes, key: int, right: list[int]
) -> None:
    trns = chunk(b"tRNS", key.to_bytes(2, "big"))
    data = png((len(right), 1), depth, 0, row, trns)
    assert pixels(shown(prepare(data))) == right


def test_a_transparent_colour_in_8_and_16_bits() -> None:
    trns = chunk(b"tRNS", bytes([0, 9, 0, 8, 0, 7]))
    assert pixels(shown(prepare(png((2, 1), 8, 2, b"\0\x09\x08\x07\x09\x08\x06", trns)))) == [
        (255,) * 3,
        (9, 8, 6),
    ]
    deep = chunk(b"tRNS", b"\x11\x22\x33\x44\x55\x66")
    row = b"\0\x11\x22\x33\x44\x55\x66\x12\x22\x33\x44\x55\x66"
    assert pixels(shown(prepare(png((2, 1), 16, 2, row, deep)))) == [(255,) * 3, (0x12, 0x33, 0x55)]


def test_16_bits_are_scaled_not_clipped() -> None:
    row = b"\0" + b"".join(value.to_bytes(2, "big") for value in (0, 255, 256, 0x8000, 0xFFFF))
    assert pixels(shown(prepare(png((5, 1), 16, 0, row)))) == [0, 0, 1, 128, 255]
    assert pixels(shown(prepare(png((1, 1), 16, 2, b"\0\x80\xff\xff\xff\x00\xff")))) == [(128, 255, 0)]
    assert pixels(shown(prepare(png((1, 1), 16, 4, b"\0\x40\x00\xff\xff")))) == [(64, 64, 64)]


def test_one_bit() -> None:
    image = arrow("1")
    for kind in ("PNG", "TIFF", "GIF"):
        assert pixels(shown(prepare(encoded(image, kind)))) == pixels(image.convert("L"))


def test_cmyk_as_photoshop_stores_it() -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # red
    for kind, far in (("JPEG", 3), ("TIFF", 0)):
        picture = prepare(encoded(image, kind))
        assert picture.mime == ("image/jpeg" if kind == "JPEG" else "image/png")
        red, green, blue = pixels(shown(picture))[0]
        assert red >= 255 - far
        assert max(green, blue) <= far


def test_the_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("red", "lime", "blue")]
    for kind in ("GIF", "WEBP", "PNG"):
        how = {"lossless": True} if kind == "WEBP" else {}
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **how)
        picture = prepare(data)
        assert picture.mime == "image/png"
        assert picture.data != data
        assert set(pixels(shown(picture))) == {(255, 0, 0)}
        assert getattr(Image.open(BytesIO(picture.data)), "n_frames", 1) == 1
    data = encoded(frames[0], "MPO", save_all=True, append_images=frames[1:], quality=100)
    picture = prepare(data)
    assert picture.mime == "image/jpeg"
    assert b"MPF\0" not in picture.data
    assert pixels(shown(picture))[0][0] > 250


def test_a_first_frame_smaller_than_the_canvas_lies_on_white() -> None:
    data = bytearray(encoded(Image.new("RGB", (2, 2), "red").quantize(2), "GIF"))
    data[6:10] = b"\x04\0\x03\0"  # the canvas
    frame = data.index(b",\0\0\0\0\2\0\2\0")
    data[frame + 1] = 1
    image = shown(prepare(bytes(data)))
    assert image.size == (4, 3)
    red = {(x, y) for x in range(4) for y in range(3) if image.getpixel((x, y)) == (255, 0, 0)}
    assert red == {(1, 0), (2, 0), (1, 1), (2, 1)}
    assert image.getpixel((3, 2)) == (255, 255, 255)


def test_metadata_and_profiles_are_not_written_again() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for kind in ("PNG", "JPEG", "WEBP", "TIFF"):
        data = encoded(arrow(), kind, icc_profile=profile, exif=exif(6), comment="private")
        picture = prepare(data, 1000)
        assert profile in data or kind == "PNG"
        info = Image.open(BytesIO(picture.data)).info
        assert not {"icc_profile", "exif", "comment", "xmp"} & info.keys()
        assert b"private" not in picture.data + picture.preview


@pytest.mark.parametrize("resample", RESAMPLES)
def test_scaling_down_is_pillows_own(resample: str) -> None:
    picture = prepare(encoded(arrow(), "PNG"), 800, resample)
    right = arrow().resize((24, 32), Image.Resampling[resample.upper()])
    assert pixels(shown(picture)) == pixels(right)


def test_an_unknown_resample_is_named() -> None:
    with pytest.raises(UsageError, match="unknown resample 'lancsoz': did you mean lanczos"):
        prepare(encoded(arrow(), "PNG"), 800, "lancsoz")


@pytest.mark.parametrize(
    "size", [(1, 200_000), (200_000, 1), (3, 7), (640, 480), (1000, 999), (1, 1), (2, 50_000)]
)
@pytest.mark.parametrize("most", [1, 2, 5, 1000, 65_536, 307_199, 307_200])
def test_the_budget_holds_and_the_shape_is_kept(size: tuple[int, int], most: int) -> None:
    picture = prepare(encoded(Image.new("L", size, 9), "PNG"), most)
    width, height = picture.width, picture.height
    assert shown(picture).size == (width, height)
    assert min(width, height) >= 1
    assert width * height <= most
    if size[0] * size[1] <= most:
        assert (width, height) == size
        return
    scale = (most / (size[0] * size[1])) ** 0.5
    for side, before in zip((width, height), size, strict=True):
        assert side <= before
        assert side > before * scale - 1 or side == most, "smaller than it need be"


def test_the_sides_of_a_preview() -> None:
    for size, right in {
        (640, 480): (320, 240),
        (1, 4000): (1, 320),
        (320, 320): (320, 320),
        (9, 5): (9, 5),
    }.items():
        assert Image.open(BytesIO(prepare(encoded(Image.new("L", size), "PNG")).preview)).size == right


def test_a_jpeg_stays_a_jpeg_without_subsampling() -> None:
    data = encoded(arrow(), "JPEG", subsampling=2)
    image = Image.open(BytesIO(prepare(data, 1000).data), formats=("JPEG",))
    assert [part[1:3] for part in getattr(image, "layer", ())] == [(1, 1)] * 3


def test_the_same_bytes_make_the_same_bytes_in_any_thread() -> None:
    stock = [
        encoded(arrow(mode), kind)
        for mode, kind in (("RGBA", "PNG"), ("RGB", "WEBP"), ("P", "GIF"), ("CMYK", "JPEG"))
    ]
    alone = [prepare(data, 1500) for data in stock]
    with ThreadPoolExecutor(8) as threads:
        for _ in range(10):
            assert list(threads.map(lambda data: prepare(data, 1500), stock * 8)) == alone * 8


@pytest.mark.slow
def test_other_threads_go_on_meanwhile() -> None:
    image = Image.effect_noise((1200, 1200), 60).convert("RGBA")
    data = encoded(image, "PNG", compress_level=1)
    assert any(longest_gap(lambda: prepare(data)) < 0.5 for _ in range(20))


def test_avif_is_shown_as_pillow_shows_it() -> None:
    data = encoded(arrow(), "AVIF", quality=100, subsampling="4:4:4")
    sent = prepare(data)
    assert sent.mime == "image/png"
    with Image.open(BytesIO(data)) as opened:
        assert pixels(shown(sent)) == pixels(opened.convert("RGB"))
    with pytest.raises(MediaError, match="damaged AVIF"):
        prepare(data[: len(data) // 2])


HEIC = b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAchtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAA"
    "ADRpbG9jAAAAAERAAAIAAQAAAAAB7AABAAAAAAAAAOMAAgAAAAACzwABAAAAAAAAACQAAAA4aWluZgAAAAAAAgAAABVpbmZlAgAA"
    "AAABAABodmMxAAAAABVpbmZlAgAAAQACAABFeGlmAAAAAA5waXRtAAAAAAABAAABB2lwcnAAAADmaXBjbwAAAHZodmNDAQNwAAAA"
    "kAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQAqQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbq"
    "5Ka5uAhoMCAAAAMDIAAAAwAhYgABAAZEAcFzwIkAAAATY29scm5jbHgAAQANAAaAAAAAFGlzcGUAAAAAAAAAQAAAAEAAAAAoY2xh"
    "cAAAAEAAAAABAAAAMAAAAAEAAAAAAAAAAv////AAAAACAAAAEHBpeGkAAAAAAwgICAAAAAlpcm90AwAAABlpcG1hAAAAAAAAAAEA"
    "AQaBAgMFhIYAAAAaaXJlZgAAAAAAAAAOY2RzYwACAAEAAQAAAQ9tZGF0AAAA3ygBrwT4QTICb/7Lv/kene9l8zZltxtLTsccfdr3"
    "X/0ZeF8PSOW08SgERiQoQoUYDyUMIAi7V6IUSbgafIsyLE/8+kq4r6+iSUtTs7faBbDxjrhbXGOA2u4jTAkslhtOvx94hkb3bgP/"
    "jAKBIiHWFvwR9hxY/87ow+pa6+hMvpOF9nXUAKz0j+rxhIs0QvDc/OWEFyzMhUACL6GknuQ1aowyLZWnZ+AwVkfmSi94VD6I2gLk"
    "LgS4Ap+txXTT7/VCl5mhDFKzFBA8ao/76oX3ZVS7t5fGu1E8c2Zmf+QwReAAAAAGRXhpZgAATU0AKgAAAAgAAQESAAMAAAABAAYA"
    "AAAAAAA="
)
"""Four colours, stored lying down: what is upright has 48 x 64 pixels, red at the top left."""


@pytest.mark.skipif(not installed("pi-heif"), reason="there is no pi-heif: pip install 'evalkit[heic]'")
def test_heic_is_shown_upright(monkeypatch: pytest.MonkeyPatch) -> None:
    assert goes_apart(HEIC)
    image = shown(prepare(HEIC))
    assert image.size == (48, 64)
    corners = [image.getpixel(place) for place in ((5, 5), (42, 5), (5, 58), (42, 58))]
    assert corners == [(200, 30, 30), (100, 14, 75), (20, 41, 220), (10, 20, 171)]
    assert shown(prepare(HEIC, max_pixels=300)).size == (15, 20)
    for end in (len(HEIC) - 1, len(HEIC) // 2, 40):
        with pytest.raises(MediaError, match="truncated HEIC"):
            prepare(HEIC[:end])
    with pytest.raises(MediaError, match="damaged HEIC"):
        prepare(HEIC[:300] + bytes(192) + HEIC[492:])
    monkeypatch.setattr("evalkit.media.image.MOST_PIXELS", 1000)
    with pytest.raises(MediaError, match=r"HEIC of \d+ x \d+ pixels: evalkit reads at most 1,000"):
        prepare(HEIC)


def test_heic_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    with pytest.raises(MediaError, match=r"HEIC needs .*pip install 'evalkit\[heic\]' \(or convert"):
        prepare(HEIC)


@pytest.mark.parametrize(("kind", "how"), [("BMP", {}), ("JPEG2000", {}), ("JPEG2000", {"no_jp2": True})])
def test_further_kinds_are_shown_as_pillow_shows_them(kind: str, how: dict[str, Any]) -> None:
    for mode in ("RGB", "L"):
        data = encoded(arrow().convert(mode), kind, **how)
        assert pixels(shown(prepare(data))) == pixels(arrow().convert(mode))
        assert goes_apart(data) is (kind == "JPEG2000")
        for end in (len(data) - 1, len(data) // 2, 40):
            with pytest.raises(MediaError):
                prepare(data[:end])


def test_avif_by_a_brand_that_is_not_its_first() -> None:
    data = encoded(arrow(), "AVIF", quality=100, subsampling="4:4:4")
    other = data[:8] + b"mif1" + data[12:]
    assert prepare(other) == prepare(data)
    assert not goes_apart(other)


def test_a_model_in_this_process_gets_the_pixels_that_are_sent() -> None:
    turned = encoded(arrow(), "PNG", exif=exif(6))
    for data in (encoded(arrow("L"), "PNG"), encoded(arrow("RGBA"), "PNG"), turned, encoded(arrow(), "JPEG")):
        found, sent = rgb(data), shown(prepare(data)).convert("RGB")
        assert (found.mode, found.size, found.tobytes()) == ("RGB", sent.size, sent.tobytes())
    with pytest.raises(MediaError, match="truncated PNG"):
        rgb(turned[:-20])
