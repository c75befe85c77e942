"""What the bodies of endpoints mean: how a response ended, refusals, broken JSON, log-probabilities."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from evalkit.errors import ProviderError
from evalkit.models.base import Finish, Response
from evalkit.models.reading import parse
from evalkit.models.refusal import BROKEN, FINISHES, says_refused
from evalkit.samples import Message


def body(finish: str | None = "stop", choice: dict[str, Any] | None = None, **message: Any) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "message": {"content": "8", **message},
        "finish_reason": finish,
        **(choice or {}),
    }
    return {"choices": [whole]}


def read(document: Any, api: str = "chat") -> Response:
    return parse(json.dumps(document).encode(), api, 0.0)


@pytest.mark.parametrize(("reason", "finish"), FINISHES.items())
def test_every_servers_word_for_the_end(reason: str, finish: Finish) -> None:
    for spelled in (reason, reason.upper(), f"FINISH_REASON_{reason.upper()}"):
        assert read(body(spelled)).finish == finish


@pytest.mark.parametrize("reason", sorted(BROKEN))
def test_a_response_that_the_server_could_not_finish_is_a_failure(reason: str) -> None:
    with pytest.raises(ProviderError, match=f"not finished \\({reason}\\)") as failed:
        read(body(reason))
    assert failed.value.retryable


@pytest.mark.parametrize("place", ["choice", "document"])
def test_an_error_inside_a_200(place: str) -> None:
    error = {"error": {"code": 502, "message": "the model is gone"}}
    document = body(choice=error) if place == "choice" else {**body(), **error}
    with pytest.raises(ProviderError, match="the model is gone") as failed:
        read(document)
    assert failed.value.retryable
    refused = {"error": {"code": 403, "message": "flagged", "metadata": {"flagged_input": "…"}}}
    assert read(body(choice=refused)).refused


@pytest.mark.parametrize(
    "document",
    [
        body("content_filter", content="It is 8, but"),
        body("SAFETY", content=""),
        body(content=None, refusal="I would rather not."),
        body(content=[{"type": "refusal", "refusal": "I would rather not."}], refusal="I would rather not."),
        {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}},
        {"choices": [], "error": {"code": "content_filter", "message": "no"}},
    ],
)
def test_a_refusal_in_a_200_is_no_answer_and_its_words_are_kept(document: Any) -> None:
    found = read(document)
    assert (found.text, found.finish, found.refused) == ("", "filter", True)
    assert found.reasoning or document["choices"][0]["message"]["content"] == ""


REFUSALS = [
    (400, {"error": {"code": "content_filter", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}),
    (400, {"error": {"message": "no", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}),
    (400, {"error": {"message": "triggering Azure OpenAI's content management policy."}}),
    (400, {"error": {"code": "invalid_prompt", "message": "flagged as potentially violating our policy"}}),
    (403, {"error": {"code": 403, "message": "no", "metadata": {"flagged_input": "…"}}}),
    (400, {"error": {"message": "Content Exists Risk", "type": "invalid_request_error"}}),
    (400, {"code": "data_inspection_failed", "message": "no"}),
    (400, {"error": {"message": "Output blocked by content filtering policy"}}),
    (400, {"error": {"message": "The request was rejected because it was considered high risk"}}),
    (403, {"error": "Content violates usage guidelines."}),
]
ERRORS = [
    (400, {"error": {"message": "max_tokens is too large", "code": "invalid_request_error"}}),
    (403, {"error": {"message": "Forbidden"}}),
    (401, {"error": {"code": "content_filter"}}),
    (429, {"error": {"code": "content_filter"}}),
    (422, {"detail": [{"msg": "Field required", "input": "what is a content_filter?"}]}),
]


@pytest.mark.parametrize(("status", "error"), REFUSALS)
def test_a_filters_refusal_of_one_prompt(status: int, error: Any) -> None:
    assert says_refused(status, json.dumps(error).encode())


@pytest.mark.parametrize(("status", "error"), ERRORS)
def test_another_error_is_no_refusal(status: int, error: Any) -> None:
    assert not says_refused(status, json.dumps(error).encode())


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b'\xef\xbb\xbf{"choices":[{"message":{"content":"It is 8."}}]}', "It is 8."),
        (b'{"choices":[{"message":{"content":"It is 8. \\ud83d"}}]}', "It is 8. \ufffd"),
        (b'{"choices":[{"message":{"content":"It is 8. \\ude00"}}]}', "It is 8. \ufffd"),
        (b'{"choices":[{"message":{"content":"It is 8. \xf0\x9f\x98"}}]}', "It is 8. \ufffd"),
        (b'{"choices":[{"message":{"content":"It is 8."}}],"usage":{"prompt_tokens":NaN}}', "It is 8."),
    ],
)
def test_json_that_is_broken_but_plain_is_read_and_counted(raw: bytes, text: str) -> None:
    found = parse(raw, "chat", 0.0)
    assert (found.text, found.signs) == (text, (("lenient", ""),))
    assert not read(body()).signs


def test_json_that_is_cut_stays_an_error() -> None:
    with pytest.raises(ProviderError, match="invalid chat response") as failed:
        parse(b'{"choices":[{"message":{"content":"It is', "chat", 0.0)
    assert failed.value.retryable


@pytest.mark.parametrize(
    "message",
    [
        {"reasoning_content": "Four pairs."},
        {"reasoning": "Four pairs."},
        {"thinking": "Four pairs."},
        {"reasoning_details": [{"type": "reasoning.text", "text": "Four pairs."}]},
        {"reasoning_details": [{"type": "reasoning.summary", "summary": "Four pairs."}]},
        {"content": [{"type": "thinking", "thinking": "Four pairs."}, {"type": "text", "text": "8"}]},
        {
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "Four pairs."}]},
                {"type": "text", "text": "8"},
            ]
        },
        {"content": [{"type": "reasoning", "text": "Four pairs."}, {"type": "output_text", "text": "8"}]},
        {"content": "<think>Four pairs.</think>8"},
    ],
)
def test_reasoning_is_kept_apart_wherever_it_stands(message: dict[str, Any]) -> None:
    found = read(body(**message))
    assert (found.text, found.reasoning) == ("8", "Four pairs.")


def test_reasoning_that_is_not_closed_is_cut_off() -> None:
    found = read(body("stop", content="<think>Six? No, 8"))
    assert (found.text, found.finish, found.reasoning) == ("", "length", "Six? No, 8")


def test_a_wrapper_that_the_prompt_names_is_part_of_the_answer() -> None:
    raw = json.dumps(body(content="<think>a</think><answer>8</answer>")).encode()
    asked = (Message("user", "Put it into <answer> tags."),)
    assert parse(raw, "chat", 0.0).text == "8"
    assert parse(raw, "chat", 0.0, prompt=asked).text == "<answer>8</answer>"


def test_tokens_of_reasoning_that_only_the_total_has_are_counted() -> None:
    details = {"completion_tokens_details": {"reasoning_tokens": 90}}
    apart = {"prompt_tokens": 5, "completion_tokens": 10, "total_tokens": 105, **details}
    inside = {"prompt_tokens": 5, "completion_tokens": 100, "total_tokens": 105, **details}
    for usage in (apart, inside):
        assert read({**body(), "usage": usage}).completion_tokens == 100


def completion(logprobs: dict[str, Any]) -> Any:
    return {"choices": [{"text": " B", "logprobs": logprobs}]}


def test_log_probabilities_that_are_no_numbers_are_read() -> None:
    top = {" A": None, " B": -0.5, " C": -math.inf, " D": math.nan}
    tokens = {"tokens": [" B"], "token_logprobs": [None], "top_logprobs": [top]}
    (found,) = read(completion(tokens), "completion").logprobs
    assert (found.logprob, found.top) == (-0.5, {" B": -0.5, " C": -9999.0})
    chat = {
        "content": [{"token": "B", "logprob": "-Infinity", "top_logprobs": [{"token": "B", "logprob": None}]}]
    }
    (found,) = read(body(choice={"logprobs": chat})).logprobs
    assert (found.logprob, found.top) == (-9999.0, {})


def test_numbers_of_tokens_in_place_of_their_texts_are_refused_by_name() -> None:
    tokens = {"tokens": ["token_id:362"], "token_logprobs": [-0.1], "top_logprobs": [{"token_id:362": -0.1}]}
    with pytest.raises(ProviderError, match="without vLLM's --return-tokens-as-token-ids") as failed:
        read(completion(tokens), "completion")
    assert failed.value.fatal
