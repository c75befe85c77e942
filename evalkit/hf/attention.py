"""The attention that evalkit gives to models of transformers: over one row of tokens, laid out as it likes.

A model reads one row, in which each token has its position and sees what the layout says: a tree of prompts
(`evalkit.hf.layout`), or places in a cache of keys (`evalkit.hf.slots`). Nothing is padded. It takes the
place of the model's own attention if that is plain causal attention, which every model of transformers with
the `AttentionInterface` lets one replace.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

NAME = "evalkit"
"""The name under which transformers knows `attention`."""
_now = threading.local()
_OTHER = ("softcap", "s_aux", "position_bias", "alibi")
"""What some models give to their attention, and this one does not compute."""


class UnsupportedAttention(Exception):
    """The model's attention is not plain causal attention."""


@dataclass(frozen=True, slots=True)
class Runs:
    """One part of an attention, in runs of queries that have the same keys.

    `queries`, `keys`: of shape (runs + 1,): where each run begins. `used`: of shape (runs,): how many of its
    keys are seen, counted from the first one. `longest`: the longest run of queries and of keys.
    """

    queries: Tensor
    keys: Tensor
    used: Tensor
    longest: tuple[int, int]


class Attends(Protocol):
    """What the tokens of a row see. `longest`: the most tokens that one of them may see."""

    longest: int

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float | None) -> Tensor:
        """The attention's output in a layer, of shape (tokens, heads, size), as `query`.

        `key` and `value`: of the row's own tokens. They may have fewer heads, each for a group.
        """
        ...


@contextmanager
def over(layout: Attends) -> Iterator[None]:
    """Within it, the attention `NAME` of this thread is that over `layout`."""
    _now.layout = layout
    try:
        yield
    finally:
        del _now.layout


@contextmanager
def replaced(model: Any) -> Iterator[None]:
    """Within it, the attention of `model` is that over the layout. Raises `UnsupportedAttention`."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, attention)
    before = _implementations(model.config)
    model.set_attn_implementation(NAME)
    try:
        if model.config._attn_implementation != NAME:
            raise UnsupportedAttention("only its own computation")
        yield
    finally:
        model.set_attn_implementation(before)


def _implementations(config: Any) -> str | dict[str, Any]:
    """The attention of a model, and those of the models inside it, which may differ from it."""
    own = config._attn_implementation
    inside = {
        name: _implementations(part)
        for name in getattr(config, "sub_configs", {})
        if (part := getattr(config, name, None)) is not None
    }
    return {"": own, **inside} if inside else own


@torch.compiler.disable  # type: ignore[untyped-decorator]
def attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **given: Any,
) -> tuple[Tensor, None]:
    """The attention over the layout of `over`, with the signature of transformers' attention functions.

    `query`, `key`, `value`: of shape (1, heads, tokens, size). Returns the output, of shape
    (1, tokens, heads, size). Raises `UnsupportedAttention` if the model wants another one.
    """
    layout: Attends = _now.layout
    window = given.get("sliding_window")
    named = [name for name in _OTHER if given.get(name) is not None]
    if named or query.shape[2] != key.shape[2] or query.shape[0] != 1 or attention_mask is not None:
        raise UnsupportedAttention(", ".join(named) or "a cache or a mask")
    if window and window < layout.longest:
        raise UnsupportedAttention(f"a window of {window} tokens")
    rows = [one[0].transpose(0, 1) for one in (query, key, value)]
    layer: Any = getattr(module, "layer_idx", 0)
    return layout.attend(layer, rows[0], rows[1], rows[2], scaling)[None], None


def is_fast(query: Tensor, value: Tensor) -> bool:
    """Whether `flash` computes it."""
    halves = query.dtype in (torch.float16, torch.bfloat16)
    return query.is_cuda and halves and value.shape[-1] == query.shape[-1]


def flash(
    query: Tensor, key: Tensor, value: Tensor, runs: Runs, scaling: float | None, *, causal: bool
) -> tuple[Tensor, Tensor]:
    """(output, log of the normaliser) of one part; the latter of shape (heads, tokens), in 32 bits."""
    found = torch.ops.aten._flash_attention_forward(
        query, key, value, runs.queries, runs.keys, *runs.longest, 0.0, causal, False,
        scale=scaling, seqused_k=runs.used,
    )  # fmt: skip
    return found[0], found[1]


def masked(query: Tensor, key: Tensor, value: Tensor, scaling: float | None) -> Tensor:
    """The attention of the last tokens of a text over all of it, both of (tokens, heads, size)."""
    groups = query.shape[1] // key.shape[1]
    heads = [one.transpose(0, 1)[None] for one in (query, key, value)]
    seen = torch.ones((len(query), len(key)), dtype=torch.bool, device=query.device)
    found = torch.nn.functional.scaled_dot_product_attention(
        heads[0],
        heads[1].repeat_interleave(groups, dim=1),
        heads[2].repeat_interleave(groups, dim=1),
        attn_mask=seen.tril(len(key) - len(query)),
        scale=scaling,
    )
    return found[0].transpose(0, 1)


def causal(query: Tensor, key: Tensor, value: Tensor, scaling: float | None) -> Tensor:
    """The attention of one text of (tokens, heads, size), by the kernel that PyTorch prefers."""
    heads = [one.transpose(0, 1)[None] for one in (query, key, value)]
    found = torch.nn.functional.scaled_dot_product_attention(
        heads[0], heads[1], heads[2], is_causal=True, scale=scaling, enable_gqa=True
    )
    return found[0].transpose(0, 1)
