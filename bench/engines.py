"""`vllm/` or `sglang/` beside `hf/` on a small model by chance: `python -m bench.engines vllm`.

It prints how many of the greedy texts are equal, and how far likelihoods and log-probabilities are apart in
nats. In 32 bits all texts are equal. vLLM's build for the CPU does it on any machine, in a few minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

from evalkit.models import open_model
from evalkit.models.base import Request, Response
from evalkit.samples import Message
from tests.tiny_llama import written

_PROMPTS = (
    "Ann has 12 apples and finds 36 more. How many?",
    "Ann has 12 apples and finds",
    "Zoë has 7 pears 🍐 and",
    "x",
)
_CHAT = (Message("system", "Be brief."), Message("user", "How many?"))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.engines")
    parser.add_argument("backend", choices=("vllm", "sglang"))
    parser.add_argument("--model", help="a folder with a model, in place of the small one")
    parser.add_argument("--dtype", default="float32")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        # vLLM's kernels for the CPU need heads of 32 numbers
        folder = given.model or written(Path(scratch) / "tiny", heads=1)
        typed = f"{folder}?dtype={given.dtype}"
        mine = asyncio.run(_answers(f"{given.backend}/{typed}", _requests()))
        theirs = asyncio.run(_answers(f"hf/{typed}", _requests()))
    same = sum(one.text == other.text for one, other in zip(mine, theirs, strict=True))
    apart = max(map(_apart, mine, theirs))
    print(f"{given.backend}: {same} of {len(mine)} texts are those of hf/; at most {apart:.2g} nats apart")


def _requests() -> list[Request]:
    return [
        *(Request(prompt, 12) for prompt in _PROMPTS),
        *(Request(prompt, 0, continuations=(" 36 more", " apples", "?")) for prompt in _PROMPTS),
        *(Request(prompt, 1, logprobs=3, echo=True) for prompt in _PROMPTS),
        *(Request(prompt, count, logprobs=2) for prompt in _PROMPTS for count in (1, 6)),
        Request(_CHAT, 8),
        Request((*_CHAT, Message("assistant", "Ann has")), 8),
    ]


async def _answers(typed: str, requests: Sequence[Request]) -> list[Response]:
    model = open_model(typed)
    try:
        return await asyncio.gather(*map(model.generate, requests))
    finally:
        await model.aclose()


def _apart(one: Response, other: Response) -> float:
    """The largest difference of a log-probability, of tokens that both have."""
    pairs = [
        *((a.logprob, b.logprob) for a, b in zip(one.likelihoods, other.likelihoods, strict=True)),
        *(
            (a.logprob, b.logprob)
            for a, b in zip(
                one.prompt_logprobs + one.logprobs, other.prompt_logprobs + other.logprobs, strict=False
            )
            if a.token == b.token and not math.isnan(a.logprob)
        ),
    ]
    return max((abs(a - b) for a, b in pairs), default=0.0)


if __name__ == "__main__":
    main()
