"""The host's end of child processes: one child, and a pool of them.

A child has a socket as its standard input, over which it gets requests. The socket belongs to no event loop,
so a child can serve several, one after the other. When this process ends, in whatever way, the socket closes,
and the child ends too.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import signal
import socket
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from evalkit.processes.containers import limits
from evalkit.processes.framing import LENGTH

_CHUNK = 1 << 18
_LONGEST = 1 << 34
"""The most bytes of an answer; a child that announces more is out of step."""


class Ended(Exception):
    """The child ended, or hung up, before it answered."""


class Child:
    """A process that answers one request after another, over a socket."""

    number = 0
    """The child's number, from 0 on; at any time it is unique in the pool."""
    killed = True
    """Whether closing kills the child at once; otherwise it has 5 seconds to end what it started outside its
    process group."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], passed: Sequence[int] = ()
    ) -> None:
        """`passed`: descriptors that it inherits. It leads its own process group, which is ended as one."""
        self._owner = os.getpid()
        self._socket, theirs = socket.socketpair()
        self._socket.setblocking(False)
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 — `close` closes it
        with theirs:
            self._process = subprocess.Popen(
                command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=self._errors.fileno(),
                pass_fds=passed, start_new_session=True, env=environment,
            )  # fmt: skip

    @property
    def alive(self) -> bool:
        """Whether the child can be asked."""
        return self._process.poll() is None

    async def ready(self) -> None:
        """Waits until the child can be asked."""

    async def send(self, message: bytes) -> None:
        """Sends one message. Raises `Ended`."""
        try:
            await asyncio.get_running_loop().sock_sendall(self._socket, LENGTH.pack(len(message)) + message)
        except OSError:
            raise Ended from None

    async def receive(self) -> bytes:
        """The child's next message. Raises `Ended`."""
        (length,) = LENGTH.unpack(await self._take(LENGTH.size))
        if length > _LONGEST:
            raise Ended
        return await self._take(length)

    async def ask(self, message: bytes, seconds: float) -> bytes:
        """The child's answer. Raises `Ended`, and `TimeoutError` after `seconds` of wall time."""
        async with asyncio.timeout(seconds):
            await self.send(message)
            return await self.receive()

    async def _take(self, n: int) -> bytes:
        loop, arrived = asyncio.get_running_loop(), bytearray()
        while len(arrived) < n:
            try:
                part = await loop.sock_recv(self._socket, min(n - len(arrived), _CHUNK))
            except OSError:
                raise Ended from None
            if not part:
                raise Ended
            arrived += part
        return bytes(arrived)

    def words(self) -> str:
        """What the child has written to standard error; "" after `close`."""
        if self._errors.closed:
            return ""
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace").strip()

    def wait(self) -> int:
        """Waits until the child ends: its exit code, or minus the signal's number."""
        return self._process.wait()

    def how(self, code: int) -> str:
        """How it ended, by its exit code, and its last line: such as `SIGKILL` or `exit status 1: …`."""
        name = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        last = "".join(self.words().splitlines()[-1:])[:300]
        return f"{name}: {last}" if last else name

    def close(self) -> None:
        """Ends the child and its process group. In a forked copy of this process it does nothing."""
        if os.getpid() == self._owner:
            self.kill()
            self._errors.close()

    def kill(self) -> int:
        """The same, but `words` can still be read: the exit code, or minus the signal's number."""
        self._socket.close()
        if self.killed:
            self._kill_group()
        try:
            return self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._kill_group()
            return self._process.wait()

    def _kill_group(self) -> None:
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)


_Child = TypeVar("_Child", bound=Child)
_Found = TypeVar("_Found")


