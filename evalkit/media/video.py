"""Frames of a stored video, made ready to be sent as pictures, in order.

What is read is MP4 and QuickTime, Matroska and WebM, told by the first bytes, with whatever codec FFmpeg
knows (PyAV decodes); not AVI, which does not say when its frames are shown. A clip's frames are those whose
time is at or after its start and before its end, counted from 0 in the order in which they are shown. Of F
frames, n are taken by one of two rules:

- `middle`: of n equal stretches of the clip's frames the one in the middle, floor((i + 1/2) * F / n).
- `linspace`: first and last included, floor(i * (F - 1) / (n - 1)); `numpy.linspace(0, F - 1, n, dtype=int)`,
  which Video-ChatGPT, Video-LLaVA and lmms-eval take; of a single frame the first.

Frames are counted, not seconds: of a variable frame rate as many are taken where there are more. A clip of
fewer frames than are wanted shows some of them twice, so that a request always has as many as its protocol.

A frame is upright (by the file's rotation), RGB by FFmpeg's fixed formulas, of at most `max_pixels`, and a
JPEG of quality 95 without chroma subsampling. Pixels that are not square are left as they are.

Files are hostile and may be broken: every failure is a `MediaError` of one line. The container is opened by
its kind, from bytes, so that a playlist cannot lead to other files or addresses. A file that ends before its
own headers say so is truncated; a frame that is wanted and damaged is an error, others are not looked at.
evalkit calls this in a process of its own, under limits of time and memory (`evalkit.media.kinds`).
"""

from __future__ import annotations

from base64 import b64encode
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from math import ceil, sqrt
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from evalkit.errors import MediaError, UsageError
from evalkit.media.pixels import PREVIEW, as_jpeg, encoded, resized
from evalkit.media.video_files import check_whole
from evalkit.needs import load
from evalkit.samples import FRAME_RULES, video_mime

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream
    from PIL import Image

    from evalkit.samples import JSON

MOST_PIXELS = 8192 * 4352
"""Width x height above which a video is refused before it is decoded."""
MOST_PACKETS = 5_000_000
"""Of all streams: a day of 30 frames a second with sound."""
MOST_SECONDS = 24 * 3600
_FORMATS = {
    "video/mp4": "mov",
    "video/quicktime": "mov",
    "video/webm": "matroska",
    "video/x-matroska": "matroska",
}
_TURNS = {90: "ROTATE_90", -90: "ROTATE_270", 270: "ROTATE_270", 180: "ROTATE_180", -180: "ROTATE_180"}


@dataclass(frozen=True, slots=True)
class PreparedVideo:
    """A clip as it is sent. `width`, `height`: of a frame. `seconds`: how long the clip is."""

    frames: tuple[bytes, ...] = field(repr=False)
    """JPEG, in order."""
    mime: str
    """Of the file that they are from."""
    width: int
    height: int
    seconds: float
    preview: bytes = field(repr=False)
    """The frames side by side, as a JPEG of at most 320 pixels a side."""


def needs() -> None:
    """Raises `UsageError` unless the library that decodes is installed."""
    load("av", "video", "pip install 'evalkit[video]'")


