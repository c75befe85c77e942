"""Letters' likelihoods from the next token, and continuations' from an echoed prompt, over real HTTP."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lm_eval.api.task import ConfigurableTask

from evalkit.errors import ProviderError, UsageError
from evalkit.models.base import Likelihood, Request, Response, TokenLogprob
from evalkit.models.likelihood import LetterScores, composed, echoed_likelihood, letter_scores, probe_echo
from evalkit.models.openai import OpenAIModel
from evalkit.samples import Message
from tests.openai_server import Echo, NextToken, OpenAIServer

NAN = math.nan


def token(top: dict[str, float], said: str = "", *, extra: float | None = None) -> TokenLogprob:
    """A first token with these probabilities as alternatives; `extra`: that of `said`, if it is none."""
    logs = {text: math.log(p) for text, p in top.items()}
    said = said or max(top, key=lambda text: top[text])
    return TokenLogprob(said, math.log(extra) if extra is not None else logs[said], logs)


def scored(found: LetterScores) -> list[float | None]:
    """As probabilities, rounded."""
    return [None if score is None else round(math.exp(score), 6) for score in found.scores]


@pytest.mark.parametrize("space", [" ", "▁", "Ġ"])
def test_a_text_to_continue_is_read_in_the_spaced_form(space: str) -> None:
    top = {f"{space}B": 0.4, "A": 0.3, f"{space}D": 0.1, "\n": 0.1}
    found = letter_scores(token(top), "ABCD", api="completion", asked=4)
    assert scored(found) == [None, 0.4, None, 0.1]
    assert found.form == "spaced"
    assert found.best() == (1, False), "what is left, 0.1, is less than B has"
    chat = letter_scores(token(top), "ABCD", api="chat", asked=4)
    assert scored(chat) == [0.3, None, None, None]
    assert (chat.form, chat.best()) == ("bare", (0, False))


def test_the_other_form_is_read_only_where_the_first_has_no_letter() -> None:
    bare = {"C": 0.5, "A": 0.2, " The": 0.2}
    found = letter_scores(token(bare), "ABCD", api="completion", asked=3)
    assert (scored(found), found.form) == ([0.2, None, 0.5, None], "bare")
    spaced = {" C": 0.5, " A": 0.2, "The": 0.2}
    found = letter_scores(token(spaced), "ABCD", api="chat", asked=3)
    assert (scored(found), found.form) == ([0.2, None, 0.5, None], "spaced")
    neither = letter_scores(token({"The": 0.6, "(": 0.3}), "ABCD", api="chat", asked=2)
    assert (neither.scores, neither.form, neither.best()) == ((None,) * 4, "bare", (None, True))


def test_of_two_spellings_of_a_letter_the_likelier_counts() -> None:
    found = letter_scores(token({"ĠA": 0.1, " A": 0.3, " B": 0.2}), "AB", api="completion", asked=3)
    assert scored(found) == [0.3, 0.2]


def test_what_a_letter_is_no_spelling_of() -> None:
    top = {" a": 0.3, "  B": 0.2, " AB": 0.1, " C.": 0.1, "А": 0.1, " D": 0.05}  # the А is Cyrillic
    found = letter_scores(token(top), "ABCD", api="completion", asked=6)
    assert scored(found) == [None, None, None, 0.05]
    assert found.best() == (3, True)


def test_a_letter_that_was_not_returned_has_a_bound() -> None:
    # The third most likely alternative has 0.2, so whatever is left, 0.25, no other has more than 0.2.
    found = letter_scores(token({" A": 0.3, " B": 0.25, " x": 0.2}), "ABCD", api="completion", asked=3)
    assert found.bound == pytest.approx(math.log(0.2))
    assert found.best() == (0, False)
    # Here 0.05 are left, less than any alternative has.
    found = letter_scores(token({" x": 0.85, " A": 0.1}), "ABCD", api="completion", asked=2)
    assert found.bound == pytest.approx(math.log(0.05))
    assert found.best() == (0, False)
    # And here another letter may have as much as A: the bound decides.
    found = letter_scores(token({" x": 0.8, " A": 0.06}), "ABCD", api="completion", asked=2)
    assert found.bound == pytest.approx(math.log(0.06))
    assert found.best() == (0, True)


def test_nothing_is_left_where_all_was_returned() -> None:
    found = letter_scores(token({" A": 0.75, " B": 0.25}), "ABCD", api="completion", asked=20)
    assert found.bound == -math.inf
    assert found.best() == (0, False)


def test_the_generated_token_may_come_beside_the_alternatives() -> None:
    """vLLM adds a drawn token to the k likeliest: it is known, but bounds nothing."""
    drawn = token({" A": 0.3, " B": 0.2}, " C", extra=0.01)
    found = letter_scores(drawn, "ABCD", api="completion", asked=2)
    assert scored(found) == [0.3, 0.2, 0.01, None]
    assert found.bound == pytest.approx(math.log(0.2))
    listed = token({" A": 0.3, " B": 0.2, " C": 0.01}, " C")
    assert letter_scores(listed, "ABCD", api="completion", asked=2) == found


def test_a_token_without_alternatives_is_all_there_is() -> None:
    found = letter_scores(TokenLogprob(" B", math.log(0.7), {}), "ABCD", api="completion", asked=5)
    assert scored(found) == [None, 0.7, None, None]
    assert found.best() == (1, False)
    found = letter_scores(TokenLogprob(" B", math.log(0.4), {}), "ABCD", api="completion", asked=5)
    assert found.best() == (1, True)


def test_of_equals_the_earliest_is_best() -> None:
    assert LetterScores((-2.0, -1.0, -1.0, -3.0), -math.inf, "bare").best() == (1, False)
    assert LetterScores((None, -1.0, None, -1.0), -1.0, "bare").best() == (1, True)
    assert LetterScores((-1.0, None), -1.1, "bare").best() == (0, False)


@given(
    st.lists(st.floats(0.001, 1), min_size=4, max_size=12),
    st.permutations(["A", "B", "C", "D"]),
    st.integers(1, 12),
)
def test_a_bound_holds_whatever_the_distribution_is(
    weights: list[float], names: list[str], asked: int
) -> None:
    """What is not returned is never likelier than the bound, and without one deciding, best is the best."""
    total = sum(weights)
    words = [f" {name}" for name in names] + [f" w{k}" for k in range(len(weights) - 4)]
    whole = {word: weight / total for word, weight in zip(words, weights, strict=True)}
    ranked = sorted(whole, key=lambda word: -whole[word])
    returned = {word: whole[word] for word in ranked[:asked]}
    found = letter_scores(token(returned), "ABCD", api="completion", asked=asked)
    for letter, score in zip("ABCD", found.scores, strict=True):
        assert score is not None or math.log(whole[f" {letter}"]) <= found.bound + 1e-6
    index, bound_decides = found.best()
    if not bound_decides:
        assert index is not None
        assert whole[f" {'ABCD'[index]}"] >= max(whole[f" {letter}"] for letter in "ABCD") - 1e-9


# -- a prompt's own tokens -------------------------------------------------------------------------------


def prompt(*tokens: tuple[str, float]) -> Response:
    return Response("x", prompt_logprobs=tuple(TokenLogprob(text, p, {}) for text, p in tokens))


def test_a_continuation_is_the_sum_of_its_tokens() -> None:
    response = prompt(("The", NAN), (" sky", -2.0), (" is", -0.5), (" light", -1.0), (" blue", -0.25))
    assert echoed_likelihood(response, " light blue") == Likelihood(" light blue", -1.25, 2)
    assert echoed_likelihood(response, " blue") == Likelihood(" blue", -0.25, 1)
    assert echoed_likelihood(response, " sky is light blue").logprob == -3.75
    pieces = prompt(("A", NAN), ("", -1.0), ("é", -2.0), ("", -4.0))  # a character in two tokens
    assert echoed_likelihood(pieces, "é") == Likelihood("é", -7.0, 3)


def test_a_continuation_is_greedy_where_each_token_was_the_likeliest() -> None:
    def with_top(*tops: dict[str, float]) -> Response:
        said = [TokenLogprob("The", NAN, {})]
        said += [
            TokenLogprob(text, p, top) for text, p, top in zip((" a", " b"), (-1.0, -2.0), tops, strict=True)
        ]
        return Response("x", prompt_logprobs=tuple(said))

    first, second = {" a": -1.0, " x": -3.0}, {" b": -2.0}
    assert echoed_likelihood(with_top(first, second), " a b").greedy is True
    assert echoed_likelihood(with_top(first, {" y": -0.5, " b": -2.0}), " a b").greedy is False
    assert echoed_likelihood(with_top({" x": -0.5}, second), " b").greedy is True
    assert echoed_likelihood(with_top({" x": -0.5}, {}), " a b").greedy is None


def test_a_continuation_that_has_no_probability_of_its_own() -> None:
    response = prompt(("The", NAN), (" sky", -2.0))
    with pytest.raises(ProviderError, match=r"token ' sky' spans the end") as crossed:
        echoed_likelihood(response, "ky")
    assert not crossed.value.retryable
    with pytest.raises(ProviderError, match="no log-probability for the continuation"):
        echoed_likelihood(response, "The sky")  # its first token has none
    with pytest.raises(ProviderError, match=r"end with 'The sky', not with ' sea'"):
        echoed_likelihood(response, " sea")
    with pytest.raises(ProviderError, match="no log-probabilities of the prompt's tokens"):
        echoed_likelihood(Response("x"), "y")


def test_one_response_is_composed_of_several() -> None:
    parts = [
        Response(
            "x", seconds=seconds, prompt_tokens=count, prompt_logprobs=prompt(("a", -1.0)).prompt_logprobs
        )
        for seconds, count in ((0.5, 3), (0.25, 4))
    ]
    found = composed(parts, ["a", "a"])
    assert found == Response("", seconds=0.5, prompt_tokens=7, likelihoods=(Likelihood("a", -1.0, 1),) * 2)


@pytest.mark.slow
@given(st.lists(st.tuples(st.text("aÄ€ 🙂", min_size=1), st.floats(-50, -0.01)), min_size=2, max_size=6))
def test_likelihoods_by_length_choose_as_lm_eval_does(drawn: list[tuple[str, float]]) -> None:
    """The harness's own code says which choice acc, acc_norm and acc_bytes take."""
    choices = [text for text, _ in drawn]
    found = [Likelihood(f" {text}", logprob) for text, logprob in drawn]
    best = {
        "acc": [one.logprob for one in found],
        "acc_norm": [one.per("character", text) for one, text in zip(found, choices, strict=True)],
        "acc_bytes": [one.per("byte", text) for one, text in zip(found, choices, strict=True)],
    }
    for name, scores in best.items():
        chosen = [harness(choices, found, gold)[name] for gold in range(len(choices))]
        assert chosen.index(1.0) == scores.index(max(scores))
        assert sum(chosen) == 1.0


