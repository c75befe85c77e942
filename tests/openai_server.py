"""A stand-in for an OpenAI-compatible endpoint: vLLM's answers, over real HTTP on the loopback.

    with OpenAIServer(lambda payload, route: "42") as server:
        model = OpenAIModel("any", server.url)

or, from a process of its own, which prints its URL as its first line:

    python -m tests.openai_server --port 0 --latency 0.05 --log requests.jsonl

It cuts its answers at `max_tokens` and at stop sequences, counts tokens (a word is one, with the space
before it), refuses what vLLM refuses, and fails on demand. It makes up log-probabilities, or, given the
probabilities of the next token, is a small language model whose figures are right:

    OpenAIServer(next_token=lambda text: {" A": 0.7, " B": 0.3})

Other servers' ways are chosen: how they word a prompt that is too long, how many alternatives they give,
whether they echo a prompt, and rightly.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import re
import signal
import threading
from base64 import b64decode
from collections import deque
from collections.abc import Awaitable, Callable
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, get_args

import PIL.Image
from aiohttp import web

from tests.models.refusals import too_long

Payload = dict[str, Any]
Script = Callable[[Payload, str], "str | Payload | web.Response"]
"""(payload, route) → the text to answer, a whole JSON document, or an HTTP response."""
Fault = Literal["429", "500", "503", "drop", "hang", "truncated", "html", "no choices", "null", "huge"]
NextToken = Callable[[str], dict[str, float]]
"""The text so far → probability of each next token; "" ends the answer."""
Echo = Literal["right", "off by one", "ignored"]
"""How the prompt's tokens are given when `echo` asks for them: as vLLM does; each with the figure of the one
that comes after it, as llama-cpp-python's server does for models without a BOS; not at all, as llama.cpp."""
Entry = tuple[str, "float | None", dict[str, float]]
"""A token, its log-probability and its alternatives."""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

CHAT, COMPLETION = "chat/completions", "completions"
MOST_LOGPROBS = 20
UNLIKELY = 1e-6
"""Probability of a token that the distribution does not name."""
HUGE = 70_000_000
"""Characters of the text of a `huge` answer."""
_HTML = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


class Asked(NamedTuple):
    """One request for an answer, as it arrived."""

    route: str
    payload: Payload
    headers: dict[str, str]


class Seen(NamedTuple):
    """A picture as it arrived: what it said to be, what it is, and its file."""

    mime: str
    format: str
    mode: str
    size: tuple[int, int]
    data: bytes


def tokens(text: str) -> list[str]:
    """What this server takes for tokens."""
    return re.findall(r"\s*\S+|\s+$", text)


def asked_text(payload: Payload) -> str:
    """The prompt, or the last message without its pictures."""
    if "prompt" in payload:
        return str(payload["prompt"])
    return _text(payload["messages"][-1])


def _text(message: Payload) -> str:
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
    prompts = payload.get("prompt") or "\n".join(map(_text, payload.get("messages", ())))
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


def refuse(status: int, message: str, kind: str = "BadRequestError", **headers: str) -> web.Response:
    """An error as vLLM words it."""
    error = {"message": message, "type": kind, "param": None, "code": status}
    return web.json_response({"error": error}, status=status, headers=headers)


def refuse_like_openai(status: int, message: str, kind: str, code: str, **headers: str) -> web.Response:
    """An error as OpenAI words it."""
    error = {"message": message, "type": kind, "param": None, "code": code}
    return web.json_response({"error": error}, status=status, headers=headers)


