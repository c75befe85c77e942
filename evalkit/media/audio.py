"""Prepares a stored clip for sending: decoded completely, one channel of 16 bits at 16 kHz, as WAV.

It recognises formats by the first bytes, and reads WAV, RF64, BW64, RIFX, Wave64, AIFF, AU, CAF and NIST
SPHERE (PCM of 8 to 32 bits, floats, A-law, mu-law), FLAC, Ogg (Vorbis, Opus, FLAC; also several streams, one
after the other) and MP3; and with FFmpeg M4A and MP4, WebM and Matroska, ADTS AAC, AMR, Speex, and WAV and
CAF of coded samples (`audio_coded`). A WAV that consists of the shortest header and samples of the target
form is sent as stored. All others are changed, in this order:

- Channels: replaced by their mean. `PreparedAudio.cancels` tells if they cancel each other, as when one is
  the negative of the other.
- Rate: resampled by soxr ("HQ"). Of the frequencies that both rates can represent, the lower 91 % stay as
  they are; frequencies that 16 kHz cannot represent are removed.
- Depth: scaled by 32,768 and rounded, without dither; 16 bits stay as they are. The level is never changed.
  Values over full scale (floats, or a lossy codec's overshoot) are clipped, as players do. More than
  `MOST_PEAK` times full scale is an error, because such floats were never meant to be between -1 and 1.

Silence is a clip like any other; a clip without samples is an error.

Files may be broken or malicious: every failure is a `MediaError` of one line. A file that ends early is
detected in each format: stored samples or a FLAC are fewer than announced, an Ogg has no last page, an MP3
has fewer frames than announced, the last frame of an MP3, AAC or AMR is cut, or an MP4 or WebM ends in a box.
If an interrupted recorder left no count, the samples extend to the end. Not detected are a cut FLAC without a
count, and an MP3 without a count that is cut between two frames. FLAC and Ogg have checksums, which are
checked. WAV and MP3 have none, so damage inside their samples is not detected; for a damaged MP3, libmpg123
may write lines to standard error.

Memory, besides `data`: 64 kB per second of sound, and one block. Safe in threads: decoding, resampling and
encoding release the interpreter's lock. The same bytes give the same bytes on the same machine. A minute of
sound takes 0.12 s for its preview, and up to 0.25 s for the rest (Opus; WAV and FLAC less than 0.1 s).
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
"""The most samples of all channels together. A clip over this or `MOST_SECONDS` is refused: because of its
header, or else when decoding reaches the limit."""

MOST_PEAK = 100
CANCELS = 0.01
"""The greatest ratio, for channels that cancel each other, of the power of their mean to the mean of their
powers. Two unrelated channels have 0.5."""
MOST_CHANNELS = 32
RATES = range(4_000, 768_001)
PREVIEW_SECONDS = 120

_BLOCK = 1 << 18
"""Samples decoded at a time."""

_UNKNOWN = 1 << 62
"""From this number on, libsndfile's count of samples means a FLAC without a count."""


@dataclass(frozen=True, slots=True)
class PreparedAudio:
    """A clip as it is sent."""

    data: bytes = field(repr=False)
    """WAV: a header of 44 bytes, then signed 16-bit samples of one channel, 16,000 per second."""
    mime: Literal["audio/wav"]
    seconds: float
    preview: bytes = field(repr=False)
    """Its first two minutes as Ogg Vorbis of about 3 kB per second, for the player of a report."""
    cancels: bool = False
    """Whether its channels cancel each other, so that almost nothing is heard."""


@dataclass(slots=True)
class _Power:
    """The power of all channels on average, and of their mean, summed over the samples."""

    channels: float = 0.0
    mean: float = 0.0

    @property
    def cancels(self) -> bool:
        return self.channels > 0 and self.mean <= CANCELS * self.channels


def needs() -> None:
    """Raises `UsageError` if the libraries that decode clips are not installed."""
    for module in ("soundfile", "soxr"):
        load(module, "sound", "pip install 'evalkit[speech]'")


def prepare(data: bytes) -> PreparedAudio:
    """The stored clip `data`, prepared for sending.

    Raises `MediaError` if `data` is not a whole clip that can be read, and `UsageError` if `needs` does.
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

    power = _Power()
    if _is_sent(data):
        heard, sent = np.frombuffer(data, "<i2", offset=44), data
    else:
        pcm = bytearray()
        for rate, blocks in _streams(data, kind):
            for block in _at_16_khz(_mean(blocks, kind, rate, power), rate):
                pcm += _sixteen_bits(block).tobytes()
                _check_length(kind, len(pcm) // 2, 1, RATE)
        if not pcm:
            raise MediaError(f"{kind} without samples")
        heard, sent = np.frombuffer(bytes(pcm), "<i2"), _header(len(pcm)) + pcm
    seconds, first = len(heard) / RATE, heard[: PREVIEW_SECONDS * RATE]
    return PreparedAudio(sent, "audio/wav", seconds, _preview(first), power.cancels)


def samples(data: bytes) -> NDArray[np.float32]:
    """The samples of the stored clip `data` as it is sent: of shape (samples,), in -1 to 1, 16,000 a second.

    They are for models in this process. Raises what `prepare` does.
    """
    import numpy as np

    sent = data if _is_sent(data) else prepare(data).data
    return np.frombuffer(sent, "<i2", offset=44).astype(np.float32) / np.float32(32768)


def _is_sent(data: bytes) -> bool:
    """Whether `data` has the form in which clips are sent: the shortest header, and samples."""
    size = len(data) - 44
    return size > 0 and size % 2 == 0 and size <= MOST_SECONDS * RATE * 2 and data[:44] == _header(size)


def _header(size: int) -> bytes:
    """The header of a WAV that has `size` bytes of samples and nothing else."""
    form = struct.pack("<IHHIIHH", 16, 1, 1, RATE, RATE * 2, 2, 16)
    return b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt " + form + b"data" + struct.pack("<I", size)


def _sixteen_bits(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    import numpy as np

    scaled: NDArray[np.float32] = np.rint(samples * np.float32(32768))
    return scaled.clip(-32768, 32767).astype("<i2")


def prepare_apart(source: str, place: str) -> dict[str, JSON]:
    """`prepare` for another process: what is sent is written to `place`, the rest is JSON.

    `error` is the message of a `MediaError`.
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
    """A part of a file for libsndfile, which may seek anywhere: no exception is raised into C."""

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
"""Blocks of samples, of shape (samples, channels), or (samples,) for one channel."""


def _streams(data: bytes, kind: str) -> Iterator[tuple[int, _Blocks]]:
    """(samples per second, blocks) of each stream of the clip, one after the other."""
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
    """(samples per second, blocks) from libsndfile, after checks of the shape and the length."""
    from soundfile import SoundFile

    opened = SoundFile(window, "r", *form)
    _check_shape(kind, opened.channels, opened.samplerate)
    if opened.frames < _UNKNOWN:
        _check_length(kind, opened.frames, opened.channels, opened.samplerate)
    return opened.samplerate, _blocks(opened, kind)


def _blocks(opened: Any, kind: str) -> _Blocks:
    # soundfile seeks after each block of a seekable file, which makes MP3 slow and inexact.
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
            for channel in range(1, channels):  # a mean over the short axis would be slow
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
        for start in range(0, len(samples), RATE):  # with many at once libvorbis overflows its stack
            file.write(samples[start : start + RATE])
    return unnumbered(out.getvalue())
