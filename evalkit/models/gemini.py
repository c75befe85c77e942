"""Gemini by its own REST API: `models/NAME:generateContent` of the Gemini API, and of Vertex AI.

What is sent and read is that of https://ai.google.dev/api/generate-content. Pictures and clips go into the
request itself (`inlineData`), whose size the API limits: it refuses a larger request, which fails alone.
Vertex AI (`?vertex=PROJECT/LOCATION`) has the same bodies, and takes the application default credentials
instead of a key.

Gemini counts the tokens of its thoughts as part of `maxOutputTokens`. What `--set` puts below
`extra.generationConfig.thinkingConfig` (`thinkingBudget`, `thinkingLevel`, `includeThoughts`) is sent as it
is. Thoughts are reasoning, in which the answer is never searched.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from evalkit.errors import ProviderError, UsageError
from evalkit.models.base import Request, Response
from evalkit.models.bodies import error_message
from evalkit.models.gemini_reading import SIGNED, parse
from evalkit.models.google import Credentials
from evalkit.models.http import JSON_BODY, Endpoint, Refusal
from evalkit.models.http_model import HTTPModel, chat_of, encoded
from evalkit.models.providers import GEMINI_KEY, PROVIDERS
from evalkit.models.refused import SYSTEM_FOLDED, stops_cut
from evalkit.models.registry import Named
from evalkit.models.service import Service
from evalkit.models.templates import says_no_system
from evalkit.models.tool_calls import arguments_of, take_called
from evalkit.samples import JSON, Message, Part, Tool, ToolCall

GOOGLE_KEY = "GOOGLE_API_KEY"
"""The variable with the key if GEMINI_API_KEY is not set, as in Google's own libraries."""
MOST_STOPS = 5
"""The most stop sequences of a request, by the reference of GenerationConfig."""
_SAMPLING = {
    "top_k": "topK",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}
_CONFIG = "generationConfig"
_COUNTED = ("contents", "systemInstruction")
"""The fields of a request that countTokens takes."""
_VERTEX = re.compile(r"([a-z0-9][a-z0-9.:-]*)/([a-z0-9-]+)")
_KINDS = ("models/", "tunedModels/")
_ROLES = {"user": "user", "assistant": "model", "tool": "user"}


class GeminiModel(HTTPModel):
    """The model `gemini/NAME` of the Gemini API, or of Vertex AI in a project and location."""

    def __init__(
        self,
        model: str,
        base_url: str = "",
        *,
        timeout: float = 600.0,
        key_env: str = GEMINI_KEY,
        vertex: str = "",
    ) -> None:
        """`vertex`: PROJECT/LOCATION. Raises `UsageError` if there are no credentials for it."""
        service = _vertex_service(vertex) if vertex else PROVIDERS["gemini"].service
        endpoint = Endpoint(base_url, timeout=timeout, key_env="" if vertex else key_env, service=service)
        super().__init__("gemini", model, endpoint, Refused())
        self.name += f"?vertex={vertex}" if vertex else ""
        self._credentials = Credentials() if vertex else None

    async def _headers(self) -> Mapping[str, str]:
        if self._credentials is None:
            return JSON_BODY
        return {**JSON_BODY, **await self._credentials.headers()}

    def _route(self, request: Request) -> str:
        typed = self._model if self._model.startswith(_KINDS) else f"models/{self._model}"
        kind, _, name = typed.partition("/")
        return f"{kind}/{quote(name, safe='')}:generateContent"

    async def count_input(self, request: Request) -> int:
        payload = await self._built(request)
        asked: dict[str, JSON] = {key: payload[key] for key in _COUNTED if key in payload}
        place = self._route(request).removesuffix(":generateContent")
        if self._credentials is None:  # Vertex AI takes the fields themselves
            asked = {"generateContentRequest": {"model": place, **asked}}
        return await self._counted(f"{place}:countTokens", asked, "totalTokens")

    def _parsed(self, body: bytes, request: Request, seconds: float) -> Response:
        return parse(body, seconds)

    def departures(self, request: Request) -> tuple[tuple[str, str], ...]:
        cut = (stops_cut(MOST_STOPS),) if len(request.stop) > MOST_STOPS else ()
        return (*super().departures(request), *cut)

    def _payload(self, request: Request) -> dict[str, JSON]:
        system, turns = _split(chat_of(request))
        config: dict[str, JSON] = {
            "maxOutputTokens": request.max_tokens,
            "temperature": request.temperature,
        }
        if request.temperature > 0 or request.top_p != 1:
            config["topP"] = request.top_p
        if request.stop:
            config["stopSequences"] = list(request.stop[:MOST_STOPS])
        if request.seed is not None:
            config["seed"] = request.seed
        if request.logprobs:
            config |= {"responseLogprobs": True, "logprobs": request.logprobs}
        payload: dict[str, JSON] = {"contents": _contents(turns), _CONFIG: config}
        if request.tools:
            payload["tools"] = [{"functionDeclarations": [_declared(tool) for tool in request.tools]}]
        if system:
            payload["systemInstruction"] = {"parts": [{"text": text} for text in system]}
        _put(payload, {name: value for name, value in request.extra.items() if name not in _SAMPLING})
        _put(config, {_SAMPLING[name]: value for name, value in request.extra.items() if name in _SAMPLING})
        return payload


