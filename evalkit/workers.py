"""Worker processes with limits, for functions that may hang, use too much memory or crash.

The limit of a call is CPU time, so that the verdict does not depend on the load of the machine. The kernel
ends a worker that exceeds its limit, even during a long computation in C; a new worker replaces it. A worker
also ends when its host process ends, because this closes their socket.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, ParamSpec, TypeAlias, TypeVar, cast

from evalkit.errors import ScorerError
from evalkit.identity.user_file import file_of_module, import_file

_P = ParamSpec("_P")
_R = TypeVar("_R")
_MEGABYTE = 1 << 20
_CHUNK = 1 << 16
_START_SECONDS = 120.0
"""The wall time in which a worker must import what it needs."""


class OverLimit(Exception):
    """A call exceeded a limit; the message names it, such as "over 5 s of CPU time"."""


class Workers:
    """At most `count` worker processes (None: one per CPU), which are started when they are needed.

    `prepare` runs once in each process, before the first call and without limits: heavy imports belong there.
    `cpu_seconds` and `wall_seconds` limit one call; the wall time should be generous, as it is meant to end
    calls that wait and not slow ones. `memory_megabytes` limits the address space of the process. None means
    no limit. The environment variable EVALKIT_WORKER holds the number of the worker, from 0 to `count` - 1.

    The workers can be used in several event loops, one after the other but not at the same time. Processes
    that are not closed end with the interpreter.
    """

    def __init__(
        self,
        prepare: Callable[[], object] | None = None,
        *,
        cpu_seconds: float | None = 5.0,
        wall_seconds: float = 60.0,
        memory_megabytes: int | None = 2048,
        count: int | None = None,
    ) -> None:
        self._cpu_seconds = cpu_seconds
        self._wall_seconds = wall_seconds
        self._memory_megabytes = memory_megabytes
        self._count = count or len(os.sched_getaffinity(0))
        self._setup = {
            "prepare": place_of(prepare) if prepare else None,
            "cpu_seconds": cpu_seconds,
            "memory": memory_megabytes and memory_megabytes * _MEGABYTE,
        }
        self._slots = asyncio.Semaphore(self._count)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._idle: list[_Worker] = []
        self._alive: set[_Worker] = set()
        weakref.finalize(self, _end_all, self._alive)

    async def call(self, function: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Calls `function` in a worker and returns its result.

        The worker finds it by module and name, so it must be defined at the top level of a module that can be
        imported, or of a task's file. Arguments and result are plain JSON. Raises `OverLimit` if the call
        exceeds a limit, and `ScorerError` if it raises or its process crashes; other calls are not affected.
        """
        request = {"function": place_of(function), "args": args, "kwargs": kwargs}
        async with self._slot():
            worker = self._take() or await self._start()
            try:
                reply = await self._answer(worker, request, self._wall_seconds)
            except BaseException:  # also for a cancelled call: its worker is still busy
                self._end(worker)
                raise
            self._idle.append(worker)
        if "error" in reply:
            raise ScorerError(str(reply["error"]))
        return cast(_R, reply["result"])

    def close(self) -> None:
        """Ends every process. A later call starts new ones."""
        self._idle.clear()
        _end_all(self._alive)

    def _slot(self) -> asyncio.Semaphore:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # a semaphore belongs to the first loop that waits on it
            self._loop, self._slots = loop, asyncio.Semaphore(self._count)
        return self._slots

    def _take(self) -> _Worker | None:
        while self._idle:
            worker = self._idle.pop()
            if worker.process.poll() is None:
                return worker
            self._end(worker)  # another program killed it while it was idle
        return None

    async def _start(self) -> _Worker:
        numbers = {worker.number for worker in self._alive}
        worker = _Worker.start(next(n for n in range(self._count + 1) if n not in numbers))
        self._alive.add(worker)
        try:
            reply = await self._answer(worker, self._setup, _START_SECONDS)
        except BaseException:
            self._end(worker)
            raise
        if "error" in reply:
            self._end(worker)
            raise ScorerError(f"a worker process cannot start: {reply['error']}")
        return worker

    async def _answer(self, worker: _Worker, request: object, wall_seconds: float) -> dict[str, Any]:
        try:
            async with asyncio.timeout(wall_seconds):
                line = await worker.exchange(request)
        except TimeoutError:
            raise OverLimit(f"over {wall_seconds:g} s of wall time") from None
        if not line:
            raise self._failure(worker)
        reply: dict[str, Any] = json.loads(line)
        if "memory" in reply:
            raise OverLimit(f"over {self._memory_megabytes} MB of memory")
        return reply

    def _failure(self, worker: _Worker) -> Exception:
        """The reason why a worker ended without a reply."""
        code = worker.process.wait()
        if code == -signal.SIGPROF and self._cpu_seconds is not None:
            return OverLimit(f"over {self._cpu_seconds:g} s of CPU time")
        how = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        return ScorerError(f"a worker process crashed ({how}) {worker.last_words()}".rstrip())

    def _end(self, worker: _Worker) -> None:
        worker.end()
        self._alive.discard(worker)