def harness(choices: list[str], found: list[Likelihood], gold: int) -> dict[str, float]:
    """lm-eval's scores of a multiple-choice question of which the choice `gold` is right."""
    task = SimpleNamespace(
        OUTPUT_TYPE="multiple_choice",
        config=SimpleNamespace(process_results=None),
        _metric_fn_list=dict.fromkeys(("acc", "acc_norm", "acc_bytes")),
        multiple_input=False,
        multiple_target=False,
        doc_to_choice=lambda doc: choices,
        doc_to_target=lambda doc: gold,
    )
    results = [(one.logprob, False) for one in found]
    scores: dict[str, float] = ConfigurableTask.process_results(task, {}, results)
    return scores


def test_likelihoods_by_length() -> None:
    found = Likelihood(" Äpfel", -14.0, 4)
    assert (found.per("token"), found.per("character"), found.per("byte")) == (-3.5, -14 / 6, -2.0)
    assert (found.per("character", "Äpfel"), found.per("byte", "Äpfel")) == (-2.8, -14 / 6)
    with pytest.raises(UsageError, match="does not return the number of tokens of ' x'"):
        Likelihood(" x", -1.0).per("token")


def test_what_is_no_request_for_likelihoods() -> None:
    chat = (Message("user", "Which?"),)
    with pytest.raises(UsageError, match="continuations need a text to continue"):
        Request(chat, 0, continuations=(" A",))
    with pytest.raises(UsageError, match="cannot be used with echo"):
        Request("Q", 0, logprobs=1, echo=True, continuations=(" A",))
    with pytest.raises(UsageError, match="a continuation must not be empty"):
        Request("Q", 0, continuations=(" A", ""))


