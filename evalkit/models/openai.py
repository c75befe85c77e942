"""Any endpoint that speaks OpenAI's chat and completions routes: vLLM, SGLang, llama.cpp, Ollama, OpenAI.

A thin aiohttp client: the engine retries, limits and caches. The key comes from OPENAI_API_KEY and goes
nowhere but into the Authorization header.
"""

from __future__ import annotations

import asyncio
import importlib
import ipaddress
import math
import os
import time
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import orjson

from evalkit.errors import ProviderError, UsageError
from evalkit.models.base import Capability, Finish, Request, Response, TokenLogprob
from evalkit.models.echo import split_echo
from evalkit.samples import JSON, Message

OPENAI = "https://api.openai.com/v1"
_LARGEST_ANSWER = 64 << 20
"""Bytes of one HTTP answer; more is a broken or hostile server."""
_FINISH: dict[str, Finish] = {"stop": "stop", "eos": "stop", "length": "length", "content_filter": "filter"}
_RETRYABLE = {408, 409, 425, 429, 500, 502, 503, 504, 529}
_THROTTLED = {429, 503, 529}
_FATAL = {401, 403, 404, 405}
_SHORTEST_SECRET = 8
"""Characters of a key that could be one; `EMPTY` is what local servers are given."""
_THINK, _THINK_END = "<think>", "</think>"
_TOO_LONG_STATUS = {400, 413, 422, 500}
_TOO_LONG = (
    b"context_length_exceeded",  # OpenAI's code, also llama-cpp-python's and Groq's
    b"maximum context length",  # OpenAI, vLLM, SGLang, Mistral, OpenRouter
    b"longer than the model's context length",  # SGLang
    b"longer than the maximum model length",  # vLLM's engine
    b"exceed_context_size_error",  # llama.cpp's type
    b"exceeds the available context size",  # llama.cpp
    b"context size has been exceeded",  # llama.cpp, with a 500
    b"exceed context window of",  # llama-cpp-python
    b"`inputs` tokens + `max_new_tokens` must be <=",  # TGI
    b"`inputs` must have less than",  # TGI
    b"trying to keep the first",  # LM Studio
    b"exceeds the context length",  # Ollama, where it does not cut the prompt silently
    b"prompt too long; exceeded",  # Ollama
    b"prompt is too long",  # Anthropic, Fireworks
    b"maximum prompt length",  # xAI
    b"exceeds the maximum number of tokens",  # Gemini
)
"""What servers say, in lower case, when a prompt does not fit the context."""
_ERROR_READ = 4096
"""Bytes of an error's body that are searched; some servers repeat the request behind their words."""


