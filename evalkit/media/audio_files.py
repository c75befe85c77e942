"""The file formats of clips: which format a file has, where its sound is, and whether it is complete."""

from __future__ import annotations

import re
import struct
import zlib

from evalkit.errors import MediaError
from evalkit.media.unread import looks_like
from evalkit.samples import video_mime

READ = "no WAV, FLAC, Ogg, MP3, M4A, AAC, WebM, AIFF, AU, CAF, AMR or NIST SPHERE"

_MP3_KBITS = {
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),
}
"""The kbit/s by the index in a frame's header; True: MPEG 1, False: the others."""

_MP3_RATES = (44_100, 48_000, 32_000)
_MP3_COUNT = re.compile(rb"(?:Xing|Info)\0\0\0[\3\7\13\17](.{8})", re.DOTALL)
_MOST_TAGS = 20
_MOST_LINKS = 10_000
"""The most streams of a chained Ogg, since a decoder is started for each."""

_LYRICS_END = re.compile(rb"LYRICSEND|LYRICS200")
_ZEROS = re.compile(rb"\0*")

_STARTS = (
    (b"fLaC", "FLAC"),
    (b"OggS", "Ogg"),
    (b".snd", "AU"),
    (b"caff", "CAF"),
    (b"NIST_1A", "NIST SPHERE"),
    (b"#!AMR", "AMR"),
    (b"riff\x2e\x91\xcf\x11", "Wave64"),
    (b"\x1aE\xdf\xa3", "Matroska or WebM"),
)
_FORMS = {b"RIFF": (b"WAVE",), b"RIFX": (b"WAVE",), b"FORM": (b"AIFF", b"AIFC")}
_OTHERS = (
    (b"RF64", "RF64"),
    (b"FORM", "IFF"),
    (b"ADIF", "AAC with one header for all (ADIF)"),
    (b"MThd", "MIDI"),
    (b"wvpk", "WavPack"),
    (b"MAC ", "Monkey's Audio"),
    (b"ajkg", "Shorten"),
    (b"\x30\x26\xb2\x75", "WMA or ASF"),
    (b"RIFF", "AVI, WebP or another RIFF file"),
    (b"\x89PNG", "PNG"),
)
_OTHER_OGG = ((b"Speex", "Speex"), (b"\x7fFLAC", "FLAC"), (b"\x80theora", "Theora"), (b"fishead", "Skeleton"))
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def kind_of(data: bytes) -> str:
    """The format that the first bytes show. Raises `MediaError` if evalkit does not read it."""
    if not data:
        raise MediaError("no sound: zero bytes, or no such file")
    if data[8:12] in _FORMS.get(data[:4], ()):
        return "AIFF" if data[:4] == b"FORM" else "WAV"
    if data[:4] in (b"RF64", b"BW64") and data[8:16] == b"WAVEds64":
        return "WAV"
    known = next((kind for start, kind in _STARTS if data.startswith(start)), "")
    if known:
        return known
    if video_mime(data[:64]):
        return "M4A" if data[4:11] == b"ftypM4A" else "MP4 or QuickTime"
    start = after_id3(data)
    if data[start : start + 4] == b"fLaC":
        return "FLAC"
    if _mp3_frame(data, start):
        return "MP3"
    if _adts_frame(data, start):
        return "AAC"
    raise MediaError(f"{READ}: it looks like {_looks_like(data)}")


def after_id3(data: bytes, at: int = 0) -> int:
    """The offset of the sound, after the ID3 tags and zeros that may precede it."""
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
    if data.startswith(b"ID3"):
        return "an ID3 tag without MP3 behind it"
    if data[0] == 0xFF and data[1:2] and data[1] & 0xE0 == 0xE0:
        return (
            "damaged AAC"
            if data[1] & 0xF6 == 0xF0
            else "MPEG audio that is not layer III of a fixed bit rate"
        )
    return looks_like(data, _OTHERS)


