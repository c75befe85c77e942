"""Finds what the prompts of a run begin with, such as their shots, and marks it for Anthropic's cache.

A cached beginning costs a tenth, and writing it once a quarter more
(https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching). A request does not say which part of
its text others share, so requests are compared as they come: the first one has no mark. Only whole blocks can
be marked, so that a text is sent as two blocks, divided at the end of a paragraph.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import orjson

Block: TypeAlias = dict[str, Any]

_LEAST = 2000
"""Characters below which no beginning has the 1,024 tokens from which the API caches it."""
_KNOWN = 64
"""The beginnings that are remembered, those of several tasks among them."""
_HEAD = 80
"""The characters by which requests of one task are known."""
_PARAGRAPH = "\n\n"
_MARK = {"type": "ephemeral"}


class SharedStarts:
    """The beginnings that requests were found to share."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, list[str]] = OrderedDict()

    def mark(self, contents: Sequence[list[Block]]) -> None:
        """Marks the end of what `contents`, the blocks of each message, and those of earlier requests share.

        A marked block has `cache_control`; a text that is shared in part is divided.
        """
        texts = [*_texts(contents)]
        head = next((text[:_HEAD] for text in texts if text), "")
        known = self._known.pop(head, None)
        shared = texts if known is None else _shared(known, texts)
        long = sum(map(len, shared)) >= _LEAST
        self._known[head] = shared if long else texts
        if len(self._known) > _KNOWN:
            self._known.popitem(last=False)
        if known is not None and long:
            _mark_end(contents, shared)


def _texts(contents: Sequence[list[Block]]) -> Iterator[str]:
    """Yields what tells each block from others."""
    for content in contents:
        for block in content:
            if block["type"] == "text":
                yield block["text"]
            elif block["type"] == "image":
                yield block["source"]["data"]
            else:  # of a tool
                yield orjson.dumps(block).decode()


def _shared(known: Sequence[str], texts: Sequence[str]) -> list[str]:
    """What both begin with: whole blocks, and the paragraphs of the block after them."""
    shared = list[str]()
    for one, other in zip(known, texts, strict=False):
        if one == other:
            shared.append(one)
            continue
        if start := _paragraphs(one, other):
            shared.append(start)
        break
    return shared


def _paragraphs(one: str, other: str) -> str:
    """The whole paragraphs that two different texts begin with."""
    if one.endswith(_PARAGRAPH) and other.startswith(one):  # what was found before, hence nearly always
        return one
    pairs = enumerate(zip(one, other, strict=False))
    size = next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))
    end = one.rfind(_PARAGRAPH, 0, size)
    return one[: end + len(_PARAGRAPH)] if end >= 0 else ""


def _mark_end(contents: Sequence[list[Block]], shared: Sequence[str]) -> None:
    """Marks the block that ends `shared`, which is divided if its text goes on."""
    left = len(shared)
    for content in contents:
        if left > len(content):
            left -= len(content)
            continue
        block = content[left - 1]
        size = len(shared[-1])
        if block["type"] == "text" and len(block["text"]) > size:
            content[left - 1 : left] = [
                {"type": "text", "text": block["text"][:size], "cache_control": _MARK},
                {"type": "text", "text": block["text"][size:]},
            ]
        else:
            block["cache_control"] = _MARK
        return
