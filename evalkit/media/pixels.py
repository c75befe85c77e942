"""What pictures and frames of videos share: the budget of pixels, the encoding, the small copy."""

from __future__ import annotations

from io import BytesIO
from math import isqrt
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from PIL import Image

PREVIEW = 320
"""The most pixels of the longer side of a small copy."""


def resized(image: Image.Image, max_pixels: int, resample: str) -> Image.Image:
    """The picture, scaled down if it has more than `max_pixels` pixels (0: no limit)."""
    from PIL.Image import Resampling

    size = _within(image.width, image.height, max_pixels)
    return image if size == image.size else image.resize(size, Resampling[resample.upper()])


def _within(width: int, height: int, most: int) -> tuple[int, int]:
    """The largest size of the same shape and at most `most` pixels; sides are rounded down, but not to 0."""
    if most <= 0 or width * height <= most:
        return width, height
    across = min(max(1, isqrt(most * width // height)), most)
    down = min(max(1, isqrt(most * height // width)), most)
    return across, down


def encoded(image: Image.Image, kind: Literal["PNG", "JPEG"], **how: int) -> bytes:
    """The bytes of a file with the picture, without metadata; `how`: Pillow's options of the format."""
    image.info = {}  # Pillow would write the profile and the comments that it keeps there
    out = BytesIO()
    image.save(out, kind, **how)
    return out.getvalue()


def as_jpeg(image: Image.Image) -> bytes:
    """The JPEG that is sent of a picture that was already lossy: quality 95, no chroma subsampling."""
    return encoded(image, "JPEG", quality=95, subsampling=0)


def preview(image: Image.Image) -> bytes:
    """A JPEG of at most 320 pixels a side."""
    from PIL.Image import Resampling

    longest = max(image.size)
    if longest > PREVIEW:
        size = (max(1, image.width * PREVIEW // longest), max(1, image.height * PREVIEW // longest))
        image = image.resize(size, Resampling.BILINEAR, reducing_gap=2.0)
    return encoded(image, "JPEG", quality=70)
