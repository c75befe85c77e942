"""The headers of formats with uncoded samples: the form of the samples, and where they are.

The formats are WAV, RF64, BW64 and RIFX, Wave64, AIFF and AIFF-C, AU, CAF, and NIST SPHERE. A decoder gets
only the samples, never these headers.
"""

from __future__ import annotations

import re
import struct
from typing import Literal, NamedTuple

from evalkit.errors import MediaError

_STREAMED = 0x7FFFF000
"""From this size on, the size in a WAV's header means "to the end": the WAV was made while it was sent.

A recorder that is interrupted leaves 0, or such a size, for the samples and for the file.
"""

_PCM = {1: "PCM_S8", 2: "PCM_16", 3: "PCM_24", 4: "PCM_32"}
"""The codec of signed samples by their bytes."""

_WAV_CODECS = {
    (1, 1): "PCM_U8",
    (1, 2): "PCM_16",
    (1, 3): "PCM_24",
    (1, 4): "PCM_32",
    (3, 4): "FLOAT",
    (3, 8): "DOUBLE",
    (6, 1): "ALAW",
    (7, 1): "ULAW",
}
"""The codec by (format tag, bytes per sample)."""

_WAV_CODED = {
    2: "MS ADPCM",
    0x11: "IMA ADPCM",
    0x31: "GSM",
    0x45: "G.726",
    0x50: "MPEG",
    0x55: "MP3",
    0xFF: "AAC",
}
"""The codec by format tag, for coded samples, which FFmpeg decodes."""

_EXTENSIBLE, _EXTENSIBLE_TAIL = 0xFFFE, bytes.fromhex("000000001000800000aa00389b71")
_WIDE = {b"RF64", b"BW64"}

_AIFF_CODECS = {
    b"fl32": ("FLOAT", 4),
    b"FL32": ("FLOAT", 4),
    b"fl64": ("DOUBLE", 8),
    b"FL64": ("DOUBLE", 8),
    b"ulaw": ("ULAW", 1),
    b"ULAW": ("ULAW", 1),
    b"alaw": ("ALAW", 1),
    b"ALAW": ("ALAW", 1),
    b"raw ": ("PCM_U8", 1),
    b"in24": ("PCM_24", 3),
    b"in32": ("PCM_32", 4),
}
_AU_CODECS = {
    1: ("ULAW", 1),
    2: ("PCM_S8", 1),
    3: ("PCM_16", 2),
    4: ("PCM_24", 3),
    5: ("PCM_32", 4),
    6: ("FLOAT", 4),
    7: ("DOUBLE", 8),
    27: ("ALAW", 1),
}
_W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")
"""What follows the four letters in the names of Wave64's chunks, except the first."""

_SPHERE_FIELD = re.compile(r"(\S+) +-[irs]\d* +(.*?) *$", re.MULTILINE)
_SPHERE_CODECS = {"ulaw": "ULAW", "mu-law": "ULAW", "alaw": "ALAW", "a-law": "ALAW", "pcm": ""}
_LITTLE: Literal["LITTLE"] = "LITTLE"
_BIG: Literal["BIG"] = "BIG"


class Raw(NamedTuple):
    """The samples of a file: their form, and the offsets where they start and end."""

    codec: str
    """The name of the codec in soundfile; codecs that FFmpeg decodes have other names."""
    order: Literal["LITTLE", "BIG"]
    channels: int
    rate: int
    start: int
    end: int

    @property
    def coded(self) -> bool:
        """Whether the samples have to be decoded by FFmpeg."""
        return self.codec in _WAV_CODED.values() or self.codec.startswith("CAF")


def wav_samples(data: bytes) -> Raw:
    """The samples of a WAV. Raises `MediaError` if they are not complete or not readable."""
    order: Literal["<", ">"] = ">" if data[:4] == b"RIFX" else "<"
    form, at, long = b"", 12, 0
    while at + 8 <= len(data):
        name, (size,) = data[at : at + 4], struct.unpack_from(order + "I", data, at + 4)
        at += 8
        if name == b"fmt ":
            form = data[at : at + size]
        elif name == b"ds64" and data[:4] in _WIDE and at + 16 <= len(data):  # EBU Tech 3306
            (long,) = struct.unpack_from("<Q", data, at + 8)
        elif name == b"data":
            break
        at += size + size % 2
    else:
        raise MediaError("truncated WAV: no samples")
    codec, channels, rate = _wav_format(form, order)
    if size == 0xFFFFFFFF and long:
        end = at + long
    elif size >= _STREAMED or (not size and _interrupted(data, at, order)):
        end = len(data)
    else:
        end = at + size
    _check_end("WAV", data, at, end)
    return Raw(codec, _LITTLE if order == "<" else _BIG, channels, rate, at, end)


