"""A stand-in for an endpoint that transcribes and translates clips, over real HTTP on the loopback.

    with TranscriptionServer(lambda clip: "what is said") as server:
        model = TranscriptionModel("any", server.url)

It does what vLLM's `entrypoints/openai/speech_to_text` does with a Whisper model (fields, refusals, answers;
read in 2026), or, `like="speaches"`, what speaches' `routers/stt.py` does (at 870e1e16). Every clip is
decoded whole and kept in `heard`. Chats go to the same server, as vLLM's models for both take them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from aiohttp import web
from aiohttp.web_request import FileField

from tests.openai_server import CHAT, COMPLETION, OpenAIServer
from tests.openai_wire import Heard, Payload, listen, refuse

TRANSCRIBE, TRANSLATE = "audio/transcriptions", "audio/translations"
LARGEST = 25 << 20
"""Bytes of a clip that vLLM takes, if it is not told otherwise."""
LANGUAGES = ("de", "en", "es", "fr", "it", "ja", "ko", "pt")
"""Of Whisper's, those that this server knows."""
Like = Literal["vllm", "speaches"]


class Clip(NamedTuple):
    """What is asked: a clip, and what the form says of it."""

    heard: Heard
    fields: dict[str, str]
    translate: bool


Scribe = Callable[[Clip], "str | Payload | web.Response"]
"""What is said in a clip: a text, a whole JSON document, or an HTTP response."""


def measure(clip: Clip) -> str:
    """Says how long it is, and in what language it was said to be."""
    how = "translated" if clip.translate else "written down"
    return f"{clip.heard.seconds:.2f} seconds of {clip.fields.get('language', 'something')}, {how}."


class TranscriptionServer(OpenAIServer):
    """Answers by `scribe`; all else as in `OpenAIServer`, whose options and faults it has."""

    routes = (CHAT, COMPLETION, TRANSCRIBE, TRANSLATE)

    def __init__(self, scribe: Scribe = measure, *, like: Like = "vllm", **options: Any) -> None:
        super().__init__(**options)
        self.scribe = scribe
        self._of = like

    async def _payload(self, request: web.Request) -> Payload | web.Response:
        """The form's fields; of a file its name, its type and its bytes."""
        if not request.path.endswith((TRANSCRIBE, TRANSLATE)):
            return await super()._payload(request)
        form: Payload = {}
        for name, value in (await request.post()).items():
            if isinstance(value, FileField):
                form[name] = {"name": value.filename, "type": value.content_type, "data": value.file.read()}
            else:
                form[name] = value
        return form

    def _wrong(self, payload: Payload, route: str) -> web.Response | None:
        if route not in (TRANSCRIBE, TRANSLATE):
            return super()._wrong(payload, route)
        return self._speaches_wrong(payload) if self._of == "speaches" else self._vllm_wrong(payload)

    def _vllm_wrong(self, form: Payload) -> web.Response | None:
        file = form.get("file")
        if file is None:
            return refuse(400, "[{'type': 'missing', 'loc': ('body', 'file'), 'msg': 'Field required'}]")
        if isinstance(file, str):
            said = "Expected 'file' to be a file-like object, not 'str'."
            return refuse(422, said, "Unprocessable Entity")
        if self._model and form.get("model") != self._model:
            return refuse(404, f"The model `{form.get('model')}` does not exist.", "NotFoundError")
        if form.get("response_format", "json") not in ("json", "text", "verbose_json"):
            return refuse(400, "Currently only support response_format: `text`, `json` or `verbose_json`")
        problem = _not_a_number(form)
        if problem:
            return refuse(400, problem)
        if form.get("language", "en") not in LANGUAGES:
            said = f"Unsupported language: {form['language']!r}.  Must be one of {list(LANGUAGES)}."
            return refuse(400, said)
        if len(file["data"]) > LARGEST:
            return refuse(400, "Maximum file size exceeded")
        return None

    def _speaches_wrong(self, form: Payload) -> web.Response | None:
        missing = [name for name in ("file", "model") if name not in form]
        if missing:
            detail = [{"type": "missing", "loc": ["body", name], "msg": "Field required"} for name in missing]
            return web.json_response({"detail": detail}, status=422)
        if self._model and form["model"] != self._model:
            said = f"Model '{form['model']}' is not installed locally."
            return web.json_response({"detail": said}, status=404)
        problem = _not_a_number(form)
        return web.json_response({"detail": problem}, status=422) if problem else None

    def _answer(self, payload: Payload, route: str) -> web.Response:
        if route not in (TRANSCRIBE, TRANSLATE):
            return super()._answer(payload, route)
        heard = listen(payload["file"]["data"], payload["file"]["type"])
        if isinstance(heard, web.Response):
            if self._of == "speaches":
                said = "Failed to decode audio. The provided file type is not supported."
                return web.json_response({"detail": said}, status=415)
            return heard
        self.heard.append(heard)
        fields = {name: value for name, value in payload.items() if isinstance(value, str)}
        answer = self.scribe(Clip(heard, fields, translate=route == TRANSLATE))
        if isinstance(answer, web.Response):
            return answer
        whole = self._document(payload, route, answer) if isinstance(answer, str) else answer
        return web.json_response(whole)

    def _document(self, payload: Payload, route: str, *texts: str, **message: Any) -> Payload:
        if route not in (TRANSCRIBE, TRANSLATE):
            return super()._document(payload, route, *texts, **message)
        document: Payload = ({"text": texts[0]} if texts else {}) | message
        if route == TRANSCRIBE and self._of == "vllm":
            heard = listen(payload["file"]["data"], "")
            seconds = 0 if isinstance(heard, web.Response) else math.ceil(heard.seconds)
            document["usage"] = {"type": "duration", "seconds": seconds}
        elif route == TRANSCRIBE:
            document |= {"logprobs": None, "usage": None}
        return document


def _not_a_number(form: Payload) -> str:
    """Which of the form's numbers is none, "" where all are."""
    for name, kind in (("temperature", float), ("seed", int)):
        try:
            kind(form.get(name, 0))
        except ValueError:
            return f"{name}: Input should be a valid number"
    return ""
