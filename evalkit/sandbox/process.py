"""The host's end of one server: starts it, sends requests, and reports how each of them ended."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from evalkit.errors import SandboxError
from evalkit.processes.pool import Child, Ended, Pool
from evalkit.sandbox import bwrap
from evalkit.sandbox.check_server import HEAD, CheckSettings
from evalkit.sandbox.checker import VERDICT
from evalkit.sandbox.clock import PATIENCE
from evalkit.sandbox.guest import READY, REPORT, TROUBLE, WAITED
from evalkit.sandbox.hidden import hidden, hide_folders
from evalkit.sandbox.inside import seconds_waited, under
from evalkit.sandbox.seccomp import program_filter, system_filter
from evalkit.sandbox.shown import PACKAGES, numpy_folders

MOST_THREADS = 1024
TWICE = "its sandbox ended with it, and again in a fresh one"
"""The detail of a program with which two servers ended."""
_TO_START = 60.0
"""Seconds that a server may take to start."""
_GRACE = 10.0
"""Seconds after which a server that should have ended its program is given up."""


@dataclass(frozen=True, slots=True)
class End:
    """How a process ended: its exit code, or minus the signal's number, and its seconds of CPU time."""

    code: int
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Report:
    """The server's report on one program.

    `late`, `over`: whether it used up its wall time, its CPU time. `starved`: whether it was ended because
    the machine was too busy to run it.
    """

    late: bool
    over: bool
    starved: bool
    program: End
    checker: End
    said: tuple[bytes, ...]
    """What the checker sent: the results of calls, and last its verdict, unless it was ended before that."""
    complete: bool
    """Whether the last of `said` is the verdict."""


class ServerProcess(Child):
    """One server, which answers one request after another."""

    guest = "check_server"
    """The module that the server runs."""

    def __init__(self, settings: Mapping[str, Any], *, sandboxed: bool = True, more: bool = False) -> None:
        self._settings = settings
        self._hidden = hidden()
        self.killed = sandboxed  # killing bubblewrap ends all that is in the sandbox
        self._beginning, begins = socket.socketpair()
        """For root: here bubblewrap tells which process it started, and waits for `map_ids`."""
        self._beginning.setblocking(False)
        waits = begins.dup()
        with begins, waits, tempfile.TemporaryFile() as rules:
            passed = [rules.fileno()]
            if sandboxed:
                rules.write(system_filter())
                rules.seek(0)
                waiting = (begins.fileno(), waits.fileno()) if os.geteuid() == 0 else None
                passed += waiting or ()
                command = bwrap.bwrap_command(self.guest, rules.fileno(), waiting, self._hidden, more=more)
            else:
                command = bwrap.python_command(str(bwrap.PACKAGE), self.guest)
            super().__init__(command, bwrap.ENVIRONMENT, passed)

    @property
    def alive(self) -> bool:
        """Whether the server can be asked. It cannot if it has ended, as it does with the thread that started
        it, or if more folders are hidden now than when it started."""
        return super().alive and self._hidden == hidden()

    async def ready(self) -> None:
        """Waits until the server answers. Raises `SandboxError` if it does not start."""
        with contextlib.suppress(Ended, OSError):
            async with asyncio.timeout(_TO_START):
                await self._map_ids()
                await self.send(json.dumps(self._settings).encode())
                if _checked(await self.receive()) == READY:
                    return
        code = self.kill()
        raise SandboxError(self.words()[-300:] or f"it ended before it was ready (exit status {code})")

    async def _map_ids(self) -> None:
        """Answers bubblewrap if it waits, and returns at once if it does not. Raises `SandboxError`."""
        loop, info = asyncio.get_running_loop(), b""
        while b"}" not in info:
            part = await loop.sock_recv(self._beginning, 1 << 12)
            if not part:
                return
            info += part
        try:
            bwrap.map_ids(json.loads(info)["child-pid"])
        except FileNotFoundError:  # the process has ended, and its standard error tells why
            return
        except OSError as error:
            raise SandboxError(f"the sandbox cannot get its users: {error}") from error
        await loop.sock_sendall(self._beginning, b"+")

    async def report(self, request: bytes, seconds: float) -> bytes:
        """The server's report on a request.

        `seconds`: the program's limit on wall time. Raises `Ended`, and `SandboxError` if the server cannot
        run anything, or does not answer in time: no program can delay it, so the machine does.
        """
        longest = PATIENCE * seconds + _GRACE
        try:
            async with asyncio.timeout(longest):
                await self.send(request)
                while (answer := await self.receive()) == WAITED:
                    await self.send(b"%f" % await asyncio.to_thread(self._seconds_waited))
            return _checked(answer).removeprefix(REPORT)
        except TimeoutError:
            raise too_busy(longest) from None

    def _seconds_waited(self) -> float:
        """Of the processes that the server started; they take turns, so their waits are added."""
        around = 2 if self.killed else 1  # bubblewrap, the server
        return sum(map(seconds_waited, under(self._process.pid)[around:]))

    def kill(self) -> int:
        self._beginning.close()
        return super().kill()


