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
            parts = _pieces(prompt, at, tokens[len(texts) :])
        texts += parts
        at += len(parts[-1])
    return texts


def _pieces(prompt: str, at: int, tokens: Sequence[str]) -> list[str]:
    """The texts of a run of tokens with parts of characters: "" for each but the last, which has the text."""
    run = 0
    while run < len(tokens) and _PIECE in tokens[run]:
        run += 1
    end = prompt.find(tokens[run], at + 1) if run < len(tokens) else -1
    end = len(prompt) if end < 0 else end
    if not run or end - at > sum(map(len, tokens[:run])):
        raise ProviderError(
            "the endpoint's tokens do not match the prompt that it echoed: "
            f"{tokens[:1]} at the position of {prompt[at : at + 20]!r}"
        )
    return [""] * (run - 1) + [prompt[at:end]]
