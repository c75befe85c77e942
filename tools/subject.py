"""Questions about pictures, and a picture of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tools.drawing import Page, palette_png


@dataclass(frozen=True, slots=True)
class Question:
    """A question. `text` and `options` refer to the pictures as `<image 1>`, from 1.

    Without options it is an open question.
    """

    subject: str
    text: str
    options: tuple[str, ...]
    answer: str
    pictures: tuple[bytes, ...]
    shown: str
    """The kind of picture, by MMMU's names."""
    subfield: str
    difficulty: str = "Easy"


def table(title: str, rows: Sequence[Sequence[str]], widths: Sequence[int]) -> bytes:
    page = Page(sum(widths) + 28, 28 * len(rows) + 56)
    page.text(14, 24, title, 16, anchor="lm", bold=True)
    page.table(14, 42, rows, widths, 28, 14)
    return palette_png(page.done())
