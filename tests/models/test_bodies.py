"""Bodies of a 200 as gateways and servers send them: other shapes, marks left in the text, errors inside."""

from __future__ import annotations

import json
from typing import Any

import pytest

from evalkit.errors import ProviderError
from evalkit.models.base import Finish, Response
from evalkit.models.bodies import error_message
from evalkit.models.ends import one_turn, without_marks
from evalkit.models.inside import Inside
from evalkit.models.reading import ENDS, REPEATED, parse
from evalkit.models.sse import assembled
from evalkit.samples import Message, Prompt

LONG = "The towns of this valley, in the order of the river's course, are the following:"


def body(content: Any = "It is 8.", finish: Any = "stop", **choice: Any) -> dict[str, Any]:
    message = {"content": content, **choice.pop("message", {})}
    return {"choices": [{"index": 0, "message": message, "finish_reason": finish, **choice}]}


def read(document: Any, api: str = "chat", prompt: Prompt = "") -> Response:
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    return parse(assembled(raw), api, 0.0, "", prompt)


PLAIN: list[Any] = [
    body({"type": "text", "text": "It is 8."}),
    body(["It is", " 8."]),
    body([None, {"type": "text", "text": "It is 8."}]),
    body([{"type": "output_text", "content": "It is 8."}]),
    {"choices": [{"text": "It is 8.", "finish_reason": "stop"}]},
    {"choices": [{"delta": {"content": "It is 8."}, "finish_reason": "stop"}]},
    {"choices": [{"index": 1, "message": {"content": "9"}}, *body()["choices"]]},
    [body()],
    json.dumps(body()),
    body() | {"usage": "none"},
    body() | {"error": None, "base_resp": {"status_code": 0, "status_msg": ""}},
    body(message={"tool_calls": [{"type": "function"}]}),
    b": PROCESSING\n\n" + json.dumps(body()).encode(),
]


@pytest.mark.parametrize("document", PLAIN)
def test_a_body_of_another_shape_is_read_where_its_meaning_is_plain(document: Any) -> None:
    found = read(document)
    assert (found.text, found.finish) == ("It is 8.", "stop")


def test_a_completion_in_the_form_of_a_chat() -> None:
    assert read(body(), "completion").text == "It is 8."
    assert read({"choices": [{"text": ["It is", " 8."]}]}, "completion").text == "It is 8."


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("FINISH_LENGTH: 32", "length"),
        ({"type": "length", "length": 32}, "length"),
        ({"type": "stop", "matched": 2}, "stop"),
        ("FINISH_MATCHED_TOKEN: 2", "other"),
        (7, "other"),
        (None, "other"),
    ],
)
def test_finish_reasons_that_are_no_plain_word(reason: Any, finish: Finish) -> None:
    assert read(body(finish=reason)).finish == finish


MARKED = {
    "It is 8.</s>": "It is 8.",
    "It is 8.<|im_end|>\n<|im_start|>user\nAnd 9?": "It is 8.",
    "<|start_header_id|>assistant<|end_header_id|>\n\nIt is 8.<|eot_id|>": "It is 8.",
    "<|im_start|>assistant\nIt is 8.<|im_end|><|endoftext|>": "It is 8.",
    "It is 8.<|endoftext|>Q: And 9?": "It is 8.",
    "It is 8.<｜end▁of▁sentence｜>": "It is 8.",
    "<pad><pad>It is 8.<end_of_turn>\n": "It is 8.",
    "It is <|begin_of_box|>8<|end_of_box|>.": "It is 8.",
    "<think>A <|im_end|> is a mark.</think>It is 8.<|im_end|>": "It is 8.",
    "<|channel|>analysis<|message|>8?<|end|><|start|>assistant<|channel|>final<|message|>8<|return|>": "8",
    "<think>8?</think>\n<response>\nIt is 8.\n</response>\n": "It is 8.",
    "<reasoning>8?</reasoning>It is 8.": "It is 8.",
    "The text <s>9</s> is struck out: 8.": None,
    "The mark `<|im_end|>` ends a turn.": None,
    "a < b and [c] > d": None,
}


@pytest.mark.parametrize("said", MARKED)
def test_marks_of_a_template_are_no_part_of_the_answer(said: str) -> None:
    assert read(body(said)).text == (said if MARKED[said] is None else MARKED[said])


def test_marks_are_counted_and_stay_where_the_prompt_has_them() -> None:
    assert (ENDS, "</s>") in read(body("8</s>")).signs
    assert not read(body("8")).signs
    prompt = (Message("user", "What does <|im_end|> do?"),)
    assert read(body("<|im_end|> ends it<|im_end|>"), prompt=prompt).text == "<|im_end|> ends it<|im_end|>"
    assert one_turn("8", lambda mark: False) == without_marks("8", lambda mark: False) == ("8", "")


