"""What a request wants of the model, and the response that it makes of what was found."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from evalkit.errors import ProviderError
from evalkit.hf.passes import Found, Wanted
from evalkit.models.base import Likelihood, Request, Response, TokenLogprob
from evalkit.samples import plain_text

if TYPE_CHECKING:
    from evalkit.hf.loaded import Loaded

Answer: TypeAlias = Callable[[Sequence[Found]], Response]
_HEEDED = ("top_k",)


def is_scored(request: Request, *, one_token: bool = True) -> bool:
    """Whether it needs no generation: it asks for tokens that are there, or for the likeliest next one.

    `one_token`: whether the latter counts. What follows a picture or a clip is always generated.
    """
    if request.media:
        return False
    next_token = request.max_tokens == 1 and not request.temperature
    return bool(request.continuations) or request.echo or (next_token and one_token)


def check(request: Request) -> None:
    """Raises `ProviderError` for a parameter that this backend does not heed, and likelihoods after media."""
    if other := sorted(set(request.extra) - set(_HEEDED)):
        raise ProviderError(f"hf/ does not heed {', '.join(other)}", fatal=True)
    if request.continuations and request.media:
        raise ProviderError("hf/ computes no likelihoods after pictures or clips", fatal=True)


def scored(loaded: Loaded, request: Request) -> tuple[list[Wanted], Answer]:
    """What is wanted for a request without generation, and its response to what was found."""
    check(request)
    if request.continuations:
        return _continuations(loaded, request)
    if request.echo and isinstance(request.prompt, str):
        return _echo(loaded, request)
    ids = loaded.texts.prompt(request.prompt)
    loaded.room(ids, 1)
    wanted = Wanted(ids, len(ids), max(1, request.logprobs), after=True)
    return [wanted], lambda found: _next(loaded, request, wanted, found[0])


def _continuations(loaded: Loaded, request: Request) -> tuple[list[Wanted], Answer]:
    prompt = str(request.prompt)
    pairs = [loaded.texts.pair(prompt, text) for text in request.continuations]
    for ids, _ in pairs:
        loaded.room(ids[:-1], 1)

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


def _echo(loaded: Loaded, request: Request) -> tuple[list[Wanted], Answer]:
    ids, pieces = loaded.texts.pieces(str(request.prompt))
    loaded.room(ids, 1)
    wanted = Wanted(ids, 1, max(1, request.logprobs), after=True)

    def answer(found: Sequence[Found]) -> Response:
        following = _next(loaded, request, wanted, found[0])
        tops = zip(found[0].top, found[0].top_logprobs, strict=True)
        tokens = []
        for at, (piece, logprob, top) in enumerate(zip(pieces[1:], found[0].logprobs, tops, strict=False)):
            before = ids[max(0, at - 3) : at + 1].tolist()
            named = loaded.texts.named(*top, before) if request.logprobs else {}
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


def _next(loaded: Loaded, request: Request, wanted: Wanted, found: Found) -> Response:
    """The response of the likeliest next token."""
    token, texts = found.top[-1][0], loaded.texts
    end = loaded.is_end(token)
    logprobs: tuple[TokenLogprob, ...] = ()
    if request.logprobs:
        before = wanted.ids[-4:].tolist()
        named = texts.named(found.top[-1], found.top_logprobs[-1], before)
        logprobs = (TokenLogprob(texts.token(token, before), found.top_logprobs[-1][0], named),)
    text = "" if end else plain_text(texts.text([token]))
    return Response(text, "stop" if end else "length", len(wanted.ids), 1, logprobs=logprobs)
