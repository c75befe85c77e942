"""The trials with a picture and a clip, both made here."""

from __future__ import annotations

import io
import math
import struct
import wave
import zlib

from evalkit.models.base import Request
from evalkit.probing.asking import Asker
from evalkit.probing.found import Answer
from evalkit.probing.texts import TOKENS
from evalkit.samples import Audio, Image, Message, Shown

_SIDE = 64
"""Pixels; some models refuse less than 28."""
_RATE, _SECONDS = 16_000, 1
_COLOURS = {"red": b"\xe0\x10\x10", "green": b"\x10\xb0\x20"}
_WHICH = "What colour is this picture? Answer with one word."
_WHAT = "What is there to hear? Answer with one word."


async def image(asker: Asker) -> Answer:
    """Shows a red and a green square: a model that sees neither cannot name both colours."""
    requests = [_request(_WHICH, square(colour)) for colour in _COLOURS.values()]
    said = [(await asker.ask(request)) for request in requests]
    named = [name in one.text.lower() for name, one in zip(_COLOURS, said, strict=True)]
    if all(named):
        return Answer("image", "yes", "it names the colours of a red and a green square")
    if await _counts(asker, _WHICH, said[0].prompt_tokens) is False:
        return Answer("image", "no", "it takes a picture and ignores it: the prompt has no token for it")
    return Answer("image", "unclear", "it takes a picture, but does not name its colour")


async def audio(asker: Asker) -> Answer:
    """Plays a tone. What a model says of it varies, so the tokens of the prompt decide."""
    response = await asker.ask(_request(_WHAT, tone()))
    counted = await _counts(asker, _WHAT, response.prompt_tokens)
    if counted is None:
        return Answer("audio", "unclear", "it takes a clip; no count of tokens shows whether it is heard")
    if not counted:
        return Answer("audio", "no", "it takes a clip and ignores it: the prompt has no token for it")
    return Answer("audio", "yes", "the prompt has tokens for a clip")


async def _counts(asker: Asker, text: str, tokens: int | None) -> bool | None:
    """Whether a prompt with a file has more tokens than its text alone; None if there are no counts."""
    alone = (await asker.ask(_request(text))).prompt_tokens
    return None if not tokens or not alone else tokens > alone


def _request(text: str, *files: Shown) -> Request:
    return Request((Message("user", (*files, text) if files else text),), TOKENS)


def square(colour: bytes) -> Image:
    """A PNG of one colour, given as three bytes (https://www.w3.org/TR/png-3/)."""
    header = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 2, 0, 0, 0)
    rows = (b"\0" + colour * _SIDE) * _SIDE
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return Image(b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def tone() -> Audio:
    """A WAV file: a second of 440 Hz, as PCM of 16 bits."""
    steps = range(_RATE * _SECONDS)
    frames = b"".join(struct.pack("<h", round(9000 * math.sin(math.tau * 440 * at / _RATE))) for at in steps)
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(_RATE)
        sound.writeframes(frames)
    return Audio(file.getvalue())
