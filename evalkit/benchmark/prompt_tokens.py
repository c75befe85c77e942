"""Asks for the log-probabilities of a text's own tokens, in one request or in windows, and sums them up.

Windows are measured in characters and not in tokens, so that every model is asked the same texts, whatever
its tokeniser: their requests have the same signature, and their bits per byte are comparable.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from evalkit.benchmark.readers import Reading
from evalkit.benchmark.solvers import Context
from evalkit.errors import ProviderError, ScorerError, UsageError
from evalkit.identity.declared import versioned
from evalkit.metrics.log_loss import DETAIL, OCTAVES
from evalkit.samples import JSON, Answer, Final, Sample

if TYPE_CHECKING:
    from evalkit.models.base import TokenLogprob

WINDOWS = "windows"
"""The key of `Sample.meta` with the windows of the text: [start, end, first new character] of each."""
LEAST = 256
"""The fewest characters by which a window moves, and the fewest that it shares with the one before."""
_REACH = 64
"""The most characters by which the end of a window moves to the left, to fall between two words."""
_IMPOSSIBLE, _ROUNDING = -9999.0, 0.01
"""What stands for a probability of 0 (`evalkit.models.reading`), and by how much one may be above 1."""


class _Token(NamedTuple):
    """A token that counts. `position`: 1 for the first token of its request. `byte`: likewise, in bytes."""

    nats: float
    bytes: int
    position: int
    byte: int


def windows(text: str, size: int = 0, stride: int = 0) -> list[list[int]]:
    """[start, end, first new character] of each window of `text`, in characters.

    `size`: the most characters of a window; 0 for one window. `stride`: by how much it moves; 0 for half its
    size. What a window shares with the one before is its context. A window begins and ends before a single
    blank between two words if there is one within the 64 characters before, because tokenisers do not join a
    word with the blank after it. Raises `UsageError` for a size or stride that leaves no context.
    """
    stride = stride or size // 2
    if size and not LEAST <= stride <= size - LEAST:
        raise UsageError(
            f"stride={stride} and window={size}: a window must move by at least {LEAST} characters and share "
            f"at least {LEAST} with the one before"
        )
    found, start, end = list[list[int]](), 0, 0
    while end < len(text):
        new, start = end, between_words(text, stride * len(found)) if found else 0
        whole = not size or start + size >= len(text)
        end = len(text) if whole else between_words(text, start + size)
        found.append([start, end, new])
    return found


def between_words(text: str, at: int) -> int:
    """The last place at or before `at`, within 64 characters, with a single blank between words after it."""
    for place in range(at, max(at - _REACH, 0), -1):
        before, here, after = text[place - 1], text[place : place + 1], text[place + 1 : place + 2]
        if here == " " and before.isalnum() and after.isalnum():
            return place
    return at


@versioned("ask_prompt_tokens", 1)
async def ask_prompt_tokens(context: Context) -> None:
    """Asks for the log-probabilities of the prompt's own tokens, window by window (`WINDOWS`).

    The protocol needs `api="completion"` and `needs=("echo",)`. A prompt that is too long for the model is an
    error that names the setting for windows.
    """
    assert isinstance(context.prompt, str)  # the protocol's api is completion
    text = context.prompt

    async def ask(part: str) -> None:
        if not await context.tokens(part, alternatives=0):
            raise ProviderError("the endpoint returned no log-probabilities of the prompt's tokens")

    try:
        async with asyncio.TaskGroup() as group:
            for part in dict.fromkeys(text[start:end] for start, end, _ in _windows(context.sample)):
                group.create_task(ask(part))
    except ExceptionGroup as failures:  # Python 3.11.2 wraps what except* raises
        error = failures.exceptions[0]
        if isinstance(error, ProviderError) and error.too_long:
            ways = f"{len(text):,} characters: --set window=CHARACTERS asks windows, --set longest=… a part"
            raise ProviderError(f"{error} ({ways})", too_long=True) from None
        raise error from None


@versioned("by_position", 1)
def by_position(reading: Reading) -> Answer:
    """Sums the negative log-probabilities of a text's tokens by the octave of their position.

    A position is counted from 1 at the beginning of the request, so it is the amount of text that the model
    saw, plus one; it is that in the document if that was one request. Of a window after the first, only the
    tokens that begin in its new part count; one that begins before that and ends in it counts nowhere. Nor
    does a first token without a log-probability. A token counts with the bytes of its text in UTF-8; if a
    server splits a character, its last token has them all. The detail has the sums (`DETAIL`), and how many
    tokens and bytes count. Raises `ScorerError` if tokens do not spell the text, or have no probability.
    """
    responses = [turn.response for turn in reading.transcript.turns]
    if any(response.refused for response in responses):
        return Answer((Final(None, refused=True),))
    text, found = reading.sample.input, list[_Token]()
    asked = _windows(reading.sample)
    parts = dict.fromkeys(text[start:end] for start, end, _ in asked)  # equal windows are one request
    tokens = {part: response.prompt_logprobs for part, response in zip(parts, responses, strict=True)}
    for start, end, new in asked:
        found += _counted(text[start:end], new - start, tokens[text[start:end]])
    nats, size = math.fsum(token.nats for token in found), sum(token.bytes for token in found)
    detail: dict[str, JSON] = {
        DETAIL: {
            "token": _sums(found, [token.position for token in found], [1] * len(found)),
            "byte": _sums(found, [token.byte for token in found], [token.bytes for token in found]),
        },
        "tokens": len(found),
        "bytes": size,
    }
    bits = f"{nats / math.log(2) / size:.4f} bits per byte" if size else "no token with a log-probability"
    return Answer((Final(bits),), detail)


def _windows(sample: Sample) -> Sequence[tuple[int, int, int]]:
    return sample.meta[WINDOWS]  # type: ignore[return-value]


def _counted(text: str, new: int, tokens: Sequence[TokenLogprob]) -> list[_Token]:
    """The tokens of a window that begin at or after the character `new` and have a log-probability."""
    if "".join(token.token for token in tokens) != text:
        raise ScorerError(f"the tokens of the prompt do not spell it: {text[:40]!r}")
    found, at, byte = list[_Token](), 0, 0
    for position, token in enumerate(tokens, 1):
        size = len(token.token.encode())
        if at >= new and not (position == 1 and math.isnan(token.logprob)):
            if not _IMPOSSIBLE < token.logprob < _ROUNDING:
                raise ScorerError(
                    f"token {position} of the prompt, {token.token!r}, has the log-probability "
                    f"{token.logprob}, so the text has no mean"
                )
            found.append(_Token(-token.logprob, size, position, byte + 1))
        at, byte = at + len(token.token), byte + size
    return found


def _sums(tokens: Sequence[_Token], positions: Sequence[int], units: Sequence[int]) -> JSON:
    """The sums of each octave, as in `evalkit.metrics.log_loss.PARTS`."""
    import numpy as np

    if not tokens:
        return []
    places, weights = np.array(positions), np.array(units, dtype=float)
    octaves = np.minimum(np.frexp(places)[1] - 1, OCTAVES - 1)
    logs = np.log(places)
    parts = (np.array([token.nats for token in tokens]), weights, weights * logs, weights * logs**2)
    columns: list[JSON] = np.column_stack([np.bincount(octaves, part) for part in parts]).tolist()
    return columns
