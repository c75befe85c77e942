"""Clips in what recorders, telephones, browsers and corpora store them in, whole and cut."""

from __future__ import annotations

import struct
import sys
from fractions import Fraction
from io import BytesIO

import av
import numpy as np
import pytest
import soundfile

from evalkit.errors import MediaError
from evalkit.media.audio import prepare
from evalkit.media.audio_coded import is_coded
from evalkit.media.audio_raw import wav_samples
from tests.media.sounds import Samples, chunk, decibels, form, heard, riff, sixteen, stored, tone, wav

SOUND = tone(440, 16_000, 0.5)
WHOLE = wav(sixteen(SOUND))
HEARD = heard(prepare(WHOLE))
CODED = {  # container, codec, samples a second, channels, decibels above what is lost
    "ipod": ("aac", 48_000, 2, 30),
    "mp4": ("aac", 16_000, 1, 25),
    "mov": ("pcm_s16le", 16_000, 1, 80),
    "3gp": ("aac", 16_000, 1, 25),
    "webm": ("libopus", 48_000, 1, 30),
    "matroska": ("flac", 16_000, 2, 80),
    "ogg": ("flac", 16_000, 1, 80),
    "wav": ("adpcm_ms", 16_000, 1, 30),
    "adts": ("aac", 48_000, 6, None),
    "amr": ("libopencore_amrnb", 8000, 1, None),
}
"""Those without a number have some silence before the sound, which their files do not count."""


def coded(container: str, codec: str, rate: int, channels: int, seconds: float = 0.5) -> bytes:
    """The sound as FFmpeg writes it."""
    out = BytesIO()
    with av.open(out, "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate)
        assert isinstance(stream, av.AudioStream)
        stream.layout = {1: "mono", 2: "stereo", 6: "5.1"}[channels]
        samples = np.stack([tone(440, rate, seconds)] * channels).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=stream.layout.name)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        fifo = av.AudioFifo()
        for part in av.AudioResampler(stream.codec_context.format, stream.layout, rate).resample(frame):
            fifo.write(part)
        while piece := fifo.read(stream.codec_context.frame_size or 1024, partial=True):
            file.mux(stream.encode(piece))
        file.mux(stream.encode(None))
    return out.getvalue()