class OpenAIModel:
    """`openai/NAME` at `base_url` (default OPENAI_BASE_URL, else OpenAI's own)."""

    capabilities: frozenset[Capability] = frozenset({"chat", "completion", "image", "logprobs"})
    parallel: int | None = None

    def __init__(self, model: str, base_url: str = "", *, timeout: float = 600.0) -> None:
        self.name = f"openai/{model}"
        self._model = model
        self.base_url = _checked(base_url or os.environ.get("OPENAI_BASE_URL", "") or OPENAI)
        self._timeout = timeout
        importlib.import_module("aiohttp")  # here, for it would hold the event loop up for half a second
        self._session: Any = None
        # OpenAI's newer models refuse the older name; other servers know only that one.
        self._max_tokens = "max_completion_tokens" if self.base_url == OPENAI else "max_tokens"

    @property
    def identity(self) -> dict[str, JSON]:
        return {"backend": "openai", "model": self._model, "endpoint": self.base_url}

    async def generate(self, request: Request, *, draw: int = 0) -> Response:
        """One HTTP request, one attempt. Raises `ProviderError`."""
        import aiohttp

        route = "completions" if request.api == "completion" else "chat/completions"
        session = self._open_session()
        if request.images:  # megabytes: in a thread, and written piece by piece
            data: bytes | BytesIO = BytesIO(await asyncio.to_thread(self._encoded, request))
        else:
            data = self._encoded(request)
        started = time.perf_counter()
        try:
            async with session.post(f"{self.base_url}/{route}", data=data, allow_redirects=False) as answer:
                body = await _read(answer.content)
                if answer.status != 200:
                    raise self._refusal(answer.status, answer.headers, body)
        except TimeoutError:
            raise ProviderError(
                f"no answer within {self._timeout:g} s", retryable=True, throttled=True
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            raise ProviderError(f"{self.base_url}: {_one_line(str(error))}", retryable=True) from None
        echoed = str(request.prompt) if request.echo else ""
        return _parse(body, request.api, time.perf_counter() - started, echoed)

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open_session(self) -> Any:
        if self._session is None:
            import aiohttp

            headers = {"Content-Type": "application/json"}
            key = _key()
            if not key.isprintable():
                raise ProviderError("OPENAI_API_KEY holds a line break or a control character", fatal=True)
            if key:
                headers["Authorization"] = f"Bearer {key}"
            elif self.base_url == OPENAI:
                raise ProviderError("OPENAI_API_KEY is not set", fatal=True)
            self._session = aiohttp.ClientSession(
                headers=headers,
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60),
                timeout=aiohttp.ClientTimeout(total=self._timeout, sock_connect=15),
                trust_env=not _is_loopback(self.base_url),  # proxies, but not to this machine
                auto_decompress=True,
            )
        return self._session

    def _encoded(self, request: Request) -> bytes:
        return orjson.dumps(self._payload(request))

    def _payload(self, request: Request) -> dict[str, JSON]:
        payload: dict[str, JSON] = {"model": self._model}
        if isinstance(request.prompt, str):
            payload["prompt"] = request.prompt
            payload["max_tokens"] = request.max_tokens
            if request.logprobs:
                payload["logprobs"] = request.logprobs
            if request.echo:
                payload["echo"] = True
        else:
            payload["messages"] = [{"role": m.role, "content": _content(m)} for m in request.prompt]
            payload[self._max_tokens] = request.max_tokens
            if request.logprobs:
                payload["logprobs"] = True
                payload["top_logprobs"] = request.logprobs
        payload["temperature"] = request.temperature
        if request.top_p != 1:
            payload["top_p"] = request.top_p
        if request.stop:
            payload["stop"] = list(request.stop)
        if request.seed is not None:
            payload["seed"] = request.seed
        return payload

    def _refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        key = _key().encode()
        if len(key) >= _SHORTEST_SECRET:  # some servers repeat it, and errors are stored
            body = body.replace(key, b"[OPENAI_API_KEY]")
        said = _error_message(body)
        message = f"HTTP {status} from {self.base_url}" + (f": {said}" if said else "")
        if status in (401, 403):
            message += " (is OPENAI_API_KEY right?)"
        if status in (404, 405) and not self.base_url.endswith("/v1"):
            message += f" (did you mean --base-url {self.base_url}/v1?)"
        spent = status == 429 and b"insufficient_quota" in body  # money, not speed: waiting does not help
        too_long = status in _TOO_LONG_STATUS and _says_too_long(body)
        return ProviderError(
            message,
            retryable=status in _RETRYABLE and not spent and not too_long,
            retry_after=_retry_after(headers.get("Retry-After", "")),
            throttled=status in _THROTTLED and not spent,
            fatal=status in _FATAL or spent,
            too_long=too_long,
        )


def _content(message: Message) -> JSON:
    """A text, or parts of which pictures are data URLs: OpenAI, vLLM, SGLang and llama.cpp take these."""
    if isinstance(message.content, str):
        return message.content
    return [
        {"type": "text", "text": part}
        if isinstance(part, str)
        else {
            "type": "image_url",
            "image_url": {"url": f"data:{part.mime};base64,{b64encode(part.data).decode()}"},
        }
        for part in message.content
    ]


def _key() -> str:
    return os.environ.get("OPENAI_API_KEY", "").strip()