class Pool(Generic[_Child]):
    """At most `count` children that work at the same time (None: one per CPU), started when they are needed.

    It works in one event loop after the other, not in two at the same time. Children that were not closed end
    with the interpreter. After `send_to`, the children are on other machines, unless `here` is true.
    """

    def __init__(
        self,
        start: Callable[[int], _Child],
        count: int | None = None,
        *,
        here: bool = False,
        code: Sequence[Callable[..., object]] = (),
        files: Sequence[Path] = (),
        packages: Sequence[str] = (),
    ) -> None:
        """`start`: starts the child that gets this number. Ray must be able to pickle it.

        `code`, `files`, `packages`: functions, files and distributions that decide the children's results. A
        machine where one of them differs is not used.
        """
        self.start, self.given = start, count
        self.code, self.files, self.packages = tuple(code), tuple(files), tuple(packages)
        self._here = here
        self.count = count or cpus()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._slots = asyncio.Semaphore(self.count)
        self._idle: list[_Child] = []
        self.all: set[_Child] = set()
        weakref.finalize(self, _close, self.all)

    async def use(
        self,
        work: Callable[[_Child], Awaitable[_Found]],
        *,
        again: type[Exception] | tuple[type[Exception], ...] = (),
        before: Callable[[], object] | None = None,
        code: Sequence[Callable[..., object]] = (),
    ) -> _Found:
        """The result of `work` with a child, which is ended if `work` raises.

        If the exception is one of `again`, the work is tried once more, in a fresh child that does nothing
        else. `before` is called first, in the process that starts the child. `code`: functions that this work
        needs besides those of the pool. If the work is sent elsewhere, it is pickled with all that it refers
        to, and so is its result.
        """
        if _elsewhere is not None and not self._here:
            return await _elsewhere.use(self, work, again, before, code)
        if before is not None:
            before()
        async with self._slot():
            try:
                return await self._used(work, fresh=False)
            except again:
                return await self._used(work, fresh=True)

    def close(self) -> None:
        """Ends every child at once. A later `use` starts others."""
        self._idle.clear()
        _close(self.all)

    async def _used(self, work: Callable[[_Child], Awaitable[_Found]], *, fresh: bool) -> _Found:
        child = None if fresh else self._take()
        try:
            if child is None:
                numbers = {each.number for each in self.all}
                number = min({*range(len(numbers) + 1)} - numbers)
                child = self.start(number)
                child.number = number
                self.all.add(child)
                await child.ready()
            found = await work(child)
        except BaseException:  # also if cancelled: its answer would be taken for the next request's
            if child is not None:
                self._end(child)
            raise
        self._idle.append(child)
        return found

    def _take(self) -> _Child | None:
        while self._idle:
            child = self._idle.pop()
            if child.alive:
                return child
            self._end(child)
        return None

    def _end(self, child: _Child) -> None:
        self.all.discard(child)
        child.close()

    def _slot(self) -> asyncio.Semaphore:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # a semaphore belongs to the loop that first waited on it
            self._loop, self._slots = loop, asyncio.Semaphore(self.count)
        return self._slots


def python_path() -> str:
    """PYTHONPATH for a child that imports what this process can import."""
    return os.pathsep.join(entry or os.getcwd() for entry in sys.path)  # noqa: PTH109


class Elsewhere(Protocol):
    """Other machines that do the work of pools (`evalkit.processes.ray_workers`)."""

    @property
    def nodes(self) -> int:
        """How many machines there are, as far as it is known; at least 1."""

    async def use(
        self,
        pool: Pool[Any],
        work: Callable[[Any], Awaitable[_Found]],
        again: type[Exception] | tuple[type[Exception], ...],
        before: Callable[[], object] | None,
        code: Sequence[Callable[..., object]],
    ) -> _Found:
        """See `Pool.use`."""


_elsewhere: Elsewhere | None = None


def send_to(elsewhere: Elsewhere | None) -> None:
    """Sends the work of all pools of this process elsewhere from now on. None: it is done here again."""
    global _elsewhere
    _elsewhere = elsewhere


def elsewhere() -> Elsewhere | None:
    """Where the work of pools is sent; None if it is done here."""
    return _elsewhere


def cpus() -> int:
    """The number of CPUs that this process may use: the machine's, or its container's share of them."""
    mine = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    share = limits().cpus
    return mine if share is None else max(1, min(mine, math.ceil(share)))


def _close(children: set[_Child]) -> None:
    while children:
        children.pop().close()
