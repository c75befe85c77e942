"""Whether an error says that a prompt does not fit into the model's context."""

from __future__ import annotations

TOO_LONG_STATUS = {400, 413, 422, 500}
_TOO_LONG = (
    b"context_length_exceeded",  # OpenAI's code, also llama-cpp-python's and Groq's
    b"maximum context length",  # OpenAI, vLLM, SGLang, Mistral, OpenRouter
    b"longer than the model's context length",  # SGLang
    b"longer than the maximum model length",  # vLLM's engine
    b"exceed_context_size_error",  # llama.cpp's type
    b"exceeds the available context size",  # llama.cpp
    b"context size has been exceeded",  # llama.cpp, with a 500
    b"exceed context window of",  # llama-cpp-python
    b"`inputs` tokens + `max_new_tokens` must be <=",  # TGI
    b"`inputs` must have less than",  # TGI
    b"trying to keep the first",  # LM Studio
    b"exceeds the context length",  # Ollama, if it does not cut the prompt silently
    b"prompt too long; exceeded",  # Ollama
    b"prompt is too long",  # Anthropic, Fireworks
    b"input is too long",  # Bedrock
    b"exceed context limit",  # Anthropic, of prompt and max_tokens together
    b"maximum prompt length",  # xAI
    b"exceeds the maximum number of tokens",  # Gemini
)
"""Parts of the servers' messages, in lower case, for a prompt that does not fit into the context."""
ERROR_READ = 4096
"""The bytes of an error's body that are searched; some servers repeat the request after their message."""


def says_too_long(body: bytes) -> bool:
    """Whether an error's body says that the prompt does not fit into the context."""
    message = body[:ERROR_READ].lower()
    return any(words in message for words in _TOO_LONG)
