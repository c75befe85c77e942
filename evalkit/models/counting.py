"""Counts the tokens of texts and prompts, other than by an estimate: with a tokeniser, or by an endpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, runtime_checkable

from evalkit.errors import ProviderError, UsageError, one_line
from evalkit.models.base import Model, Request
from evalkit.models.replicas import Replicas
from evalkit.needs import load

_WITHOUT = "leave --count-with endpoint out, or give --count-with tokenizer.json"


@runtime_checkable
class _CountsInput(Protocol):
    async def count_input(self, request: Request) -> int: ...


def tokenizer_at(path: Path) -> Callable[[str], float]:
    """What counts the tokens of a text by a tokenizer.json, or by the one in a model's folder.

    Raises `UsageError` if there is none, or the package `tokenizers` is missing.
    """
    file = path / "tokenizer.json" if path.is_dir() else path
    if not file.is_file():
        raise UsageError(f"--count-with {path}: must be endpoint, a tokenizer.json or a folder with one")
    tokenizers = load("tokenizers", "--count-with FILE", "pip install tokenizers")
    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(file))
    except Exception as error:  # noqa: BLE001 — the library raises nothing more specific
        raise UsageError(f"{file} is no tokenizer.json: {one_line(error, 200)}") from None
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


async def count_at_endpoint(model: Model, request: Request) -> int:
    """The tokens of a request's prompt by the model's endpoint. Raises `UsageError` if it does not count."""
    one = model.members[0] if isinstance(model, Replicas) else model
    if not isinstance(one, _CountsInput):
        raise UsageError(f"{model.name} has no endpoint that counts tokens: {_WITHOUT}")
    try:
        return await one.count_input(request)
    except ProviderError as error:
        raise UsageError(f"{model.name} counts no tokens ({error}): {_WITHOUT}") from None
