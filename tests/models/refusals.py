"""How servers word that a prompt is too long for the model's context."""

from __future__ import annotations

from typing import Any

from aiohttp import web

SERVERS = (
    "vllm",
    "vllm-max-tokens",
    "openai",
    "sglang",
    "sglang-total",
    "llama.cpp",
    "llama.cpp-500",
    "llama-cpp-python",
    "tgi",
    "tgi-inputs",
    "lm-studio",
    "lm-studio-200",
    "ollama",
)


def too_long(like: str, sent: int, most: int) -> web.Response:
    """The answer of one of `SERVERS` to a prompt of `sent` tokens where there is room for `most`."""
    status, body = _BODIES[like]
    return web.json_response(_filled(body, {"sent": sent, "most": most}), status=status)


def _filled(body: Any, numbers: dict[str, int]) -> Any:
    """`body` with its placeholders replaced; a text that is nothing but one becomes the number."""
    if isinstance(body, dict):
        return {key: _filled(value, numbers) for key, value in body.items()}
    if not isinstance(body, str):
        return body
    return numbers.get(body.strip("{}"), body.format(**numbers))


def _error(message: str, code: int | str, kind: str = "BadRequestError", **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code} | more}


_BODIES: dict[str, tuple[int, dict[str, Any]]] = {
    "vllm": (
        400,
        _error(
            "This model's maximum context length is {most} tokens. However, your request has {sent} input "
            "tokens. Please reduce the length of the input messages.",
            400,
        ),
    ),
    "vllm-max-tokens": (
        400,
        _error(
            "'max_tokens' or 'max_completion_tokens' is too large: 64. This model's maximum context length "
            "is {most} tokens and your request has {sent} input tokens (64 > {most} - {sent}).",
            400,
        ),
    ),
    "openai": (
        400,
        _error(
            "This model's maximum context length is {most} tokens. However, your messages resulted in {sent} "
            "tokens. Please reduce the length of the messages.",
            "context_length_exceeded",
            "invalid_request_error",
            param="messages",
        ),
    ),
    "sglang": (
        400,
        {
            "object": "error",
            "message": "The input ({sent} tokens) is longer than the model's context length ({most} tokens).",
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        },
    ),
    "sglang-total": (
        400,
        {
            "object": "error",
            "message": "Requested token count exceeds the model's maximum context length of {most} tokens. "
            "You requested a total of {sent} tokens.",
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        },
    ),
    "llama.cpp": (
        400,
        {
            "error": {
                "code": 400,
                "message": "request ({sent} tokens) exceeds the available context size ({most} tokens), try "
                "increasing it",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": "{sent}",
                "n_ctx": "{most}",
            }
        },
    ),
    "llama.cpp-500": (
        500,
        {"error": {"code": 500, "message": "Context size has been exceeded.", "type": "server_error"}},
    ),
    "llama-cpp-python": (
        400,
        _error("Requested tokens ({sent}) exceed context window of {most}", 400, "invalid_request_error"),
    ),
    "tgi": (
        422,
        {
            "error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= {most}. "
            "Given: {sent} `inputs` tokens and 64 `max_new_tokens`",
            "error_type": "validation",
        },
    ),
    "tgi-inputs": (
        422,
        {
            "error": "Input validation error: `inputs` must have less than {most} tokens. Given: {sent}",
            "error_type": "validation",
        },
    ),
    "lm-studio": (400, {"error": "Trying to keep the first {sent} tokens when context the overflows."}),
    "lm-studio-200": (200, {"error": "Trying to keep the first {sent} tokens when context the overflows."}),
    "ollama": (400, _error("the input length exceeds the context length", 400, "api_error")),
}
