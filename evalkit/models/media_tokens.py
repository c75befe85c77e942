"""How many tokens a picture or a clip is, by the rules that the providers publish.

OpenAI counts tiles of 512 pixels, or patches of 32, by the model; Anthropic one token for 750 pixels; Gemini
258 for each tile, and 32 for each second of sound. A model that no rule is known of is taken for one that
counts patches of 28 pixels, as Qwen's do.

Sources: https://platform.openai.com/docs/guides/images-vision, https://ai.google.dev/gemini-api/docs/tokens,
https://docs.anthropic.com/en/docs/build-with-claude/vision.
"""

from __future__ import annotations

import fnmatch
import math
import wave
from collections.abc import Callable
from functools import partial
from io import BytesIO

from evalkit.samples import Audio, Image

_SOUND = 32
"""Tokens for a second of sound: Gemini's."""
_ANTHROPIC_SIDE, _ANTHROPIC_MOST = 1568, 1600
_GEMINI_SMALL, _GEMINI_TILE = 384, 258


def picture_tokens(model: str, width: int, height: int) -> int:
    """The tokens of a picture of so many pixels for the model with that name, such as `openai/gpt-4o`."""
    rule = next((rule for name, rule in _RULES if fnmatch.fnmatchcase(model, name)), _by_patches_of_28)
    return rule(max(1, width), max(1, height))


def file_tokens(model: str, file: Image | Audio) -> int:
    """The tokens of a file as it is sent."""
    if isinstance(file, Image):
        return picture_tokens(model, *_size(file))
    return math.ceil(_SOUND * _seconds(file))


def _by_tiles(base: int, each: int, width: int, height: int) -> int:
    """A picture is scaled to fit 2048 × 2048, then so that its shorter side is at most 768."""
    scale = min(1.0, 2048 / max(width, height))
    scale *= min(1.0, 768 / (scale * min(width, height)))
    tiles = math.ceil(width * scale / 512) * math.ceil(height * scale / 512)
    return base + each * tiles


def _by_patches_of_32(factor: float, width: int, height: int) -> int:
    """At most 1536 patches: a larger picture is scaled down to as many whole ones."""
    patches = math.ceil(width / 32) * math.ceil(height / 32)
    return math.ceil(factor * min(patches, 1536))


def _by_patches_of_28(width: int, height: int) -> int:
    return math.ceil(width / 28) * math.ceil(height / 28)


def _by_area(width: int, height: int) -> int:
    scale = min(1.0, _ANTHROPIC_SIDE / max(width, height))
    return min(_ANTHROPIC_MOST, math.ceil(width * scale * height * scale / 750))


def _by_crops(width: int, height: int) -> int:
    """Tiles as wide as two thirds of the shorter side, and of 256 to 768 pixels."""
    if max(width, height) <= _GEMINI_SMALL:
        return _GEMINI_TILE
    unit = min(768, max(256, int(min(width, height) / 1.5)))
    return _GEMINI_TILE * math.ceil(width / unit) * math.ceil(height / unit)


_RULES: tuple[tuple[str, Callable[[int, int], int]], ...] = (
    ("openai/gpt-4o-mini*", partial(_by_tiles, 2833, 5667)),
    ("openai/gpt-4.1-mini*", partial(_by_patches_of_32, 1.62)),
    ("openai/gpt-4.1-nano*", partial(_by_patches_of_32, 2.46)),
    ("openai/o4-mini*", partial(_by_patches_of_32, 1.72)),
    ("openai/gpt-5-mini*", partial(_by_patches_of_32, 1.62)),
    ("openai/gpt-5-nano*", partial(_by_patches_of_32, 2.46)),
    ("openai/gpt-5*", partial(_by_tiles, 70, 140)),
    ("openai/gpt-4*", partial(_by_tiles, 85, 170)),
    ("anthropic/*", _by_area),
    ("gemini/*", _by_crops),
)


def _size(file: Image) -> tuple[int, int]:
    """Width and height in pixels, from the head of the file."""
    from PIL import Image as Pictures

    with Pictures.open(BytesIO(file.data)) as picture:
        return picture.size


def _seconds(file: Audio) -> float:
    """The length of a clip, which is sent as a WAV file."""
    with wave.open(BytesIO(file.data)) as clip:
        return float(clip.getnframes() / clip.getframerate())
