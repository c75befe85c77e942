"""Checks untrusted programs, and reports the outcome of each.

Servers check them, at most one for each CPU. Each server is a sandbox of its own (`evalkit.sandbox.bwrap`),
in which every program gets a process of its own, alone in its process namespace, with its own /tmp, no
rights and no network. The tests run in another process, which never runs the program and calls it over a
wire that carries plain data. So the worst that a program can do is to fail.

`Limits.cpu_seconds` limits CPU time and not wall time, so that a busy machine gives the same verdict. Time in
which a program could not run does not count towards `Limits.wall_seconds` either (`evalkit.sandbox.clock`).
"""

from __future__ import annotations

import asyncio
import functools
import json
import math
import signal
import sys
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal

from evalkit.errors import SandboxError, UsageError
from evalkit.needs import installed
from evalkit.processes.pool import Ended, Pool, elsewhere
from evalkit.sandbox.bwrap import find_bwrap
from evalkit.sandbox.checker import BROKEN, FAILED, GONE, PASSED
from evalkit.sandbox.clock import PATIENCE
from evalkit.sandbox.codec import Decoder, Encoder
from evalkit.sandbox.failure import Failure, failure, shown_line
from evalkit.sandbox.limits import DEFAULT, Limits, Raised, Value
from evalkit.sandbox.process import TWICE, CheckProcess, End, Report, TooBusy, settings, too_busy, use
from evalkit.sandbox.program import VALUE

_MEGABYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Program:
    """A program and how it is checked.

    It passes if `source` and then `test` run to their ends without an exception. `test` runs in another
    process, in a namespace that contains what `given` defines and, under the names in `calls`, stand-ins for
    the program's functions. These take plain data (numbers, text, bytes, None, lists, tuples, dicts, sets,
    arrays and iterators of those), return or raise what the program's functions do, and apply the changes
    that the program makes to its arguments. If a function returns anything but plain data, that is equal to
    nothing. So the test sees nothing of the program except these answers.
    """

    source: str
    """The untrusted source of the program."""
    test: str = ""
    """The trusted source of the test. Without a test, a program can forge its own passing."""
    calls: tuple[str, ...] = ()
    """Names of the functions of `source` that `test` calls."""
    given: str = ""
    """Trusted source whose names `test` uses beside the functions, such as helpers in the task's text."""
    classes: tuple[str, ...] = ()
    """Names of the classes of `source` of which `test` makes or gets instances. The instances stay in the
    program's process, and `test` uses their attributes, methods and operators through stand-ins. Two
    instances are equal if they are the same, or if the class's own `__eq__` returns True and their attributes
    are equal too. Since the program controls all of this, a verdict should depend on plain data."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a program ended. `detail`: the exception or the limit, as one line of at most 500 characters."""

    status: Literal["passed", "failed", "timeout"]
    detail: str = ""
    failure: Failure | None = field(default=None, compare=False)
    """Where it failed, if that is known. The program can put anything into these texts."""


_allowed = threading.Event()
_warned = threading.Event()


def allow_unsafe(allowed: bool) -> None:
    """Sets whether programs run without a sandbox from now on, in every `Sandbox` of this process.

    Without it, they run as this user, with this user's files and network. Limits still apply, the checker is
    still another process, and on Linux, system calls that start or trace processes or send signals are
    refused. On macOS this is the only way to run programs; it is untested there.
    """
    (_allowed.set if allowed else _allowed.clear)()


def unsafe_allowed() -> bool:
    """Whether `allow_unsafe` is on."""
    return _allowed.is_set()


class Sandbox:
    """Checks programs, at most one per CPU at a time, in servers that it starts when it needs them.

    It may be used in one event loop after another. The servers end with `aclose`, `close` or this process.
    Raises `UsageError` if programs cannot run here.
    """

    def __init__(self, limits: Limits = DEFAULT, *, unsafe: bool = False) -> None:
        self.limits = limits
        unsafe = unsafe or _allowed.is_set()
        if unsafe:
            _warn()
        elif elsewhere() is None:
            find_bwrap()
        start = functools.partial(_check_process, limits, unsafe)
        self._servers = Pool(start, packages=["numpy"] if installed("numpy") else [])

    async def run(self, program: Program) -> Outcome:
        """Checks `program`. Raises `SandboxError` if it cannot be checked, or the machine is too busy for it.

        If its server ends with the program, and a second server too, the program has failed.
        """
        report = await self._checked(
            {
                "source": program.source,
                "test": program.test,
                "calls": program.calls,
                "classes": program.classes,
                "given": program.given,
            }
        )
        if report is None:
            return Outcome("failed", TWICE)
        return _outcome(report, self.limits, program)

    async def call(
        self, source: str, name: str, arguments: Sequence[Sequence[Value]]
    ) -> list[Value | Raised]:
        """Like `evalkit.sandbox.call`, with the limits of this sandbox."""
        written = Encoder().message(list(map(tuple, arguments))).decode("ascii")
        report = await self._checked({"source": source, "name": name, "arguments": written})
        if report is None:
            return [Raised("Ended", TWICE) for _ in arguments]
        *results, last = report.said if report.complete else (*report.said, b"")
        if last[:1] == BROKEN:
            raise SandboxError(shown_line(last[1:].decode(errors="surrogatepass")))
        # In a thread, because some data is slow to read; the checker's limits bound that time.
        found = await asyncio.to_thread(lambda: list(map(_value, results)))
        rest = len(arguments) - len(found)
        return found + [_end(report, last, self.limits)] * rest

    async def _checked(self, request: dict[str, object]) -> Report | None:
        message, limits = json.dumps(request).encode(), self.limits

        async def checked(server: CheckProcess) -> Report:
            report = await server.check(message)
            if _killed_from_outside(report, limits):
                raise Ended
            return report

        report = await use(self._servers, checked)
        if report is not None and report.starved and not _over(report, limits):
            raise too_busy(PATIENCE * limits.wall_seconds)
        return report

    def close(self) -> None:
        """Ends the servers at once. A later `run` starts others."""
        self._servers.close()

    async def aclose(self) -> None:
        """The same, for `contextlib.aclosing`."""
        self.close()


