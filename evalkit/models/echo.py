"""Separates a prompt's own tokens from generated ones, if an endpoint echoes the prompt before its response.

It uses the tokens' texts and not the offsets that endpoints return: SGLang returns -1 for all of them, and
servers like llama.cpp and vLLM count an additional token (`<s>`) or half a character as text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from evalkit.errors import ProviderError
from evalkit.models.base import TokenLogprob

_PIECE = "\ufffd"
"""What servers return for a token that has only some of the bytes of a character."""


def split_echo(
    prompt: str, text: str, tokens: Sequence[TokenLogprob]
) -> tuple[str, tuple[TokenLogprob, ...], tuple[TokenLogprob, ...]]:
    """(generated text, tokens of the prompt, generated tokens) of a response that echoes `prompt`.

    The joined texts of the prompt's tokens are the prompt: a token that the server added before it is left
    out, and if a character is split into several tokens, it is the text of the last one. If the server did
    not echo, there are no tokens of the prompt. Raises `ProviderError` if the texts do not match the prompt.
    """
    if not text.startswith(prompt):
        return text, (), tuple(tokens)
    generated = text[len(prompt) :]
    if not tokens:
        return generated, (), ()
    own = tokens[0].token
    first = 0 if prompt.startswith((own, f" {own}")) or _PIECE in own else 1
    texts = _texts(prompt, [token.token for token in tokens[first:]])
    end = first + len(texts)
    echoed = tuple(
        token if token.token == part else replace(token, token=part)
        for token, part in zip(tokens[first:end], texts, strict=True)
    )
    return generated, echoed, tuple(tokens[end:])


def _texts(prompt: str, tokens: Sequence[str]) -> list[str]:
    """The part of `prompt` that each of the first tokens stands for, up to the end of the prompt."""
    texts: list[str] = []
    at = 0
    while at < len(prompt):
        token = tokens[len(texts)] if len(texts) < len(tokens) else None
        if token is not None and prompt.startswith(token, at):
            parts = [token]
        elif token is not None and prompt.startswith(f" {token}", at):
            parts = [f" {token}"]  # decoded alone, a SentencePiece token loses its space
        else:
            parts = _pieces(prompt, at, tokens, len(texts))
        texts += parts
        at += len(parts[-1])
    return texts


def _pieces(prompt: str, at: int, tokens: Sequence[str], first: int) -> list[str]:
    """The texts of a run of tokens with parts of characters, from token `first` on.

    It is "" for each but the last, which has the text.
    """
    after = first
    while after < len(tokens) and _PIECE in tokens[after]:
        after += 1
    most = sum(map(len, tokens[first:after]))
    end = -1
    if after < len(tokens):  # the search ends soon, because a prompt may have millions of characters
        end = prompt.find(tokens[after], at + 1, at + most + len(tokens[after]))
    if end < 0 and len(prompt) - at <= most:
        end = len(prompt)
    if first == after or end < 0:
        raise ProviderError(
            "the endpoint's tokens do not match the prompt that it echoed: "
            f"{list(tokens[first : first + 1])} at the position of {prompt[at : at + 20]!r}"
        )
    return [""] * (after - first - 1) + [prompt[at:end]]
