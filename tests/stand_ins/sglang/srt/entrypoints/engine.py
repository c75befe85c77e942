"""The engine, with a dictionary for each response."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.stand_ins.computed import Computer, Text, likeliest

from ..server_args import ServerArgs

made: list[Engine] = []
"""The engines of this process, for tests."""
_PARAMETERS = {
    "max_new_tokens", "stop", "stop_token_ids", "temperature", "top_p", "top_k", "min_p", "frequency_penalty",
    "presence_penalty", "repetition_penalty", "min_new_tokens", "n", "ignore_eos", "skip_special_tokens",
    "spaces_between_special_tokens", "no_stop_trim", "sampling_seed",
}  # fmt: skip


class TokenizerManager:
    def __init__(self, engine: Engine, context_len: int) -> None:
        self._engine, self.context_len = engine, context_len
        self.aborted: list[str] = []

    def abort_request(self, rid: str = "", abort_all: bool = False) -> None:
        self.aborted.append(rid)


class Engine:
    def __init__(self, **kwargs: Any) -> None:
        asyncio.get_running_loop()
        self.server_args = ServerArgs(**kwargs)
        self.computer = Computer(self.server_args.model_path, self.server_args.dtype)
        self.computer.context = self.server_args.context_length or self.computer.context
        self.tokenizer_manager = TokenizerManager(self, self.computer.context)
        self.running = True
        made.append(self)

    def shutdown(self) -> None:
        self.running = False

    async def async_generate(
        self,
        prompt: str | None = None,
        sampling_params: dict[str, Any] | None = None,
        input_ids: list[int] | None = None,
        return_logprob: bool = False,
        logprob_start_len: int | None = None,
        top_logprobs_num: int | None = None,
        rid: str | None = None,
    ) -> dict[str, Any]:
        given, ids = sampling_params or {}, input_ids or []
        if unknown := given.keys() - _PARAMETERS:
            raise TypeError(f"Unexpected keyword argument '{min(unknown)}'")
        if len(ids) >= self.tokenizer_manager.context_len:
            raise ValueError(
                f"The input ({len(ids)} tokens) is longer than the model's context length "
                f"({self.tokenizer_manager.context_len} tokens)."
            )
        if not 0.0 <= given.get("min_p", 0.0) <= 1.0:
            raise ValueError(f"min_p must be in [0, 1], got {given['min_p']}.")
        # the seed is heeded in this mode alone
        seed = given.get("sampling_seed") if self.server_args.enable_deterministic_inference else None
        text = Text(
            rid or "", ids, given.get("max_new_tokens", 128), given.get("temperature", 1.0),
            given.get("top_p", 1.0), max(0, given.get("top_k", -1)), given.get("min_p", 0.0),
            given.get("repetition_penalty", 1.0), seed, given.get("stop") or (),
            [*(given.get("stop_token_ids") or ()), self.computer.tokenizer.eos_token_id],
        )  # fmt: skip
        await self.computer.run(text)
        assert text.reason is not None
        kind, matched = text.reason
        reason: dict[str, Any] = {"type": kind, "matched": matched}
        if kind == "length":
            reason = {"type": kind, "length": len(text.tokens)}
        info: dict[str, Any] = {
            "id": rid,
            "finish_reason": reason,
            "prompt_tokens": len(ids),
            "completion_tokens": len(text.tokens),
            "cached_tokens": 0,
        }
        if return_logprob:
            start = -1 if logprob_start_len is None else logprob_start_len
            info |= _told(text, len(ids) if start == -1 else start, top_logprobs_num or 0)
        return {"text": self.computer.text(text.tokens), "output_ids": text.tokens, "meta_info": info}


def _told(text: Text, start: int, count: int) -> dict[str, Any]:
    """The first token from `start` on has no log-probability, whether or not one could be computed."""
    own = [(float(known[token]), token, None) for token, known in zip(text.tokens, text.known, strict=True)]
    info: dict[str, Any] = {
        "input_token_logprobs": [],
        "output_token_logprobs": own,
        "output_token_logprobs_length": len(own),
    }
    inputs: list[Any] = []
    if start < len(text.ids):
        rows = text.prompt[start : len(text.ids) - 1]
        following = text.ids[start + 1 :]
        info["input_token_logprobs"] = [
            (None, text.ids[start], None),
            *((float(known[token]), token, None) for token, known in zip(following, rows, strict=True)),
        ]
        inputs = [None, *(_top(known, count) for known in rows)]
    if count:
        info["input_top_logprobs"] = inputs
        info["output_top_logprobs"] = [_top(known, count) for known in text.known]
    return info


def _top(known: Any, count: int) -> list[tuple[float, int, None]]:
    return [(value, token, None) for token, value in likeliest(known, count).items()]
