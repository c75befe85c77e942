"""A stored clip, made ready to be sent: decoded whole, one channel of 16 bits at 16 kHz, as WAV.

What is read, told by the first bytes: WAV, RF64, BW64, RIFX, Wave64, AIFF, AU, CAF and NIST SPHERE (PCM of 8
to 32 bits, floats, A-law, mu-law), FLAC, Ogg (Vorbis, Opus, FLAC; also several streams, one after the other)
and MP3; and by FFmpeg M4A and MP4, WebM and Matroska, ADTS AAC, AMR, Speex, and WAV and CAF of coded samples
(`audio_coded`). A WAV that is nothing but samples of the wanted form behind the shortest header is sent as it
is stored. What is made of the others, in this order:

- Channels. Their mean. `PreparedAudio.cancels` tells where they cancel out, as does one the other upside
  down.
- Rate. Resampled by soxr ("HQ"): of what both rates can hold the lower 91 % stays as it is, and what 16 kHz
  cannot hold is removed.
- Depth. Scaled by 32,768 and rounded, no dither; 16 bits stay what they are. The level is never changed. What
  is over full scale (floats, or a lossy codec's overshoot) is clipped, as players do; more than `MOST_PEAK`
  times full scale is an error: such floats were never meant as -1 to 1.

Silence is a clip like any other; a clip without samples cannot be heard and is an error.

Files are hostile and may be broken: every failure is a `MediaError` of one line. A file that ends early is
told in each format: stored samples or a FLAC are fewer than announced, an Ogg has no last page, an MP3 has
fewer frames than it counts or a cut last one, as AAC and AMR have, and an MP4 or WebM ends within a box. A
recorder that was interrupted left no count: then the samples go on to the end. What cannot be told is a cut
FLAC without a count, and an MP3 without one that is cut between two frames. FLAC and Ogg have checksums, and
they are held to them. WAV and MP3 have none, so damage inside their samples is heard, not told; of a damaged
MP3 libmpg123 may write lines of its own to standard error.

Memory, besides `data`: 64 kB a second of sound, and what is in work. Safe in threads: decoding, resampling
and encoding let go of the interpreter's lock. The same bytes make the same bytes on the same machine. A
minute of sound takes 0.12 s for its preview, and up to 0.25 s besides (Opus; WAV and FLAC less than 0.1 s).
"""

from __future__ import annotations

import struct
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from evalkit.errors import MediaError
from evalkit.media.audio_coded import decoded
from evalkit.media.audio_files import after_id3, kind_of, mp3_part, ogg_codec, ogg_links, unnumbered
from evalkit.media.audio_raw import RAW
from evalkit.needs import load

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from evalkit.samples import JSON

RATE = 16_000
MOST_SECONDS = 4 * 3600
MOST_SAMPLES = 2_000_000_000
"""Of all channels together: above either a clip is refused, by its header or else where it is reached."""

MOST_PEAK = 100
CANCELS = 0.01
"""Power of the mean of the channels over the mean of their powers: two that are unlike have 0.5."""
MOST_CHANNELS = 32
RATES = range(4_000, 768_001)
PREVIEW_SECONDS = 120

_BLOCK = 1 << 18
"""Samples decoded at a time."""

_UNKNOWN = 1 << 62
"""Samples from here on are what libsndfile says of a FLAC without a count."""


@dataclass(frozen=True, slots=True)
class PreparedAudio:
    """A clip as it is sent."""

    data: bytes = field(repr=False)
    """WAV: a header of 44 bytes, then signed 16-bit samples of one channel, 16,000 a second."""
    mime: Literal["audio/wav"]
    seconds: float
    preview: bytes = field(repr=False)
    """The same as Ogg Vorbis of about 3 kB a second, its first two minutes, for a report's player."""
    cancels: bool = False
    """Whether its channels cancel out, so that next to nothing is heard."""


@dataclass(slots=True)
class _Power:
    """Of all channels on average, and of their mean, summed over the samples."""

    channels: float = 0.0
    mean: float = 0.0

    @property
    def cancels(self) -> bool:
        return self.channels > 0 and self.mean <= CANCELS * self.channels


