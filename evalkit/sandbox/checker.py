"""The process that gives the verdict: it runs the tests, and never the program.

What the tests call is a stand-in that sends its arguments to the program's process and brings back what
that answers, as plain data. So the program can change nothing here but the arguments it was given.

Each program has a checker of its own: whatever tests change in theirs, the next ones see nothing of it.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
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
VERDICT = struct.Struct("!?I")
"""Whether more comes, as with the results of calls; then the length of what follows."""
_LONGEST_DETAIL = 500


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


def serve(server: socket.socket, host: socket.socket, wire: Wire) -> None:
    """Checks the program at the other end of `wire`, as the host's next request says; tells the server."""
    request = json.loads(from_host(host))
    server.sendall(BEGAN)

    def send(said: bytes, *, more: bool) -> None:
        server.sendall(VERDICT.pack(more, len(said)) + said)

    if "name" in request:
        said = results(wire, request, lambda result: send(result, more=True))
    else:
        said = verdict(wire, request)
    send(said, more=False)


def results(wire: Wire, request: Mapping[str, Any], send: Callable[[bytes], None]) -> bytes:
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
                return GONE + theirs.lost.encode()
            send(result)
    except MemoryError as error:
        return FAILED + _said(error)
    return PASSED


def _result(function: Callable[..., Any], arguments: Sequence[Any]) -> bytes:
    try:
        return program.VALUE + Encoder().message(function(*arguments))
    except Exception as error:
        if type(error) is MemoryError:  # this process's own; the program's is of a class made for it
            raise
        return program.ERROR + Encoder().message(fault(error))


def verdict(wire: Wire, request: Mapping[str, Any]) -> bytes:
    """Runs the program and its tests: one of `PASSED` … with its text."""
    ours: dict[str, Any] = {}
    try:
        given = compile(request["given"], "<given>", "exec")
        test = compile(request["test"], "<test>", "exec")
        exec(given, ours)  # noqa: S102
    except BaseException as error:  # noqa: BLE001
        return BROKEN + _said(error)
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
    # Also where the tests expect an exception: a program that is gone has not passed.
    return said if theirs.lost is None else GONE + theirs.lost.encode()


def _said(error: BaseException) -> bytes:
    try:
        text = f"{type(error).__name__}: {error}"
    except BaseException:  # noqa: BLE001
        text = type(error).__name__
    return text[:_LONGEST_DETAIL].encode(errors="surrogatepass")
