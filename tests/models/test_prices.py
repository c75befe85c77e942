"""evalkit's table of prices, files in its form, and what a response costs by them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from evalkit.errors import UsageError
from evalkit.models import open_model
from evalkit.models.base import Response
from evalkit.models.fake import FakeModel
from evalkit.models.prices import Above, Price, known_prices, read_prices
from evalkit.models.usage import CACHED, WRITTEN

TIERED = Price(
    models=("any/*",),
    input=2.0,
    output=10.0,
    cached=0.5,
    written=2.5,
    audio=4.0,
    above=Above(tokens=200_000, input=4.0, output=15.0),
)


def test_every_price_of_the_table_has_a_date_and_a_source_and_is_plausible() -> None:
    for price in known_prices():
        assert re.fullmatch(r"20\d\d-\d\d-\d\d", price.valid), price
        assert price.source.startswith("https://"), price
        assert 0 < (price.cached or price.input) <= price.input < price.output, price
        assert price.batch == 0.5, price


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("openai/gpt-4o", 2.5),
        ("openai/gpt-4o-2024-08-06", 2.5),
        ("openai/gpt-4o-mini-2024-07-18", 0.15),
        ("anthropic/claude-sonnet-4-5-20250929", 3.0),
        ("anthropic/claude-haiku-4-5?cache=on", 1.0),
        ("gemini/gemini-2.5-flash", 0.3),
        ("openai/gpt-4o-audio-preview", None),
        ("openai/gpt-5-pro", None),
        ("anthropic/claude-3-opus-20240229", None),
    ],
)
def test_models_are_found_by_name(name: str, known: float | None) -> None:
    price = read_prices(None).of(open_model(name))
    assert (price and price.input) == known


def test_at_another_address_a_model_has_no_price_but_the_users(tmp_path: Path) -> None:
    mine = open_model("openai/gpt-4o", base_url="http://127.0.0.1:9/v1")
    assert read_prices(None).of(mine) is None
    path = tmp_path / "prices.toml"
    path.write_text('[[price]]\nmodels = ["openai/gpt-*"]\ninput = 7\noutput = 8\n', encoding="utf-8")
    for model in (mine, open_model("openai/gpt-4o")):  # it goes before evalkit's own
        price = read_prices(path).of(model)
        assert price is not None
        assert price.input == 7


def test_a_response_costs_what_its_tokens_do() -> None:
    plain = Response("", prompt_tokens=1000, completion_tokens=100)
    assert TIERED.paid(plain, 0, 0) == pytest.approx((2 * 1000 + 10 * 100) / 1e6)
    assert TIERED.paid(plain, 0, 0, audio=True) == pytest.approx((4 * 1000 + 10 * 100) / 1e6)
    cached = Response("", prompt_tokens=1000, completion_tokens=0, tokens=((CACHED, 600), (WRITTEN, 300)))
    assert TIERED.paid(cached, 0, 0) == pytest.approx((2 * 100 + 0.5 * 600 + 2.5 * 300) / 1e6)
    assert TIERED.paid(Response("x"), 50, 5) == pytest.approx((2 * 50 + 10 * 5) / 1e6)
    long = Response("", prompt_tokens=200_001, completion_tokens=10)
    assert TIERED.paid(long, 0, 0) == pytest.approx((4 * 200_001 + 15 * 10) / 1e6)


def test_the_bound_is_above_whatever_is_cached() -> None:
    for cached, written in ((0, 0), (900, 0), (0, 900), (500, 500)):
        assert TIERED.cost(1000, 10, cached=cached, written=written) <= TIERED.most(1000, 10)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[[price]]\nmodels = ['a']\ninput = 1", "price 1 has no output"),
        (
            "[[price]]\nmodels = ['a']\ninput = -1\noutput = 1",
            "price 1: input must be a number of at",
        ),
        (
            "[[price]]\nmodels = ['a']\ninput = inf\noutput = 1",
            "at least 0, not inf",
        ),
        (
            "[[price]]\nmodels = ['a']\ninput = nan\noutput = 1",
            "at least 0, not nan",
        ),
        ("[[price]]\nmodels = ['a']\ninput = '1'\noutput = 1", "must be a number"),
        ("[[price]]\nmodels = ['a']\ninptu = 1\noutput = 1", "did you mean input"),
        ("[[price]]\nmodels = []\ninput = 1\noutput = 1", "models names none"),
        (
            "[[price]]\nmodels = ['a']\ninput = 1\noutput = 1\nabove = {tokens = 5, input = -2, output = 1}",
            "input must be a number of at least 0, not -2",
        ),
        ("[price]\ninput = 1", r"must have tables \[\[price\]\] alone"),
        ("prices = 3", r"must have tables \[\[price\]\] alone, and has prices"),
        ("[[price", "is not valid TOML"),
    ],
)
def test_a_file_that_is_wrong_is_named_with_the_place(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=problem) as raised:
        read_prices(path)
    assert str(path) in str(raised.value)


def test_a_model_without_a_price_is_told_how_to_give_one() -> None:
    with pytest.raises(UsageError, match=r"the price of fake/callable is not known: give it with --prices"):
        read_prices(None).check([FakeModel(lambda request, draw: "")])