def _checked(url: str) -> str:
    """`url` without a slash at its end. Raises `UsageError` where no request could be sent to it."""
    url = url.strip()
    if "@" in url.rpartition("://")[2].partition("/")[0]:
        raise UsageError("--base-url holds a password: put the key into OPENAI_API_KEY instead")
    if not _is_address(url):
        raise UsageError(f"--base-url {url!r} is no http(s) address: http://127.0.0.1:8000/v1 is one")
    return url.rstrip("/")


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna")
        usable = bool(host) and parts.port != 0  # reading the port checks it
    except ValueError:
        return False
    spaced = any(c.isspace() or not c.isprintable() for c in url)
    return usable and parts.scheme in ("http", "https") and not (parts.query or parts.fragment or spaced)


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _read(content: Any) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in content.iter_any():
        chunks.append(chunk)
        size += len(chunk)
        if size > _LARGEST_ANSWER:
            raise ProviderError(f"an answer of more than {_LARGEST_ANSWER >> 20} MB")
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _parse(body: bytes, api: str, seconds: float, echoed: str = "") -> Response:
    """A 200 answer's body. Raises a retryable `ProviderError` for anything but a choice with text.

    `echoed`: the prompt that the endpoint was asked to repeat before what it generates.
    """
    try:
        document = orjson.loads(body)
        choice = document["choices"][0]
        message = choice if api == "completion" else choice["message"]
        text = message["text"] if api == "completion" else message.get("content")
        usage = document.get("usage") or {}
        finish = choice.get("finish_reason") or ""
        text, logprobs = _plain_text(text), _logprobs(choice.get("logprobs"))
        prompt_logprobs: tuple[TokenLogprob, ...] = ()
        if echoed:
            text, prompt_logprobs, logprobs = split_echo(echoed, text, logprobs)
        text, reasoning = _split_reasoning(text)
        return Response(
            text=text,
            finish=_FINISH.get(finish, "other"),
            prompt_tokens=_count(usage.get("prompt_tokens")),
            completion_tokens=_count(usage.get("completion_tokens")),
            seconds=seconds,
            reasoning=str(message.get("reasoning_content") or message.get("reasoning") or reasoning),
            logprobs=logprobs if echoed else tuple(one for one in logprobs if not math.isnan(one.logprob)),
            prompt_logprobs=prompt_logprobs,
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        problem = f"{type(error).__name__}: {_one_line(str(error))}"
        too_long = _says_too_long(body)  # LM Studio says so with a 200
        raise ProviderError(
            f"an answer that is no {api} ({problem}): {_error_message(body)}",
            retryable=not too_long,
            too_long=too_long,
        ) from None


def _plain_text(content: Any) -> str:
    """Text of a message: a string, null (a refusal, a tool call), or a list of parts."""
    if content is None:
        return ""
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content)
    if not isinstance(content, str):
        raise TypeError(f"content is {type(content).__name__}")
    return content


def _split_reasoning(text: str) -> tuple[str, str]:
    """(answer, reasoning) of a text with inline `<think>`: what is inside is never the answer.

    A block left open (the response was cut there, or met a stop sequence) leaves no answer at all.
    """
    before, mark, after = text.partition(_THINK_END)
    if mark:
        return after.lstrip("\n"), before.replace(_THINK, "", 1)
    if text.lstrip().startswith(_THINK):
        return "", text
    return text, ""


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None


def _logprobs(found: Any) -> tuple[TokenLogprob, ...]:
    """Token log-probabilities in either shape: the chat route's, or the older completions route's."""
    if not found:
        return ()
    if found.get("content") is not None:
        return tuple(
            TokenLogprob(
                item["token"],
                float(item["logprob"]),
                _alternatives(item.get("top_logprobs") or ()),
            )
            for item in found["content"]
        )
    if found.get("tokens") is None:
        return ()  # a refusal's: {"content": null}
    tops = found.get("top_logprobs") or [{}] * len(found["tokens"])
    return tuple(
        TokenLogprob(
            token,
            math.nan if logprob is None else float(logprob),  # the first token of an echoed prompt has none
            {k: float(v) for k, v in (top or {}).items()},
        )
        for token, logprob, top in zip(found["tokens"], found["token_logprobs"], tops, strict=True)
    )


def _alternatives(tops: Any) -> dict[str, float]:
    """Of alternatives that read the same (`A` with and without its space, on some servers) the likeliest."""
    found: dict[str, float] = {}
    for top in tops:
        found[top["token"]] = max(float(top["logprob"]), found.get(top["token"], -math.inf))
    return found


def _says_too_long(body: bytes) -> bool:
    """Whether an error's body says that the prompt does not fit the context."""
    said = body[:_ERROR_READ].lower()
    return any(words in said for words in _TOO_LONG)


def _error_message(body: bytes) -> str:
    """What a server's error body says, in one line of at most 300 characters."""
    try:
        document = orjson.loads(body)
        error = document.get("error", document) if isinstance(document, dict) else document
        if isinstance(error, dict):
            error = error.get("message") or error.get("detail") or error
        return _one_line(str(error))
    except ValueError:
        return _one_line(body[:600].decode("utf-8", "replace"))


def _one_line(text: str) -> str:
    """Printable, on one line, short: a server's words reach a terminal."""
    return "".join(c if c.isprintable() else " " for c in text[:300]).strip()


def _retry_after(value: str) -> float | None:
    """Seconds that a Retry-After header asks for: a number or a date."""
    if not value:
        return None
    try:
        seconds = float(value)
        return max(0.0, seconds) if math.isfinite(seconds) else None
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())
