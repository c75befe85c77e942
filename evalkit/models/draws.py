"""Several draws in one response: the choices of an OpenAI-like endpoint to a request with `n`.

The usage of such a response counts the prompt once, and the generated tokens of all choices together. The
first draw gets the prompt's tokens, so that a sum over draws is what the endpoint counted. llama.cpp's server
counts the generated tokens of one choice only: those of each draw are then unknown.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from evalkit.models.base import Response
from evalkit.models.inside import Inside


def by_choice(
    document: Mapping[str, Any], read: Callable[[Mapping[str, Any]], Response], asked: int
) -> Response:
    """The response to a request for `asked` draws: the first one, with the others as `more`.

    `read`: reads a document with a single choice. A choice that the server could not finish is left out
    where others are whole; if none is, its error is raised. A prompt that was refused as a whole is refused
    for each draw.
    """
    found: list[Response] = []
    broken: Inside | None = None
    for one in _apart(document, asked):
        try:
            found.append(read(one))
        except Inside as error:
            broken = error
    if broken is not None and not found:
        raise broken
    if not document.get("choices"):
        found *= asked
    return _joined(found)


def _apart(document: Mapping[str, Any], most: int) -> Iterable[Mapping[str, Any]]:
    """The document once for each choice, in the order of their indices, at most `most` times."""
    choices = document.get("choices")
    if not choices:
        return [document]
    ordered = sorted(choices, key=lambda choice: choice.get("index") or 0)
    return [{**document, "choices": [choice]} for choice in ordered[:most]]


def _joined(found: Sequence[Response]) -> Response:
    """One response with all draws. `found` have the usage of the whole request each."""
    first, *others = found
    weights = [len(one.logprobs) or len(one.text) + len(one.reasoning) for one in found]
    counts = _shares(_of_all(first.completion_tokens, found), weights)
    more = tuple(
        dataclasses.replace(one, prompt_tokens=None, completion_tokens=count, tokens=())
        for one, count in zip(others, counts[1:], strict=True)
    )
    return dataclasses.replace(first, completion_tokens=counts[0], more=more)


def _of_all(total: int | None, found: Sequence[Response]) -> int | None:
    """`total` if it can be the tokens of all choices, of which each word has at least one."""
    return total if total is not None and total >= sum(len(one.text.split()) for one in found) else None


def _shares(total: int | None, weights: Sequence[int]) -> list[int | None]:
    """`total` divided in proportion to `weights`, in whole numbers that add up to it.

    A draw that wrote anything has one at least, as far as there are so many.
    """
    if total is None:
        return [None] * len(weights)
    least = [min(1, weight) for weight in weights]
    if sum(least) > total:
        least = [0] * len(weights)
    parts = weights if any(weights) else [1] * len(weights)
    left, whole = total - sum(least), sum(parts)
    shares: list[int | None] = []
    passed = given = 0
    for one, part in zip(least, parts, strict=True):
        passed += part
        until = left * passed // whole
        shares.append(one + until - given)
        given = until
    return shares
