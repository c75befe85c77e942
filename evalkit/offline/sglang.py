"""SGLang's engine: `sglang.Engine.async_generate` (sglang/srt/entrypoints/engine.py at 0.5.23)."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from evalkit.errors import ProviderError, one_line
from evalkit.hf.passes import Found, Wanted
from evalkit.hf.rows import Row, Told, Written
from evalkit.offline.engine import complete, told, without_end
from evalkit.offline.options import Options
from evalkit.samples import JSON

_ENVIRONMENT = {"SGLANG_RETURN_ORIGINAL_LOGPROB": "1"}
"""Without it the log-probabilities of a sample are those after its temperature."""
_NAMES = {"min_tokens": "min_new_tokens"}
_SHOWN = 400


class SglangEngine:
    """SGLang's engine. `ends`: the tokens that end a response."""

    def __init__(self, options: Options, ends: frozenset[int]) -> None:
        """It must be made on the event loop that it is used on, in another thread than the main one.

        In the main thread, SGLang has a failure of one of its processes kill this one.
        """
        os.environ.update(_ENVIRONMENT)
        import sglang

        given: dict[str, Any] = {"log_level": "error", **options.arguments}
        self._engine: Any = sglang.Engine(
            model_path=str(options.path),
            dtype=options.dtype,
            trust_remote_code=options.trust_remote_code,
            **given,
        )
        self.context = int(self._engine.tokenizer_manager.context_len)
        self._ends, self._loop, self._numbers = ends, asyncio.get_running_loop(), itertools.count()
        self._died: asyncio.Future[None] = self._loop.create_future()

    async def score(self, wanted: Wanted) -> Found:
        """Reads the sequence, and generates one token as well."""
        count = len(wanted.ids) - wanted.first
        info = await self._asked(
            wanted.ids.tolist(),
            {"max_new_tokens": 1, "temperature": 0.0},
            top=max(1, wanted.top),
            # the log-probability of the first token that it names is always missing
            start=wanted.first - 1 if count else -1,
        )
        logprobs, greedy, tops = [], [], []
        if count:
            own, known = info["input_token_logprobs"][1:], info["input_top_logprobs"][1:]
            complete("sglang", len(own), count)
            for token, (logprob, *_), likeliest in zip(wanted.ids[wanted.first :], own, known, strict=True):
                logprobs.append(float(logprob))
                greedy.append(likeliest[0][1] == int(token))
                tops.append(_told(likeliest[0], likeliest, wanted.top))
        if wanted.after:
            complete("sglang", len(info["output_token_logprobs"]), 1)
            tops.append(_told(info["output_token_logprobs"][0], info["output_top_logprobs"][0], wanted.top))
        if not wanted.top:
            tops = []
        return Found(logprobs, greedy, [one[1] for one in tops], [one[2] for one in tops])

    async def write(self, row: Row, extra: Mapping[str, JSON]) -> Written:
        settings: dict[str, Any] = {
            **{_NAMES.get(name, name): value for name, value in extra.items()},
            "max_new_tokens": row.most,
            "temperature": row.temperature,
            "top_p": row.top_p,
            "top_k": row.top_k or -1,
            "stop": list(row.stop),
            "stop_token_ids": sorted(self._ends),
        }
        if row.seed is not None:
            settings["sampling_seed"] = row.seed  # heeded with enable_deterministic_inference=on
        info = await self._asked(row.ids.tolist(), settings, top=row.top)
        ended = info["finish_reason"]["type"] == "stop"
        tokens, known = info["output_ids"], []
        if row.top:
            complete("sglang", len(info["output_token_logprobs"]), len(tokens))
            pairs = zip(info["output_token_logprobs"], info["output_top_logprobs"], strict=True)
            known = [_told(own, likeliest, row.top) for own, likeliest in pairs]
        return Written(without_end(tokens, self._ends, ended=ended), ended, known)

    def close(self) -> None:
        self._engine.shutdown()
        self._engine = None

    def die(self) -> None:
        """Fails the calls that wait, and those to come. Any thread may call it."""
        self._loop.call_soon_threadsafe(self._died.cancel)

    async def _asked(
        self, ids: list[int], settings: Mapping[str, Any], *, top: int, start: int = -1
    ) -> dict[str, Any]:
        """`meta_info` of a response, with its `output_ids`. Raises `ProviderError`."""
        rid = f"evalkit-{next(self._numbers)}"
        work = asyncio.ensure_future(
            self._engine.async_generate(
                input_ids=ids,
                sampling_params=dict(settings),
                return_logprob=top > 0,
                logprob_start_len=start,
                top_logprobs_num=top,
                rid=rid,
            )
        )
        try:
            await asyncio.wait({work, self._died}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise ProviderError("sglang/: a process of the engine has failed", fatal=True)
            found = work.result()
        except ProviderError:
            raise
        except Exception as error:  # noqa: BLE001 — SGLang's errors of one request have no common class
            raise ProviderError(f"sglang/: {one_line(error, _SHOWN)}") from None
        finally:
            if not work.done():
                work.cancel()
                self._engine.tokenizer_manager.abort_request(rid)
        info: dict[str, Any] = {**found["meta_info"], "output_ids": found["output_ids"]}
        reason = info["finish_reason"] or {"type": "nothing"}
        if reason["type"] not in ("stop", "length"):
            why = reason.get("message") or reason["type"]
            raise ProviderError(f"sglang/ ended a response without completing it: {why}")
        return info


class Quits:
    """Hears SIGQUIT, which SGLang's processes send to this one when they fail, and which would end it.

    Only the main thread can hear it. If evalkit runs in another one, the signal ends the process.
    """

    def __init__(self) -> None:
        self._then: list[Callable[[], None]] = []
        self._main = threading.current_thread() is threading.main_thread()
        self._before: Any = signal.signal(signal.SIGQUIT, self._heard) if self._main else None

    def call(self, then: Callable[[], None]) -> None:
        self._then.append(then)

    def close(self) -> None:
        """Has the signal do what it did before."""
        if self._main:
            signal.signal(signal.SIGQUIT, self._before or signal.SIG_DFL)

    def _heard(self, *_: Any) -> None:
        for then in self._then:
            then()


def _told(own: Sequence[Any], known: Sequence[Sequence[Any]], top: int) -> Told:
    """`own` and each of `known`: (logprob, token, its text)."""
    return told((int(own[1]), float(own[0])), [(int(one[1]), float(one[0])) for one in known], top)
