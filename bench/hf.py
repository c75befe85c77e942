"""`hf/` beside lm-eval's class on one model by chance: `python -m bench.hf`, which needs a GPU, or `--small`.

A row has the questions a second of both, and the share of the GPU's arithmetic that the needed tokens take
(two operations for each parameter and token; 790 TFLOP/s is what matrices reach on an H100 or H200).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

_PEAK = 790e12
_BATCHES = (32, 64, 128)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.hf")
    parser.add_argument("--small", action="store_true", help="a model of two small layers, on the CPU")
    parser.add_argument("--compile", action="store_true", help="as ?compile=on")
    given = parser.parse_args()
    measure(small=given.small, compiled=given.compile)


def measure(*, small: bool, compiled: bool) -> dict[str, tuple[float, float]]:
    """Prints the rows. Returns (how many times as fast as lm-eval, the furthest apart in nats) for each."""
    import torch

    from evalkit.hf.passes import Passes
    from evalkit.hf.tree import passes

    model = _model(small=small)
    computed = Passes(model, 2048 if small else 16_384)
    if why := computed.check():
        raise SystemExit(why)
    if compiled:
        computed.compile()
    size = sum(one.numel() for one in model.parameters())
    rows = {}
    for name, questions, wanted in _prompts(small=small, most=model.config.vocab_size):
        computed.compute(wanted)
        found, seconds = _timed(torch, partial(computed.compute, wanted))
        theirs, best = _harness(torch, model, wanted[: 4 * 256], small=small)
        tokens = sum(len(one.tokens) for one in passes([one.read for one in wanted], 10**9))
        share = 2 * size * tokens / seconds / _PEAK
        off = max(abs(sum(one.logprobs) - other) for one, other in zip(found, theirs, strict=False))
        rows[name] = questions / seconds / best, off
        print(
            f"{name}: {questions / seconds:,.0f} a second, lm-eval {best:,.0f} (x {rows[name][0]:.1f}); "
            f"{share:.0%} of {_PEAK / 1e12:.0f} TFLOP/s; at most {off:.2g} nats apart"
        )
    return rows


def _model(*, small: bool) -> Any:
    """A Llama of 1.24 B parameters in bfloat16, or a small one in 32 bits."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    sizes = (512, 64, 128, 2, 4) if small else (128_256, 2048, 8192, 16, 32)
    config = LlamaConfig(
        **dict(
            zip(("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers"), sizes, strict=False)
        ),
        num_attention_heads=sizes[-1],
        num_key_value_heads=sizes[-1] // 4,
        max_position_embeddings=65_536,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    with torch.device("cpu" if small else "cuda"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32 if small else torch.bfloat16)
    return model.eval()


def _prompts(*, small: bool, most: int) -> list[tuple[str, int, list[Any]]]:
    """(name, questions, what is wanted) of prompts shaped like MMLU's with five shots, and HellaSwag's."""
    from evalkit.hf.passes import Wanted

    rng = np.random.default_rng(1)

    def some(low: int, high: int) -> Any:
        return rng.integers(5, most, int(rng.integers(low, high)))

    shots, count = [some(650, 651) for _ in range(16)], 32 if small else 2048
    letters, endings = [], []
    for number in range(count):
        context = np.concatenate([shots[number % 16], some(60, 161)])
        letters += [Wanted(np.append(context, letter), len(context)) for letter in range(1, 5)]
        context = some(50, 130)
        endings += [Wanted(np.concatenate([context, some(10, 40)]), len(context)) for _ in range(4)]
    return [("letters", count, letters), ("endings", count, endings)]


def _harness(torch: Any, model: Any, wanted: Sequence[Any], *, small: bool) -> tuple[list[float], float]:
    """(log-likelihoods, questions a second) of lm-eval's class in the best of a few sizes of batches."""
    from lm_eval.models.huggingface import HFLM
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"a": 0, "<eos>": 1}, unk_token="a"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<eos>", pad_token="<eos>")
    asked = [
        ((str(number // 4), str(number)), one.ids[: one.first].tolist(), one.ids[one.first :].tolist())
        for number, one in enumerate(wanted)
    ]
    best, found = 0.0, list[Any]()
    for batch in (8,) if small else _BATCHES:
        harness: Any = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch, max_length=4096)
        ask = partial(harness._loglikelihood_tokens, disable_tqdm=True)
        ask(asked[:64])
        found, seconds = _timed(torch, partial(ask, asked))
        best = max(best, len(asked) / 4 / seconds)
    return [one[0] for one in found], best


def _timed(torch: Any, work: Callable[[], Any]) -> tuple[Any, float]:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    found = work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return found, time.perf_counter() - start


if __name__ == "__main__":
    main()
