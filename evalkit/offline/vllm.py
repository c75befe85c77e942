"""vLLM's asynchronous engine, called as by its own server: `AsyncLLM` (vllm/v1/engine/async_llm.py at 0.33).

`LLM.generate` takes a list and returns when all of it has ended. `AsyncLLM.generate` takes one request, which
joins those that run, so nothing waits for the longest text of a batch.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from typing import Any

from evalkit.errors import ProviderError, one_line
from evalkit.hf.passes import Found, Wanted
from evalkit.hf.rows import Row, Told, Written
from evalkit.offline.engine import complete, told, without_end
from evalkit.offline.options import Options
from evalkit.samples import JSON

_ENVIRONMENT = {
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",  # standard output is for the table, or for --json
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",  # this process has threads, and a fork would not have them
}
_SHOWN = 400


class VllmEngine:
    """vLLM's engine. `ends`: the tokens that end a response."""

    def __init__(self, options: Options, ends: frozenset[int]) -> None:
        """It must be made on the event loop that it is used on."""
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        import vllm
        from vllm.inputs import tokens_input
        from vllm.sampling_params import RequestOutputKind
        from vllm.v1.engine.exceptions import EngineDeadError

        given: dict[str, Any] = {"max_logprobs": -1, "disable_log_stats": True, **options.arguments}
        self._engine: Any = vllm.AsyncLLMEngine.from_engine_args(
            vllm.AsyncEngineArgs(
                model=str(options.path),
                dtype=options.dtype,
                trust_remote_code=options.trust_remote_code,
                **given,
            )
        )
        self.context = int(self._engine.model_config.max_model_len)
        self._ends, self._numbers = ends, itertools.count()
        self._parameters, self._input, self._dead = vllm.SamplingParams, tokens_input, EngineDeadError
        self._settings = {"output_kind": RequestOutputKind.FINAL_ONLY, "stop_token_ids": sorted(ends)}

    async def score(self, wanted: Wanted) -> Found:
        """Reads the sequence, and generates one token, because vLLM always does."""
        settings: dict[str, Any] = {"max_tokens": 1, "temperature": 0.0, "detokenize": False}
        if wanted.first < len(wanted.ids):
            settings["prompt_logprobs"] = wanted.top
        if wanted.after:
            settings["logprobs"] = max(1, wanted.top)
        found = await self._asked(wanted.ids.tolist(), settings)
        logprobs, greedy, tops = [], [], []
        if wanted.first < len(wanted.ids):
            complete("vllm", len(found.prompt_logprobs or ()), len(wanted.ids))
            for token, known in zip(
                wanted.ids[wanted.first :].tolist(), found.prompt_logprobs[wanted.first :], strict=True
            ):
                logprobs.append(known[token].logprob)
                greedy.append(known[token].rank == 1)
                tops.append(_told(token, known, wanted.top))
        if wanted.after:
            complete("vllm", len(found.outputs[0].logprobs or ()), 1)
            tops.append(_told(found.outputs[0].token_ids[0], found.outputs[0].logprobs[0], wanted.top))
        if not wanted.top:
            tops = []
        return Found(logprobs, greedy, [one[1] for one in tops], [one[2] for one in tops])

    async def write(self, row: Row, extra: Mapping[str, JSON]) -> Written:
        settings: dict[str, Any] = {
            **extra,
            "max_tokens": row.most,
            "temperature": row.temperature,
            "top_p": row.top_p,
            "top_k": row.top_k,
            "seed": row.seed,
            "stop": list(row.stop),
            "detokenize": bool(row.stop),  # it looks for them in the text, which evalkit decodes itself
        }
        if row.top:
            settings["logprobs"] = row.top
        output = (await self._asked(row.ids.tolist(), settings)).outputs[0]
        if output.finish_reason not in ("stop", "length"):
            raise ProviderError(f"vllm/ ended a response without completing it: {output.finish_reason}")
        ended = output.finish_reason == "stop"
        known = []
        if row.top:
            complete("vllm", len(output.logprobs or ()), len(output.token_ids))
            known = [
                _told(token, found, row.top)
                for token, found in zip(output.token_ids, output.logprobs, strict=True)
            ]
        return Written(without_end(output.token_ids, self._ends, ended=ended), ended, known)

    def close(self) -> None:
        self._engine.shutdown()
        self._engine = None

    async def _asked(self, ids: list[int], settings: Mapping[str, Any]) -> Any:
        """The last output for a prompt. Raises `ProviderError`."""
        last = None
        try:
            parameters = self._parameters(**self._settings, **settings)
            async for output in self._engine.generate(self._input(ids), parameters, str(next(self._numbers))):
                last = output
        except self._dead as error:
            raise ProviderError(
                f"vllm/: the engine has ended: {one_line(error, _SHOWN)}", fatal=True
            ) from None
        except Exception as error:  # noqa: BLE001 — vLLM's errors of one request have no common class
            cause = error.__cause__ or error  # EngineGenerateError says nothing itself
            again = type(error).__name__ == "RetryableRequestError"
            raise ProviderError(f"vllm/: {one_line(cause, _SHOWN)}", retryable=again) from None
        if last is None or not last.outputs:
            raise ProviderError("vllm/ returned nothing for a request")
        return last


def _told(token: int, known: Mapping[int, Any], top: int) -> Told:
    return told((token, known[token].logprob), [(one, of.logprob) for one, of in known.items()], top)
