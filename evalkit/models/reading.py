"""Reads the body of a 200 from OpenAI's chat and completions routes, in the forms that servers give it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import orjson

from evalkit.errors import ProviderError
from evalkit.models.base import Finish, Response, TokenLogprob
from evalkit.models.bodies import count, no_answer, one_line
from evalkit.models.draws import by_choice
from evalkit.models.echo import split_echo
from evalkit.models.ends import one_turn, without_marks
from evalkit.models.inside import Inside, as_body, error_of, status_of, told
from evalkit.models.reasoning import split_reasoning
from evalkit.models.refusal import BROKEN, FINISHES, tells_refusal
from evalkit.models.usage import CACHED, REASONING, tokens_of
from evalkit.samples import Message, Prompt, ToolCall, plain_text

LENIENT, SERVED, FINGERPRINT = "lenient", "model", "fingerprint"
REPEATED, ENDS = "repeated", "ends"
"""Kinds of `Response.signs`: a body that is no valid JSON; the endpoint's names of model and system; a text
that began with the prompt; a template's mark that was left in the text."""
_LEAST_REPEATED = 40
"""The characters of a prompt from which no answer repeats it by chance."""
IMPOSSIBLE = -9999.0
"""Stands for a log-probability of minus infinity, as OpenAI's API gives it."""
_THOUGHTS = ("thinking", "reasoning", "thought", "redacted_thinking")
_TOKEN_ID = re.compile(r"token_id:\d+")
_NO_BYTES = b"\xef\xbb\xbf"


def parse(
    body: bytes, api: str, seconds: float, echoed: str = "", prompt: Prompt = "", draws: int = 1
) -> Response:
    """Parses the body of a 200. Raises a retryable `ProviderError` unless it has a choice with text.

    `echoed`: the prompt that the endpoint was asked to repeat before the generated text. `prompt`: what was
    asked, for wrappers around the answer that the prompt asks for (`models.reasoning`). `draws`: how many
    choices were asked for.
    """
    try:
        document, lenient = loaded(body)
        document = _opened(document)
        read = partial(_read, lenient=lenient, api=api, seconds=seconds, echoed=echoed, prompt=prompt)
        return read(document) if draws == 1 else by_choice(document, read, draws)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise no_answer(api, error, body) from None


def _read(
    document: Mapping[str, Any], *, lenient: bool, api: str, seconds: float, echoed: str, prompt: Prompt
) -> Response:
    """The response of the document's first choice."""
    found = [*signs(document, lenient)]
    if (refusal := _blocked(document)) is not None:
        return Response("", "filter", seconds=seconds, reasoning=refusal)
    choice = _choice(document, api)
    broken = choice.get("error") or document.get("error")
    _check_finished(_reason(choice), broken, document)
    message, content = _message(choice, api)
    text, thought = content_of(content)
    usage = document.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    logprobs = _logprobs(choice.get("logprobs"))
    prompt_logprobs: tuple[TokenLogprob, ...] = ()
    if echoed:
        text, prompt_logprobs, logprobs = split_echo(echoed, text, logprobs)
    elif repeated := _repeated(prompt, text):
        text, found = text[repeated:], [*found, (REPEATED, "")]
    finish: Finish = "filter" if broken else FINISHES.get(_reason(choice), "other")
    asked = partial(_has, prompt)
    text, around = without_marks(text, asked)
    split = split_reasoning(text, asked)
    text, end = one_turn(split.answer, asked)
    found += [(ENDS, end or around)] if end or around else []
    reasoning = reasoning_of(message) or thought
    reasoning = "\n".join(filter(None, (reasoning, split.reasoning)))
    if split.cut and finish != "filter":
        finish = "length"
    refusal = message.get("refusal")
    if finish == "filter" or (isinstance(refusal, str) and refusal and not text.strip()):
        said = (reasoning, text, refusal if isinstance(refusal, str) else "")
        finish, text, reasoning = "filter", "", "\n".join(filter(None, said))
    return Response(
        text=text,
        finish=finish,
        prompt_tokens=count(usage.get("prompt_tokens")),
        completion_tokens=_completion_tokens(usage),
        seconds=seconds,
        reasoning=reasoning,
        logprobs=logprobs if echoed else tuple(t for t in logprobs if not math.isnan(t.logprob)),
        prompt_logprobs=prompt_logprobs,
        tool_calls=_tool_calls(message.get("tool_calls"), text),
        signs=tuple(found),
        tokens=_further_tokens(usage),
    )


def loaded(body: bytes) -> tuple[Any, bool]:
    """(the JSON document, whether it was read leniently). Raises `ValueError` if it is not JSON.

    Gateways cut an emoji in two, put a byte order mark first, and Python's own `json` writes NaN and
    Infinity. None of this changes what the response says, so it is read, with U+FFFD for what is broken.
    """
    try:
        return orjson.loads(body), False
    except ValueError as error:
        text = body.removeprefix(_NO_BYTES).decode("utf-8", "replace")
        try:
            return _whole(json.loads(text)), True
        except ValueError:
            raise error from None


