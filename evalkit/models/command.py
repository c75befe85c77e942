"""`command:PROGRAM [ARGUMENT …][?processes=N]`: a program of the user's, over JSON lines (docs/command.md).

The words are split as a shell splits them, but no shell runs. The program is trusted like any command that
the user types; what it writes is not.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shlex
import shutil
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from evalkit.errors import ProviderError, UsageError
from evalkit.keys import hide, without_keys
from evalkit.models.base import Capability, Request, Response
from evalkit.models.command_lines import (
    LONGEST,
    Hello,
    Unreadable,
    differences,
    ending,
    parsed,
    read_hello,
    request_line,
    response_of,
    shown,
)
from evalkit.models.options import parse_options, read_options
from evalkit.models.registry import BACKENDS, Named
from evalkit.processes.lines import LineProgram
from evalkit.samples import JSON, Shown

_START = 600.0
"""The seconds in which a program must write its first line, unless the option `start` says otherwise."""
_MOST_ENDS = 5
"""So many restarts for each process, without an answer between, end the run."""
_MOST_PROCESSES = 256
_HASHED = 64 << 20
"""The size of files in bytes up to which their digests are taken; of larger ones, only the size."""


class _Process:
    """A running program and the requests that it has not answered."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Raises `UsageError` if it cannot be started."""
        self.problem = ""
        """Why it cannot be asked any more; "" if it can."""
        self.untold = False
        """Whether the problem is a line of the program's that no request failed for."""
        self._name = name
        self._hello: Future[Hello] = Future()
        self._pending: dict[int, Future[dict[str, Any]]] = {}
        self._last = 0
        self._lock = threading.Lock()
        try:
            self._lines = LineProgram(
                command, environment, longest=LONGEST, heard=self._heard, ended=self._fail
            )
        except OSError as error:
            raise UsageError(f"{name} cannot be started: {error.strerror or error}") from None
        self._lines.listen()

    def hello(self, seconds: float) -> Hello:
        """Waits for the program's first line. Raises `UsageError`."""
        try:
            return self._hello.result(seconds)
        except TimeoutError:
            self.kill(f"wrote no first line in {seconds:g} s (?start=SECONDS allows more)")
            raise UsageError(f"{self._name} {self.problem}") from None
        except Unreadable as error:
            self.kill(str(error))
            raise UsageError(
                f'{self._name} {error}; its first line must be {{"evalkit": 1}}: see docs/command.md'
            ) from None

    async def ask(self, request: Request, draw: int, seconds: float) -> Response:
        """Raises `ProviderError`."""
        with self._lock:
            self._last += 1
            number, future = self._last, Future[dict[str, Any]]()
            future.set_running_or_notify_cancel()  # so that only the program's answer or end settles it
        files: list[Path] = []
        start = time.perf_counter()
        try:
            if request.media:
                line = await asyncio.to_thread(self._line, request, draw, number, files)
            else:
                line = self._line(request, draw, number, files)
            with self._lock:
                if self.problem:
                    raise ProviderError(f"{self._name} {self.problem}", retryable=True)
                self._pending[number] = future
            self._lines.send(line)
            async with asyncio.timeout(seconds):
                answer = await asyncio.wrap_future(future)
        except TimeoutError:
            self._drop(number)
            self._end(f"was ended because it gave no answer in {seconds:g} s")
            raise ProviderError(
                f"{self._name} gave no answer in {seconds:g} s (--timeout), and was ended",
                retryable=True,
                waited=seconds,
            ) from None
        except asyncio.CancelledError:
            self._drop(number)
            self._end("was ended because a request was cancelled")
            raise
        finally:
            for file in files:
                file.unlink(missing_ok=True)
        return response_of(answer, request, self._name, time.perf_counter() - start)

    def _line(self, request: Request, draw: int, number: int, files: list[Path]) -> bytes:
        def place(medium: Shown) -> str:
            file = self._lines.folder / f"{number}-{len(files)}{ending(medium)}"
            files.append(file)
            with contextlib.suppress(FileNotFoundError):  # the process has ended, which `ask` then says
                file.write_bytes(medium.data)
            return str(file)

        return request_line(request, draw, number, place)

    def _drop(self, number: int) -> None:
        with self._lock:
            self._pending.pop(number, None)

    def _heard(self, line: bytes) -> None:
        """Called in a thread, with each line."""
        try:
            if not self._hello.done():
                self._say_hello(read_hello(line))
                return
            answer = parsed(line)
            number = answer.pop("id", None)
            with self._lock:
                future = self._pending.pop(number, None) if type(number) is int else None
                if future is None and not self.problem:
                    raise Unreadable(f"answered no request that it was asked (id {number!r}): {shown(line)}")
            if future is not None:
                future.set_result(answer)
        except Unreadable as error:
            if not self._hello.done():
                self._say_hello(error)
            else:
                self._end(str(error), unreadable=True)

    def _say_hello(self, first: Hello | Unreadable) -> None:
        with self._lock:
            if self._hello.done():
                return
            if isinstance(first, Hello):
                self._hello.set_result(first)
            else:
                self._hello.set_exception(first)

    def _fail(self, problem: str, *, unreadable: bool = False) -> None:
        """Fails what is not answered. Of one request alone, an unreadable line is the answer.

        Otherwise nobody knows whose answer it is, and each is asked again.
        """
        with self._lock:
            left = [*self._pending.values()]
            self._pending.clear()
            self.untold = self.untold or (unreadable and not self.problem and not left)
            self.problem = self.problem or problem
        self._say_hello(Unreadable(problem))
        mine = unreadable and len(left) == 1
        for future in left:
            message = f"{self._name} {self.problem}"
            future.set_exception(ProviderError(message, retryable=not mine, fatal=mine, doubtful=mine))

    def _end(self, why: str, *, unreadable: bool = False) -> None:
        """Ends the process without waiting for its end."""
        self._fail(why, unreadable=unreadable)
        threading.Thread(target=self._lines.kill, daemon=True).start()

    def kill(self, why: str = "was closed") -> None:
        """Ends the process and all that it started, and fails what it has not answered."""
        self._fail(why)
        self._lines.kill()


