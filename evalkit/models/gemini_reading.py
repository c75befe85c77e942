"""Reads the body of a 200 of Gemini's `generateContent` (https://ai.google.dev/api/generate-content)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

from evalkit.models.base import Finish, Response, TokenLogprob
from evalkit.models.bodies import count, no_answer, one_line
from evalkit.models.inside import Inside, as_body, error_of, status_of, told
from evalkit.models.reading import IMPOSSIBLE, LENIENT, SERVED, arguments_text, loaded
from evalkit.models.refusal import FINISHES
from evalkit.models.usage import CACHED, REASONING, tokens_of
from evalkit.samples import ToolCall

SIGNED = "#"
"""Stands between the id of a call, which may be empty, and the signature of the thoughts that led to it.

The API wants the signature back with the call (https://ai.google.dev/gemini-api/docs/thought-signatures).
"""


def parse(body: bytes, seconds: float) -> Response:
    """Parses the body. Raises a retryable `ProviderError` unless it has a candidate or says why not."""
    try:
        document, lenient = loaded(body)
        if isinstance(document, list) and len(document) == 1:
            document = document[0]
        spent = _spent(document.get("usageMetadata") or {})
        signs = _signs(document, lenient)
        if not document.get("candidates"):
            return Response("", "filter", *spent[:2], seconds, _why_blocked(document), signs=signs)
        candidate = document["candidates"][0]
        reason = str(candidate.get("finishReason") or "").lower()
        parts = (candidate.get("content") or {}).get("parts") or ()
        if not (reason or parts):
            raise KeyError("finishReason")
        text = "".join(str(part["text"]) for part in parts if "text" in part and not part.get("thought"))
        thoughts = [str(part["text"]) for part in parts if "text" in part and part.get("thought")]
        calls = tuple(_call(part) for part in parts if "functionCall" in part)
        finish: Finish = FINISHES.get(reason, "other")
        if finish == "filter":
            why = one_line(str(candidate.get("finishMessage") or candidate["finishReason"]))
            text, thoughts, calls = "", [*thoughts, *filter(None, (text,)), why], ()
        return Response(
            text,
            finish,
            *spent[:2],
            seconds,
            "\n".join(thoughts),
            logprobs=tuple(_logprobs(candidate.get("logprobsResult") or {})),
            tool_calls=calls,
            signs=signs,
            tokens=spent[2],
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise no_answer("Gemini", error, body) from None


def _call(part: Mapping[str, Any]) -> ToolCall:
    call, signature = part["functionCall"], part.get("thoughtSignature")
    signed = f"{SIGNED}{signature}" if signature else ""
    return ToolCall(str(call["name"]), arguments_text(call.get("args")), f"{call.get('id') or ''}{signed}")


def _spent(usage: Mapping[str, Any]) -> tuple[int | None, int | None, tuple[tuple[str, int], ...]]:
    """The tokens of the prompt, those generated with the thoughts, and further numbers."""
    said, thought = count(usage.get("candidatesTokenCount")), count(usage.get("thoughtsTokenCount"))
    completion = None if said is None and thought is None else (said or 0) + (thought or 0)
    further = tokens_of({CACHED: usage.get("cachedContentTokenCount"), REASONING: thought})
    return count(usage.get("promptTokenCount")), completion, further


def _why_blocked(document: Mapping[str, Any]) -> str:
    """Why the prompt was blocked. Raises `Inside` for an error in place of the candidates."""
    feedback = document.get("promptFeedback") or {}
    if reason := feedback.get("blockReason"):
        return one_line(str(feedback.get("blockReasonMessage") or reason))
    if error := error_of(document):
        raise Inside(f"invalid Gemini response: {told(error)}", status_of(error), as_body(error))
    raise KeyError("candidates")


def _signs(document: Mapping[str, Any], lenient: bool) -> tuple[tuple[str, str], ...]:
    served = document.get("modelVersion")
    named = ((SERVED, one_line(served)),) if isinstance(served, str) and served else ()
    return (*(((LENIENT, ""),) if lenient else ()), *named)


def _logprobs(found: Mapping[str, Any]) -> Iterator[TokenLogprob]:
    """Yields the chosen tokens with the alternatives that the API lists for each."""
    steps = zip_longest(found.get("chosenCandidates") or (), found.get("topCandidates") or ())
    for chosen, top in steps:
        listed = (top or {}).get("candidates") or ()
        tops = {str(one["token"]): _logprob(one) for one in reversed(listed)}
        yield TokenLogprob(str(chosen["token"]), _logprob(chosen), tops)


def _logprob(candidate: Mapping[str, Any]) -> float:
    """Its log-probability; minus infinity, which JSON has as a text, is a number as OpenAI gives it."""
    found = float(candidate["logProbability"])
    if math.isnan(found) or found == math.inf:
        raise ValueError("a log-probability is no number")
    return max(found, IMPOSSIBLE)
