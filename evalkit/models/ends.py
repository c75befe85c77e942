"""The marks of chat templates that a server left in the text: they are no part of the answer.

A server that does not skip special tokens returns the one that ends the turn, and one that does not stop at
it also what the model then writes in the other's name. `Paris</s>` is the answer `Paris`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_ENDS = (
    "</s>", "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|endoftext|>", "<end_of_turn>",
    "<turn|>", "<eos>", "<|end|>", "<|eot|>", "<｜end▁of▁sentence｜>", "<|END_OF_TURN_TOKEN|>",
    "<|end_of_turn|>", "<|endofassistant|>", "<|hy_eos|>", "<|role_end|>", "[e~[", "<pad>", "<|return|>",
)  # fmt: skip
"""What ends a turn: of Llama, Qwen, Gemma, Phi, DeepSeek, Command R, Mistral, Yi, Granite, MiniMax, Ling."""
_START = re.compile(
    r"\s*(?:<s>|<bos>|<\|begin_of_text\|>|<｜begin▁of▁sentence｜>|<pad>"
    r"|<\|im_start\|>assistant\n?|<\|start_header_id\|>assistant<\|end_header_id\|>\n*"
    r"|<start_of_turn>model\n?|<\|assistant\|>\n?|<｜Assistant｜>)"
)
"""What begins a text or the assistant's turn."""
_END = re.compile("|".join(map(re.escape, _ENDS)))
_LAST = re.compile(rf"(?:{_END.pattern})\s*\Z")
_BOXES = ("<|begin_of_box|>", "<|end_of_box|>")
"""What GLM's models put around the words that answer."""
_STRUCK = ("<s>", "</s>")
"""Also HTML's tag for struck-out text."""


def without_marks(text: str, asked: Callable[[str], bool]) -> tuple[str, str]:
    """(text without the marks around it, one of them or ""). `asked`: whether the prompt has a mark.

    What the prompt has is spoken of, so it stays.
    """
    found = ""
    if not _may_have_mark(text):
        return text, found
    for box in _BOXES:
        if box in text and not asked(box):
            text, found = text.replace(box, ""), box
    while (mark := _START.match(text)) and not asked(mark[0].strip()):
        text, found = text[mark.end() :], mark[0].strip()
    while (mark := _LAST.search(text)) and not asked(mark[0].strip()):
        text, found = text[: mark.start()], mark[0].strip()
    return text, found


def one_turn(text: str, asked: Callable[[str], bool]) -> tuple[str, str]:
    """(text up to the first mark that ends a turn, that mark or ""). A mark in quotes is spoken of."""
    if not _may_have_mark(text):
        return text, ""
    for mark in _END.finditer(text):
        quote = text[mark.start() - 1 : mark.start()]
        quoted = quote and quote in "`'\"" and text.startswith(quote, mark.end())
        struck = mark[0] == _STRUCK[1] and _STRUCK[0] in text[: mark.start()]
        if not (quoted or struck or asked(mark[0])):
            return text[: mark.start()], mark[0]
    return text, ""


def _may_have_mark(text: str) -> bool:
    return "<" in text or "[" in text