def open_gemini(named: Named) -> GeminiModel:
    """Opens `gemini/NAME?vertex=PROJECT/LOCATION`. Raises `UsageError`."""
    key_env = named.key_env
    if key_env == GEMINI_KEY and not os.environ.get(GEMINI_KEY, "").strip() and os.environ.get(GOOGLE_KEY):
        key_env = GOOGLE_KEY
    vertex = named.options.get("vertex")
    if vertex is not None and _VERTEX.fullmatch(vertex) is None:
        raise UsageError(
            f"gemini/…?vertex={vertex}: must be PROJECT/LOCATION, such as my-project/europe-west4"
        )
    return GeminiModel(
        named.name, named.base_url, timeout=named.timeout, key_env=key_env, vertex=vertex or ""
    )


class Refused:
    """What Gemini was found not to take: it learns from the words of its refusals."""

    def __init__(self) -> None:
        self._folds = False

    @property
    def departs(self) -> bool:
        return self._folds

    def payload(self, payload: Mapping[str, JSON]) -> dict[str, JSON]:
        """The payload, with the system instruction in front of the first message if it is not taken."""
        sent = dict(payload)
        system: Any = sent.pop("systemInstruction", None) if self._folds else None
        if system is not None:
            first, *rest = _list(sent["contents"])
            sent["contents"] = [{**first, "parts": [*system["parts"], *first["parts"]]}, *rest]
        return sent

    def learn(self, refusal: Refusal, sent: Mapping[str, JSON], request: Request) -> None:
        """Notes that there is no system instruction (Gemma).

        Raises `ProviderError` for what cannot be left out: log-probabilities, which many models do not
        return, and what the user has set.
        """
        if refusal.status != 400:
            return
        if "systemInstruction" in sent and says_no_system(refusal.body):
            self._folds = True
            return
        said = error_message(refusal.body).lower()
        if request.logprobs and "logprobs" in said:
            fix = "use a protocol that does not choose by likelihood"
            raise ProviderError(f"the model returns no log-probabilities: {fix} ({refusal})", fatal=True)
        if request.extra and re.search(r"thinking|budget|unknown name|penalty|not enabled", said):
            raise ProviderError(f"Gemini does not take what --set asks for: {refusal}", fatal=True)

    def departures(self, request: Request) -> Iterator[tuple[str, str]]:
        if self._folds and any(message.role == "system" for message in chat_of(request)):
            yield SYSTEM_FOLDED


def _vertex_service(vertex: str) -> Service:
    """Vertex AI's API of a project and a location. Raises `UsageError` if these are not well-formed."""
    found = _VERTEX.fullmatch(vertex)
    if found is None:
        raise UsageError(
            f"gemini/…?vertex={vertex}: must be PROJECT/LOCATION, such as my-project/europe-west4"
        )
    project, location = found.groups()
    host = "aiplatform.googleapis.com" if location == "global" else f"{location}-aiplatform.googleapis.com"
    path = f"v1/projects/{project}/locations/{location}/publishers/google"
    return Service(f"https://{host}/{path}", keyed=False, versioned=False)


def _split(messages: tuple[Message, ...]) -> tuple[list[str], list[Message]]:
    """(texts of the system messages at the beginning, the other messages)."""
    turns = list(messages)
    system = list[str]()
    while turns and turns[0].role == "system":
        system.append(turns.pop(0).text)
    if odd := next((turn.role for turn in turns if turn.role not in _ROLES), ""):
        raise ProviderError(
            f"gemini/ cannot send a message of the role {odd} after the first one", fatal=True
        )
    return system, turns


def _contents(turns: list[Message]) -> list[JSON]:
    """The turns; messages of one role in a row are one turn, because the API wants the roles to alternate."""
    contents: list[Any] = []
    waiting: list[ToolCall] = []
    for turn in turns:
        role = _ROLES[turn.role]
        if turn.role == "tool":
            parts = [_result(turn, take_called(waiting, turn))]
        else:
            waiting = [*turn.tool_calls]
            parts = [*(_part(part) for part in turn.parts if part != ""), *map(_call, turn.tool_calls)]
        if contents and contents[-1]["role"] == role:
            contents[-1]["parts"] += parts
        else:
            contents.append({"role": role, "parts": parts})
    return contents


def _part(part: Part) -> JSON:
    if isinstance(part, str):
        return {"text": part}
    return {"inlineData": {"mimeType": part.mime, "data": encoded(part)}}


def _declared(tool: Tool) -> JSON:
    return {
        "name": tool.name,
        "description": tool.description,
        "parametersJsonSchema": dict(tool.parameters),
    }


def _call(call: ToolCall) -> JSON:
    """A call of the model's, with the signature of its thoughts, as the model made it."""
    own, _, signature = call.id.partition(SIGNED)
    made: dict[str, JSON] = {"name": call.name, "args": arguments_of(call.arguments)}
    part: dict[str, JSON] = {"functionCall": {**made, **({"id": own} if own else {})}}
    return {**part, **({"thoughtSignature": signature} if signature else {})}


def _result(turn: Message, call: ToolCall) -> JSON:
    if not all(isinstance(part, str) for part in turn.parts):
        raise ProviderError("gemini/ sends the result of a tool as a text: it has no pictures", fatal=True)
    own = call.id.partition(SIGNED)[0]
    answer: dict[str, JSON] = {"name": call.name, "response": {"output": turn.text}}
    return {"functionResponse": {**answer, **({"id": own} if own else {})}}


def _put(place: dict[str, JSON], given: Mapping[str, JSON], path: str = "") -> None:
    """Puts `given` into `place`, objects into objects. Raises `ProviderError` for what evalkit decides."""
    for name, value in given.items():
        known = place.get(name)
        if isinstance(known, dict) and isinstance(value, dict):
            _put(known, value, f"{path}{name}.")
        elif name in place:
            raise ProviderError(
                f"--set extra.{path}{name} is decided by the protocol: leave it out", fatal=True
            )
        else:
            place[name] = value


def _list(value: Any) -> list[Any]:
    return list(value)
