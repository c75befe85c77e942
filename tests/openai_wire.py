"""What OpenAI-like servers say: answers with usage and log-probabilities, refusals, and media taken apart."""

from __future__ import annotations

import math
import re
from base64 import b64decode
from collections.abc import Callable
from io import BytesIO
from typing import Any, NamedTuple

import PIL.Image
import soundfile
from aiohttp import web

Payload = dict[str, Any]
NextToken = Callable[[str], dict[str, float]]
"""The text so far → probability of each next token; "" ends the answer."""
Entry = tuple[str, "float | None", dict[str, float]]
"""A token, its log-probability and its alternatives."""

CHAT, COMPLETION = "chat/completions", "completions"
UNLIKELY = 1e-6
"""Probability of a token that the distribution does not name."""


class Seen(NamedTuple):
    """A picture as it arrived: what it said to be, what it is, and its file."""

    mime: str
    format: str
    mode: str
    size: tuple[int, int]
    data: bytes


class Heard(NamedTuple):
    """A clip as it arrived: what it said to be, what it is, and its file."""

    said: str
    format: str
    subtype: str
    rate: int
    channels: int
    frames: int
    data: bytes

    @property
    def seconds(self) -> float:
        return self.frames / self.rate


def look(url: str) -> Seen | web.Response:
    """The picture of a data URL, decoded whole, or vLLM's refusal of it."""
    head, mark, encoded = url.partition(";base64,")
    try:
        picture = b64decode(encoded, validate=True)
        with PIL.Image.open(BytesIO(picture)) as image:
            image.load()
            kind, mode, size = image.format or "", image.mode, image.size
    except (ValueError, OSError) as error:
        return refuse(400, f"cannot identify image file: {error}")
    if not mark or head != f"data:{PIL.Image.MIME[kind]}":
        return refuse(400, f"Only base64 data URLs of the right type are supported: {head}")
    return Seen(head.removeprefix("data:"), kind, mode, size, picture)


def listen(data: bytes, said: str) -> Heard | web.Response:
    """The clip of a file, decoded whole, or vLLM's refusal of it."""
    try:
        with soundfile.SoundFile(BytesIO(data)) as file:
            frames = len(file.read())
            return Heard(said, file.format, file.subtype, file.samplerate, file.channels, frames, data)
    except soundfile.LibsndfileError:
        return refuse(400, "Invalid or unsupported audio file.")


def listen_to_part(part: Payload) -> Heard | web.Response:
    """The clip of an `input_audio` part, or vLLM's refusal of it."""
    try:
        said, data = part["format"], b64decode(part["data"], validate=True)
    except (ValueError, KeyError, TypeError) as error:
        return refuse(400, f"{type(error).__name__}: {error}")
    if said not in ("wav", "mp3"):
        return refuse(400, f"Input should be 'wav' or 'mp3': {said}")
    return listen(data, said)


def tokens(text: str) -> list[str]:
    """What this server takes for tokens."""
    return re.findall(r"\s*\S+|\s+$", text)


def asked_text(payload: Payload) -> str:
    """The prompt, or the last message without its pictures."""
    if "prompt" in payload:
        return str(payload["prompt"])
    return text_of(payload["messages"][-1])


def text_of(message: Payload) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return "".join(part["text"] for part in content if part.get("type") == "text")
    return str(content)


def arithmetic(payload: Payload, route: str) -> str:
    """Works out the last sum or product it finds, else repeats what it was asked."""
    found = re.findall(r"(\d+) *([+*]) *(\d+)", asked_text(payload))
    if not found:
        return asked_text(payload)
    a, sign, b = found[-1]
    return f"The answer is {int(a) + int(b) if sign == '+' else int(a) * int(b)}."


def answer(
    payload: Payload,
    route: str,
    *texts: str,
    next_token: NextToken | None = None,
    shift: int = 0,
    **message: Any,
) -> Payload:
    """The document vLLM answers with when these are the texts; `message`: further fields of each.

    `next_token`: where log-probabilities come from, read `shift` tokens too late.
    """
    choices = []
    used = 0
    for index, text in enumerate(texts):
        shown, finish, reason = _cut(text, payload)
        count = len(tokens(shown))
        used += count
        choice: Payload = {"index": index, "logprobs": None, "finish_reason": finish, "stop_reason": reason}
        if route == CHAT:
            choice["message"] = {"role": "assistant", "content": shown, "refusal": None, "tool_calls": []}
            choice["message"] |= {"reasoning": None, "reasoning_content": None} | message
        else:
            choice |= {"text": shown, "prompt_logprobs": None} | message
        wanted = payload.get("top_logprobs") if payload.get("logprobs") is True else payload.get("logprobs")
        before = asked_text(payload) if payload.get("echo") and route == COMPLETION else ""
        if before:
            choice["text"] = before + choice["text"]
        if wanted:
            whole = [*tokens(before), *tokens(shown)]
            start = "" if before else asked_text(payload)
            found = _read(next_token, start, whole, wanted, shift) if next_token else _made_up(whole, wanted)
            choice["logprobs"] = _shaped([(found[0][0], None, {}), *found[1:]] if before else found, route)
        choices.append(choice)
    prompts = payload.get("prompt") or "\n".join(map(text_of, payload.get("messages", ())))
    sent = sum(len(tokens(str(prompt))) for prompt in ([prompts] if isinstance(prompts, str) else prompts))
    return {
        "id": "chatcmpl-0" if route == CHAT else "cmpl-0",
        "object": "chat.completion" if route == CHAT else "text_completion",
        "created": 1_760_000_000,
        "model": payload["model"],
        "choices": choices,
        "service_tier": None,
        "system_fingerprint": None,
        "usage": {
            "prompt_tokens": sent,
            "total_tokens": sent + used,
            "completion_tokens": used,
            "prompt_tokens_details": None,
        },
        "kv_transfer_params": None,
    }