class OpenAIServer:
    """Answers by `script` or with the likeliest `next_token`s, logs every request, and fails when told to.

    `model`: the one name it knows ("": any). `api_key`: what it wants as Bearer. `latency`: seconds before
    each answer. `max_model_len`: tokens that a prompt may have; `like`: the server whose words it uses for
    a longer one. `logprobs`: whether it gives log-probabilities, `most_logprobs`: the most alternatives.
    `images`: how many pictures a prompt may show, as data URLs; each is decoded whole and kept in `seen`.
    `log`: a file that gets a JSON line for each request.
    """

    def __init__(
        self,
        script: Script = arithmetic,
        *,
        model: str = "",
        api_key: str = "",
        latency: float = 0.0,
        max_model_len: int | None = None,
        like: str = "vllm",
        next_token: NextToken | None = None,
        logprobs: bool = True,
        most_logprobs: int = MOST_LOGPROBS,
        echo: Echo = "right",
        images: int = 16,
        port: int = 0,
        log: Path | None = None,
    ) -> None:
        self.script = script
        self.latency = latency
        self.requests: list[Asked] = []
        self.in_flight = self.max_in_flight = 0
        self.url = ""
        self.seen: list[Seen] = []
        self._images = images
        self._model, self._api_key, self._max_model_len = model, api_key, max_model_len
        self._like, self._next_token, self._echo = like, next_token, echo
        self._logprobs, self._most_logprobs = logprobs, most_logprobs
        self._port = port
        self._log = log.open("a", encoding="utf-8") if log is not None else None
        self._faults: deque[tuple[Fault, str]] = deque()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._over = asyncio.Event()

    def __enter__(self) -> OpenAIServer:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        if self._log is not None:
            self._log.close()

    def fail(self, fault: Fault, times: int = 1, *, retry_after: str = "") -> None:
        """The next `times` requests, after those that are to fail already, fail like this."""
        self._faults += [(fault, retry_after)] * times

    # Serving

    async def _start(self) -> None:
        app = web.Application(client_max_size=1 << 26, middlewares=[self._watch])
        app.router.add_post(f"/v1/{CHAT}", self._chat)
        app.router.add_post(f"/v1/{COMPLETION}", self._completion)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/health", self._health)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, backlog=1024).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"

    async def _stop(self) -> None:
        self._over.set()
        await self._runner.cleanup()

    @web.middleware
    async def _watch(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Turns away who has no key, and words a wrong route as vLLM does."""
        if self._api_key and request.headers.get("Authorization") != f"Bearer {self._api_key}":
            return web.json_response({"error": "Unauthorized"}, status=401)
        try:
            return await handler(request)
        except (web.HTTPNotFound, web.HTTPMethodNotAllowed) as error:
            return refuse(error.status, error.reason, error.reason)

    async def _models(self, request: web.Request) -> web.StreamResponse:
        card = {"id": self._model or "any", "object": "model", "owned_by": "vllm"}
        return web.json_response({"object": "list", "data": [card]})

    async def _health(self, request: web.Request) -> web.StreamResponse:
        return web.Response()

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, CHAT)

    async def _completion(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, COMPLETION)

    async def _serve(self, request: web.Request, route: str) -> web.StreamResponse:
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            raw = await request.read()
            try:
                payload = json.loads(raw)
            except ValueError as error:
                return refuse(400, f"JSON decode error: {error}")
            asked = Asked(route, payload, dict(request.headers))
            self.requests.append(asked)
            if self._log is not None:
                print(json.dumps(asked._asdict()), file=self._log, flush=True)
            if self.latency:
                await asyncio.sleep(self.latency)
            if self._faults:
                return await self._fault(*self._faults.popleft(), request, payload, route)
            return self._wrong(payload, route) or self._unseen(payload) or self._answer(payload, route)
        finally:
            self.in_flight -= 1

    def _wrong(self, payload: Payload, route: str) -> web.Response | None:
        """vLLM's refusal of a request that it cannot answer."""
        for needed in ("model", "messages" if route == CHAT else "prompt"):
            if needed not in payload:
                return refuse(
                    400, f"[{{'type': 'missing', 'loc': ('body', '{needed}'), 'msg': 'Field required'}}]"
                )
        if self._model and payload["model"] != self._model:
            return refuse(404, f"The model `{payload['model']}` does not exist.", "NotFoundError")
        if payload.get("stream"):
            return refuse(400, "this endpoint does not stream")
        most = int(payload.get("top_logprobs") or 0) if route == CHAT else int(payload.get("logprobs") or 0)
        if most > self._most_logprobs:
            return refuse(
                400, f"Requested sample logprobs of {most}, greater than max allowed: {self._most_logprobs}"
            )
        sent = len(tokens(str(payload.get("messages") or payload.get("prompt"))))
        if self._max_model_len is not None and sent > self._max_model_len:
            return too_long(self._like, sent, self._max_model_len)
        return None

    def _unseen(self, payload: Payload) -> web.Response | None:
        """Looks at every picture; vLLM's refusal of what it cannot show the model."""
        contents = [message.get("content") for message in payload.get("messages", ())]
        parts = [part for content in contents if isinstance(content, list) for part in content]
        shown = [part for part in parts if part.get("type") == "image_url"]
        if len(shown) > self._images:
            return refuse(400, f"At most {self._images} image(s) may be provided in one prompt.")
        for part in parts:
            if part.get("type") not in ("text", "image_url"):
                return refuse(400, f"Unknown part type: {part.get('type')}")
        for part in shown:
            head, mark, encoded = part["image_url"]["url"].partition(";base64,")
            try:
                picture = b64decode(encoded, validate=True)
                with PIL.Image.open(BytesIO(picture)) as image:
                    image.load()
                    kind, mode, size = image.format or "", image.mode, image.size
            except (ValueError, OSError) as error:
                return refuse(400, f"cannot identify image file: {error}")
            if not mark or head != f"data:{PIL.Image.MIME[kind]}":
                return refuse(400, f"Only base64 data URLs of the right type are supported: {head}")
            self.seen.append(Seen(head.removeprefix("data:"), kind, mode, size, picture))
        return None

    def _answer(self, payload: Payload, route: str) -> web.Response:
        if not self._logprobs:
            payload = {key: value for key, value in payload.items() if "logprobs" not in key}
        if self._echo == "ignored":
            payload = payload | {"echo": False}
        if self._next_token is not None:
            text = _likeliest(self._next_token, payload)
            shift = int(self._echo == "off by one" and bool(payload.get("echo")))
            document = answer(payload, route, text, next_token=self._next_token, shift=shift)
            return web.json_response(document)
        prompts = payload.get("prompt")
        asked = [payload | {"prompt": one} for one in prompts] if isinstance(prompts, list) else [payload]
        said = [self.script(one, route) for one in asked for _ in range(payload.get("n") or 1)]
        texts = [one for one in said if isinstance(one, str)]
        if len(texts) == len(said):
            return web.json_response(answer(payload, route, *texts))
        (whole,) = said  # a document or a response is the answer to one prompt
        return whole if isinstance(whole, web.Response) else web.json_response(whole)

    async def _fault(
        self, fault: Fault, retry_after: str, request: web.Request, payload: Payload, route: str
    ) -> web.StreamResponse:
        headers = {"Retry-After": retry_after} if retry_after else {}
        text = "An answer that something happens to."
        body = json.dumps(answer(payload, route, text)).encode()
        if fault == "429":
            said = "Rate limit reached on tokens per min (TPM): Limit 30000. Please try again later."
            return refuse_like_openai(429, said, "tokens", "rate_limit_exceeded", **headers)
        if fault == "503":
            return refuse(503, "The server is overloaded.", "ServiceUnavailableError", **headers)
        if fault == "500":
            return refuse(500, "EngineCore encountered an issue.", "InternalServerError", **headers)
        if fault == "html":
            return web.Response(text=_HTML, content_type="text/html")
        if fault == "no choices":
            return web.json_response(answer(payload, route))
        if fault == "null":
            nothing: Payload = {"content" if route == CHAT else "text": None}
            return web.json_response(answer(payload, route, text, **nothing))
        if fault == "truncated":
            return web.Response(body=body[: len(body) // 2], content_type="application/json")
        if fault == "hang":
            await self._over.wait()
            return web.Response(status=503)
        if fault == "huge":
            return await _stream(request, body.replace(text.encode(), b"a" * HUGE))
        return await _stream(request, body, stop_at=len(body) // 2)


async def _stream(request: web.Request, body: bytes, stop_at: int | None = None) -> web.StreamResponse:
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


def _likeliest(next_token: NextToken, payload: Payload) -> str:
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


def main() -> None:
    """Serves until it is interrupted or terminated."""
    parser = argparse.ArgumentParser(description="An OpenAI-compatible endpoint that answers by a script.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--model", default="", help="the one model it knows (default: any)")
    parser.add_argument("--api-key", default="")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--log", type=Path, help="file that gets a JSON line for each request")
    parser.add_argument("--answer", help="the one text to answer (default: arithmetic, or an echo)")
    parser.add_argument("--fail", choices=get_args(Fault), help="how the first requests fail")
    parser.add_argument("--times", type=int, default=1, help="how many of them fail")
    parser.add_argument("--retry-after", default="")
    args = parser.parse_args()
    script: Script = arithmetic if args.answer is None else lambda payload, route: str(args.answer)
    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(
        signal.SIG_BLOCK, signals
    )  # before the thread starts, so that only sigwait sees them
    server = OpenAIServer(
        script, model=args.model, api_key=args.api_key, latency=args.latency, port=args.port, log=args.log
    )
    if args.fail:
        server.fail(args.fail, args.times, retry_after=args.retry_after)
    with server:
        print(server.url, flush=True)
        signal.sigwait(signals)


if __name__ == "__main__":
    main()
