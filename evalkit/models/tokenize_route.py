"""The tokens of a prompt, by the routes of vLLM and llama.cpp that split texts and generate nothing.

vLLM: `POST /tokenize` with the messages or the prompt returns `count`. llama.cpp: `POST /apply-template`
returns the `prompt` of messages, and `POST /tokenize` the `tokens` of a text. Both are beside `/v1`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from evalkit.errors import ProviderError
from evalkit.models.bodies import count, read_object
from evalkit.models.http import JSON_BODY, Endpoint
from evalkit.samples import JSON

_CHAT = ("messages", "tools", "add_generation_prompt", "continue_final_message", "chat_template_kwargs")


async def tokenized(endpoint: Endpoint, payload: Mapping[str, JSON]) -> int:
    """The tokens of the prompt of a chat or completion `payload`.

    `endpoint`: the server's root. Raises `ProviderError` if it counts nothing.
    """
    if "messages" not in payload:
        asked = {"model": payload["model"], "prompt": payload["prompt"], "content": payload["prompt"]}
        return _count(await _post(endpoint, "tokenize", {**asked, "add_special": True}), endpoint)
    chat = {key: payload[key] for key in _CHAT if key in payload}
    said = await _post(endpoint, "tokenize", {"model": payload["model"], **chat})
    if "count" in said:
        return _count(said, endpoint)
    text = (await _post(endpoint, "apply-template", chat)).get("prompt")
    asked = {"content": text, "add_special": True, "parse_special": True}
    return _count(await _post(endpoint, "tokenize", asked), endpoint)


async def _post(endpoint: Endpoint, route: str, body: Mapping[str, Any]) -> dict[str, Any]:
    return await endpoint.post(route, lambda: orjson.dumps(body), read_object, JSON_BODY)


def _count(said: Mapping[str, Any], endpoint: Endpoint) -> int:
    tokens = said.get("tokens")
    found = count(said.get("count", len(tokens) if isinstance(tokens, list) else None))
    if not found:
        raise ProviderError(f"{endpoint.base_url}/tokenize returned no number of tokens")
    return found
