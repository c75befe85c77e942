"""Models that do what they are told."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable
from typing import TypeAlias

import pytest

from evalkit.errors import ProviderError, UsageError
from evalkit.models import open_model
from evalkit.models.base import Request, Response, TokenLogprob
from evalkit.models.fake import GOLD, FakeModel, Hints
from evalkit.models.likelihood import letter_scores
from evalkit.samples import Message

Hinting: TypeAlias = tuple[Request, Hints]


def hinting(request: Request, gold: str, wrong: str = "") -> Hinting:
    return request, Hints(lambda: gold, lambda: wrong)


ASKED = hinting(Request((Message("system", "Be brief."), Message("user", "2 + 2?")), 8), "4", "5")
MANY = [hinting(Request(f"{k} + {k}?", 8), str(2 * k), "none") for k in range(1000)]


def fake(spec: str) -> FakeModel:
    model = open_model(spec)
    assert isinstance(model, FakeModel)
    return model


def texts(model: FakeModel, requests: Iterable[Hinting], draw: int = 0) -> list[str]:
    """What it says to each, asked once; "" for an error."""

    async def one(hinted: Hinting) -> str:
        try:
            return (await model.generate_hinted(*hinted, draw=draw)).text
        except ProviderError as error:
            return "" if error.retryable and error.throttled and not error.fatal else "another error"

    async def asking() -> list[str]:
        found = [await one(request) for request in requests]
        await model.aclose()
        return found

    return asyncio.run(asking())


def test_the_three_that_have_names() -> None:
    text = hinting(Request("To be continued", 8), "now")
    assert texts(fake("fake/gold"), [ASKED, text]) == ["4", "now"]
    assert texts(fake("fake/echo"), [ASKED, text]) == ["2 + 2?", "To be continued"]
    assert texts(fake("fake/fixed?text=so+be%20it"), [ASKED, text]) == ["so be it"] * 2
    assert texts(fake("fake/fixed"), [ASKED]) == [""]


def test_a_script_sees_the_request_and_the_draw() -> None:
    whole = Response("cut", finish="length", completion_tokens=1)
    model = FakeModel(lambda request, draw: whole if draw else f"{request.max_tokens}")
    assert texts(model, [ASKED]) == ["8"]
    assert asyncio.run(model.generate(ASKED[0], draw=1)) is whole
    assert model.asked == 2


def test_a_share_is_wrong_and_the_same_share_every_time() -> None:
    first = texts(fake("fake/gold?wrong=0.3"), MANY)
    wrong = [k for k, text in enumerate(first) if text == "none"]
    assert 250 < len(wrong) < 350
    assert all(text == str(2 * k) for k, text in enumerate(first) if k not in wrong)
    assert texts(fake("fake/gold?wrong=0.3"), MANY) == first
    backwards = texts(fake("fake/gold?wrong=0.3"), reversed(MANY))
    assert backwards == first[::-1], "the order of asking changes nothing"
    assert texts(fake("fake/gold?wrong=0.3&seed=1"), MANY) != first
    assert texts(fake("fake/gold?wrong=0.3"), MANY, draw=1) != first
    assert set(texts(fake("fake/gold?wrong=1"), MANY)) == {"none"}
    assert "none" not in texts(fake("fake/gold?wrong=0"), MANY)


def test_a_share_of_attempts_fails_and_the_next_attempt_is_another() -> None:
    model = fake("fake/gold?errors=0.5")
    rounds = [texts(model, MANY) for _ in range(3)]
    for found in rounds:
        assert 400 < found.count("") < 600
    assert rounds[0] != rounds[1] != rounds[2]
    again = fake("fake/gold?errors=0.5")
    assert [texts(again, MANY) for _ in range(3)] == rounds
    assert set(texts(fake("fake/gold?errors=1"), MANY[:20])) == {""}


def test_a_delay_is_kept() -> None:
    started = time.perf_counter()
    assert texts(fake("fake/gold?delay=0.05"), [ASKED, ASKED]) == ["4", "4"]
    assert time.perf_counter() - started >= 0.1


def test_what_decides_the_answers_is_the_identity() -> None:
    plain = fake("fake/gold").identity
    assert fake("fake/gold?errors=0.5&delay=1").identity == plain
    for other in ("fake/echo", "fake/fixed?text=4", "fake/gold?wrong=0.5", "fake/gold?seed=1"):
        assert open_model(other).identity != plain
    assert fake("fake/fixed?text=4").identity != fake("fake/fixed?text=5").identity


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("fake/golden", "unknown fake model 'golden': did you mean gold?"),
        ("fake/gold?wrnog=0.1", "unknown option of fake 'wrnog': did you mean wrong?"),
        ("fake/gold?wrong=many", "wrong=many"),
        ("fake/gold?wrong", "wrong= is not a number"),
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


def first_token(model: FakeModel, hinted: Hinting) -> TokenLogprob:
    (found,) = asyncio.run(model.generate_hinted(*hinted)).logprobs
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
    found = first_token(fake("fake/gold"), hinting(Request("Answer:", 8, logprobs=5), said))
    assert found.token == token
    assert list(found.top) == [token, *others]
    assert math.exp(found.logprob) == pytest.approx(0.9)
    assert found.top[token] == found.logprob
    assert sum(map(math.exp, found.top.values())) < 1
    assert first_token(fake("fake/gold"), hinting(Request("Answer:", 8, logprobs=1), said)).top == {
        token: found.logprob
    }


def test_the_likeliest_letter_is_the_one_that_is_said() -> None:
    """As a perfect model's or a failing one's, on both routes; other answers decide nothing."""
    for api, prompt, form in (("completion", "Answer:", " {}"), ("chat", (Message("user", "Which?"),), "{}")):
        for index, letter in enumerate("ABCD"):
            request = hinting(Request(prompt, 1, logprobs=20), form.format(letter), form.format("B"))
            for spec, best in (("fake/gold", index), ("fake/gold?wrong=1", 1)):
                token = first_token(fake(spec), request)
                scores = letter_scores(token, "ABCD", api=api, asked=20)  # type: ignore[arg-type]
                assert None not in scores.scores
                assert scores.best() == (best, False)


def test_only_what_asks_for_log_probabilities_gets_them() -> None:
    scripted = Response("B", logprobs=(TokenLogprob("B", -0.5, {"B": -0.5}),))
    model = FakeModel(lambda request, draw: scripted)
    assert asyncio.run(model.generate(Request("Answer:", 8, logprobs=5))) == scripted
    assert asyncio.run(fake("fake/gold").generate_hinted(*ASKED)).logprobs == ()


def test_an_endpoint_without_likelihoods_can_be_tried() -> None:
    model = fake("fake/gold?logprobs=off")
    likelihoods = {"logprobs", "echo", "likelihood"}
    assert model.capabilities == fake("fake/gold").capabilities - likelihoods
    assert asyncio.run(model.generate_hinted(*hinting(Request("Answer:", 8, logprobs=5), "B"))).logprobs == ()
    assert fake("fake/gold").capabilities >= likelihoods
    assert model.identity != fake("fake/gold").identity
    assert fake("fake/gold?logprobs=on").identity == fake("fake/gold").identity


@pytest.mark.parametrize(
    ("spec", "best"), [("fake/gold", 1), ("fake/gold?wrong=1", 2), ("fake/fixed?text=w", 3)]
)
def test_what_it_would_say_is_the_likeliest_continuation(spec: str, best: int) -> None:
    request = Request("Which?", 0, continuations=("x", " yes", "\nz and z", " w"))
    response = asyncio.run(fake(spec).generate_hinted(*hinting(request, "yes", "z and z")))
    figures = [one.logprob for one in response.likelihoods]
    assert figures.index(max(figures)) == best
    assert [one.text for one in response.likelihoods] == list(request.continuations)
    assert [one.greedy for one in response.likelihoods] == [index == best for index in range(4)]
    assert [one.tokens for one in response.likelihoods] == [1, 1, 3, 1]
    assert response.text == ""


def test_it_echoes_a_prompt_with_figures_that_depend_on_what_stands_before() -> None:
    def echoed(prompt: str) -> tuple[TokenLogprob, ...]:
        request = Request(prompt, 1, logprobs=1, echo=True)
        return asyncio.run(fake("fake/gold").generate_hinted(*hinting(request, "4"))).prompt_logprobs

    first, *rest = echoed("2 + 2 = 4 ")
    assert "".join(token.token for token in (first, *rest)) == "2 + 2 = 4 "
    assert math.isnan(first.logprob)
    assert all(-4 <= token.logprob <= 0 for token in rest)
    assert echoed("2 + 2 = 4 ")[1:] == tuple(rest)
    assert echoed("2 + 2 = 5 ")[1:5] == tuple(rest)[:3] + (
        TokenLogprob(" 5", rest[3].logprob, {" 5": rest[3].logprob}),
    )
    assert echoed("3 + 2 = 4 ")[1].logprob != rest[0].logprob


# -- hints -----------------------------------------------------------------------------------------------


def test_hints_are_worked_out_only_where_they_are_said() -> None:
    called: list[str] = []

    def say(what: str) -> Callable[[], str]:
        def call() -> str:
            called.append(what)
            return what

        return call

    async def ask(model: FakeModel) -> str:
        return (await model.generate_hinted(ASKED[0], Hints(say("gold"), say("wrong")))).text

    for spec, needed in [
        ("fake/gold", ["gold"]),
        ("fake/gold?wrong=1", ["wrong"]),
        ("fake/fixed?text=4", []),
        ("fake/fixed?text=4&wrong=1", ["wrong"]),
        ("fake/echo", []),
    ]:
        called.clear()
        asyncio.run(ask(fake(spec)))
        assert called == needed, spec


def test_without_hints_there_is_nothing_it_could_say_instead() -> None:
    for model in (FakeModel(GOLD), FakeModel(lambda request, draw: "4", wrong=1.0)):
        with pytest.raises(ProviderError, match="it cannot be a judge") as refused:
            asyncio.run(model.generate(ASKED[0]))
        assert refused.value.fatal
    assert asyncio.run(FakeModel(lambda request, draw: "4").generate(ASKED[0])).text == "4"
