"""What a request wants of the model, and the response that it makes of what was found."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from typing import TypeAlias

from evalkit.errors import ProviderError
from evalkit.hf.passes import Found, Wanted
from evalkit.hf.rows import Row, Written
from evalkit.hf.text import Texts
from evalkit.models.base import Likelihood, Request, Response, TokenLogprob
from evalkit.samples import plain_text

Answer: TypeAlias = Callable[[Sequence[Found]], Response]
HEEDED = ("top_k",)


def is_scored(request: Request, *, one_token: bool = True) -> bool:
    """Whether it needs no generation: it asks for tokens that are there, or for the likeliest next one.

    `one_token`: whether the latter counts. What follows a picture or a clip is always generated.
    """
    if request.media:
        return False
    next_token = request.max_tokens == 1 and not request.temperature
    return bool(request.continuations) or request.echo or (next_token and one_token)


def check(texts: Texts, request: Request, heeded: Collection[str] = HEEDED) -> None:
    """Raises `ProviderError` for a parameter that is not one of `heeded`, and likelihoods after media."""
    if other := sorted(set(request.extra) - set(heeded)):
        raise ProviderError(f"{texts.backend}/ does not heed {', '.join(other)}", fatal=True)
    if request.continuations and request.media:
        raise ProviderError(f"{texts.backend}/ computes no likelihoods after pictures or clips", fatal=True)


def scored(texts: Texts, request: Request, *, last: bool = False) -> tuple[list[Wanted], Answer]:
    """What is wanted for a request without generation, and its response to what was found.

    `last`: whether the last token of a continuation takes room in the context, although nothing follows it.
    """
    if request.continuations:
        return _continuations(texts, request, last=last)
    if request.echo and isinstance(request.prompt, str):
        return _echo(texts, request)
    ids = texts.prompt(request.prompt)
    texts.room(ids, 1)
    wanted = Wanted(ids, len(ids), max(1, request.logprobs), after=True)
    return [wanted], lambda found: _next(texts, request, wanted, found[0])


def row(texts: Texts, request: Request) -> Row:
    """What is generated for a request. Raises `ProviderError`."""
    ids, inputs = texts.read(request.prompt)
    top_k = request.extra.get("top_k", 0)
    return Row(
        ids,
        texts.room(ids, request.max_tokens),
        request.temperature,
        request.top_p,
        max(0, top_k) if isinstance(top_k, int) else 0,
        request.seed,
        request.stop,
        request.logprobs,
        inputs,
    )


def response(texts: Texts, row: Row, written: Written) -> Response:
    """The response of what was generated."""
    return Response(
        texts.text(written.ids),
        "stop" if written.ended else "length",
        len(row.ids),
        len(written.ids) + written.ended,
        logprobs=_told(texts, row, written),
    )


def _told(texts: Texts, row: Row, written: Written) -> tuple[TokenLogprob, ...]:
    """The generated tokens with their log-probabilities, as far as they were asked for."""
    before, tokens = row.ids[-4:].tolist(), []
    for token, (logprob, names, values) in zip(written.ids, written.logprobs, strict=False):
        named = texts.named(names, values, before)
        tokens.append(TokenLogprob(texts.token(token, before), logprob, named))
        before = [*before[-3:], token]
    return tuple(tokens)


def _continuations(texts: Texts, request: Request, *, last: bool) -> tuple[list[Wanted], Answer]:
    prompt = str(request.prompt)
    pairs = [texts.pair(prompt, text) for text in request.continuations]
    for ids, _ in pairs:
        texts.room(ids if last else ids[:-1], 1)

    def answer(found: Sequence[Found]) -> Response:
        return Response(
            "",
            prompt_tokens=sum(len(ids) for ids, _ in pairs),
            completion_tokens=0,
            likelihoods=tuple(
                Likelihood(text, math.fsum(one.logprobs), len(one.logprobs), all(one.greedy))
                for text, one in zip(request.continuations, found, strict=True)
            ),
        )

    return [Wanted(ids, first) for ids, first in pairs], answer


def _echo(texts: Texts, request: Request) -> tuple[list[Wanted], Answer]:
    ids, pieces = texts.pieces(str(request.prompt))
    texts.room(ids, 1)
    wanted = Wanted(ids, 1, max(1, request.logprobs), after=True)

    def answer(found: Sequence[Found]) -> Response:
        following = _next(texts, request, wanted, found[0])
        tops = zip(found[0].top, found[0].top_logprobs, strict=True)
        tokens = []
        for at, (piece, logprob, top) in enumerate(zip(pieces[1:], found[0].logprobs, tops, strict=False)):
            before = ids[max(0, at - 3) : at + 1].tolist()
            named = texts.named(*top, before) if request.logprobs else {}
            tokens.append(TokenLogprob(piece, logprob, named))
        first = [TokenLogprob(pieces[0], math.nan, {})] if pieces[0] else []
        return Response(
            following.text,
            following.finish,
            len(ids),
            1,
            logprobs=following.logprobs,
            prompt_logprobs=(*first, *tokens),
        )

    return [wanted], answer


def _next(texts: Texts, request: Request, wanted: Wanted, found: Found) -> Response:
    """The response of the likeliest next token."""
    token = found.top[-1][0]
    end = token in texts.ends
    logprobs: tuple[TokenLogprob, ...] = ()
    if request.logprobs:
        before = wanted.ids[-4:].tolist()
        named = texts.named(found.top[-1], found.top_logprobs[-1], before)
        logprobs = (TokenLogprob(texts.token(token, before), found.top_logprobs[-1][0], named),)
    text = "" if end else plain_text(texts.text([token]))
    return Response(text, "stop" if end else "length", len(wanted.ids), 1, logprobs=logprobs)