def ogg_codec(data: bytes, at: int) -> str:
    """The codec of the stream at `at` if FFmpeg has to decode it; "" for Vorbis and Opus.

    Raises `MediaError` for a codec that evalkit does not read.
    """
    first = data[at + 28 : at + 36]
    if b"vorbis" in first or first == b"OpusHead":
        return ""
    name = next((name for start, name in _OTHER_OGG if first.startswith(start)), "an unknown codec")
    if name not in ("FLAC", "Speex"):
        raise MediaError(f"Ogg of {name}: only Vorbis, Opus, FLAC and Speex are read")
    return name


def ogg_links(data: bytes) -> list[tuple[int, int]]:
    """(start, end) of each stream of an Ogg file; a chained file has several, one after the other (RFC 3533).

    Raises `MediaError` unless all their pages are there and whole. No page follows the last stream.
    """
    links, at = list[tuple[int, int]](), 0
    while not links or data[at : at + 5] == b"OggS\0":
        if len(links) >= _MOST_LINKS:
            raise MediaError(f"Ogg of more than {_MOST_LINKS:,} streams, one after the other")
        ogg_codec(data, at)
        links.append((at, _ogg_end(data, at)))
        at = links[-1][1]
    if data[at : at + 4] == b"OggS":
        raise MediaError(f"truncated Ogg: the page at byte {at:,} is cut")
    return links


def _ogg_end(data: bytes, at: int) -> int:
    """The offset where the stream that starts at `at` ends."""
    start, serial, number, flags = at, b"", 0, 0
    while not flags & 4:  # the end of the stream
        if data[at : at + 5] != b"OggS\0":
            how = "truncated" if at >= len(data) - 4 else "damaged"
            raise MediaError(f"{how} Ogg: no page at byte {at:,}, and its last was not there yet")
        flags, serial, number, end = _ogg_page(data, at, serial, number, at == start)
        at = end
    return at


def _ogg_page(data: bytes, at: int, serial: bytes, number: int, first: bool) -> tuple[int, bytes, int, int]:
    """(flags, stream, number of the next page, end) of the page at `at`.

    Raises `MediaError` unless it is page `number` of the stream `serial`, or the `first` page of a stream.
    """
    end = _ogg_page_end(data, at)
    if end > len(data):
        raise MediaError("truncated Ogg: its last page is cut")
    flags, own, mine, checksum = struct.unpack_from("<B8x4sII", data, at + 5)
    if _ogg_checksum(data[at : at + 22] + bytes(4) + data[at + 26 : end]) != checksum:
        raise MediaError(f"damaged Ogg: the checksum of the page at byte {at:,} is another")
    if not first and own != serial:
        raise MediaError("Ogg of several streams, one beside the other")
    if not first and mine != number:
        raise MediaError(f"damaged Ogg: page {number:,} is missing")
    return flags, own, mine + 1, end


def _ogg_page_end(data: bytes, at: int) -> int:
    """The offset where the page at `at` ends; beyond `data` if the page's header is cut."""
    if at + 27 > len(data):
        return len(data) + 1
    body = at + 27 + data[at + 26]
    return body + sum(data[at + 27 : body]) if body <= len(data) else len(data) + 1


