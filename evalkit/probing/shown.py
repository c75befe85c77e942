"""The trials with a picture and a clip, both made here."""

from __future__ import annotations

import io
import math
import struct
import wave
import zlib

from evalkit.models.base import Request, Response
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
_SAME = "without it, the prompt has as many tokens and the answer is the same"


async def image(asker: Asker) -> Answer:
    """Shows a red and a green square: a model that sees neither cannot name both colours."""
    requests = [_request(_WHICH, square(colour)) for colour in _COLOURS.values()]
    said = [await asker.ask(request) for request in requests]
    named = [name in one.text.lower() for name, one in zip(_COLOURS, said, strict=True)]
    if all(named):
        return Answer("image", "yes", "it names the colours of a red and a green square")
    if _is_alone(said[0], await asker.ask(_request(_WHICH))):
        return Answer("image", "no", f"it takes a picture and ignores it: {_SAME}")
    return Answer("image", "unclear", "it takes a picture, but does not name its colour")


async def audio(asker: Asker) -> Answer:
    """Plays a tone. What a model says of it varies, so the tokens of the prompt show that it is played."""
    with_clip, alone = await asker.ask(_request(_WHAT, tone())), await asker.ask(_request(_WHAT))
    if (with_clip.prompt_tokens or 0) > (alone.prompt_tokens or 0) > 0:
        return Answer("audio", "yes", "a clip makes the prompt longer")
    if _is_alone(with_clip, alone):
        return Answer("audio", "no", f"it takes a clip and ignores it: {_SAME}")
    return Answer(
        "audio", "unclear", "it takes a clip, but its count of tokens does not show that it is heard"
    )


def _is_alone(shown: Response, alone: Response) -> bool:
    """Whether a response to a text with a file is that to the text alone, to a prompt of the same length.

    Either by itself shows nothing: some endpoints do not count a file's tokens.
    """
    return (
        bool(alone.prompt_tokens) and shown.prompt_tokens == alone.prompt_tokens and shown.text == alone.text
    )


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
