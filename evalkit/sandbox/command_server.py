"""The server inside the sandbox that runs commands: each is a process of its own, a program or a shell.

Every fresh command gets an empty /tmp and a new process namespace. The first process of that namespace does
nothing but wait for processes that lose their parent. So the command gets all signals, also those that the
first process of a namespace does not get, and all its processes end when that first process is ended. The
commands of a session share /tmp and the namespace.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import struct
import sys
from binascii import a2b_base64
from pathlib import Path
from typing import NoReturn, TypedDict

from evalkit.processes.framing import from_host, to_host
from evalkit.sandbox import confine, guest
from evalkit.sandbox.clock import STEP, Clock

HEAD = struct.Struct("!BidIII")
"""The head of an answer, after `guest.REPORT`: why the command ended, its exit code or minus the signal's
number, its CPU seconds, and the lengths of standard output, standard error and state, which follow."""
ITSELF, CPU, WALL, OUTPUT, TOLD, STARVED = range(6)
"""Why a command ended: by itself, at a limit, because the host asked for it, or because the machine was too
busy to run it."""
STATE = 30
"""The descriptor to which a session's shell writes what it keeps for the next command."""
_LONGEST_STATE = 1 << 16
_SHORTEST_PAUSE = 0.01
"""The least seconds between two readings of the CPU time."""
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


class CommandSettings(TypedDict):
    """The settings that the host sends once."""

    filters: list[str]
    """The system-call filters of programs, in hexadecimal."""
    filters_of_many: list[str]
    """The system-call filters of commands that may start other processes."""
    numpy: str
    """A file of numpy, "" for none."""


class CommandRequest(TypedDict):
    """A request of the host. `files`: name below /tmp, contents in base64, and whether it is executable."""

    command: list[str]
    environment: dict[str, str]
    folder: str
    stdin: str
    files: list[tuple[str, str, bool]]
    limits: dict[str, int]
    cpu_seconds: float
    wall_seconds: float
    output_bytes: int
    scratch_megabytes: int
    fresh: bool
    many: bool


def main() -> None:
    guest.run(lambda host, settings: CommandServer(host, settings).serve)


class CommandServer:
    """Runs one command after another."""

    def __init__(self, host: socket.socket, settings: CommandSettings) -> None:
        self._host = host
        self._filters = [bytes.fromhex(code) for code in settings["filters"]]
        self._filters_of_many = [bytes.fromhex(code) for code in settings["filters_of_many"]]
        confine.lend_read_only()
        self._namespaces = confine.Namespaces()
        self._nobody: confine.Nobody | None = None
        if os.getuid() != confine.NOBODY:
            files = (sys.executable, json.__file__, settings["numpy"])
            self._nobody = confine.Nobody(filter(None, files))
            if self._nobody.files_as != confine.NOBODY:
                raise OSError(
                    f"programs run as the user nobody, who cannot read {sys.executable}, its modules or numpy"
                )
        self._first = 0
        """The id of the first process of the namespace in which commands run; 0 for none."""

    def serve(self) -> None:
        """Runs the requested command, or ends all that still runs. Ends this process if that fails."""
        request = json.loads(from_host(self._host))
        try:
            if "end" in request:
                self._end_all()
            else:
                to_host(self._host, self._run(request))
        except OSError as error:
            guest.say_trouble(self._host, error)
            os._exit(1)

    def _run(self, request: CommandRequest) -> bytes:
        if request["fresh"]:
            self._end_all()
            confine.fresh_scratch(request["scratch_megabytes"], confine.NOBODY)
        if not self._first:
            self._begin()
        filters = self._filters_of_many if request["many"] else self._filters
        command = Command(request, confine.Confinement(request["limits"], filters, self._nobody))
        why = command.listen(self._host, self._clock(request))
        if request["fresh"] or why != ITSELF:
            os.kill(self._first, signal.SIGKILL)  # which ends all processes of the namespace
        _, status, used = os.wait4(command.process, 0)
        if request["fresh"] or why != ITSELF:
            self._end_all()
        seconds = used.ru_utime + used.ru_stime
        return command.answer(why, os.waitstatus_to_exitcode(status), seconds)

    def _clock(self, request: CommandRequest) -> Clock:
        # In a session, commands can keep each other waiting; and what ends them is no verdict.
        waited = (lambda: guest.waited(self._host)) if request["fresh"] else None
        return Clock(request["wall_seconds"], waited)

    def _begin(self) -> None:
        self._first = self._namespaces.stay_in_new()
        if self._first:
            return
        try:
            confine.keep_only()
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that ended children leave no zombies
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            confine.Confinement({}, self._filters, self._nobody).apply()
            while True:
                signal.pause()
        finally:
            os._exit(1)

    def _end_all(self) -> None:
        if self._first:
            os.kill(self._first, signal.SIGKILL)
            os.waitpid(self._first, 0)
            self._namespaces.come_back()
            self._first = 0