@dataclass(eq=False)
class _Worker:
    """A process, the host's end of the socket to it, and its standard error."""

    process: subprocess.Popen[bytes]
    channel: socket.socket
    errors: IO[bytes]
    number: int

    @classmethod
    def start(cls, number: int) -> _Worker:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        errors = tempfile.TemporaryFile()  # noqa: SIM115 — closed in `end`
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)  # noqa: PTH109
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "evalkit.workers", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,  # Ctrl-C must reach only the host, which ends its workers
                # A fixed hash seed, because the results of sympy depend on the order of sets.
                env={
                    **os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "0", "EVALKIT_WORKER": str(number),
                },
            )  # fmt: skip
        return cls(process, ours, errors, number)

    async def exchange(self, request: object) -> bytes:
        """Sends a request and returns the line of the reply; empty if the process ended."""
        loop = asyncio.get_running_loop()
        line = b""
        try:
            await loop.sock_sendall(self.channel, json.dumps(request).encode() + b"\n")
            while not line.endswith(b"\n"):
                chunk = await loop.sock_recv(self.channel, _CHUNK)
                if not chunk:
                    return b""
                line += chunk
        except ConnectionError:
            return b""
        return line

    def last_words(self) -> str:
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else ""

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.channel.close()
        self.errors.close()


def _end_all(workers: set[_Worker]) -> None:
    while workers:
        workers.pop().end()


Place: TypeAlias = tuple[str, str, str]
"""The place of a function: (module, name, the module's file if it is one of the user's, else "")."""


def place_of(function: Callable[..., object]) -> Place:
    return function.__module__, function.__qualname__, file_of_module(function.__module__)


def find(place: Place) -> Callable[..., Any]:
    """The function at `place`; called in a worker."""
    name, attribute, file = place
    module = import_file(Path(file)) if file else importlib.import_module(name)
    return cast(Callable[..., Any], getattr(module, attribute))


def _serve(channel: socket.socket) -> None:
    """The main loop of a worker: it sets itself up, then answers calls until the host closes the socket."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    stream = channel.makefile("rwb")
    setup = json.loads(stream.readline())
    functions: dict[Place, Callable[..., object]] = {}

    def prepare() -> None:
        if setup["prepare"]:
            find(setup["prepare"])()
        if setup["memory"]:
            resource.setrlimit(resource.RLIMIT_AS, (setup["memory"], setup["memory"]))

    def reply(work: Callable[[], object]) -> None:
        try:
            line = json.dumps({"result": work()})
        except MemoryError:
            line = json.dumps({"memory": True})
        except Exception as error:  # noqa: BLE001 — any error concerns only this call
            line = json.dumps({"error": f"{type(error).__name__}: {error}"[:300]})
        signal.setitimer(signal.ITIMER_PROF, 0)
        stream.write(line.encode() + b"\n")
        stream.flush()

    reply(prepare)
    for request in map(json.loads, stream):

        def work(request: dict[str, Any] = request) -> object:
            place: Place = tuple(request["function"])
            if place not in functions:
                functions[place] = find(place)
            # SIGPROF has no handler: the kernel ends this process when the CPU time is used up.
            signal.setitimer(signal.ITIMER_PROF, setup["cpu_seconds"] or 0)
            return functions[place](*request["args"], **request["kwargs"])

        reply(work)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
