"""The log-probabilities of the tokens of many sequences, each beginning computed once (`evalkit.hf.tree`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evalkit.hf.attention import UnsupportedAttention, over, replaced
from evalkit.hf.head import Head
from evalkit.hf.layout import Layout
from evalkit.hf.tree import Ids, passes

TOLERANCE = {"float32": 1e-3, "float16": 0.05, "bfloat16": 0.25}
"""In nats: how far a log-probability may be from that of the plain computation, by the model's precision.

Both are rounded, and 16 bits lose about three decimal digits in each layer. Another token, position or mask
is off by far more.
"""
_LOGITS = 2**28
"""The most logits that are held at once (1 GB in 32 bits)."""
_CHECK = (40, 20, (5, 3, 9))
"""The tokens of the self-check: what all begin with, what two of them share, and the ends."""
_ONE_PASS = 1024
"""Enough tokens for all of the self-check, since nothing is shared between passes."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of a sequence: the log-probabilities of its tokens from `first` (at least 1) on.

    `top`: how many of the likeliest tokens are wanted at each place. `after`: whether the distribution after
    the last token is wanted too, as for a generated token.
    """

    ids: Ids
    first: int
    top: int = 0
    after: bool = False

    @property
    def read(self) -> Ids:
        """The tokens that the model reads: nothing follows the last one, unless `after` asks for it."""
        return self.ids if self.after else self.ids[:-1]


@dataclass(frozen=True, slots=True)
class Found:
    """By token: its natural-log probability, whether it is the likeliest, and the likeliest with theirs.

    With `after` there is one more of `top` and `top_logprobs`. Without `top` both are empty.
    """

    logprobs: list[float]
    greedy: list[bool]
    top: list[list[int]]
    top_logprobs: list[list[float]]


@dataclass(frozen=True, slots=True)
class _Batch:
    """What one call of the model gave, and where in it is what is wanted.

    `hidden`: of shape (tokens, size). `numbers`: of the sequences. `places`: for each of them, where the
    tokens are whose next token is wanted.
    """

    hidden: Tensor
    numbers: list[int]
    places: list[Ids]


class Passes:
    """Computes what is wanted, in passes of at most `most` tokens.

    `special`: tokens that are no text, such as those in the place of a picture; no check uses them.
    """

    def __init__(self, model: Any, most: int, special: frozenset[int] = frozenset()) -> None:
        self._model, self.most, self._special = model, most, special
        self.head = Head(model)
        self.shared = True
        """Whether what sequences begin with is shared. `check` decides it."""
        self.compiled = False

    def check(self) -> str:
        """Compares the shared with the plain computation of a few tokens; returns why none is shared.

        Models whose attention is not over all that precedes, such as ALiBi, and state spaces are computed
        plainly: one sequence does not share with others what it begins with.
        """
        rng = np.random.default_rng(0)
        start, middle, *ends = (self._some(rng, size) for size in (*_CHECK[:2], *_CHECK[2]))
        ids = [np.concatenate([start, *([middle] if number else []), end]) for number, end in enumerate(ends)]
        wanted = [Wanted(one, 1) for one in ids]
        try:
            shared = self._computed(wanted, shared=True, most=_ONE_PASS)
        except UnsupportedAttention as error:
            self.shared = False
            return f"its attention has {error}"
        plain = self._computed(wanted, shared=False, most=_ONE_PASS)
        pairs = [
            pair
            for a, b in zip(plain, shared, strict=True)
            for pair in zip(a.logprobs, b.logprobs, strict=True)
        ]
        worst = max(abs(left - right) for left, right in pairs)
        self.shared = worst <= TOLERANCE.get(str(self._model.dtype).removeprefix("torch."), 0.0)
        return "" if self.shared else f"the shared computation is {worst:.2g} nats off the plain one"

    def _some(self, rng: np.random.Generator, size: int) -> Ids:
        ids: Ids = rng.integers(0, self.head.vocabulary, size)
        while (wrong := np.isin(ids, list(self._special))).any():
            ids[wrong] = rng.integers(0, self.head.vocabulary, int(wrong.sum()))
        return ids

    def differs(self) -> float:
        """By how much a logit of the model's two steps is off that of the model itself, for a few tokens."""
        ids = self._row(self._some(np.random.default_rng(1), _CHECK[0]))
        with torch.inference_mode():
            whole = self._model(input_ids=ids, use_cache=False, return_dict=True).logits[0]
            steps = self.head.logits(self.head.hidden(input_ids=ids)[0])
        return float((whole.float() - steps.float()).abs().max())

    def compile(self) -> None:
        """Has the layers compiled at their next call, which takes a while; later calls are faster."""
        names = set(getattr(self._model, "_no_split_modules", None) or ())
        for layer in self._model.modules():
            if type(layer).__name__ in names:
                layer.compile(dynamic=True)
        self.compiled = True

    def compute(self, wanted: Sequence[Wanted]) -> list[Found]:
        """In the order of `wanted`. Raises torch.OutOfMemoryError."""
        if self.shared:
            try:
                return self._computed(wanted, shared=True, most=self.most)
            except UnsupportedAttention:  # of a sequence that is longer than the window of a layer
                pass
        return self._computed(wanted, shared=False, most=self.most)

    def _computed(self, wanted: Sequence[Wanted], *, shared: bool, most: int) -> list[Found]:
        with torch.inference_mode(), replaced(self._model) if shared else nullcontext():
            batches = self._packed(wanted, most) if shared else self._padded(wanted, most)
            measured = [self._measured(batch, wanted) for batch in batches]
        found = {number: one for batch in measured for number, one in batch.split()}
        return [found[number] for number in range(len(wanted))]

    def _packed(self, wanted: Sequence[Wanted], most: int) -> Iterator[_Batch]:
        """Yields the batches with shared beginnings, each of one row."""
        for packed in passes([one.read for one in wanted], most):
            with over(Layout(packed, compiled=self.compiled)):
                hidden = self.head.hidden(
                    input_ids=self._row(packed.tokens), position_ids=self._row(packed.positions)
                )
            numbers = list(packed.paths)
            yield _Batch(hidden[0], numbers, [packed.places(n, wanted[n].first - 1) for n in numbers])

    def _padded(self, wanted: Sequence[Wanted], most: int) -> Iterator[_Batch]:
        """Yields the batches of a row for each sequence, by falling length, padded at their ends."""
        order = sorted(range(len(wanted)), key=lambda number: -len(wanted[number].read))
        while order:
            width = len(wanted[order[0]].read)
            count = max(1, most // width)
            numbers, order = order[:count], order[count:]
            ids = np.zeros((len(numbers), width), dtype=np.int64)
            mask = np.zeros_like(ids)
            for row, number in enumerate(numbers):
                read = wanted[number].read
                ids[row, : len(read)], mask[row, : len(read)] = read, 1
            given = {} if mask.all() else {"attention_mask": self._on(mask)}
            hidden = self.head.hidden(input_ids=self._on(ids), **given)
            places = [
                row * width + np.arange(wanted[number].first - 1, len(wanted[number].read))
                for row, number in enumerate(numbers)
            ]
            yield _Batch(hidden.flatten(0, 1), numbers, places)

    def _measured(self, batch: _Batch, wanted: Sequence[Wanted]) -> _Measured:
        asked = [wanted[number] for number in batch.numbers]
        # after the last token nothing is looked up: token 0 stands there
        targets = np.concatenate(
            [np.append(one.ids[one.first :], [0] if one.after else []).astype(np.int64) for one in asked]
        )
        places, rows = np.unique(np.concatenate(batch.places), return_inverse=True)
        top = max(one.top for one in asked)
        found = _Measured.empty(batch.numbers, asked, top, self._model.device)
        step = max(1, _LOGITS // self.head.vocabulary)
        for start in range(0, len(places), step):
            logits = self.head.logits(batch.hidden[self._on(places[start : start + step])]).float()
            pairs = np.flatnonzero((rows >= start) & (rows < start + step))
            found.put(self._on(pairs), self._on(rows[pairs] - start), self._on(targets[pairs]), logits)
        return found

    def _row(self, values: Ids) -> Tensor:
        return self._on(values)[None]

    def _on(self, values: Ids) -> Tensor:
        return torch.from_numpy(values).to(self._model.device, non_blocking=True)


@dataclass(frozen=True, slots=True)
class _Measured:
    """What was found of a batch, still on the device: of shape (pairs,) and (pairs, top)."""

    numbers: list[int]
    asked: list[Wanted]
    logprobs: Tensor
    greedy: Tensor
    top: Tensor
    top_logprobs: Tensor

    @classmethod
    def empty(cls, numbers: list[int], asked: list[Wanted], top: int, device: torch.device) -> _Measured:
        pairs = sum(len(one.ids) - one.first + one.after for one in asked)
        logprobs, top_logprobs = torch.empty(pairs, device=device), torch.empty((pairs, top), device=device)
        greedy = torch.empty(pairs, dtype=torch.bool, device=device)
        return cls(numbers, asked, logprobs, greedy, top_logprobs.long(), top_logprobs)

    def put(self, pairs: Tensor, rows: Tensor, targets: Tensor, logits: Tensor) -> None:
        """Takes over `pairs`, which are `targets` at `rows` of `logits` (rows, vocabulary)."""
        sums = logits.logsumexp(-1)
        self.logprobs[pairs] = logits[rows, targets] - sums[rows]
        self.greedy[pairs] = logits.argmax(-1)[rows] == targets
        if size := self.top.shape[1]:
            values, names = logits.topk(size)
            self.top[pairs], self.top_logprobs[pairs] = names[rows], (values - sums[:, None])[rows]

    def split(self) -> Iterator[tuple[int, Found]]:
        """Yields what was found for each sequence, with its number."""
        logprobs, greedy = self.logprobs.tolist(), self.greedy.tolist()
        top, top_logprobs = self.top.tolist(), self.top_logprobs.tolist()
        start = 0
        for number, one in zip(self.numbers, self.asked, strict=True):
            own, every = (
                slice(start, start + len(one.ids) - one.first),
                slice(start, start + len(one.ids) - one.first + one.after),
            )
            names = [row[: one.top] for row in top[every]] if one.top else []
            values = [row[: one.top] for row in top_logprobs[every]] if one.top else []
            yield number, Found(logprobs[own], greedy[own], names, values)
            start = every.stop
