"""This process's end of those that it started: one of them, and a pool of them.

A child has a socket as its standard input, over which it is asked. The socket belongs to no event loop, so
that a child serves several, one after the other. When this process ends, however it ends, the socket closes,
and a child ends with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

from evalkit.processes.framing import LENGTH

_CHUNK = 1 << 18
_LONGEST = 1 << 34
"""Bytes of an answer: who announces more has lost its way."""


class Ended(Exception):
    """The child ended, or hung up, before it had answered."""


class Child:
    """A process that does one thing after another, asked over a socket."""

    number = 0
    """From 0 on: no two children of a pool have the same at one time."""
    killed = True
    """Whether closing kills it; else it has some seconds to end what it started outside of its group."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], passed: Sequence[int] = ()
    ) -> None:
        """`passed`: descriptors that it inherits. It leads a group of its own, which ends as one."""
        self._owner = os.getpid()
        self._socket, theirs = socket.socketpair()
        self._socket.setblocking(False)
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 — as long as the child
        with theirs:
            self._process = subprocess.Popen(
                command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=self._errors.fileno(),
                pass_fds=passed, start_new_session=True, env=environment,
            )  # fmt: skip

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    async def ready(self) -> None:
        """Waits until it can be asked."""

    async def send(self, message: bytes) -> None:
        """Raises `Ended`."""
        try:
            await asyncio.get_running_loop().sock_sendall(self._socket, LENGTH.pack(len(message)) + message)
        except OSError:
            raise Ended from None

    async def receive(self) -> bytes:
        """Its next message. Raises `Ended`."""
        (length,) = LENGTH.unpack(await self._take(LENGTH.size))
        if length > _LONGEST:
            raise Ended
        return await self._take(length)

    async def ask(self, message: bytes, seconds: float) -> bytes:
        """Its answer. Raises `Ended`, and `TimeoutError` after so many seconds of wall time."""
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
        """What it has written on standard error."""
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace").strip()

    def wait(self) -> int:
        """How it ended by itself: exit code, or minus the signal's number."""
        return self._process.wait()

    def close(self) -> None:
        """Ends it, with its group. In a copy of this process that fork made, nothing."""
        if os.getpid() == self._owner:
            self.kill()
            self._errors.close()

    def kill(self) -> int:
        """The same, but `words` can still be had; exit code, or minus the signal's number."""
        self._socket.close()
        if self.killed:
            self._kill_group()
        try:
            return self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._kill_group()
            return self._process.wait()

    def _kill_group(self) -> None:
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)


_Child = TypeVar("_Child", bound=Child)
_Found = TypeVar("_Found")


class Pool(Generic[_Child]):
    """At most `count` children at work (one for each CPU where None), started when they are needed.

    Works in one event loop after the other, not in two at a time. Children that nobody closed end with the
    interpreter.
    """

    def __init__(self, start: Callable[[int], _Child], count: int | None = None) -> None:
        """`start` begins the child that gets this number."""
        self._start = start
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
    ) -> _Found:
        """What `work` makes of a child, which ends when `work` raises.

        Where that is one of `again`, nobody is blamed: it is tried once more, in a fresh child, alone.
        """
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
                child = self._start(number)
                child.number = number
                self.all.add(child)
                await child.ready()
            found = await work(child)
        except BaseException:  # cancelled, too: its answer would be taken for that to the next request
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


def cpus() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _close(children: set[_Child]) -> None:
    while children:
        children.pop().close()
