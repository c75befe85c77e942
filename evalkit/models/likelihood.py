"""The likelihoods of answers, from the log-probabilities that an endpoint returns.

They come from the alternatives of the next token, which is enough for a single letter, or from the prompt's
own tokens (`echo`), for longer continuations. Endpoints return only the likeliest alternatives, spell the
same token in different ways, and some return wrong values for the prompt: this module handles all three.
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
"""The space before a token, as plain text and as SentencePiece (▁) and GPT-2 (Ġ) spell it."""
_TOLERANCE = 0.05
"""In nats. The same token in another batch differs by rounding; another token differs by much more."""
_PROBES = ("The capital of France is", "Monday, Tuesday, Wednesday,", "She opened the door and saw")


@dataclass(frozen=True, slots=True)
class LetterScores:
    """The log-probability of each letter as the next token."""

    scores: tuple[float | None, ...]
    """The natural-log probability of each letter; None if it was not among the returned alternatives."""
    bound: float
    """The upper bound of the log-probability of a letter that was not returned."""
    form: Form
    """The form of the tokens: `spaced` (" A") or `bare` ("A")."""

    def best(self) -> tuple[int | None, bool]:
        """(index of the likeliest letter, whether the bound decides).

        The earliest wins a tie. The index is None if no letter was returned. The bound decides if a letter
        that was not returned could be as likely as the best of those that were.
        """
        known = [(score, -index) for index, score in enumerate(self.scores) if score is not None]
        if not known:
            return None, True
        score, index = max(known)
        return -index, len(known) < len(self.scores) and self.bound >= score


def letter_scores(token: TokenLogprob, letters: Sequence[str], *, api: Api, asked: int) -> LetterScores:
    """The log-probabilities of `letters` as the first generated token.

    `asked`: the number of alternatives that were requested; a server may return fewer, or one more, namely
    the generated token.

    hendrycks/test at 4450500 (evaluate.py) reads " A", " B", … after "Answer:". So after a text to continue,
    letters are read in the spaced form (" A", "▁A", "ĠA"), or in the bare form ("A") if no letter has the
    spaced one, because some servers decode each token alone. The response of a chat begins a message, so the
    bare form is tried first. The forms are never mixed, so that all letters are comparable. The original
    gives a letter that was not returned -100; here it has no score but an upper bound, the smaller of the
    least likely alternative and the probability that remains besides all returned tokens.
    """
    returned = {token.token: token.logprob} | token.top
    forms: tuple[Form, Form] = ("spaced", "bare") if api == "completion" else ("bare", "spaced")
    scores = {form: _scores(returned, letters, form) for form in forms}
    form = next((form for form in forms if any(s is not None for s in scores[form])), forms[0])
    return LetterScores(scores[form], _bound(returned, token.top, asked), form)


def something_else(response: Response) -> str:
    """The likeliest first token if it is a blank or opens a block such as `<think>`, else ""."""
    if not response.logprobs:
        return ""
    first = response.logprobs[0]
    returned = {first.token: first.logprob} | first.top
    likeliest = max(returned, key=returned.__getitem__)
    bare = likeliest.strip("".join(_SPACES) + "\u010a\r\n\t")
    return likeliest if not bare or bare.startswith(("<", "[THINK", "\u25c1")) else ""


def _scores(returned: dict[str, float], letters: Sequence[str], form: Form) -> tuple[float | None, ...]:
    before = _SPACES if form == "spaced" else ("",)
    spelled = [[returned[s + letter] for s in before if s + letter in returned] for letter in letters]
    return tuple(max(found, default=None) for found in spelled)


def _bound(returned: dict[str, float], top: dict[str, float], asked: int) -> float:
    """The upper bound of the log-probability of a token that is not in `returned`."""
    left = 1 - math.fsum(map(math.exp, returned.values()))
    by_mass = math.log(left) if left > 0 else -math.inf
    ranked = sorted(top.values(), reverse=True)[:asked]  # without a generated token that is less likely
    return min([by_mass, *ranked[-1:]])


def echo_request(prompt: str, text: str) -> Request:
    """The request for the tokens of `prompt` and `text` together."""
    return Request(prompt + text, 1, logprobs=1, echo=True)


def echoed_likelihood(response: Response, text: str) -> Likelihood:
    """The likelihood of `text`, the end of the echoed prompt, after the text before it.

    Raises `ProviderError` if the endpoint returned no tokens of the prompt, or if a token spans the beginning
    of `text`, because the two texts were then not tokenised separately.
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
                f"the endpoint's token {token.token!r} spans the end of the prompt and the beginning of its "
                "continuation, so the continuation has no probability of its own"
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
    """One response with the likelihoods of `texts`, from the response to the `echo_request` of each.

    Its numbers of tokens are the sums; its seconds are those of the slowest.
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


class UnusableEcho(UsageError):
    """The log-probabilities of a prompt's tokens cannot be used, for the `reason`."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the endpoint's log-probabilities of prompts cannot be used: {reason}. Use vLLM, whose echo is "
            "right; a choice between letters can also be asked with --set likelihood=next-token"
        )
        self.reason = reason


async def probe_echo(ask: Callable[[Request], Awaitable[Response]]) -> None:
    """Checks that the log-probabilities that an endpoint returns for a prompt's tokens are right.

    A token is generated, then the prompt is sent again with that token at its end: as the prompt's last token
    it must have the same log-probability as when it was generated. Raises `UnusableEcho` if the endpoint
    returns none or wrong ones, and whatever `ask` raises (`ProviderError`).
    """
    compared = 0
    for prompt in _PROBES:
        generated = await ask(Request(prompt, 1, logprobs=1))
        if not generated.logprobs:
            raise UnusableEcho("it returns no log-probabilities at all, although logprobs requests them")
        if not generated.text:
            continue  # the model generated no text
        try:
            echoed = await ask(Request(prompt + generated.text, 1, logprobs=1, echo=True))
        except ProviderError as error:
            if error.retryable:
                raise
            raise UnusableEcho(f"it refuses echo together with logprobs ({error})") from None
        if not echoed.prompt_logprobs:
            raise UnusableEcho("it ignores echo, or returns the prompt without them (as llama.cpp's server)")
        if echoed.prompt_logprobs[-1].token == generated.text:  # otherwise the end was tokenised differently
            compared += 1
            _compare(generated.text, generated.logprobs[0].logprob, echoed.prompt_logprobs)
    if not compared:
        raise UnusableEcho("no generated token was returned as the last token of an echoed prompt")


def _compare(text: str, generated: float, prompt: Sequence[TokenLogprob]) -> None:
    """Raises `UnusableEcho` unless `text`, the last of `prompt`, has the log-probability `generated`."""
    echoed = prompt[-1].logprob
    if abs(echoed - generated) <= _TOLERANCE:
        return
    if len(prompt) > 1 and abs(prompt[-2].top.get(text, math.inf) - generated) <= _TOLERANCE:
        raise UnusableEcho(
            "they are off by one: each token has the log-probability of the next one "
            "(llama-cpp-python's server does this for models without a BOS token)"
        )
    raise UnusableEcho(
        f"they are wrong: {text!r} has {generated:.3f} if it is generated, but {echoed:.3f} in the prompt"
    )
