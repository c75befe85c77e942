"""Files that are no sounds, broken sounds and bombs: one `MediaError`, one line, nothing else."""

from __future__ import annotations

import random
import struct
import sys
import time

import numpy as np
import pytest

from evalkit.errors import MediaError, UsageError
from evalkit.media.audio import needs, prepare
from evalkit.media.audio_files import unnumbered
from tests.media.sounds import chunk, form, heard, riff, sixteen, stored, tone, wav

SOUND = tone(440, 8000, 0.3) + np.random.default_rng(7).normal(0, 0.02, 2400)
BOTH = np.stack([SOUND, SOUND / 2], axis=1)
STOCK = {
    f"{kind} {codec} {sound.ndim}": stored(sound, 8000, kind, codec)
    for sound in (SOUND, BOTH)
    for kind, codec in (
        ("WAV", "PCM_16"),
        ("WAVEX", "PCM_24"),
        ("WAV", "FLOAT"),
        ("WAV", "ALAW"),
        ("FLAC", "PCM_16"),
        ("FLAC", "PCM_24"),
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
        ("MP3", "MPEG_LAYER_III"),
    )
} | {"plain": wav(sixteen(SOUND))}


def refused(data: bytes) -> str:
    with pytest.raises(MediaError) as caught:
        prepare(data)
    said = str(caught.value)
    assert said.isprintable()
    assert len(said) < 220
    return said


@pytest.mark.parametrize(
    ("data", "looks"),
    [
        (b"", "zero bytes"),
        (b"\0\0\0\x20ftypM4A \0\0\0\0", "truncated M4A"),
        (b"\0\0\0\x20ftypisom\0\0\0\0", "truncated MP4"),
        (b"\xff\xf1\x50\x80" + bytes(60), "AAC"),
        (b"ADIF" + bytes(60), "AAC"),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "WMA"),
        (b"FORM\0\0\0\0AIFF", "AIFF"),
        (b".snd" + bytes(40), "AU"),
        (b"caff\0\1\0\0", "CAF"),
        (b"RF64\xff\xff\xff\xffWAVE", "RF64"),
        (b"RIFX\0\0\0\0WAVE", "truncated WAV"),
        (b"RIFF\0\0\0\0AVI ", "AVI"),
        (b"#!AMR\n", "AMR"),
        (b"NIST_1A\n   1024\n", "SPHERE"),
        (b"\x1aE\xdf\xa3", "truncated Matroska or WebM"),
        (b"\xff\xfd\x90\x00" + bytes(60), "not layer III"),
        (b"\xff\xfb\x00\x00" + bytes(60), "not layer III of a fixed bit rate"),
        (b"ID3\4\0\0\0\0\0\0", "ID3 tag without MP3"),
        (b"ID3\4\0\0\x7f\x7f\x7f\x7f", "ID3 tag without MP3"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b" <!DOCTYPE html><html>404", "HTML"),
        (b'{"error": "not found"}', "JSON"),
        (b"no such file", "text"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
        (b"\xff", "nothing known"),
        (bytes(100), "nothing known"),
        (bytes(range(256)), "nothing known"),
    ],
)
def test_what_it_looks_like_is_said(data: bytes, looks: str) -> None:
    assert looks in refused(data)


@pytest.mark.parametrize(
    "start", [b"RIFF    WAVE", b"fLaC", b"OggS", b"OggS\0\2", b"\xff\xfb\x90\x44", b"ID3\4\0"]
)
def test_only_the_first_bytes_of_a_sound(start: bytes) -> None:
    for rest in (b"", b"\0" * 100, b"\xff" * 100, bytes(range(256)) * 4, b"vorbis" * 40):
        refused(start + rest)