def indices(count: int, frames: int, rule: str) -> tuple[int, ...]:
    """Which of `count` frames are taken for `frames` of them, in order."""
    if rule not in FRAME_RULES:
        raise UsageError(f"frame_rule={rule}: known are {', '.join(FRAME_RULES)}")
    if rule == "middle":
        return tuple((2 * i + 1) * count // (2 * frames) for i in range(frames))
    return tuple(i * (count - 1) // max(1, frames - 1) for i in range(frames))


def prepare(
    source: bytes | Path,
    frames: int,
    rule: str = "middle",
    *,
    start: float = 0.0,
    end: float | None = None,
    max_pixels: int = 0,
    resample: str = "lanczos",
) -> PreparedVideo:
    """`frames` frames of the video between `start` and `end` (seconds; None: its own), as pictures.

    Raises `MediaError` where they cannot be had, `UsageError` where `needs` does.
    """
    needs()
    with BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        head = file.read(64)
        mime = video_mime(head)
        if not mime:
            avi = "an AVI, " if head[8:12] == b"AVI " else ""
            raise MediaError(f"{avi}no MP4, QuickTime, Matroska or WebM" if head else "no video: zero bytes")
        try:
            check_whole(file, mime)
            return _prepared(file, mime, (start, end), frames, rule, max_pixels, resample)
        except (MediaError, UsageError):
            raise
        except Exception as error:  # noqa: BLE001 — decoders raise whatever broken bytes run them into
            said = "".join(c if c.isprintable() else " " for c in str(error)[:160]).strip()
            raise MediaError(f"damaged {mime}: {said or type(error).__name__}") from None


def _prepared(
    file: IO[bytes],
    mime: str,
    clip: tuple[float, float | None],
    frames: int,
    rule: str,
    max_pixels: int,
    resample: str,
) -> PreparedVideo:
    import av

    with av.open(file, "r", format=_FORMATS[mime]) as container:
        if not container.streams.video:
            raise MediaError(f"{mime} without a video stream")
        stream = container.streams.video[0]
        context = stream.codec_context
        context.options = {"max_pixels": str(MOST_PIXELS)}
        _check_size(context.width, context.height)
        shown, keys, ends = _times(container, stream, clip)
        if not shown:
            until = "its end" if clip[1] is None else f"{clip[1]:g} s"
            raise MediaError(f"no frame from {clip[0]:g} s to {until}: the video ends at {ends:.2f} s")
        times = [shown[i] for i in indices(len(shown), frames, rule)]
        across = ceil(sqrt(frames))
        made = {
            time: _made(_picture(frame, max_pixels, resample), PREVIEW // across)
            for time, frame in _decoded(container, stream, sorted(set(times)), keys)
        }
        lasts = ends if clip[1] is None else min(ends, clip[1])
        return PreparedVideo(
            tuple(made[time].data for time in times),
            mime,
            *made[times[0]].size,
            lasts - max(clip[0], float(shown[0] * (stream.time_base or 0))),
            _sheet([made[time].small for time in times], across),
        )


@dataclass(frozen=True, slots=True)
class _Made:
    """A frame as it is sent, and a small copy: pictures of many frames would not go into the memory."""

    data: bytes
    size: tuple[int, int]
    small: Image.Image


def _made(picture: Image.Image, side: int) -> _Made:
    from PIL.Image import Resampling

    longest = max(picture.size)
    size = (max(1, side * picture.width // longest), max(1, side * picture.height // longest))
    small = picture.resize(size, Resampling.BILINEAR, reducing_gap=2.0)
    return _Made(as_jpeg(picture), picture.size, small)


def _check_size(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise MediaError(f"video of {width} x {height} pixels: at most {MOST_PIXELS:,} are read")


def _times(
    container: InputContainer, stream: VideoStream, clip: tuple[float, float | None]
) -> tuple[list[int], list[int], float]:
    """(times of the clip's frames, times of all that can be decoded from, the end of the last in seconds).

    Times are in the stream's own unit. Nothing is decoded: the packets say when their frames are shown.
    """
    unit = float(stream.time_base or 0)
    start, end = clip[0], float("inf") if clip[1] is None else clip[1]
    shown, keys, ends = list[int](), list[int](), 0.0
    for number, packet in enumerate(container.demux()):
        if number >= MOST_PACKETS:
            raise MediaError(f"video of more than {MOST_PACKETS:,} packets")
        if packet.stream_index != stream.index or packet.pts is None or packet.size == 0:
            continue
        at = packet.pts * unit
        if packet.is_keyframe:
            keys.append(packet.pts)
        if packet.is_discard:  # outside of what the file's edit list shows
            continue
        if at > MOST_SECONDS:
            raise MediaError(f"video of {at / 3600:,.0f} hours: at most {MOST_SECONDS // 3600} are read")
        ends = max(ends, at + (packet.duration or 0) * unit)
        if start <= at < end:
            shown.append(packet.pts)
    return sorted(set(shown)), sorted(set(keys)), ends


def _decoded(
    container: InputContainer, stream: VideoStream, times: Sequence[int], keys: Sequence[int]
) -> Iterator[tuple[int, VideoFrame]]:
    """The frames of those times, in order: by going on, or from the last key frame before where that is less.

    A container may lead to a place behind the one that was asked for: then from the start.
    """
    at, frames = None, iter(())  # type: int | None, Iterator[VideoFrame]
    for time in times:
        key = keys[bisect_right(keys, time) - 1] if keys and keys[0] <= time else None
        found = None
        if at is None or (key is not None and key > at):
            frames = _from(container, stream, key)
        for attempt in ("as it stands", "from the start"):
            if attempt == "from the start":
                frames = _from(container, stream, None)
            found = next((frame for frame in frames if frame.pts is not None and frame.pts >= time), None)
            if found is not None and found.pts == time and not found.is_corrupt:
                break
        if found is None or found.pts != time or found.is_corrupt:
            raise MediaError(f"the frame at {time * float(stream.time_base or 0):.2f} s cannot be decoded")
        at = time
        yield time, found


def _from(container: InputContainer, stream: VideoStream, time: int | None) -> Iterator[VideoFrame]:
    if time is None:
        container.seek(0)
    else:
        container.seek(time, stream=stream)
    return container.decode(stream)


def _picture(frame: VideoFrame, max_pixels: int, resample: str) -> Image.Image:
    from PIL.Image import Transpose

    image = frame.to_image()  # type: ignore[no-untyped-call]
    turn = _TURNS.get(round(frame.rotation))
    upright = image.transpose(Transpose[turn]) if turn else image
    return resized(upright, max_pixels, resample)


def _sheet(pictures: Sequence[Image.Image], across: int) -> bytes:
    """The pictures side by side, so many in a row."""
    from PIL import Image

    width, height = pictures[0].size
    sheet = Image.new("RGB", (width * across, height * ceil(len(pictures) / across)), "white")
    for number, picture in enumerate(pictures):
        sheet.paste(picture, (number % across * width, number // across * height))
    return encoded(sheet, "JPEG", quality=70)


def prepare_apart(source: str, place: str, **how: Any) -> dict[str, JSON]:
    """`prepare` for a process of its own: frames are written to `place`-0, `place`-1, …, the rest is JSON.

    `error` is what a `MediaError` says.
    """
    try:
        made = prepare(Path(source), **how)
    except (MediaError, OSError) as error:
        return {"error": str(error)}
    known: dict[bytes, JSON] = {}
    for number, frame in enumerate(made.frames):
        if frame not in known:
            known[frame] = f"{place}-{number}"
            Path(f"{place}-{number}").write_bytes(frame)
    return {
        "frames": [known[frame] for frame in made.frames],
        "mime": made.mime,
        "width": made.width,
        "height": made.height,
        "seconds": made.seconds,
        "bytes": sum(map(len, made.frames)),
        "preview": b64encode(made.preview).decode(),
    }
