"""What an engine does for evalkit: likelihoods of tokens that are there, and texts after a prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from evalkit.errors import ProviderError
from evalkit.hf.passes import Found, Wanted
from evalkit.hf.rows import Row, Told, Written
from evalkit.samples import JSON

HEEDED = ("top_k", "min_p", "min_tokens", "presence_penalty", "frequency_penalty", "repetition_penalty")
"""The further parameters of a request that both engines heed."""


class Engine(Protocol):
    """An engine, used on one event loop. It schedules by itself: any number of calls may be under way.

    Its calls raise `ProviderError`; a fatal one if the engine has ended.
    """

    context: int
    """The most tokens of a prompt and its response."""

    async def score(self, wanted: Wanted) -> Found:
        """What is wanted of a sequence that is there."""
        ...

    async def write(self, row: Row, extra: Mapping[str, JSON]) -> Written:
        """What is generated after `row.ids`. `extra`: further parameters, of `HEEDED`."""
        ...

    def close(self) -> None:
        """Ends the engine with its processes."""
        ...


def told(own: tuple[int, float], known: Sequence[tuple[int, float]], top: int) -> Told:
    """What is known of a token: (its logprob, the `top` likeliest tokens, theirs), the likeliest first."""
    likeliest = sorted(known, key=lambda one: (-one[1], one[0]))[:top]
    return own[1], [token for token, _ in likeliest], [value for _, value in likeliest]


def without_end(tokens: Sequence[int], ends: frozenset[int], *, ended: bool) -> list[int]:
    """The tokens of a text without the one that ended it."""
    ids = list(tokens)
    return ids[:-1] if ended and ids and ids[-1] in ends else ids


def complete(name: str, found: int, expected: int) -> None:
    """Raises `ProviderError` if an engine returned log-probabilities for another number of tokens."""
    if found != expected:
        raise ProviderError(f"{name}/ returned the log-probabilities of {found} tokens, not of {expected}")
