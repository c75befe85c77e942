"""A stand-in for an endpoint that has all that a probe looks for, and lies about one thing when told to.

It answers the requests of a probe as a small model would: it heeds seeds, `n`, stop sequences and system
messages, calls tools, names the colour of a picture, and counts tokens for pictures and clips.
"""

from __future__ import annotations

import io
import itertools
import random
import string
from typing import Any, Literal

import PIL.Image
from aiohttp import web

from tests.openai_server import Fault, OpenAIServer
from tests.openai_wire import CHAT, Payload, answer, asked_text, calling, refuse

Lie = Literal[
    "no chat", "no completions", "ignores stop", "refuses stop", "echo without log-probabilities",
    "echo made up", "ignores n", "equal choices", "no finish reason", "refuses n", "ignores the seed",
    "refuses the seed", "five alternatives", "no alternatives", "no log-probabilities",
    "ignores pictures", "refuses pictures", "has no pictures", "ignores clips", "refuses clips",
    "counts no files", "refuses the system message", "ignores the system message",
    "refuses tools", "ignores tools", "reasons",
]  # fmt: skip
CONTEXT = 4096
_FILE_TOKENS = 10
_TEXT = "The quick brown fox jumps over the lazy dog near the river. The capital of France is Paris."
_NEXT = dict(itertools.pairwise(_TEXT.split()))


def next_token(text: str) -> dict[str, float]:
    """A language model that knows one text: the word after each of its words has nine tenths."""
    last = text.split()[-1] if text.strip() else ""
    others = {f" {name}": 0.004 for name in string.ascii_lowercase[:25]}
    return {f" {_NEXT.get(last, 'so')}": 0.9} | others


