"""The files that clips are stored in: what a file is, where its sound lies, and whether it is whole."""

from __future__ import annotations

import re
import struct
import zlib
from typing import NamedTuple

from evalkit.errors import MediaError
from evalkit.media.unread import looks_like

_STREAMED = 0x7FFFF000
"""Sizes from here on are written into the header of a WAV that is made while it is sent: to the end.

A recorder that is interrupted leaves 0, or this, for the samples and for the file.
"""

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
"""By format tag and bytes a sample."""

_WAV_OTHERS = {2: "MS ADPCM", 0x11: "IMA ADPCM", 0x31: "GSM", 0x50: "MPEG", 0x55: "MP3", 0x161: "WMA"}
_EXTENSIBLE, _EXTENSIBLE_TAIL = 0xFFFE, bytes.fromhex("000000001000800000aa00389b71")

_MP3_KBITS = {
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),
}
"""By the index in a frame's header; MPEG 1 and the others."""

_MP3_RATES = (44_100, 48_000, 32_000)
_MP3_COUNT = re.compile(rb"(?:Xing|Info)\0\0\0[\3\7\13\17](.{8})", re.DOTALL)
_ZEROS = re.compile(rb"\0*")

_OTHERS = (
    (b"RF64", "RF64"),
    (b"RIFX", "a big-endian WAV"),
    (b"riff", "Wave64"),
    (b"FORM", "AIFF"),
    (b".snd", "AU"),
    (b"caff", "CAF"),
    (b"ADIF", "AAC"),
    (b"#!AMR", "AMR"),
    (b"MThd", "MIDI"),
    (b"wvpk", "WavPack"),
    (b"MAC ", "Monkey's Audio"),
    (b"NIST_1A", "NIST SPHERE"),
    (b"\x30\x26\xb2\x75", "WMA or ASF"),
    (b"RIFF", "AVI, WebP or another RIFF file"),
    (b"\x89PNG", "PNG"),
)
_OTHER_OGG = ((b"Speex", "Speex"), (b"\x7fFLAC", "FLAC"), (b"\x80theora", "Theora"), (b"fishead", "Skeleton"))
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def kind_of(data: bytes) -> str:
    """The format that the first bytes announce; a `MediaError` for one that is not read."""
    if not data:
        raise MediaError("no sound: zero bytes, or no such file")
    if (data[:4] == b"RIFF" and data[8:12] == b"WAVE") or (data[:4] == b"RF64" and data[8:16] == b"WAVEds64"):
        return "WAV"
    if data[:4] == b"OggS":
        return "Ogg"
    start = after_id3(data)
    if data[start : start + 4] == b"fLaC":
        return "FLAC"
    if _mp3_frame(data, start):
        return "MP3"
    raise MediaError(f"no WAV, FLAC, Ogg or MP3: it looks like {_looks_like(data)}")


def after_id3(data: bytes) -> int:
    """Where the sound starts behind the tags, and the zeros, that may stand before it."""
    at = 0
    while data[at : at + 3] == b"ID3" and at + 10 <= len(data):
        size = 0
        for byte in data[at + 6 : at + 10]:
            size = size << 7 | byte & 127
        at += 10 + size + (10 if data[at + 5] & 16 else 0)
    return _after_zeros(data, at)


def _after_zeros(data: bytes, at: int) -> int:
    found = _ZEROS.match(data, at)
    return found.end() if found else at


def _looks_like(data: bytes) -> str:
    if data[4:11] == b"ftypM4A":
        return "M4A (AAC)"
    if data.startswith(b"ID3"):
        return "an ID3 tag without MP3 behind it"
    if data[0] == 0xFF and data[1:2] and data[1] & 0xE0 == 0xE0:
        return "AAC" if data[1] & 0xF6 == 0xF0 else "MPEG audio that is not layer III of a fixed bit rate"
    return looks_like(data, _OTHERS)


class Wav(NamedTuple):
    codec: str
    """As soundfile names it."""
    channels: int
    rate: int
    start: int
    end: int


def wav_samples(data: bytes) -> Wav:
    """Where the samples of a WAV lie, and what they are."""
    form, at, long = b"", 12, 0
    while at + 8 <= len(data):
        name, (size,) = data[at : at + 4], struct.unpack_from("<I", data, at + 4)
        at += 8
        if name == b"fmt ":
            form = data[at : at + size]
        elif name == b"ds64" and data[:4] == b"RF64" and at + 16 <= len(data):  # EBU Tech 3306
            (long,) = struct.unpack_from("<Q", data, at + 8)
        elif name == b"data":
            break
        at += size + size % 2
    else:
        raise MediaError("truncated WAV: no samples")
    if len(form) < 16:
        raise MediaError("damaged WAV: what its samples are is not said")
    tag, channels, rate, _, step, _ = struct.unpack_from("<HHIIHH", form)
    if tag == _EXTENSIBLE and form[26:40] == _EXTENSIBLE_TAIL:
        (tag,) = struct.unpack_from("<H", form, 24)
    width, rest = divmod(step, channels or 1)
    codec = _WAV_CODECS.get((tag, width))
    if codec is None or rest:
        codec = _WAV_OTHERS.get(tag, f"format {tag:#06x}")
        raise MediaError(f"WAV of {codec}, {step} bytes a step of {channels} channels: it is not read")
    if not size and struct.unpack_from("<I", data, 4)[0] in (0, at - 8):  # the recorder was interrupted
        size = _STREAMED
    if size == 0xFFFFFFFF and long:
        size = min(long, _STREAMED - 1)
    end = len(data) if size >= _STREAMED else at + size
    if end > len(data):
        raise MediaError(f"truncated WAV: {len(data) - at:,} of {size:,} bytes of samples")
    return Wav(codec, channels, rate, at, end)


