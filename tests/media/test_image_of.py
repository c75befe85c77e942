"""Pillow's images as pictures of a sample: what their modes hold and how they stand is kept."""

from __future__ import annotations

from io import BytesIO

import pytest
from PIL import Image as Pillow

from evalkit.errors import MediaError
from evalkit.media.image import prepare
from evalkit.samples import Image
from tests.media.making import arrow, encoded, exif, pixels, shown, stored


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV"])
def test_every_mode_of_colours_is_shown_as_pillow_shows_it(mode: str) -> None:
    picture = arrow().convert(mode)
    plain = picture.convert("RGB")
    sent = shown(prepare(Image.of(picture).data)).convert("RGB")
    off = max(
        abs(a - b)
        for ours, theirs in zip(pixels(sent), pixels(plain), strict=True)
        for a, b in zip(ours, theirs, strict=True)
    )
    assert off <= (0 if mode != "YCbCr" else 1)
    assert picture.mode == mode


@pytest.mark.parametrize("mode", ["La", "RGBa", "PA"])
def test_what_shows_through_is_white_in_modes_that_no_file_has(mode: str) -> None:
    sent = shown(prepare(Image.of(Pillow.new(mode, (4, 4))).data))
    assert set(pixels(sent.convert("L"))) == {255}


def test_sixteen_bits_are_kept_until_they_are_prepared() -> None:
    for mode in ("I;16", "I;16B"):
        deep = Pillow.new(mode, (4, 4), 0x1234)
        assert set(pixels(shown(prepare(Image.of(deep).data)))) == {0x12}


@pytest.mark.parametrize("mode", ["I", "F"])
def test_samples_without_a_range_fail_when_they_are_prepared(mode: str) -> None:
    picture = Image.of(Pillow.new(mode, (4, 4)))
    with pytest.raises(MediaError, match="their range is not known"):
        prepare(picture.data)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_opened_file_is_turned_as_the_file_is(kind: str, orientation: int) -> None:
    how = {"lossless": True} if kind == "WEBP" else {}
    tags = Pillow.Exif()
    tags[274] = orientation
    data = encoded(stored(arrow(), orientation), kind, exif=tags, **how)
    with Pillow.open(BytesIO(data)) as opened:
        sent = shown(prepare(Image.of(opened).data))
    assert pixels(sent) == pixels(arrow()) == pixels(shown(prepare(data)))


def test_the_image_itself_is_left_alone_and_gives_the_same_file_twice() -> None:
    data = encoded(arrow(), "JPEG", exif=exif(6))
    with Pillow.open(BytesIO(data)) as opened:
        first, second = Image.of(opened), Image.of(opened)
        assert first == second
        assert opened.getexif()[274] == 6
        assert opened.size == arrow().size
