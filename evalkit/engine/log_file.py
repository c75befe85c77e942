"""`--log-file`: the events of a run as JSON Lines, one event on each line, without keys.

Each line is written at once, by one call of the system, so that a killed run loses none and several processes
may append to one file.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from evalkit.engine.events import LOGGER, Event
from evalkit.errors import UsageError
from evalkit.keys import redacted
from evalkit.samples import plain_text

_OBEYED = re.compile(rb"\xc2[\x80-\x9f]|\x7f")
"""Control characters in UTF-8 that JSON leaves as they are, and that a terminal obeys."""


@contextlib.contextmanager
def log_to(path: Path | None, run_file: Path, tell: Callable[[str], object]) -> Iterator[None]:
    """Appends events to the file at `path` meanwhile; None: does nothing. Raises `UsageError`.

    `run_file`: the file that the log must not be. `tell`: is told, once, that the file cannot be written.
    """
    if path is None:
        yield
        return
    if path.absolute() == run_file.absolute():
        raise UsageError(f"--log-file {path} is the run file: name another file")
    handler, before = LogFile(path, tell), LOGGER.level
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)
        LOGGER.setLevel(before)
        handler.close()


class LogFile(logging.Handler):
    """Appends a line of JSON for each event. If a line cannot be written, it says so once, and goes on.

    Raises `UsageError` if the file cannot be opened, or has something else than such lines.
    """

    def __init__(self, path: Path, tell: Callable[[str], object]) -> None:
        super().__init__()
        self._path, self._tell, self._complained = path, tell, False
        self._file, self._torn = _opened(path)

    def emit(self, record: logging.LogRecord) -> None:
        line = (b"\n" if self._torn else b"") + line_of(record)
        try:
            written = os.write(self._file, line)
        except OSError as error:
            self._complain(error.strerror or str(error))
            return
        self._torn = written < len(line)
        if self._torn:
            self._complain("a line was written in part")

    def _complain(self, why: str) -> None:
        if not self._complained:
            self._complained = True
            with contextlib.suppress(OSError, ValueError):  # a reader of standard error that is gone
                self._tell(f"cannot write the log file {self._path}: {why}; the run goes on")

    def close(self) -> None:
        super().close()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def line_of(record: logging.LogRecord) -> bytes:
    """The line of a log record, with the line break."""
    said = record.msg
    event = said if isinstance(said, Event) else Event("message", {"text": record.getMessage()})
    line = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
        "level": record.levelname.lower(),
        "event": event.name,
        "pid": record.process,
        **{key: _without_keys(value) for key, value in event.fields.items()},
    }
    text = orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE)
    return _OBEYED.sub(_escaped, text)


def _escaped(found: re.Match[bytes]) -> bytes:
    return b"\\u00%02x" % found[0][-1]


def _without_keys(value: Any) -> Any:
    if isinstance(value, str):
        return redacted(plain_text(value))
    if isinstance(value, dict):
        return {_without_keys(key): _without_keys(one) for key, one in value.items()}
    return [*map(_without_keys, value)] if isinstance(value, list | tuple) else value


def _opened(path: Path) -> tuple[int, bool]:
    """The file's descriptor, and whether its last line has no end."""
    try:
        file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
    except OSError as error:
        raise UsageError(f"--log-file {path}: {error.strerror}") from None
    found = os.fstat(file)
    if not stat.S_ISREG(found.st_mode) or not found.st_size:
        return file, False
    if os.pread(file, 1, 0) != b"{":
        os.close(file)
        raise UsageError(f"--log-file {path} exists and is no log of evalkit: name another file")
    return file, os.pread(file, 1, found.st_size - 1) != b"\n"
