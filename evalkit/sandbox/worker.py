"""The host's end of one server: starts it, sends requests, tells how each ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.errors import SandboxError
from evalkit.sandbox import bwrap, codec, confine, judge, line, program, runner, server, standin
from evalkit.sandbox.hidden import hidden
from evalkit.sandbox.judge import VERDICT
from evalkit.sandbox.line import LENGTH
from evalkit.sandbox.seccomp import program_filter, system_filter
from evalkit.sandbox.server import HEAD, READY, REPORT, TROUBLE, Settings
from evalkit.sandbox.shown import PACKAGES, numpy_folders

GUESTS = (codec, confine, judge, line, program, runner, server, standin)
"""Named so that a signature covers what runs in the sandbox."""
MOST_THREADS = 1024
_TO_START = 60.0
_GRACE = 10.0
"""Seconds after which a server is given up that should have ended a program itself."""


Fields = tuple[Any, ...]
"""Of a `struct`."""


class Died(Exception):
    """The server ended; nobody knows yet whose fault it is."""


@dataclass(frozen=True, slots=True)
class End:
    """How a process ended: exit code, or minus the signal's number, and seconds of CPU time."""

    code: int
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Report:
    """What the server says of one program."""

    late: bool
    over: bool
    program: End
    judge: End
    said: tuple[bytes, ...]
    """What the judge sent: the results of calls, then its verdict unless it was ended before."""
    complete: bool


