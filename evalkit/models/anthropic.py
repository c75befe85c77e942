"""Anthropic's Messages API (https://docs.anthropic.com/en/api/messages).

What differs from OpenAI's chats: the system message stands apart, `max_tokens` is required, a stop sequence
must have a character that is not blank, and there are neither seeds nor log-probabilities. What `--set` puts
below `extra.thinking` (`type=enabled`, `budget_tokens=N`) has the model think first, within `max_tokens`. Its
thoughts are reasoning, in which the answer is never searched.

With `?cache=on`, what the prompts of a run begin with, such as the shots, is marked for Anthropic's cache
(`evalkit.models.shared_start`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalkit.errors import ProviderError
from evalkit.models.anthropic_reading import parse
from evalkit.models.base import Request, Response
from evalkit.models.batch_routes import BatchRoutes
from evalkit.models.http import Endpoint, Refusal
from evalkit.models.http_model import HTTPModel, chat_of, encoded
from evalkit.models.providers import ANTHROPIC_KEY, PROVIDERS
from evalkit.models.refused import BLANK_STOPS, NO_SEED, Adapted
from evalkit.models.registry import Named
from evalkit.models.shared_start import SharedStarts
from evalkit.models.tool_calls import arguments_of
from evalkit.samples import JSON, Message, Part, Tool, ToolCall

_BLANK_END = ("prefill", "the endpoint continues no text that ends with a blank: it was sent without it")
_ROLES = {"user": "user", "assistant": "assistant", "tool": "user"}
_COUNTED = ("model", "messages", "system", "thinking", "tools")
"""The fields of a request that count_tokens takes."""


class AnthropicModel(HTTPModel):
    """The model `anthropic/NAME` at `base_url` (default: Anthropic's own)."""

    def __init__(
        self,
        model: str,
        base_url: str = "",
        *,
        timeout: float = 600.0,
        key_env: str = ANTHROPIC_KEY,
        cache: bool = False,
    ) -> None:
        """`cache`: whether to have the shared beginnings of the prompts cached."""
        service = PROVIDERS["anthropic"].service
        endpoint = Endpoint(base_url, timeout=timeout, key_env=key_env, service=service)
        super().__init__("anthropic", model, endpoint, _Refused(streams=False))
        self.name += "?cache=on" if cache else ""
        self._starts = SharedStarts() if cache else None

    @property
    def identity(self) -> dict[str, JSON]:
        cached: dict[str, JSON] = {} if self._starts is None else {"cache": True}
        return super().identity | cached

    def batch_routes(self) -> BatchRoutes:
        from evalkit.models.anthropic_batches import AnthropicBatches

        return AnthropicBatches(self._endpoint)

    def _route(self, request: Request) -> str:
        return "messages"

    async def count_input(self, request: Request) -> int:
        payload = await self._built(request)
        counted = {key: payload[key] for key in _COUNTED if key in payload}
        return await self._counted("messages/count_tokens", counted, "input_tokens")

    def _parsed(self, body: bytes, request: Request, seconds: float) -> Response:
        return parse(body, seconds)

    def departures(self, request: Request) -> tuple[tuple[str, str], ...]:
        found = [*super().departures(request)]
        if request.seed is not None:
            found.append(NO_SEED)
        if not all(map(str.strip, request.stop)):
            found.append(BLANK_STOPS)
        if request.prefill and (text := chat_of(request)[-1].text) != text.rstrip():
            found.append(_BLANK_END)
        return tuple(found)

    def _payload(self, request: Request) -> dict[str, JSON]:
        system, messages = _blocks(chat_of(request))
        if self._starts is not None:
            self._starts.mark([system, *(message["content"] for message in messages)])
        payload: dict[str, JSON] = {
            "model": self._model,
            "max_tokens": request.max_tokens,
            "messages": messages,
            "temperature": request.temperature,
        }
        if request.tools:
            payload["tools"] = [_tool(tool) for tool in request.tools]
        if system:
            payload["system"] = system
        if request.temperature > 0 or request.top_p != 1:
            payload["top_p"] = request.top_p
        if stops := [stop for stop in request.stop if stop.strip()]:
            payload["stop_sequences"] = [*stops]
        _check_extra(request, payload)
        return {**payload, **request.extra}


def open_anthropic(named: Named) -> AnthropicModel:
    """Opens `anthropic/NAME?cache=on`. Raises `UsageError` for an invalid address."""
    cache = bool(named.options.get("cache"))
    return AnthropicModel(
        named.name, named.base_url, timeout=named.timeout, key_env=named.key_env, cache=cache
    )


class _Refused(Adapted):
    """What the API was found not to take."""

    def learn(self, refusal: Refusal, sent: Mapping[str, JSON], request: Request) -> None:
        if refusal.status == 400 and request.prefill and b"prefill" in refusal.body:
            raise ProviderError(
                f"the model does not continue a message of the assistant: use another protocol ({refusal})",
                fatal=True,
            )
        super().learn(refusal, sent, request)


def _blocks(messages: tuple[Message, ...]) -> tuple[list[Any], list[Any]]:
    """(system, messages) as the API takes them: without empty texts, and one message of a role in a row."""
    turns = list(messages)
    system: list[Any] = []
    while turns and turns[0].role == "system":
        system += _content(turns.pop(0))
    found: list[Any] = []
    for turn in turns:
        if turn.role not in _ROLES:
            raise ProviderError(
                f"anthropic/ cannot send a message of the role {turn.role} after the first one", fatal=True
            )
        role = _ROLES[turn.role]
        if found and found[-1]["role"] == role:
            found[-1]["content"] += _content(turn)
        else:
            found.append({"role": role, "content": _content(turn)})
    last = found[-1] if found else None
    if last is not None and last["role"] == "assistant" and "text" in (last["content"] or [{}])[-1]:
        last["content"][-1]["text"] = last["content"][-1]["text"].rstrip()
    return system, found


def _content(message: Message) -> list[JSON]:
    content = [_part(part) for part in message.parts if part != ""]
    if message.role == "tool":
        return [{"type": "tool_result", "tool_use_id": message.tool_call_id, "content": content}]
    return [*content, *map(_use, message.tool_calls)]


def _use(call: ToolCall) -> JSON:
    given = arguments_of(call.arguments)
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": given}


def _tool(tool: Tool) -> JSON:
    return {"name": tool.name, "description": tool.description, "input_schema": dict(tool.parameters)}


def _part(part: Part) -> JSON:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    source: dict[str, JSON] = {"type": "base64", "media_type": part.mime, "data": encoded(part)}
    return {"type": "image", "source": source}


def _check_extra(request: Request, payload: Mapping[str, JSON]) -> None:
    """Raises `ProviderError` for a setting that evalkit decides, or that leaves no token for the answer."""
    for name in request.extra:
        if name in payload or name == "stop_sequences":
            raise ProviderError(f"--set extra.{name} is decided by the protocol: leave it out", fatal=True)
    thinking = request.extra.get("thinking")
    thinks = isinstance(thinking, dict) and thinking.get("type") != "disabled"
    if thinks and any(message.tool_calls for message in chat_of(request)):
        raise ProviderError(
            "after a tool call, the API wants the thoughts back that led to it, which evalkit does not keep: "
            "leave out --set extra.thinking",
            fatal=True,
        )
    budget = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
    if isinstance(budget, int) and budget >= request.max_tokens:
        raise ProviderError(
            f"thinking.budget_tokens={budget} leaves none of max_tokens={request.max_tokens} for the answer: "
            f"--set max_tokens={budget + request.max_tokens}",
            fatal=True,
        )
