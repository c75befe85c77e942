"""Generating texts in batches of similar length, each row with its own temperature, seed and stops.

A row's random numbers come from its own seed: they are the same whatever else is in the batch. The logits are
not, to their last bits, since kernels add in another order for another shape of the batch. In 32 bits that
hardly ever decides a token; in 16 bits it may.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from evalkit.hf.tree import Ids

_LOOKED = 8
"""Every so many tokens the text is searched for a stop. What is generated after one is thrown away."""


@dataclass(frozen=True, slots=True)
class Row:
    """What is generated after `ids`: at most `most` tokens. `seed`: None for a greedy choice.

    `top`: how many of the likeliest tokens are wanted with each generated one; 0 for no log-probabilities.
    """

    ids: Ids
    most: int
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    top: int = 0


Told: TypeAlias = tuple[float, list[int], list[float]]
"""The natural-log probability of a generated token, the likeliest tokens, and theirs; before temperature."""


@dataclass(slots=True)
class Written:
    """The generated tokens, without the one that ended the text. `ended`: whether one did, or a stop.

    `logprobs`: what was seen with each token.
    """

    ids: list[int]
    ended: bool
    logprobs: list[Told] = field(default_factory=list)


def generate(
    model: Any, rows: Sequence[Row], ends: frozenset[int], text_of: Callable[[Sequence[int]], str]
) -> list[Written]:
    """The rows' texts, in their order. `ends`: the tokens that end a text. Raises torch.OutOfMemoryError."""
    from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

    width = max(len(row.ids) for row in rows)
    pad = next(iter(sorted(ends)), 0)
    ids = np.full((len(rows), width), pad, dtype=np.int64)
    mask = np.zeros_like(ids)
    for number, row in enumerate(rows):
        ids[number, width - len(row.ids) :], mask[number, width - len(row.ids) :] = row.ids, 1
    choice = _Choice(rows, model.device)
    settings = GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=max(row.most for row in rows),
        do_sample=False,
        eos_token_id=sorted(ends) or None,
        pad_token_id=pad,
    )
    with torch.inference_mode():
        found = model.generate(
            torch.from_numpy(ids).to(model.device),
            attention_mask=torch.from_numpy(mask).to(model.device),
            generation_config=settings,
            logits_processor=LogitsProcessorList([choice]),
            stopping_criteria=StoppingCriteriaList([_Stops(rows, width, text_of)]),
        )
    told = choice.told()
    return [
        _cut(row, tokens, ends, told.get(number, []), text_of)
        for number, (row, tokens) in enumerate(zip(rows, found[:, width:].tolist(), strict=True))
    ]


def _cut(
    row: Row,
    tokens: list[int],
    ends: frozenset[int],
    told: list[Told],
    text_of: Callable[[Sequence[int]], str],
) -> Written:
    """What of a row's tokens is its text: they go on until the longest row of the batch has ended."""
    tokens = tokens[: row.most]
    end = next((at for at, token in enumerate(tokens) if token in ends), None)
    own = tokens if end is None else tokens[:end]
    stopped = end is not None or any(stop in text_of(own) for stop in row.stop)
    return Written(own, stopped, told[: len(own)])


class _Choice:
    """A logits processor: whatever has the greatest value afterwards is the next token.

    A sample is the greatest logit after Gumbel noise (Gumbel 1954; the "Gumbel-max trick"), so rows with and
    without a temperature can stand in one batch, and each draws its noise from a generator of its own.
    """

    def __init__(self, rows: Sequence[Row], device: torch.device) -> None:
        self._rows = rows
        self._sampled = {
            number: torch.Generator(device).manual_seed(row.seed or 0)
            for number, row in enumerate(rows)
            if row.temperature > 0
        }
        self._told = [number for number, row in enumerate(rows) if row.top]
        self._seen: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        plain = scores.float()
        chosen = plain
        if self._sampled:
            chosen = plain.clone()
            for number, generator in self._sampled.items():
                chosen[number] = _noisy(plain[number], self._rows[number], generator)
        if self._told:
            known = plain[self._told].log_softmax(-1)
            values, names = known.topk(max(self._rows[number].top for number in self._told))
            picked = chosen[self._told].argmax(-1)
            self._seen.append((picked, known.gather(1, picked[:, None])[:, 0], names, values))
        return chosen

    def told(self) -> dict[int, list[Told]]:
        """By row that asked for it: what was seen for each token."""
        found: dict[int, list[Told]] = {number: [] for number in self._told}
        for step in self._seen:
            _, own, names, values = (one.tolist() for one in step)
            for place, number in enumerate(self._told):
                top = self._rows[number].top
                found[number].append((own[place], names[place][:top], values[place][:top]))
        return found


def _noisy(logits: Tensor, row: Row, generator: torch.Generator) -> Tensor:
    """The logits at a row's temperature, without those that top-k and top-p leave out, with noise."""
    warm = logits / row.temperature
    if row.top_k:
        warm = warm.masked_fill(warm < warm.topk(min(row.top_k, len(warm))).values[-1], -math.inf)
    if row.top_p < 1:
        values, order = warm.sort(descending=True)
        before = values.softmax(-1).cumsum(-1) - values.softmax(-1)
        warm[order[before >= row.top_p]] = -math.inf
    waited = torch.empty_like(warm).exponential_(generator=generator)
    return warm - waited.log()


class _Stops:
    """A stopping criterion: which rows have a stop in their text, or as many tokens as they may."""

    def __init__(self, rows: Sequence[Row], width: int, text_of: Callable[[Sequence[int]], str]) -> None:
        self._rows, self._width, self._text_of = rows, width, text_of
        self._done = [False] * len(rows)

    def __call__(self, input_ids: Tensor, scores: Any, **given: Any) -> Tensor:
        length = input_ids.shape[1] - self._width
        if any(row.most == length for row in self._rows) or length % _LOOKED == 0:
            longest = max((len(stop) for row in self._rows for stop in row.stop), default=0)
            # a token is at least a byte of a character, which has at most four
            tail = input_ids[:, max(self._width, input_ids.shape[1] - 4 * longest - _LOOKED) :].tolist()
            for number, row in enumerate(self._rows):
                if not self._done[number]:
                    written = self._text_of(tail[number]) if row.stop else ""
                    self._done[number] = length >= row.most or any(stop in written for stop in row.stop)
        return torch.tensor(self._done, device=input_ids.device)