def refused(data: bytes) -> str:
    with pytest.raises(MediaError) as caught:
        prepare(data)
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.mark.parametrize("container", CODED)
def test_what_ffmpeg_decodes(container: str) -> None:
    codec, rate, channels, above = CODED[container]
    data = coded(container, codec, rate, channels)
    assert is_coded(data)
    got = heard(prepare(data))
    if above is None:
        assert abs(np.abs(np.fft.rfft(got)).argmax() * 16_000 / len(got) - 440) < 4
        assert 0.5 <= len(got) / 16_000 < 0.65
    else:
        assert decibels(HEARD[400:-400], got[400 : len(HEARD) - 400]) > above
    for end in (len(data) - 1, len(data) * 3 // 4, len(data) // 2, 64):
        assert "truncated" in refused(data[:end])


def test_files_of_ffmpeg_that_hold_no_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    out = BytesIO()
    with av.open(out, "w", format="mp4") as file:
        stream = file.add_stream("mjpeg", rate=1)
        assert isinstance(stream, av.VideoStream)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuvj420p"
        file.mux(stream.encode(av.VideoFrame(16, 16, "yuvj420p")))
        file.mux(stream.encode(None))
    assert refused(out.getvalue()) == "MP4 or QuickTime without sound"
    data = coded("adts", "aac", 16_000, 1)
    assert heard(prepare(b"ID3\4\0\0\0\0\0\5" + bytes(5) + data + b"TAG" + bytes(125))).size > 8000
    assert "no frame at byte" in refused(data + b"what is this?")
    broken = bytearray(coded("mp4", "aac", 16_000, 1))
    broken[44:700] = bytes(656)
    assert refused(bytes(broken)).startswith("damaged MP4 or QuickTime: ")
    monkeypatch.setattr("evalkit.media.audio.MOST_SECONDS", 0.4)
    assert "hours: at most" in refused(data), "it has no length, and is refused where it is reached"
    monkeypatch.setitem(sys.modules, "av", None)
    assert "AAC needs the package 'av': pip install 'evalkit[video]'" in refused(data)


@pytest.mark.parametrize(
    ("kind", "codecs"),
    {
        "AIFF": "PCM_S8 PCM_U8 PCM_16 PCM_24 PCM_32 FLOAT DOUBLE ULAW ALAW",
        "AU": "PCM_S8 PCM_16 PCM_24 PCM_32 FLOAT DOUBLE ULAW ALAW",
        "CAF": "PCM_S8 PCM_16 PCM_24 PCM_32 FLOAT DOUBLE ULAW ALAW",
        "W64": "PCM_U8 PCM_16 PCM_24 FLOAT ULAW",
        "NIST": "PCM_S8 PCM_16 PCM_24 PCM_32 ULAW ALAW",
        "RF64": "PCM_16 PCM_24 FLOAT",
    }.items(),
)
def test_samples_stored_as_they_are(kind: str, codecs: str) -> None:
    short = SOUND[:1600]
    for codec in codecs.split():
        data = stored(np.stack([short, short], axis=1), 16_000, kind, codec)
        sound, rate = soundfile.read(BytesIO(data))
        assert rate == 16_000
        assert np.abs(heard(prepare(data)) - sound[:, 0]).max() <= 1 / 32768, codec
        for end in (len(data) - 1, len(data) // 2, 30):
            assert refused(data[:end]), codec
    for order in ("LITTLE", "BIG"):
        out = BytesIO()
        if kind in ("AIFF", "CAF", "NIST"):
            with soundfile.SoundFile(out, "w", 16_000, 1, "PCM_16", order, kind) as file:
                file.write(SOUND)
            assert np.abs(heard(prepare(out.getvalue())) - SOUND).max() <= 1 / 32768, order


def sphere(body: bytes, *lines: str, size: int = 1024) -> bytes:
    head = "\n".join(("NIST_1A", f"{size:7}", *lines, "end_head", ""))
    return head.encode().ljust(size) + body


def test_nist_sphere() -> None:
    body = sixteen(SOUND)
    turned = np.frombuffer(body, "<i2").astype(">i2").tobytes()
    said = ("sample_rate -i 16000", "channel_count -i 1", "sample_n_bytes -i 2", "sample_coding -s3 pcm")
    count = f"sample_count -i {len(SOUND)}"
    right = prepare(WHOLE)
    assert prepare(sphere(body, *said, count, "sample_byte_format -s2 01")) == right
    assert prepare(sphere(turned, *said, count, "sample_byte_format -s2 10", "speaker_id -s2 ab")) == right
    assert prepare(sphere(body, *said, count, "sample_byte_format -s2 01", size=2048) + b"more") == right
    assert prepare(sphere(body, *said, "sample_byte_format -s2 01")) == right, "no count"
    assert prepare(sphere(body, said[0].replace("-i 16000", "-r 16000.000"), *said[1:3], count)) == right
    assert "truncated NIST SPHERE: 15,999 of 16,000 bytes" in refused(sphere(body, *said, count)[:-1])
    for coding in ("pcm,embedded-shorten-v2.00", "ulaw,embedded-shorten-v1.09", "shortpack"):
        packed = refused(sphere(body, *said[:3], f"sample_coding -s{len(coding)} {coding}", count))
        assert "sph2pipe -f wav FILE.sph FILE.wav" in packed
    for field, words in (
        ("sample_byte_format -s4 1032", "bytes in the order '1032'"),
        ("sample_n_bytes -i 5", "5 bytes a sample"),
        ("channel_count -i 99", "99 channels"),
        ("sample_rate -i 0", "of 0 samples a second"),
    ):
        kept = [line for line in said if line.split()[0] != field.split()[0]]
        assert words in refused(sphere(body, *kept, field))
    for data in (b"NIST_1A\n", b"NIST_1A\n   1024\n", b"NIST_1A\n   many\nend_head\n" + bytes(2000)):
        assert "its header has no size, or no end" in refused(data)


@pytest.mark.parametrize(
    ("file", "samples"),
    [(0, 0), (36, 0), (8, 0), (0xFFFFFFFF, 0), (16_036, 0), (0x7FFFF024, 0x7FFFF000), (0, 0xFFFFFFFF)],
)
def test_a_recorder_that_was_interrupted(file: int, samples: int) -> None:
    whole = bytearray(WHOLE)
    struct.pack_into("<I", whole, 4, file)
    struct.pack_into("<I", whole, 40, samples)
    assert prepare(bytes(whole)) == prepare(WHOLE)
    assert heard(prepare(bytes(whole[:-3]))).size == len(SOUND) - 2, "in the middle of a sample"
    for kept in (b"", chunk(b"LIST", b"INFO"), chunk(b"LIST", b"INFO") + chunk(b"id3 ", b"x" * 9)):
        empty = riff(chunk(b"fmt ", form(1, 1, 16_000, 16)), chunk(b"data", b""), kept)
        assert refused(empty) == "WAV without samples"


def test_large_and_other_wavs(monkeypatch: pytest.MonkeyPatch) -> None:
    body = sixteen(SOUND)
    sizes = struct.pack("<QQQI", 72 + len(body), len(body), len(SOUND), 0)
    chunks = chunk(b"ds64", sizes) + chunk(b"fmt ", form(1, 1, 16_000, 16)) + chunk(b"data", body, 0xFFFFFFFF)
    for name in (b"RF64", b"BW64"):
        data = name + b"\xff\xff\xff\xffWAVE" + chunks
        assert prepare(data + chunk(b"axml", b"<x/>")) == prepare(WHOLE)
        assert "truncated WAV" in refused(data[:-1])
    monkeypatch.setattr("evalkit.media.audio_raw._STREAMED", 100)
    assert wav_samples(data).end == len(data), "also above 2 GB"
    turned = np.frombuffer(body, "<i2").astype(">i2").tobytes()
    big = struct.pack(">HHIIHH", 1, 1, 16_000, 32_000, 2, 16)
    data = b"WAVEfmt " + struct.pack(">I", 16) + big + b"data" + struct.pack(">I", len(body)) + turned
    assert prepare(b"RIFX" + struct.pack(">I", len(data)) + data) == prepare(WHOLE)


def test_tags_behind_an_mp3_in_any_order() -> None:
    mp3 = stored(SOUND, 16_000, "MP3", "MPEG_LAYER_III")
    right = prepare(mp3)
    text = b"LYRICSBEGIN" + b"IND0000211" + b"LYR00040[00:01]of LYRICSEND and LYRICS200 we sing!!"
    lyrics = text + b"%06dLYRICS200" % len(text)
    first = b"LYRICSBEGINla la laLYRICSEND"
    item = struct.pack("<II", 3, 0) + b"Title\0abc"
    foot = b"APETAGEX" + struct.pack("<IIII", 1000, len(item) + 32, 1, 0) + bytes(8)
    ape = b"APETAGEX" + struct.pack("<IIII", 2000, len(item) + 32, 1, 0xA0000000) + bytes(8) + item + foot
    tag = b"TAG" + b"x" * 125
    for tags in (
        lyrics,
        first + tag,
        lyrics + tag,
        lyrics + ape + tag,
        ape + lyrics + tag,
        item + foot + lyrics + tag,
        lyrics + bytes(64) + tag,
        b"TAG+" + bytes(223) + tag,
        b"ID3\4\0\0\0\0\0\3abc" + tag,
        tag + tag,
    ):
        assert prepare(mp3 + tags) == right
    for tags in (lyrics + b"junk" * 9, b"LYRICSBEGIN" + b"a" * 100, item):
        assert "no frame like the others" in refused(mp3 + tags)


def test_a_chain_of_ogg_files_is_heard_whole() -> None:
    parts = [
        stored(SOUND, 16_000, "OGG", "VORBIS"),
        stored(np.stack([SOUND, SOUND], axis=1), 48_000, "OGG", "OPUS"),
        coded("ogg", "flac", 8000, 1),
    ]
    right = np.concatenate([heard(prepare(part)) for part in parts])
    assert heard(prepare(b"".join(parts))).tolist() == right.tolist()
    assert is_coded(b"".join(parts))
    assert not is_coded(parts[0] + parts[1])
    assert "truncated Ogg" in refused(b"".join(parts)[:-1])


def opposed(gain: float = 1.0, noise: float = 0.0) -> Samples:
    other: Samples = -gain * SOUND + np.random.default_rng(1).normal(0, noise, len(SOUND))
    return np.stack([SOUND, other], axis=1)


def test_channels_that_cancel_out_are_told() -> None:
    for both, cancels in (
        (opposed(), True),
        (opposed(0.9, 0.001), True),
        (opposed(0.5), False),
        (np.stack([SOUND, SOUND], axis=1), False),
        (np.stack([SOUND, 0 * SOUND], axis=1), False),
        (np.stack([SOUND, *[0 * SOUND] * 5], axis=1), False),
        (np.stack([SOUND, np.roll(SOUND, 9)], axis=1), False),
        (0 * opposed(), False),
        (SOUND, False),
    ):
        assert prepare(stored(both, 16_000, "WAV", "FLOAT")).cancels is cancels
    assert prepare(stored(opposed(), 44_100, "FLAC", "PCM_16")).cancels
