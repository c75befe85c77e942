"""Models that do what they are told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

import pytest

from evalkit.errors import ProviderError, UsageError
from evalkit.models import Model, open_model
from evalkit.models.base import Request, Response
from evalkit.models.fake import FakeModel
from evalkit.samples import Message

ASKED = Request((Message("system", "Be brief."), Message("user", "2 + 2?")), 8, gold="4", spoiled="5")
MANY = [Request(f"{k} + {k}?", 8, gold=str(2 * k), spoiled="none") for k in range(1000)]


def texts(model: Model, requests: Iterable[Request], draw: int = 0) -> list[str]:
    """What it says to each, asked once; "" for an error."""

    async def one(request: Request) -> str:
        try:
            return (await model.generate(request, draw=draw)).text
        except ProviderError as error:
            return "" if error.retryable and error.throttled and not error.fatal else "another error"

    async def asking() -> list[str]:
        found = [await one(request) for request in requests]
        await model.aclose()
        return found

    return asyncio.run(asking())


def test_the_three_that_have_names() -> None:
    text = Request("To be continued", 8, gold="now")
    assert texts(open_model("fake/gold"), [ASKED, text]) == ["4", "now"]
    assert texts(open_model("fake/echo"), [ASKED, text]) == ["2 + 2?", "To be continued"]
    assert texts(open_model("fake/fixed?text=so+be%20it"), [ASKED, text]) == ["so be it"] * 2
    assert texts(open_model("fake/fixed"), [ASKED]) == [""]


def test_a_script_sees_the_request_and_the_draw() -> None:
    whole = Response("cut", finish="length", completion_tokens=1)
    model = FakeModel(lambda request, draw: whole if draw else f"{request.max_tokens}")
    assert texts(model, [ASKED]) == ["8"]
    assert asyncio.run(model.generate(ASKED, draw=1)) is whole
    assert model.asked == 2


def test_a_share_is_wrong_and_the_same_share_every_time() -> None:
    first = texts(open_model("fake/gold?wrong=0.3"), MANY)
    wrong = [k for k, text in enumerate(first) if text == "none"]
    assert 250 < len(wrong) < 350
    assert all(text == str(2 * k) for k, text in enumerate(first) if k not in wrong)
    assert texts(open_model("fake/gold?wrong=0.3"), MANY) == first
    backwards = texts(open_model("fake/gold?wrong=0.3"), reversed(MANY))
    assert backwards == first[::-1], "the order of asking changes nothing"
    assert texts(open_model("fake/gold?wrong=0.3&seed=1"), MANY) != first
    assert texts(open_model("fake/gold?wrong=0.3"), MANY, draw=1) != first
    assert set(texts(open_model("fake/gold?wrong=1"), MANY)) == {"none"}
    assert "none" not in texts(open_model("fake/gold?wrong=0"), MANY)


def test_a_share_of_attempts_fails_and_the_next_attempt_is_another() -> None:
    model = open_model("fake/gold?errors=0.5")
    rounds = [texts(model, MANY) for _ in range(3)]
    for found in rounds:
        assert 400 < found.count("") < 600
    assert rounds[0] != rounds[1] != rounds[2]
    again = open_model("fake/gold?errors=0.5")
    assert [texts(again, MANY) for _ in range(3)] == rounds
    assert set(texts(open_model("fake/gold?errors=1"), MANY[:20])) == {""}


def test_a_delay_is_kept() -> None:
    started = time.perf_counter()
    assert texts(open_model("fake/gold?delay=0.05"), [ASKED, ASKED]) == ["4", "4"]
    assert time.perf_counter() - started >= 0.1


def test_what_decides_the_answers_is_the_identity() -> None:
    plain = open_model("fake/gold").identity
    assert open_model("fake/gold?errors=0.5&delay=1").identity == plain
    for other in ("fake/echo", "fake/fixed?text=4", "fake/gold?wrong=0.5", "fake/gold?seed=1"):
        assert open_model(other).identity != plain
    assert open_model("fake/fixed?text=4").identity != open_model("fake/fixed?text=5").identity


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("fake/golden", "unknown fake model 'golden': did you mean gold?"),
        ("fake/gold?wrnog=0.1", "unknown option of fake 'wrnog': did you mean wrong?"),
        ("fake/gold?wrong=many", "wrong=many"),
        ("fake/gold?wrong", "wrong=:"),
        ("fake/gold?wrong=1.1", "wrong=1.1 is no share between 0 and 1"),
        ("fake/gold?errors=-0.1", "errors=-0.1 is no share between 0 and 1"),
        ("fake/gold?errors=nan", "errors=nan is no share between 0 and 1"),
        ("fake/gold?delay=-1", "delay=-1.0 is no number of seconds"),
        ("fake/gold?delay=inf", "delay=inf is no number of seconds"),
        ("fake/gold?seed=0.5", "seed=0.5"),
        ("fake/gold?seed=nan", "seed=nan"),
    ],
)
def test_options_that_are_none(spec: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        open_model(spec)
    assert said in str(refused.value)
