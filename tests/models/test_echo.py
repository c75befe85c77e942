"""A prompt's own tokens, told from those that were generated after it."""

from __future__ import annotations

import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import ProviderError, UsageError
from evalkit.models.base import Request, Response, TokenLogprob
from evalkit.models.echo import split_echo
from evalkit.models.openai import OpenAIModel
from evalkit.runfile.encoding import checked
from evalkit.samples import Message
from tests.openai_server import Echo, NextToken, OpenAIServer

PROMPT = "Water is wet"
ECHOED = Request(PROMPT, 1, logprobs=2, echo=True)


def tokens(*texts: str) -> tuple[TokenLogprob, ...]:
    return tuple(TokenLogprob(text, -float(k) if k else math.nan, {}) for k, text in enumerate(texts))


def split(prompt: str, text: str, *texts: str) -> tuple[str, list[str], list[str]]:
    generated, before, after = split_echo(prompt, text, tokens(*texts))
    assert "".join(token.token for token in before) in ("", prompt)
    return generated, [token.token for token in before], [token.token for token in after]


def test_the_prompt_ends_where_its_text_does() -> None:
    assert split(PROMPT, "Water is wet.", "Water", " is", " wet", ".") == (
        ".",
        ["Water", " is", " wet"],
        ["."],
    )
    assert split(PROMPT, PROMPT, "Water", " is", " wet") == ("", ["Water", " is", " wet"], [])
    assert split(PROMPT, PROMPT, "Water", " is", " wet", "</s>") == (
        "",
        ["Water", " is", " wet"],
        ["</s>"],
    )


def test_a_token_of_the_server_s_own_is_left_out() -> None:
    """vLLM lists the token that begins a text; its own is then nothing the prompt contains."""
    _, before, after = split_echo(PROMPT, "Water is wet.", tokens("<s>", "Water", " is", " wet", ".", "</s>"))
    assert [(one.token, one.logprob) for one in before] == [("Water", -1), (" is", -2), (" wet", -3)]
    assert [one.token for one in after] == [".", "</s>"]
    assert split("<s>A", "<s>AB", "<s>", "A", "B") == ("B", ["<s>", "A"], ["B"])


def test_spaces_that_a_token_lost_when_it_was_decoded_alone() -> None:
    """As SGLang does with SentencePiece's tokens."""
    assert split(PROMPT, "Water is wet.", "<s>", "Water", "is", "wet", ".") == (
        ".",
        ["Water", " is", " wet"],
        ["."],
    )


@pytest.mark.parametrize(
    ("prompt", "generated", "texts", "expected"),
    [
        ("a 🙂 b", "!", ("a", " \ufffd", "\ufffd", "\ufffd", " b", "!"), ["a", "", "", " 🙂", " b"]),
        ("🙂", "!", ("\ufffd\ufffd", "\ufffd", "!"), ["", "🙂"]),
        ("a🙂", "", ("a", "\ufffd", "\ufffd"), ["a", "", "🙂"]),
        ("∀∃x", "!", ("\ufffd", "\ufffd", "\ufffd", "\ufffd", "x", "!"), ["", "", "", "∀∃", "x"]),
        ("a🙂b", "!", ("a", "", "", "🙂", "b", "!"), ["a", "", "", "🙂", "b"]),  # vLLM's newer way
        ("�x", "!", ("�", "x", "!"), ["�", "x"]),
    ],
)
def test_characters_that_come_in_pieces(
    prompt: str, generated: str, texts: tuple[str, ...], expected: list[str]
) -> None:
    found, before, after = split(prompt, prompt + generated, *texts)
    assert (found, before, after) == (generated, expected, [generated] if generated else [])


def test_what_was_not_echoed_has_no_prompt() -> None:
    assert split(PROMPT, " and clear", " and", " clear") == (" and clear", [], [" and", " clear"])
    assert split(PROMPT, "Water is wet.") == (".", [], [])


@pytest.mark.parametrize(
    "texts",
    [
        ("Water", " is"),
        ("Water", " was", " wet", "."),
        ("<s>", "<x>", "Water", " is", " wet"),
        ("Water", "\ufffd", " wet."),
        ("\ufffd", "."),
        ("Water", " is", " wet and", "."),
    ],
)
def test_tokens_that_are_not_the_prompt_s(texts: tuple[str, ...]) -> None:
    with pytest.raises(ProviderError, match="tokens do not match the prompt"):
        split(PROMPT, "Water is wet.", *texts)