def _check_process(limits: Limits, unsafe: bool, number: int) -> CheckProcess:
    """Starts a server with the settings of the machine that it runs on."""
    if not unsafe:
        find_bwrap()
    server_settings = settings(
        rlimits(limits),
        limits.cpu_seconds,
        limits.wall_seconds,
        limits.scratch_megabytes,
        unsafe=unsafe,
    )
    return CheckProcess(server_settings, sandboxed=not unsafe)


def run_programs(
    programs: Iterable[Program], limits: Limits = DEFAULT, *, unsafe: bool = False
) -> list[Outcome]:
    """Checks programs on all CPUs: their outcomes, in the same order.

    It works inside and outside of a running event loop. `unsafe`: without a sandbox, see `allow_unsafe`.
    Raises `UsageError`, with the fix, if programs cannot run here, and `SandboxError` if one of them could
    not be checked.
    """
    waiting = list(programs)

    async def run() -> list[Outcome]:
        sandbox = Sandbox(limits, unsafe=unsafe)
        try:
            return await asyncio.gather(*map(sandbox.run, waiting))
        finally:
            sandbox.close()

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(run())
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, run()).result()


def check_sandbox() -> None:
    """Runs a small program; raises `UsageError`, with the fix, if that fails."""
    try:
        (outcome,) = run_programs([Program("def f(x):\n    return x + 1\n", "assert f(1) == 2", ("f",))])
    except TooBusy as error:
        raise UsageError(str(error)) from None
    except SandboxError as error:
        raise UsageError(
            f"the sandbox does not start ({error}); if this machine forbids user namespaces to this user, "
            "allow them as root with 'sysctl user.max_user_namespaces=10000', on Debian and Ubuntu also with "
            "'sysctl kernel.unprivileged_userns_clone=1' or "
            "'sysctl kernel.apparmor_restrict_unprivileged_userns=0'; "
            "--unsafe-execution runs programs without a sandbox"
        ) from None
    if outcome.status != "passed":
        raise UsageError(f"the sandbox starts but Python does not run in it: {outcome.detail}")


def _outcome(report: Report, limits: Limits, program: Program) -> Outcome:
    verdict = report.said[-1] if report.complete else b""
    kind, text = verdict[:1], shown_line(verdict[1:].decode(errors="surrogatepass"))
    if words := _limit(report, limits):
        return Outcome("timeout", words)
    if kind == PASSED:
        return Outcome("passed")
    where = failure(report.said[0], program.source, program.test) if len(report.said) > 1 else None
    if kind == FAILED:
        return Outcome("failed", text, where)
    if kind == BROKEN:
        raise SandboxError(f"the benchmark's own code does not run: {text}")
    end = report.program if kind == GONE else report.checker
    return Outcome("failed", text or f"ended without an answer ({_words(end)})", where)


def _limit(report: Report, limits: Limits) -> str:
    """The message about the limit on time that was used up; "" if none was."""
    if _over(report, limits):
        return f"over {limits.cpu_seconds:g} s of CPU time"
    return f"over {limits.wall_seconds:g} s of wall time" if report.late else ""


def _end(report: Report, last: bytes, limits: Limits) -> Raised:
    """The `Raised` for calls that have no result."""
    if words := _limit(report, limits):
        return Raised("Timeout", words)
    end = report.program if last[:1] == GONE else report.checker
    return Raised("Ended", shown_line(last[1:].decode(errors="surrogatepass")) or _words(end))


def _value(result: bytes) -> Value | Raised:
    value = Decoder().value(result[1:])
    if result[:1] == VALUE:
        return value
    (name, *_), text, _ = value
    return Raised(name, text)


def _over(report: Report, limits: Limits) -> bool:
    """Whether the CPU time was used up."""
    used = report.program.cpu_seconds + report.checker.cpu_seconds
    return report.over or used > limits.cpu_seconds


def _killed_from_outside(report: Report, limits: Limits) -> bool:
    """Whether something else killed the checker, such as the kernel when memory was short."""
    alone = not (report.said or report.late or report.starved) and report.checker.code == -signal.SIGKILL
    return alone and not _over(report, limits)


def _words(end: End) -> str:
    if end.code >= 0:
        return f"exit status {end.code}"
    if end.code == -signal.SIGKILL:
        return "killed"
    return f"signal {-end.code}"


def rlimits(limits: Limits) -> dict[str, int]:
    """The resource limits of a program's process, by their names in `resource`."""
    cpu_seconds = math.ceil(limits.cpu_seconds)
    return {
        # On Linux the server ends programs by an exact clock; this limit applies only if the server fails.
        "RLIMIT_CPU": 2 * cpu_seconds + 1 if sys.platform == "linux" else cpu_seconds,
        "RLIMIT_AS": limits.memory_megabytes * _MEGABYTE,
        "RLIMIT_FSIZE": limits.scratch_megabytes * _MEGABYTE,
        "RLIMIT_NOFILE": 256,
        "RLIMIT_CORE": 0,
    }


def _warn() -> None:
    if not _warned.is_set():
        _warned.set()
        print("evalkit: programs from a model run without a sandbox, as this user", file=sys.stderr)  # noqa: T201
