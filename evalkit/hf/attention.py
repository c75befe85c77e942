"""Attention over the packed tree of `evalkit.hf.tree`, for models whose attention transformers can replace.

A token's attention is computed in parts: over its own node, and over each node above it, whose keys all of
its descendants share. The parts are joined by their normalisers, as flash attention joins its blocks, so the
result is that of a whole sequence up to rounding. On a GPU in 16 bits each part is one call of PyTorch's
flash attention for sequences of different lengths; everywhere else there is one call with a mask.
"""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evalkit.hf.tree import Ids, Pass

NAME = "evalkit_tree"
"""The name under which transformers knows `tree_attention`."""
_now = threading.local()
_OTHER = ("softcap", "s_aux", "position_bias", "alibi")
"""What some models give to their attention, and this one does not compute."""


class UnsupportedAttention(Exception):
    """The model's attention is not plain causal attention."""


@dataclass(frozen=True, slots=True)
class _Part:
    """One part of the attention, in runs of queries that have the same keys.

    `queries`, `keys`: of shape (runs + 1,): where each run begins. `used`: of shape (runs,): how many of its
    keys are seen, counted from the first one. `longest`: the longest run of queries and of keys.
    """

    queries: Tensor
    keys: Tensor
    used: Tensor
    longest: tuple[int, int]


class Layout:
    """A pass on the device of the model. `compiled`: whether the parts are joined by compiled code."""

    def __init__(self, packed: Pass, device: torch.device, *, compiled: bool = False) -> None:
        self._packed, self._device, self.compiled = packed, device, compiled
        self.longest = int(packed.positions.max()) + 1
        self._levels = int(packed.levels.max())

    @cached_property
    def parts(self) -> list[_Part]:
        """The attention of each node over itself, and then over the nodes above, level by level."""
        packed = self._packed
        own = np.append(packed.starts, len(packed.tokens))
        return [self._part(own, own, np.diff(own)), *(self._above(level) for level in range(self._levels))]

    def _above(self, level: int) -> _Part:
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
        return self._part(borders, np.concatenate([[0], keys, [keys[-1]]]), np.concatenate([[0], used]))

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

    def _part(self, queries: Ids, keys: Ids, used: Ids) -> _Part:
        longest = int(np.diff(queries).max()), int(np.diff(keys).max())
        on = [torch.from_numpy(one.astype(np.int32)).to(self._device) for one in (queries, keys, used)]
        return _Part(on[0], on[1], on[2], longest)


@contextmanager
def over(layout: Layout) -> Iterator[None]:
    """Within it, the attention `NAME` of this thread is that over `layout`."""
    _now.layout = layout
    try:
        yield
    finally:
        del _now.layout


@torch.compiler.disable  # type: ignore[untyped-decorator]
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
    own, *above = layout.parts
    joined = _compiled_joined() if layout.compiled else _joined
    found, lse = _flash(query, key, value, own, scaling, causal=True)
    for part in above:
        found, lse = joined(found, lse, *_flash(query, key, value, part, scaling, causal=False))
    return found


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


def _flash(
    query: Tensor, key: Tensor, value: Tensor, part: _Part, scaling: float | None, *, causal: bool
) -> tuple[Tensor, Tensor]:
    """(output, log of the normaliser) of one part; the latter of shape (heads, tokens), in 32 bits."""
    found = torch.ops.aten._flash_attention_forward(
        query, key, value, part.queries, part.keys, *part.longest, 0.0, causal, False,
        scale=scaling, seqused_k=part.used,
    )  # fmt: skip
    return found[0], found[1]