class _Place:
    """The place of one process of a model; `load`: how many requests it has."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.process: _Process | None = None
        self.load = 0
        self.starting = asyncio.Lock()


class CommandModel:
    """A program as a model. A process that died or hung is replaced when there is something to ask."""

    def __init__(
        self, name: str, command: Sequence[str], processes: int, *, timeout: float, start: float,
        keys: Sequence[str],
    ) -> None:  # fmt: skip
        """Starts the first process, for its first line. Raises `UsageError`."""
        self.name = name
        self._command, self._keys = tuple(command), tuple(keys)
        self._timeout, self._start = timeout, start
        self._places = [_Place(number) for number in range(processes)]
        weakref.finalize(self, _close, self._places)
        self._hello = self._started(self._places[0])
        self.capabilities: frozenset[Capability] = self._hello.able
        self.parallel: int | None = processes * self._hello.parallel
        self._files = _digests(command)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._slots = asyncio.Semaphore(self.parallel)
        self._ends = 0

    @property
    def identity(self) -> dict[str, JSON]:
        own: dict[str, JSON] = {"own": dict(self._hello.identity)} if self._hello.identity else {}
        return {"backend": "command", "command": [*self._command], "files": {**self._files}, **own}

    async def generate(self, request: Request, *, draw: int = 0) -> Response:
        self._enter_loop()
        async with self._slots:
            place = min(self._places, key=lambda one: one.load)
            place.load += 1
            try:
                process = await self._ready(place)
                response = await process.ask(request, draw, self._timeout)
            except ProviderError as error:
                self._count(error, place)
                raise
            finally:
                place.load -= 1
        self._ends = 0
        return response

    async def aclose(self) -> None:
        await asyncio.to_thread(_close, self._places)

    def _enter_loop(self) -> None:
        """Semaphores and locks belong to the loop that first waited on them."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._slots = loop, asyncio.Semaphore(self.parallel or 1)
            for place in self._places:
                place.load, place.starting = 0, asyncio.Lock()

    async def _ready(self, place: _Place) -> _Process:
        async with place.starting:
            if place.process is not None and place.process.untold:
                place.process.untold = False
                raise ProviderError(f"{self.name} {place.process.problem}", retryable=True)
            if place.process is None or place.process.problem:
                self._ends += place.process is not None
                try:
                    hello = await asyncio.to_thread(self._started, place)
                except UsageError as error:
                    raise ProviderError(str(error), retryable=True) from None
                if other := differences(self._hello, hello):
                    raise ProviderError(
                        f"{self.name}: the first lines of two of its processes differ: {other}",
                        fatal=True,
                    )
            assert place.process is not None
            return place.process

    def _started(self, place: _Place) -> Hello:
        """Starts a process and waits for its first line. Raises `UsageError`."""
        if place.process is not None:
            place.process.kill()
        environment = without_keys(os.environ, self._keys) | {"EVALKIT_PROCESS": str(place.number)}
        place.process = _Process(self.name, self._command, environment)
        return place.process.hello(self._start)

    def _count(self, error: ProviderError, place: _Place) -> None:
        """Makes an error fatal if processes ended again and again, and nothing was answered between."""
        ended = place.process is not None and place.process.problem
        if ended and not error.fatal and self._ends >= _MOST_ENDS * len(self._places):
            error.fatal, error.hint = True, f"after {self._ends} restarts without an answer"


