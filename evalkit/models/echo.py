"""Telling a prompt's own tokens from generated ones, where an endpoint echoes the prompt before its answer.

By the tokens' texts, not by the offsets that come with them: SGLang gives -1 for all of them, and
llama.cpp-like and vLLM-like servers count a token of their own (`<s>`) or half a character as text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from evalkit.errors import ProviderError
from evalkit.models.base import TokenLogprob

_PIECE = "\ufffd"
"""What servers write for a token that holds only a part of a character's bytes."""


def split_echo(
    prompt: str, text: str, tokens: Sequence[TokenLogprob]
) -> tuple[str, tuple[TokenLogprob, ...], tuple[TokenLogprob, ...]]:
    """(what was generated, the prompt's tokens, the generated tokens) of an answer that echoes `prompt`.

    The texts of the prompt's tokens add up to the prompt: a token that the server put before it is left
    out, and a character that came in pieces is the text of the last of them. Where the server did not
    echo there are no prompt's tokens. Raises `ProviderError` where the texts do not fit the prompt.
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
        token if token.token == said else replace(token, token=said)
        for token, said in zip(tokens[first:end], texts, strict=True)
    )
    return generated, echoed, tuple(tokens[end:])


def _texts(prompt: str, tokens: Sequence[str]) -> list[str]:
    """What each of the first tokens stands for in `prompt`, up to its end."""
    texts: list[str] = []
    at = 0
    while at < len(prompt):
        token = tokens[len(texts)] if len(texts) < len(tokens) else None
        if token is not None and prompt.startswith(token, at):
            found = [token]
        elif token is not None and prompt.startswith(f" {token}", at):
            found = [f" {token}"]  # decoded alone, a SentencePiece token loses its space
        else:
            found = _pieces(prompt, at, tokens[len(texts) :])
        texts += found
        at += len(found[-1])
    return texts


def _pieces(prompt: str, at: int, tokens: Sequence[str]) -> list[str]:
    """The texts of a run of tokens that hold parts of characters: all of it is the last one's."""
    run = 0
    while run < len(tokens) and _PIECE in tokens[run]:
        run += 1
    end = prompt.find(tokens[run], at + 1) if run < len(tokens) else -1
    end = len(prompt) if end < 0 else end
    if not run or end - at > sum(map(len, tokens[:run])):
        raise ProviderError(
            "the endpoint's tokens do not add up to the prompt it echoed: "
            f"{tokens[:1]} where {prompt[at : at + 20]!r} stands"
        )
    return [""] * (run - 1) + [prompt[at:end]]