def _whole(value: Any) -> Any:
    """`value` without unpaired surrogates."""
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, list):
        return [_whole(one) for one in value]
    if isinstance(value, dict):
        return {plain_text(key): _whole(one) for key, one in value.items()}
    return value


def _blocked(document: Any) -> str | None:
    """Why the prompt was blocked before anything was generated; None if it was not."""
    if document.get("choices"):
        return None
    if tells_refusal(error := document.get("error")):
        return told(error)
    feedback = document.get("promptFeedback") or document.get("prompt_feedback")  # Gemini
    if not isinstance(feedback, dict):
        return None
    reason = feedback.get("blockReason") or feedback.get("block_reason")
    return str(reason) if reason else None


def _opened(document: Any) -> Any:
    """The document inside a list of one, which Gemini sends for an error, or inside a text (API gateways)."""
    if isinstance(document, str):
        document = orjson.loads(document)
    return document[0] if isinstance(document, list) and len(document) == 1 else document


def _choice(document: Mapping[str, Any], api: str) -> Mapping[str, Any]:
    """The first choice by its index. Raises `Inside` for an error in its place."""
    choices = document.get("choices")
    if not choices and (error := error_of(document)):
        raise Inside(f"invalid {api} response: {told(error)}", status_of(error), as_body(error))
    listed: list[Mapping[str, Any]] = list(document["choices"])
    return next((one for one in listed if one.get("index") == 0), None) or listed[0]


def _message(choice: Mapping[str, Any], api: str) -> tuple[Mapping[str, Any], Any]:
    """(message, its content) of a choice, also where a server answers in the form of the other route."""
    if "text" in choice and (api == "completion" or not choice.get("message")):
        return choice, choice["text"]
    message = choice.get("message") or choice.get("delta")
    if not isinstance(message, dict):
        raise KeyError("text" if api == "completion" else "message")
    return message, message.get("content")


def _check_finished(finish: str, error: Any, document: Mapping[str, Any]) -> None:
    """Raises `Inside` for a choice that the server could not finish."""
    if error and tells_refusal(error):
        return
    if error or finish in BROKEN:
        words = told(error or document)
        message = f"the response was not finished ({one_line(finish) or 'error'}): {words}"
        raise Inside(message, status_of(error), as_body(error or words))


def _reason(choice: Mapping[str, Any]) -> str:
    """The finish reason in lower case: also of `FINISH_LENGTH: 32` and {"type": "length"} (SGLang)."""
    reason = choice.get("finish_reason") or ""
    if isinstance(reason, dict):
        reason = reason.get("type") or ""
    if not isinstance(reason, str):
        return ""
    word = reason.lower().partition(":")[0].strip()
    return word.removeprefix("finish_reason_").removeprefix("finish_")


def _repeated(prompt: Prompt, text: str) -> int:
    """How many characters of `text` are the prompt, which some servers put before what they generate."""
    if not isinstance(prompt, str) or len(prompt) < _LEAST_REPEATED or not text.startswith(prompt):
        return 0
    return len(prompt)


def content_of(content: Any) -> tuple[str, str]:
    """(text, reasoning) of a message, whose content is a string, null (a refusal, a tool call) or parts."""
    if content is None:
        return "", ""
    if isinstance(content, str):
        return content, ""
    if isinstance(content, dict) and isinstance(content.get("text"), str):
        content = [content]
    if not isinstance(content, list):
        raise TypeError(f"content is {type(content).__name__}")
    text, thought = "", list[str]()
    for part in content:
        if isinstance(part, dict) and str(part.get("type")).partition(".")[0] in _THOUGHTS:
            thought.append(_thought(part))
        elif isinstance(part, dict):
            inner = part.get("text") or part.get("content") or ""
            text += content_of(inner)[0]
        else:
            text += part if isinstance(part, str) else ""
    return text, "\n".join(filter(None, thought))


def _thought(part: Any) -> str:
    """The text of a part with reasoning, which may have parts of its own (Mistral)."""
    if isinstance(part, str):
        return part
    if isinstance(part, list):
        return "".join(map(_thought, part))
    if not isinstance(part, dict):
        return ""
    found = (part.get(name) for name in ("text", "thinking", "reasoning", "content", "summary"))
    return next((_thought(one) for one in found if one), "")


def reasoning_of(message: Mapping[str, Any]) -> str:
    """The reasoning that stands beside the content: DeepSeek's, OpenRouter's, Ollama's and others' fields."""
    for name in ("reasoning_content", "reasoning", "thinking"):
        if found := message.get(name):
            return _thought(found) if isinstance(found, list | dict) else str(found)
    details = message.get("reasoning_details") or message.get("thinking_blocks")
    return "\n".join(filter(None, map(_thought, details))) if isinstance(details, list) else ""


def _has(prompt: Prompt, mark: str) -> bool:
    if isinstance(prompt, str):
        return mark in prompt
    return isinstance(prompt, tuple) and any(
        mark in part
        for turn in prompt
        if isinstance(turn, Message)
        for part in turn.parts
        if isinstance(part, str)
    )


