"""A stand-in for an endpoint that counts tokens with a real tokeniser, in `usage` and at `/tokenize`."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

from aiohttp import web

from tests.openai_server import OpenAIServer, Payload, answer
from tests.openai_wire import Seen, look

Encode = Callable[[str], int]
"""The number of tokens of a text."""


@functools.cache
def trained() -> Any:
    """A byte-level tokeniser with 4,000 tokens, trained on the pages of docs/."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=4000, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    pages = sorted(Path(__file__).parent.parent.joinpath("docs").glob("*.md"))
    tokenizer.train_from_iterator([page.read_text("utf-8") for page in pages], trainer)
    return tokenizer


def encode(text: str) -> int:
    """The tokens of a text by `trained`."""
    return len(trained().encode(text).ids)


class TokenizingServer(OpenAIServer):
    """Answers with `reply(payload)`, and counts with `count`.

    A chat is put into the template of SmolLM2 and Qwen (ChatML), whose marks are one token each. `picture`:
    the tokens of a picture of so many pixels. `like`: whose routes it has.
    """

    def __init__(
        self,
        count: Encode,
        reply: Callable[[Payload], str],
        *,
        picture: Callable[[int, int], int] = lambda width, height: 0,
        like: Literal["vllm", "llama.cpp", ""] = "vllm",
        **how: Any,
    ) -> None:
        super().__init__(self._replied, **how)
        self._encode, self._reply, self._picture, self._routes = count, reply, picture, like
        self.counted = 0
        """How many prompts were counted, for which nothing was generated."""

    def add_routes(self, router: web.UrlDispatcher) -> None:
        if self._routes:
            router.add_post("/tokenize", self._tokenize)
        if self._routes == "llama.cpp":
            router.add_post("/apply-template", self._apply_template)

    def _replied(self, payload: Payload, route: str) -> Payload:
        text = self._reply(payload)
        document = answer(payload, route, text)
        prompt = self._prompt_tokens(payload)
        output = min(payload["max_tokens"], self._encode(text) + 1)  # the end is a token too
        document["usage"] = {
            "prompt_tokens": prompt,
            "completion_tokens": output,
            "total_tokens": prompt + output,
        }
        return document

    def _prompt_tokens(self, payload: Payload, *, pictures: bool = True) -> int:
        if "prompt" in payload:
            return self._encode(payload["prompt"])
        seen = 0
        for part in _parts(payload) if pictures else ():
            if part["type"] == "image_url" and isinstance(shown := look(part["image_url"]["url"]), Seen):
                seen += self._picture(*shown.size)
        marks = 2 * len(payload["messages"]) + 1  # of the beginning and the end
        return marks + self._encode(_template(payload, marks=False)) + seen

    async def _tokenize(self, request: web.Request) -> web.StreamResponse:
        asked = json.loads(await request.read())
        self.counted += 1
        if self._routes == "llama.cpp":
            text = asked.get("content", "")
            marks = text.count("<|im_start|>") + text.count("<|im_end|>")
            plain = text.replace("<|im_start|>", "").replace("<|im_end|>", "")
            return web.json_response({"tokens": [0] * (marks + self._encode(plain))})
        return web.json_response(
            {"count": self._prompt_tokens(asked, pictures=False), "max_model_len": 8192, "tokens": []}
        )

    async def _apply_template(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"prompt": _template(json.loads(await request.read()), marks=True)})


def _parts(payload: Payload) -> Iterable[Payload]:
    for message in payload["messages"]:
        if isinstance(message["content"], list):
            yield from message["content"]


def _template(payload: Payload, *, marks: bool) -> str:
    begin, end = ("<|im_start|>", "<|im_end|>") if marks else ("", "")
    turns = []
    for message in payload["messages"]:
        content = message["content"]
        text = content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
        turns.append(f"{begin}{message['role']}\n{text}{end}\n")
    return "".join(turns) + f"{begin}assistant\n"
