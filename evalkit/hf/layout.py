"""Attention over the packed tree of `evalkit.hf.tree`.

A token's attention is computed in parts: over its own node, and over each node above it, whose keys all of
its descendants share. The parts are joined by their normalisers, as flash attention joins its blocks, so the
result is that of a whole sequence up to rounding. On a GPU in 16 bits each part is one call of PyTorch's
flash attention for sequences of different lengths; everywhere else there is one call with a mask.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from evalkit.hf.attention import Runs, causal, flash, is_fast, masked
from evalkit.hf.tree import Ids, Pass

_T = TypeVar("_T")


class OnEach(Generic[_T]):
    """What is made once on each device: the layers of a model may be on several."""

    def __init__(self, make: Callable[[torch.device], _T]) -> None:
        self._make = make
        self._made: dict[torch.device, _T] = {}

    def __call__(self, device: torch.device) -> _T:
        if device not in self._made:
            self._made[device] = self._make(device)
        return self._made[device]


class Layout:
    """A pass. `compiled`: whether the parts are joined by compiled code."""

    def __init__(self, packed: Pass, *, compiled: bool = False) -> None:
        self._packed, self.compiled = packed, compiled
        self._parts, self._seen = OnEach(self.parts), OnEach(self.seen)
        self.longest = int(packed.positions.max()) + 1
        self._levels = int(packed.levels.max())

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float | None) -> Tensor:
        """See `evalkit.hf.attention.Attends`."""
        if len(self._packed.starts) == 1:
            return causal(query, key, value, scaling)
        if not is_fast(query, value):
            parts = [
                masked(query[own], key[places], value[places], scaling)
                for own, places in self._seen(query.device)
            ]
            return torch.cat(parts)
        own, *above = self._parts(query.device)
        joined = _compiled_joined() if self.compiled else _joined
        found, lse = flash(query, key, value, own, scaling, causal=True)
        for part in above:
            found, lse = joined(found, lse, *flash(query, key, value, part, scaling, causal=False))
        return found

    def parts(self, device: torch.device) -> list[Runs]:
        """The attention of each node over itself, and then over the nodes above, level by level."""
        packed = self._packed
        own = np.append(packed.starts, len(packed.tokens))
        above = (self._above(level, device) for level in range(self._levels))
        return [_part(own, own, np.diff(own), device), *above]

    def _above(self, level: int, device: torch.device) -> Runs:
        """The attention over the nodes of `level`. What is no descendant of one of them sees no keys."""
        packed = self._packed
        known = packed.levels == level
        starts, ends, last = packed.starts[known], packed.ends[known], packed.last[known]
        # each node is followed by its descendants, which see its keys, and by what is not below it
        queries = np.stack([starts, ends, last], axis=1).ravel()
        keys = np.stack([starts, starts, last], axis=1).ravel()
        used = np.stack([np.zeros_like(starts), ends - starts, np.zeros_like(starts)], axis=1).ravel()
        size = [len(packed.tokens)]
        keys[2::3][:-1] = keys[3::3]  # a run without keys must not have any that would be left out
        borders = np.concatenate([[0], queries, size])
        keys, used = np.concatenate([[0], keys, [keys[-1]]]), np.concatenate([[0], used])
        return _part(borders, keys, used, device)

    def seen(self, device: torch.device) -> list[tuple[slice, Tensor]]:
        """(a node's own tokens, all tokens that its last one sees, in order) for each node."""
        packed, above, found = self._packed, list[Ids](), []
        nodes = zip(*(one.tolist() for one in (packed.levels, packed.starts, packed.ends)), strict=True)
        for level, start, end in nodes:
            above[level:] = [np.arange(start, end)]
            places = torch.from_numpy(np.concatenate(above)).to(device)
            found.append((slice(start, end), places))
        return found


def _part(queries: Ids, keys: Ids, used: Ids, device: torch.device) -> Runs:
    longest = int(np.diff(queries).max()), int(np.diff(keys).max())
    on = [torch.from_numpy(one.astype(np.int32)).to(device) for one in (queries, keys, used)]
    return Runs(on[0], on[1], on[2], longest)


def _joined(left: Tensor, left_lse: Tensor, right: Tensor, right_lse: Tensor) -> tuple[Tensor, Tensor]:
    """The attention over the keys of two parts. FlashAttention 2 gives one without keys an lse of inf."""
    right_lse = right_lse.masked_fill(right_lse == math.inf, -math.inf)
    lse = torch.logaddexp(left_lse, right_lse)
    by = [(one - lse).exp().transpose(0, 1)[..., None] for one in (left_lse, right_lse)]
    return (left * by[0] + right * by[1]).to(left.dtype), lse


@functools.cache
def _compiled_joined() -> Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]:
    compiled: Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
    compiled = torch.compile(_joined, dynamic=True)
    return compiled
