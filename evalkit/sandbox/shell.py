"""A session: a shell whose state is kept from one command to the next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from evalkit.errors import SandboxError, UsageError
from evalkit.processes.pool import Ended
from evalkit.sandbox.command_server import STATE
from evalkit.sandbox.commands import PLACE, CommandProcess, Files, as_bytes, checked
from evalkit.sandbox.limits import Limits, Ran
from evalkit.sandbox.shown import shown_files
from evalkit.sandbox.tools import FOLDER, shell

_SCRIPT = f"""
cd -- "$1" 2>/dev/null || cd {PLACE}
eval "$2"
trap '{{ printf "%s\\0" "$PWD"; export -p; }} >&{STATE}' EXIT
__evalkit=$3
set --
eval "$__evalkit"
"""
"""Restores the folder and variables of the last command, runs the next one, and writes what that leaves."""
_LONGEST = 100_000
"""The most bytes of a command, and of the variables: Linux allows 128 KiB for one argument."""
_LOOKS = 0.2
"""Seconds between two readings of the memory in use."""
_MEGABYTE = 1 << 20


class Session:
    """An open session. One command runs at a time."""

    def __init__(self, server: CommandProcess, limits: Limits) -> None:
        self._server, self._limits = server, limits
        self._lock = asyncio.Lock()
        self._folder, self._variables = PLACE, ""
        self._open = True

    async def run(self, command: str, stdin: str = "") -> Ran:
        """Runs one command in bash (in sh if bash is not installed).

        At a limit, everything that the session has started ends, but its files are kept. Raises
        `SandboxError` if the sandbox has ended, and `UsageError` if the session is over.
        """
        text = as_bytes(command).decode("utf-8", "surrogateescape")
        if len(text) > _LONGEST or "\0" in text:
            return Ran("", f"a command has at most {_LONGEST} bytes, and no NUL among them", 126, 0.0)
        async with self._lock:
            if not self._open:
                raise UsageError("the session is over: run its commands inside `async with`")
            arguments = [self._folder, self._variables, text]
            try:
                done = await self._server.run(
                    [shell(), "-c", _SCRIPT, "sh", *arguments], self._limits, stdin=as_bytes(stdin),
                    fresh=False, many=True, folder="/",
                )  # fmt: skip
            except BaseException as error:  # also if cancelled: its answer would be taken for the next one
                self.close()
                if isinstance(error, Ended):
                    raise SandboxError("the session's sandbox ended") from None
                raise
            folder, complete, variables = done.state.decode("utf-8", "surrogateescape").partition("\0")
            if complete and len(folder) < _LONGEST:
                self._folder = folder
                if len(variables) < _LONGEST and "\0" not in variables:
                    self._variables = variables
            return done.ran()

    async def watch(self) -> None:
        """Ends all processes of the session whenever they take more memory together than the limit."""
        while self._open:
            await asyncio.sleep(_LOOKS)
            used = await asyncio.to_thread(self._server.resident_bytes)
            if used > self._limits.memory_megabytes * _MEGABYTE:
                with suppress(Ended):
                    await self._server.end()

    def close(self) -> None:
        self._open = False
        self._server.close()


@asynccontextmanager
async def open_session(files: Files, limits: Limits) -> AsyncIterator[Session]:
    """A session whose /tmp contains `files`; see `evalkit.sandbox.session`."""
    placed = checked(files, limits)
    await asyncio.to_thread(shown_files, more=True)  # the first call is slow
    server = CommandProcess(more=True)
    try:
        await server.ready()
        await server.run([f"{FOLDER}/true"], limits, files=placed, many=True)
    except BaseException as error:
        server.close()
        if isinstance(error, Ended):
            raise SandboxError("the session's sandbox ended before its first command") from None
        raise
    opened = Session(server, limits)
    watching = asyncio.create_task(opened.watch())
    try:
        yield opened
    finally:
        watching.cancel()
        opened.close()
