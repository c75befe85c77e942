"""A stand-in for Gemini's REST API, over real HTTP on the loopback: `models/NAME:generateContent`.

    with GeminiServer(lambda payload, route: "42") as server:
        model = GeminiModel("any", server.url)

It is written from https://ai.google.dev/api/generate-content and the errors that the API is known to give:
fields that it does not know, roles that do not alternate, files that are none and too many stop sequences are
refused as INVALID_ARGUMENT. The script gets the request in the form of OpenAI's chats, so that one script
answers through every provider's stand-in.
"""

from __future__ import annotations

import itertools
import math
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from tests.openai_server import OpenAIServer, Script, arithmetic
from tests.openai_wire import CHAT, Heard, Payload, Seen, answer, listen, look, tokens
from tests.tool_wire import Turn, called, chat, described, unfit_tools

GENERATE = "models/{model}:generateContent"
COUNT = "models/{model}:countTokens"
_FIELDS = {
    "contents", "systemInstruction", "generationConfig", "safetySettings", "tools", "toolConfig",
    "cachedContent",
}  # fmt: skip
_CONFIG = {
    "maxOutputTokens", "temperature", "topP", "topK", "stopSequences", "seed", "candidateCount",
    "responseLogprobs", "logprobs", "presencePenalty", "frequencyPenalty", "thinkingConfig",
    "responseMimeType", "responseSchema", "responseModalities", "mediaResolution",
}  # fmt: skip
_PARTS = {"text", "inlineData", "functionCall", "functionResponse"}
_SIGNATURE = "c2lnbmVk"
"""The signature of the thoughts that led to a call, which the API wants back with it."""
_THINKING = {"includeThoughts", "thinkingBudget", "thinkingLevel"}


def refuse(status: int, message: str, code: str = "INVALID_ARGUMENT", *details: Payload) -> web.Response:
    """An error as google.rpc.Status has it in JSON."""
    error: Payload = {"code": status, "message": message, "status": code}
    return web.json_response({"error": error | ({"details": [*details]} if details else {})}, status=status)


def out_of_quota(quota: str, wait: str) -> web.Response:
    """A 429 about the quota with the id `quota`, which asks to wait."""
    violation = {"quotaMetric": "generativelanguage.googleapis.com/generate_requests", "quotaId": quota}
    return refuse(
        429,
        f"You exceeded your current quota. Please retry in {wait}.",
        "RESOURCE_EXHAUSTED",
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": wait},
    )


def said(*parts: Payload, finish: str = "STOP", **candidate: Any) -> Payload:
    """A document with one candidate."""
    content = {"role": "model", "parts": [*parts]}
    return {
        "candidates": [{"content": content, "finishReason": finish, "index": 0, **candidate}],
        "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 3, "totalTokenCount": 12},
        "modelVersion": "tiny",
    }


def blocked(reason: str) -> Payload:
    """The document about a prompt that was blocked: there is no candidate."""
    return {"promptFeedback": {"blockReason": reason}, "usageMetadata": {"promptTokenCount": 9}}


