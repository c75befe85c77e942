"""A small, old and offline recogniser of English: hidden Markov models, no neural network.

    pip install 'pocketsphinx>=5.0'
    evalkit run -m python:examples/models/pocketsphinx_asr.py:recogniser -t librispeech --data builtin

PocketSphinx is BSD-licensed, and its wheel contains a model of American English (40 MB installed): nothing is
downloaded at run time. A second of sound takes about 0.2 s on one core.

It transcribes the clip of a transcription request, and the only clip of a chat, whose instruction it does not
read. It expects English; its transcripts are in lower case without punctuation. It shows the score of a
recogniser of about twenty years ago, which a current model should beat.
"""

from __future__ import annotations

import wave
from importlib.metadata import version
from io import BytesIO
from typing import Any

from evalkit.api import JSON, Audio, Prompt, Speech, UsageError

INSTALL = "pip install 'pocketsphinx>=5.0'"
RATE = 16_000


class Recogniser:
    """(prompt) → the English words in its clip. Raises `UsageError` if PocketSphinx is not installed.

    Each clip is recognised separately: its transcript does not depend on earlier clips.
    """

    capabilities = frozenset({"audio", "transcription"})
    parallel = 1  # a decoder handles one clip at a time

    def __init__(self) -> None:
        try:
            from pocketsphinx import Decoder
        except ImportError as error:
            raise UsageError(f"{error}: {INSTALL}") from error
        # "batch" takes the mean spectrum of the whole clip; the default, "live", starts with the last clip's.
        self._decoder: Any = Decoder(samprate=RATE, cmn="batch", loglevel="FATAL")
        self.identity: dict[str, JSON] = {"pocketsphinx": version("pocketsphinx")}

    def __call__(self, prompt: Prompt) -> str:
        samples = samples_of(clip_of(prompt))
        if not samples:
            return ""
        self._decoder.start_utt()
        try:
            self._decoder.process_raw(samples, full_utt=True)
        finally:
            self._decoder.end_utt()
        heard = self._decoder.hyp()
        return "" if heard is None else str(heard.hypstr)


def recogniser() -> Recogniser:
    """The model that `python:examples/models/pocketsphinx_asr.py:recogniser` opens."""
    return Recogniser()


def clip_of(prompt: Prompt) -> Audio:
    """The clip to transcribe. Raises `ValueError` for a prompt with no clip or several clips."""
    if isinstance(prompt, Speech):
        if prompt.translate:
            raise UsageError("PocketSphinx cannot translate, only transcribe English: ask for a transcript")
        return prompt.audio
    turns = () if isinstance(prompt, str) else prompt
    clips = [part for turn in turns for part in turn.parts if isinstance(part, Audio)]
    if len(clips) != 1:
        raise ValueError(f"the prompt must have 1 clip, not {len(clips)}")
    return clips[0]


def samples_of(clip: Audio) -> bytes:
    """The samples of a clip, which evalkit always sends as a WAV of one channel of 16 bits at 16 kHz."""
    with wave.open(BytesIO(clip.data)) as file:
        shape = (file.getnchannels(), file.getsampwidth(), file.getframerate())
        if shape != (1, 2, RATE):
            raise ValueError(f"(channels, bytes, rate) of the WAV must be (1, 2, {RATE}), not {shape}")
        return bytes(file.readframes(file.getnframes()))
