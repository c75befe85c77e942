"""The process that gives the verdict: it runs the tests, and never the program.

What the tests call is a stand-in that sends its arguments to the program's process and brings back what
that answers, as plain data. So the program can change nothing here but the arguments it was given.

A checker takes one program after another, for starting it costs as much as starting a program. It goes on
only while what it ran cannot have left anything behind, as far as the instructions show; else it ends and
the server starts another.
"""

from __future__ import annotations

import json
import math
import opcode
import os
import resource
import socket
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from types import CodeType
from typing import Any

from evalkit.processes.framing import from_host
from evalkit.sandbox import program
from evalkit.sandbox.codec import BadData, Decoder, Encoder, fault, remade
from evalkit.sandbox.standin import Classes
from evalkit.sandbox.wire import LONGEST, Gone, Wire

PASSED, FAILED, GONE, BROKEN = b"P", b"F", b"G", b"B"
"""How a verdict begins; its text follows. BROKEN: what the benchmark itself brought does not run."""
BEGAN = b"+"
"""What a checker says when it has read a whole request; `VERDICT` and the verdict follow."""
VERDICT = struct.Struct("!??dI")
"""Whether more comes, as with the results of calls; of the last, whether the checker goes on and its seconds
of CPU time for this program; then the length of what follows."""
_LONGEST_DETAIL = 500
_MOST = 500
"""Programs for one checker."""
_HARMLESS = frozenset(
    ("bisect", "collections", "copy", "decimal", "fractions", "functools", "heapq", "itertools", "math")
    + ("operator", "random", "re", "string", "typing")
)
"""Modules that hold nothing that tests would change, but for random's state, which is set for each."""
_REACHING = frozenset(
    ("setattr", "delattr", "exec", "eval", "__import__", "vars", "open")
    + ("__builtins__", "__dict__", "__globals__", "__class__")
)
"""Names through which a test could change what outlives it."""
_CHANGING = frozenset(opcode.opmap[name] for name in ("STORE_ATTR", "DELETE_ATTR"))
_IMPORT, _EXTENDED = opcode.opmap["IMPORT_NAME"], opcode.opmap["EXTENDED_ARG"]


class ProgramEnded(RuntimeError):
    """The program's process ended, or sent no plain data, and was not heard of again."""