class TooBusy(SandboxError):
    """The machine did not let a program run."""


def too_busy(seconds: float) -> TooBusy:
    """The error for a program that the machine did not run enough in `seconds` of wall time."""
    return TooBusy(
        f"this machine was too busy to run the program within {seconds:g} s, so there is no verdict: "
        "the same command runs it again"
    )


def _checked(answer: bytes) -> bytes:
    """`answer`; raises `SandboxError` if it is a `TROUBLE`."""
    if answer.startswith(TROUBLE):
        raise SandboxError(answer[len(TROUBLE) :].decode(errors="replace"))
    return answer


_Server = TypeVar("_Server", bound=ServerProcess)
_Found = TypeVar("_Found")


async def use(servers: Pool[_Server], work: Callable[[_Server], Awaitable[_Found]]) -> _Found | None:
    """The result of `work` with a server. Raises `SandboxError` if no server can be started.

    If the server ends, the work is tried once more, in a fresh server that does nothing else. Returns None if
    that one ends too.
    """
    try:
        hides = functools.partial(hide_folders, *map(Path, hidden()))
        return await servers.use(work, again=(Ended, SandboxError), before=hides)
    except Ended:
        return None


class CheckProcess(ServerProcess):
    """One server, which checks one program after another."""

    async def check(self, request: bytes) -> Report:
        """The report on a request (JSON). Raises `Ended`, and `SandboxError` if it cannot run anything."""
        answer = await self.report(request, self._settings["wall_seconds"])
        late, over, starved, code, cpu, checker_code, checker_cpu = HEAD.unpack_from(answer)
        messages, more = _messages(answer[HEAD.size :])
        return Report(late, over, starved, End(code, cpu), End(checker_code, checker_cpu), messages, not more)


def _messages(arrived: bytes) -> tuple[tuple[bytes, ...], bool]:
    """The messages that a checker sent, and whether further ones should have followed."""
    found: list[bytes] = []
    at, more = 0, True
    while at < len(arrived):
        more, length = VERDICT.unpack_from(arrived, at)
        at += VERDICT.size + length
        found.append(arrived[at - length : at])
    return tuple(found), more


def settings(
    limits: dict[str, int], cpu_seconds: float, wall_seconds: float, scratch_megabytes: int, *, unsafe: bool
) -> CheckSettings:
    """The settings of a server. Raises `UsageError` on a machine whose system calls are not known here."""
    filters: list[bytes] = []
    if sys.platform == "linux":
        filters = [system_filter(), program_filter(sandboxed=False)] if unsafe else [program_filter()]
    if not unsafe:
        # Threads and pending signals; both limits count all processes of a user, outside the sandbox too.
        limits = {**limits, "RLIMIT_NPROC": MOST_THREADS, "RLIMIT_SIGPENDING": MOST_THREADS}
    folders = numpy_folders()
    packages = str(folders[0].parent) if unsafe and folders else PACKAGES
    return CheckSettings(
        sandboxed=not unsafe,
        limits=limits,
        cpu_seconds=cpu_seconds,
        wall_seconds=wall_seconds,
        scratch_megabytes=scratch_megabytes,
        filters=[code.hex() for code in filters],
        packages=packages if folders else "",
    )
