"""Loads a model of transformers, and runs it within the memory that there is."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig

from evalkit.errors import ProviderError, one_line
from evalkit.hf.attention import UnsupportedAttention
from evalkit.hf.flow import Flow
from evalkit.hf.kinds import Kind, quiet, said
from evalkit.hf.media_rows import batches
from evalkit.hf.options import Options
from evalkit.hf.padded import generate
from evalkit.hf.passes import TOLERANCE, Found, Passes, Wanted
from evalkit.hf.rows import Row, Written
from evalkit.hf.shown import ProcessorTexts
from evalkit.hf.slots import Slots
from evalkit.hf.speech import Recogniser
from evalkit.hf.splitting import split_as_the_file_says
from evalkit.hf.text import Texts, numbers

_LEAST_TOKENS = 512
_CACHE = 0.6
"""The share of the GPU's free memory for the keys and values of texts that are generated."""
_SHOWN = 300


class Loaded:
    """A model with what writes its prompts. All calls come from one thread."""

    def __init__(self, model: Any, texts: Texts, options: Options) -> None:
        self._model, self.texts = model, texts
        # otherwise the model's own temperature or penalty would fill what a request leaves open
        model.generation_config = GenerationConfig()
        self.gpus = sorted({one.device.index or 0 for one in model.parameters() if one.device.type == "cuda"})
        self._most = options.tokens
        self._rows = options.rows
        self._passes, why = _passes(model, texts, options)
        if why:
            _say(f"hf/: what prompts begin with is computed for each of them, because {why}")

    @property
    def scores(self) -> bool:
        """Whether it computes the log-probabilities of tokens that are there."""
        return self._passes is not None

    def compute(self, wanted: Sequence[Wanted]) -> list[Found]:
        """What is wanted, with fewer tokens at once if memory runs out. Raises `ProviderError`."""
        if self._passes is None:
            raise ProviderError("this model computes no likelihoods: it only generates", fatal=True)
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
        left, passes = dict(rows), self._passes
        while left:
            shared = passes is not None and passes.shared
            try:
                for number, written in self._flow(left) if shared else self._padded(left):
                    del left[number]
                    yield number, written
            except UnsupportedAttention:  # a text that is longer than the window of a layer
                assert passes is not None
                passes.shared = False
            except torch.OutOfMemoryError:
                torch.cuda.empty_cache()
                if self._rows == 1:
                    raise ProviderError("the GPU's memory is too small for a prompt and its answer") from None
                self._rows = max(1, min(self._rows, len(left)) // 2)
                _say(f"hf/: out of memory: {self._rows} answers at once")

    def generate_shown(
        self, rows: Iterable[tuple[int, Row]]
    ) -> Iterator[tuple[int, Row, Written | ProviderError]]:
        """Yields (number, row, what was written or why nothing was) of rows with pictures or clips."""
        for batch in batches(rows, lambda: self._rows, self._most):
            yield from self._written(batch)

    def _written(
        self, batch: Sequence[tuple[int, Row]]
    ) -> Iterator[tuple[int, Row, Written | ProviderError]]:
        """The same of one batch; of its rows alone if it fails, so that only the one fails that must."""
        failed = ProviderError("the GPU's memory is too small for a prompt and its answer")
        size = 1
        try:
            found = generate(self._model, [row for _, row in batch], self.texts.ends, self.texts.text)
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            size = max(1, len(batch) // 2)
            if len(batch) > 1:
                self._rows = min(self._rows, size)
                _say(f"hf/: out of memory: {size} prompts with pictures or clips at once")
        except Exception as error:  # noqa: BLE001 — the models of transformers raise what they like
            failed = ProviderError(f"the model cannot read it ({one_line(error, _SHOWN)})")
        else:
            yield from ((number, row, one) for (number, row), one in zip(batch, found, strict=True))
            return
        if len(batch) == 1:
            yield (*batch[0], failed)
            return
        for start in range(0, len(batch), size):
            yield from self._written(batch[start : start + size])

    def _flow(self, rows: Mapping[int, Row]) -> Iterator[tuple[int, Written]]:
        length = max(len(row.ids) + row.most for row in rows.values())
        count = min(self._rows, len(rows))
        if self._model.device.type == "cuda":
            count = min(count, Slots.affordable(self._model, length, _CACHE))
        slots = Slots(count, length)
        assert self._passes is not None
        flow = Flow(self._model, self._passes.head, rows, slots, self._most, self.texts.ends, self.texts.text)
        yield from flow.run()

    def _padded(self, rows: Mapping[int, Row]) -> Iterator[tuple[int, Written]]:
        """Those with the most to write first."""
        order = sorted(rows, key=lambda number: (rows[number].most, len(rows[number].ids)), reverse=True)
        for start in range(0, len(order), self._rows):
            numbers = order[start : start + self._rows]
            found = generate(self._model, [rows[n] for n in numbers], self.texts.ends, self.texts.text)
            yield from zip(numbers, found, strict=True)


def _passes(model: Any, texts: Texts, options: Options) -> tuple[Passes | None, str]:
    """How likelihoods are computed, and why nothing is shared; None for a model that only generates.

    The models that also read pictures or clips are built in many ways, so that it is tried out.
    """
    try:
        passes = Passes(model, options.tokens, texts.special)
        if isinstance(texts, ProcessorTexts):
            precision = str(model.dtype).removeprefix("torch.")
            if (worst := passes.differs()) > TOLERANCE.get(precision, 0.0):
                return None, f"the model in two steps is {worst:.2g} off the whole one"
        if options.compile:
            passes.compile()
        return passes, passes.check()
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        if not isinstance(texts, ProcessorTexts):
            raise
        return None, f"it is not computed in two steps ({one_line(error, 100)})"


def load(options: Options, kind: Kind) -> Loaded | Recogniser:
    """Loads the model and checks how it can be computed. Raises `ProviderError` (fatal)."""
    import transformers

    quiet()
    files: dict[str, Any] = {"gguf_file": options.path.name} if options.is_gguf else {}
    files |= {"trust_remote_code": options.trust_remote_code, "local_files_only": True}
    given: dict[str, Any] = {"dtype": options.dtype, "attn_implementation": options.attention}
    if options.bits:
        given["quantization_config"] = transformers.BitsAndBytesConfig(**{f"load_in_{options.bits}bit": True})
    given["device_map"] = _device(options.device)
    template = Path(options.template).read_text("utf-8") if options.template else ""
    read: dict[str, Any] = {"template": template, "bos": options.bos}
    try:
        model = getattr(transformers, kind.loads).from_pretrained(options.folder, **files, **given)
        if options.adapter:
            from peft import PeftModel  # type: ignore[import-not-found, unused-ignore]

            model = PeftModel.from_pretrained(model, options.adapter).merge_and_unload()
        model.eval()
        if kind.transcribes:
            return Recogniser(model, kind.processor, options.rows)
        read["context"] = int(getattr(model.config.get_text_config(), "max_position_embeddings", 0) or 0)
        read["ends"] = numbers(getattr(model.generation_config, "eos_token_id", None))
        if kind.processor is not None:
            texts: Texts = ProcessorTexts(kind.processor, **read)
        else:
            tokenizer = transformers.AutoTokenizer.from_pretrained(options.folder, **files)
            if options.is_gguf and (note := split_as_the_file_says(tokenizer, options.path)):
                _say(note)
            texts = Texts(tokenizer, **read)
    except Exception as error:  # noqa: BLE001 — transformers raises whatever a file makes it raise
        raise ProviderError(f"hf/{options.path.name} cannot be loaded: {said(error)}", fatal=True) from None
    return Loaded(model, texts, options)


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201


def _device(named: str) -> str:
    if named == "spread":
        return "auto"
    if named == "auto":
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    return named