def calling(payload: Payload, *calls: tuple[str, str], text: str | None = None) -> Payload:
    """The document vLLM answers a chat with when the model calls tools: (name, arguments) each."""
    made = [
        {"id": f"call-{at}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for at, (name, arguments) in enumerate(calls)
    ]
    document = answer(payload, CHAT, text or "", content=text, tool_calls=made)
    document["choices"][0]["finish_reason"] = "tool_calls"
    return document


def unfit_turns(payload: Payload) -> str:
    """What vLLM says of tools and turns that do not fit together; "" where they do."""
    messages = payload.get("messages", [])
    for tool in payload.get("tools", ()):
        if tool.get("type") != "function" or not isinstance(tool.get("function", {}).get("name"), str):
            return f"[{{'type': 'missing', 'loc': ('body', 'tools'), 'input': {tool}}}]"
    called = {call["id"] for message in messages for call in message.get("tool_calls", ())}
    for message in messages:
        if message["role"] == "tool" and message.get("tool_call_id") not in called:
            return f"tool_call_id {message.get('tool_call_id')!r} is of no call before it"
    if payload.get("continue_final_message"):
        if payload.get("add_generation_prompt", True):
            return "Cannot set both `continue_final_message` and `add_generation_prompt` to True."
        if messages[-1]["role"] != "assistant":
            return "continue_final_message is set but the final message is not the assistant's"
    return ""


def refuse(status: int, message: str, kind: str = "BadRequestError", **headers: str) -> web.Response:
    """An error as vLLM words it."""
    error = {"message": message, "type": kind, "param": None, "code": status}
    return web.json_response({"error": error}, status=status, headers=headers)


def refuse_like_openai(status: int, message: str, kind: str, code: str, **headers: str) -> web.Response:
    """An error as OpenAI words it."""
    error = {"message": message, "type": kind, "param": None, "code": code}
    return web.json_response({"error": error}, status=status, headers=headers)


async def stream(request: web.Request, body: bytes, stop_at: int | None = None) -> web.StreamResponse:
    """Writes `body`, or drops the connection after `stop_at` bytes of it."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = len(body)
    await response.prepare(request)
    for at in range(0, len(body[:stop_at]), 1 << 20):
        await response.write(body[:stop_at][at : at + (1 << 20)])
    if stop_at is not None and request.transport is not None:
        request.transport.close()
    else:
        await response.write_eof()
    return response


def _cut(text: str, payload: Payload) -> tuple[str, str, str | None]:
    """(text, finish reason, stop sequence met) under a request's stop sequences and token limit."""
    stops = payload.get("stop") or []
    met = None
    for stop in [stops] if isinstance(stops, str) else stops:
        if stop in text:
            text, met = text[: text.index(stop)], stop
    limit = payload.get("max_completion_tokens") or payload.get("max_tokens")
    if limit is not None and len(tokens(text)) > limit:
        return "".join(tokens(text)[:limit]), "length", None
    return text, "stop", met


def likeliest(next_token: NextToken, payload: Payload) -> str:
    """As many of the likeliest tokens as the request allows."""
    text = start = asked_text(payload)
    for _ in range(payload.get("max_completion_tokens") or payload["max_tokens"]):
        probabilities = next_token(text)
        token = max(probabilities, key=lambda token: probabilities[token])
        if not token:
            break
        text += token
    return text[len(start) :]


def _read(next_token: NextToken, start: str, said: list[str], wanted: int, shift: int) -> list[Entry]:
    """Each token of `said` after `start`, with its `wanted` likeliest alternatives and itself."""
    entries: list[Entry] = []
    for at, token in enumerate(said):
        probabilities = next_token(start + "".join(said[: at + shift]))
        found = {other: math.log(p) for other, p in sorted(probabilities.items(), key=lambda item: -item[1])}
        logprob = found.get(token, math.log(UNLIKELY))
        entries.append((token, logprob, dict(list(found.items())[:wanted]) | {token: logprob}))
    return entries


def _made_up(said: list[str], wanted: int) -> list[Entry]:
    """Each token at -0.25, and alternatives from -1.25 downwards."""
    return [
        (token, -0.25, {token: -0.25} | {f"{token}~{k}": -0.25 - k for k in range(1, wanted)})
        for token in said
    ]


def _shaped(entries: list[Entry], route: str) -> Payload:
    """Log-probabilities in the route's shape."""
    if route == CHAT:
        shaped = [[_token(token, value) for token, value in top.items()] for _, _, top in entries]
        said = [_token(token, logprob or 0.0) for token, logprob, _ in entries]
        return {"content": [one | {"top_logprobs": top} for one, top in zip(said, shaped, strict=True)]}
    texts = [token for token, _, _ in entries]
    return {
        "text_offset": [sum(map(len, texts[:at])) for at in range(len(texts))],
        "token_logprobs": [logprob for _, logprob, _ in entries],
        "tokens": texts,
        "top_logprobs": [top or None for _, _, top in entries],
    }


def _token(token: str, logprob: float) -> Payload:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}