@pytest.mark.slow
@given(st.lists(st.text("ab \n é🙂", min_size=1, max_size=4), min_size=1, max_size=8), st.integers(1, 8))
def test_any_cut_of_a_text_into_tokens_is_found_again(texts: list[str], at: int) -> None:
    prompt, generated = "".join(texts[:at]), "".join(texts[at:])
    assert split(prompt, prompt + generated, *texts) == (generated, texts[:at], texts[at:])


# -- over HTTP -------------------------------------------------------------------------------------------


def next_word(text: str) -> dict[str, float]:
    """ " is" after "Water", " wet" after " is", and so on."""
    likely = {"Water": " is", "is": " wet", "wet": " and", "and": " is"}[(text.split() or ["and"])[-1]]
    return {likely: 0.5, " or": 0.25, " not": 0.125}


def ask(request: Request, echo: Echo = "right", next_token: NextToken | None = next_word) -> Response:
    async def asking(url: str) -> Response:
        model = OpenAIModel("tiny", url)
        try:
            return await model.generate(request)
        finally:
            await model.aclose()

    with OpenAIServer(lambda payload, route: " and more", next_token=next_token, echo=echo) as server:
        response = asyncio.run(asking(server.url))
        assert [asked.payload.get("echo") for asked in server.requests] == [request.echo or None]
        return response


def test_echo_that_is_right() -> None:
    response = ask(ECHOED)
    assert response.text == " and"
    first, *rest = response.prompt_logprobs
    assert (first.token, first.top) == ("Water", {})
    assert math.isnan(first.logprob)
    half = math.log(0.5)
    assert [(one.token, one.logprob) for one in rest] == [(" is", half), (" wet", half)]
    assert rest[0].top == {" is": half, " or": math.log(0.25)}
    assert [(one.token, one.logprob) for one in response.logprobs] == [(" and", half)]


def test_echo_that_is_off_by_one() -> None:
    """Each token has the probability that it had after itself: the word that follows is at 0.5 there."""
    response = ask(ECHOED, "off by one")
    assert [one.token for one in response.prompt_logprobs] == ["Water", " is", " wet"]
    assert response.prompt_logprobs[1].logprob < math.log(0.01)
    assert response.prompt_logprobs[1].top[" wet"] == math.log(0.5)


def test_echo_that_is_ignored() -> None:
    response = ask(ECHOED, "ignored")
    assert response.text == " and"
    assert response.prompt_logprobs == ()
    assert [one.token for one in response.logprobs] == [" and"]


def test_without_echo_nothing_of_the_prompt_is_returned() -> None:
    response = ask(Request(PROMPT, 1, logprobs=2))
    assert response.text == " and"
    assert response.prompt_logprobs == ()
    assert [one.token for one in response.logprobs] == [" and"]


def test_a_script_s_answer_is_echoed_too() -> None:
    response = ask(Request(PROMPT, 9, logprobs=1, echo=True), next_token=None)
    assert response.text == " and more"
    assert [one.token for one in response.prompt_logprobs] == ["Water", " is", " wet"]
    assert [one.token for one in response.logprobs] == [" and", " more"]


def test_only_a_text_to_continue_is_echoed() -> None:
    for logprobs in (0, 1):
        with pytest.raises(UsageError, match="echo needs a text to continue"):
            Request((Message("user", PROMPT),), 1, logprobs=logprobs, echo=True)


def test_log_probabilities_are_requested_for_an_echo_without_alternatives() -> None:
    """Not with `logprobs` 0, for which some servers return none."""
    response = ask(Request(PROMPT, 1, echo=True))
    assert [one.token for one in response.prompt_logprobs] == ["Water", " is", " wet"]
    assert [one.logprob for one in response.prompt_logprobs][1:] == pytest.approx([math.log(0.5)] * 2)
    kept = checked(response, Request(PROMPT, 1, echo=True)).prompt_logprobs
    assert [(one.token, one.top) for one in kept] == [("Water", {}), (" is", {}), (" wet", {})]
    assert checked(response, ECHOED).prompt_logprobs == response.prompt_logprobs


def test_the_key_of_a_request_without_echo_is_what_it_was() -> None:
    plain = Request(PROMPT, 1, logprobs=2)
    assert "echo" not in plain.body()
    assert plain.encoded()[0].hex() == "bf57a663cc7f49078bd6803ef8f3b0f2"
    assert ECHOED.body() == plain.body() | {"echo": True}
    assert ECHOED.encoded()[0] != plain.encoded()[0]
