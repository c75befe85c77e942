"""Programs that nobody trusts, and what became of each.

A few servers, one for each CPU, judge them; each server is a sandbox of its own (`evalkit.sandbox.bwrap`),
in which every program gets a process of its own, alone in its process namespace, with a /tmp of its own,
no rights and nowhere to go. The tests run in another process, which never runs the program and asks it over
a line that carries plain data. So the worst that a program can do is to fail.

A program is ended by `Limits.cpu_seconds` of CPU time rather than of wall time, so that a loaded machine
gives the same verdict.
"""

from __future__ import annotations

import asyncio
import json
import math
import signal
import sys
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from evalkit.errors import SandboxError, UsageError
from evalkit.samples import plain_text
from evalkit.sandbox.bwrap import find_bwrap
from evalkit.sandbox.codec import Reader, Writer
from evalkit.sandbox.judge import BROKEN, FAILED, GONE, PASSED
from evalkit.sandbox.limits import DEFAULT, Limits, Raised, Value
from evalkit.sandbox.program import VALUE
from evalkit.sandbox.servers import TWICE, Servers
from evalkit.sandbox.worker import Died, End, Judge, Report, settings

_MEGABYTE = 1 << 20
_LONGEST_DETAIL = 500


@dataclass(frozen=True, slots=True)
class Program:
    """A program and how it is judged.

    It passes when `source` runs to its end without an exception and then `test` does. `test` runs in
    another process, in a namespace that holds what `given` defines and, under the names in `calls`,
    stand-ins for the program's functions: called with plain data (numbers, text, bytes, None, lists,
    tuples, dicts, sets, arrays and iterators of those), they return or raise what the program's do, and
    changes that the program makes to its arguments show. Anything else that a function returns is equal
    to nothing. So the test sees nothing of the program but these answers.
    """

    source: str
    """Nobody trusts it."""
    test: str = ""
    """Trusted. Without one, that the program passed is its own word, which it can forge."""
    calls: tuple[str, ...] = ()
    """Names of the functions of `source` that `test` calls."""
    given: str = ""
    """Trusted source whose names `test` uses beside the functions, such as helpers in the task's text."""
    classes: tuple[str, ...] = ()
    """Names of the classes of `source` of which `test` makes or meets instances. These stay in the program's
    process; `test` sees their attributes, methods and operators by asking for them. Two of them are equal
    where they are one, or where the class's own `__eq__` says so and their attributes are equal too. What
    they say of themselves is the program's word: compare plain data where it counts."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a program ended. `detail`: the exception, or the limit, for people: one line of at most 500."""

    status: Literal["passed", "failed", "timeout"]
    detail: str = ""


_allowed = threading.Event()
_warned = threading.Event()


def allow_unsafe(allowed: bool) -> None:
    """Whether programs run without a sandbox from here on, in every `Sandbox` of this process.

    They then run as this user, with this user's files and network: only system calls that start
    processes, trace or send signals are refused, on Linux, and limits hold. The judge is still a process
    apart. On macOS this is the only way, and nobody has tried it there.
    """
    (_allowed.set if allowed else _allowed.clear)()


def unsafe_allowed() -> bool:
    """Whether `allow_unsafe` is on."""
    return _allowed.is_set()


