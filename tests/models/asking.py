"""Asks a model as the tests of backends do, with one provider's key in the environment and no other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from evalkit.errors import ProviderError
from evalkit.keys import VARIABLES
from evalkit.models.base import Model, Request, Response
from evalkit.samples import Message

KEY = "pk-3f9a7c21d4e8b6505a1e"
ASKED = Request((Message("user", "How many legs has a spider?"),), 64)


def asked_of(model: Model, *requests: Request) -> list[Response]:
    """The model's responses, one after the other; it is closed after them."""

    async def asking() -> list[Response]:
        try:
            return [await model.generate(request) for request in requests]
        finally:
            await model.aclose()

    return asyncio.run(asking())


def error_of(ask: Callable[[], object]) -> ProviderError:
    """The error that `ask` raises."""
    with pytest.raises(ProviderError) as raised:
        ask()
    return raised.value


def only_key(monkeypatch: pytest.MonkeyPatch, name: str = "") -> None:
    """Sets the variable `name` to `KEY`, and removes those of all other providers."""
    for other in VARIABLES:
        monkeypatch.delenv(other, raising=False)
    if name:
        monkeypatch.setenv(name, KEY)
