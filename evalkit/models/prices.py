"""What the tokens of a model cost: a small dated table (prices.toml), and files of the user's in its form."""

from __future__ import annotations

import dataclasses
import fnmatch
import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from evalkit.convert import Readable, from_json, read_toml
from evalkit.errors import UsageError
from evalkit.models.base import Model, Response
from evalkit.models.replicas import Replicas
from evalkit.models.usage import CACHED, WRITTEN

_MILLION = 1_000_000
_RATES = ("input", "output", "cached", "written", "audio")
_R = TypeVar("_R", bound="Rates")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """US dollars for a million tokens. What is None costs as much as other input.

    `cached`, `written`: tokens of the prompt that the endpoint reads from its cache, or writes to it.
    `audio`: the tokens of a prompt with clips, all of them, because responses do not tell its parts apart.
    `output`: generated tokens, with those of thinking.
    """

    input: float
    output: float
    cached: float | None = None
    written: float | None = None
    audio: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Above(Rates):
    """The rates of a request whose prompt has more than so many `tokens`."""

    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Price(Rates):
    """A row of the table. `models`: names such as `openai/gpt-4o`, with `*`, `?` and `[…]` as in file names.

    `batch`: the factor of requests that are sent as a batch. `above`: other rates of long prompts. `valid`:
    the date on which the price was looked up at `source`.
    """

    models: tuple[str, ...]
    batch: float = 1.0
    above: Above | None = None
    valid: str = ""
    source: str = ""

    def in_batch(self) -> Price:
        """The price of requests that are sent as a batch."""
        above = None if self.above is None else _times(self.above, self.batch)
        return dataclasses.replace(_times(self, self.batch), above=above, batch=1.0)

    def cost(
        self, prompt: float, output: float, *, cached: int = 0, written: int = 0, audio: bool = False
    ) -> float:
        """US dollars for a request with so many tokens. `cached` and `written` are part of `prompt`."""
        rates, rate = self._rates(prompt, audio)
        found = rate * max(0.0, prompt - cached - written) + rates.output * output
        found += cached * (rate if rates.cached is None else rates.cached)
        found += written * (rate if rates.written is None else rates.written)
        return found / _MILLION

    def most(self, prompt: float, output: float, *, audio: bool = False) -> float:
        """The most US dollars for a request with so many tokens, whatever the endpoint caches."""
        rates, rate = self._rates(prompt, audio)
        return (
            max(rate, rates.cached or 0.0, rates.written or 0.0) * prompt + rates.output * output
        ) / _MILLION

    def _rates(self, prompt: float, audio: bool) -> tuple[Rates, float]:
        """(the rates of a prompt with so many tokens, that of its input)."""
        rates: Rates = self
        if self.above is not None and prompt > self.above.tokens:
            rates = self.above
        return rates, rates.input if rates.audio is None or not audio else rates.audio

    def paid(self, response: Response, prompt: float, output: float, *, audio: bool = False) -> float:
        """US dollars for a response; `prompt` and `output` are the numbers of tokens if it names none."""
        tokens = dict(response.tokens)
        if response.prompt_tokens is not None:
            prompt = response.prompt_tokens
        if response.completion_tokens is not None:
            output = response.completion_tokens
        cached, written = tokens.get(CACHED, 0), tokens.get(WRITTEN, 0)
        return self.cost(prompt, output, cached=cached, written=written, audio=audio)


def _times(rates: _R, factor: float) -> _R:
    found = {name: getattr(rates, name) for name in _RATES}
    return dataclasses.replace(
        rates, **{name: rate * factor for name, rate in found.items() if rate is not None}
    )


@dataclass(frozen=True, slots=True)
class Prices:
    """The rows of a file of the user's, which go before evalkit's own."""

    given: tuple[Price, ...] = ()

    def of(self, model: Model) -> Price | None:
        """The price of a model, by its name; None if there is none.

        evalkit's own prices are those of the providers' own endpoints: a model at another address has none.
        """
        name = model.name.partition("?")[0]
        return _first(self.given, name) or (listed_price(name) if _at_provider(model) else None)

    def check(self, models: Iterable[Model]) -> None:
        """Raises `UsageError`, which says how to give a price, if one of the models has none."""
        for model in models:
            if self.of(model) is None:
                raise UsageError(
                    f"the price of {model.name} is not known: give it with --prices FILE.toml, which has "
                    f'[[price]] models = ["{model.name}"] input = … output = … (US dollars for a million '
                    "tokens; 0 for a model that costs nothing)"
                )


def read_prices(path: Path | None) -> Prices:
    """The prices of the file at `path`, and evalkit's own. Raises `UsageError` that names it."""
    return Prices(() if path is None else _read(path))


@functools.cache
def known_prices() -> tuple[Price, ...]:
    """The rows of evalkit's own table."""
    return _read(resources.files("evalkit.models").joinpath("prices.toml"))


def listed_price(name: str) -> Price | None:
    """The row of evalkit's own table for a model at its provider's own endpoint, by its name."""
    return _first(known_prices(), name.partition("?")[0])


def _read(place: Readable) -> tuple[Price, ...]:
    document = read_toml(place)
    rows = document.pop("price", None)
    if document or not isinstance(rows, list):
        wrong = ", ".join(document) or "nothing"
        raise UsageError(f"{place}: must have tables [[price]] alone, and has {wrong}")
    return tuple(_row(row, f"{place}, price {number}") for number, row in enumerate(rows, 1))


def _row(row: Any, where: str) -> Price:
    """Raises `UsageError` for a field that is wrong, and for a price that is negative or infinite."""
    price = from_json(Price, _dated(row), where)
    if not price.models:
        raise UsageError(f"{where}: models names none")
    factors: Sequence[tuple[str, float | None]] = [
        *((name, getattr(rates, name)) for rates in (price, price.above) if rates for name in _RATES),
        ("batch", price.batch),
    ]
    for name, value in factors:
        if value is not None and not 0 <= value < math.inf:
            raise UsageError(f"{where}: {name} must be a number of at least 0, not {value}")
    return price


def _dated(row: Any) -> Any:
    """The row with its date, which TOML has a type for, as a text."""
    if isinstance(row, Mapping) and hasattr(row.get("valid"), "isoformat"):
        return {**row, "valid": row["valid"].isoformat()}
    return row


def _first(rows: Sequence[Price], name: str) -> Price | None:
    return next((row for row in rows if any(fnmatch.fnmatchcase(name, one) for one in row.models)), None)


def _at_provider(model: Model) -> bool:
    """Whether a model is at its provider's own endpoint."""
    from evalkit.models.http import OPENAI
    from evalkit.models.providers import PROVIDERS

    members = model.members if isinstance(model, Replicas) else (model,)
    provider = PROVIDERS.get(model.name.partition("/")[0])
    own = OPENAI if provider is None else provider.service.url
    return all(getattr(one, "base_url", None) == own for one in members)