def _interrupted(data: bytes, at: int, order: str) -> bool:
    """Whether the bytes after samples of size 0 are samples, and not chunks that extend to the end."""
    while at + 8 <= len(data) and data[at : at + 4].isascii() and data[at : at + 4].decode().isprintable():
        (size,) = struct.unpack_from(order + "I", data, at + 4)
        at += 8 + size + size % 2
    return at < len(data)


def _wav_format(form: bytes, order: str) -> tuple[str, int, int]:
    """(codec, channels, rate) from the chunk `fmt `."""
    if len(form) < 16:
        raise MediaError("damaged WAV: what its samples are is not said")
    tag, channels, rate, _, step, _ = struct.unpack_from(order + "HHIIHH", form)
    if tag == _EXTENSIBLE and form[26:40] == _EXTENSIBLE_TAIL:
        (tag,) = struct.unpack_from("<H", form, 24)
    width, rest = divmod(step, channels or 1)
    codec = _WAV_CODECS.get((tag, width))
    if tag in _WAV_CODED:
        return _WAV_CODED[tag], channels, rate
    if codec is None or rest:
        codec = {0x161: "WMA"}.get(tag, f"format {tag:#06x}")
        raise MediaError(f"WAV of {codec}, {step} bytes a step of {channels} channels: it is not read")
    return codec, channels, rate


def _check_end(kind: str, data: bytes, start: int, end: int) -> None:
    if end > len(data):
        there = max(0, len(data) - start)
        raise MediaError(f"truncated {kind}: {there:,} of {end - start:,} bytes of samples")


def wave64_samples(data: bytes) -> Raw:
    """The same for a Wave64, Sony's WAV with sizes of 64 bits."""
    form, at = b"", 40
    while at + 24 <= len(data):
        name, (size,) = data[at : at + 16], struct.unpack_from("<Q", data, at + 16)
        if name == b"fmt " + _W64_TAIL:
            form = data[at + 24 : at + size]
        elif name == b"data" + _W64_TAIL:
            end = at + size if size > 24 else len(data)
            _check_end("Wave64", data, at + 24, end)
            codec, channels, rate = _wav_format(form, "<")
            return Raw(codec, _LITTLE, channels, rate, at + 24, end)
        if size < 24:
            break
        at += size + -size % 8
    raise MediaError("truncated Wave64: no samples")


def aiff_samples(data: bytes) -> Raw:
    """The same for an AIFF or AIFF-C."""
    form, at = b"", 12
    while at + 8 <= len(data):
        name, (size,) = data[at : at + 4], struct.unpack_from(">I", data, at + 4)
        at += 8
        if name == b"COMM":
            form = data[at : at + size]
        elif name == b"SSND":
            break
        at += size + size % 2
    else:
        raise MediaError("truncated AIFF: no samples")
    if len(form) < 18 or at + 8 > len(data):
        raise MediaError("damaged AIFF: what its samples are is not said")
    channels, frames, bits, exponent, mantissa = struct.unpack_from(">HIHHQ", form)
    rate = round(mantissa * 2.0 ** ((exponent & 0x7FFF) - 16383 - 63)) if exponent < 0x7FFF - 1000 else 0
    name = form[18:22] if data[8:12] == b"AIFC" else b"NONE"
    width = (bits + 7) // 8
    codec, width = _AIFF_CODECS.get(name, (_PCM.get(width, ""), width))
    if not codec or (name not in _AIFF_CODECS and name not in (b"NONE", b"twos", b"sowt")):
        raise MediaError(f"AIFF of {name.decode('ascii', 'replace')!r}, {bits} bits: it is not read")
    start = at + 8 + int(struct.unpack_from(">I", data, at)[0])
    end = start + frames * channels * width
    if not frames and size in (0, 8, 0xFFFFFFFF):  # the recorder was interrupted
        end = len(data)
    _check_end("AIFF", data, start, end)
    return Raw(codec, _LITTLE if name == b"sowt" else _BIG, channels, rate, start, end)


