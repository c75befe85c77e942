"""A completion endpoint whose log-probabilities follow a known law of the position, in vLLM's form.

    with OpenAIServer(Law(alpha=4, beta=-0.3, gamma=1.5).answer) as server: ...

The token at position i of a prompt (from 1, without a BOS) has minus the log-probability α·i^β + γ, times a
surprise with mean 1 that depends on the text before it alone. So a token has the same log-probability whether
it is generated or echoed, and the sums of any text can be computed beside the server.
"""

from __future__ import annotations

import math
import random
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from tests.openai_wire import Payload

WORDS, PIECES = r"\s*\S+|\s+$", r"[\s\S]{1,3}"
"""Two tokenisers: words with the blanks before them, and pieces of three characters."""
NEXT = " so"


@dataclass(frozen=True)
class Law:
    """`shape`: of the surprises, which are gamma distributed; 0 for none. `bos`: whether a token is added."""

    alpha: float
    beta: float
    gamma: float
    shape: float = 0.0
    tokens: str = WORDS
    bos: bool = False

    def nats(self, text: str) -> Iterator[tuple[str, float]]:
        """Each token of `text` with minus its log-probability."""
        seen = 0
        for position, match in enumerate(re.finditer(self.tokens, text), 1):
            yield match[0], self._nats(position, seen)
            seen = zlib.crc32(match[0].encode(), seen)

    def _nats(self, position: int, seen: int) -> float:
        mean = self.alpha * math.pow(position, self.beta) + self.gamma
        return mean * random.Random(seen).gammavariate(self.shape, 1 / self.shape) if self.shape else mean

    def answer(self, payload: Payload, route: str) -> Payload:
        """What vLLM answers to a completion request that wants log-probabilities."""
        assert payload["logprobs"] == 1
        assert payload["max_tokens"] == 1
        prompt = payload["prompt"]
        before = list(self.nats(prompt)) if payload.get("echo") else []
        said = list(self.nats(prompt + NEXT))[-1]
        listed: list[tuple[str, float | None]] = [*before, (NEXT, said[1])]
        if self.bos:
            listed = [("<s>", None), *listed] if before else listed
        elif before:
            listed[0] = (listed[0][0], None)
        values = [None if nats is None else -nats for _, nats in listed]
        choice: Payload = {
            "index": 0,
            "text": (prompt if before else "") + NEXT,
            "finish_reason": "length",
            "logprobs": {
                "tokens": [token for token, _ in listed],
                "token_logprobs": values,
                "top_logprobs": [
                    None if value is None else {token: value}
                    for (token, _), value in zip(listed, values, strict=True)
                ],
                "text_offset": [0] * len(listed),
            },
        }
        usage = {"prompt_tokens": len(before), "completion_tokens": 1, "total_tokens": len(before) + 1}
        return {"id": "cmpl-0", "object": "text_completion", "choices": [choice], "usage": usage}


def text(seed: int, words: int) -> str:
    """A text of made-up words in several scripts."""
    rng = random.Random(seed)
    letters = "abcdefghijklmnoprstuvwz" * 3 + "éüßжд語"
    made = ("".join(rng.choices(letters, k=rng.randint(1, 9))) for _ in range(words))
    return " ".join(made)


def bits(nats: float) -> float:
    return nats / math.log(2)