def needs() -> None:
    """Raises `UsageError` unless the libraries that decode are installed."""
    for module in ("soundfile", "soxr"):
        load(module, "sound", "pip install 'evalkit[speech]'")


def prepare(data: bytes) -> PreparedAudio:
    """The stored clip `data`, ready to be sent.

    Raises `MediaError` where no whole clip can be had from `data`, `UsageError` where `needs` does.
    """
    needs()
    kind = kind_of(data)
    try:
        return _prepared(data, kind)
    except MediaError:
        raise
    except Exception as error:  # noqa: BLE001 — decoders raise whatever broken bytes run them into
        raise MediaError(f"damaged {kind}: {_one_line(error)}") from None


def _prepared(data: bytes, kind: str) -> PreparedAudio:
    import numpy as np

    size = len(data) - 44
    power = _Power()
    if size > 0 and size % 2 == 0 and size <= MOST_SECONDS * RATE * 2 and data[:44] == _header(size):
        samples, sent = np.frombuffer(data, "<i2", offset=44), data
    else:
        pcm = bytearray()
        for rate, blocks in _streams(data, kind):
            for block in _at_16_khz(_mean(blocks, kind, rate, power), rate):
                pcm += _sixteen_bits(block).tobytes()
                _check_length(kind, len(pcm) // 2, 1, RATE)
        if not pcm:
            raise MediaError(f"{kind} without samples")
        samples, sent = np.frombuffer(bytes(pcm), "<i2"), _header(len(pcm)) + pcm
    seconds, first = len(samples) / RATE, samples[: PREVIEW_SECONDS * RATE]
    return PreparedAudio(sent, "audio/wav", seconds, _preview(first), power.cancels)


def _header(size: int) -> bytes:
    """Of a WAV with `size` bytes of samples, and of nothing else."""
    form = struct.pack("<IHHIIHH", 16, 1, 1, RATE, RATE * 2, 2, 16)
    return b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt " + form + b"data" + struct.pack("<I", size)


def _sixteen_bits(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    import numpy as np

    scaled: NDArray[np.float32] = np.rint(samples * np.float32(32768))
    return scaled.clip(-32768, 32767).astype("<i2")


def prepare_apart(source: str, place: str) -> dict[str, JSON]:
    """`prepare` for a process of its own: what is sent is written to `place`, the rest is JSON.

    `error` is what a `MediaError` says.
    """
    try:
        made = prepare(Path(source).read_bytes())
    except (MediaError, OSError) as error:
        return {"error": str(error)}
    Path(place).write_bytes(made.data)
    return {
        "mime": made.mime,
        "seconds": made.seconds,
        "bytes": len(made.data),
        "preview": b64encode(made.preview).decode(),
        "cancels": made.cancels,
    }


def _one_line(error: Exception) -> str:
    said = getattr(error, "error_string", "") or str(error)  # soundfile puts an address before the reason
    said = "".join(c if c.isprintable() else " " for c in said[:160]).strip()
    return said if said and not isinstance(error, AssertionError | LookupError) else type(error).__name__


class _Window:
    """A part of a file for libsndfile, whose seeks may lead anywhere: nothing is raised into C."""

    def __init__(self, data: bytes, start: int = 0, end: int | None = None) -> None:
        self.data = memoryview(data)[start:end]
        self.at = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        self.at = max(0, offset + (0, self.at, len(self.data))[whence])
        return self.at

    def tell(self) -> int:
        return self.at

    def readinto(self, buffer: Any) -> int:
        part = self.data[self.at : self.at + len(buffer)]
        buffer[: len(part)] = part
        self.at += len(part)
        return len(part)


_Blocks: TypeAlias = "Iterator[NDArray[np.float32]]"
"""Samples in a row for each time, one of each channel; or of one channel, without rows."""


def _streams(data: bytes, kind: str) -> Iterator[tuple[int, _Blocks]]:
    """(samples a second, blocks) of each stream of the clip, one after the other."""
    if kind == "Ogg":
        for start, end in ogg_links(data):
            if ogg_codec(data, start):
                yield decoded(data[start:end], kind)
            else:
                yield _read(_Window(data, start, end), kind)
    elif kind in RAW and not (raw := RAW[kind](data)).coded:
        _check_shape(kind, raw.channels, raw.rate)
        samples = _Window(data, raw.start, raw.end)  # libsndfile never sees the header
        yield _read(samples, kind, raw.rate, raw.channels, raw.codec, raw.order, "RAW")
    elif kind == "FLAC":
        yield _read(_Window(data, after_id3(data)), kind)
    elif kind == "MP3":
        yield _read(_Window(data, *mp3_part(data)), kind)
    else:
        yield decoded(data, kind)


def _read(window: _Window, kind: str, *form: object) -> tuple[int, _Blocks]:
    """What libsndfile reads, of a length and a shape that are read."""
    from soundfile import SoundFile

    opened = SoundFile(window, "r", *form)
    _check_shape(kind, opened.channels, opened.samplerate)
    if opened.frames < _UNKNOWN:
        _check_length(kind, opened.frames, opened.channels, opened.samplerate)
    return opened.samplerate, _blocks(opened, kind)


def _blocks(opened: Any, kind: str) -> _Blocks:
    # soundfile seeks after each block it reads of a file that can: with MP3 that costs time and exactness.
    opened.seekable = lambda: False
    frames = 0
    with opened:
        while len(block := opened.read(_BLOCK // opened.channels, dtype="float32", always_2d=True)):
            frames += len(block)
            yield block
        slack = 2 * 1152 if kind == "MP3" else 0  # its count of frames may be off by one
        if frames + slack < opened.frames < _UNKNOWN:
            raise MediaError(f"truncated {kind}: {frames:,} of {opened.frames:,} samples")


def _check_shape(kind: str, channels: int, rate: int) -> None:
    if not 0 < channels <= MOST_CHANNELS:
        raise MediaError(f"{kind} of {channels} channels: at most {MOST_CHANNELS} are read")
    if rate not in RATES:
        raise MediaError(f"{kind} of {rate:,} samples a second: {RATES[0]:,} to {RATES[-1]:,} are read")


def _check_length(kind: str, frames: int, channels: int, rate: int) -> None:
    if frames > MOST_SECONDS * rate:
        raise MediaError(
            f"{kind} of {frames / rate / 3600:,.1f} hours: at most {MOST_SECONDS // 3600} are read"
        )
    if frames * channels > MOST_SAMPLES:
        raise MediaError(f"{kind} of {frames * channels:,} samples: at most {MOST_SAMPLES:,} are read")


def _at_16_khz(blocks: _Blocks, rate: int) -> _Blocks:
    import numpy as np
    from soxr import ResampleStream

    if rate == RATE:
        yield from blocks
        return
    stream = ResampleStream(rate, RATE, 1, dtype="float32", quality="HQ")
    for block in blocks:
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.empty(0, np.float32), last=True)


def _mean(blocks: _Blocks, kind: str, rate: int, power: _Power) -> _Blocks:
    """The mean of the channels, block by block."""
    import numpy as np

    frames = 0
    for block in blocks:
        channels = block.shape[1]
        _check_shape(kind, channels, rate)
        frames += len(block)
        _check_length(kind, frames, channels, rate)
        peak = max(block.max(), -block.min())
        if not peak <= MOST_PEAK:
            what = f"{peak:,.0f} times full scale" if 0 < peak < float("inf") else "infinite, or no numbers"
            raise MediaError(f"{kind} with samples that are {what}")
        mean = block[:, 0].copy()
        if channels > 1:
            for channel in range(1, channels):  # the short axis last would be slow
                mean += block[:, channel]
            mean /= channels
            power.channels += float(np.vdot(block, block)) / channels
        else:
            power.channels += float(np.vdot(mean, mean))
        power.mean += float(np.vdot(mean, mean))
        yield mean


def _preview(samples: NDArray[np.int16]) -> bytes:
    from io import BytesIO

    from soundfile import SoundFile

    out = BytesIO()
    with SoundFile(out, "w", RATE, 1, "VORBIS", format="OGG", compression_level=1) as file:
        for start in range(0, len(samples), RATE):  # of many at once libvorbis overflows its stack
            file.write(samples[start : start + RATE])
    return unnumbered(out.getvalue())
