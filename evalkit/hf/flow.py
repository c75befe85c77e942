"""Generating with slots: as soon as texts end, others take their places, until none is left.

The model reads one row with one token of each text, so nothing is padded and a finished text costs nothing.
transformers' own continuous batching does the same with a paged cache. Without the kernels for that, which
are a package of their own, it took five times as long (docs/models.md).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evalkit.hf.attention import over, replaced
from evalkit.hf.head import Head
from evalkit.hf.rows import LOOKED, Choice, Row, TextOf, Told, Written
from evalkit.hf.slots import Filling, Following, Slots
from evalkit.hf.tree import passes

_REFILL = 8
"""Prompts are read when this part of the slots is free: one alone would use little of the GPU."""


@dataclass(slots=True)
class _Text:
    """A text in its slot. `number`: of its row."""

    number: int
    choice: Choice
    ids: list[int] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)

    @property
    def length(self) -> int:
        """Of the prompt and the text together, in tokens."""
        return len(self.choice.row.ids) + len(self.ids)


class Flow:
    """Generates `rows` with `model`. `most`: the most tokens of prompts that are read in one call."""

    def __init__(
        self, model: Any, head: Head, rows: Mapping[int, Row], slots: Slots, most: int,
        ends: frozenset[int], text_of: TextOf,
    ) -> None:  # fmt: skip
        self._model, self._head, self._rows = model, head, rows
        self._slots, self._most, self._ends, self._text_of = slots, most, ends, text_of
        # prompts that begin alike are read together
        self._waiting = deque(sorted(rows, key=lambda number: rows[number].ids.astype(">u4").tobytes()))
        self._texts: dict[int, _Text] = {}

    def run(self) -> Iterator[tuple[int, Written]]:
        """Yields (number, what was written) as texts end. Raises torch.OutOfMemoryError."""
        with replaced(self._model):
            while self._waiting or self._texts:
                free = self._slots.count - len(self._texts)
                with torch.inference_mode():
                    if self._waiting and (not self._texts or free * _REFILL >= self._slots.count):
                        ended = self._read()
                    else:
                        ended = self._grow()
                yield from ended

    def _read(self) -> list[tuple[int, Written]]:
        """Reads prompts into the free slots and chooses the first token of each."""
        free = [slot for slot in range(self._slots.count) if slot not in self._texts]
        taken = {slot: self._waiting.popleft() for slot in free[: len(self._waiting)]}
        into, ids = list(taken), [self._rows[number].ids for number in taken.values()]
        ended: list[tuple[int, Written]] = []
        for packed in passes(ids, self._most):
            places = {number: into[number] for number in packed.paths}
            layout = Filling(packed, self._slots, places)
            hidden = self._hidden(layout, packed.tokens, packed.positions)
            last = [int(packed.places(number, len(ids[number]) - 1)[0]) for number in places]
            for slot in places.values():
                number = taken[slot]
                self._texts[slot] = _Text(number, Choice(self._rows[number], self._model.device))
            ended += self._chosen(list(places.values()), self._head.logits(hidden[last]).float())
        return ended

    def _grow(self) -> list[tuple[int, Written]]:
        """Chooses one more token of each text."""
        slots = sorted(self._texts)
        texts = [self._texts[slot] for slot in slots]
        layout = Following(self._slots, slots, [text.length for text in texts])
        tokens = np.array([text.ids[-1] for text in texts])
        with over(layout):
            hidden = self._head.hidden(
                input_ids=torch.from_numpy(tokens).to(self._model.device)[None],
                position_ids=layout.positions(self._model.device)[None],
            )
        return self._chosen(slots, self._head.logits(hidden[0]).float())

    def _hidden(self, layout: Filling, tokens: Any, positions: Any) -> Tensor:
        on = [torch.from_numpy(one).to(self._model.device)[None] for one in (tokens, positions)]
        with over(layout):
            return self._head.hidden(input_ids=on[0], position_ids=on[1])[0]

    def _chosen(self, slots: list[int], logits: Tensor) -> list[tuple[int, Written]]:
        """Adds the chosen tokens to the texts in `slots`, and gives back those that end with them."""
        texts = [self._texts[slot] for slot in slots]
        choices = [text.choice for text in texts]
        tokens = Choice.warped(choices, logits).argmax(-1)
        told = Choice.told(choices, logits, tokens)
        ended = []
        for place, (slot, text, token) in enumerate(zip(slots, texts, tokens.tolist(), strict=True)):
            end = token in self._ends
            if not end:
                text.ids.append(token)
                if place in told:
                    text.told.append(told[place])
            row = text.choice.row
            full = len(text.ids) == row.most
            stopped = (full or len(text.ids) % LOOKED == 0) and row.stops(text.ids, self._text_of)
            if end or full or stopped:
                del self._texts[slot]
                ended.append((text.number, Written(text.ids, end or stopped, text.told)))
        return ended
