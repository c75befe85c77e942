"""Records of NarrativeQA with made-up stories, for the rules that find a story in its file and cut it."""

from __future__ import annotations

from collections.abc import Iterator

from evalkit.data.base import Record

_LONG = "One two three. " * 100
STORIES: tuple[tuple[str, str, str], ...] = (
    ("He left. THE END. She left. THE END. Notes.", "She", "THE END ."),
    ("She left. THE END. And again. THE END. Notes.", "She", "THE END ."),
    ("He left.", "Nobody", "Nothing"),
    ("Notes. He left. THE END.", "He", "Nothing"),
    ("*** END OF THIS PROJECT GUTENBERG EBOOK", "*** END OF", "EBOOK"),
    ("THE END", "THE", "THE END"),
    ("THE END. Then he left.", "Then", "THE END"),
    ("\ufeff§ He left. §\r\n", "Nobody", "Nothing"),
    (_LONG, "One two", "three ."),
    (_LONG[:-2] + "x", "One two", "Nothing"),
    (_LONG.replace(" two", "\n\n"), "One", "Nothing"),
    ("a" * 1500, "a", "Nothing"),
    ("a " * 800, "a", "Nothing"),
    *(("a" * at + " " + "b" * (1500 - at), "a", "Nothing") for at in (292, 293, 294, 499, 500, 501, 1200)),
)
"""(text of the file, the first words of the story, its last words)."""


def stories(record: Record) -> Iterator[Record]:
    """Yields `record` with each of `STORIES`."""
    for number, (text, start, end) in enumerate(STORIES):
        document = {**record["document"], "id": f"story {number}", "text": text, "start": start, "end": end}
        yield {**record, "document": document}