def _completion_tokens(usage: Mapping[str, Any]) -> int | None:
    """The generated tokens, with those of the reasoning, which xAI and Gemini count only in the total."""
    generated, prompt = count(usage.get("completion_tokens")), count(usage.get("prompt_tokens"))
    details = usage.get("completion_tokens_details")
    thought = count(details.get("reasoning_tokens")) if isinstance(details, dict) else None
    if generated is None or prompt is None or not thought:
        return generated
    return generated + thought if usage.get("total_tokens") == prompt + generated + thought else generated


def _further_tokens(usage: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    """Tokens of the prompt from a cache, and those of reasoning, by OpenAI's names and DeepSeek's."""
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    details = usage.get("completion_tokens_details")
    thought = details.get("reasoning_tokens") if isinstance(details, dict) else None
    return tokens_of({CACHED: cached or usage.get("prompt_cache_hit_tokens"), REASONING: thought})


def signs(document: Mapping[str, Any], lenient: bool) -> Iterable[tuple[str, str]]:
    """What a response says of itself beside its answer, as `Response.signs`."""
    if lenient:
        yield LENIENT, ""
    for kind, name in ((SERVED, "model"), (FINGERPRINT, "system_fingerprint")):
        if isinstance(said := document.get(name), str) and said:
            yield kind, one_line(said)


def _tool_calls(calls: Any, text: str) -> tuple[ToolCall, ...]:
    """The calls of functions; some servers return the arguments as an object, and no id.

    What names no function is none where there is a text beside it.
    """
    try:
        return tuple(
            ToolCall(
                str(call["function"]["name"]),
                arguments_text(call["function"].get("arguments")),
                str(call.get("id") or ""),
            )
            for call in calls or ()
        )
    except (KeyError, TypeError, AttributeError):
        if text.strip():
            return ()
        raise


def arguments_text(given: Any) -> str:
    """The arguments of a call as JSON; some servers return an object."""
    return given if isinstance(given, str) else orjson.dumps({} if given is None else given).decode()


def _logprobs(logprobs: Any) -> tuple[TokenLogprob, ...]:
    """Token log-probabilities in either format: that of the chat route, or of the older completions route."""
    if not logprobs or logprobs is True:
        return ()
    if isinstance(logprobs, list):
        logprobs = {"content": logprobs}
    if logprobs.get("content") is not None:
        return tuple(
            _token(item["token"], item.get("logprob"), _alternatives(item.get("top_logprobs") or ()))
            for item in logprobs["content"]
        )
    if logprobs.get("tokens") is None:
        return ()  # a refusal: {"content": null}
    tops = logprobs.get("top_logprobs") or [{}] * len(logprobs["tokens"])
    return tuple(
        _token(token, logprob, _alternatives(top))
        for token, logprob, top in zip(logprobs["tokens"], logprobs["token_logprobs"], tops, strict=True)
    )


def _text(token: Any) -> Any:
    """The text of a token, which some servers put into an object with its id."""
    return token.get("text", token.get("token")) if isinstance(token, dict) else token


def _token(text: Any, logprob: Any, top: dict[str, float]) -> TokenLogprob:
    """A token; its log-probability is nan if the server gives none, as for the first of an echoed prompt.

    A token without one but with alternatives was generated: it is one of them, or no likelier than the last.
    """
    text = _text(text)
    for name in (text, *top):
        if isinstance(name, str) and _TOKEN_ID.fullmatch(name):
            raise ProviderError(
                f"the endpoint returns {name!r} in place of a token's text, so no letter can be found: start "
                "the server without vLLM's --return-tokens-as-token-ids",
                fatal=True,
            )
    if not isinstance(text, str):
        raise TypeError(f"a token is {type(text).__name__}, not a text")
    found = _number(logprob)
    if found is None:
        found = top.get(text, min(top.values())) if top else math.nan
    return TokenLogprob(text, found, top)


def _alternatives(tops: Any) -> dict[str, float]:
    """The alternatives by text; the likeliest if several have the same text.

    On some servers a token with and without a space before it has the same text. One whose log-probability is
    null or NaN is left out.
    """
    pairs = (
        tops.items()
        if isinstance(tops, dict)
        else (
            top if isinstance(top, list) and len(top) == 2 else (_text(top["token"]), top.get("logprob"))
            for top in tops or ()
        )
    )
    alternatives: dict[str, float] = {}
    for text, logprob in pairs:
        if (found := _number(logprob)) is not None:
            alternatives[text] = max(found, alternatives.get(text, -math.inf))
    return alternatives


def _number(logprob: Any) -> float | None:
    """A finite log-probability; None for null and NaN. Some servers write these, and -Infinity, as texts."""
    if logprob is None:
        return None
    found = float(logprob)
    if math.isnan(found):
        return None
    if found == math.inf:
        raise ValueError("a log-probability is infinite")
    return max(found, IMPOSSIBLE)
