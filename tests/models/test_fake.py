"""Models that do what they are told."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterable

import pytest

from evalkit.errors import ProviderError, UsageError
from evalkit.models import Model, open_model
from evalkit.models.base import Request, Response, TokenLogprob
from evalkit.models.fake import FakeModel
from evalkit.models.likelihood import letter_scores
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
        ("fake/gold?logprobs=no", "logprobs=no is neither on nor off"),
    ],
)
def test_options_that_are_none(spec: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        open_model(spec)
    assert said in str(refused.value)


# -- log-probabilities -----------------------------------------------------------------------------------


def first_token(model: Model, request: Request) -> TokenLogprob:
    (found,) = asyncio.run(model.generate(request)).logprobs
    return found


@pytest.mark.parametrize(
    ("said", "token", "others"),
    [
        (" A", " A", [" B", " C", " D", " E"]),
        ("C", "C", ["A", "B", "D", "E"]),
        ("B.", "B", ["A", "C", "D", "E"]),
        (" (A)", " (", [" A", " B", " C", " D"]),
        ("The answer", "The", ["A", "B", "C", "D"]),
        ("\n\nD", "\n\nD", ["\n\nA", "\n\nB", "\n\nC", "\n\nE"]),
        ("", "<|end|>", ["A", "B", "C", "D"]),
        ("   ", "   ", ["   A", "   B", "   C", "   D"]),
    ],
)
def test_the_first_token_has_log_probabilities(said: str, token: str, others: list[str]) -> None:
    found = first_token(open_model("fake/gold"), Request("Answer:", 8, logprobs=5, gold=said))
    assert found.token == token
    assert list(found.top) == [token, *others]
    assert math.exp(found.logprob) == pytest.approx(0.9)
    assert found.top[token] == found.logprob
    assert sum(map(math.exp, found.top.values())) < 1
    assert first_token(open_model("fake/gold"), Request("Answer:", 8, logprobs=1, gold=said)).top == {
        token: found.logprob
    }


def test_the_likeliest_letter_is_the_one_that_is_said() -> None:
    """As a perfect model's or a failing one's, on both routes; other answers decide nothing."""
    for api, prompt, form in (("completion", "Answer:", " {}"), ("chat", (Message("user", "Which?"),), "{}")):
        for index, letter in enumerate("ABCD"):
            request = Request(prompt, 1, logprobs=20, gold=form.format(letter), spoiled=form.format("B"))
            for spec, best in (("fake/gold", index), ("fake/gold?wrong=1", 1)):
                token = first_token(open_model(spec), request)
                scores = letter_scores(token, "ABCD", api=api, asked=20)  # type: ignore[arg-type]
                assert None not in scores.scores
                assert scores.best() == (best, False)


def test_only_what_asks_for_log_probabilities_gets_them() -> None:
    scripted = Response("B", logprobs=(TokenLogprob("B", -0.5, {"B": -0.5}),))
    model = FakeModel(lambda request, draw: scripted)
    assert asyncio.run(model.generate(Request("Answer:", 8, logprobs=5))) == scripted
    assert asyncio.run(open_model("fake/gold").generate(ASKED)).logprobs == ()


def test_an_endpoint_without_likelihoods_can_be_tried() -> None:
    model = open_model("fake/gold?logprobs=off")
    assert model.capabilities == {"chat", "completion", "transcription", "image", "audio"}
    assert asyncio.run(model.generate(Request("Answer:", 8, logprobs=5, gold="B"))).logprobs == ()
    assert open_model("fake/gold").capabilities == {
        "chat",
        "completion",
        "transcription",
        "image",
        "audio",
        "logprobs",
    }
    assert model.identity != open_model("fake/gold").identity
    assert open_model("fake/gold?logprobs=on").identity == open_model("fake/gold").identity


def test_it_has_no_log_probabilities_of_prompts() -> None:
    with pytest.raises(ProviderError, match="--set likelihood=next-token") as refused:
        asyncio.run(open_model("fake/gold").generate(Request("2 + 2 = 4", 1, logprobs=1, echo=True)))
    assert refused.value.fatal