class ProbedServer(OpenAIServer):
    """`lie`: the one thing that it does otherwise. `fault`: how requests with a seed or a file fail.

    `card`: what its list of models says of the model, besides its name.
    """

    def __init__(
        self,
        lie: Lie | None = None,
        fault: Fault | None = None,
        card: Payload | None = None,
        **given: Any,
    ) -> None:
        super().__init__(next_token=next_token, **given)
        self.lie, self.fault = lie, fault
        self.card = {"max_model_len": CONTEXT} if card is None else card
        self._count = itertools.count()

    async def _models(self, request: web.Request) -> web.StreamResponse:
        card = {"id": self._model or "any", "object": "model"} | self.card
        return web.json_response({"object": "list", "data": [card]})

    async def _payload(self, request: web.Request) -> Payload | web.Response:
        payload = await super()._payload(request)
        shown = isinstance(payload, dict) and any(map(_parts, payload.get("messages", ())))
        if self.fault is not None and isinstance(payload, dict) and ("seed" in payload or shown):
            self.fail(self.fault)  # this request: nothing else is read before it is answered
        return payload

    def _wrong(self, payload: Payload, route: str) -> web.Response | None:
        most = payload.get("max_tokens") or 0
        if most > CONTEXT:
            said = f"This model's maximum context length is {CONTEXT} tokens. However, you requested {most}."
            return refuse(400, said)
        return self._refused(payload, route) or super()._wrong(payload, route)

    def _refused(self, payload: Payload, route: str) -> web.Response | None:
        """What a lying server refuses."""
        chat = route == CHAT
        roles = [turn["role"] for turn in payload.get("messages", ())]
        parts = [part["type"] for turn in payload.get("messages", ()) for part in _parts(turn)]
        refused: dict[Lie, tuple[bool, str]] = {
            "no chat": (chat, "The model has no chat template."),
            "no completions": (not chat, "This is a chat model and not supported in this endpoint."),
            "refuses stop": ("stop" in payload, "Unsupported parameter: 'stop' is not supported."),
            "refuses n": (payload.get("n", 1) > 1, "'n' must be 1."),
            "refuses the seed": ("seed" in payload, "Unknown parameter: 'seed'."),
            "no log-probabilities": ("logprobs" in payload, "'logprobs' is not supported by this model."),
            "refuses pictures": ("image_url" in parts, "At most 0 image(s) may be provided in one prompt."),
            "has no pictures": (
                "image_url" in parts,
                "image input is not supported - hint: you may need to provide the mmproj",
            ),
            "refuses clips": ("input_audio" in parts, "At most 0 audio(s) may be provided in one prompt."),
            "refuses the system message": ("system" in roles, "System role not supported"),
            "refuses tools": ("tools" in payload, "tool choice requires --enable-auto-tool-choice to be set"),
        }
        applies, words = refused.get(self.lie, (False, "")) if self.lie else (False, "")
        status = {"no completions": 404, "has no pictures": 500}.get(str(self.lie), 400)
        return refuse(status, words) if applies else None

    def _answer(self, payload: Payload, route: str) -> web.Response:
        payload = self._as_heeded(payload)
        if payload.get("logprobs") or payload.get("echo"):
            return super()._answer(payload, route)
        if payload.get("tools") and self.lie != "ignores tools":
            return web.json_response(calling(payload, ("add", '{"a": 12, "b": 30}')))
        texts = [self._said(payload, route, index) for index in range(payload.get("n") or 1)]
        more: Payload = {"reasoning_content": "Let me think."} if self.lie == "reasons" else {}
        document = answer(payload, route, *texts, **more)
        if self.lie == "no finish reason":
            for choice in document["choices"]:
                choice["finish_reason"] = None
        if self.lie != "counts no files":
            document["usage"]["prompt_tokens"] += _FILE_TOKENS * self._files(payload)
        return web.json_response(document)

    def _as_heeded(self, payload: Payload) -> Payload:
        """The request without what it does not heed."""
        heeded = dict(payload)
        if self.lie == "ignores stop":
            heeded.pop("stop", None)
        if self.lie == "ignores n":
            heeded.pop("n", None)
        if self.lie == "five alternatives":
            name = "top_logprobs" if heeded.get("logprobs") is True else "logprobs"
            heeded[name] = min(5, heeded.get(name) or 0)
        if self.lie == "no alternatives":
            heeded.pop("top_logprobs", None)
        if self.lie == "echo without log-probabilities" and heeded.get("echo"):
            heeded.pop("logprobs", None)
        if self.lie == "echo made up":
            self._next_token = _alike
        return heeded

    def _files(self, payload: Payload) -> int:
        """How many pictures and clips the model gets."""
        kinds = [part["type"] for turn in payload.get("messages", ()) for part in _parts(turn)]
        ignored = {"ignores pictures": "image_url", "ignores clips": "input_audio"}.get(str(self.lie), "")
        return sum(kind not in ("text", ignored) for kind in kinds)

    def _said(self, payload: Payload, route: str, index: int) -> str:
        text = asked_text(payload)
        roles = [turn["role"] for turn in payload.get("messages", ())]
        if "system" in roles and self.lie != "ignores the system message":
            return "Pineapple."
        if "colour" in text and self._files(payload):
            return _colour(self.seen[-1].data)
        if "hear" in text and self._files(payload):
            return "Beep."
        if text.startswith("Repeat these words: "):
            return text.partition(": ")[2]
        if text.startswith("apple"):
            return " apple banana cherry"
        if "random" in text or payload["temperature"]:
            return self._drawn(payload, index)
        return "Yes."

    def _drawn(self, payload: Payload, index: int) -> str:
        """What is drawn with the request's seed, for one of its choices."""
        seed = payload.get("seed")
        if self.lie in ("ignores the seed", "refuses the seed") or seed is None:
            seed = next(self._count)
        drawn = random.Random(f"{seed} {0 if self.lie == 'equal choices' else index}")
        return " ".join(drawn.choices(string.ascii_uppercase, k=12))


def _alike(text: str) -> dict[str, float]:
    """Every token is as likely as any other: made up, and the same for a prompt's own tokens."""
    return {" so": 1.0}


def _parts(turn: Payload) -> list[Payload]:
    content = turn.get("content")
    return content if isinstance(content, list) else []


def _colour(picture: bytes) -> str:
    with PIL.Image.open(io.BytesIO(picture)) as image:
        pixel = image.convert("RGB").getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return "Red." if pixel[0] > pixel[1] else "Green."
