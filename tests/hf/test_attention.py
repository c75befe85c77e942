"""The attention in parts, with a plain flash attention that returns what a GPU's returns."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from evalkit.hf import layout as layouts  # noqa: E402
from evalkit.hf.attention import UnsupportedAttention, attention, over  # noqa: E402
from evalkit.hf.layout import Layout  # noqa: E402
from evalkit.hf.tree import Pass, passes  # noqa: E402

pytestmark = pytest.mark.slow  # torch takes seconds to import


def flash(
    query: Any, key: Any, value: Any, part: Any, scaling: float | None, *, causal: bool
) -> tuple[Any, Any]:
    """FlashAttention 2 for runs of different lengths: nothing seen gives zeros and a normaliser of +inf."""
    found, lse = torch.zeros_like(query), torch.full((query.shape[1], len(query)), math.inf)
    runs = zip(
        *(one.tolist() for one in (part.queries[:-1], part.queries[1:], part.keys, part.used)), strict=False
    )
    for start, end, first, used in runs:
        if used and end > start:
            scores = torch.einsum("qhd,khd->hqk", query[start:end], key[first : first + used]) * (
                scaling or 1
            )
            if causal:
                seen = torch.ones((end - start, used), dtype=torch.bool).tril()
                scores = scores.masked_fill(~seen, -math.inf)
            lse[:, start:end] = scores.logsumexp(-1)
            found[start:end] = torch.einsum("hqk,khd->qhd", scores.softmax(-1), value[first : first + used])
    return found, lse


def mask(packed: Pass) -> Any:
    """Which tokens (columns) each token (rows) of a pass sees."""
    seen = torch.zeros((len(packed.tokens), len(packed.tokens)), dtype=torch.int)
    for start, end, last in zip(
        *(one.tolist() for one in (packed.starts, packed.ends, packed.last)), strict=True
    ):
        seen[end:last, start:end] = 1
        seen[start:end, start:end] = torch.ones((end - start, end - start), dtype=torch.int).tril()
    return seen


def sequences(seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    pieces = [rng.integers(0, 9, size) for size in (30, 20, 17, 40, 3)]
    return [np.concatenate([pieces[n] for n in rng.integers(0, 5, rng.integers(1, 5))]) for _ in range(12)]


@pytest.mark.parametrize("seed", range(6))
def test_the_parts_together_are_the_attention_with_a_mask(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for packed in passes(sequences(seed), 400):
        layout = Layout(packed)
        size = len(packed.tokens)
        query, key, value = (torch.randn(1, 4, size, 8) for _ in range(3))
        with over(layout):
            found, _ = attention(torch.nn.Module(), query, key, value, None, scaling=0.3)
        seen = mask(packed)
        masked = torch.nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=seen.bool(), scale=0.3
        ).transpose(1, 2)
        assert torch.allclose(found, masked, atol=1e-5)
        rows = [one[0].transpose(0, 1) for one in (query, key, value)]
        with monkeypatch.context() as patched:
            patched.setattr(layouts, "is_fast", lambda *_: True)
            patched.setattr(layouts, "flash", flash)
            in_parts = layout.attend(0, rows[0], rows[1], rows[2], 0.3)
        assert torch.allclose(in_parts, masked[0], atol=1e-5)
        covered = torch.zeros((size, size), dtype=torch.int)
        for number, part in enumerate(layout.parts(torch.device("cpu"))):
            for start, end, first, used in zip(
                *(one.tolist() for one in (part.queries[:-1], part.queries[1:], part.keys, part.used)),
                strict=False,
            ):
                block = torch.ones((end - start, used), dtype=torch.int)
                covered[start:end, first : first + used] += block if number else block.tril()
        assert torch.equal(covered, seen)


def test_another_attention_than_all_that_precedes_is_refused() -> None:
    (packed,) = passes([np.arange(30)], 100)
    some = torch.randn(1, 2, 30, 8)
    with over(Layout(packed)):
        attention(torch.nn.Module(), some, some, some, None, sliding_window=30)
        for given in ({"sliding_window": 29}, {"softcap": 30.0}, {"s_aux": some}):
            with pytest.raises(UnsupportedAttention):
                attention(torch.nn.Module(), some, some, some, None, **given)
        with pytest.raises(UnsupportedAttention):
            attention(torch.nn.Module(), some[:, :, :1], some, some, None)


def test_several_heads_share_keys() -> None:
    (packed,) = passes([np.arange(30)], 100)
    query, key = torch.randn(1, 4, 30, 8), torch.randn(1, 2, 30, 8)
    with over(Layout(packed)):
        found, _ = attention(torch.nn.Module(), query, key, key, None)
    whole = torch.nn.functional.scaled_dot_product_attention(query, key, key, is_causal=True, enable_gqa=True)
    assert torch.allclose(found, whole.transpose(1, 2), atol=1e-6)