class RemoteProgram:
    """The program as the checker sees it."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._classes = Classes(self._act)
        self.lost: str | None = None
        """Why there is no more to be had from it, perhaps empty; None while there is."""

    def load(self, source: str, calls: Sequence[str], classes: Sequence[str] = ()) -> dict[str, Any]:
        """Runs `source`; the stand-ins for those of its functions and classes that there are, by their names.

        Raises what the program raised.
        """
        there = self._ask(program.request(source, calls, classes), Decoder())
        try:
            functions, specials = there
            found = {
                name: self._function(number, name)
                for number, (name, is_there) in enumerate(zip(calls, functions, strict=True))
                if is_there is True
            }
            kinds = [self._classes.add(name, known) for name, known in zip(classes, specials, strict=True)]
        except (TypeError, ValueError):
            self.lost = "no plain data: it does not say what it has"
            raise ProgramEnded(self.lost) from None
        return found | {kind.__name__: kind for kind in kinds if kind is not None}

    def _function(self, number: int, name: str) -> Callable[..., Any]:
        """The stand-in for the function that is `number`-th of `calls`."""

        def stand_in(*arguments: Any, **keywords: Any) -> Any:
            return self._act(number, *arguments, **keywords)

        stand_in.__name__ = stand_in.__qualname__ = name
        return stand_in

    def _act(self, what: int | str, /, *arguments: Any, **keywords: Any) -> Any:
        writer = Encoder(refer=self._classes.reference if self._classes.kinds else None)
        message = writer.message((what, arguments, tuple(keywords.items())))
        return self._ask(message, Decoder(writer.objects, self._classes.find))

    def _ask(self, message: bytes, reader: Decoder) -> Any:
        if self.lost is not None:
            raise ProgramEnded(self.lost)
        try:
            self._wire.send(message)
            answer = self._wire.receive()
            value = reader.value(answer[1:])
            if answer[:1] == program.VALUE:
                return value
            error = remade(value)
        except (Gone, BadData) as trouble:
            self.lost = str(trouble)
            raise ProgramEnded(self.lost) from None
        raise error


def serve(server: socket.socket, host: socket.socket, cpu_seconds: int) -> None:
    """Checks programs: the wire to each comes from the server, with the request from the host."""
    import random  # the server is particular about when

    for _ in range(_MOST):
        _, descriptors, _, _ = socket.recv_fds(server, 1, 1)
        if not descriptors:
            return
        request = json.loads(from_host(host))
        server.sendall(BEGAN)
        began = time.process_time()
        limit = math.ceil(began + cpu_seconds)
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
        random.seed(0)
        wire = Wire(descriptors[0])
        if "name" in request:
            said, goes_on = results(wire, request, lambda result: _send(server, result))
        else:
            said, goes_on = verdict(wire, request)
        os.close(descriptors[0])
        used = time.process_time() - began
        server.sendall(VERDICT.pack(False, goes_on, used, len(said)) + said)
        if not goes_on:
            return


def _send(server: socket.socket, result: bytes) -> None:
    server.sendall(VERDICT.pack(True, False, 0.0, len(result)) + result)


def results(wire: Wire, request: Mapping[str, Any], send: Callable[[bytes], None]) -> tuple[bytes, bool]:
    """Calls the function `name` with one tuple of `arguments` after the other; `send` takes each result.

    That is how `evalkit.sandbox.program` answers: a value, or an exception as `fault` describes it. What is
    no plain data fails here, in the checker, rather than where the host reads it.
    """
    theirs = RemoteProgram(wire)
    sent = 0
    try:
        arguments = Decoder().value(request["arguments"].encode())
        unloaded = b""
        try:
            there = theirs.load(request["source"], [request["name"]])
            if request["name"] not in there:
                raise NameError(f"name {request['name']!r} is not defined")
        except Exception as error:  # noqa: BLE001
            unloaded = program.ERROR + Encoder().message(fault(error))
        for given in arguments:
            result = unloaded or _result(there[request["name"]], given)
            sent += len(result) + VERDICT.size
            if sent > LONGEST:
                theirs.lost = theirs.lost or f"the results take more than {LONGEST} bytes"
            if theirs.lost is not None:
                return GONE + theirs.lost.encode(), True
            send(result)
    except MemoryError as error:
        return FAILED + _said(error), False
    return PASSED, True


def _result(function: Callable[..., Any], arguments: Sequence[Any]) -> bytes:
    try:
        return program.VALUE + Encoder().message(function(*arguments))
    except Exception as error:
        if type(error) is MemoryError:  # this process's own; the program's is of a class made for it
            raise
        return program.ERROR + Encoder().message(fault(error))


def verdict(wire: Wire, request: Mapping[str, Any]) -> tuple[bytes, bool]:
    """Runs the program and its tests: one of `PASSED` … with its text, and whether that left nothing here."""
    ours: dict[str, Any] = {}
    goes_on = False
    try:
        given = compile(request["given"], "<given>", "exec")
        test = compile(request["test"], "<test>", "exec")
        goes_on = leaves_nothing(given) and leaves_nothing(test)
        exec(given, ours)  # noqa: S102
    except BaseException as error:  # noqa: BLE001
        return BROKEN + _said(error), False
    theirs = RemoteProgram(wire)
    try:
        there = theirs.load(request["source"], request["calls"], request["classes"])
        for name in (*request["calls"], *request["classes"]):
            ours.pop(name, None)
        ours |= there
        exec(test, ours)  # noqa: S102
        said = PASSED
    except BaseException as error:  # noqa: BLE001
        said = FAILED + _said(error)
        goes_on = goes_on and not isinstance(error, MemoryError)
    ours.clear()
    # Also where the tests expect an exception: a program that is gone has not passed.
    return said if theirs.lost is None else GONE + theirs.lost.encode(), goes_on


def leaves_nothing(code: CodeType) -> bool:
    """Whether running trusted `code` changes nothing but its own names, checked by its instructions.

    It sets no attributes, imports only what is harmless, and does not name what reaches further. That
    is no proof against somebody who means to get round it; tests are written by people who do not.
    """
    instructions = code.co_code[::2]
    if not _CHANGING.isdisjoint(instructions) or not _REACHING.isdisjoint(code.co_names):
        return False
    if _IMPORT in instructions and not _HARMLESS.issuperset(_imported(code)):
        return False
    return all(leaves_nothing(inner) for inner in code.co_consts if isinstance(inner, CodeType))


def _imported(code: CodeType) -> list[str]:
    names, argument = [], 0
    for operation, low in zip(code.co_code[::2], code.co_code[1::2], strict=True):
        argument = argument << 8 | low
        if operation == _IMPORT:
            names.append(code.co_names[argument].partition(".")[0])
        if operation != _EXTENDED:
            argument = 0
    return names


def _said(error: BaseException) -> bytes:
    try:
        text = f"{type(error).__name__}: {error}"
    except BaseException:  # noqa: BLE001
        text = type(error).__name__
    return text[:_LONGEST_DETAIL].encode(errors="surrogatepass")