@pytest.mark.parametrize("name", STOCK)
def test_cut_anywhere_it_is_refused_or_right(name: str) -> None:
    data = STOCK[name]
    right = prepare(data)
    step = max(1, len(data) // 150)
    for length in sorted({*range(0, len(data), step), *range(60), *range(len(data) - 40, len(data))}):
        try:
            clip = prepare(data[:length])
        except MediaError as error:
            assert str(error).isprintable()  # noqa: PT017
        else:
            assert clip == right, length


def test_how_much_is_missing_is_said() -> None:
    assert "truncated WAV: 1,000 of 4,800 bytes" in refused(STOCK["plain"][:1044])
    assert "truncated Ogg: its last page is cut" in refused(STOCK["OGG VORBIS 1"][:-1])
    assert "truncated MP3: frame 8 is cut" in refused(STOCK["MP3 MPEG_LAYER_III 1"][:-1])
    assert "damaged FLAC: Error : flac decoder lost sync" in refused(STOCK["FLAC PCM_16 1"][:-1])
    several = stored(np.tile(SOUND, 4), 8000, "FLAC", "PCM_16")
    assert "truncated FLAC: 8,192 of 9,600 samples" in refused(several[: several.rindex(b"\xff\xf8")])


def test_an_mp3_without_whole_frames_at_its_end() -> None:
    data = STOCK["MP3 MPEG_LAYER_III 1"]
    ends = [end for end in range(len(data) // 2, len(data)) if "announces" in _said(data[:end])]
    assert len(ends) > 2, "cut between two frames"
    uncounted = data.replace(b"Info", b"none").replace(b"Xing", b"none")
    assert heard(prepare(uncounted)).size >= 4800
    assert "is cut" in refused(uncounted[:-1])
    assert "no frame like the others" in refused(uncounted + b"junk" * 9)
    assert "no frame like the others" in refused(uncounted + b"ID3\4\0\0\0\0\0\0" + uncounted)
    assert "no frame like the others" in refused(uncounted + STOCK["MP3 MPEG_LAYER_III 2"])
    assert "announces" in refused(data * 2), "only the first would be decoded"


def _said(data: bytes) -> str:
    try:
        prepare(data)
    except MediaError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", [name for name in STOCK if "FLAC" in name or "OGG" in name])
def test_damage_that_a_checksum_covers_is_told(name: str) -> None:
    data = STOCK[name]
    right = prepare(data)
    start = 0 if "OGG" in name else len(data) // 2  # a FLAC's tags may be damaged without harm
    for at in range(start, len(data), max(1, len(data) // 100)):
        if _said(broken := data[:at] + bytes([data[at] ^ 16]) + data[at + 1 :]):
            refused(broken)
        else:
            assert prepare(broken) == right, at
    if "OGG" in name:  # the decoders leave out what is damaged
        assert "damaged Ogg: the checksum of the page at byte" in refused(data[:-1] + bytes([data[-1] ^ 1]))


def test_ogg_of_other_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    data, other = STOCK["OGG VORBIS 1"], STOCK["OGG OPUS 1"]
    both = prepare(data + other)
    assert heard(both).tolist() == [*heard(prepare(data)), *heard(prepare(other))]
    assert "truncated Ogg: its last page is cut" in refused(data + other[:-9])
    assert "checksum" in refused(data + other[:-9] + b"x" * 9)
    monkeypatch.setattr("evalkit.media.audio_files._MOST_LINKS", 2)
    assert "more than 2 streams" in refused(data * 3)
    pages = [at for at in range(len(data)) if data[at : at + 5] == b"OggS\0"]
    assert "one beside the other" in refused(data[: pages[1]] + unnumbered(data)[pages[1] :])
    assert "is missing" in refused(data[: pages[1]] + data[pages[2] :])
    assert prepare(data + b"trailing") == prepare(data)
    assert prepare(unnumbered(data)) == prepare(data)
    for name, codec in (
        (b"\x80theora", "Theora"),
        (b"fishead\0", "Skeleton"),
        (b"abcdefgh", "an unknown codec"),
    ):
        assert f"Ogg of {codec}: only Vorbis, Opus" in refused(data[:28] + name + data[36:])


def test_sounds_without_samples() -> None:
    for kind, codec in (("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS")):
        refused(stored(np.zeros(0), 8000, kind, codec))
    assert refused(wav(b"")) == "WAV without samples"
    assert refused(wav(b"x")) == "WAV without samples"
    assert refused(riff(chunk(b"fmt ", form(1, 1, 8000, 16)))) == "truncated WAV: no samples"


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (form(1, 0, 16_000, 16), "0x0001, 0 bytes a step of 0 channels"),
        (form(1, 1000, 16_000, 16), "1000 channels: at most 32"),
        (form(1, 1, 0, 16), "of 0 samples a second"),
        (form(1, 1, 2_000_000_000, 16), "2,000,000,000 samples a second"),
        (form(1, 1, 16_000, 64), "8 bytes a step"),
        (form(1, 1, 16_000, 0), "0 bytes a step"),
        (form(3, 1, 16_000, 16), "WAV of format 0x0003"),
        (form(2, 1, 16_000, 32), "WAV of MS ADPCM"),
        (form(0x55, 1, 16_000, 8), "WAV of MP3"),
        (form(0xFFFE, 1, 16_000, 16), "WAV of format 0xfffe"),
        (form(1, 1, 16_000, 16)[:14], "what its samples are is not said"),
    ],
)
def test_absurd_headers_of_a_wav(head: bytes, said: str) -> None:
    assert said in refused(riff(chunk(b"fmt ", head), chunk(b"data", bytes(4000))))
    assert "what its samples are" in refused(riff(chunk(b"data", bytes(40)), chunk(b"fmt ", head)))


def flac(rate: int, channels: int, frames: int) -> bytes:
    """A FLAC that says it holds this, with sound of 8 kHz in one channel behind it."""
    data = bytearray(STOCK["FLAC PCM_16 1"])
    data[18:26] = (rate << 44 | channels - 1 << 41 | 15 << 36 | frames).to_bytes(8, "big")
    return bytes(data)


def test_absurd_headers_of_a_flac() -> None:
    assert prepare(flac(8000, 1, 2400)) == prepare(STOCK["FLAC PCM_16 1"])
    assert prepare(flac(8000, 1, 0)).data == prepare(STOCK["FLAC PCM_16 1"]).data, "no count"
    assert "FLAC of 10.0 hours: at most 4" in refused(flac(8000, 1, 8000 * 36_000))
    assert "samples: at most 2,000,000,000" in refused(flac(400_000, 8, 400_000 * 14_000))
    assert "truncated FLAC: 2,400 of 8,000" in refused(flac(8000, 1, 8000))
    for rate, channels in ((0, 1), (1, 1), (1 << 19, 8)):
        refused(flac(rate, channels, 2400))


@pytest.mark.slow
def test_long_sounds_are_refused_before_they_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evalkit.media.audio._at_16_khz", None)  # decoding ends in a TypeError
    assert "WAV of 5.0 hours: at most 4" in refused(wav(bytes(5 * 3600 * 4000), rate=4000, bits=8))
    hours = wav(bytes(2 * 16_000 * (4 * 3600 + 1)))
    assert "at most 4 are read" in refused(hours)


@pytest.mark.slow
@pytest.mark.parametrize("name", STOCK)
def test_mutated_bytes(name: str) -> None:
    chance, data = random.Random(name), STOCK[name]
    for _ in range(60):
        broken = bytearray(data)
        for _ in range(chance.choice((1, 1, 3, 20))):
            at = chance.randrange(chance.choice((64, 300, len(broken))))
            at = min(at, len(broken) - 1)
            match chance.randrange(4):
                case 0:
                    broken[at] = chance.choice((0, 127, 128, 255, chance.randrange(256)))
                case 1:
                    broken[at : at + 4] = struct.pack("<I", chance.choice((0, 2**32 - 1, 2**31 - 1)))
                case 2:
                    del broken[at : at + chance.randrange(1, 9)]
                case _:
                    broken[at:at] = chance.randbytes(chance.randrange(1, 9))
        repaired = _with_checksums(bytes(broken)) if name[:3] == "OGG" else bytes(broken)
        try:
            heard(prepare(repaired))
        except MediaError as error:
            assert str(error).isprintable()  # noqa: PT017


def _with_checksums(data: bytes) -> bytes:
    """So that damage comes to the decoder behind them."""
    try:
        return unnumbered(data)
    except (IndexError, struct.error):
        return data


def test_many_small_parts_do_not_take_long() -> None:
    begun = time.perf_counter()
    refused(b"ID3\4\0\0\0\0\0\0" * 100_000)
    refused(riff(chunk(b"junk", b"") * 125_000))
    refused(bytes(10_000_000))
    refused(STOCK["OGG VORBIS 1"][:58] + b"OggS" * 250_000)
    assert time.perf_counter() - begun < 60, "it takes the square of the parts"


def test_without_its_libraries_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    needs()
    for name in ("soundfile", "soxr"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, name, None)
            for call in (needs, lambda: prepare(STOCK["plain"])):
                with pytest.raises(UsageError, match=r"pip install 'evalkit\[speech\]'"):
                    call()
