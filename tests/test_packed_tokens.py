"""The tokens of a long prompt in a run file: small, and exactly what they were."""

from __future__ import annotations

import math
import struct
from dataclasses import replace

import orjson
import pytest

from evalkit.models.base import Response, TokenLogprob
from evalkit.runfile.encoding import listed_columns, response_of
from evalkit.runfile.packed_tokens import FEWEST_PACKED, is_packed, pack, unpack

ODD = ("", " the", "\n\n", "é", "\x00", '"', "🙂", "茶" * 20)


def single(value: float) -> float:
    """The nearest number that 32 bits hold."""
    found: float = struct.unpack("<f", struct.pack("<f", value))[0]
    return found


def tokens(count: int, *, exact: bool = True) -> tuple[TokenLogprob, ...]:
    values = [-(at % 97) / 7.0 for at in range(count)]
    texts = [ODD[at % len(ODD)] for at in range(count)]
    return tuple(
        TokenLogprob(text, single(value) if exact else value, {})
        for text, value in zip(texts, values, strict=True)
    )


@pytest.mark.parametrize("exact", [True, False])
def test_nothing_is_rounded(exact: bool) -> None:
    given = tokens(3000, exact=exact)
    column = pack(given)
    assert is_packed(column)
    assert set(orjson.loads(column)) == {"texts", "float32" if exact else "float64"}
    assert unpack(column) == given


def test_a_first_token_without_a_log_probability() -> None:
    first, *rest = unpack(pack((TokenLogprob("The", math.nan, {}), *tokens(5))))
    assert first.token == "The"
    assert math.isnan(first.logprob)
    assert tuple(rest) == tokens(5)
    assert unpack(pack((TokenLogprob("x", -1e300, {}),)))[0].logprob == -1e300


def test_only_long_prompts_without_alternatives_are_packed() -> None:
    long = Response("x", prompt_logprobs=tokens(FEWEST_PACKED))
    with_one = replace(long.prompt_logprobs[0], top={"a": -1.0})
    for response, packed in (
        (long, True),
        (Response("x", prompt_logprobs=tokens(FEWEST_PACKED - 1)), False),
        (Response("x", prompt_logprobs=(with_one, *long.prompt_logprobs[1:])), False),
        (Response("x", logprobs=tokens(FEWEST_PACKED)), False),
    ):
        columns = listed_columns(response)
        assert [is_packed(column) for column in columns if column] == [packed]
        assert response_of(("x", "stop", None, None, 0.0, "", *columns)) == response


def test_a_long_prompt_takes_little_room() -> None:
    words = [f" word{at % 911}" for at in range(32_768)]
    given = tuple(TokenLogprob(word, single(-math.log(2 + at)), {}) for at, word in enumerate(words))
    assert len(pack(given)) < 8 * len(given)