def _close(places: Sequence[_Place]) -> None:
    for place in places:
        if place.process is not None:
            place.process.kill()


def open_command(named: Named) -> CommandModel:
    """Opens `command:PROGRAM [ARGUMENT …][?option=value]`; options follow the last question mark.

    `processes`: how many processes of the program run (1). `start`: the seconds in which it must write its
    first line. `keys`: variables of the environment with keys that the program gets, separated by commas.
    Raises `UsageError`.
    """
    text, mark, query = named.name.rpartition("?")
    text = text if mark else query
    readers = BACKENDS["command"].options
    try:
        command = shlex.split(text)
        options: dict[str, Any] = {"processes": 1, "start": _START, "keys": ""}
        options |= read_options(named.typed, parse_options(query) if mark else {}, readers, "command:")
    except ValueError as error:
        raise UsageError(f"{named.typed!r} cannot be split into words: {str(error).lower()}") from None
    except UsageError as error:
        raise UsageError(
            f"{error} (options follow the last question mark; a command with one needs another at its end)"
        ) from None
    if not command or not command[0]:
        raise UsageError(f"{named.typed!r} names no program: write {BACKENDS['command'].usage}")
    if shutil.which(command[0]) is None:
        raise UsageError(f"{named.typed}: there is no program {command[0]!r} that can be run")
    if not 1 <= options["processes"] <= _MOST_PROCESSES:
        raise UsageError(f"{named.typed}: processes must be from 1 to {_MOST_PROCESSES}")
    if not 0 < options["start"] <= threading.TIMEOUT_MAX:
        raise UsageError(f"{named.typed}: start must be a number of seconds above 0")
    keys = [key for key in options["keys"].split(",") if key]
    for key in keys:
        if not os.environ.get(key, "").strip():
            raise UsageError(f"{named.typed}: the environment has no variable {key}: set it, or leave it out")
        hide(os.environ[key].strip(), key)
    return CommandModel(
        named.typed, command, options["processes"], timeout=named.timeout, start=options["start"], keys=keys
    )


def _digests(command: Sequence[str]) -> dict[str, JSON]:
    """The digests of the files that the command names, by the words; not of programs found on the path."""
    found: dict[str, JSON] = {}
    for at, word in enumerate(command):
        if at == 0 and "/" not in word:
            continue
        with contextlib.suppress(OSError, ValueError):
            file = Path(word)
            if file.is_file():
                size = file.stat().st_size
                found[word] = size if size > _HASHED else hashlib.sha256(file.read_bytes()).hexdigest()
    return found