class GeminiServer(OpenAIServer):
    """`model`, `api_key`, `seen` and `heard` are those of `OpenAIServer`. `enabled`: what the model has.

    `enabled`: of "system", "logprobs", "thinking"; the API refuses the others for models without them.
    """

    routes = (GENERATE,)
    version = "/v1beta"

    def __init__(
        self,
        script: Script = arithmetic,
        *,
        enabled: tuple[str, ...] = ("system", "logprobs", "thinking"),
        **options: Any,
    ) -> None:
        super().__init__(script, **options)
        self._enabled, self.asked_model = enabled, ""

    def _unknown(self, headers: Mapping[str, str]) -> web.Response | None:
        key = headers.get("x-goog-api-key")
        if key == self._api_key or headers.get("Authorization") == f"Bearer {self._api_key}":
            return None
        if key is None:
            return refuse(403, "Method doesn't allow unregistered callers.", "PERMISSION_DENIED")
        info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
        return refuse(400, "API key not valid. Please pass a valid API key.", "INVALID_ARGUMENT", info)

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_post(f"{self.version}/{COUNT}", self._count)

    async def _count(self, request: web.Request) -> web.StreamResponse:
        payload = await self._payload(request)
        if isinstance(payload, web.Response):
            return payload
        asked = payload.get("generateContentRequest", {})
        if asked.pop("model", "") != f"models/{self.asked_model}" or {*payload} != {"generateContentRequest"}:
            return refuse(400, "model is required, and equal in the request and its URL")
        whole = {**asked, "generationConfig": {"maxOutputTokens": 1}}
        sent = answer(_as_chat(whole, self.asked_model), CHAT, "")["usage"]["prompt_tokens"]
        wrong = self._wrong(asked, GENERATE) or self._unclear(asked)
        return wrong or web.json_response({"totalTokens": sent})

    async def _models(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"models": [{"name": f"models/{self._model or 'any'}"}]})

    async def _payload(self, request: web.Request) -> Payload | web.Response:
        if request.query:
            return refuse(400, f"Unknown query: {request.query_string}")
        payload = await super()._payload(request)
        if isinstance(payload, web.Response):
            return payload
        self.asked_model = request.match_info["model"]
        return payload

    def _wrong(self, payload: Payload, route: str) -> web.Response | None:
        if self._model and self.asked_model != self._model:
            missing = f"models/{self.asked_model} is not found for API version v1beta."
            return refuse(404, missing, "NOT_FOUND")
        config = payload.get("generationConfig", {})
        for place, known in (
            (payload, _FIELDS), (config, _CONFIG), (config.get("thinkingConfig", {}), _THINKING)
        ):  # fmt: skip
            if odd := sorted({*place} - known):
                words = f'Invalid JSON payload received. Unknown name "{odd[0]}": Cannot find field.'
                return refuse(400, words)
        name = f"models/{self.asked_model}"
        for field, thing, key in (
            ("systemInstruction", "Developer instruction", "system"),
            ("responseLogprobs", "Logprobs", "logprobs"),
            ("thinkingConfig", "Thinking", "thinking"),
        ):
            if (field in payload or field in config) and key not in self._enabled:
                return refuse(400, f"{thing} is not enabled for {name}")
        return _wrong_config(config) or _wrong_turns(payload.get("contents")) or _wrong_tools(payload)

    def _unclear(self, payload: Payload) -> web.Response | None:
        for turn in payload["contents"]:
            for part in turn["parts"]:
                if "inlineData" not in part:
                    continue
                found = _seen_or_heard(part["inlineData"])
                if isinstance(found, web.Response):
                    return refuse(400, "Unable to process input image. Please retry.")
                if isinstance(found, Seen):
                    self.seen.append(found)
                else:
                    self.heard.append(found)
        return None

    def _answer(self, payload: Payload, route: str) -> web.Response:
        whole = self._scripted(_as_chat(payload, self.asked_model))
        if isinstance(whole, web.Response):
            return whole
        shown = whole["choices"][0]["message"]["content"]
        cut = whole["choices"][0]["finish_reason"] == "length"
        parts: list[Payload] = [{"text": shown}] if shown else []
        for at, (one, name, args) in enumerate(called(whole["choices"][0]["message"])):
            signed = {} if at else {"thoughtSignature": _SIGNATURE}
            parts.append({"functionCall": {"id": one, "name": name, "args": args}, **signed})
        document = said(*parts, finish="MAX_TOKENS" if cut else "STOP")
        document["modelVersion"] = self.asked_model
        sent, used = whole["usage"]["prompt_tokens"], whole["usage"]["completion_tokens"]
        document["usageMetadata"] = {"promptTokenCount": sent, "candidatesTokenCount": used}
        if most := payload["generationConfig"].get("logprobs"):
            document["candidates"][0]["logprobsResult"] = _logprobs(shown, most)
        return web.json_response(document)

    def _document(self, payload: Payload, route: str, *texts: str, **message: Any) -> Payload:
        return said(*({"text": text} for text in texts)) if texts else {"usageMetadata": {}}


def _seen_or_heard(blob: Payload) -> Seen | Heard | web.Response:
    mime, data = blob["mimeType"], blob["data"]
    if mime.startswith("image/"):
        return look(f"data:{mime};base64,{data}")
    return listen(b64decode(data, validate=True), mime)


