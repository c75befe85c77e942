"""A page to draw on, and the formats of pictures. The same calls with the same Pillow give the same bytes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from io import BytesIO
from typing import Any

from PIL import Image, ImageDraw, ImageFont

Point = tuple[float, float]
Colour = str
INK = "#20242a"
GREY = "#8a9099"
BLUE, RED, GREEN, AMBER, VIOLET, TEAL = "#2f6fb5", "#c8402f", "#3f8f4f", "#e8a72c", "#7a52a8", "#2a9d96"
COLOURS = (BLUE, RED, GREEN, AMBER, VIOLET, TEAL)
_TIMES = 2
"""The factor by which everything is drawn larger; it is scaled down at the end, which smooths edges."""


@cache
def _font(size: int) -> Any:
    """The font that comes with Pillow."""
    return ImageFont.load_default(size)


class Page:
    """A canvas whose units are the finished picture's pixels."""

    def __init__(self, width: int, height: int, background: Colour = "white") -> None:
        self.width, self.height = width, height
        self._image = Image.new("RGB", (width * _TIMES, height * _TIMES), background)
        self._draw = ImageDraw.Draw(self._image)

    def done(self) -> Image.Image:
        return self._image.resize((self.width, self.height), Image.Resampling.BOX)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: int = 16,
        fill: Colour = INK,
        anchor: str = "la",
        bold: bool = False,
    ) -> None:
        self._draw.text(
            (x * _TIMES, y * _TIMES),
            text,
            fill=fill,
            font=_font(size * _TIMES),
            anchor=anchor,
            stroke_width=1 if bold else 0,
            stroke_fill=fill,
        )

    def lines(self, x: float, y: float, text: Sequence[str], size: int = 14, gap: float = 1.5) -> None:
        for number, line in enumerate(text):
            self.text(x, y + number * size * gap, line, size)

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        fill: Colour | None = None,
        outline: Colour | None = None,
        line: int = 1,
        radius: float = 0,
    ) -> None:
        corners = [x * _TIMES, y * _TIMES, (x + width) * _TIMES - 1, (y + height) * _TIMES - 1]
        self._draw.rounded_rectangle(corners, radius * _TIMES, fill, outline, line * _TIMES if outline else 0)

    def disc(
        self, x: float, y: float, radius: float, fill: Colour | None = None, outline: Colour | None = None
    ) -> None:
        self.oval(x, y, radius, radius, fill, outline)

    def oval(
        self,
        x: float,
        y: float,
        across: float,
        down: float,
        fill: Colour | None = None,
        outline: Colour | None = None,
    ) -> None:
        corners = [(x - across) * _TIMES, (y - down) * _TIMES, (x + across) * _TIMES, (y + down) * _TIMES]
        self._draw.ellipse(corners, fill, outline, 2 * _TIMES if outline else 0)

    def slice(self, x: float, y: float, radius: float, start: float, end: float, fill: Colour) -> None:
        """Draws a slice. `start`, `end`: degrees, clockwise from twelve o'clock."""
        corners = [(x - radius) * _TIMES, (y - radius) * _TIMES, (x + radius) * _TIMES, (y + radius) * _TIMES]
        self._draw.pieslice(corners, start - 90, end - 90, fill, "white", _TIMES)

    def arc(self, x: float, y: float, radius: float, start: float, end: float, fill: Colour = INK) -> None:
        """Draws an arc. `start`, `end`: degrees, clockwise from three o'clock."""
        corners = [(x - radius) * _TIMES, (y - radius) * _TIMES, (x + radius) * _TIMES, (y + radius) * _TIMES]
        self._draw.arc(corners, start, end, fill, 2 * _TIMES)

    def line(self, points: Sequence[Point], fill: Colour = INK, width: float = 1) -> None:
        scaled = [(x * _TIMES, y * _TIMES) for x, y in points]
        self._draw.line(scaled, fill, round(width * _TIMES), joint="curve")

    def shape(
        self, points: Sequence[Point], fill: Colour | None = None, outline: Colour | None = None
    ) -> None:
        scaled = [(x * _TIMES, y * _TIMES) for x, y in points]
        self._draw.polygon(scaled, fill, outline, 2 * _TIMES if outline else 1)

    def arrow(self, start: Point, end: Point, fill: Colour = INK, width: float = 2) -> None:
        turn = math.atan2(end[1] - start[1], end[0] - start[0])
        head = 5 + 2 * width
        neck = (end[0] - 0.8 * head * math.cos(turn), end[1] - 0.8 * head * math.sin(turn))
        self.line([start, neck], fill, width)
        sides = [
            (end[0] - head * math.cos(turn + s), end[1] - head * math.sin(turn + s)) for s in (-0.45, 0.45)
        ]
        self.shape([end, *sides], fill)

    def label(self, x: float, y: float, letter: str) -> None:
        """Draws a letter on a white patch, like the labels of diagrams in questions."""
        self.box(x - 12, y - 12, 24, 24, "white", INK)
        self.text(x, y, letter, 16, anchor="mm", bold=True)

    def table(
        self,
        x: float,
        y: float,
        rows: Sequence[Sequence[str]],
        widths: Sequence[int],
        height: int = 26,
        size: int = 14,
        head: Colour = "#dde4ec",
    ) -> None:
        """Draws a table. The first row is the head; the first column is aligned left, the others right."""
        self.box(x, y, sum(widths), height, head)
        for number, row in enumerate(rows):
            middle = y + (number + 0.5) * height
            edge = x
            for column, (cell, width) in enumerate(zip(row, widths, strict=True)):
                place, anchor = (edge + width - 8, "rm") if column else (edge + 8, "lm")
                self.text(place, middle, cell, size, anchor=anchor, bold=number == 0)
                edge += width
            self.line([(x, y + number * height), (x + sum(widths), y + number * height)], GREY)
        bottom = y + len(rows) * height
        self.line([(x, bottom), (x + sum(widths), bottom)], GREY)


def png(image: Image.Image) -> bytes:
    return _saved(image, "PNG", optimize=True)


def palette_png(image: Image.Image) -> bytes:
    return png(image.quantize(32, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE))


def clear_png(image: Image.Image, colour: Colour = "white") -> bytes:
    """A PNG with an alpha channel in which pixels of exactly `colour` are transparent."""
    clear = image.convert("RGBA")
    ground = Image.new("RGB", (1, 1), colour).getpixel((0, 0))
    opaque = bytes(0 if pixel == ground else 255 for pixel in image.get_flattened_data())
    clear.putalpha(Image.frombytes("L", image.size, opaque))
    return png(clear)


def jpeg(image: Image.Image, quality: int = 85) -> bytes:
    return _saved(image, "JPEG", quality=quality, optimize=True)


def turned_jpeg(image: Image.Image) -> bytes:
    """A JPEG that is stored on its side, with the EXIF orientation that turns it upright, as by cameras."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return _saved(image.transpose(Image.Transpose.ROTATE_90), "JPEG", quality=85, exif=exif)


def webp(image: Image.Image) -> bytes:
    return _saved(image, "WEBP", quality=85)


def gif(image: Image.Image) -> bytes:
    return _saved(image.quantize(64, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE), "GIF")


def _saved(image: Image.Image, kind: str, **settings: Any) -> bytes:
    file = BytesIO()
    image.save(file, format=kind, **settings)
    return file.getvalue()
