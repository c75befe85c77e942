"""Endpoints with OpenAI's speech routes: OpenAI, vLLM, speaches (faster-whisper-server) and others.

A clip is posted as a form to /audio/transcriptions, or to /audio/translations, which translates into English.
Servers differ in these fields:

- `response_format` is json, the only format that all servers and all their models support. With the option
  `transcribe/NAME?words=on` it is verbose_json with `timestamp_granularities[]=word` (OpenAI's whisper-1 and
  speaches; vLLM has segments): the response then says when each word, or else each segment, was spoken.
- `temperature`: 0 is greedy in vLLM, and a beam of five in speaches. OpenAI's whisper-1 raises a temperature
  of 0 itself if the text of a window is improbable or repetitive, so its responses may vary.
- `language`: without it, OpenAI, speaches and newer versions of vLLM detect the language; older versions of
  vLLM assume English for Whisper. For translations, speaches ignores the field, and OpenAI has no such field,
  so it is not sent.
- `seed`: vLLM has it, and gets it if the request has a seed; OpenAI has no such field, so it is not sent.

- `prompt`: a text that stands before the transcript (`transcribe/NAME?prompt=…`); `language`: what is spoken,
  for all clips, unless the protocol's `language_hint` says it of each; `vad_filter=true` and `hotwords` are
  those of speaches. They are sent as typed and only where they are given, and belong to the model's identity.

`max_tokens`, `top_p` and `stop` have no counterpart: a server transcribes the whole clip. OpenAI, and vLLM by
default, refuse files of more than 25 MB (13 minutes of 16 kHz PCM).
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Mapping
from io import BytesIO
from typing import Any

from evalkit.errors import ProviderError
from evalkit.models.base import Capability, Request, Response
from evalkit.models.bodies import count, no_answer
from evalkit.models.http import Endpoint
from evalkit.models.options import Read, on_or_off, parse_options, read_options
from evalkit.models.reading import loaded, signs
from evalkit.models.registry import KEY, Named, capabilities_of
from evalkit.samples import JSON, Speech, plain_text

_NONE: Mapping[str, str] = {}
_WORDS = "words"
FIELDS: Mapping[str, Read] = {
    **dict.fromkeys(("prompt", "language", "vad_filter", "hotwords"), str),
    _WORDS: lambda text: "on" if on_or_off(text) else "off",
}
"""Fields of the form that may be given with the model's name, and `words`."""
_MOST_SPOKEN = 10_000
"""The most words or segments of which the times are kept."""


class TranscriptionModel:
    """The model `transcribe/NAME` at `base_url` (default: OPENAI_BASE_URL, or else OpenAI's own)."""

    capabilities: frozenset[Capability] = capabilities_of("transcribe")
    parallel: int | None = None

    def __init__(
        self,
        model: str,
        base_url: str = "",
        *,
        timeout: float = 600.0,
        key_env: str = KEY,
        fields: Mapping[str, str] = _NONE,
    ) -> None:
        """`fields`: further fields of the form, of `FIELDS`."""
        query = "&".join(f"{key}={value}" for key, value in fields.items())
        self.name = f"transcribe/{model}" + (f"?{query}" if query else "")
        self._model, self._fields = model, dict(fields)
        self._endpoint = Endpoint(base_url, timeout=timeout, key_env=key_env)

    @property
    def base_url(self) -> str:
        return self._endpoint.base_url

    async def served(self) -> frozenset[str] | None:
        """The names of the models that the endpoint lists; None if it lists none, or does not answer."""
        return await self._endpoint.models()

    async def reach(self) -> None:
        """Raises a fatal `ProviderError` if nobody is at the address, within 5 seconds."""
        await self._endpoint.reach()

    @property
    def timeout(self) -> float:
        """Seconds after which a request is given up."""
        return self._endpoint.timeout

    @property
    def identity(self) -> dict[str, JSON]:
        found: dict[str, JSON] = {"backend": "transcribe", "model": self._model}
        return {**found, "endpoint": self.base_url, **self._fields}

    async def generate(self, request: Request, *, draw: int = 0) -> Response:
        """Sends one HTTP request, once. Raises `ProviderError`."""
        if not isinstance(request.prompt, Speech):
            raise ProviderError("transcribe/ accepts clips: send chats and texts to openai/", fatal=True)
        route = "audio/translations" if request.prompt.translate else "audio/transcriptions"
        speech, started = request.prompt, time.perf_counter()
        return await self._endpoint.post(
            route,
            lambda: self._form(speech, request.temperature, request.seed),
            lambda body: _parse(body, time.perf_counter() - started),
        )

    async def aclose(self) -> None:
        await self._endpoint.aclose()

    def _form(self, speech: Speech, temperature: float, seed: int | None) -> Any:
        import aiohttp

        form = aiohttp.FormData()
        # OpenAI needs the file name to know the format; a file object is sent piece by piece.
        form.add_field("file", BytesIO(speech.audio.data), filename="clip.wav", content_type="audio/wav")
        fields = {**self._fields, "model": self._model, "response_format": "json"}
        if fields.pop(_WORDS, "off") == "on":
            fields |= {"response_format": "verbose_json", "timestamp_granularities[]": "word"}
        fields["temperature"] = f"{temperature:g}"
        if speech.translate and self._endpoint.is_openai:
            fields.pop("language", None)
        if speech.language and not (speech.translate and self._endpoint.is_openai):
            fields["language"] = speech.language
        if seed is not None and not self._endpoint.is_openai:
            fields["seed"] = str(seed)
        for name, value in fields.items():
            form.add_field(name, value)
        return form


def open_transcribe(named: Named) -> TranscriptionModel:
    """Opens `transcribe/NAME?prompt=…`. Raises `UsageError` for an invalid address or option.

    A question mark without an option after it belongs to the name.
    """
    opened = functools.partial(
        TranscriptionModel, base_url=named.base_url, timeout=named.timeout, key_env=named.key_env
    )
    name, _, query = named.name.rpartition("?")
    if not name or "=" not in query:
        return opened(named.name)
    return opened(name, fields=read_options(f"transcribe/{name}", parse_options(query), FIELDS, "transcribe"))


def _parse(body: bytes, seconds: float) -> Response:
    """Parses the body of a 200. Raises a retryable `ProviderError` unless it has a text."""
    try:
        document, lenient = loaded(body)
        text = document["text"]
        if not isinstance(text, str):
            raise TypeError(f"text is {type(text).__name__}")
        usage = document.get("usage") or {}  # in tokens from OpenAI's newer models, in seconds from others
        return Response(
            text=text,
            prompt_tokens=count(usage.get("input_tokens")),
            completion_tokens=count(usage.get("output_tokens")),
            seconds=seconds,
            signs=tuple(signs(document, lenient)),
            spoken=_spoken(document),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise no_answer("transcription", error, body) from None


def _spoken(document: Mapping[str, Any]) -> tuple[tuple[str, float, float], ...]:
    """When each word of a verbose_json was spoken, else each segment; () if a time is no number."""
    words = document.get("words")
    name, listed = ("word", words) if words else ("text", document.get("segments"))
    try:
        found = [
            (plain_text(str(one[name]).strip()), float(one["start"]), float(one["end"]))
            for one in (listed or ())[:_MOST_SPOKEN]
        ]
    except (KeyError, TypeError, ValueError):
        return ()
    return tuple(found) if all(0 <= begin <= end < math.inf for _, begin, end in found) else ()