class Worker:
    """One server, which does one thing after another.

    Its socket belongs to no event loop, so that it serves several, one after the other. When this process
    ends, however it ends, the socket closes, and with it the server and all that runs under it.
    """

    guest = "server"
    """The module that it runs."""

    def __init__(self, settings: Mapping[str, Any], *, sandboxed: bool = True, more: bool = False) -> None:
        self._settings, self._sandboxed = settings, sandboxed
        self._owner = os.getpid()
        self._hidden = hidden()
        self._socket, theirs = socket.socketpair()
        self._socket.setblocking(False)
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 — as long as the server
        self._beginning, begins = socket.socketpair()
        """From bubblewrap, which says what it began and waits for `map_ids`, where root starts it."""
        self._beginning.setblocking(False)
        waits = begins.dup()
        with theirs, begins, waits, tempfile.TemporaryFile() as rules:
            passed = [rules.fileno()]
            if sandboxed:
                rules.write(system_filter())
                rules.seek(0)
                waiting = (begins.fileno(), waits.fileno()) if os.geteuid() == 0 else None
                passed += waiting or ()
                command = bwrap.bwrap_command(self.guest, rules.fileno(), waiting, self._hidden, more=more)
            else:
                command = bwrap.python_command(str(Path(__file__).parent), self.guest)
            self._process = subprocess.Popen(
                command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=self._errors.fileno(),
                pass_fds=passed, start_new_session=True, env=bwrap.ENVIRONMENT,
            )  # fmt: skip

    @property
    def alive(self) -> bool:
        """Whether the server can be asked: it ends with the thread that started it, for one, and shows what
        has been hidden since."""
        return self._process.poll() is None and self._hidden == hidden()

    async def ready(self) -> None:
        """Waits until it serves. Raises `SandboxError` when it does not start."""
        settings = json.dumps(self._settings).encode()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_TO_START):
                await self._map_ids()
                await self.send(settings)
                answer = await asyncio.get_running_loop().sock_recv(self._socket, 1 << 12)
                if answer == READY:
                    return
                if answer.startswith(TROUBLE):
                    raise SandboxError(answer[len(TROUBLE) :].decode(errors="replace"))
        code = self._end()
        self._errors.seek(0)
        words = self._errors.read().decode(errors="replace").strip()[-300:]
        raise SandboxError(words or f"it ended before it was ready (exit status {code})")

    async def _map_ids(self) -> None:
        """Answers bubblewrap where it waits; at once where it does not. Raises `SandboxError`."""
        loop, said = asyncio.get_running_loop(), b""
        while b"}" not in said:
            part = await loop.sock_recv(self._beginning, 1 << 12)
            if not part:
                return
            said += part
        try:
            bwrap.map_ids(json.loads(said)["child-pid"])
        except FileNotFoundError:  # it has ended, and its words tell why
            return
        except OSError as error:
            raise SandboxError(f"no user can be given to it: {error}") from error
        await loop.sock_sendall(self._beginning, b"+")

    async def ask(
        self, request: bytes, head: struct.Struct, length: Callable[[Fields], int], seconds: float
    ) -> tuple[Fields, bytearray]:
        """Sends a request and waits for its answer: `head`, and what follows it, so many bytes.

        `seconds`: how long the server lets a program run. Raises `Died`, and `SandboxError` when the server
        could not even try.
        """
        try:
            async with asyncio.timeout(seconds + _GRACE):
                await self.send(request)
                return await self._receive(head, length)
        except (OSError, TimeoutError):
            raise Died from None

    async def send(self, message: bytes) -> None:
        """Raises `OSError`."""
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self._socket, LENGTH.pack(len(message)) + message)

    async def _receive(
        self, head: struct.Struct, length: Callable[[Fields], int]
    ) -> tuple[Fields, bytearray]:
        loop, start = asyncio.get_running_loop(), len(REPORT) + head.size
        arrived, wanted = bytearray(), start
        fields: Fields = ()
        while len(arrived) < wanted:
            part = await loop.sock_recv(self._socket, 1 << 18)
            if not part:
                raise Died
            arrived += part
            if arrived.startswith(TROUBLE):
                raise SandboxError(arrived[len(TROUBLE) :].decode(errors="replace"))
            if wanted == start <= len(arrived):
                fields = head.unpack_from(arrived, len(REPORT))
                wanted = start + length(fields)
        return fields, arrived[start:]

    def close(self) -> None:
        """Ends the server and everything in it. In a copy of this process that fork made, nothing."""
        if os.getpid() == self._owner:
            self._end()
            self._errors.close()

    def _end(self) -> int:
        self._socket.close()
        self._beginning.close()
        if self._sandboxed:
            self._kill()
        try:
            return self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._kill()
            return self._process.wait()

    def _kill(self) -> None:
        """By its group, for a moment after bwrap began nothing else would end what it started."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)


class Judge(Worker):
    """One server, which judges one program after another."""

    async def judge(self, request: bytes) -> Report:
        """Sends a request (JSON). Raises `Died`, and `SandboxError` when it could not even try."""
        fields, said = await self.ask(
            request, HEAD, lambda fields: fields[-1], self._settings["wall_seconds"]
        )
        late, over, code, cpu, judge_code, judge_cpu, _ = fields
        messages, more = _messages(said)
        return Report(late, over, End(code, cpu), End(judge_code, judge_cpu), messages, not more)


def _messages(arrived: bytearray) -> tuple[tuple[bytes, ...], bool]:
    """Those that a judge sent, and whether more would have come."""
    found: list[bytes] = []
    at, more = 0, True
    while at < len(arrived):
        more, _, _, length = VERDICT.unpack_from(arrived, at)
        at += VERDICT.size + length
        found.append(bytes(arrived[at - length : at]))
    return tuple(found), more


def settings(
    limits: dict[str, int], cpu_seconds: float, wall_seconds: float, scratch_megabytes: int, *, unsafe: bool
) -> Settings:
    """What a server is told. Raises `UsageError` on a machine whose system calls are not known here."""
    filters: list[bytes] = []
    if sys.platform == "linux":
        filters = [system_filter(), program_filter(sandboxed=False)] if unsafe else [program_filter()]
    if not unsafe:
        # Threads, and signals that wait, which a user's processes share outside too.
        limits = {**limits, "RLIMIT_NPROC": MOST_THREADS, "RLIMIT_SIGPENDING": MOST_THREADS}
    folders = numpy_folders()
    packages = str(folders[0].parent) if unsafe and folders else PACKAGES
    return Settings(
        sandboxed=not unsafe,
        limits=limits,
        cpu_seconds=cpu_seconds,
        wall_seconds=wall_seconds,
        scratch_megabytes=scratch_megabytes,
        filters=[code.hex() for code in filters],
        packages=packages if folders else "",
    )
