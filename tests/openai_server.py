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
import re
import signal
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self, get_args

from aiohttp import web

from tests.models.refusals import too_long
from tests.openai_wire import (
    CHAT,
    COMPLETION,
    Heard,
    NextToken,
    Payload,
    Seen,
    answer,
    asked_text,
    calling,
    likeliest,
    listen_to_part,
    look,
    refuse,
    refuse_like_openai,
    stream,
    tokens,
    unfit_turns,
)

__all__ = [
    "CHAT",
    "COMPLETION",
    "Asked",
    "Echo",
    "Fault",
    "Heard",
    "NextToken",
    "OpenAIServer",
    "Payload",
    "Seen",
    "answer",
    "arithmetic",
    "asked_text",
    "calling",
    "refuse",
    "refuse_like_openai",
    "tokens",
]

Script = Callable[[Payload, str], "str | Payload | web.Response"]
"""(payload, route) → the text to answer, a whole JSON document, or an HTTP response."""
Fault = Literal["429", "500", "503", "drop", "hang", "truncated", "html", "no choices", "null", "huge"]
Echo = Literal["right", "off by one", "ignored"]
"""How the prompt's tokens are given when `echo` asks for them: as vLLM does; each with the figure of the one
that comes after it, as llama-cpp-python's server does for models without a BOS; not at all, as llama.cpp."""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

MOST_LOGPROBS = 20
HUGE = 70_000_000
"""Characters of the text of a `huge` answer."""
_HTML = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


class Asked(NamedTuple):
    """One request for an answer, as it arrived."""

    route: str
    payload: Payload
    headers: dict[str, str]


def arithmetic(payload: Payload, route: str) -> str:
    """Works out the last sum or product it finds, else repeats what it was asked."""
    found = re.findall(r"(\d+) *([+*]) *(\d+)", asked_text(payload))
    if not found:
        return asked_text(payload)
    a, sign, b = found[-1]
    return f"The answer is {int(a) + int(b) if sign == '+' else int(a) * int(b)}."


