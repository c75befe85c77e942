"""The host's end of a server that runs commands."""

from __future__ import annotations

import asyncio
import json
import math
from binascii import b2a_base64
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath
from typing import get_args

from evalkit.errors import UsageError
from evalkit.processes.pool import Pool
from evalkit.sandbox.bwrap import ENVIRONMENT, find_bwrap
from evalkit.sandbox.clock import PATIENCE
from evalkit.sandbox.command_server import HEAD, STARVED, CommandRequest, CommandSettings
from evalkit.sandbox.inside import own_bytes, under
from evalkit.sandbox.limits import EndedBy, Limits, Ran
from evalkit.sandbox.process import MOST_THREADS, ServerProcess, too_busy
from evalkit.sandbox.programs import rlimits
from evalkit.sandbox.seccomp import program_filter
from evalkit.sandbox.shown import PACKAGES, numpy_folders
from evalkit.sandbox.tools import FOLDER, compiler

PLACE = "/tmp"  # noqa: S108 — in the sandbox
_MEGABYTE = 1 << 20
_ENDED_BY: tuple[EndedBy, ...] = (
    "itself",
    "cpu_seconds",
    "wall_seconds",
    "output_megabytes",
    "memory_megabytes",
)
"""What ended a program, for each number of `evalkit.sandbox.command_server`."""
assert set(_ENDED_BY) < set(get_args(EndedBy))
_ENVIRONMENT = {
    **ENVIRONMENT,
    "PATH": f"{FOLDER}:/bin",
    "HOME": PLACE,
    "TMPDIR": PLACE,
    "TERM": "dumb",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONPATH": PACKAGES,
}
Files = Mapping[str, str | bytes]
"""Contents by names below the folder in which the program runs, such as `data/input.txt`."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a command did, as bytes. `state`: what a session's shell keeps for the next command."""

    ended: EndedBy
    status: int
    seconds: float
    stdout: bytes
    stderr: bytes
    state: bytes

    def ran(self) -> Ran:
        return Ran(
            self.stdout.decode(errors="replace"), self.stderr.decode(errors="replace"), self.status,
            self.seconds, self.ended,
        )  # fmt: skip


class CommandProcess(ServerProcess):
    """One server, which runs one command after another."""

    guest = "command_server"

    def __init__(self, *, more: bool = False) -> None:
        """`more`: with a shell, tools and a compiler. Raises `UsageError` if there is no sandbox."""
        find_bwrap("commands cannot run without a sandbox")
        numpy = f"{PACKAGES}/numpy/__init__.py" if numpy_folders() else ""
        filters = [[program_filter().hex()], [program_filter(processes=True).hex()]]
        self._sending = asyncio.Lock()
        super().__init__(
            CommandSettings(filters=filters[0], filters_of_many=filters[1], numpy=numpy), more=more
        )

    async def run(
        self,
        command: list[str],
        limits: Limits,
        *,
        stdin: bytes = b"",
        files: Mapping[str, tuple[bytes, bool]] | None = None,
        fresh: bool = True,
        many: bool = False,
        folder: str = PLACE,
    ) -> Done:
        """Runs one command. `files`: contents by name, and whether they are executable. `fresh`: it gets an
        empty /tmp, and nothing of it remains. `many`: it may start other processes. Raises `Ended` and
        `SandboxError`."""
        request = CommandRequest(
            command=command,
            environment=_ENVIRONMENT,
            folder=folder,
            stdin=_base64(stdin),
            files=[(name, _base64(content), runs) for name, (content, runs) in (files or {}).items()],
            limits={**rlimits(limits), "RLIMIT_NPROC": MOST_THREADS, "RLIMIT_SIGPENDING": MOST_THREADS},
            cpu_seconds=limits.cpu_seconds,
            wall_seconds=limits.wall_seconds,
            output_bytes=math.ceil(limits.output_megabytes * _MEGABYTE),
            scratch_megabytes=limits.scratch_megabytes,
            fresh=fresh,
            many=many,
        )
        answer = await self.report(json.dumps(request).encode(), limits.wall_seconds)
        why, status, seconds, out, errors, _ = HEAD.unpack_from(answer)
        if why == STARVED:
            raise too_busy(PATIENCE * limits.wall_seconds)
        output = answer[HEAD.size :]
        stdout, stderr, state = output[:out], output[out : out + errors], output[out + errors :]
        return Done(_ENDED_BY[why], status, seconds, stdout, stderr, state)

    async def send(self, message: bytes) -> None:
        async with self._sending:  # the messages of `run` and `end` must not mix
            await super().send(message)

    async def end(self) -> None:
        """Ends all that runs in the sandbox, including the command that `run` waits for."""
        await self.send(b'{"end": true}')

    def resident_bytes(self) -> int:
        """The unshared memory of all processes in the sandbox at this moment, without the files in /tmp."""
        return sum(map(own_bytes, under(self._process.pid)))


class CompilerProcess(CommandProcess):
    """One with a compiler."""

    async def ready(self) -> None:
        await asyncio.to_thread(compiler)  # raises `SandboxError` if there is none
        await super().ready()


@cache
def runners() -> Pool[CommandProcess]:
    """The servers, one pool per process, for programs that may not start other processes."""
    return Pool(_runner)


@cache
def compilers() -> Pool[CommandProcess]:
    """The servers with a compiler, one pool per process."""
    return Pool(_compiler)


def _runner(number: int) -> CommandProcess:
    return CommandProcess()


def _compiler(number: int) -> CommandProcess:
    return CompilerProcess(more=True)


def as_bytes(text: str | bytes) -> bytes:
    """`text` as UTF-8; lone surrogates become three bytes that are not valid UTF-8."""
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")


def checked(files: Files, limits: Limits, *taken: str) -> dict[str, tuple[bytes, bool]]:
    """`files` as `CommandProcess.run` takes them.

    Raises `UsageError` if a name leads outside the folder or is `taken`, or if they are too large together.
    """
    found: dict[str, tuple[bytes, bool]] = {}
    for name, content in files.items():
        path = PurePosixPath(name)
        if not path.parts or path.is_absolute() or ".." in path.parts or "\0" in name or str(path) in taken:
            raise UsageError(
                f"the name of a program's file must be a free path below its folder, not {name!r}"
            )
        found[str(path)] = as_bytes(content), False
    if sum(len(content) for content, _ in found.values()) > limits.scratch_megabytes * _MEGABYTE:
        raise UsageError(
            f"the files of a program take more than {limits.scratch_megabytes} MB: raise scratch_megabytes"
        )
    return found


def _base64(content: bytes) -> str:
    return b2a_base64(content, newline=False).decode()
