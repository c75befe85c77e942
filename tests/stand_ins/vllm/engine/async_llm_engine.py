"""vLLM's older name of `AsyncLLM`."""

from ..v1.engine.async_llm import AsyncLLM

AsyncLLMEngine = AsyncLLM
