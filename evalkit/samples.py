"""What a model is asked about, what it is shown, and what it answered."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

JSON: TypeAlias = "str | int | float | bool | None | list[JSON] | dict[str, JSON]"
_HALF_A_PAIR = re.compile("[\ud800-\udfff]")


def plain_text(text: str) -> str:
    """`text` with U+FFFD for each half of a surrogate pair, which no file and no request can hold."""
    return text if text.isascii() else _HALF_A_PAIR.sub("\ufffd", text)


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


Prompt: TypeAlias = str | tuple[Message, ...]
"""A text to continue, or a chat to answer."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One question of a benchmark."""

    id: str
    """Stable: from the data, or a hash of it (`sample_id`); never a row number."""
    input: str
    target: tuple[str, ...]
    """Accepted references."""
    choices: tuple[str, ...] = ()
    group: str = ""
    """Key of breakdowns and macro averages: subject, language, level."""
    cluster: str = ""
    """Samples with the same cluster share a passage, image or clip; intervals resample clusters."""
    meta: Mapping[str, JSON] = field(default_factory=dict)
    """What prompts and scorers need besides; plain JSON."""
    tags: tuple[str, ...] = ()
    """Further keys of breakdowns, such as the field that a subject belongs to."""
    shots: tuple[Sample, ...] = field(default=(), repr=False)
    """Solved examples that may be shown before it, in order; filled from `Task.dev`, not stored."""


def letters(sample: Sample) -> str:
    """The letters of a sample's choices, from "A": "ABCD" for four."""
    return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(sample.choices)]


@dataclass(frozen=True, slots=True)
class Final:
    """One answer to be scored. `value` None: nothing could be parsed."""

    value: str | None
    truncated: bool = False
    """The response it was read from was cut at `max_tokens`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a solver returns: the answers to score (`finals`, at least one) and how they came about."""

    finals: tuple[Final, ...]
    detail: dict[str, JSON] = field(default_factory=dict)
    legs: Mapping[str, tuple[Final, ...]] = field(default_factory=dict)
    """Further answers by name, judged and measured beside `finals`: the legs of a routed answer."""
