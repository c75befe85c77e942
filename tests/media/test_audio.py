"""What is sent of a clip: its bytes where nothing is to be done, otherwise the right samples."""

from __future__ import annotations

import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
import soundfile
import soxr

from evalkit.errors import MediaError
from evalkit.media.audio import prepare, samples
from tests.gaps import longest_gap
from tests.media.sounds import chunk, decibels, form, heard, riff, sixteen, stored, tone, wav

SPEECH = tone(300, 16_000) * tone(3, 16_000, level=1.5)
LOSSY = [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")]


def test_importing_it_does_not_import_the_decoders() -> None:
    code = (
        "import sys, evalkit.media.audio; sys.exit(bool({'soundfile', 'soxr', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_needs_nothing_is_sent_byte_for_byte() -> None:
    for data in (wav(sixteen(SPEECH)), wav(b"\1\2"), stored(SPEECH, 16_000, "WAV", "PCM_16")):
        clip = prepare(data)
        assert clip.data == data
        heard(clip)
    made = prepare(stored(SPEECH, 44_100, "FLAC", "PCM_16")).data
    assert prepare(made).data == made


def test_more_than_the_shortest_header_is_left_out() -> None:
    body, right = sixteen(SPEECH), wav(sixteen(SPEECH))
    plain, samples = chunk(b"fmt ", form(1, 1, 16_000, 16)), chunk(b"data", body)
    guid = struct.pack("<HHIH", 22, 16, 4, 1) + bytes.fromhex("000000001000800000aa00389b71")
    for data in (
        riff(plain, chunk(b"LIST", b"INFOISFT\5\0\0\0made\0\0"), samples),
        riff(chunk(b"junk", b"odd"), plain, samples, chunk(b"bext", bytes(700))),
        riff(chunk(b"fmt ", form(1, 1, 16_000, 16) + b"\0\0"), samples),
        riff(chunk(b"fmt ", form(0xFFFE, 1, 16_000, 16) + guid), samples),
        right + b"trailing",
        right[:4] + bytes(4) + right[8:],
        riff(plain, chunk(b"data", body, 0xFFFFFFFF)),
        riff(plain, chunk(b"data", body, 0x7FFFF000)),
        riff(plain, chunk(b"data", body + b"x")),
    ):
        assert prepare(data).data == right


@pytest.mark.parametrize(
    ("codec", "least"),
    [
        ("PCM_U8", 35),
        ("PCM_24", 85),
        ("PCM_32", 85),
        ("FLOAT", 85),
        ("DOUBLE", 85),
        ("ALAW", 33),
        ("ULAW", 33),
    ],
)
@pytest.mark.parametrize("kind", ["WAV", "WAVEX"])
def test_every_depth_of_a_wav(codec: str, least: float, kind: str) -> None:
    assert decibels(SPEECH, heard(prepare(stored(SPEECH, 16_000, kind, codec)))) > least


@pytest.mark.parametrize(
    ("bits", "stored_as", "right"),
    [
        (8, bytes([0, 1, 127, 128, 129, 255]), [-32768, -32512, -256, 0, 256, 32512]),
        (16, struct.pack("<4h", -32768, -1, 1, 32767), [-32768, -1, 1, 32767]),
        (24, b"\0\0\x80\xff\xff\x7f\0\1\0\x81\1\0", [-32768, 32767, 1, 2]),
        (32, struct.pack("<4i", -(2**31), 2**31 - 1, 0x10000, -0x10000), [-32768, 32767, 1, -1]),
    ],
)
def test_the_numbers_of_each_depth(bits: int, stored_as: bytes, right: list[int]) -> None:
    assert list(heard(prepare(wav(stored_as, bits=bits))) * 32768) == right


def test_16_bits_at_16_khz_stay_what_they_are() -> None:
    every = np.random.default_rng(1).permutation(np.arange(-32768, 32768)).astype(np.int16)
    right = wav(every.astype("<i2").tobytes())
    both = np.stack([every, every], axis=1)
    for data in (
        stored(every, 16_000, "FLAC", "PCM_16"),
        stored(both, 16_000, "FLAC", "PCM_16"),
        wav(both.astype("<i2").tobytes(), channels=2),
        wav((every / np.float32(32768)).astype("<f4").tobytes(), 3, bits=32),
        wav((every.astype("<i4") << 16).tobytes(), bits=32),
    ):
        assert prepare(data).data == right


@pytest.mark.parametrize("channels", [2, 3, 6, 32])
def test_channels_become_their_mean(channels: int) -> None:
    several = np.random.default_rng(channels).uniform(-1, 1, (5000, channels))
    right = several.mean(axis=1)
    assert np.abs(heard(prepare(stored(several, 16_000, "WAV", "DOUBLE"))) - right).max() <= 0.51 / 32768
    opposite = np.stack([SPEECH, -SPEECH], axis=1)
    assert not heard(prepare(stored(opposite, 16_000, "WAV", "FLOAT"))).any()


@pytest.mark.parametrize("rate", [4000, 7350, 8000, 11_025, 22_050, 32_000, 44_100, 48_000, 96_000, 384_000])
@pytest.mark.parametrize("hertz", [100, 1000, 1700])
def test_a_sine_stays_where_it_is_as_loud_as_it_is(rate: int, hertz: int) -> None:
    got = heard(prepare(stored(tone(hertz, rate, 1.01), rate, "WAV", "FLOAT")))
    right = tone(hertz, 16_000, len(got) / 16_000)
    assert abs(len(got) - 16_160) <= 1
    middle = slice(400, -400)  # at its ends a sine that is cut off has other frequencies too
    assert decibels(right[middle], got[middle]) > 60
    assert (
        abs(np.abs(np.fft.rfft(got[middle] * np.hanning(len(got) - 800))).argmax() - hertz * 15_360 / 16_000)
        < 1
    )


@pytest.mark.parametrize(
    ("rate", "hertz"), [(22_050, 9000), (44_100, 8100), (48_000, 12_000), (96_000, 31_000)]
)
def test_what_16_khz_cannot_hold_is_removed(rate: int, hertz: int) -> None:
    got = heard(prepare(stored(tone(hertz, rate), rate, "WAV", "FLOAT")))[400:-400]
    assert np.abs(got).max() < 0.5 / 1000  # 60 dB below


@pytest.mark.parametrize("frames", [1, 2, 3, 100, 1001, 44_100, 44_101])
@pytest.mark.parametrize("rate", [8000, 11_025, 16_000, 44_100, 48_000])
def test_the_length_is_kept_to_the_sample(frames: int, rate: int) -> None:
    data = stored(np.full(frames, 0.5), rate, "WAV", "PCM_16")
    right = frames * 16_000 / rate
    if right < 0.5:
        with pytest.raises(MediaError, match="without samples"):
            prepare(data)
        return
    assert abs(len(heard(prepare(data))) - right) <= 1


@pytest.mark.slow
def test_long_clips_are_the_same_as_in_one_piece() -> None:
    noise = np.random.default_rng(3).uniform(-0.5, 0.5, 700_000).astype(np.float32)
    for rate, channels in ((16_000, 1), (44_100, 1), (44_100, 2)):
        both = np.stack([noise] * channels, axis=1)
        right = noise if rate == 16_000 else soxr.resample(noise, rate, 16_000, "HQ")
        got = heard(prepare(wav(both.astype("<f4").tobytes(), 3, channels, rate, 32)))
        assert got.shape == right.shape
        assert np.abs(got - right).max() <= 0.51 / 32768


@pytest.mark.parametrize(("kind", "codec"), LOSSY)
@pytest.mark.parametrize("rate", [8000, 16_000, 24_000, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_lossy_files_are_as_long_as_what_they_were_made_of(
    kind: str, codec: str, rate: int, channels: int
) -> None:
    sound = tone(440, rate, 1.25, 0.4) * (1 + tone(3, rate, 1.25))
    got = heard(prepare(stored(np.stack([sound] * channels, axis=1), rate, kind, codec)))
    right = tone(440, 16_000, 1.25, 0.4) * (1 + tone(3, 16_000, 1.25))
    assert abs(len(got) - len(right)) <= 1
    assert decibels(right[800:-801], got[800 : len(right) - 801]) > 15


@pytest.mark.parametrize(
    ("kind", "codec"), [*LOSSY, ("FLAC", "PCM_24"), ("WAV", "PCM_16"), ("WAV", "PCM_U8")]
)
def test_silence_is_a_clip(kind: str, codec: str) -> None:
    got = heard(prepare(stored(np.zeros(16_000), 16_000, kind, codec)))
    assert len(got) == 16_000
    assert np.abs(got).max() < 1e-4


def test_what_is_over_full_scale_is_clipped_and_what_is_far_over_is_no_sound() -> None:
    loud = np.array([0.5, 1.0, 1.5, -1.0, -1.5, 100.0, -100.0, 0.25])
    data = stored(loud, 16_000, "WAV", "FLOAT")
    top = 32767 / 32768
    assert list(heard(prepare(data))) == [0.5, top, top, -1, -1, top, -1, 0.25]
    for far in (101.0, -32768.0):
        with pytest.raises(MediaError, match="times full scale"):
            prepare(stored(np.append(loud, far), 16_000, "WAV", "FLOAT"))


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), float("-inf"), 1e300])
@pytest.mark.parametrize("at", [0, 9, 300_000])
def test_samples_that_are_no_numbers(odd: float, at: int) -> None:
    several = np.full((300_001, 2), 0.1)
    several[at, 1] = odd
    with pytest.raises(MediaError, match="WAV with samples that are infinite, or no numbers"):
        prepare(stored(several, 44_100, "WAV", "DOUBLE"))


def id3(size: int) -> bytes:
    return (
        b"ID3\4\0\0" + bytes([size >> 21 & 127, size >> 14 & 127, size >> 7 & 127, size & 127]) + bytes(size)
    )


def test_tags_before_and_behind() -> None:
    flac, mp3 = stored(SPEECH, 16_000, "FLAC", "PCM_16"), stored(SPEECH, 16_000, "MP3", "MPEG_LAYER_III")
    ape = b"APETAGEX" + struct.pack("<IIII", 2000, 32, 0, 0xA0000000) + bytes(8 + 32)  # its head, and a foot
    for data, right in (
        (id3(300) + flac, flac),
        (id3(5) + mp3, mp3),
        (id3(70_000) + id3(0) + bytes(99) + mp3, mp3),
        (mp3 + b"TAG" + bytes(125), mp3),
        (mp3 + ape + b"TAG" + b"x" * 125, mp3),
        (mp3 + bytes(1000), mp3),
        (mp3 + b"LYRICSBEGININD0000200" + b"000016LYRICS200" + b"TAG" + bytes(125), mp3),
        (mp3 + b"LYRICSBEGINla la laLYRICSEND" + b"TAG" + bytes(125), mp3),
    ):
        assert prepare(data) == prepare(right)


@pytest.mark.parametrize(("file", "samples"), [(0, 0), (36, 0), (0xFFFFFFFF, 0xFFFFFFFF), (36, 0xFFFFFFFF)])
def test_a_recorder_that_was_interrupted(file: int, samples: int) -> None:
    body = sixteen(SPEECH)
    whole = bytearray(wav(body))
    struct.pack_into("<I", whole, 4, file)
    struct.pack_into("<I", whole, 40, samples)
    assert prepare(bytes(whole)) == prepare(wav(body))


def test_rf64_says_its_size_elsewhere() -> None:
    body = sixteen(SPEECH)
    sizes = struct.pack("<QQQI", 72 + len(body), len(body), len(SPEECH), 0)
    chunks = chunk(b"ds64", sizes) + chunk(b"fmt ", form(1, 1, 16_000, 16))
    data = b"RF64\xff\xff\xff\xffWAVE" + chunks + chunk(b"data", body, 0xFFFFFFFF)
    assert prepare(data + chunk(b"LIST", b"behind the samples")) == prepare(wav(body))
    with pytest.raises(MediaError, match="truncated WAV"):
        prepare(data[:-100])


@pytest.mark.slow
def test_the_preview_is_the_same_sound_small() -> None:
    noise = np.random.default_rng(5).normal(0, 0.02, 16_000 * 20)
    sound = tone(500, 16_000, 20, 0.3) * (1 + tone(2, 16_000, 20)) + noise
    clip = prepare(stored(sound, 16_000, "WAV", "PCM_16"))
    assert len(clip.preview) < len(clip.data) / 6
    played, _ = soundfile.read(BytesIO(clip.preview))
    assert decibels(sound, played) > 12
    long = prepare(wav(bytes(2 * 16_000 * 121)))
    assert long.seconds == 121
    heard(long)


@pytest.mark.slow
def test_the_same_bytes_make_the_same_bytes_in_any_thread() -> None:
    stock = [
        stored(SPEECH, rate, kind, codec)
        for kind, codec, rate in (
            *((*one, 48_000) for one in LOSSY),
            ("FLAC", "PCM_16", 44_100),
            ("WAV", "ULAW", 8000),
        )
    ]
    alone = [prepare(data) for data in stock]
    with ThreadPoolExecutor(8) as threads:
        for _ in range(4):
            assert list(threads.map(prepare, stock * 4)) == alone * 4


@pytest.mark.parametrize(("kind", "codec"), [*LOSSY, ("FLAC", "PCM_16")])
def test_other_threads_go_on_meanwhile(kind: str, codec: str) -> None:
    data = stored(np.tile(SPEECH, 30), 48_000, kind, codec)
    assert any(longest_gap(lambda: prepare(data)) < 0.5 for _ in range(20))


def test_a_model_in_this_process_gets_the_samples_that_are_sent() -> None:
    for data in (wav(sixteen(SPEECH)), stored(SPEECH, 44_100, "FLAC", "PCM_16")):
        found, sent = samples(data), np.frombuffer(prepare(data).data[44:], "<i2")
        assert found.dtype == np.float32
        assert (found * 32768 == sent).all()
    with pytest.raises(MediaError, match="WAV"):
        samples(wav(sixteen(SPEECH))[:30])
