"""Names the format of a file that evalkit does not read: often another kind of file, or an error page."""

from __future__ import annotations

from collections.abc import Sequence

_ANYWHERE = (
    (b"PK\3\4", "ZIP"),
    (b"\x1f\x8b", "gzip"),
    (b"\x1aE\xdf\xa3", "Matroska or WebM"),
    (b"version https://git-lfs", "a Git LFS pointer"),
)


def looks_like(data: bytes, known: Sequence[tuple[bytes, str]]) -> str:
    """The name of the format of `data` for an error message.

    `known`: (first bytes, name) of further formats, which are tried first.
    """
    for start, name in (*known, *_ANYWHERE):
        if data.startswith(start):
            return name
    if data[4:8] == b"ftyp":
        return "MP4 or QuickTime"
    text = data[:1024].decode("utf-8", "replace")
    if "\0" in text or "\ufffd" in (text[:-3] if len(data) > 1024 else text):  # a character may be cut
        return "nothing known"
    text = text.lstrip("\ufeff \t\r\n").lower()
    if "<svg" in text:
        return "SVG"
    if text.startswith(("<!doctype html", "<html")):
        return "HTML"
    if text.startswith("<"):
        return "XML"
    return "JSON" if text.startswith(("{", "[")) else "text"
