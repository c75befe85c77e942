"""The providers: one row each, with the address, the variable with the key, and what differs from OpenAI.

The rows without a `factory` have OpenAI's chat route, so that `openai/` sends and reads everything and the
row says the rest. The capabilities are what the provider's reference lists; a single model may have fewer,
and says so in the error of the first request that it refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from evalkit.models.options import Read, on_or_off
from evalkit.models.service import Service

if TYPE_CHECKING:
    from evalkit.models.base import Capability


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider. `title`: its name. `key_env`: the variable of the environment with the key.

    `max_tokens`: what its chat route calls the most tokens of a response. `seed`: what it calls the seed; ""
    if it has none. `counted_logprobs`: whether a chat asks for N alternatives by `logprobs: N`, as for a text
    to continue. `batches`: the beginning of the routes that a batch names, if it has OpenAI's batch routes.
    `usage`, `options`: as of `evalkit.models.registry.Backend`.
    """

    title: str
    key_env: str
    service: Service
    capabilities: tuple[Capability, ...]
    max_tokens: str = "max_tokens"
    seed: str = "seed"
    counted_logprobs: bool = False
    batches: str | None = None
    factory: str = "evalkit.models.openai:open_openai"
    usage: str = ""
    options: Mapping[str, Read] = field(default_factory=dict)


GEMINI_KEY, ANTHROPIC_KEY = "GEMINI_API_KEY", "ANTHROPIC_API_KEY"

PROVIDERS: Mapping[str, Provider] = {
    "gemini": Provider(
        "Google's Gemini API, or Vertex AI", GEMINI_KEY,
        Service(
            "https://generativelanguage.googleapis.com/v1beta", key_header="x-goog-api-key", versioned=False
        ),
        ("chat", "image", "audio", "logprobs", "tools", "extra"),
        factory="evalkit.models.gemini:open_gemini",
        usage="[?vertex=PROJECT/LOCATION]", options={"vertex": str},
    ),
    "anthropic": Provider(
        "Anthropic's Messages API", ANTHROPIC_KEY,
        Service(
            "https://api.anthropic.com/v1", key_header="x-api-key",
            headers={"anthropic-version": "2023-06-01"},
        ),
        ("chat", "image", "tools", "prefill", "extra"),
        factory="evalkit.models.anthropic:open_anthropic",
        usage="[?cache=on]", options={"cache": on_or_off},
    ),
    # https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle: v1, without api-version
    "azure": Provider(
        "Azure OpenAI", "AZURE_OPENAI_API_KEY",
        Service("{AZURE_OPENAI_ENDPOINT}/openai/v1", key_header="api-key"),
        ("chat", "image", "audio", "logprobs", "tools", "extra"),
        max_tokens="max_completion_tokens", batches="",
    ),
    "bedrock": Provider(
        "Amazon Bedrock", "AWS_BEARER_TOKEN_BEDROCK",
        Service("https://bedrock-runtime.{AWS_REGION}.amazonaws.com", versioned=False),
        ("chat", "image", "tools", "extra"),
        seed="",
        factory="evalkit.models.bedrock:open_bedrock",
    ),
    # https://docs.cohere.com/docs/compatibility-api
    "cohere": Provider(
        "Cohere", "COHERE_API_KEY",
        Service("https://api.cohere.ai/compatibility/v1"),
        ("chat", "image", "tools", "extra"),
    ),
    # https://api-docs.deepseek.com/api/create-chat-completion
    "deepseek": Provider(
        "DeepSeek", "DEEPSEEK_API_KEY",
        Service("https://api.deepseek.com/v1"),
        ("chat", "logprobs", "tools", "extra"),
        seed="",
    ),
    # https://docs.fireworks.ai/api-reference/post-chatcompletions
    "fireworks": Provider(
        "Fireworks AI", "FIREWORKS_API_KEY",
        Service("https://api.fireworks.ai/inference/v1"),
        ("chat", "completion", "image", "logprobs", "tools", "extra"),
    ),
    # https://console.groq.com/docs/openai: logprobs are refused
    "groq": Provider(
        "Groq", "GROQ_API_KEY",
        Service("https://api.groq.com/openai/v1"),
        ("chat", "image", "tools", "extra"),
        max_tokens="max_completion_tokens", batches="/v1",
    ),
    # https://docs.mistral.ai/api
    "mistral": Provider(
        "Mistral", "MISTRAL_API_KEY",
        Service("https://api.mistral.ai/v1"),
        ("chat", "image", "tools", "extra"),
        seed="random_seed",
    ),
    # https://docs.ollama.com/api/openai-compatibility
    "ollama": Provider(
        "Ollama, on this machine", "OLLAMA_API_KEY",
        Service("http://127.0.0.1:11434/v1", keyed=False),
        ("chat", "completion", "image", "logprobs", "tools", "extra"),
    ),
    # https://openrouter.ai/docs/api-reference/overview
    "openrouter": Provider(
        "OpenRouter", "OPENROUTER_API_KEY",
        Service("https://openrouter.ai/api/v1"),
        ("chat", "completion", "image", "audio", "logprobs", "tools", "extra"),
    ),
    # https://docs.together.ai/reference/chat-completions-1
    "together": Provider(
        "Together AI", "TOGETHER_API_KEY",
        Service("https://api.together.xyz/v1"),
        ("chat", "completion", "image", "logprobs", "tools", "extra"),
        counted_logprobs=True,
    ),
    # https://docs.x.ai/docs/api-reference
    "xai": Provider(
        "xAI", "XAI_API_KEY",
        Service("https://api.x.ai/v1"),
        ("chat", "image", "logprobs", "tools", "extra"),
        max_tokens="max_completion_tokens",
    ),
}  # fmt: skip
"""Backend → provider."""
