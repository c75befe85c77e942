"""How likely a model holds an answer to be, from the log-probabilities that an endpoint returns.

Two ways: the next token's alternatives, which is all that a single letter needs, and the prompt's own
tokens (`echo`), for longer continuations. Endpoints return only the likeliest alternatives, spell one and
the same token in different ways, and some return wrong figures for the prompt: all three are seen here.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from evalkit.errors import ProviderError, UsageError
from evalkit.models.base import Likelihood, Request, Response, TokenLogprob
from evalkit.samples import Api

Form: TypeAlias = Literal["spaced", "bare"]
_SPACES = (" ", "\u2581", "\u0120")
"""A space before a token, and how SentencePiece's (▁) and GPT-2's (Ġ) vocabularies spell it."""
_TOLERANCE = 0.05
"""Nats. The same token in another batch differs by rounding; another token's figure by much more."""
_PROBES = ("The capital of France is", "Monday, Tuesday, Wednesday,", "She opened the door and saw")


@dataclass(frozen=True, slots=True)
class LetterScores:
    """How likely each letter is to be the next token."""

    scores: tuple[float | None, ...]
    """Natural-log probability of each letter; None: it was not among the returned alternatives."""
    bound: float
    """What the log-probability of a letter that was not returned is at most."""
    form: Form
    """Which tokens were read: " A" or "A"."""

    def best(self) -> tuple[int | None, bool]:
        """(index of the likeliest letter, whether a bound decides).

        Of equals the earliest; None when no letter was returned. A bound decides when a letter that was
        not returned could be as likely as the best of those that were.
        """
        known = [(score, -index) for index, score in enumerate(self.scores) if score is not None]
        if not known:
            return None, True
        score, index = max(known)
        return -index, len(known) < len(self.scores) and self.bound >= score


def letter_scores(token: TokenLogprob, letters: Sequence[str], *, api: Api, asked: int) -> LetterScores:
    """The log-probabilities of `letters` as the token that was generated first.

    `asked`: how many alternatives were asked for; there may be fewer, and one more: the generated token.

    hendrycks/test at 4450500 (evaluate.py) reads " A", " B", … after "Answer:". So a text to continue is
    read in the spaced form (" A", "▁A", "ĠA"), and only where no letter at all came in it in the bare one
    ("A"), which is what servers return that decode a token alone; a chat's answer begins a message, so it
    is read in the bare form first. The two are never mixed: of one form all letters are comparable. The
    original puts a letter that was not returned at -100; here it has no score but a bound, the smaller
    of the least likely alternative and the probability that all returned ones leave.
    """
    returned = {token.token: token.logprob} | token.top
    forms: tuple[Form, Form] = ("spaced", "bare") if api == "completion" else ("bare", "spaced")
    found = {form: _scores(returned, letters, form) for form in forms}
    form = next((form for form in forms if any(s is not None for s in found[form])), forms[0])
    return LetterScores(found[form], _bound(returned, token.top, asked), form)


def _scores(returned: dict[str, float], letters: Sequence[str], form: Form) -> tuple[float | None, ...]:
    before = _SPACES if form == "spaced" else ("",)
    spelled = [[returned[s + letter] for s in before if s + letter in returned] for letter in letters]
    return tuple(max(found, default=None) for found in spelled)


def _bound(returned: dict[str, float], top: dict[str, float], asked: int) -> float:
    """The most that the log-probability of a token can be which is not in `returned`."""
    left = 1 - math.fsum(map(math.exp, returned.values()))
    by_mass = math.log(left) if left > 0 else -math.inf
    ranked = sorted(top.values(), reverse=True)[:asked]  # without a generated token from further down
    return min([by_mass, *ranked[-1:]])


def echo_request(prompt: str, text: str) -> Request:
    """What asks for the tokens of `prompt` and `text` together."""
    return Request(prompt + text, 1, logprobs=1, echo=True)


