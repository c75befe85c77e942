"""Whatever a provider's server answers, its reader makes a response of it or a `ProviderError`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.errors import ProviderError
from evalkit.models import anthropic_reading, bedrock, gemini_reading
from evalkit.models.base import Request, Response
from evalkit.runfile.encoding import checked
from evalkit.samples import Message
from tests import anthropic_server, bedrock_server, gemini_server

ASKED = Request((Message("user", "How many legs has a spider?"),), 64)
_LOGPROBS = {
    "chosenCandidates": [{"token": "8", "logProbability": -0.1}],
    "topCandidates": [{"candidates": [{"token": "8", "logProbability": -0.1}]}],
}
READERS: dict[str, tuple[Callable[[bytes, float], Response], Any]] = {
    "gemini": (
        gemini_reading.parse,
        gemini_server.said(
            {"text": "8"},
            {"text": "Hm", "thought": True},
            {"functionCall": {"id": "1", "name": "f", "args": {"a": 1}}, "thoughtSignature": "c2k="},
            logprobsResult=_LOGPROBS,
        ),
    ),
    "anthropic": (
        anthropic_reading.parse,
        anthropic_server.said(
            {"type": "thinking", "thinking": "Hm"},
            {"type": "text", "text": "8"},
            {"type": "tool_use", "id": "1", "name": "f", "input": {"a": 1}},
        ),
    ),
    "bedrock": (
        bedrock.parse,
        bedrock_server.said(
            {"reasoningContent": {"reasoningText": {"text": "Hm"}}},
            {"text": "8"},
            {"toolUse": {"toolUseId": "1", "name": "f", "input": {"a": 1}}},
        ),
    ),
}
_ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-(1 << 63), (1 << 64) - 1), st.floats(allow_nan=False), st.text(),
    st.just([]), st.just({}), st.just([[]]), st.just([{}]), st.just("NaN"), st.just("-Infinity"),
)  # fmt: skip


def _places(document: Any) -> list[tuple[Any, Any]]:
    """(container, key) of everything in a document."""
    found: list[tuple[Any, Any]] = []
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in items:
        found.append((document, key))
        if isinstance(value, dict | list):
            found += _places(value)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_body_with_one_odd_place_is_read_or_refused(name: str, data: st.DataObject) -> None:
    parse, good = READERS[name]
    document = orjson.loads(orjson.dumps(good))
    container, key = data.draw(st.sampled_from(_places(document)))
    container[key] = data.draw(_ODD)
    try:
        found = checked(parse(orjson.dumps(document), 0.1), ASKED)
    except ProviderError:
        return
    assert found.finish in ("stop", "length", "filter", "other")
    assert all(not math.isnan(token.logprob) for token in found.logprobs)
    for _, tokens in found.tokens:
        assert 0 < tokens <= 1 << 40


@pytest.mark.parametrize("name", READERS)
@given(body=st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(name: str, body: bytes) -> None:
    with pytest.raises(ProviderError):
        READERS[name][0](body, 0.1)


@pytest.mark.parametrize("name", READERS)
def test_what_is_good_is_read(name: str) -> None:
    parse, good = READERS[name]
    found = parse(orjson.dumps(good), 0.1)
    assert (found.text, found.reasoning, found.finish) == ("8", "Hm", "stop")
    ((called, arguments),) = [(call.name, call.arguments) for call in found.tool_calls]
    assert (called, orjson.loads(arguments)) == ("f", {"a": 1})
