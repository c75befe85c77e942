"""A model class of lm-eval for tests: it notes what it is asked, and answers with a text's first letters."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from lm_eval.api.model import LM
from lm_eval.api.registry import register_model
from tqdm import tqdm  # type: ignore[import-untyped]

NAME = "noted"


@register_model(NAME)
class Noted(LM):  # type: ignore[misc]
    """Fails for a text with `poison` in it, and for more than `most` requests, as with too little memory."""

    tokenizer: Any = None

    def __init__(
        self,
        pretrained: str,
        batch_size: int = 1,
        most: int = 10**6,
        template: bool = True,
        poison: str = "poison",
    ) -> None:
        super().__init__()
        print("a line on standard output")
        if pretrained == "broken":
            raise OSError("no such\nmodel")
        self.batch_size, self.most, self.poison = batch_size, most, poison
        self.tokenizer = type("Tokenizer", (), {"chat_template": "x" if template else None})()
        self.calls: list[tuple[str, list[Any]]] = []
        self.threads: set[str] = set()

    def _noted(self, kind: str, requests: Sequence[Any]) -> list[Any]:
        print("another line")
        self.threads.add(threading.current_thread().name)
        arguments = [one.args for one in tqdm(requests)]
        self.calls.append((kind, arguments))
        assert all(one.request_type == kind for one in requests)
        if len(requests) > self.most:
            raise MemoryError("too many")
        if any(self.poison in str(one[0]) for one in arguments):
            raise RuntimeError("cannot digest this")
        return arguments

    def generate_until(self, requests: Sequence[Any]) -> list[Any]:
        for context, settings, *_ in (found := self._noted("generate_until", requests)):
            settings["until"].append("<eos>")  # as lm-eval's handle_stop_sequences does
            if "[none]" in context:
                return [None] * len(found)
            if "[few]" in context:
                return []
        return [one[0][:3] for one in found]

    def loglikelihood(self, requests: Sequence[Any]) -> list[Any]:
        found = self._noted("loglikelihood", requests)
        return [(float("nan") if "[nan]" in c else -len(c) - len(t) / 100, len(t) > 2) for c, t in found]

    def loglikelihood_rolling(self, requests: Sequence[Any]) -> list[float]:
        return [-float(len(text)) for (text,) in self._noted("loglikelihood_rolling", requests)]

    def apply_chat_template(self, chat_history: Any, add_generation_prompt: bool = True) -> str:
        text = "".join(f"<{one['role'][0]}>{one['content']}" for one in chat_history)
        return text + "<a>" * add_generation_prompt

    @property
    def tokenizer_name(self) -> str:
        return NAME

    def tok_encode(self, string: str, add_special_tokens: bool = True) -> list[str]:
        return [*string, *(["<bos>"] if add_special_tokens else [])]


@register_model("noted-texts")
class NotedTexts(Noted):
    """Takes texts to continue, and no likelihoods or chats."""

    def __init__(self, **given: Any) -> None:
        super().__init__("any", template=False, **given)

    def loglikelihood(self, requests: Sequence[Any]) -> list[Any]:
        raise NotImplementedError("no logits")


@register_model("noted-open")
class NotedOpen(Noted):
    """Takes any argument."""

    def __init__(self, pretrained: str, **given: Any) -> None:
        super().__init__(pretrained)


@register_model("TemplateAPI")
class TemplateAPI(NotedOpen):
    """Has the name of lm-eval's class that sends requests to an endpoint."""


@register_model("noted-pictures")
class NotedPictures(Noted):
    """Is shown pictures."""

    MULTIMODAL = True
    max_images = 2
