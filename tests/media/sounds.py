"""Clips for the tests: computed, and stored by soundfile, or byte by byte where it cannot."""

from __future__ import annotations

import math
import struct
import wave
from io import BytesIO
from typing import TypeAlias

import numpy as np
import soundfile
from numpy.typing import NDArray

from evalkit.media.audio import PreparedAudio

Samples: TypeAlias = "NDArray[np.float64]"


def tone(hertz: float, rate: int, seconds: float = 1.0, level: float = 0.5) -> Samples:
    samples: Samples = level * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)
    return samples


def stored(samples: Samples | NDArray[np.int16], rate: int, kind: str, codec: str) -> bytes:
    """Rows are channels' samples of one time."""
    out = BytesIO()
    channels = samples.shape[1] if samples.ndim == 2 else 1
    with soundfile.SoundFile(out, "w", rate, channels, codec, format=kind) as file:
        for start in range(0, len(samples), rate):  # of many at once libvorbis overflows its stack
            file.write(samples[start : start + rate])
    return out.getvalue()


def form(tag: int, channels: int, rate: int, bits: int) -> bytes:
    """The chunk of a WAV that says what its samples are."""
    step = channels * bits // 8
    return struct.pack("<HHIIHH", tag, channels, rate, rate * step, step, bits)


def chunk(name: bytes, body: bytes, size: int | None = None) -> bytes:
    return name + struct.pack("<I", len(body) if size is None else size) + body + bytes(len(body) % 2)


def riff(*chunks: bytes) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def wav(body: bytes, tag: int = 1, channels: int = 1, rate: int = 16_000, bits: int = 16) -> bytes:
    return riff(chunk(b"fmt ", form(tag, channels, rate, bits)), chunk(b"data", body))


def sixteen(samples: Samples) -> bytes:
    return bytes(np.rint(samples * 32768).clip(-32768, 32767).astype("<i2").tobytes())


def heard(clip: PreparedAudio) -> Samples:
    """What a reader of the prepared bytes hears, -1 to 1; and what `PreparedAudio` says of them is true."""
    with wave.open(BytesIO(clip.data)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 16_000)
        body = file.readframes(file.getnframes())
    assert len(clip.data) == 44 + len(body)
    assert clip.mime == "audio/wav"
    assert clip.seconds == len(body) / 32_000 > 0
    small, rate = soundfile.read(BytesIO(clip.preview))
    assert (rate, small.shape) == (16_000, (min(len(body) // 2, 120 * 16_000),))
    return np.frombuffer(body, "<i2").astype(np.float64) / 32768


def decibels(signal: Samples, other: Samples) -> float:
    """How far the signal stands above what the other differs in."""
    noise = float(np.mean((signal - other) ** 2))
    return 10 * math.log10(float(np.mean(signal**2)) / max(noise, 1e-20))