def test_continuations_stand_in_the_key_where_there_are_any() -> None:
    plain, asked = Request("Q", 0), Request("Q", 0, continuations=(" A", " B"))
    assert asked.body() == plain.body() | {"continuations": [" A", " B"]}
    assert "continuations" not in plain.body()
    assert asked.encoded()[0] != Request("Q", 0, continuations=(" B", " A")).encoded()[0]


def words(text: str) -> dict[str, float]:
    """A language model: the next word depends on how long the text is, and no word comes twice in a row."""
    at = len(text) % 5
    likely = [" red", " blue", " green", " grey", " brown"]
    return {word: 0.6 if k == at else 0.1 for k, word in enumerate(likely)}


def served(next_token: NextToken, echo: Echo, *, logprobs: bool = True) -> None:
    """The probe over HTTP."""

    async def probing(url: str) -> None:
        model = OpenAIModel("tiny", url)
        try:
            await probe_echo(model.generate)
        finally:
            await model.aclose()

    with OpenAIServer(next_token=next_token, echo=echo, logprobs=logprobs) as server:
        asyncio.run(probing(server.url))
        assert [bool(asked.payload.get("echo")) for asked in server.requests] == [False, True] * 3


def test_an_endpoint_whose_echo_is_right_passes() -> None:
    served(words, "right")


