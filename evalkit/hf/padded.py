"""Generating in padded batches by transformers: after pictures and clips, and where attention is its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evalkit.hf.media_rows import together
from evalkit.hf.rows import LOOKED, Choice, Row, TextOf, Told, Written


def generate(model: Any, rows: Sequence[Row], ends: frozenset[int], text_of: TextOf) -> list[Written]:
    """The rows' texts, in their order. `ends`: the tokens that end a text. Raises torch.OutOfMemoryError."""
    from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

    width = max(len(row.ids) for row in rows)
    pad = next(iter(sorted(ends)), 0)
    ids = np.full((len(rows), width), pad, dtype=np.int64)
    mask = np.zeros_like(ids)
    for number, row in enumerate(rows):
        ids[number, width - len(row.ids) :], mask[number, width - len(row.ids) :] = row.ids, 1
    chooser = _Chooser(rows, model.device)
    settings = GenerationConfig(
        max_new_tokens=max(row.most for row in rows),
        do_sample=False,
        eos_token_id=sorted(ends) or None,
        pad_token_id=pad,
    )
    with torch.inference_mode():
        found = model.generate(
            torch.from_numpy(ids).to(model.device),
            attention_mask=torch.from_numpy(mask).to(model.device),
            **together(rows, width, model),
            generation_config=settings,
            logits_processor=LogitsProcessorList([chooser]),
            stopping_criteria=StoppingCriteriaList([_Stops(rows, width, text_of)]),
        )
    return [
        _cut(row, tokens, ends, told, text_of)
        for row, tokens, told in zip(rows, found[:, width:].tolist(), chooser.told, strict=True)
    ]


def _cut(row: Row, tokens: list[int], ends: frozenset[int], told: list[Told], text_of: TextOf) -> Written:
    """What of a row's tokens is its text: they go on until the longest row of the batch has ended."""
    tokens = tokens[: row.most]
    end = next((at for at, token in enumerate(tokens) if token in ends), None)
    own = tokens if end is None else tokens[:end]
    ended = end is not None or any(stop in text_of(own) for stop in row.stop)
    return Written(own, ended, told[: len(own)])


class _Chooser:
    """A logits processor. `told`: by row, what was known of each of its tokens, if it asked for that."""

    def __init__(self, rows: Sequence[Row], device: torch.device) -> None:
        self._choices = [Choice(row, device) for row in rows]
        self.told: list[list[Told]] = [[] for _ in rows]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        logits = scores.float()
        warped = Choice.warped(self._choices, logits)
        for number, told in Choice.told(self._choices, logits, warped.argmax(-1)).items():
            self.told[number].append(told)
        return warped


class _Stops:
    """A stopping criterion: which rows have a stop in their text, or as many tokens as they may have."""

    def __init__(self, rows: Sequence[Row], width: int, text_of: TextOf) -> None:
        self._rows, self._width, self._text_of = rows, width, text_of
        self._done = [False] * len(rows)

    def __call__(self, input_ids: Tensor, scores: Any, **given: Any) -> Tensor:
        length = input_ids.shape[1] - self._width
        if any(row.most == length for row in self._rows) or length % LOOKED == 0:
            written = input_ids[:, self._width :].tolist()
            for number, row in enumerate(self._rows):
                if not self._done[number]:
                    self._done[number] = length >= row.most or row.stops(written[number], self._text_of)
        return torch.tensor(self._done, device=input_ids.device)
