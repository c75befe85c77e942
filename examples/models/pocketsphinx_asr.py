"""A recogniser of English that is small, old and offline: hidden Markov models, no neural network.

    pip install 'pocketsphinx>=5.0'
    evalkit run -m python:examples/models/pocketsphinx_asr.py:recogniser -t librispeech --data builtin

PocketSphinx is BSD-licensed and its wheel holds a model of American English (40 MB installed): nothing is
fetched at run time. A second of sound takes about 0.2 s on one core.

It writes down what a transcription endpoint is given, and the one clip of a chat, whose instruction it does
not read. Every clip is taken for English; what comes out has small letters and no punctuation. It is what a
recogniser of some twenty years ago is worth, which a model of today should beat.
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
    """(prompt) → the English words in its clip. Raises `UsageError` where PocketSphinx is not installed.

    Each clip is heard for itself: its answer does not depend on those before.
    """

    capabilities = frozenset({"audio", "transcription"})
    parallel = 1  # a decoder hears one clip at a time

    def __init__(self) -> None:
        try:
            from pocketsphinx import Decoder
        except ImportError as error:
            raise UsageError(f"{error}: {INSTALL}") from error
        # The spectrum's mean is of the whole clip; "live", the default, starts from the last clip's.
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
    """What `python:examples/models/pocketsphinx_asr.py:recogniser` names."""
    return Recogniser()


def clip_of(prompt: Prompt) -> Audio:
    """The clip to write down. Raises `ValueError` for a prompt without one, or with several."""
    if isinstance(prompt, Speech):
        if prompt.translate:
            raise UsageError("PocketSphinx writes English down, it translates nothing: ask for a transcript")
        return prompt.audio
    turns = () if isinstance(prompt, str) else prompt
    clips = [part for turn in turns for part in turn.parts if isinstance(part, Audio)]
    if len(clips) != 1:
        raise ValueError(f"a prompt with {len(clips)} clips, where one is to be written down")
    return clips[0]


def samples_of(clip: Audio) -> bytes:
    """The samples of the WAV that evalkit makes of every clip: one channel of 16 bits at 16 kHz."""
    with wave.open(BytesIO(clip.data)) as file:
        shape = (file.getnchannels(), file.getsampwidth(), file.getframerate())
        if shape != (1, 2, RATE):
            raise ValueError(f"a WAV of (channels, bytes, rate) {shape}, not (1, 2, {RATE})")
        return bytes(file.readframes(file.getnframes()))
