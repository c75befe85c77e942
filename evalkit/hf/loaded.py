"""Loads a model of transformers, and runs it within the memory that there is."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig

from evalkit.errors import ProviderError, one_line
from evalkit.hf.attention import UnsupportedAttention
from evalkit.hf.flow import Flow
from evalkit.hf.options import Options
from evalkit.hf.padded import generate
from evalkit.hf.passes import Found, Passes, Wanted
from evalkit.hf.rows import Row, Written
from evalkit.hf.slots import Slots
from evalkit.hf.text import Texts, numbers

_LEAST_TOKENS = 512
_CACHE = 0.6
"""The share of the GPU's free memory for the keys and values of texts that are generated."""
_SHOWN = 300


class Loaded:
    """A model with its tokenizer. All calls come from one thread."""

    def __init__(self, model: Any, tokenizer: Any, options: Options) -> None:
        self._model = model
        template = Path(options.template).read_text("utf-8") if options.template else ""
        self.texts = Texts(
            tokenizer,
            template,
            options.bos,
            context=int(getattr(model.config.get_text_config(), "max_position_embeddings", 0) or 0),
            ends=numbers(getattr(model.generation_config, "eos_token_id", None)),
        )
        # otherwise the model's own temperature or penalty would fill what a request leaves open
        model.generation_config = GenerationConfig()
        self.gpus = sorted({one.device.index or 0 for one in model.parameters() if one.device.type == "cuda"})
        self._most = options.tokens
        self._rows = options.rows
        self._passes = Passes(model, self._most)
        if options.compile:
            self._passes.compile()
        if why := self._passes.check():
            _say(f"hf/: what prompts begin with is computed for each of them, because {why}")

    def compute(self, wanted: Sequence[Wanted]) -> list[Found]:
        """What is wanted, with fewer tokens at once if memory runs out. Raises `ProviderError`."""
        while True:
            try:
                return self._passes.compute(wanted)
            except torch.OutOfMemoryError:
                torch.cuda.empty_cache()
                if self._most <= _LEAST_TOKENS:
                    raise ProviderError("the GPU's memory is too small for a prompt") from None
                self._most //= 2
                self._passes.most = self._most
                _say(f"hf/: out of memory: {self._most} tokens at once")

    def generate(self, rows: Mapping[int, Row]) -> Iterator[tuple[int, Written]]:
        """Yields (number, what was written) of all `rows`, with fewer at once if memory runs out."""
        left = dict(rows)
        while left:
            try:
                for number, written in self._flow(left) if self._passes.shared else self._padded(left):
                    del left[number]
                    yield number, written
            except UnsupportedAttention:  # a text that is longer than the window of a layer
                self._passes.shared = False
            except torch.OutOfMemoryError:
                torch.cuda.empty_cache()
                if self._rows == 1:
                    raise ProviderError("the GPU's memory is too small for a prompt and its answer") from None
                self._rows = max(1, min(self._rows, len(left)) // 2)
                _say(f"hf/: out of memory: {self._rows} answers at once")

    def _flow(self, rows: Mapping[int, Row]) -> Iterator[tuple[int, Written]]:
        length = max(len(row.ids) + row.most for row in rows.values())
        count = min(self._rows, len(rows))
        if self._model.device.type == "cuda":
            count = min(count, Slots.affordable(self._model, length, _CACHE))
        slots = Slots(count, length)
        flow = Flow(self._model, self._passes.head, rows, slots, self._most, self.texts.ends, self.texts.text)
        yield from flow.run()

    def _padded(self, rows: Mapping[int, Row]) -> Iterator[tuple[int, Written]]:
        """Those with the most to write first."""
        order = sorted(rows, key=lambda number: (rows[number].most, len(rows[number].ids)), reverse=True)
        for start in range(0, len(order), self._rows):
            numbers = order[start : start + self._rows]
            found = generate(self._model, [rows[n] for n in numbers], self.texts.ends, self.texts.text)
            yield from zip(numbers, found, strict=True)


def load(options: Options) -> Loaded:
    """Loads the model and checks how it can be computed. Raises `ProviderError` (fatal)."""
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    files: dict[str, Any] = {"gguf_file": options.path.name} if options.is_gguf else {}
    files |= {"trust_remote_code": options.trust_remote_code, "local_files_only": True}
    given: dict[str, Any] = {"dtype": options.dtype, "attn_implementation": options.attention}
    if options.bits:
        from transformers import BitsAndBytesConfig

        given["quantization_config"] = BitsAndBytesConfig(**{f"load_in_{options.bits}bit": True})
    given["device_map"] = _device(options.device)
    try:
        tokenizer = AutoTokenizer.from_pretrained(options.folder, **files)
        model = AutoModelForCausalLM.from_pretrained(options.folder, **files, **given)
        if options.adapter:
            from peft import PeftModel  # type: ignore[import-not-found, unused-ignore]

            model = PeftModel.from_pretrained(model, options.adapter).merge_and_unload()
    except Exception as error:  # noqa: BLE001 — transformers raises whatever a file makes it raise
        line = one_line(error, _SHOWN)
        raise ProviderError(f"hf/{options.path.name} cannot be loaded: {line}", fatal=True) from None
    model.eval()
    return Loaded(model, tokenizer, options)


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201


def _device(named: str) -> str:
    if named == "spread":
        return "auto"
    if named == "auto":
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    return named
