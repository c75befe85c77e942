"""Videos made for tests: each frame one grey, known by its number."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from io import BytesIO
from typing import Any

import av
import numpy as np
from PIL import Image

STEP = 10
"""Levels of grey between a frame and the next."""


def video(
    count: int = 20,
    *,
    container: str = "mp4",
    codec: str = "h264",
    times: Sequence[float] | None = None,
    size: tuple[int, int] = (64, 48),
    gop: int = 5,
    b_frames: int = 0,
    sound: bool = False,
) -> bytes:
    """`count` frames, the i-th of grey i * STEP, at `times` in seconds, or ten a second."""
    out = BytesIO()
    with av.open(out, "w", format=container) as file:
        stream: Any = file.add_stream(codec, rate=10)
        stream.width, stream.height = size
        stream.bit_rate = 4_000_000
        stream.pix_fmt, stream.gop_size, stream.max_b_frames = "yuv420p", gop, b_frames
        stream.codec_context.time_base = Fraction(1, 1000)
        if sound:
            _mux_sound(file)
        for i in range(count):
            grey = np.full((size[1], size[0], 3), min(255, i * STEP), np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
            frame.pts = round((times[i] if times else i / 10) * 1000)
            frame.time_base = Fraction(1, 1000)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return out.getvalue()


def _mux_sound(file: Any) -> None:
    stream = file.add_stream("aac", rate=16000)
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
    frame.sample_rate, frame.pts = 16000, 0
    file.mux(stream.encode(frame))
    file.mux(stream.encode())


def sound_alone() -> bytes:
    out = BytesIO()
    with av.open(out, "w", format="mp4") as file:
        _mux_sound(file)
    return out.getvalue()


def number(picture: bytes) -> int:
    """Which frame a picture is of."""
    grey = np.asarray(Image.open(BytesIO(picture)).convert("L")).mean()
    return round(float(grey) / STEP)


def numbers(pictures: Sequence[bytes]) -> list[int]:
    return [number(picture) for picture in pictures]