def _ogg_checksum(page: bytes) -> int:
    """CRC-32 with the bits in the opposite order of zlib's, from 0 and not inverted."""
    turned = zlib.crc32(page.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{turned:032b}"[::-1], 2)


def _mp3_frame(data: bytes, at: int) -> int:
    """The bytes of the frame of layer III at `at`; 0 if there is none."""
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
    """The offsets where an MP3's frames start and end.

    Raises `MediaError` if a frame is missing, as far as that can be detected.
    """
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
    if counted:  # in an extra first frame; encoders differ in what else the two numbers include
        count, size = struct.unpack(">II", counted[1])
        short = frames - 1 < count and at - start < size
        if short or frames - 1 > count + 1:
            how = "truncated" if short else "damaged"
            raise MediaError(f"{how} MP3: it announces {count:,} frames and has {frames - 1:,}")
    return start, at


def _mp3_alike(one: bytes, other: bytes) -> bool:
    """Whether the headers of two frames agree in version, layer, rate and channels."""
    if (one[3] >= 0xC0) != (other[3] >= 0xC0):  # mono
        return False
    return one[1] & 0xFE == other[1] & 0xFE and one[2] & 0x0C == other[2] & 0x0C


def _after_mp3_tags(data: bytes, at: int) -> int:
    """The offset after the zeros and tags (APE, Lyrics3, ID3v1, ID3v2) that may follow the frames."""
    for _ in range(_MOST_TAGS):
        at = _after_zeros(data, at)
        if data[at : at + 8] == b"APETAGEX" and at + 32 <= len(data):
            at += 32 + int.from_bytes(data[at + 12 : at + 16], "little")
        elif data[at : at + 11] == b"LYRICSBEGIN":
            at = _after_lyrics(data, at)
        elif data[at : at + 4] == b"TAG+":
            at += 227
        elif data[at : at + 3] == b"TAG":
            at += 128
        elif data[at : at + 3] == b"ID3":
            at = after_id3(data, at)
        else:
            at = _after_ape_1(data, at)
    return _after_zeros(data, at)


def _after_lyrics(data: bytes, at: int) -> int:
    """The offset after a Lyrics3 tag (https://id3.org/Lyrics3v2).

    Version 1 ends with a mark, version 2 with its size and a mark. The text may contain a mark too, so an end
    that agrees with a size is preferred.
    """
    ends = [found.end() for found in _LYRICS_END.finditer(data, at, at + (1 << 20))]
    exact = (end for end in ends if data[end - 15 : end - 9] == b"%06d" % (end - 15 - at))
    return next(exact, ends[0] if ends else at)


def _after_ape_1(data: bytes, at: int) -> int:
    """The offset after an APE tag of version 1, which has only a footer; `at` if none starts there."""
    end = data.find(b"APETAGEX", at, at + (1 << 20))
    size = int.from_bytes(data[end + 12 : end + 16], "little")
    return end + 32 if end > 0 and end + 32 - size == at else at


def _adts_frame(data: bytes, at: int) -> int:
    """The bytes of the frame of AAC at `at` (ADTS, ISO/IEC 13818-7); 0 if there is none."""
    if at + 7 > len(data) or data[at] != 0xFF or data[at + 1] & 0xF6 != 0xF0 or data[at + 2] >> 2 & 15 > 12:
        return 0
    size = (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
    return size if size > 7 else 0


def aac_part(data: bytes) -> tuple[int, int]:
    """The offsets where the frames of AAC start and end. Raises `MediaError` if a frame is missing."""
    start = at = after_id3(data)
    while size := _adts_frame(data, at):
        if at + size > len(data):
            raise MediaError("truncated AAC: its last frame is cut")
        at += size
    if 0 < len(data) - at < 7:
        raise MediaError("truncated AAC: its last frame is cut")
    if _after_mp3_tags(data, at) < len(data):
        raise MediaError(f"damaged AAC: no frame at byte {at:,}")
    return start, at


_AMR_SIZES = {
    b"#!AMR\n": (13, 14, 16, 18, 20, 21, 27, 32, 6, 0, 0, 0, 0, 0, 0, 1),
    b"#!AMR-WB\n": (18, 24, 33, 37, 41, 47, 51, 59, 61, 6, 0, 0, 0, 0, 1, 1),
}
"""The bytes of a frame by its mode (RFC 4867, section 5)."""


def check_amr(data: bytes) -> None:
    """Raises `MediaError` if a frame of an AMR file is missing or cut."""
    head = next((head for head in _AMR_SIZES if data.startswith(head)), b"")
    at = len(head)
    while head and at < len(data):
        size = _AMR_SIZES[head][data[at] >> 3 & 15]
        if not size:
            raise MediaError(f"damaged AMR: no frame at byte {at:,}")
        at += size
    if not head or at > len(data):
        raise MediaError("truncated AMR: its last frame is cut" if head else "AMR of several channels")


def unnumbered(data: bytes) -> bytes:
    """An Ogg file with its stream's number set to 0, because libsndfile chooses a random one."""
    pages, at = [], 0
    while at < len(data):
        end = _ogg_page_end(data, at)
        head, number, rest = data[at : at + 14], data[at + 18 : at + 22], data[at + 26 : end]
        checksum = _ogg_checksum(head + bytes(4) + number + bytes(4) + rest)
        pages.append(head + bytes(4) + number + struct.pack("<I", checksum) + rest)
        at = end
    return b"".join(pages)
