"""What is generated after a prompt: how each token is chosen, and where the text ends.

A row's random numbers come from its own seed: they are the same whatever else is computed with it. Its
logits are not, to their last bits, since kernels add in another order for another number of rows. In 32 bits
that hardly ever decides a token; in 16 bits it may.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor

from evalkit.hf.tree import Ids

TextOf: TypeAlias = Callable[[Sequence[int]], str]
"""The text of generated tokens."""
Told: TypeAlias = tuple[float, list[int], list[float]]
"""The natural-log probability of a generated token, the likeliest tokens, and theirs; before temperature."""
LOOKED = 8
"""Every so many tokens the text is searched for a stop. What is generated after one is thrown away."""
_BYTES = 4
"""The most bytes of a character in UTF-8; a token is a byte at least."""


@dataclass(frozen=True, slots=True)
class Row:
    """What is generated after `ids`: at most `most` tokens. `seed`: of samples, at a `temperature`.

    `top`: how many of the likeliest tokens are wanted with each generated one; 0 for no log-probabilities.
    `inputs`: what the model reads beside `ids` and a mask, such as the pixels of pictures, by its name for
    them; empty for texts.
    """

    ids: Ids
    most: int
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    top: int = 0
    inputs: Mapping[str, Any] = field(default_factory=dict)

    def stops(self, tokens: Sequence[int], text_of: TextOf) -> bool:
        """Whether one of its stops ends within the last `LOOKED` tokens."""
        if not self.stop:
            return False
        text = text_of(tokens[-(_BYTES * max(map(len, self.stop)) + LOOKED) :])
        return any(stop in text for stop in self.stop)


@dataclass(slots=True)
class Written:
    """The generated tokens, without the one that ended the text. `ended`: whether one did, or a stop."""

    ids: list[int]
    ended: bool
    logprobs: list[Told] = field(default_factory=list)


class Choice:
    """Chooses the next tokens of `row`, together with those of others.

    A sample is the greatest logit after Gumbel noise (Gumbel 1954; the "Gumbel-max trick"), so rows with and
    without a temperature are chosen together, and each draws its noise from a generator of its own.
    """

    def __init__(self, row: Row, device: torch.device) -> None:
        self.row = row
        self._random = torch.Generator(device).manual_seed(row.seed or 0) if row.temperature > 0 else None

    @staticmethod
    def warped(choices: Sequence[Choice], logits: Tensor) -> Tensor:
        """Logits (rows, vocabulary) of which the greatest of each row is its next token."""
        sampled = [number for number, one in enumerate(choices) if one._random is not None]
        if not sampled:
            return logits
        rows = [choices[number].row for number in sampled]
        warm = logits[sampled] / logits.new_tensor([row.temperature for row in rows])[:, None]
        if any(row.top_k or row.top_p < 1 for row in rows):
            warm = _kept(warm, rows)
        noise = torch.empty_like(warm)
        for place, number in enumerate(sampled):
            noise[place].exponential_(generator=choices[number]._random)
        if len(sampled) == len(choices):
            return warm - noise.log()
        chosen = logits.clone()
        chosen[sampled] = warm - noise.log()
        return chosen

    @staticmethod
    def told(choices: Sequence[Choice], logits: Tensor, tokens: Tensor) -> dict[int, Told]:
        """By the number of each row that asks for it: what is known of its chosen token."""
        wanted = [number for number, one in enumerate(choices) if one.row.top]
        if not wanted:
            return {}
        known = logits[wanted].log_softmax(-1)
        values, names = (
            one.tolist() for one in known.topk(max(choices[number].row.top for number in wanted))
        )
        own = known.gather(1, tokens[wanted][:, None])[:, 0].tolist()
        tops = [choices[number].row.top for number in wanted]
        return {
            number: (own[place], names[place][:top], values[place][:top])
            for place, (number, top) in enumerate(zip(wanted, tops, strict=True))
        }


def _kept(warm: Tensor, rows: Sequence[Row]) -> Tensor:
    """Without the tokens that each row's top-k and top-p leave out. The likeliest is always kept."""
    values, order = warm.sort(dim=-1, descending=True)
    shares = values.softmax(-1)
    left_out = shares.cumsum(-1) - shares >= warm.new_tensor([row.top_p for row in rows])[:, None]
    most = torch.tensor([row.top_k or warm.shape[1] for row in rows], device=warm.device)
    left_out |= torch.arange(warm.shape[1], device=warm.device) >= most[:, None]
    return warm.masked_fill(torch.zeros_like(left_out).scatter(1, order, left_out), -math.inf)
