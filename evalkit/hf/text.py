"""Prompts as token ids, and ids as text, by the model's own tokenizer and chat template."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from evalkit.errors import ProviderError, one_line
from evalkit.hf.tree import Ids
from evalkit.models.templates import folded
from evalkit.samples import JSON, Message, Prompt


class Texts:
    """The tokenizer `tokenizer` of transformers, and what else decides how a prompt is read and ends.

    A chat is written by the model's template, with the mark that begins the assistant's turn, and no token is
    added to it: the template has the ones it wants. A text to continue gets the tokens that the tokenizer
    adds to a text (a BOS, for most models), once: not if the text itself begins with it. `template`: Jinja of
    a chat template that replaces the model's. `bos`: off adds no token to a text, and on adds a BOS that the
    tokenizer does not add. `context`: the most tokens of a prompt and its response, 0 if there is no limit.
    `ends`: the tokens that end a response, besides the tokenizer's EOS. `backend`: its name, for errors.
    """

    def __init__(
        self,
        tokenizer: Any,
        template: str = "",
        bos: str = "auto",
        *,
        context: int = 0,
        ends: Iterable[int] = (),
        backend: str = "hf",
    ) -> None:
        self._tokenizer, self._bos = tokenizer, bos
        self._writer = tokenizer
        """What writes a chat by the template: the tokenizer, or the processor around it."""
        self._template = template or tokenizer.chat_template
        self.special: frozenset[int] = frozenset()
        """Tokens that are no text of their own, as far as that matters: those in the place of pictures."""
        self.context, self.backend = context, backend
        self._ahead: dict[str, Ids] = {}
        """What `encode_ahead` encoded."""
        eos = tokenizer.eos_token_id
        self.ends = frozenset([*ends, *([eos] if isinstance(eos, int) else [])])

    def room(self, ids: Ids, most: int) -> int:
        """How many tokens can follow `ids`, at most `most`. Raises `ProviderError` if none can."""
        if not len(ids):
            raise ProviderError("an empty prompt, to which the tokenizer adds no token, cannot be continued")
        if self.context and len(ids) >= self.context:
            raise ProviderError(
                f"the prompt has {len(ids)} tokens, and the model's context has {self.context}",
                too_long=True,
            )
        return min(most, self.context - len(ids)) if self.context else most

    def encode_ahead(self, pairs: Iterable[tuple[str, Sequence[str]]]) -> None:
        """Encodes prompts with their continuations for the calls of `pair` that follow, until the next call.

        The tokenizers of transformers encode a list of texts on all cores, and one text on a single one,
        which takes longer than the model on a GPU.
        """
        whole = dict.fromkeys(text for one, more in pairs for text in (one, *(one + two for two in more)))
        self._ahead = {}
        for special in (True, False):
            texts = [text for text in whole if self._special(text) == special]
            if texts:
                found = self._tokenizer(texts, add_special_tokens=special, return_attention_mask=False)
                arrays = (np.array(ids, dtype=np.int64) for ids in found["input_ids"])
                self._ahead |= zip(texts, arrays, strict=True)

    def prompt(self, prompt: Prompt) -> Ids:
        """The ids of a chat or of a text to continue. Raises `ProviderError`."""
        if isinstance(prompt, str):
            return self._encoded(prompt)
        if not isinstance(prompt, tuple):
            raise ProviderError(f"{self.backend}/ takes texts and chats, not clips to transcribe", fatal=True)
        return self._chat_ids(self._written(prompt))

    def read(self, prompt: Prompt) -> tuple[Ids, dict[str, Any]]:
        """(ids of a prompt, what the model reads beside them). Raises `ProviderError`."""
        return self.prompt(prompt), {}

    def pair(self, prompt: str, continuation: str) -> tuple[Ids, int]:
        """(ids of both together, how many of them are the prompt's).

        Raises `ProviderError` if a token spans the end of the prompt and the beginning of its continuation,
        which then has no probability of its own.
        """
        before, whole = self._encoded(prompt), self._encoded(prompt + continuation)
        if len(whole) <= len(before) or (whole[: len(before)] != before).any():
            raise ProviderError(
                f"a token spans the end of the prompt and the beginning of its continuation "
                f"{continuation[:20]!r}, so the continuation has no probability of its own"
            )
        if not len(before):
            raise ProviderError("a continuation of nothing has no probability: the model adds no BOS token")
        return whole, len(before)

    def pieces(self, text: str) -> tuple[Ids, list[str]]:
        """(ids of a text to continue, the text of each). The texts are the whole text when joined.

        Where a token is only a part of a character, the last of its tokens has it. A token that the tokenizer
        adds has no text. Raises `ProviderError` if the tokenizer does not say where its tokens are.
        """
        if not self._tokenizer.is_fast:
            raise ProviderError("this tokenizer does not say where its tokens are in the text", fatal=True)
        special = self._special(text)
        found = self._tokenizer(text, add_special_tokens=special, return_offsets_mapping=True)
        pieces, at = [], 0
        for start, end in found["offset_mapping"]:
            following = max(at, end) if end > start else at
            pieces.append(text[at:following])
            at = following
        if at < len(text) and pieces:
            pieces[-1] += text[at:]
        ids = np.array(found["input_ids"], dtype=np.int64)
        whole = self._with_bos(ids) if special else ids
        return whole, [""] * (len(whole) - len(ids)) + pieces

    def text(self, ids: Sequence[int]) -> str:
        """What was generated, without tokens that mean something to the template only."""
        written: str = self._tokenizer.decode(
            list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return written

    def token(self, token: int, before: Sequence[int]) -> str:
        """The text of a token after the tokens `before`."""
        start, both = (
            str(self._tokenizer.decode(one, clean_up_tokenization_spaces=False))
            for one in ([*before], [*before, token])
        )
        return both[len(start) :] if both.startswith(start) else both

    def named(
        self, tokens: Sequence[int], logprobs: Sequence[float], before: Sequence[int]
    ) -> dict[str, float]:
        """Log-probabilities by the token's text; of tokens that are written alike, the likeliest one's."""
        found: dict[str, float] = {}
        for token, logprob in zip(tokens, logprobs, strict=True):
            found.setdefault(self.token(token, before), logprob)
        return found

    def _chat_ids(self, written: str) -> Ids:
        return self._ids(written, special=False)

    def _encoded(self, text: str) -> Ids:
        special = self._special(text)
        known = self._ahead.get(text)
        ids = self._ids(text, special=special) if known is None else known
        return self._with_bos(ids) if special else ids

    def _special(self, text: str) -> bool:
        """Whether tokens are added to a text: it does not begin with them."""
        begins = bool(self._tokenizer.bos_token) and text.startswith(self._tokenizer.bos_token)
        return self._bos != "off" and not begins

    def _with_bos(self, ids: Ids) -> Ids:
        bos = self._tokenizer.bos_token_id
        if self._bos == "auto" or bos is None or (len(ids) and ids[0] == bos):
            return ids
        return np.concatenate([[bos], ids])

    def _ids(self, text: str, *, special: bool) -> Ids:
        return np.array(self._tokenizer(text, add_special_tokens=special)["input_ids"], dtype=np.int64)

    def _written(self, chat: Sequence[Message]) -> str:
        if not self._template:
            raise ProviderError(
                "the model has no chat template: give it texts to continue, or a template (?template=FILE)",
                fatal=True,
            )
        messages = self._messages(chat)
        continued = chat[-1].role == "assistant"
        try:
            return self._rendered(messages, continued)
        except Exception:  # noqa: BLE001 — templates raise what they like
            return self._again(messages, continued)

    def _messages(self, chat: Sequence[Message]) -> list[dict[str, JSON]]:
        return [{"role": one.role, "content": self._content(one)} for one in chat]

    def _again(self, messages: list[dict[str, JSON]], continued: bool) -> str:
        """The chat with its system message in the user's turn, for templates that refuse one."""
        given: Any = folded([*messages])
        try:
            return self._rendered(given, continued)
        except Exception as error:  # noqa: BLE001
            raise ProviderError(
                f"the model's chat template refuses the chat ({one_line(error, 200)})"
            ) from None

    def _rendered(self, messages: Sequence[Mapping[str, JSON]], continued: bool) -> str:
        written: str = self._writer.apply_chat_template(
            [*messages],
            chat_template=self._template,
            tokenize=False,
            add_generation_prompt=not continued,
            continue_final_message=continued,
        )
        return written

    def _content(self, message: Message) -> JSON:
        if isinstance(message.content, str):
            return message.content
        if any(not isinstance(part, str) for part in message.content):
            raise ProviderError(f"{self.backend}/ takes texts, not pictures or clips", fatal=True)
        return "".join(part for part in message.content if isinstance(part, str))


def numbers(given: int | Sequence[int] | None) -> frozenset[int]:
    """The tokens of a configuration that has one, several or none."""
    if given is None:
        return frozenset()
    return frozenset([given] if isinstance(given, int) else given)
