"""Decodes clips that libsndfile cannot read, with FFmpeg (PyAV): AAC, and other codecs in such containers.

The container is opened by its format, from bytes, so that a playlist cannot lead to other files or addresses,
and only if it is complete by its own headers. Of several audio streams, the file's default one is decoded, or
else the first.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from io import BytesIO
from typing import TYPE_CHECKING, cast

from evalkit.errors import MediaError, UsageError
from evalkit.media.audio_files import aac_part, check_amr, kind_of, ogg_codec, ogg_links
from evalkit.media.audio_raw import RAW
from evalkit.media.video_files import check_whole
from evalkit.needs import load
from evalkit.samples import video_mime

if TYPE_CHECKING:
    import numpy as np
    from av import AudioFrame, AudioStream
    from numpy.typing import NDArray

_FORMATS = {
    "M4A": "mov",
    "MP4 or QuickTime": "mov",
    "Matroska or WebM": "matroska",
    "AAC": "aac",
    "AMR": "amr",
    "WAV": "wav",
    "CAF": "caf",
    "Ogg": "ogg",
}
"""FFmpeg's name of a format by its name in `kind_of`."""


def is_coded(data: bytes) -> bool:
    """Whether FFmpeg decodes the clip. Raises `MediaError` for a format that evalkit does not read."""
    kind = kind_of(data)
    if kind == "Ogg":
        return any(ogg_codec(data, start) for start, _ in ogg_links(data))
    if kind in ("WAV", "CAF"):
        return RAW[kind](data).coded
    return kind in _FORMATS


def decoded(data: bytes, kind: str) -> tuple[int, Iterator[NDArray[np.float32]]]:
    """(samples per second, blocks of shape (samples, channels), from -1 to 1). Raises `MediaError`."""
    try:
        load("av", kind, "pip install 'evalkit[video]'")
    except UsageError as error:
        raise MediaError(str(error)) from None
    if kind == "AAC":
        data = data[slice(*aac_part(data))]
    elif kind == "AMR":
        check_amr(data)
    elif mime := video_mime(data[:64]):
        check_whole(BytesIO(data), mime, kind)
    if kind in ("WAV", "CAF"):
        kind = f"{kind} of {RAW[kind](data).codec}"
    frames = _frames(data, kind)
    first = next(frames, None)
    if first is None:
        raise MediaError(f"{kind} without samples")
    return first.sample_rate, _blocks(first, frames, kind)


def _frames(data: bytes, kind: str) -> Iterator[AudioFrame]:
    import av

    try:
        with av.open(BytesIO(data), "r", format=_FORMATS[kind.partition(" of ")[0]]) as container:
            if not container.streams.audio:
                raise MediaError(f"{kind} without sound")
            stream = cast("AudioStream", container.streams.best("audio") or container.streams.audio[0])
            for frame in container.decode(stream):
                if frame.is_corrupt:
                    raise MediaError(f"damaged {kind}: what is at {frame.time or 0:.2f} s cannot be decoded")
                yield frame
    except av.FFmpegError as error:
        raise MediaError(f"damaged {kind}: {error.strerror}") from None


def _blocks(first: AudioFrame, frames: Iterator[AudioFrame], kind: str) -> Iterator[NDArray[np.float32]]:
    rate = first.sample_rate
    for frame in itertools.chain([first], frames):
        if frame.sample_rate != rate:
            raise MediaError(f"{kind} of {rate:,} and then {frame.sample_rate:,} samples a second")
        yield _block(frame)


def _block(frame: AudioFrame) -> NDArray[np.float32]:
    import numpy as np

    stored = frame.to_ndarray()
    rows = stored.T if frame.format.is_planar else stored.reshape(-1, frame.layout.nb_channels)
    block: NDArray[np.float32] = rows.astype(np.float32)
    if stored.dtype.kind == "f":
        return block
    if stored.dtype.kind == "u":
        block -= 128
    block /= 2.0 ** (8 * stored.dtype.itemsize - 1)
    return block
