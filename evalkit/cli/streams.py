"""Standard output and error as all commands write them: never a traceback for what a terminal cannot show.

A character that the stream's encoding lacks becomes a similar one. When the reader of a pipe has gone, as in
`evalkit … | head`, the rest is dropped, and the command goes on to its own exit code.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import io
import os
import re
import sys
import unicodedata
from typing import TextIO

from evalkit.keys import hide_environment, redacted

_ERRORS = "evalkit.similar"
_GONE = (errno.EPIPE, errno.ECONNRESET)
"""Nobody reads a pipe or a socket any more."""
_OBEYED = re.compile(r"\x1b\[(?:[0-9;]*m|\?25[lh]|[0-9]*[AK])|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""Control characters, and the sequences of which they are a part that are left."""
_SIMILAR = {
    "─": "-", "━": "-", "│": "|", "┃": "|", "┼": "+", "╇": "+", "┌": "+", "┐": "+", "└": "+", "┘": "+",
    "├": "+", "┤": "+", "┬": "+", "┴": "+", "╸": "-", "╺": "-", "╴": "-", "╶": "-",
    "–": "-", "—": "-", "−": "-", "‑": "-", "‐": "-", "·": "*", "•": "*", "…": "...", "×": "x", "÷": "/",
    "±": "+-", "≤": "<=", "≥": ">=", "≈": "~", "≠": "!=", "→": "->", "←": "<-", "↑": "^", "↓": "v",
    "‘": "'", "’": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "✅": "+", "❌": "x", "⚠": "!",
    "✓": "+", "✗": "x", "⟨": "<", "⟩": ">", "†": "+", "°": " deg", "µ": "u", "ß": "ss", "æ": "ae", "ø": "o",
    "\u00a0": " ", "\u202f": " ", "\u2009": " ", "\ufe0f": "",
}  # fmt: skip
_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789", strict=True))


def similar(text: str, encoding: str = "ascii") -> str:
    """`text` in characters that `encoding` has: the same letter without accents, a similar sign, or `?`."""
    shown = []
    for character in text:
        if character in _SUPERSCRIPTS:
            shown.append(f"^{_SUPERSCRIPTS[character]}")
        elif (found := _SIMILAR.get(character)) is not None:
            shown.append(found)
        else:
            plain = "".join(c for c in unicodedata.normalize("NFKD", character) if c.isascii())
            shown.append(plain or "?")
    return "".join(shown).encode(encoding, "replace").decode(encoding)


def _similar_handler(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return similar(error.object[error.start : error.end], error.encoding), error.end


class _Pipe(io.FileIO):
    """A descriptor that takes everything, also when nobody reads it any more.

    `terminal`: that it is one, which is gone after an EIO; for a file, that is an error of the disk.
    """

    terminal = False

    def write(self, data: object) -> int:
        try:
            return super().write(data)  # type: ignore[arg-type]
        except OSError as error:
            if error.errno not in _GONE and not (self.terminal and error.errno == errno.EIO):
                raise
            return memoryview(data).nbytes  # type: ignore[arg-type]


class _Clean(io.TextIOWrapper):
    """A stream on which no key is written (`evalkit.keys`), and nothing that a terminal would obey.

    Texts of models, data sets and servers may have control characters, which can clear the screen, write into
    the clipboard or have the terminal answer. Colours and what the line of progress needs are left: going up
    a line, clearing it, hiding the cursor.
    """

    def write(self, text: str) -> int:
        super().write(_OBEYED.sub(_left, redacted(text)))
        return len(text)


def _left(found: re.Match[str]) -> str:
    return found[0] if len(found[0]) > 1 else "\ufffd"


class _Ascii(_Clean):
    """A stream in ASCII. click would write UTF-8 to one that says so, because it takes that for a mistake."""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"


def prepare() -> None:
    """Makes standard output and error such streams. Streams that something else put there stay."""
    hide_environment()
    codecs.register_error(_ERRORS, _similar_handler)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if type(stream) is io.TextIOWrapper:  # not one that a test captures with
            setattr(sys, name, _prepared(stream))


def _prepared(stream: TextIO) -> TextIO:
    try:
        stream.flush()
        raw = _Pipe(stream.fileno(), "wb", closefd=False)
    except (OSError, ValueError):  # closed, or no descriptor
        return stream
    raw.terminal = stream.isatty()
    shown = raw.terminal or stream is sys.stderr
    kind = _Ascii if codecs.lookup(stream.encoding).name == "ascii" else _Clean
    return kind(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors=_ERRORS,
        newline=None,
        line_buffering=shown,
        write_through=stream is sys.stderr,
    )


def finish() -> None:
    """Writes what is still buffered. Raises `OSError` if that cannot be, as on a full disk."""
    for stream in (sys.stdout, sys.stderr):
        if stream is None:
            continue
        try:
            stream.flush()
        except OSError as error:
            if error.errno not in _GONE:
                _drop(stream)
                raise
            _drop(stream)
        except ValueError:  # closed already
            pass


def _drop(stream: TextIO) -> None:
    """Sends what cannot be written to nowhere, so that Python does not try again when it ends."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
