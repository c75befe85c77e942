"""Where a check failed: the line of the test, the values in it, the last call of the program, and its line.

It runs in the checker, once the verdict is known. Its texts quote the program, which may say anything there.
"""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Sequence
from contextlib import suppress
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from evalkit.sandbox.codec import Decoder, Opaque
from evalkit.sandbox.program import VALUE
from evalkit.sandbox.standin import Instance, StandInClass

if TYPE_CHECKING:
    from evalkit.sandbox.checker import RemoteProgram

TEST = "<test>"
"""The file name of the tests in a traceback."""
_LONGEST = 300
"""The most characters of a value."""
_LONGEST_MESSAGE = 1 << 16
"""The most bytes of a call or of its answer that is read again, which counts towards the CPU time."""
_LONGEST_TEST = 1000
"""The most characters of a test in which names are looked for."""
_MOST_VALUES = 6
_MOST_SORTED = 1000
"""The most items of a set or dict that are shown: `reprlib` sorts them all."""
_NAME = re.compile(r"(?<![\w.'\"])[A-Za-z_]\w*(?!\w|\s*\()")
"""A name that is not an attribute and not called."""


class _Short(reprlib.Repr):
    """A bounded `repr` that asks the program nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 5
        self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = self.maxdeque = 20
        self.maxdict = self.maxarray = 20
        self.maxstring = self.maxlong = self.maxother = 120

    def repr1(self, x: Any, level: int) -> str:
        if isinstance(x, Instance | StandInClass):
            return f"<{type(x).__name__ if isinstance(x, Instance) else x.__name__}>"
        if isinstance(x, set | frozenset | dict) and len(x) > _MOST_SORTED:
            return f"<{type(x).__name__} of {len(x)} items>"
        return super().repr1(x, level)


_short = _Short()


def place(error: BaseException, test: str, remote: RemoteProgram, calls: Sequence[str]) -> bytes:
    """The place as JSON: `test`, first and last line of what failed; `values`, those of the
    names in it; `call`, the last call of the program; `returned` or `raised`; `line`, of the program.

    What is not known is left out.
    """
    found: dict[str, Any] = {}
    with suppress(BaseException):  # nothing of this may change the verdict
        frame, lines = _position(error)
        if frame is not None:
            found["test"] = lines
            text = "\n".join(test.split("\n")[lines[0] - 1 : lines[1]])[:_LONGEST_TEST]
            found["values"] = _values(frame, text)
        if line := getattr(error, "evalkit_line", 0):
            found["line"] = line
        found |= _last_call(remote, calls)
    return json.dumps(found).encode()


def _position(error: BaseException) -> tuple[FrameType | None, tuple[int, int]]:
    """The innermost frame of the test, and the first and last line of what it was doing."""
    frame, lines, trace = None, (0, 0), error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == TEST:
            frame, lines = trace.tb_frame, _lines(trace.tb_frame.f_code, trace.tb_lasti, trace.tb_lineno)
        trace = trace.tb_next
    return frame, lines


def _lines(code: CodeType, instruction: int, line: int) -> tuple[int, int]:
    for number, (first, last, *_) in enumerate(code.co_positions()):
        if number == instruction // 2:
            return first or line, last or first or line
    return line, line


def _values(frame: FrameType, text: str) -> dict[str, str]:
    """The values of the variables that `text` names."""
    known, around = frame.f_locals, frame.f_globals
    found: dict[str, str] = {}
    for name in _NAME.findall(text):
        value = known.get(name, around.get(name, FunctionType))
        plain = not isinstance(value, FunctionType | ModuleType | type)
        if plain and name not in found and len(found) < _MOST_VALUES:
            found[name] = _shown(value)
    return found


def _last_call(remote: RemoteProgram, calls: Sequence[str]) -> dict[str, str]:
    """The last call as its arguments were sent, before the program could change them, and its answer."""
    message, answer = remote.last_call, remote.last_answer
    if not message or max(len(message), len(answer)) > _LONGEST_MESSAGE:
        return {}
    reader = Decoder(find=lambda number, kind: Opaque(remote.class_name(kind)))
    what, arguments, keywords = reader.value(message)
    if what == "new":
        name = arguments[0].kind
        arguments = arguments[1:]
    elif what == "do":
        name = f"{_shown(arguments[0])}.{arguments[1]}"
        arguments = arguments[2:]
    else:
        name = calls[what]
    shown = [*map(_shown, arguments), *(f"{key}={_shown(value)}" for key, value in keywords)]
    found = {"call": f"{name}({', '.join(shown)})"[:_LONGEST]}
    if not answer:
        return found
    value = Decoder(reader.objects, reader.find).value(answer[1:])
    if answer[:1] == VALUE:
        return found | {"returned": _shown(value)}
    return found | {"raised": f"{value[0][0]}: {value[1]}"[:_LONGEST]}


def _shown(value: object) -> str:
    try:
        return _short.repr(value)[:_LONGEST]
    except ValueError:  # an int of more than 4300 digits
        return f"<{type(value).__name__}>"
