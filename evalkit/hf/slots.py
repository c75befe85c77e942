"""The keys and values of texts that are being generated: a slot for each, of the same length.

Prompts are read as a tree (`Filling`), so that 32 samples of one prompt, and the examples that many prompts
begin with, are computed once. Then the texts grow by one token each (`Following`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evalkit.hf.attention import Runs, flash, is_fast
from evalkit.hf.layout import Layout, OnEach
from evalkit.hf.tree import Ids, Pass


class Slots:
    """`count` slots of `length` tokens in each layer, which are made when the layer is first computed."""

    def __init__(self, count: int, length: int) -> None:
        self.count, self.length = count, length
        self._kept: dict[int, tuple[Tensor, Tensor]] = {}

    @staticmethod
    def affordable(model: Any, length: int, share: float) -> int:
        """How many slots of `length` tokens fit into `share` of the GPU's free memory; at least 1."""
        config = model.config.get_text_config()
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        each: int = 2 * config.num_hidden_layers * heads * size * length * model.dtype.itemsize
        free, _ = torch.cuda.mem_get_info(model.device)
        return max(1, int(free * share) // each)

    def put(self, layer: int, places: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Keeps the keys and values of tokens at `places`, and returns all: (slots x length, heads, size)."""
        if layer not in self._kept:
            size = self.count * self.length
            self._kept[layer] = (key.new_zeros(size, *key.shape[1:]), value.new_zeros(size, *value.shape[1:]))
        keys, values = self._kept[layer]
        keys[places], values[places] = key, value
        return keys, values


class Filling(Layout):
    """A pass over prompts whose keys and values are kept. `into`: the slot of each sequence of the pass."""

    def __init__(self, packed: Pass, slots: Slots, into: dict[int, int]) -> None:
        super().__init__(packed)
        self._slots = slots
        sources = [packed.places(number, 0) for number in into]
        places = [
            slot * slots.length + np.arange(len(one))
            for slot, one in zip(into.values(), sources, strict=True)
        ]
        self._sources, self._places = _on_each(np.concatenate(sources)), _on_each(np.concatenate(places))

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float | None) -> Tensor:
        """See `evalkit.hf.attention.Attends`."""
        sources, places = self._sources(key.device), self._places(key.device)
        self._slots.put(layer, places, key[sources], value[sources])
        return super().attend(layer, query, key, value, scaling)


class Following:
    """One further token of the texts in `numbers`, rising; `lengths`: of each text, with that token."""

    def __init__(self, slots: Slots, numbers: Sequence[int], lengths: Sequence[int]) -> None:
        self._slots = slots
        self._numbers, self._lengths = np.array(numbers), np.array(lengths)
        self.longest = int(self._lengths.max())
        self.positions = _on_each(self._lengths - 1)
        self._places = _on_each(self._starts + self._lengths - 1)
        self._runs = OnEach(self._made_runs)

    @property
    def _starts(self) -> Any:
        return self._numbers * self._slots.length

    def _made_runs(self, device: torch.device) -> Runs:
        queries = np.arange(len(self._numbers) + 1)
        keys = np.append(self._starts, self._starts[-1] + self._slots.length)
        on = [torch.from_numpy(one.astype(np.int32)).to(device) for one in (queries, keys, self._lengths)]
        return Runs(on[0], on[1], on[2], (1, self.longest))

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float | None) -> Tensor:
        """See `evalkit.hf.attention.Attends`."""
        device = query.device
        keys, values = self._slots.put(layer, self._places(device), key, value)
        if is_fast(query, value):
            return flash(query, keys, values, self._runs(device), scaling, causal=False)[0]
        places = torch.from_numpy(self._starts[:, None] + np.arange(self.longest)).to(device)
        seen = torch.arange(self.longest, device=device) <= self.positions(device)[:, None]
        groups = query.shape[1] // key.shape[1]
        found = torch.nn.functional.scaled_dot_product_attention(
            query[:, :, None],
            keys[places].transpose(1, 2).repeat_interleave(groups, dim=1),
            values[places].transpose(1, 2).repeat_interleave(groups, dim=1),
            attn_mask=seen[:, None, None],
            scale=scaling,
        )
        return found[:, :, 0]


def _on_each(values: Ids) -> OnEach[Tensor]:
    return OnEach(torch.from_numpy(values).to)
