"""What the stand-ins share: a model of transformers in 32 bits, and one token of each text at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch


@dataclass(eq=False)
class Text:
    """A text that is being generated. `reason`: why it ended, as (kind, the token or text that ended it)."""

    name: str
    ids: list[int]
    most: int
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition: float = 1.0
    seed: int | None = None
    stop: Sequence[str] = ()
    ends: Sequence[int] = ()
    tokens: list[int] = field(default_factory=list)
    known: list[Any] = field(default_factory=list)
    """Of each generated token: the natural-log probabilities of the whole vocabulary."""
    prompt: Any = None
    """(tokens of the prompt, vocabulary): those after each token of the prompt."""
    reason: tuple[str, int | str | None] | None = None
    error: Exception | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    random: Any = None


class Computer:
    """Generates texts together: each step of its loop adds a token to all that are there."""

    def __init__(self, path: str, dtype: str) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        if not (Path(path) / "config.json").is_file():
            raise ValueError(f"{path} is no model")
        self.tokenizer: Any = AutoTokenizer.from_pretrained(path)
        self.model: Any = AutoModelForCausalLM.from_pretrained(path, dtype=dtype).eval()
        self.context = int(self.model.config.max_position_embeddings)
        self.running: list[Text] = []
        self.together: list[set[str]] = []
        """The names of the texts of each step."""
        self.fails: Callable[[Text], Exception | None] = lambda text: None
        """The error of a text, if it is one that the engine cannot compute."""
        self.dead: Exception | None = None
        self._loop: asyncio.Task[None] | None = None

    async def run(self, text: Text) -> Text:
        """Generates `text` beside those that are generated already."""
        if self.dead is not None:
            raise self.dead
        self.running.append(text)
        if self._loop is None or self._loop.done():
            self._loop = asyncio.get_running_loop().create_task(self._work())
        try:
            await text.ended.wait()
        finally:
            if text in self.running:
                self.running.remove(text)
        if text.error is not None:
            raise text.error
        return text

    def die(self, error: Exception) -> None:
        """Ends the engine: every text fails with `error`."""
        self.dead = error
        for text in self.running:
            text.error = error
            text.ended.set()

    async def _work(self) -> None:
        while self.running:
            self.together.append({text.name for text in self.running})
            for text in list(self.running):
                try:
                    if (error := self.fails(text)) is not None:
                        raise error
                    self._step(text)
                except Exception as error:
                    text.error = error
                if text.reason is not None or text.error is not None:
                    self.running.remove(text)
                    text.ended.set()
            await asyncio.sleep(0)

    def _step(self, text: Text) -> None:
        with torch.inference_mode():
            logits = self.model(torch.tensor([text.ids + text.tokens])).logits[0].float()
        if text.prompt is None:
            text.prompt = logits.log_softmax(-1)
        text.known.append(logits[-1].log_softmax(-1))
        token = self._chosen(text, logits[-1])
        text.tokens.append(token)
        if token in text.ends:
            text.reason = "stop", token
        elif found := next((stop for stop in text.stop if stop in self.text(text.tokens)), None):
            text.reason = "stop", found
        elif len(text.tokens) >= text.most or len(text.ids) + len(text.tokens) >= self.context:
            text.reason = "length", None

    def _chosen(self, text: Text, logits: Any) -> int:
        if text.repetition != 1.0:
            seen = sorted({*text.ids, *text.tokens})
            before = logits[seen]
            logits = logits.clone()
            logits[seen] = torch.where(before > 0, before / text.repetition, before * text.repetition)
        if not text.temperature:
            return int(logits.argmax())
        if text.random is None:
            text.random = torch.Generator()
            if text.seed is None:
                text.random.seed()
            else:
                text.random.manual_seed(text.seed)
        shares = (logits / text.temperature).softmax(-1)
        values, order = shares.sort(descending=True)
        kept = (values.cumsum(-1) - values < text.top_p) & (values >= text.min_p * values[0])
        if text.top_k > 0:
            kept[text.top_k :] = False
        return int(order[torch.multinomial(values * kept, 1, generator=text.random)])

    def text(self, tokens: Sequence[int]) -> str:
        written: str = self.tokenizer.decode(list(tokens), skip_special_tokens=True)
        return written


def likeliest(known: Any, count: int) -> Mapping[int, float]:
    """The `count` likeliest tokens with their log-probabilities, the likeliest first."""
    values, names = known.topk(count) if count else (torch.empty(0), torch.empty(0))
    return dict(zip((int(one) for one in names), values.tolist(), strict=True))
