"""How many tokens a request has: estimated, and at most."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import orjson

from evalkit.models.base import Request
from evalkit.models.media_tokens import file_tokens
from evalkit.models.text_tokens import estimated_tokens, most_tokens
from evalkit.samples import Audio, Image

TextTokens = Callable[[str], float]
_TURN, _CHAT = 4, 3
"""The tokens that a chat template adds for each message, and once: OpenAI's, by its cookbook."""
_TURN_MOST, _CHAT_MOST = 16, 32
"""At most, for templates with longer marks and a system message of their own."""


def input_tokens(request: Request, model: str, text_tokens: TextTokens = estimated_tokens) -> float:
    """The tokens of a request's prompt for the model with that name. Its files are as they are sent."""
    turns = request.prompt if isinstance(request.prompt, tuple) else ()
    around = _CHAT + _TURN * len(turns) if turns else 0
    return around + sum(map(text_tokens, _texts(request))) + file_tokens_of(request, model)


def most_input_tokens(request: Request, model: str) -> float:
    """The most tokens that the prompt can have: one for each byte of its texts, and those of its files."""
    turns = request.prompt if isinstance(request.prompt, tuple) else ()
    around = _CHAT_MOST + _TURN_MOST * len(turns)
    return around + sum(map(most_tokens, _texts(request))) + file_tokens_of(request, model)


def most_output_tokens(request: Request) -> int:
    """The most tokens of all draws of the response; servers generate one where none is wanted."""
    return request.n * max(1, request.max_tokens)


def has_audio(request: Request) -> bool:
    return any(isinstance(file, Audio) for file in request.media)


def file_tokens_of(request: Request, model: str) -> int:
    """The tokens of the request's files, as they are sent."""
    return sum(file_tokens(model, file) for file in request.media if isinstance(file, Image | Audio))


def without_files(request: Request) -> Request:
    """The request with the texts of its prompt alone."""
    if not isinstance(request.prompt, tuple):
        return request
    turns = (
        dataclasses.replace(turn, content=tuple(part for part in turn.parts if isinstance(part, str)))
        for turn in request.prompt
    )
    return dataclasses.replace(request, prompt=tuple(turns))


def _texts(request: Request) -> list[str]:
    if isinstance(request.prompt, str):
        found = [request.prompt, *request.continuations]
    elif isinstance(request.prompt, tuple):
        found = [part for turn in request.prompt for part in turn.parts if isinstance(part, str)]
        found += [call.arguments for turn in request.prompt for call in turn.tool_calls]
    else:
        found = []
    if request.tools:
        found.append(orjson.dumps(request.body()["tools"]).decode())
    return found
