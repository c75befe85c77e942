"""Runs programs and returns what they did: `execute`, `build`, `call`, `session`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, TypeAlias

from evalkit.sandbox.limits import DEFAULT, Limits, Raised, Ran, Value

if TYPE_CHECKING:
    from evalkit.sandbox.commands import CommandProcess, Done
    from evalkit.sandbox.programs import Sandbox
    from evalkit.sandbox.shell import Session

ProgramLanguage: TypeAlias = Literal["python", "c++"]
_COMPILING = Limits(cpu_seconds=60, wall_seconds=120, scratch_megabytes=256, output_megabytes=64)
"""What the compiler may use for one program."""


@dataclass(frozen=True, slots=True)
class Executable:
    """A program that is ready to run. `failed`: the compiler's output if the program does not compile."""

    language: ProgramLanguage
    content: bytes = field(repr=False)
    """The source, or the compiled program."""
    failed: Ran | None = None


async def build(source: str, language: ProgramLanguage = "c++") -> Executable:
    """Compiles `source` once, for many runs: C++ with g++ -O2 -std=c++17, in the sandbox.

    If the program does not compile, no error is raised: `execute` returns the compiler's output. Raises
    `SandboxError`, with the package to install, if there is no compiler, and `UsageError` if there is no
    sandbox.
    """
    from evalkit.processes.pool import elsewhere
    from evalkit.sandbox.commands import as_bytes, compilers
    from evalkit.sandbox.process import TWICE, use
    from evalkit.sandbox.tools import COMPILE, FOLDER, compiler

    if language == "python":
        return Executable(language, as_bytes(source))
    if elsewhere() is None:
        await asyncio.to_thread(compiler)
    compile_ = f"g++ {' '.join(COMPILE)} -o program program.cpp 1>&2 && cat program"
    files = {"program.cpp": (as_bytes(source), False)}
    done = await use(
        compilers(),
        lambda server: server.run([f"{FOLDER}/sh", "-c", compile_], _COMPILING, files=files, many=True),
    )
    if done is None:
        return Executable(language, b"", Ran("", TWICE, -9, 0.0, "compiler"))
    if done.status or done.ended != "itself":
        words = done.stderr.decode(errors="replace")
        if done.ended != "itself":
            words += f"the compiler was ended: it used up its {done.ended}\n"
        return Executable(language, b"", Ran("", words, done.status or 1, done.seconds, "compiler"))
    return Executable(language, done.stdout)


async def execute(
    program: str | Executable,
    stdin: str = "",
    *,
    files: Mapping[str, str | bytes] | None = None,
    language: ProgramLanguage = "python",
    limits: Limits = DEFAULT,
) -> Ran:
    """Runs a program as a process of its own in the sandbox, and waits for its end.

    `program`: source in `language`, or the result of `build`. It runs in its own folder, which contains only
    `files`, with `stdin` as its standard input, and without network, other processes or this machine's files.
    It may have threads but no child processes. If it fails or is ended at a limit, no error is raised: `Ran`
    tells it. Raises `SandboxError` if it cannot be run, and `UsageError` if there is no sandbox.
    """
    from evalkit.sandbox.commands import PLACE, as_bytes, checked, runners
    from evalkit.sandbox.process import TWICE, use
    from evalkit.sandbox.shown import python

    built = program if isinstance(program, Executable) else await build(program, language)
    if built.failed is not None:
        return built.failed
    name = "program.py" if built.language == "python" else "program"
    placed = checked(files or {}, limits, name)
    placed[name] = built.content, True

    async def ran(server: CommandProcess) -> Done:  # where the server is, which may have another Python
        command = [python(), "-s", "-B", name] if built.language == "python" else [f"{PLACE}/{name}"]
        return await server.run(command, limits, stdin=as_bytes(stdin), files=placed)

    done = await use(runners(), ran)
    return Ran("", TWICE, -9, 0.0) if done is None else done.ran()


async def call(
    source: str, name: str, arguments: Sequence[Sequence[Value]], *, limits: Limits = DEFAULT
) -> list[Value | Raised]:
    """Calls the function `name` of a Python program with each tuple of `arguments`, in order.

    All calls run in one process, and `limits` apply to them together; `source` runs first, not as `__main__`.
    Values are returned as plain data, so that nothing of the program is in this process; the caller compares
    them. An exception is returned as `Raised`. If `source` itself raises or has no such function, every call
    gets a `Raised`; if the program is ended, all remaining calls do. Raises `SandboxError` if it cannot be
    run, and `UsageError` if there is no sandbox.
    """
    return await _sandbox(limits).call(source, name, arguments)


@asynccontextmanager
async def session(
    *, files: Mapping[str, str | bytes] | None = None, limits: Limits = DEFAULT
) -> AsyncIterator[Session]:
    """A shell in a sandbox of its own, for models that use tools.

        async with session(files={"notes.txt": "…"}) as shell:
            ran = await shell.run("wc -l notes.txt")

    Files, the current folder, exported variables and background processes are kept from one command to the
    next; nothing is left at the end. The sandbox has bash, the common tools, Python with numpy and, if it is
    installed, g++. It has no network, no environment and no other file of this machine. `limits` apply to
    each command, but those of memory and files to all commands together. Raises `SandboxError` if it cannot
    start, and `UsageError` if there is no sandbox.
    """
    from evalkit.sandbox.shell import open_session

    async with open_session(files or {}, limits) as opened:
        yield opened


@lru_cache(maxsize=8)
def _sandbox(limits: Limits) -> Sandbox:
    from evalkit.sandbox.programs import Sandbox

    return Sandbox(limits)
