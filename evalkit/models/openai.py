"""Endpoints with OpenAI's chat and completions routes: vLLM, SGLang, llama.cpp, Ollama, OpenAI and others.

The providers with these routes (`evalkit.models.providers`) are opened here too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from evalkit.errors import UsageError
from evalkit.models.base import Request, Response
from evalkit.models.batch_routes import BatchRoutes
from evalkit.models.http import OPENAI, OPENAI_SERVICE, Endpoint
from evalkit.models.http_model import HTTPModel, chat_of, encoded
from evalkit.models.parameters import EXTRA
from evalkit.models.providers import PROVIDERS, Provider
from evalkit.models.reading import parse
from evalkit.models.refused import NO_SEED, ONE_SEED, Adapted
from evalkit.models.registry import KEY, Named
from evalkit.models.sse import assembled
from evalkit.samples import JSON, Message, Part, Shown, Tool

__all__ = ["OPENAI", "OpenAIModel"]

_OPENAI = Provider("OpenAI", KEY, OPENAI_SERVICE, (), batches="/v1")


class OpenAIModel(HTTPModel):
    """The model `openai/NAME` at `base_url` (default: OPENAI_BASE_URL, or else OpenAI's own).

    `provider`: another provider with the same routes, whose address is then the default.
    """

    takes_n = True

    def __init__(
        self,
        model: str,
        base_url: str = "",
        *,
        timeout: float = 600.0,
        key_env: str = KEY,
        backend: str = "openai",
        provider: Provider = _OPENAI,
    ) -> None:
        endpoint = Endpoint(base_url, timeout=timeout, key_env=key_env, service=provider.service)
        super().__init__(backend, model, endpoint, Adapted())
        self._provider, self._key_env = provider, key_env
        if endpoint.is_openai:  # OpenAI always starts a new message
            self.capabilities -= {"prefill"}
        # OpenAI's newer models refuse the older name; other servers know only that one.
        self._max_tokens = "max_completion_tokens" if endpoint.is_openai else provider.max_tokens

    def departures(self, request: Request) -> tuple[tuple[str, str], ...]:
        found = super().departures(request)
        if request.seed is None:
            return found
        if not self._provider.seed:
            return (*found, NO_SEED)
        return (*found, ONE_SEED) if request.n > 1 else found

    def batch_routes(self) -> BatchRoutes:
        from evalkit.models.openai_batches import OpenAIBatches

        if self._provider.batches is None:
            raise UsageError(
                f"--batch: {self._backend}/ has no batch routes that evalkit knows; openai/, anthropic/, "
                "azure/ and groq/ have: run the command without --batch"
            )
        return OpenAIBatches(self._endpoint, self._provider.batches)

    def _route(self, request: Request) -> str:
        return "completions" if request.api == "completion" else "chat/completions"

    async def count_input(self, request: Request) -> int:
        """By the routes of vLLM and llama.cpp, which count no pictures and clips: these are estimated."""
        from evalkit.models.request_tokens import file_tokens_of, without_files
        from evalkit.models.tokenize_route import tokenized

        root = Endpoint(
            self.base_url.removesuffix("/v1"),
            timeout=self.timeout,
            key_env=self._key_env,
            service=self._provider.service,
        )
        try:
            texts = await tokenized(root, self._payload(without_files(request)))
        finally:
            await root.aclose()
        return texts + file_tokens_of(request, self.name)

    def _parsed(self, body: bytes, request: Request, seconds: float) -> Response:
        echoed = str(request.prompt) if request.echo else ""
        return parse(assembled(body), request.api, seconds, echoed, request.prompt, request.n)

    def _payload(self, request: Request) -> dict[str, JSON]:
        payload: dict[str, JSON] = {"model": self._model}
        if isinstance(request.prompt, str):
            payload["prompt"] = request.prompt
            payload["max_tokens"] = request.max_tokens
            if request.logprobs or request.echo:  # some servers return nothing for 0
                payload["logprobs"] = request.logprobs or 1
            if request.echo:
                payload["echo"] = True
        else:
            payload["messages"] = [_turn(message) for message in chat_of(request)]
            if request.tools:
                payload["tools"] = [_tool(tool) for tool in request.tools]
            if request.prefill:  # the names in vLLM and SGLang
                payload |= {"add_generation_prompt": False, "continue_final_message": True}
            payload[self._max_tokens] = request.max_tokens
            if request.logprobs and self._provider.counted_logprobs:
                payload["logprobs"] = request.logprobs
            elif request.logprobs:
                payload |= {"logprobs": True, "top_logprobs": request.logprobs}
        payload["temperature"] = request.temperature
        if request.temperature > 0 or request.top_p != 1:
            # Every sampled request has it: vLLM and SGLang would otherwise use the model's own default.
            payload["top_p"] = request.top_p
        if request.stop:
            payload["stop"] = list(request.stop)
        if request.seed is not None and self._provider.seed:
            payload[self._provider.seed] = request.seed
        if request.n > 1:
            payload["n"] = request.n
        return {**payload, **request.extra}


def open_openai(named: Named) -> OpenAIModel:
    """Opens `openai/NAME`, or the model of another provider. Raises `UsageError` for an invalid address."""
    backend = named.typed.partition("/")[0]
    name, mark, _ = named.name.partition("?")
    if mark:
        raise UsageError(
            f"{backend}/{name} has no options: --set {EXTRA}KEY=VALUE puts a parameter into each request"
        )
    return OpenAIModel(
        name,
        named.base_url,
        timeout=named.timeout,
        key_env=named.key_env,
        backend=backend,
        provider=PROVIDERS.get(backend, _OPENAI),
    )


def _turn(message: Message) -> dict[str, JSON]:
    turn: dict[str, JSON] = {"role": message.role, "content": _content(message)}
    if message.tool_calls:
        turn["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.role == "tool":
        turn["tool_call_id"] = message.tool_call_id
    return turn


def _tool(tool: Tool) -> dict[str, JSON]:
    function: dict[str, JSON] = {"name": tool.name, "description": tool.description}
    return {"type": "function", "function": {**function, "parameters": dict(tool.parameters)}}


def _content(message: Message) -> JSON:
    """The content as a text, or as texts and media files, which OpenAI, vLLM, SGLang and llama.cpp accept."""
    if isinstance(message.content, str):
        return message.content
    return [_part(part) for part in message.content]


def _part(part: Part) -> JSON:
    """Pictures become data URLs, and clips base64. By now, clips are WAV files and videos are pictures."""
    if isinstance(part, str):
        return {"type": "text", "text": part}
    return _WIRE[part.kind](part, encoded(part))


_WIRE: Mapping[str, Callable[[Shown, str], JSON]] = {
    "image": lambda part, data: {
        "type": "image_url",
        "image_url": {"url": f"data:{part.mime};base64,{data}"},
    },
    "audio": lambda part, data: {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}},
}