def _wrong_config(config: Payload) -> web.Response | None:
    if len(config.get("stopSequences", ())) > 5:
        return refuse(400, "generation_config.stop_sequences: at most 5 stop sequences are supported.")
    if not 0 <= config.get("temperature", 1) <= 2:
        return refuse(400, "generation_config.temperature must be in the range [0.0, 2.0].")
    if not 0 <= config.get("seed", 0) < 1 << 31:
        return refuse(400, "Invalid value at 'generation_config.seed' (TYPE_INT32)")
    most = config.get("logprobs", 1)
    if "logprobs" in config and not config.get("responseLogprobs"):
        return refuse(400, "logprobs requires response_logprobs.")
    if not 1 <= most <= 20:
        return refuse(400, f"logprobs must be in the range [0, 20], got {most}.")
    return None


def _wrong_turns(contents: Any) -> web.Response | None:
    if not contents:
        return refuse(400, "* GenerateContentRequest.contents: contents is not specified")
    for place, turn in enumerate(contents):
        if turn.get("role") not in ("user", "model"):
            return refuse(400, "Please use a valid role: user, model.")
        if not turn.get("parts") or any(len({*part} & _PARTS) != 1 for part in turn["parts"]):
            return refuse(400, f"contents[{place}].parts: contents.parts must not be empty.")
        if place and contents[place - 1]["role"] == turn["role"]:
            return refuse(400, "Please ensure that multiturn requests alternate between user and model.")
    if contents[-1]["role"] != "user":
        return refuse(400, "Please ensure that multiturn requests end with a user role.")
    return None


def _wrong_tools(payload: Payload) -> web.Response | None:
    declared = [(one["name"], one.get("parametersJsonSchema")) for one in _declared(payload)]
    turns = _turns(payload)
    if odd := unfit_tools(turns, declared, needed=False):
        return refuse(400, f"Please ensure that function response turns follow function call turns: {odd}")
    for turn in payload["contents"]:
        calls = [part for part in turn["parts"] if "functionCall" in part]
        if calls and calls[0].get("thoughtSignature") != _SIGNATURE:
            return refuse(400, "Function call is missing a thought_signature in functionCall parts.")
    for before, after in itertools.pairwise(turns):
        names = [call[1] for call in before.calls]
        if after.results and names != [one["name"] for one in _responses(payload, turns.index(after))]:
            return refuse(400, "The names of function responses are not those of the calls.")
    return None


def _declared(payload: Payload) -> list[Payload]:
    return [one for tool in payload.get("tools", ()) for one in tool["functionDeclarations"]]


def _responses(payload: Payload, place: int) -> list[Payload]:
    """The function responses of the turn at a place of `_turns`, whose first is the system instruction."""
    parts = payload["contents"][place - 1]["parts"]
    return [part["functionResponse"] for part in parts if "functionResponse" in part]


def _turns(payload: Payload) -> list[Turn]:
    found = [Turn("system", _text(payload.get("systemInstruction", {}).get("parts", [])))]
    for place, turn in enumerate(payload["contents"], 1):
        calls = [part["functionCall"] for part in turn["parts"] if "functionCall" in part]
        found.append(
            Turn(
                {"user": "user", "model": "assistant"}[turn["role"]],
                _text(turn["parts"]),
                [(one["id"], one["name"], one["args"]) for one in calls],
                [(one["id"], one["response"]["output"]) for one in _responses(payload, place)],
            )
        )
    return found


def _text(parts: list[Payload]) -> str:
    return "".join(part.get("text", "") for part in parts)


def _as_chat(payload: Payload, model: str) -> Payload:
    """The request as OpenAI's chats have it, files left out."""
    config = payload["generationConfig"]
    tools = [
        described(one["name"], one["description"], one["parametersJsonSchema"]) for one in _declared(payload)
    ]
    return {
        "model": model,
        "messages": chat(_turns(payload)),
        "max_tokens": config["maxOutputTokens"],
        "stop": config.get("stopSequences", []),
        **({"tools": tools} if tools else {}),
    }


def _logprobs(text: str, most: int) -> Payload:
    """Log-probabilities of a text's tokens: the chosen one is twice as likely as each next alternative."""
    steps = []
    for token in tokens(text):
        names = [token, *(f" other{number}" for number in range(1, most))]
        steps.append(
            [{"token": name, "logProbability": -math.log(2) * (at + 1)} for at, name in enumerate(names)]
        )
    return {
        "topCandidates": [{"candidates": step} for step in steps],
        "chosenCandidates": [step[0] for step in steps],
    }
