"""Recognisers of speech without a chat, such as Whisper: a clip becomes its transcript.

Whisper reads 30 seconds at once. transformers' own long form transcribes longer clips: one window after the
other, each beginning where the last timestamp of the one before ended (Radford et al. 2022, section 4.5),
without the temperatures that OpenAI's program falls back to. Any other recogniser reads a clip whole.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from evalkit.errors import MediaError, ProviderError, one_line
from evalkit.hf.rows import Choice, Row
from evalkit.hf.shown import rate_of, resampled
from evalkit.media import audio
from evalkit.models.base import Request, Response
from evalkit.samples import Speech

if TYPE_CHECKING:
    from numpy.typing import NDArray

_Clip: TypeAlias = "tuple[int, Request, NDArray[np.float32]]"
_Answers: TypeAlias = Iterator[tuple[int, Response | ProviderError]]
_SHOWN = 300
_NO_IDS = np.zeros(0, dtype=np.int64)


class Recogniser:
    """A model with `processor`. `rows`: how many clips are transcribed at once. One thread calls it."""

    def __init__(self, model: Any, processor: Any, rows: int) -> None:
        self._model, self._processor, self._rows = model, processor, rows
        self._rate = rate_of(processor)
        self._is_whisper = model.config.model_type == "whisper"
        config = model.config.get_text_config(decoder=True)
        positions = getattr(config, "max_target_positions", None) or getattr(
            config, "max_position_embeddings", None
        )
        self._positions = int(positions or 0)
        ends = model.generation_config.eos_token_id
        self._ends = frozenset([ends] if isinstance(ends, int) else ends or ())

    def transcribe(self, requests: Mapping[int, Request]) -> _Answers:
        """Yields (number, response or error) of all requests."""
        batches: dict[object, list[_Clip]] = {}
        for number, request in requests.items():
            try:
                clip = self._clip(number, request)
            except ProviderError as error:
                yield number, error
                continue
            key = self._together(clip)
            batches.setdefault(key, []).append(clip)
            if len(batches[key]) >= self._rows:
                yield from self._answered(batches.pop(key))
        for batch in batches.values():
            yield from self._answered(batch)

    def _clip(self, number: int, request: Request) -> _Clip:
        """Raises `ProviderError` for what this model cannot be asked."""
        speech = request.prompt
        if not isinstance(speech, Speech):
            raise ProviderError("this model only transcribes clips", fatal=True)
        if request.extra:
            raise ProviderError(f"hf/ does not heed {', '.join(sorted(request.extra))}", fatal=True)
        languages = getattr(self._model.generation_config, "lang_to_id", None)
        if speech.translate and not (self._is_whisper and languages):
            raise ProviderError("this model transcribes, and does not translate", fatal=True)
        if self._is_whisper and not languages and speech.language not in ("", "en"):
            raise ProviderError(f"this model reads English only, not {speech.language!r}", fatal=True)
        try:
            return number, request, resampled(audio.samples(speech.audio.data), self._rate)
        except MediaError as error:
            raise ProviderError(str(error)) from None

    def _together(self, clip: _Clip) -> object:
        """What the clips of one batch have in common. Only clips that fill one window are put together."""
        number, request, samples = clip
        assert isinstance(request.prompt, Speech)
        if not self._is_whisper or self._is_long(samples):
            return number
        return request.prompt.language, request.prompt.translate, request.max_tokens

    def _is_long(self, samples: NDArray[np.float32]) -> bool:
        return self._is_whisper and len(samples) > int(self._processor.feature_extractor.n_samples)

    def _answered(self, batch: Sequence[_Clip]) -> _Answers:
        """The answers of clips at once; of fewer, if memory runs out or one of them makes it fail."""
        failed = ProviderError("the GPU's memory is too small for a clip")
        size = 1
        try:
            found = self._whisper(batch) if self._is_whisper else self._other(batch[0])
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            size = max(1, len(batch) // 2)
            self._rows = min(self._rows, size)
        except Exception as error:  # noqa: BLE001 — the models of transformers raise what they like
            failed = ProviderError(f"the model cannot read it ({one_line(error, _SHOWN)})")
        else:
            yield from zip((number for number, _, _ in batch), found, strict=True)
            return
        if len(batch) == 1:
            yield batch[0][0], failed
            return
        for start in range(0, len(batch), size):
            yield from self._answered(batch[start : start + size])

    def _whisper(self, batch: Sequence[_Clip]) -> list[Response]:
        request = batch[0][1]
        assert isinstance(request.prompt, Speech)
        is_long = self._is_long(batch[0][2])
        given: dict[str, Any] = {"truncation": False, "padding": "longest"} if is_long else {}
        inputs = self._processor.feature_extractor(
            [samples for _, _, samples in batch],
            sampling_rate=self._rate, return_tensors="pt", return_attention_mask=True, **given,
        )  # fmt: skip
        asked: dict[str, Any] = {"return_timestamps": True} if is_long else {}
        if getattr(self._model.generation_config, "lang_to_id", None):
            asked["task"] = "translate" if request.prompt.translate else "transcribe"
            asked["language"] = request.prompt.language or None
        chooser = _Chooser([request for _, request, _ in batch], self._ends, self._model.device)
        # before the transcript: start; language and task; no timestamps
        first = 1 + (2 if "task" in asked else 0) + (not is_long)
        found = self._generated(inputs, request, self._positions - first, chooser, asked)
        return [
            Response(self._text(tokens), "stop" if ended else "length")
            for tokens, ended in zip(found.tolist(), chooser.ended, strict=True)
        ]

    def _other(self, clip: _Clip) -> list[Response]:
        _, request, samples = clip
        assert isinstance(request.prompt, Speech)
        given: dict[str, Any] = {}
        if request.prompt.language and _takes_language(self._processor):
            given["language"] = request.prompt.language
        inputs = self._processor(audio=samples, sampling_rate=self._rate, return_tensors="pt", **given)
        read = inputs["input_ids"].shape[1] if "input_ids" in inputs else 0
        chooser = _Chooser([request], self._ends, self._model.device)
        found = self._generated(inputs, request, self._positions - 1 - read, chooser, {})
        if not self._model.config.is_encoder_decoder:
            found = found[:, read:]
        return [Response(self._text(found[0].tolist()), "stop" if chooser.ended[0] else "length")]

    def _generated(
        self, inputs: Mapping[str, Any], request: Request, room: int, chooser: _Chooser, asked: dict[str, Any]
    ) -> Tensor:
        """The tokens of the transcripts. `room`: the most that fit into the model's context, if known."""
        from transformers import LogitsProcessorList

        on = {name: self._on(value) for name, value in inputs.items()}
        most = min(request.max_tokens, room) if room > 0 else request.max_tokens
        with torch.inference_mode():
            found: Tensor = self._model.generate(
                **on, **asked, max_new_tokens=most, do_sample=False, num_beams=1,
                logits_processor=LogitsProcessorList([chooser]),
            )  # fmt: skip
        return found

    def _on(self, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        moved = value.to(self._model.device)
        return moved.to(self._model.dtype) if moved.is_floating_point() else moved

    def _text(self, tokens: Sequence[int]) -> str:
        text: str = self._processor.tokenizer.decode(tokens, skip_special_tokens=True)
        return text.strip()


class _Chooser:
    """A logits processor. It is called once for each token of the transcripts, window by window."""

    def __init__(self, requests: Sequence[Request], ends: frozenset[int], device: torch.device) -> None:
        self._choices = [
            Choice(Row(_NO_IDS, one.max_tokens, one.temperature, one.top_p, seed=one.seed), device)
            for one in requests
        ]
        self._ends, self._length = ends, 0
        self._window = self._cut = np.zeros(len(requests), dtype=bool)

    @property
    def ended(self) -> list[bool]:
        """By clip, whether all of its windows have ended by themselves."""
        found: list[bool] = (self._window & ~self._cut).tolist()
        return found

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        if len(scores) != len(self._choices):
            raise ValueError("some clips have more windows than others")  # each is transcribed alone
        if input_ids.shape[1] <= self._length:  # another window
            self._cut = self._cut | ~self._window
            self._window = np.zeros_like(self._window)
        self._length = input_ids.shape[1]
        warped = Choice.warped(self._choices, scores.float())
        self._window = self._window | np.isin(warped.argmax(-1).tolist(), list(self._ends))
        return warped


def _takes_language(processor: Any) -> bool:
    return "language" in inspect.signature(type(processor).__call__).parameters