@pytest.mark.parametrize(
    ("echo", "logprobs", "said"),
    [
        (
            "off by one",
            True,
            r"off by one: each token has the log-probability of the next one \(llama-cpp-python",
        ),
        ("ignored", True, r"it ignores echo, or returns the prompt without them \(as llama.cpp"),
        ("right", False, "it returns no log-probabilities at all"),
    ],
)
def test_an_endpoint_whose_echo_is_not(echo: Echo, logprobs: bool, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        served(words, echo, logprobs=logprobs)
    assert "--set likelihood=next-token" in str(refused.value)


def answers(*responses: Response) -> Callable[[Request], Awaitable[Response]]:
    """Answers in turn, and again from the first."""
    asked = [0]

    async def ask(request: Request) -> Response:
        asked[0] += 1
        return responses[(asked[0] - 1) % len(responses)]

    return ask


def test_wrong_figures_of_another_kind_are_refused_too() -> None:
    said = Response(" a", logprobs=(TokenLogprob(" a", -1.0, {}),))
    wrong = prompt(("The", NAN), (" a", -1.06))
    with pytest.raises(UsageError, match=r"' a' has -1\.000 if it is generated, but -1\.060 in the prompt"):
        asyncio.run(probe_echo(answers(said, wrong)))
    asyncio.run(probe_echo(answers(said, prompt(("The", NAN), (" a", -1.04)))))
    with pytest.raises(UsageError, match=r"' a' has -1\.000 if it is generated, but nan in the prompt"):
        asyncio.run(probe_echo(answers(said, prompt((" a", NAN)))))


def test_where_nothing_can_be_compared_the_endpoint_is_not_trusted() -> None:
    silent = Response("", logprobs=(TokenLogprob("<|end|>", -0.1, {}),))
    said = Response(" a", logprobs=(TokenLogprob(" a", -1.0, {}),))
    otherwise = prompt(("The a", -1.0))
    for ask in (answers(silent), answers(said, otherwise)):
        with pytest.raises(UsageError, match="no generated token was returned"):
            asyncio.run(probe_echo(ask))