def au_samples(data: bytes) -> Raw:
    """The same for an AU, Sun's format."""
    if len(data) < 24:
        raise MediaError("truncated AU: no samples")
    start, size, number, rate, channels = struct.unpack_from(">IIIII", data, 4)
    if number not in _AU_CODECS:
        raise MediaError(f"AU of format {number}: it is not read")
    end = len(data) if size == 0xFFFFFFFF else start + size
    _check_end("AU", data, start, end)
    return Raw(_AU_CODECS[number][0], _BIG, channels, rate, start, end)


def caf_samples(data: bytes) -> Raw:
    """The same for a CAF, Apple's format."""
    form, at = b"", 8
    while at + 12 <= len(data):
        name, (size,) = data[at : at + 4], struct.unpack_from(">q", data, at + 4)
        at += 12
        if name == b"desc":
            form = data[at : at + size]
        elif name == b"data":
            break
        if size < 0:
            raise MediaError("damaged CAF: a chunk without a size")
        at += size
    else:
        raise MediaError("truncated CAF: no samples")
    if len(form) < 32:
        raise MediaError("damaged CAF: what its samples are is not said")
    rate, name, flags, _, _, channels, bits = struct.unpack_from(">d4sIIIII", form)
    end = len(data) if size == -1 else at + size
    _check_end("CAF", data, at, end)
    codec = {b"ulaw": "ULAW", b"alaw": "ALAW"}.get(name, f"CAF of {name.decode('ascii', 'replace').strip()}")
    if name == b"lpcm":
        widths = {4: "FLOAT", 8: "DOUBLE"} if flags & 1 else _PCM
        if bits // 8 not in widths:
            raise MediaError(f"CAF of {bits} bits: it is not read")
        codec = widths[bits // 8]
    order: Literal["LITTLE", "BIG"] = _LITTLE if flags & 2 else _BIG
    return Raw(codec, order, channels, int(rate) if 0 <= rate < 1e9 else 0, min(at + 4, end), end)


def sphere_samples(data: bytes) -> Raw:
    """The same for a NIST SPHERE file; its header is text, whose second line gives its size in bytes."""
    kind = "NIST SPHERE"
    text = data[: 1 << 20].partition(b"end_head")[0].decode("latin-1")
    size = text[8:16].strip()
    if not size.isdigit() or len(text) == len(data):
        raise MediaError(f"damaged {kind}: its header has no size, or no end")
    said = dict(_SPHERE_FIELD.findall(text[16:]))
    coding, _, packed = said.get("sample_coding", "pcm").lower().partition(",")
    if packed or coding not in _SPHERE_CODECS:
        if "shorten" in packed:
            packed = "shorten"
        raise MediaError(
            f"{kind} compressed by {packed or coding}: unpack it first, such as with "
            "sph2pipe -f wav FILE.sph FILE.wav"
        )
    numbers = ("channel_count", "sample_rate", "sample_n_bytes", "sample_count")
    channels, rate, width, count = (_whole(said.get(name, "")) for name in numbers)
    width = width or (2 if coding == "pcm" else 1)
    codec = _SPHERE_CODECS[coding] or _PCM.get(width, "")
    if not codec or (coding != "pcm" and width != 1) or said.get("channels_interleaved") == "FALSE":
        raise MediaError(f"{kind} of {coding}, {width} bytes a sample: it is not read")
    order = said.get("sample_byte_format", "01" if width > 1 else "1")
    if width > 1 and order not in ("01", "10", "012", "210", "0123", "3210"):
        raise MediaError(f"{kind} with bytes in the order {order[:20]!r}: it is not read")
    end = int(size) + count * channels * width if "sample_count" in said else len(data)
    _check_end(kind, data, int(size), end)
    return Raw(codec, _LITTLE if order.startswith("0") else _BIG, channels, rate, int(size), end)


def _whole(text: str) -> int:
    """The number in `text`, 0 if there is none; SPHERE writes some rates as 8000.0."""
    number, _, rest = text.strip().partition(".")
    return int(number) if number.isdigit() and len(number) < 16 and not rest.strip("0") else 0


RAW = {
    "WAV": wav_samples,
    "Wave64": wave64_samples,
    "AIFF": aiff_samples,
    "AU": au_samples,
    "CAF": caf_samples,
    "NIST SPHERE": sphere_samples,
}
"""The function for each format, by its name in `audio_files.kind_of`."""