class Sandbox:
    """Judges programs, at most one per CPU at a time, in servers that it starts when it needs them.

    It may be used from one event loop after another. `aclose` or `close` ends the servers; so does the
    end of this process. Raises `UsageError` where programs cannot run.
    """

    def __init__(self, limits: Limits = DEFAULT, *, unsafe: bool = False) -> None:
        self.limits = limits
        unsafe = unsafe or _allowed.is_set()
        if unsafe:
            _warn()
        else:
            find_bwrap()
        self._settings = settings(
            rlimits(limits),
            limits.cpu_seconds,
            limits.wall_seconds,
            limits.scratch_megabytes,
            unsafe=unsafe,
        )
        self._servers = Servers(lambda: Judge(self._settings, sandboxed=not unsafe))

    async def run(self, program: Program) -> Outcome:
        """Judges `program`. Raises `SandboxError` when that cannot be done.

        A program with which its server ends, and a second one too, has failed.
        """
        report = await self._judged(
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
        return _outcome(report, self.limits)

    async def call(
        self, source: str, name: str, arguments: Sequence[Sequence[Value]]
    ) -> list[Value | Raised]:
        """As `evalkit.sandbox.call`, within the limits of this sandbox."""
        written = Writer().message(list(map(tuple, arguments))).decode("ascii")
        report = await self._judged({"source": source, "name": name, "arguments": written})
        if report is None:
            return [Raised("Ended", TWICE) for _ in arguments]
        *results, last = report.said if report.complete else (*report.said, b"")
        if last[:1] == BROKEN:
            raise SandboxError(_line(last[1:].decode(errors="surrogatepass")))
        # In a thread, for some data is slow to read: the judge took at most its limit for it.
        found = await asyncio.to_thread(lambda: list(map(_value, results)))
        rest = len(arguments) - len(found)
        return found + [_end(report, last, self.limits)] * rest

    async def _judged(self, request: dict[str, object]) -> Report | None:
        message = json.dumps(request).encode()

        async def judged(worker: Judge) -> Report:
            report = await worker.judge(message)
            if _killed_from_outside(report, self.limits):
                raise Died
            return report

        return await self._servers.use(judged)

    def close(self) -> None:
        """Ends the servers at once. A later `run` starts others."""
        self._servers.close()

    async def aclose(self) -> None:
        """The same, for those who hold a sandbox in `contextlib.aclosing`."""
        self.close()


def run_programs(
    programs: Iterable[Program], limits: Limits = DEFAULT, *, unsafe: bool = False
) -> list[Outcome]:
    """Judges programs on all CPUs; their outcomes, in the same order.

    Works inside and outside of a running event loop. `unsafe`: without a sandbox, see `allow_unsafe`.
    Raises `UsageError` where programs cannot run, with the fix, and `SandboxError` when one of them could
    not be judged.
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
    """Raises `UsageError`, with the fix, unless a program really runs here."""
    try:
        (outcome,) = run_programs([Program("def f(x):\n    return x + 1\n", "assert f(1) == 2", ("f",))])
    except SandboxError as error:
        raise UsageError(
            f"the sandbox does not start ({error}); where this machine forbids user namespaces to this user, "
            "on Debian and Ubuntu 'sysctl kernel.unprivileged_userns_clone=1' or "
            "'sysctl kernel.apparmor_restrict_unprivileged_userns=0' as root allows them; "
            "--unsafe-execution runs programs without a sandbox"
        ) from None
    if outcome.status != "passed":
        raise UsageError(f"the sandbox starts but Python does not run in it: {outcome.detail}")


def _outcome(report: Report, limits: Limits) -> Outcome:
    verdict = report.said[-1] if report.complete else b""
    kind, text = verdict[:1], _line(verdict[1:].decode(errors="surrogatepass"))
    if words := _limit(report, limits):
        return Outcome("timeout", words)
    if kind == PASSED:
        return Outcome("passed")
    if kind == FAILED:
        return Outcome("failed", text)
    if kind == BROKEN:
        raise SandboxError(f"what the benchmark itself brings does not run: {text}")
    end = report.program if kind == GONE else report.judge
    return Outcome("failed", text or f"ended without an answer ({_words(end)})")


def _limit(report: Report, limits: Limits) -> str:
    """The limit on time that was used up, if any, in words."""
    if _over(report, limits):
        return f"over {limits.cpu_seconds:g} s of CPU time"
    return f"over {limits.wall_seconds:g} s of wall time" if report.late else ""


def _end(report: Report, last: bytes, limits: Limits) -> Raised:
    """Why calls have no result."""
    if words := _limit(report, limits):
        return Raised("Timeout", words)
    end = report.program if last[:1] == GONE else report.judge
    return Raised("Ended", _line(last[1:].decode(errors="surrogatepass")) or _words(end))


def _value(result: bytes) -> Value | Raised:
    value = Reader().value(result[1:])
    if result[:1] == VALUE:
        return value
    (name, *_), text = value
    return Raised(name, text)


def _line(text: str) -> str:
    """One line that does nothing to a terminal: the text is the program's."""
    shown = "".join(
        c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in text[:_LONGEST_DETAIL]
    )
    return plain_text(shown)


def _over(report: Report, limits: Limits) -> bool:
    """Whether the CPU time was used up."""
    used = report.program.cpu_seconds + report.judge.cpu_seconds
    return report.over or used > limits.cpu_seconds


def _killed_from_outside(report: Report, limits: Limits) -> bool:
    """Whether something else killed the judge, such as the kernel in want of memory."""
    alone = not report.said and not report.late and report.judge.code == -signal.SIGKILL
    return alone and not _over(report, limits)


def _words(end: End) -> str:
    if end.code >= 0:
        return f"exit status {end.code}"
    if end.code == -signal.SIGKILL:
        return "killed"
    return f"signal {-end.code}"


def rlimits(limits: Limits) -> dict[str, int]:
    cpu_seconds = math.ceil(limits.cpu_seconds)
    return {
        # On Linux the server ends who uses more, by an exact clock; this is for the case that it fails.
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
