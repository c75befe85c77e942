"""Worker processes with limits, for functions that may hang, use too much memory or crash.

The limit is one of CPU time, so that a busy machine gives the same verdict. The kernel ends a worker that
exceeds it, even in the middle of a long computation in C, and another copy of what was prepared replaces it.
Wall time has a limit too, so that no call lasts for ever, but it decides nothing: such a call failed, and can
be made again.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import mmap
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, ParamSpec, TypeAlias, TypeVar, cast

from evalkit.errors import ScorerError, WorkerError
from evalkit.identity.user_file import file_of_module, import_file
from evalkit.keys import without_keys
from evalkit.processes.framing import from_host, to_host
from evalkit.processes.pool import Child, Ended, Pool, python_path

_P = ParamSpec("_P")
_R = TypeVar("_R")
_MEGABYTE = 1 << 20
_START_SECONDS = 120.0
"""The wall time in which a worker must import what it needs."""
_ENDING = 1.0
"""The seconds in which a worker has to end its copy, before both are killed."""


class OverLimit(Exception):
    """A call exceeded its CPU time or memory; the message names the limit, such as "over 5 s of CPU time"."""


class Workers:
    """At most `count` worker processes (None: one per CPU), which are started when they are needed.

    `prepare` runs once in each process, before the first call and without limits: heavy imports belong there.
    `cpu_seconds` and `wall_seconds` limit one call; the wall time should be generous, as it is meant to end
    calls that wait and not slow ones. `memory_megabytes` limits the address space of the process. None means
    no limit. The environment variable EVALKIT_WORKER holds the number of the worker, from 0 to `count` - 1;
    variables that hold keys or passwords are left out, unless `keys` names them.

    With `--workers ray` the processes are on the nodes of a Ray cluster, `count` on each, unless `here` is
    true. `code`, `files`, `packages`: functions, files and distributions that decide the results, besides the
    functions that are called; a node where they differ is not used.

    It works in one event loop after the other, not in two at the same time. Processes end with the
    interpreter.
    """

    def __init__(
        self,
        prepare: Callable[[], object] | None = None,
        *,
        cpu_seconds: float | None = 5.0,
        wall_seconds: float = 60.0,
        memory_megabytes: int | None = 2048,
        count: int | None = None,
        keys: Sequence[str] = (),
        here: bool = False,
        code: Sequence[Callable[..., object]] = (),
        files: Sequence[Path] = (),
        packages: Sequence[str] = (),
    ) -> None:
        self._cpu_seconds = cpu_seconds
        self._wall_seconds = wall_seconds
        setup = {
            "prepare": place_of(prepare) if prepare else None,
            "cpu_seconds": cpu_seconds,
            "memory_megabytes": memory_megabytes,
            "keys": [*keys],
        }
        self._pool = Pool(
            functools.partial(_Worker, setup),
            count,
            here=here,
            code=(*code, *([prepare] if prepare else [])),
            files=files,
            packages=packages,
        )

    async def call(self, function: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Calls `function` in a worker and returns its result.

        The worker finds it by module and name, so it must be defined at the top level of a module that can be
        imported, or of a task's file. Arguments and result are plain JSON. Raises `OverLimit` if the call
        exceeds its CPU time or memory, `ScorerError` if it raises or its process crashes, and `WorkerError`
        if its process is killed or there is no result in `wall_seconds`, as on a machine that is too busy;
        other calls are not affected.
        """
        request = {"function": place_of(function), "args": args, "kwargs": kwargs}
        seconds = self._wall_seconds
        reply = await self._pool.use(lambda worker: worker.answer(request, seconds), code=(function,))
        if "over" in reply:
            raise OverLimit(str(reply["over"]))
        if "error" in reply:
            raise ScorerError(str(reply["error"]))
        return cast(_R, reply["result"])

    def close(self) -> None:
        """Ends every process. A later call starts new ones."""
        self._pool.close()


