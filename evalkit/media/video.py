"""Prepares frames of a stored video for sending as pictures, in order.

It reads MP4 and QuickTime, Matroska and WebM, which it recognises by the first bytes, with any codec that
FFmpeg decodes (through PyAV). It does not read AVI, which has no times for its frames. A clip's frames are
those whose time is at or after its start and before its end, numbered from 0 in the order in which they are
shown. Of F frames, n are taken by one of two rules:

- `middle`: the frame in the middle of each of n equal parts of the clip, floor((i + 1/2) * F / n).
- `linspace`: first and last included, floor(i * (F - 1) / (n - 1)); `numpy.linspace(0, F - 1, n, dtype=int)`,
  as in Video-ChatGPT, Video-LLaVA and lmms-eval; if only one frame is taken, it is the first.

The rules count frames, not seconds: of a video with a variable frame rate, more are taken where there are
more. If a clip has fewer frames than are taken, some are repeated, so that a request always has the number
of frames of its protocol.

A frame is upright (by the file's rotation), RGB by FFmpeg's fixed formulas, of at most `max_pixels`, and a
JPEG of quality 95 without chroma subsampling. Pixels that are not square stay as they are.

Files may be broken or malicious: every failure is a `MediaError` of one line. The container is opened by its
format, from bytes, so that a playlist cannot lead to other files or addresses. A file that ends before the
end that its own headers give is truncated. A damaged frame is an error only if it is one of those taken.
evalkit calls this module in another process, with limits of time and memory (`evalkit.media.kinds`).
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
"""The most pixels of a frame, width x height; a larger video is refused before it is decoded."""
MOST_PACKETS = 5_000_000
"""The most packets of all streams together: a day of 30 frames per second with sound."""
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
    """A clip as it is sent. `width`, `height`: of a frame, in pixels. `seconds`: the clip's duration."""

    frames: tuple[bytes, ...] = field(repr=False)
    """The frames as JPEG files, in order."""
    mime: str
    """The type of the video file."""
    width: int
    height: int
    seconds: float
    preview: bytes = field(repr=False)
    """The frames side by side, as a JPEG of at most 320 pixels a side."""


def needs() -> None:
    """Raises `UsageError` if the library that decodes videos is not installed."""
    load("av", "video", "pip install 'evalkit[video]'")


def indices(count: int, frames: int, rule: str) -> tuple[int, ...]:
    """The indices of the `frames` frames that are taken of `count`, in order.

    Raises `UsageError` for an unknown `rule`.
    """
    if rule not in FRAME_RULES:
        raise UsageError(f"frame_rule={rule}: must be {' or '.join(FRAME_RULES)}")
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
    """`frames` frames of the video between `start` and `end` (seconds; None: the video's end), as pictures.

    Raises `MediaError` if they cannot be read, and `UsageError` if `needs` does or `rule` is unknown.
    """
    needs()
    with BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        head = file.read(64)
        mime = video_mime(head)
        if not mime:
            avi = "an AVI, " if head[8:12] == b"AVI " else ""
            raise MediaError(
                f"{avi}not an MP4, QuickTime, Matroska or WebM" if head else "no video: zero bytes"
            )
        try:
            check_whole(file, mime)
            return _prepared(file, mime, (start, end), frames, rule, max_pixels, resample)
        except (MediaError, UsageError):
            raise
        except Exception as error:  # noqa: BLE001 — decoders raise whatever broken bytes run them into
            message = "".join(c if c.isprintable() else " " for c in str(error)[:160]).strip()
            raise MediaError(f"damaged {mime}: {message or type(error).__name__}") from None


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
    """A frame as it is sent, and a small copy; many decoded frames would not fit into memory."""

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
        raise MediaError(f"video of {width} x {height} pixels: evalkit reads at most {MOST_PIXELS:,}")


def _times(
    container: InputContainer, stream: VideoStream, clip: tuple[float, float | None]
) -> tuple[list[int], list[int], float]:
    """(times of the clip's frames, times of all key frames, the end of the last frame in seconds).

    Times are in the stream's own unit. Nothing is decoded: the packets have the times of their frames.
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
        if packet.is_discard:  # outside the parts that the file's edit list shows
            continue
        if at > MOST_SECONDS:
            raise MediaError(f"video of {at / 3600:,.0f} hours: evalkit reads at most {MOST_SECONDS // 3600}")
        ends = max(ends, at + (packet.duration or 0) * unit)
        if start <= at < end:
            shown.append(packet.pts)
    return sorted(set(shown)), sorted(set(keys)), ends


def _decoded(
    container: InputContainer, stream: VideoStream, times: Sequence[int], keys: Sequence[int]
) -> Iterator[tuple[int, VideoFrame]]:
    """The frames at `times`, in order.

    Decoding continues from the frame before, or starts at the last key frame if that is later. If a seek
    leads beyond the wanted frame, as it may in some containers, decoding starts at the beginning.
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
    """The pictures side by side, `across` in each row, as a JPEG."""
    from PIL import Image

    width, height = pictures[0].size
    sheet = Image.new("RGB", (width * across, height * ceil(len(pictures) / across)), "white")
    for number, picture in enumerate(pictures):
        sheet.paste(picture, (number % across * width, number // across * height))
    return encoded(sheet, "JPEG", quality=70)


def prepare_apart(source: str, place: str, **how: Any) -> dict[str, JSON]:
    """`prepare` for another process: frames are written to `place`-0, `place`-1, …, the rest is JSON.

    `error` is the message of a `MediaError`.
    """
    try:
        prepared = prepare(Path(source), **how)
    except (MediaError, OSError) as error:
        return {"error": str(error)}
    paths: dict[bytes, JSON] = {}
    for number, frame in enumerate(prepared.frames):
        if frame not in paths:
            paths[frame] = f"{place}-{number}"
            Path(f"{place}-{number}").write_bytes(frame)
    return {
        "frames": [paths[frame] for frame in prepared.frames],
        "mime": prepared.mime,
        "width": prepared.width,
        "height": prepared.height,
        "seconds": prepared.seconds,
        "bytes": sum(map(len, prepared.frames)),
        "preview": b64encode(prepared.preview).decode(),
    }