def echoed_likelihood(response: Response, text: str) -> Likelihood:
    """How likely `text`, the end of the echoed prompt, is after what stands before it.

    Raises `ProviderError` where the endpoint returned no tokens of the prompt, or one stands across the
    beginning of `text`: then the two texts were not tokenised as they would be apart.
    """
    if not response.prompt_logprobs:
        raise ProviderError("the endpoint returned no log-probabilities of the prompt's tokens")
    echoed = "".join(token.token for token in response.prompt_logprobs)
    if not echoed.endswith(text):
        raise ProviderError(
            f"the endpoint's tokens of the prompt end with {echoed[-20:]!r}, not with {text!r}"
        )
    boundary = len(echoed) - len(text)
    at, own = 0, []
    for token in response.prompt_logprobs:
        end = at + len(token.token)
        if at < boundary < end:
            raise ProviderError(
                f"the endpoint's token {token.token!r} stands across the end of the prompt and the beginning "
                "of its continuation, so the continuation has no probability of its own"
            )
        if at >= boundary:
            own.append(token)
        at = end
    total = math.fsum(token.logprob for token in own)
    if math.isnan(total):
        raise ProviderError("the endpoint returned no log-probability for the continuation of the prompt")
    greedy = (
        all(token.logprob >= max(token.top.values()) for token in own) if all(t.top for t in own) else None
    )
    return Likelihood(text, total, len(own), greedy)


def composed(parts: Sequence[Response], texts: Sequence[str]) -> Response:
    """One response with the likelihoods of `texts`, from the answer to the `echo_request` of each.

    Its tokens are those of all, its seconds those of the slowest.
    """
    return Response(
        "",
        prompt_tokens=_sum(part.prompt_tokens for part in parts),
        completion_tokens=_sum(part.completion_tokens for part in parts),
        seconds=max(part.seconds for part in parts),
        likelihoods=tuple(echoed_likelihood(part, text) for part, text in zip(parts, texts, strict=True)),
    )


def _sum(counts: Iterable[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


async def probe_echo(ask: Callable[[Request], Awaitable[Response]]) -> None:
    """Shows whether the log-probabilities that an endpoint returns for a prompt's tokens are right.

    A token is generated, then the prompt is sent again with that token at its end: as the prompt's last
    token it must have the log-probability that it was generated with. Raises `UsageError` when the
    endpoint returns none or wrong ones, and what `ask` raises (`ProviderError`).
    """
    compared = 0
    for prompt in _PROBES:
        said = await ask(Request(prompt, 1, logprobs=1))
        if not said.logprobs:
            raise _unusable("it returns no log-probabilities at all, though logprobs asks for them")
        if not said.text:
            continue  # the model had nothing to say
        echoed = await ask(Request(prompt + said.text, 1, logprobs=1, echo=True))
        if not echoed.prompt_logprobs:
            raise _unusable("it ignores echo, or returns the prompt without them (llama.cpp's server does)")
        if echoed.prompt_logprobs[-1].token == said.text:  # else the end was tokenised in another way
            compared += 1
            _compare(said.text, said.logprobs[0].logprob, echoed.prompt_logprobs)
    if not compared:
        raise _unusable("no token that it generated came back as the last token of an echoed prompt")


def _compare(text: str, generated: float, prompt: Sequence[TokenLogprob]) -> None:
    """`text`: the last token of `prompt`, `generated`: its right log-probability."""
    echoed = prompt[-1].logprob
    if abs(echoed - generated) <= _TOLERANCE:
        return
    if len(prompt) > 1 and abs(prompt[-2].top.get(text, math.inf) - generated) <= _TOLERANCE:
        raise _unusable(
            "they are off by one: each token has the figure of the one after it "
            "(llama-cpp-python's server does this for models without a BOS token)"
        )
    raise _unusable(
        f"they are wrong: {text!r} has {generated:.3f} when it is generated, {echoed:.3f} in the prompt"
    )


def _unusable(reason: str) -> UsageError:
    return UsageError(
        f"the endpoint's log-probabilities of prompts cannot be used: {reason}. --set likelihood=next-token "
        "needs none, or ask vLLM, whose echo is right"
    )
