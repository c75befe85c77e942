"""Prompts with pictures and clips, put together into batches.

Each prompt is prepared alone, so that what the model sees of it does not depend on the others: processors pad
pictures and clips of several sizes to the largest, which not all models leave out again. Prompts whose
pictures and clips have the same shapes are put together, one after the other; only their texts are padded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from evalkit.hf.rows import Row

_Numbered: TypeAlias = list[tuple[int, Row]]
_WAITING = 2**31
"""The most bytes of pictures and clips that wait for others of their shapes."""


def batches(
    rows: Iterable[tuple[int, Row]], most_rows: Callable[[], int], most_tokens: int
) -> Iterator[_Numbered]:
    """Yields the numbered rows in batches: at most `most_rows()`, and `most_tokens` when they are padded.

    A longer row is a batch of its own. `rows` are read as they are needed, because pictures are large.
    """
    waiting: dict[object, _Numbered] = {}
    for number, row in rows:
        shapes = _shapes(row)
        batch = waiting.setdefault(shapes, [])
        width = max(len(one.ids) for one in (*(one for _, one in batch), row))
        if batch and (len(batch) >= most_rows() or width * (len(batch) + 1) > most_tokens):
            yield batch
            waiting[shapes] = batch = []
        batch.append((number, row))
        while sum(_size(one) for same in waiting.values() for _, one in same) > _WAITING:
            largest = max(waiting, key=lambda key: sum(_size(one) for _, one in waiting[key]))
            yield waiting.pop(largest)
    yield from (batch for batch in waiting.values() if batch)


def together(rows: Sequence[Row], width: int, model: Any) -> dict[str, Any]:
    """What the model reads beside ids and mask, of rows with the same shapes, padded on the left to `width`.

    Numbers that are not whole have the model's precision.
    """
    found: dict[str, Any] = {}
    for name, first in rows[0].inputs.items():
        if not _can_join(first):
            found[name] = first  # of a row that is alone
            continue
        tensors = [row.inputs[name] for row in rows]
        if all(_by_token(one, row) for one, row in zip(tensors, rows, strict=True)):
            tensors = [
                torch.nn.functional.pad(one, (0, 0) * (one.dim() - 2) + (width - one.shape[1], 0))
                for one in tensors
            ]
        joined = torch.cat(tensors).to(model.device)
        found[name] = joined.to(model.dtype) if joined.is_floating_point() else joined
    return found


def _can_join(value: object) -> bool:
    return isinstance(value, Tensor) and value.dim() > 0


def _by_token(values: Tensor, row: Row) -> bool:
    """Whether there is one of them for each token of the prompt, such as whether it stands for a picture."""
    return values.dim() >= 2 and tuple(values.shape[:2]) == (1, len(row.ids))


def _shapes(row: Row) -> object:
    """What rows of one batch have in common."""
    if not all(_can_join(one) for one in row.inputs.values()):
        return id(row)
    return tuple(
        (name, one.dtype, "tokens", one.shape[2:])
        if _by_token(one, row)
        else (name, one.dtype, "", one.shape[1:])
        for name, one in sorted(row.inputs.items())
    )


def _size(row: Row) -> int:
    return sum(one.nbytes for one in row.inputs.values() if isinstance(one, Tensor))
