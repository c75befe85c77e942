"""Applies stop sequences to every backend's responses: servers ignore them, repeat them, or take only a few.

A text ends before its first stop sequence, as OpenAI's API defines it ("the returned text will not contain
the stop sequence"). Some servers ignore the field, some return the sequence at the end of the text (vLLM with
`include_stop_str_in_output`), and some take at most four. evalkit therefore cuts each response again, which
changes nothing if the server has cut it.

Only the answer is cut. A separate reasoning text is not searched: it may quote a stop sequence, and what
counts is the answer after it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from evalkit.models.base import Response, TokenLogprob


def cut(response: Response, stops: Sequence[str]) -> Response:
    """The response with its text cut before the first of `stops`; the same one if there is none in it.

    A response that is cut has the finish `stop`, also if the server stopped at the token limit after that.
    Its log-probabilities are those of the tokens that begin before the cut. The number of tokens stays the
    server's, because all of them were generated.
    """
    if response.more:
        response = dataclasses.replace(response, more=tuple(cut(one, stops) for one in response.more))
    found = [at for stop in stops if stop and (at := response.text.find(stop)) >= 0]
    if not found:
        return response
    end = min(found)
    return dataclasses.replace(
        response,
        text=response.text[:end],
        finish="stop",
        logprobs=_before(response.logprobs, response.text, end),
    )


def _before(tokens: tuple[TokenLogprob, ...], text: str, end: int) -> tuple[TokenLogprob, ...]:
    """The tokens that begin before `end` in `text`; all of them if `text` is not what they end with.

    Tokens before the text, such as those of a reasoning block, are kept.
    """
    whole = "".join(token.token for token in tokens)
    if not whole.endswith(text):
        return tokens
    end += len(whole) - len(text)
    kept, at = 0, 0
    while at < end:
        at += len(tokens[kept].token)
        kept += 1
    return tokens[:kept]
