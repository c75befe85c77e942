"""A made-up model behind an endpoint like vLLM's, with a tokeniser that lm-eval can ask for.

Every answer and log-probability is a function of the text before it, so that two clients that ask the same
get the same, whether they send texts or tokens.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, ClassVar, Self

_TOKEN = re.compile(r"<eos>|\s?\w+|\s?[^\w\s]|\s")
_SUM = re.compile(r"has (\d+) \w+ and finds (\d+)")
_GUESSES = (" Ada", " Bo", " the", ".")


class Vocabulary:
    """Numbers of tokens, given as the tokens are met."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._texts: list[str] = []
        self._lock = threading.Lock()

    def numbers(self, text: str) -> list[int]:
        with self._lock:
            for token in _TOKEN.findall(text):
                if token not in self._numbers:
                    self._numbers[token] = len(self._texts)
                    self._texts.append(token)
            return [self._numbers[token] for token in _TOKEN.findall(text)]

    def text(self, numbers: list[int]) -> str:
        return "".join(self._texts[number] for number in numbers)


def chance(*parts: str) -> float:
    """A number between 0 and 1 that depends on the texts alone."""
    return int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest()[:6]) / 2**48


def guess(before: str) -> str:
    """The likeliest token after a text."""
    return _GUESSES[int(chance("guess", before) * len(_GUESSES))]


def logprob(before: str, token: str) -> float:
    if token == guess(before):
        return -0.25 - chance("sure", before)
    return -2.0 - 6 * chance("other", before[-200:], token)


def said(prompt: str) -> str:
    """The text that the model generates, in one of several forms, some of them without an answer."""
    luck = chance("said", prompt)
    found = _SUM.findall(prompt)
    if found and luck < 0.8:
        value = sum(map(int, found[-1]))
        forms = (
            f" It is {value}.\n#### {value}",
            f" {value}",
            f" about {value}\nQuestion: and",
            f" ${value},00.",
        )
        return forms[int(luck * 5)]
    if "step by step" in prompt:
        return ("so the answer is True.", "so the answer is Ada Bo.", "I do not know.")[int(luck * 3)]
    return (" Ada. And more", " 5", "\nBo and a friend", " nobody knows")[int(luck * 4)]


class HarnessServer:
    """The endpoint, at `url` (which ends in /v1) while it is entered. `asked`: how many answers it gave."""

    def __init__(self) -> None:
        self.asked = 0
        vocabulary = Vocabulary()
        outer = self

        class Handler(_Handler):
            words = vocabulary
            server_of = outer

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.root = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.url = f"{self.root}/v1"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet, or each answer waits for an acknowledgement
    words: ClassVar[Vocabulary]
    server_of: ClassVar[HarnessServer]

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 — the base class's name
        return

    def do_GET(self) -> None:
        known = {"/tokenizer_info": {"eos_token": "<eos>", "bos_token": None, "chat_template": None}}
        listed = {"object": "list", "data": [{"id": "made-up", "object": "model", "max_model_len": 100000}]}
        self._send(known.get(self.path, listed))

    def do_POST(self) -> None:
        payload = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/tokenize":
            self._send({"tokens": self.words.numbers(payload["prompt"])})
        elif self.path == "/detokenize":
            self._send({"prompt": self.words.text(payload["tokens"])})
        elif self.path.endswith("/chat/completions"):
            told = "\n".join(f"{one['role']}: {one['content']}" for one in payload["messages"])
            text, finish = _cut(said(told), payload)
            message = {"role": "assistant", "content": text}
            self._answer([{"index": 0, "message": message, "finish_reason": finish}])
        else:
            prompt = payload["prompt"]
            many = isinstance(prompt, list) and not isinstance(prompt[0], int)
            asked = prompt if many else [prompt]
            self._answer([self._completed(i, one, payload) for i, one in enumerate(asked)])

    def _completed(self, index: int, prompt: str | list[int], payload: dict[str, Any]) -> dict[str, Any]:
        text = prompt if isinstance(prompt, str) else self.words.text(prompt)
        generated = guess(text) if payload["max_tokens"] == 1 else said(text)
        shown, finish = _cut(generated, payload)
        choice: dict[str, Any] = {"index": index, "text": shown, "finish_reason": finish, "logprobs": None}
        if payload.get("logprobs"):
            echoed = _TOKEN.findall(text) if payload.get("echo") else []
            choice["logprobs"] = _logprobs("" if echoed else text, [*echoed, *_TOKEN.findall(shown)])
        if payload.get("echo"):
            choice["text"] = text + shown
        return choice

    def _answer(self, choices: list[dict[str, Any]]) -> None:
        self.server_of.asked += 1
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        self._send({"id": "x", "model": "made-up", "choices": choices, "usage": usage})

    def _send(self, document: Any) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


def _logprobs(before: str, tokens: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {"tokens": tokens, "token_logprobs": [], "top_logprobs": [], "text_offset": []}
    for token in tokens:
        first = not before
        likeliest = guess(before)
        top = {likeliest: logprob(before, likeliest), token: logprob(before, token)}
        found["token_logprobs"].append(None if first else logprob(before, token))
        found["top_logprobs"].append(None if first else top)
        found["text_offset"].append(len(before))
        before += token
    return found


def _cut(text: str, payload: dict[str, Any]) -> tuple[str, str]:
    stops = payload.get("stop") or []
    places = [at for stop in stops if stop and (at := text.find(stop)) >= 0]
    return (text[: min(places)], "stop") if places else (text, "stop")