def ogg_end(data: bytes) -> int:
    """Where the one stream of an Ogg file ends, all its pages being there and whole (RFC 3533)."""
    first = data[28:36]
    if b"vorbis" not in first and first != b"OpusHead":
        name = next((name for start, name in _OTHER_OGG if first.startswith(start)), "an unknown codec")
        raise MediaError(f"Ogg of {name}: only Vorbis and Opus are read")
    at, serial, number, flags = 0, b"", 0, 0
    while not flags & 4:  # the end of the stream
        if data[at : at + 5] != b"OggS\0":
            how = "truncated" if at >= len(data) - 4 else "damaged"
            raise MediaError(f"{how} Ogg: no page at byte {at:,}, and its last was not there yet")
        flags, serial, number, end = _ogg_page(data, at, serial, number)
        at = end
    if data[at : at + 4] == b"OggS":
        raise MediaError("Ogg of several streams, one after the other")
    return at


def _ogg_page(data: bytes, at: int, serial: bytes, number: int) -> tuple[int, bytes, int, int]:
    """(flags, stream, number of the next page, end) of the page at `at`, to be `number` of `serial`."""
    end = _ogg_page_end(data, at)
    if end > len(data):
        raise MediaError("truncated Ogg: its last page is cut")
    flags, own, mine, checksum = struct.unpack_from("<B8x4sII", data, at + 5)
    if _ogg_checksum(data[at : at + 22] + bytes(4) + data[at + 26 : end]) != checksum:
        raise MediaError(f"damaged Ogg: the checksum of the page at byte {at:,} is another")
    if at and own != serial:
        raise MediaError("Ogg of several streams, one beside the other")
    if at and mine != number:
        raise MediaError(f"damaged Ogg: page {number:,} is missing")
    return flags, own, mine + 1, end


def _ogg_page_end(data: bytes, at: int) -> int:
    """Behind `data` where the page's header is cut."""
    if at + 27 > len(data):
        return len(data) + 1
    body = at + 27 + data[at + 26]
    return body + sum(data[at + 27 : body]) if body <= len(data) else len(data) + 1


def _ogg_checksum(page: bytes) -> int:
    """CRC-32 with the bits the other way round than zlib has them, from 0 and not inverted."""
    turned = zlib.crc32(page.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{turned:032b}"[::-1], 2)


def _mp3_frame(data: bytes, at: int) -> int:
    """Bytes of the frame of layer III at `at`, 0 where there is none."""
    if at + 4 > len(data):
        return 0
    head = int.from_bytes(data[at : at + 4], "big")
    version, layer, rate = head >> 19 & 3, head >> 17 & 3, head >> 10 & 3
    kbits = _MP3_KBITS[version == 3][head >> 12 & 15]
    if head >> 21 != 0x7FF or version == 1 or layer != 1 or rate == 3 or not kbits:
        return 0
    hertz = _MP3_RATES[rate] // {3: 1, 2: 2, 0: 4}[version]
    return (144 if version == 3 else 72) * kbits * 1000 // hertz + (head >> 9 & 1)


def mp3_part(data: bytes) -> tuple[int, int]:
    """From where to where an MP3's frames lie, all being there as far as that can be told."""
    start = at = after_id3(data)
    first = data[at : at + 4]
    counted = _MP3_COUNT.search(data, at, at + 64)
    frames = 0
    while size := _mp3_frame(data, at):
        if not _mp3_alike(data[at : at + 4], first):
            break
        if at + size > len(data):
            raise MediaError(f"truncated MP3: frame {frames + 1:,} is cut")
        at += size
        frames += 1
    if _after_mp3_tags(data, at) < len(data):
        raise MediaError(f"damaged MP3: no frame like the others at byte {at:,}")
    if counted:  # in a first frame of its own; what else each of the two includes differs
        count, size = struct.unpack(">II", counted[1])
        short = frames - 1 < count and at - start < size
        if short or frames - 1 > count + 1:
            how = "truncated" if short else "damaged"
            raise MediaError(f"{how} MP3: it announces {count:,} frames and has {frames - 1:,}")
    return start, at


def _mp3_alike(one: bytes, other: bytes) -> bool:
    """Whether two headers of frames agree in version, layer, rate and channels."""
    if (one[3] >= 0xC0) != (other[3] >= 0xC0):  # mono
        return False
    return one[1] & 0xFE == other[1] & 0xFE and one[2] & 0x0C == other[2] & 0x0C


def _after_mp3_tags(data: bytes, at: int) -> int:
    """Where the zeros and the tags (APE, Lyrics3, ID3v1) end that may stand behind the frames."""
    at = _after_zeros(data, at)
    if data[at : at + 8] == b"APETAGEX" and at + 32 <= len(data):
        at += 32 + int.from_bytes(data[at + 12 : at + 16], "little")
    if data[at : at + 11] == b"LYRICSBEGIN":  # https://id3.org/Lyrics3v2
        end = max(data.find(mark, at) for mark in (b"LYRICSEND", b"LYRICS200"))
        at = end + 9 if end > 0 else at
    if data[at : at + 3] == b"TAG":
        at += 128
    return _after_zeros(data, at)


def unnumbered(data: bytes) -> bytes:
    """An Ogg file whose stream has the number 0: libsndfile takes one by chance."""
    pages, at = [], 0
    while at < len(data):
        end = _ogg_page_end(data, at)
        head, number, rest = data[at : at + 14], data[at + 18 : at + 22], data[at + 26 : end]
        checksum = _ogg_checksum(head + bytes(4) + number + bytes(4) + rest)
        pages.append(head + bytes(4) + number + struct.pack("<I", checksum) + rest)
        at = end
    return b"".join(pages)
