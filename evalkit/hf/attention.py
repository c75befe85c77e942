"""Attention over the packed tree of `evalkit.hf.tree`, for models whose attention transformers can replace.

A token's attention is computed in parts: over its own node, and over each node above it, whose keys all of
its descendants share. The parts are joined by their normalisers, as flash attention joins its blocks, so the
result is that of a whole sequence up to rounding. On a GPU in 16 bits each part is one call of PyTorch's
flash attention for sequences of different lengths; everywhere else there is one call with a mask.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from evalkit.hf.tree import LEVELS, Pass

NAME = "evalkit_tree"
"""The name under which transformers knows `tree_attention`."""
_now = threading.local()
_OTHER = ("softcap", "s_aux", "position_bias", "alibi")
"""What some models give to their attention, and this one does not compute."""


class UnsupportedAttention(Exception):
    """The model's attention is not plain causal attention."""


@dataclass(frozen=True, slots=True)
class _Part:
    """The attention of the tokens `queries` over the tokens `keys`, in runs that belong together.

    `queries`, `keys`: of shape (tokens,), or a slice if they are one run. `cu_queries`, `cu_keys`: of shape
    (runs + 1,), where each run begins. `longest`: the longest run of queries and of keys.
    """

    queries: Tensor | slice
    keys: Tensor | slice
    cu_queries: Tensor
    cu_keys: Tensor
    longest: tuple[int, int]


class Layout:
    """A pass on the device of the model."""

    def __init__(self, packed: Pass, device: torch.device) -> None:
        self._packed, self._device = packed, device
        self.longest = int(packed.positions.max()) + 1

    @cached_property
    def own(self) -> _Part:
        """The attention of each node over itself."""
        starts, ends = self._packed.starts, self._packed.ends
        return self._part([(s, e, s, e) for s, e in zip(starts.tolist(), ends.tolist(), strict=True)])

    @cached_property
    def above(self) -> list[_Part]:
        """The attention over the nodes above, level by level."""
        packed = self._packed
        rows = zip(
            *(one.tolist() for one in (packed.levels, packed.starts, packed.ends, packed.last)), strict=True
        )
        shared = [(level, (end, last, start, end)) for level, start, end, last in rows if last > end]
        return [
            self._part(runs)
            for level in range(LEVELS)
            if (runs := [run for known, run in shared if known == level])
        ]

    @cached_property
    def mask(self) -> Tensor:
        """Which tokens (columns) each token (rows) sees; of shape (tokens, tokens)."""
        packed, size = self._packed, len(self._packed.tokens)
        seen = torch.zeros((size, size), dtype=torch.bool)
        for start, end, last in zip(
            *(x.tolist() for x in (packed.starts, packed.ends, packed.last)), strict=True
        ):
            seen[end:last, start:end] = True
            seen[start:end, start:end] = torch.ones((end - start, end - start), dtype=torch.bool).tril()
        return seen.to(self._device)

    def _part(self, runs: list[tuple[int, int, int, int]]) -> _Part:
        """The part of runs of (first query, last query, first key, last key)."""
        sides = [[(run[0], run[1]) for run in runs], [(run[2], run[3]) for run in runs]]
        (queries, cu_queries), (keys, cu_keys) = (self._side(side) for side in sides)
        longest = [max(end - start for start, end in side) for side in sides]
        return _Part(queries, keys, cu_queries, cu_keys, (longest[0], longest[1]))

    def _side(self, runs: list[tuple[int, int]]) -> tuple[Tensor | slice, Tensor]:
        sizes = torch.tensor([0] + [end - start for start, end in runs])
        borders = sizes.cumsum(0).to(self._device, torch.int32)
        if all(left[1] == right[0] for left, right in itertools.pairwise(runs)):
            return slice(runs[0][0], runs[-1][1]), borders
        return torch.cat([torch.arange(start, end) for start, end in runs]).to(self._device), borders


@contextmanager
def over(layout: Layout) -> Iterator[None]:
    """Within it, the attention `NAME` of this thread is that over `layout`."""
    _now.layout = layout
    try:
        yield
    finally:
        del _now.layout


def tree_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **given: Any,
) -> tuple[Tensor, None]:
    """Attention over the layout of `over`, with the signature of transformers' attention functions.

    `query`: of shape (1, heads, tokens, size); `key` and `value` may have fewer heads, each for a group of
    the query's. Returns the attention's output, of shape (1, tokens, heads, size). Raises
    `UnsupportedAttention` if the model wants something else than causal attention over all that precedes.
    """
    layout: Layout = _now.layout
    window = given.get("sliding_window")
    named = [name for name in _OTHER if given.get(name) is not None]
    if named or query.shape[2] != key.shape[2] or query.shape[0] != 1 or attention_mask is not None:
        raise UnsupportedAttention(", ".join(named) or "a cache or a mask")
    if window and window < layout.longest:
        raise UnsupportedAttention(f"a window of {window} tokens")
    if (
        query.is_cuda
        and query.dtype in (torch.float16, torch.bfloat16)
        and value.shape[-1] == query.shape[-1]
    ):
        queries, keys, values = (one[0].transpose(0, 1) for one in (query, key, value))
        return _in_parts(layout, queries, keys, values, scaling)[None], None
    found = torch.nn.functional.scaled_dot_product_attention(
        query, *(_repeated(one, query.shape[1]) for one in (key, value)), attn_mask=layout.mask, scale=scaling
    )
    return found.transpose(1, 2), None


def _repeated(heads: Tensor, count: int) -> Tensor:
    return heads if heads.shape[1] == count else heads.repeat_interleave(count // heads.shape[1], dim=1)


def _in_parts(layout: Layout, query: Tensor, key: Tensor, value: Tensor, scaling: float | None) -> Tensor:
    """The same, part by part. All are of shape (tokens, heads, size)."""
    found, lse = _flash(query, key, value, layout.own, scaling, causal=True)
    if not layout.above:
        return found
    joined = found.float()
    for part in layout.above:
        more, at = _flash(query[part.queries], key[part.keys], value[part.keys], part, scaling, causal=False)
        ours = lse[part.queries]
        both = torch.logaddexp(ours, at)
        mine = joined[part.queries] * (ours - both).exp()[..., None]
        joined[part.queries] = mine.addcmul_(more, (at - both).exp()[..., None])
        lse[part.queries] = both
    return joined.to(query.dtype)


def _flash(
    query: Tensor, key: Tensor, value: Tensor, part: _Part, scaling: float | None, *, causal: bool
) -> tuple[Tensor, Tensor]:
    """(output, log of the normaliser) of one part; the latter of shape (tokens, heads), in 32 bits."""
    found = torch.ops.aten._flash_attention_forward(
        query, key, value, part.cu_queries, part.cu_keys, *part.longest, 0.0, causal, False, scale=scaling
    )
    return found[0], found[1].transpose(0, 1).contiguous()
