"""The server inside the sandbox: it forks two processes for every program, one of which checks the other.

It imports once what programs use, and forks for each program, because starting Python takes 20 times as
long as a fork. The server never reads a request: the checker does. So the memory that a program inherits
from the server never contains a test or another sample.
"""

from __future__ import annotations

import gc
import importlib
import mmap
import os
import select
import signal
import socket
import struct
import sys
from collections.abc import Callable
from typing import NamedTuple, NoReturn, TypedDict

from evalkit.processes.framing import to_host
from evalkit.sandbox import checker, confine, guest, program
from evalkit.sandbox.checker import BEGAN, VERDICT
from evalkit.sandbox.clock import STEP, Clock
from evalkit.sandbox.codec import Encoder
from evalkit.sandbox.guest import REPORT
from evalkit.sandbox.wire import LONGEST, Wire

HEAD = struct.Struct("!???idid")
"""The head of a report, after `REPORT`: whether the program was ended for its wall time, its CPU time, and
because this machine was too busy; the exit code and CPU seconds of the program, and of its checker. The
checker's messages follow."""
_ROOM = LONGEST + (1 << 16)
"""The most bytes that a checker may send for one program."""
_SHORTEST_PAUSE = 0.01
"""The least seconds between two readings of the CPU time."""
_USED = (
    "bisect", "collections", "copy", "functools", "heapq", "itertools", "math", "operator", "random", "re",
    "string", "typing",
)  # fmt: skip
"""The modules that programs import most. Each of them makes every fork slower; numpy by a quarter."""
_ROUNDS = 20
_SOURCE = "from typing import List\n\n\ndef f(x: List[int]) -> List[int]:\n    return [y for y in x if y]\n"
_TEST = "def check(f):\n    assert f([1, 2.5, 'a']) == [1, 2.5, 'a']\n\n\ncheck(f)\n"
_REQUEST = {"source": _SOURCE, "calls": ["f"], "classes": [], "given": _SOURCE, "test": _TEST}


class CheckSettings(TypedDict):
    """The settings that the host sends once."""

    sandboxed: bool
    limits: dict[str, int]
    cpu_seconds: float
    wall_seconds: float
    scratch_megabytes: int
    filters: list[str]
    """The system-call filters of programs and checkers, in hexadecimal."""
    packages: str
    """A folder to import from, after the standard library; "" for none."""


def main() -> None:
    guest.run(_start)


def _start(host: socket.socket, settings: CheckSettings) -> Callable[[], None]:
    server = CheckServer(host, settings)
    _import_used()
    _warm_up()
    for name in [name for name in sys.modules if name.partition(".")[0] == "evalkit"]:
        del sys.modules[name]  # programs cannot import evalkit
    if settings["packages"]:
        sys.path.append(settings["packages"])
    gc.collect()
    gc.freeze()
    return server.serve


def _import_used() -> None:
    # `random` would draw a new seed in every fork, which takes a quarter of the fork's time. Without that,
    # tests that draw their inputs draw the same inputs for every program.
    register, os.register_at_fork = os.register_at_fork, lambda **_: None
    try:
        for name in _USED:
            importlib.import_module(name)
    finally:
        os.register_at_fork = register
    sys.modules["random"].seed(0)


def _read_by_programs(packages: str) -> list[str]:
    """Files that represent all that programs import: those of the loaded modules, and one of numpy."""
    loaded = [(name, getattr(module, "__file__", None)) for name, module in sys.modules.items()]
    files = [file for name, file in loaded if file and name.partition(".")[0] != "evalkit"]
    return [*files, f"{packages}/numpy/__init__.py"] if packages else files


def _warm_up() -> None:
    """Does what every fork does, because Python specialises code as it runs: so it need not in each fork."""
    for _ in range(_ROUNDS):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            wire = Wire(ours.fileno())
            wire.send(program.request(_SOURCE, ["f"]))
            wire.send(Encoder().message((0, ([1, 2.5, "a"],), ())))
            ours.sendall(b"\xff" * 4)  # not a valid length, so `serve` ends
            program.serve(Wire(theirs.fileno()))
            checker.verdict(wire, _REQUEST)


class Heard(NamedTuple):
    """How far the checker got: its messages are complete, or it was late, over its CPU time, or starved."""

    late: bool = False
    over: bool = False
    starved: bool = False
    complete: bool = False
    end: int = 0
    """Where the checker's last whole message ends."""


