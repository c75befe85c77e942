"""The process that gives the verdict: it runs the tests, and never the program.

The tests call a stand-in, which sends its arguments to the program's process and returns that process's
answer, as plain data. So the program can change nothing in the checker except the arguments of its calls.

Each program has its own checker, so a program's tests see nothing of what earlier tests changed.
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
from evalkit.sandbox.place import TEST, place
from evalkit.sandbox.standin import Classes
from evalkit.sandbox.wire import LONGEST, Gone, Wire

PASSED, FAILED, GONE, BROKEN = b"P", b"F", b"G", b"B"
"""The first byte of a verdict; its text follows. BROKEN: the benchmark's own code does not run."""
BEGAN = b"+"
"""What a checker sends after it has read a whole request; messages follow, the last one is the verdict."""
VERDICT = struct.Struct("!?I")
"""The head of a message: whether further messages follow, as with results of calls, and its length."""
_LONGEST_DETAIL = 500


class ProgramEnded(RuntimeError):
    """The program's process ended or sent something other than plain data; it is not asked again."""


class RemoteProgram:
    """The program as the checker sees it."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._classes = Classes(self._act)
        self.lost: str | None = None
        """Why the program cannot be asked any more, perhaps ""; None while it can."""
        self._answer = self.last_call = self.last_answer = b""
        """The last answer; the last message that called a function, a class or a method, and its answer."""

    def load(self, source: str, calls: Sequence[str], classes: Sequence[str] = ()) -> dict[str, Any]:
        """Runs `source`: the stand-ins for those `calls` and `classes` that it defines, by name.

        Raises the exception that the program raised.
        """
        answer = self._ask(program.request(source, calls, classes), Decoder())
        try:
            functions, specials = answer
            found = {
                name: self._function(number, name)
                for number, (name, is_there) in enumerate(zip(calls, functions, strict=True))
                if is_there is True
            }
            kinds = [self._classes.add(name, known) for name, known in zip(classes, specials, strict=True)]
        except (TypeError, ValueError):
            self.lost = "not plain data: the program does not list its functions and classes"
            raise ProgramEnded(self.lost) from None
        return found | {kind.__name__: kind for kind in kinds if kind is not None}

    def _function(self, number: int, name: str) -> Callable[..., Any]:
        """The stand-in for the function at index `number` of `calls`."""

        def stand_in(*arguments: Any, **keywords: Any) -> Any:
            return self._act(number, *arguments, **keywords)

        stand_in.__name__ = stand_in.__qualname__ = name
        return stand_in

    def _act(self, what: int | str, /, *arguments: Any, **keywords: Any) -> Any:
        writer = Encoder(refer=self._classes.reference if self._classes.kinds else None)
        message = writer.message((what, arguments, tuple(keywords.items())))
        self._answer = b""
        try:
            return self._ask(message, Decoder(writer.objects, self._classes.find))
        finally:
            if isinstance(what, int) or what in ("new", "do"):
                self.last_call, self.last_answer = message, self._answer

    def class_name(self, kind: int) -> str:
        """The name of the class at index `kind`."""
        found = self._classes.kinds[kind]
        return found.__name__ if found is not None else ""

    def _ask(self, message: bytes, reader: Decoder) -> Any:
        if self.lost is not None:
            raise ProgramEnded(self.lost)
        try:
            self._wire.send(message)
            answer = self._answer = self._wire.receive()
            value = reader.value(answer[1:])
            if answer[:1] == program.VALUE:
                return value
            error = remade(value)
        except (Gone, BadData) as trouble:
            self.lost = str(trouble)
            raise ProgramEnded(self.lost) from None
        raise error


def serve(server: socket.socket, host: socket.socket, wire: Wire) -> None:
    """Checks the program at the other end of `wire` by the host's next request, and answers the server."""
    request = json.loads(from_host(host))
    server.sendall(BEGAN)

    def send(message: bytes, *, more: bool) -> None:
        server.sendall(VERDICT.pack(more, len(message)) + message)

    if "name" in request:
        message = results(wire, request, lambda result: send(result, more=True))
    else:
        *details, message = verdict(wire, request)
        for detail in details:
            send(detail, more=True)
    send(message, more=False)


def results(wire: Wire, request: Mapping[str, Any], send: Callable[[bytes], None]) -> bytes:
    """Calls the function `name` with each tuple of `arguments`, and gives each result to `send`: the verdict.

    A result has the form of an answer of `evalkit.sandbox.program`: a value, or an exception as described by
    `fault`. Anything that is not plain data fails here, in the checker, and not when the host reads it.
    """
    remote = RemoteProgram(wire)
    sent = 0
    try:
        arguments = Decoder().value(request["arguments"].encode())
        unloaded = b""
        try:
            defined = remote.load(request["source"], [request["name"]])
            if request["name"] not in defined:
                raise NameError(f"name {request['name']!r} is not defined")
        except Exception as error:  # noqa: BLE001
            unloaded = program.ERROR + Encoder().message(fault(error))
        for given in arguments:
            result = unloaded or _result(defined[request["name"]], given)
            sent += len(result) + VERDICT.size
            if sent > LONGEST:
                remote.lost = remote.lost or f"the results take more than {LONGEST} bytes"
            if remote.lost is not None:
                return GONE + remote.lost.encode()
            send(result)
    except MemoryError as error:
        return FAILED + _described(error)
    return PASSED


def _result(function: Callable[..., Any], arguments: Sequence[Any]) -> bytes:
    try:
        return program.VALUE + Encoder().message(function(*arguments))
    except Exception as error:
        if type(error) is MemoryError:  # the checker's own; the program's is of a class made by `remade`
            raise
        return program.ERROR + Encoder().message(fault(error))


def verdict(wire: Wire, request: Mapping[str, Any]) -> list[bytes]:
    """Runs the program and its tests. The last message is `PASSED`, `FAILED`, `GONE` or `BROKEN`, and a text;
    before it comes the `place` of a failure.
    """
    namespace: dict[str, Any] = {}
    try:
        given = compile(request["given"], "<given>", "exec")
        test = compile(request["test"], TEST, "exec")
        exec(given, namespace)  # noqa: S102
    except BaseException as error:  # noqa: BLE001
        return [BROKEN + _described(error)]
    details: list[bytes] = []
    remote = RemoteProgram(wire)
    try:
        defined = remote.load(request["source"], request["calls"], request["classes"])
        for name in (*request["calls"], *request["classes"]):
            namespace.pop(name, None)
        namespace |= defined
        exec(test, namespace)  # noqa: S102
        result = PASSED
    except BaseException as error:  # noqa: BLE001
        result = FAILED + _described(error)
        details = [place(error, request["test"], remote, request["calls"])]
    # Also if the tests expect an exception: a program whose process ended has not passed.
    return [*details, result if remote.lost is None else GONE + remote.lost.encode()]


def _described(error: BaseException) -> bytes:
    try:
        text = f"{type(error).__name__}: {error}"
    except BaseException:  # noqa: BLE001
        text = type(error).__name__
    return text[:_LONGEST_DETAIL].encode(errors="surrogatepass")
