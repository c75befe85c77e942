"""What a file is called that is none of those that are read: most are of another kind, or an error's page."""

from __future__ import annotations

from collections.abc import Sequence

_ANYWHERE = (
    (b"PK\3\4", "ZIP"),
    (b"\x1f\x8b", "gzip"),
    (b"\x1aE\xdf\xa3", "Matroska or WebM"),
    (b"version https://git-lfs", "a Git LFS pointer"),
)


def looks_like(data: bytes, known: Sequence[tuple[bytes, str]]) -> str:
    """For people. `known`: how further files begin, and what they are called."""
    for start, name in (*known, *_ANYWHERE):
        if data.startswith(start):
            return name
    if data[4:8] == b"ftyp":
        return "MP4 or QuickTime"
    text = data[:1024].decode("utf-8", "replace")
    if "\0" in text or "\ufffd" in (text[:-3] if len(data) > 1024 else text):  # a letter may be cut
        return "nothing known"
    text = text.lstrip("\ufeff \t\r\n").lower()
    if "<svg" in text:
        return "SVG"
    if text.startswith(("<!doctype html", "<html")):
        return "HTML"
    if text.startswith("<"):
        return "XML"
    return "JSON" if text.startswith(("{", "[")) else "text"