class CheckServer:
    """Checks one program after another, each in processes of its own."""

    def __init__(self, host: socket.socket, settings: CheckSettings) -> None:
        self._host, self._settings = host, settings
        filters = [bytes.fromhex(code) for code in settings["filters"]]
        self._namespaces: confine.Namespaces | None = None
        nobody: confine.Nobody | None = None
        if settings["sandboxed"]:
            confine.lend_read_only()
            self._namespaces = confine.Namespaces()
            if os.getuid() != confine.NOBODY:
                nobody = confine.Nobody(_read_by_programs(settings["packages"]))
        self._owner = nobody.files_as if nobody else confine.NOBODY
        self._confinement = confine.Confinement(settings["limits"], filters, nobody)
        self._arrived = mmap.mmap(-1, _ROOM, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        """What the checker sends, in memory that is cleared for the next program."""
        self._program = self._checker = 0
        """The ids of the two processes; 0 for none."""
        self._to_checker = host

    def serve(self) -> None:
        """Checks one program and reports to the host. Ends this process if it cannot start one."""
        scratch = ""
        try:
            if self._namespaces is not None:
                confine.fresh_scratch(self._settings["scratch_megabytes"], self._owner)
            else:
                import tempfile

                scratch = tempfile.mkdtemp()
            self._start(scratch or os.fsdecode(confine.SCRATCH))
            heard = self._listen()
        except OSError as error:
            guest.say_trouble(self._host, error)
            self._end()
        self._report(heard)
        if scratch:
            import shutil

            shutil.rmtree(scratch, ignore_errors=True)

    def _start(self, scratch: str) -> None:
        """Starts a checker, which reads the request, and the program's process, which never sees it."""
        fork = os.fork if self._namespaces is None else self._namespaces.fork_into_new
        self._to_checker, to_server = socket.socketpair()
        to_program, to_checker = socket.socketpair()

        def check() -> None:
            checker.serve(to_server, self._host, Wire(to_program.fileno()))

        def run_program() -> None:
            os.chdir(scratch)
            program.serve(Wire(to_checker.fileno()))

        with to_server, to_program, to_checker:
            self._checker = self._fork(os.fork, check, to_server, to_program, self._host)
            self._program = self._fork(fork, run_program, to_checker)

    def _fork(
        self,
        fork: Callable[[], int],
        work: Callable[[], None],
        *sockets: socket.socket,
    ) -> int:
        pid = fork()
        if pid:
            return pid
        try:
            os.setsid()  # otherwise its signals to its own process group would reach the server
            confine.keep_only(*(each.fileno() for each in sockets))
            self._confinement.apply()
            work()
        finally:
            os._exit(0)

    def _listen(self) -> Heard:
        """Waits for the verdict until a limit is reached."""
        events = select.poll()
        events.register(self._to_checker, select.POLLIN)
        events.register(self._host, 0)
        n, at = 0, len(BEGAN)
        clock: Clock | None = None
        pause: float | None = None
        while True:
            found = events.poll(pause)
            if any(descriptor == self._host.fileno() for descriptor, _ in found):
                self._end()  # the host has hung up
            if found:
                more = self._to_checker.recv_into(memoryview(self._arrived)[n:])
                if not more and not n:
                    self._end()  # the rest of this request would be taken for the next one
                if not more:
                    return Heard(end=at)
                if clock is None:
                    clock = self._clock()
                n += more
                while n >= at + VERDICT.size:
                    more_comes, length = VERDICT.unpack_from(self._arrived, at)
                    if n < at + VERDICT.size + length:
                        break
                    at += VERDICT.size + length
                    if not more_comes:
                        return Heard(complete=True, end=at)
            if clock is not None:
                clock.look()
                used = confine.cpu_seconds(self._program) + confine.cpu_seconds(self._checker)
                left = clock.left, self._settings["cpu_seconds"] - used
                if min(left) <= 0 or clock.starved:
                    return Heard(left[0] <= 0, left[1] <= 0, clock.starved, end=at)
                pause = max(min(*left, STEP), _SHORTEST_PAUSE) * 1000

    def _clock(self) -> Clock:
        limit, children = self._settings["wall_seconds"], (self._program, self._checker)
        return Clock(limit, lambda: guest.waited(self._host), children)

    def _report(self, heard: Heard) -> None:
        ends = *self._kill(self._program), *self._kill(self._checker)
        self._program = self._checker = 0
        self._to_checker.close()
        head = REPORT + HEAD.pack(heard.late, heard.over, heard.starved, *ends)
        with memoryview(self._arrived) as arrived, arrived[len(BEGAN) : heard.end] as said:
            to_host(self._host, head, said)
        self._forget()

    def _forget(self) -> None:
        """Clears what the checker sent: it may quote this program, and the next one inherits this memory."""
        if confine.LINUX:
            self._arrived.madvise(mmap.MADV_DONTNEED)  # afterwards it is all zeros
        else:
            self._arrived[:] = bytes(_ROOM)

    def _kill(self, pid: int) -> tuple[int, float]:
        """Kills a process: its exit code, or minus the signal's number, and its seconds of CPU time."""
        os.kill(pid, signal.SIGKILL)
        _, status, used = os.wait4(pid, 0)
        return os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime

    def _end(self) -> NoReturn:
        for pid in (self._program, self._checker):
            if pid:
                self._kill(pid)
        os._exit(1)