def test_a_prompt_that_is_repeated_before_the_completion_is_left_out() -> None:
    found = read({"choices": [{"text": f"{LONG} Elm"}]}, "completion", LONG)
    assert (found.text, found.signs) == (" Elm", ((REPEATED, ""),))
    short = read({"choices": [{"text": "A: A: 8"}]}, "completion", "A:")
    assert (short.text, short.signs) == ("A: A: 8", ())


@pytest.mark.parametrize(
    ("document", "status", "said"),
    [
        ({"error": {"code": 429, "message": "slow down"}}, 429, "slow down"),
        ({"error": {"code": "401", "message": "bad key"}}, 401, "bad key"),
        ({"error": {"type": "overloaded_error", "message": "later"}}, 529, "later"),
        ({"error": {"status": "RESOURCE_EXHAUSTED", "message": "later"}}, 429, "later"),
        ([{"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "no"}}], 400, "no"),
        ({"error": "Unexpected endpoint or method. (POST /chat/completions)"}, 404, "Unexpected endpoint"),
        ({"code": 500, "msg": "404 NOT_FOUND", "success": False}, 500, "404 NOT_FOUND"),
        ({"choices": None, "base_resp": {"status_code": 1002, "status_msg": "rate limit"}}, 429, "rate"),
        ({"choices": None, "base_resp": {"status_code": 1004, "status_msg": "login"}}, 401, "login"),
        ({"object": "error", "message": "gone", "code": 404}, 404, "gone"),
        (body(error={"code": 502, "message": "lost"}), 502, "not finished .*lost"),
        (body(finish="error"), 500, "not finished"),
        (b'data: {"choices":[{"delta":{"content":"8"}}]}\n\ndata: {"error":{"code":429}}\n\n', 429, "429"),
    ],
)
def test_an_error_in_a_200_is_what_its_status_says(document: Any, status: int, said: str) -> None:
    with pytest.raises(Inside, match=said) as failed:
        read(document)
    assert failed.value.status == status
    assert failed.value.retryable


def piece(delta: Any, finish: str | None = None, **more: Any) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish, **more}
    return "data: " + json.dumps({"choices": [{key: value for key, value in choice.items() if value != ""}]})


@pytest.mark.parametrize(
    ("events", "text", "reasoning"),
    [
        ([piece({"content": "It is"}), piece("", "stop", message={"content": "It is 8."})], "It is 8.", ""),
        ([piece({"content": "It is"}), piece({}, "stop", message={"content": "It is 8."})], "It is 8.", ""),
        ([piece({"content": [{"type": "reasoning", "text": "8?"}]}), piece({"content": "8"})], "8", "8?"),
        ([piece({"thinking": "8"}), piece({"thinking": "?"}), piece({"content": "8"}, "stop")], "8", "8?"),
        ([piece({"reasoning_details": [{"text": "8?"}]}), piece({"content": "8"}, "stop")], "8", "8?"),
        (["data:", "data: null", "data: ping", piece({"content": "8"}, "stop")], "8", ""),
    ],
)
def test_streams_that_say_all_again_or_apart(events: list[str], text: str, reasoning: str) -> None:
    found = read("\n\n".join([*events, "data: [DONE]", ""]).encode())
    assert (found.text, found.reasoning) == (text, reasoning)


def test_an_error_of_a_choice_inside_a_stream_is_kept() -> None:
    events = [piece({"content": "It"}), piece({}, "stop", error={"code": 502, "message": "lost"})]
    with pytest.raises(ProviderError, match="lost"):
        read("\n\n".join([*events, "data: [DONE]", ""]).encode())


@pytest.mark.parametrize(
    ("logprobs", "found"),
    [
        ([{"token": "A", "logprob": -0.5}], {}),
        (
            {"content": [{"token": {"id": 3, "text": "A"}, "logprob": -0.5, "top_logprobs": {"B": -2}}]},
            {"B": -2},
        ),
        (
            {"tokens": ["A"], "token_logprobs": [-0.5], "top_logprobs": [[["A", -0.5], ["B", -2]]]},
            {"A": -0.5, "B": -2},
        ),
    ],
)  # fmt: skip
def test_log_probabilities_in_further_forms(logprobs: Any, found: dict[str, float]) -> None:
    (token,) = read(body("A", logprobs=logprobs)).logprobs
    assert (token.token, token.logprob, token.top) == ("A", -0.5, found)
    with pytest.raises(ProviderError, match="a token is int, not a text"):
        read(body("A", logprobs=[{"token": 362, "logprob": -0.5}]))


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([{"error": {"code": 400, "message": "no"}}], "no"),
        ({"detail": [{"type": "missing", "loc": ["body", "messages"], "msg": "Field required"}]},
         "body.messages: Field required"),
        ({"error": {"message": "Provider error", "metadata": {"raw": '{"error":{"message":"top_k"}}'}}},
         "Provider error: top_k"),
        ({"Message": "throttled"}, "throttled"),
        ({"error": {"code": 7}}, "{'code': 7}"),
    ],
)  # fmt: skip
def test_the_words_of_an_error(document: Any, said: str) -> None:
    assert error_message(json.dumps(document).encode()) == said