class OpenAIServer:
    """Answers by `script` or with the likeliest `next_token`s, logs every request, and fails when told to.

    `model`: the one name it knows ("": any). `api_key`: what it wants as Bearer. `latency`: seconds before
    each answer. `max_model_len`: tokens that a prompt may have; `like`: the server whose words it uses for
    a longer one. `logprobs`: whether it gives log-probabilities, `most_logprobs`: the most alternatives.
    `images`: how many pictures a prompt may show, as data URLs; each is decoded whole and kept in `seen`.
    `clips`: how many clips it may play, as `input_audio`; each is decoded whole and kept in `heard`.
    `log`: a file that gets a JSON line for each request.
    """

    routes: tuple[str, ...] = (CHAT, COMPLETION)
    version = "/v1"

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
        clips: int = 16,
        port: int = 0,
        log: Path | None = None,
    ) -> None:
        self.script = script
        self.latency = latency
        self.requests: list[Asked] = []
        self.in_flight = self.max_in_flight = 0
        self.url = ""
        self.seen: list[Seen] = []
        self.heard: list[Heard] = []
        self._images, self._clips = images, clips
        self._model, self._api_key, self._max_model_len = model, api_key, max_model_len
        self._like, self._next_token, self._echo = like, next_token, echo
        self._logprobs, self._most_logprobs = logprobs, most_logprobs
        self._port = port
        self._log = log.open("a", encoding="utf-8") if log is not None else None
        self._faults: deque[tuple[Fault, str]] = deque()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._over = asyncio.Event()

    def __enter__(self) -> Self:
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
        for route in self.routes:
            app.router.add_post(f"{self.version}/{route}", partial(self._serve, route=route))
        app.router.add_get(f"{self.version}/models", self._models)
        app.router.add_get("/health", self._health)
        self._add_routes(app)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, backlog=1024).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}{self.version}"

    def _add_routes(self, app: web.Application) -> None:
        """For a server with more routes."""

    async def _stop(self) -> None:
        self._over.set()
        await self._runner.cleanup()

    @web.middleware
    async def _watch(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Turns away who has no key, and words a wrong route as vLLM does."""
        if self._api_key and (unknown := self._unknown(request.headers)) is not None:
            return unknown
        try:
            return await handler(request)
        except (web.HTTPNotFound, web.HTTPMethodNotAllowed) as error:
            return refuse(error.status, error.reason, error.reason)

    def _unknown(self, headers: Mapping[str, str]) -> web.Response | None:
        """The refusal of who has not the key."""
        if headers.get("Authorization") == f"Bearer {self._api_key}":
            return None
        return web.json_response({"error": "Unauthorized"}, status=401)

    async def _models(self, request: web.Request) -> web.StreamResponse:
        card = {"id": self._model or "any", "object": "model", "owned_by": "vllm"}
        return web.json_response({"object": "list", "data": [card]})

    async def _health(self, request: web.Request) -> web.StreamResponse:
        return web.Response()

    async def _serve(self, request: web.Request, route: str) -> web.StreamResponse:
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            payload = await self._payload(request)
            if isinstance(payload, web.Response):
                return payload
            asked = Asked(route, payload, dict(request.headers))
            self.requests.append(asked)
            if self._log is not None:
                line = json.dumps(asked._asdict(), default=lambda data: f"{len(data)} bytes")
                print(line, file=self._log, flush=True)
            if self.latency:
                await asyncio.sleep(self.latency)
            if self._faults:
                return await self._fault(*self._faults.popleft(), request, payload, route)
            return self._wrong(payload, route) or self._unclear(payload) or self._answer(payload, route)
        finally:
            self.in_flight -= 1

    async def _payload(self, request: web.Request) -> Payload | web.Response:
        try:
            payload: Payload = json.loads(await request.read())
        except ValueError as error:
            return refuse(400, f"JSON decode error: {error}")
        return payload

    def _document(self, payload: Payload, route: str, *texts: str, **message: Any) -> Payload:
        """The whole answer with these texts, as it is where something happens to it."""
        return answer(payload, route, *texts, **message)

    def _wrong(self, payload: Payload, route: str) -> web.Response | None:
        """vLLM's refusal of a request that it cannot answer."""
        for needed in ("model", "messages" if route == CHAT else "prompt"):
            if needed not in payload:
                return refuse(
                    400, f"[{{'type': 'missing', 'loc': ('body', '{needed}'), 'msg': 'Field required'}}]"
                )
        if self._model and payload["model"] != self._model:
            return refuse(404, f"The model `{payload['model']}` does not exist.", "NotFoundError")
        if unfit := unfit_turns(payload):
            return refuse(400, unfit)
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

    def _unclear(self, payload: Payload) -> web.Response | None:
        """Looks at every picture, listens to every clip; vLLM's refusal of what it cannot give the model."""
        contents = [message.get("content") for message in payload.get("messages", ())]
        parts = [part for content in contents if isinstance(content, list) for part in content]
        kinds = [part.get("type") for part in parts]
        for kind, name, most in (("image_url", "image", self._images), ("input_audio", "audio", self._clips)):
            if kinds.count(kind) > most:
                return refuse(400, f"At most {most} {name}(s) may be provided in one prompt.")
        for kind in kinds:
            if kind not in ("text", "image_url", "input_audio"):
                return refuse(400, f"Unknown part type: {kind}")
        for part, kind in zip(parts, kinds, strict=True):
            if kind == "image_url":
                seen = look(part["image_url"]["url"])
                if isinstance(seen, web.Response):
                    return seen
                self.seen.append(seen)
            elif kind == "input_audio":
                heard = listen_to_part(part["input_audio"])
                if isinstance(heard, web.Response):
                    return heard
                self.heard.append(heard)
        return None

    def _scripted(self, payload: Payload) -> Payload | web.Response:
        """The answer to a chat as OpenAI's API has it, or what the script sends in place of one."""
        text = self.script(payload, CHAT)
        if isinstance(text, web.Response):
            return text
        return answer(payload, CHAT, text) if isinstance(text, str) else web.json_response(text)

    def _answer(self, payload: Payload, route: str) -> web.Response:
        if not self._logprobs:
            payload = {key: value for key, value in payload.items() if "logprobs" not in key}
        if self._echo == "ignored":
            payload = payload | {"echo": False}
        if self._next_token is not None:
            text = likeliest(self._next_token, payload)
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
        body = json.dumps(self._document(payload, route, text)).encode()
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
            return web.json_response(self._document(payload, route))
        if fault == "null":
            nothing: Payload = {"content" if route == CHAT else "text": None}
            return web.json_response(self._document(payload, route, text, **nothing))
        if fault == "truncated":
            return web.Response(body=body[: len(body) // 2], content_type="application/json")
        if fault == "hang":
            await self._over.wait()
            return web.Response(status=503)
        if fault == "huge":
            return await stream(request, body.replace(text.encode(), b"a" * HUGE))
        return await stream(request, body, stop_at=len(body) // 2)


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