class _Worker(Child):
    """A process that runs one call after another."""

    def __init__(self, setup: Mapping[str, Any], number: int) -> None:
        self._setup = setup
        # One hash seed, because sympy's results may depend on the order of a set.
        own = {"PYTHONPATH": python_path(), "PYTHONHASHSEED": "0", "EVALKIT_WORKER": str(number)}
        command = [sys.executable, "-P", "-m", "evalkit.processes.workers"]
        super().__init__(command, without_keys(os.environ, setup["keys"]) | own)

    def _kill_group(self) -> None:
        # The process that waits for the copies ends them itself: if it were killed with them, nobody here
        # would wait for the last one. It may have been stopped, and then first has to go on.
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                for number in (signal.SIGTERM, signal.SIGCONT):
                    os.kill(self._process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_ENDING)
        super()._kill_group()

    async def ready(self) -> None:
        reply = await self.answer(self._setup, _START_SECONDS)
        if "error" in reply:
            raise ScorerError(f"a worker process cannot start: {reply['error']}")

    async def answer(self, request: object, wall_seconds: float) -> dict[str, Any]:
        try:
            reply: dict[str, Any] = json.loads(await self.ask(json.dumps(request).encode(), wall_seconds))
        except TimeoutError:
            raise WorkerError(f"a worker process gave no result in {wall_seconds:g} s of wall time") from None
        except Ended:
            raise self._crashed(self.wait()) from None
        if "memory" in reply:
            raise OverLimit(f"over {self._setup['memory_megabytes']} MB of memory")
        if "ended" not in reply:
            return reply
        code, cpu_seconds = reply["ended"], self._setup["cpu_seconds"]
        if code == -signal.SIGPROF and cpu_seconds is not None:
            return {"over": f"over {cpu_seconds:g} s of CPU time"}
        raise self._crashed(code)

    def _crashed(self, code: int) -> ScorerError:
        # A call cannot send itself SIGKILL by accident: the kernel does, when no memory is left, or somebody.
        kind = WorkerError if code == -signal.SIGKILL else ScorerError
        return kind(f"a worker process crashed ({self.how(code)})")


Place: TypeAlias = tuple[str, str, str]
"""The place of a function: (module, name, the module's file if it is one of the user's, else "")."""


def place_of(function: Callable[..., object]) -> Place:
    return function.__module__, function.__qualname__, file_of_module(function.__module__)


def find(place: Place) -> Callable[..., Any]:
    """The function at `place`; called in a worker."""
    name, attribute, file = place
    module = import_file(Path(file)) if file else importlib.import_module(name)
    return cast(Callable[..., Any], getattr(module, attribute))


def _serve() -> None:
    """The main function of a worker: it prepares, then answers calls until the host hangs up."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    host = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    setup = json.loads(from_host(host))
    functions: dict[Place, Callable[..., object]] = {}

    def prepare() -> None:
        if setup["prepare"]:
            find(setup["prepare"])()
        if setup["memory_megabytes"]:
            memory = setup["memory_megabytes"] * _MEGABYTE
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))

    def reply(work: Callable[[], object]) -> None:
        try:
            line = json.dumps({"result": work()})
        except MemoryError:
            line = json.dumps({"memory": True})
        except Exception as error:  # noqa: BLE001 — any error concerns only this call
            line = json.dumps({"error": f"{type(error).__name__}: {error}"[:300]})
        signal.setitimer(signal.ITIMER_PROF, 0)
        busy[0] = 0
        to_host(host, line.encode())

    busy = mmap.mmap(-1, 1)  # shared with the copies of this process
    reply(prepare)
    _replace_copies(host, busy)
    while True:
        request = json.loads(from_host(host))
        busy[0] = 1

        def work(request: dict[str, Any] = request) -> object:
            place: Place = tuple(request["function"])
            if place not in functions:
                functions[place] = find(place)
            # SIGPROF has no handler: the kernel ends this process when the CPU time is used up.
            signal.setitimer(signal.ITIMER_PROF, setup["cpu_seconds"] or 0)
            return functions[place](*request["args"], **request["kwargs"])

        reply(work)


def _replace_copies(host: socket.socket, busy: mmap.mmap) -> None:
    """Returns in a copy of this process, in which calls are made; a copy that ends is replaced by another.

    A new process would have to prepare again, which takes seconds. If a copy ends in a call, the host gets
    its exit code, or minus the signal's number. SIGTERM ends the copy, and then everything in the group.
    """
    copy = 0

    def end(number: int, frame: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            if copy:
                os.kill(copy, signal.SIGKILL)
                os.waitpid(copy, 0)
        os.killpg(0, signal.SIGKILL)

    signal.signal(signal.SIGTERM, end)
    while copy := os.fork():
        code = os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1])
        if not busy[0] and code == 0:  # the host hung up
            os._exit(0)
        if not busy[0]:  # somebody killed the copy
            continue
        busy[0] = 0
        try:
            to_host(host, json.dumps({"ended": code}).encode())
        except OSError:
            os._exit(0)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


if __name__ == "__main__":
    _serve()
