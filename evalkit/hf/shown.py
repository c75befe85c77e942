"""Chats with pictures and clips, as the model's own processor and chat template write them.

The processor gets decoded pixels and samples, never a path or an address. What it does with them, such as
scaling a picture to the sizes in `preprocessor_config.json`, is its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.errors import MediaError, ProviderError, one_line
from evalkit.hf.kinds import template_of
from evalkit.hf.text import Texts
from evalkit.hf.tree import Ids
from evalkit.media import audio, image
from evalkit.samples import JSON, Audio, Image, Message, Prompt

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PROBE = "whether the parts are written"
_MARKS = {"image": ("image_token", "boi_token"), "audio": ("audio_token", "boa_token")}
"""Where a processor says which text stands for a picture or a clip: the first of them that there is."""
_SHOWN = 300


class ProcessorTexts(Texts):
    """The texts of a model with `processor`, which also reads pictures and clips in chats.

    Chats are written as transformers' `processor.apply_chat_template` does: the messages are lists of parts,
    and the tokenizer adds its BOS if the template does not begin with it. A message without media is a plain
    text where the template only knows those. A template that knows no media gets the processor's mark in the
    place of each.
    """

    def __init__(self, processor: Any, template: str = "", bos: str = "auto", **given: Any) -> None:
        """`given`: as for `Texts`."""
        super().__init__(processor.tokenizer, template or template_of(processor), bos, **given)
        self._processor = self._writer = processor
        self._marks = {
            kind: next((mark for name in names if (mark := getattr(processor, name, None))), "")
            for kind, names in _MARKS.items()
        }
        self._in_parts: dict[str, bool] = {}
        added = getattr(processor.tokenizer, "added_tokens_decoder", {})
        self.special = frozenset((*processor.tokenizer.all_special_ids, *added))

    def read(self, prompt: Prompt) -> tuple[Ids, dict[str, Any]]:
        """(ids of a prompt, what the model reads beside them, such as pixels). Raises `ProviderError`.

        The ids include the tokens that stand for pictures and clips.
        """
        if isinstance(prompt, tuple) and _media(prompt):
            return self._shown(prompt)
        return super().read(prompt)

    def _shown(self, chat: Sequence[Message]) -> tuple[Ids, dict[str, Any]]:
        text = self._written(chat)
        self._check_shown(chat, text)
        try:
            pictures = [image.rgb(one.data) for one in _media(chat) if isinstance(one, Image)]
            clips = [audio.samples(one.data) for one in _media(chat) if isinstance(one, Audio)]
        except MediaError as error:
            raise ProviderError(str(error)) from None
        given: dict[str, Any] = {}
        if pictures:
            given["images"] = [pictures]
        if clips:
            rate = rate_of(self._processor)
            given |= {"audio": [resampled(one, rate) for one in clips], "sampling_rate": rate}
        found = self._processed(text, given)
        ids = found.pop("input_ids")[0].numpy().astype(np.int64)
        found.pop("attention_mask", None)  # one prompt alone is not padded
        return ids, found

    def _chat_ids(self, written: str) -> Ids:
        ids: Ids = self._processed(written, {})["input_ids"][0].numpy().astype(np.int64)
        return ids

    def _processed(self, text: str, given: dict[str, Any]) -> dict[str, Any]:
        """What the processor makes of a chat, with its own defaults, as after its `apply_chat_template`."""
        bos = self._tokenizer.bos_token
        if bos is not None and text.startswith(bos):
            given["add_special_tokens"] = False
        try:
            return dict(self._processor(text=[text], return_tensors="pt", **given))
        except Exception as error:  # noqa: BLE001 — processors raise what they like
            raise ProviderError(f"the model's processor refuses it ({one_line(error, _SHOWN)})") from None

    def _content(self, message: Message) -> JSON:
        if self._reads_parts(message.role):
            return [
                {"type": "text", "text": part} if isinstance(part, str) else {"type": part.kind}
                for part in message.parts
            ]
        return "".join(part if isinstance(part, str) else self._mark(part.kind) for part in message.parts)

    def _mark(self, kind: str) -> str:
        if not self._marks.get(kind):
            raise ProviderError(
                f"the model's chat template has no place for a message with {kind}: give it one that has "
                "(?template=FILE)",
                fatal=True,
            )
        return self._marks[kind]

    def _reads_parts(self, role: str) -> bool:
        """Whether the template writes the parts of a message of `role`: some know only texts, for some roles.

        Of a message in parts, such a template raises an error, or writes the list as Python does.
        """
        if role not in self._in_parts:
            parts: JSON = [{"type": "text", "text": _PROBE}]
            before: list[dict[str, JSON]] = []
            if role == "assistant":
                before = [{"role": "user", "content": parts if self._reads_parts("user") else "?"}]
            after: list[dict[str, JSON]] = []
            if role != "user":
                after = [{"role": "user", "content": parts if self._reads_parts("user") else "?"}]
            try:
                written = self._rendered([*before, {"role": role, "content": parts}, *after], False)
            except Exception:  # noqa: BLE001 — templates raise what they like
                written = ""
            times = 1 + sum(one["content"] == parts for one in (*before, *after))
            plain = "'text'" not in written and '"text"' not in written
            self._in_parts[role] = plain and written.count(_PROBE) == times
        return self._in_parts[role]

    def _check_shown(self, chat: Sequence[Message], text: str) -> None:
        """Raises `ProviderError` if the template leaves out a picture or a clip, or a text stands for one."""
        for kind in {one.kind for one in _media(chat)}:
            mark = self._marks.get(kind, "")
            if mark and any(mark in message.text for message in chat):
                raise ProviderError(f"the prompt has the text {mark!r}, which the model reads as {kind}")
        for without in _without_each(chat):
            if self._is_written(without, text):
                raise ProviderError(
                    "the model's chat template leaves out a picture or a clip: give it one that has a place "
                    "for them (?template=FILE)",
                    fatal=True,
                )

    def _is_written(self, chat: Sequence[Message], text: str) -> bool:
        try:
            return self._written(chat) == text
        except ProviderError:  # a template may refuse a message that has nothing but its picture
            return False


def rate_of(processor: Any) -> int:
    """How many samples a second its clips have."""
    part = getattr(processor, "feature_extractor", None) or getattr(processor, "audio_processor", None)
    return int(getattr(part, "sampling_rate", 0) or audio.RATE)


def resampled(samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """The samples of a clip, which evalkit prepares with 16,000 a second, with `rate` a second."""
    if rate == audio.RATE:
        return samples
    import soxr

    found: NDArray[np.float32] = soxr.resample(samples, audio.RATE, rate, quality="HQ")
    return found


def _media(chat: Sequence[Message]) -> list[Any]:
    return [part for message in chat for part in message.parts if not isinstance(part, str)]


def _without_each(chat: Sequence[Message]) -> Iterator[list[Message]]:
    """Yields the chat without its first picture or clip, without its second, and so on."""
    for at, message in enumerate(chat):
        for place, part in enumerate(message.parts):
            if not isinstance(part, str):
                left = (*message.parts[:place], *message.parts[place + 1 :])
                yield [*chat[:at], replace(message, content=left or ""), *chat[at + 1 :]]