class Command:
    """One command, which starts when the object is made."""

    def __init__(self, request: CommandRequest, confinement: confine.Confinement) -> None:
        self._request = request
        self._stdin = memoryview(a2b_base64(request["stdin"]))
        theirs_in, self._in = os.pipe()
        out, theirs_out = os.pipe()
        errors, theirs_errors = os.pipe()
        state, theirs_state = os.pipe()
        trouble, theirs_trouble = os.pipe()
        self._said = {out: bytearray(), errors: bytearray(), state: bytearray()}
        most = request["output_bytes"]
        self._most = {out: most, errors: most, state: _LONGEST_STATE}
        theirs = (theirs_in, theirs_out, theirs_errors, theirs_state)
        self.process = os.fork()
        if not self.process:
            self._become(confinement, theirs, theirs_trouble)
        for descriptor in (*theirs, theirs_trouble):
            os.close(descriptor)
        words = os.read(trouble, 1 << 12)  # empty if the command has started
        os.close(trouble)
        if words:
            raise OSError(words.decode(errors="replace"))
        for descriptor in (self._in, *self._said):
            os.set_blocking(descriptor, False)

    def _become(
        self, confinement: confine.Confinement, streams: tuple[int, int, int, int], trouble: int
    ) -> NoReturn:
        try:
            os.setsid()
            for descriptor, number in zip(streams, (0, 1, 2, STATE), strict=True):
                os.dup2(descriptor, number)
            confine.keep_only(*sorted({STATE, trouble} if self._request["many"] else {trouble}))
            confinement.apply()
            for number in _IGNORED_BY_PYTHON:
                signal.signal(number, signal.SIG_DFL)
            os.chdir(self._request["folder"])
            for name, content, is_program in self._request["files"]:
                path = Path(name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(a2b_base64(content))
                if is_program:
                    path.chmod(0o755)
            command = self._request["command"]
            os.execve(command[0], command, self._request["environment"])  # noqa: S606
        except BaseException as error:  # noqa: BLE001 — the server has to learn of any error
            os.write(trouble, str(error).encode(errors="replace"))
        finally:
            os._exit(127)

    def listen(self, host: socket.socket, clock: Clock) -> int:
        """Waits until the command has ended, or reaches a limit, or the host ends it: the reason."""
        ended = os.pidfd_open(self.process)
        events = select.poll()
        for descriptor in (ended, host.fileno(), *self._said):
            events.register(descriptor, select.POLLIN)
        events.register(self._in, select.POLLOUT)
        try:
            while True:
                clock.look()
                left = self._request["cpu_seconds"] - confine.cpu_seconds(self.process)
                if min(clock.left, left) <= 0:
                    return WALL if clock.left <= left else CPU
                if clock.starved:
                    return STARVED
                pause = max(min(clock.left, left, STEP), _SHORTEST_PAUSE)
                ready = [found for found, _ in events.poll(pause * 1000)]
                if host.fileno() in ready:
                    from_host(host)  # only a request to end the command can arrive now
                    return TOLD
                if self._in in ready and not self._feed():
                    events.unregister(self._in)
                    self._close_input()
                for descriptor in self._said.keys() & set(ready):
                    if not self._hear(descriptor):
                        events.unregister(descriptor)
                if any(len(said) > self._most[descriptor] for descriptor, said in self._said.items()):
                    return OUTPUT
                if ended in ready:
                    return ITSELF
        finally:
            os.close(ended)

    def answer(self, why: int, status: int, seconds: float) -> bytes:
        """The answer to the host, including what is still in the pipes."""
        for descriptor, said in self._said.items():
            while len(said) <= self._most[descriptor] and self._hear(descriptor):
                pass
            os.close(descriptor)
        self._close_input()
        texts = [said[: self._most[descriptor]] for descriptor, said in self._said.items()]
        if why == ITSELF and any(len(said) > self._most[at] for at, said in self._said.items()):
            why = OUTPUT
        return b"".join((guest.REPORT, HEAD.pack(why, status, seconds, *map(len, texts)), *texts))

    def _feed(self) -> bool:
        """Writes a part of the standard input: whether more of it is left."""
        try:
            self._stdin = self._stdin[os.write(self._in, self._stdin[: 1 << 16]) :]
        except BlockingIOError:
            return True
        except OSError:  # the command has closed its standard input, or ended
            return False
        return bool(self._stdin)

    def _close_input(self) -> None:
        if self._in >= 0:
            os.close(self._in)
            self._in = -1

    def _hear(self, descriptor: int) -> bool:
        """Reads what a pipe holds: whether there may be more, now or later."""
        try:
            part = os.read(descriptor, 1 << 16)
        except BlockingIOError:
            return False
        self._said[descriptor] += part
        return bool(part)
