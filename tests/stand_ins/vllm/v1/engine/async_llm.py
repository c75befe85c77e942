"""The engine that takes requests one by one and computes them together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from tests.stand_ins.computed import Computer, Text, likeliest

from ...engine.arg_utils import AsyncEngineArgs
from ...exceptions import VLLMClientError, VLLMValidationError
from ...logprobs import Logprob
from ...outputs import CompletionOutput, RequestOutput
from ...sampling_params import RequestOutputKind, SamplingParams
from .exceptions import EngineDeadError, EngineGenerateError

made: list[AsyncLLM] = []
"""The engines of this process, for tests."""


class ModelConfig:
    def __init__(self, max_model_len: int) -> None:
        self.max_model_len = max_model_len


class AsyncLLM:
    def __init__(self, engine_args: AsyncEngineArgs) -> None:
        asyncio.get_running_loop()
        self.engine_args = engine_args
        self.computer = Computer(engine_args.model, engine_args.dtype)
        self.computer.context = engine_args.max_model_len or self.computer.context
        self.model_config = ModelConfig(self.computer.context)
        self.running = True
        made.append(self)

    @classmethod
    def from_engine_args(cls, engine_args: AsyncEngineArgs) -> AsyncLLM:
        return cls(engine_args)

    def shutdown(self, timeout: float | None = None) -> None:
        self.running = False

    async def generate(
        self, prompt: dict[str, Any], sampling_params: SamplingParams, request_id: str
    ) -> AsyncGenerator[RequestOutput, None]:
        if not self.running:
            raise EngineDeadError
        ids, given = prompt["prompt_token_ids"], sampling_params
        assert prompt["type"] == "token"
        assert given.output_kind is RequestOutputKind.FINAL_ONLY
        if not 0 < len(ids) < self.model_config.max_model_len:
            raise VLLMValidationError(
                f"This model's maximum context length is {self.model_config.max_model_len} tokens. However, "
                f"your prompt contains {len(ids)} input tokens."
            )
        text = Text(
            request_id, ids, given.max_tokens or self.model_config.max_model_len, given.temperature,
            given.top_p, max(0, given.top_k), given.min_p, given.repetition_penalty, given.seed,
            given.stop or (), given.stop_token_ids or (),
        )  # fmt: skip
        try:
            await self.computer.run(text)
        except (EngineDeadError, VLLMClientError):
            raise
        except Exception as error:
            raise EngineGenerateError from error
        assert text.reason is not None
        kind, matched = text.reason
        output = CompletionOutput(
            0,
            self.computer.text(text.tokens) if given.detokenize else "",
            text.tokens,
            None,
            None if given.logprobs is None else _sampled(text, given.logprobs),
            kind,
            None if matched == self.computer.tokenizer.eos_token_id else matched,
        )
        prompted = None if given.prompt_logprobs is None else _prompted(text, given.prompt_logprobs)
        yield RequestOutput(request_id, None, ids, prompted, [output], True)


def _sampled(text: Text, count: int) -> list[dict[int, Logprob]]:
    return [_known(token, known, count) for token, known in zip(text.tokens, text.known, strict=True)]


def _prompted(text: Text, count: int) -> list[dict[int, Logprob] | None]:
    rows = zip(text.ids[1:], text.prompt[:-1], strict=True)
    return [None, *(_known(token, known, count) for token, known in rows)]


def _known(token: int, known: Any, count: int) -> dict[int, Logprob]:
    """The token first, then the likeliest ones."""
    found = {token: Logprob(float(known[token]), int((known >= known[token]).sum()))}
    for rank, (name, value) in enumerate(likeliest(known, count).items(), 1):
        found[name] = Logprob(value, rank)
    return found
