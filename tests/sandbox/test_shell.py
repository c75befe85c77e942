"""Shell sessions in the real sandbox: what lasts, what is bounded, what is gone at the end."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from evalkit.errors import UsageError
from evalkit.sandbox import Limits, Ran, Session, session
from tests import needs
from tests.processes import gone

Found = TypeVar("Found")


def within(
    work: Callable[[Session], Awaitable[Found]],
    files: dict[str, str | bytes] | None = None,
    limits: Limits | None = None,
) -> Found:
    async def main() -> Found:
        async with session(files=files, limits=limits or Limits()) as shell:
            return await work(shell)

    return asyncio.run(main())


def runs(
    *commands: str, files: dict[str, str | bytes] | None = None, limits: Limits | None = None
) -> list[Ran]:
    async def work(shell: Session) -> list[Ran]:
        return [await shell.run(command) for command in commands]

    return within(work, files, limits)


def outputs(*commands: str, files: dict[str, str | bytes] | None = None) -> list[str]:
    ran = runs(*commands, files=files)
    assert [(one.status, one.stderr, one.ended) for one in ran] == [(0, "", "itself")] * len(ran)
    return [one.stdout for one in ran]


def inside(pid: int) -> list[int]:
    """The processes below `pid`, as this machine sees them."""
    children = [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]
    return [pid, *(found for child in children for found in inside(child))]


# -- what lasts ----------------------------------------------------------------------------------------


def test_files_folder_and_variables_last() -> None:
    assert outputs(
        "echo one > a; mkdir -p 'b c'; cd 'b c'; export X=\"it's  so\" Y=$'two\\nlines'; z=1",
        'pwd; cat ../a; echo "$X|$Y|$z"; cat /tmp/given/x',
        "cd /; pwd",
        "cd - > /dev/null; pwd",
        files={"given/x": "é"},
    ) == ["", "/tmp/b c\none\nit's  so|two\nlines|\né", "/\n", "/tmp/b c\n"]


@pytest.mark.slow
def test_each_session_is_its_own() -> None:
    async def main() -> list[str]:
        async with session() as one, session() as other:
            await one.run("echo 1 > x; cd /dev; export X=1")
            return [
                (await other.run("ls -a /tmp; pwd; echo $X")).stdout,
                (await one.run("cat /tmp/x; pwd")).stdout,
            ]

    assert asyncio.run(main()) == [".\n..\n/tmp\n\n", "1\n/dev\n"]
    assert outputs("ls /tmp") == [""]


def test_statuses_streams_and_input() -> None:
    async def work(shell: Session) -> list[Ran]:
        commands = (
            "exit 4",
            "kill -9 $$",
            "false",
            "echo ${",
            "nothing-there",
            "echo no >&2; (exit 3)",
        )
        return [
            *[await shell.run(command) for command in commands],
            await shell.run("tr a-z A-Z", "input é\n"),
        ]

    ran = within(work)
    assert [one.status for one in ran] == [4, -9, 1, 2, 127, 3, 0]
    assert "unexpected EOF" in ran[3].stderr
    assert "nothing-there: command not found" in ran[4].stderr
    assert (ran[5].stdout, ran[5].stderr) == ("", "no\n")
    assert ran[6].stdout == "INPUT é\n"
    assert all(one.seconds < 3 for one in ran)


@pytest.mark.slow
def test_python_and_tools_are_there() -> None:
    python, tools, pipes = outputs(
        "python3 -c 'import numpy, sys; print(numpy.arange(3).sum(), sys.stdin.read())'",
        "printf 'b\\na\\n' > x; sort x | sed s/a/A/ | awk '{print NR, $1}' | grep A; find . -name x",
        "yes | head -100000 | wc -l",
    )
    assert (python, tools, pipes) == ("3 \n", "1 A\n./x\n", "100000\n")


@needs.compiler
def test_a_compiler_is_there() -> None:
    program = "printf 'int main() { return 0; }' > p.cpp && g++ p.cpp -o p && ./p && echo compiled"
    assert outputs(program) == ["compiled\n"]


def test_text_that_is_none() -> None:
    async def work(shell: Session) -> list[Ran]:
        commands = (
            "printf 'a\\xffb'",
            "echo '\ud800' | wc -c",
            "echo a\0b",
            "x" * 200_000,
            "#" * 100_000,
            "echo é𝔘",
        )
        return [await shell.run(command) for command in commands]

    ran = within(work)
    assert [one.stdout for one in ran] == ["a\ufffdb", "4\n", "", "", "", "é𝔘\n"]
    assert [one.status for one in ran] == [0, 0, 126, 126, 0, 0]
    assert ran[2].stderr == "a command has at most 100000 bytes, and no NUL among them"


def test_what_is_left_of_the_state_is_never_the_program_s_to_break() -> None:
    """A command can say on the shell's own descriptor what it likes: it is its own session."""
    ran = runs(
        "cd /dev; exec true",
        "pwd",
        "printf '/nowhere\\0x' >&30; kill -9 $$",
        "pwd",
        "trap - EXIT; cd /dev",
        "pwd",
    )
    assert [one.stdout for one in ran[1::2]] == ["/tmp\n"] * 3


# -- limits --------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_cpu_time() -> None:
    limits = Limits(cpu_seconds=1, wall_seconds=60)
    ran = runs("echo said; while :; do :; done", "(while :; do :; done); echo so", limits=limits)
    assert (ran[0].stdout, ran[0].ended, ran[0].status) == ("said\n", "cpu_seconds", -9)
    assert (ran[1].stdout, ran[1].ended) == ("so\n", "itself")  # of its processes, the one
    assert "Killed" in ran[1].stderr


@pytest.mark.slow
def test_time_output_and_memory_are_bounded_and_the_session_goes_on() -> None:
    limits = Limits(wall_seconds=4, memory_megabytes=300, output_megabytes=1)
    ran = runs(
        "echo kept > file",
        "echo said; sleep 60",
        "echo said; yes",
        "python3 -c 'bytearray(400 << 20)'",
        "(sleep 100; echo late) & wait",
        "cat file",
        limits=limits,
    )
    assert [one.ended for one in ran] == [
        "itself", "wall_seconds", "output_megabytes", "itself", "wall_seconds", "itself"
    ]  # fmt: skip
    assert ran[1].stdout == "said\n"
    assert len(ran[2].stdout) == 1 << 20
    assert ran[3].stderr.endswith("MemoryError\n")
    assert (ran[5].stdout, ran[5].status) == ("kept\n", 0)


@pytest.mark.slow
def test_memory_of_all_processes_together() -> None:
    hold = "python3 -c 'x = b\"x\" * (120 << 20); import time; time.sleep(60)'"
    ran = runs(
        f"for n in 1 2 3 4 5 6; do {hold} & done; wait", "echo still here",
        limits=Limits(memory_megabytes=400, wall_seconds=40),
    )  # fmt: skip
    assert (ran[0].ended, ran[0].status) == ("memory_megabytes", -9)
    assert ran[1].stdout == "still here\n"


@pytest.mark.slow
def test_memory_in_the_background() -> None:
    hold = "python3 -c 'x = b\"x\" * (120 << 20); import time; time.sleep(60)'"

    async def work(shell: Session) -> str:
        started = await shell.run(f"for n in 1 2 3 4 5 6; do {hold} & done; echo $!")
        deadline = time.monotonic() + 50
        while (await shell.run(f"kill -0 {started.stdout.strip()}")).status == 0:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.2)
        return (await shell.run("echo still here")).stdout

    assert within(work, limits=Limits(memory_megabytes=400)) == "still here\n"


@pytest.mark.slow
def test_bombs() -> None:
    ran = runs(
        "b() { b | b & }; b; sleep 2; echo survived",
        "for n in $(seq 3000); do sleep 50 & done 2> /dev/null; echo $?",
        "dd if=/dev/zero of=/tmp/big bs=1M 2> /dev/null; ls -l /tmp/big | wc -l",
        "rm -f big; echo $((6 * 7))",
        limits=Limits(wall_seconds=10, scratch_megabytes=8),
    )
    assert {one.ended for one in ran[:2]} <= {"itself", "wall_seconds"}
    assert ran[2].stdout in {"1\n", "0\n"}
    last = ran[3]
    assert last.stdout == "42\n" or "Resource temporarily unavailable" in last.stderr


# -- what it cannot reach ------------------------------------------------------------------------------


def test_there_is_nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-a-secret")
    (tmp_path / "secret").write_text("needle")
    environment, files, look = outputs(
        "env | cut -d= -f1 | sort | tr '\\n' ' '",
        "ls -d /etc /proc /sys /home /var /run /usr/local /usr/src /opt /mnt /srv 2>&- | cat",
        f"ls {tmp_path} {Path(__file__).parent} 2>&- | cat; find / -name '*needle*' -o -name '*.db' | cat",
    )
    assert set(environment.split()) <= {
        "HOME", "LC_ALL", "OLDPWD", "OPENBLAS_NUM_THREADS", "PATH", "PWD", "PYTHONDONTWRITEBYTECODE",
        "PYTHONHASHSEED", "PYTHONPATH", "SHLVL", "TERM", "TMPDIR", "_",
    }  # fmt: skip
    assert (files, look) == ("", "")


def test_there_is_no_network() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as unix:
        name = f"\0evalkit-test-{os.getpid()}"
        unix.bind(name)
        unix.listen()
        port = server.getsockname()[1]
        program = f"""python3 - <<'END'
import socket
for family, address in [
    (socket.AF_INET, ("127.0.0.1", {port})), (socket.AF_INET, ("192.0.2.1", 80)),
    (socket.AF_INET6, ("::1", {port})), (socket.AF_UNIX, {name!r}),
]:
    try: socket.socket(family).connect(address)
    except OSError: continue
    raise AssertionError(address)
for family in (40, 38, 16, 17):
    try: socket.socket(family, socket.SOCK_RAW)
    except OSError: continue
    raise AssertionError(family)
END
(echo > /dev/tcp/127.0.0.1/{port}) 2> /dev/null || echo none"""
        assert outputs(program) == ["none\n"]
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


ESCAPES = """python3 - <<'END'
import ctypes, os, resource, signal
libc = ctypes.CDLL(None, use_errno=True)
for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
    assert libc.unshare(flag) == -1, hex(flag)
    pid = libc.syscall(56, flag | 17, 0, 0, 0, 0)  # clone
    assert pid == -1, hex(flag)
assert libc.mount(b"x", b"/tmp", b"tmpfs", 0, None) == -1
assert libc.chroot(b"/tmp") == -1
assert all(libc.ptrace(16, process, 0, 0) == -1 for process in range(1, 100))
for process in (1, os.getppid()):
    try: resource.prlimit(process, resource.RLIMIT_CPU, (1, 1))
    except PermissionError: continue
    raise AssertionError(process)
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    os.kill(1, number)
assert os.getuid() == os.geteuid() == 65534
try: os.setuid(0)
except OSError: pass
else: raise AssertionError
for path in ("/dev/null", os.__file__, "/usr/bin/sh"):
    for act in (lambda: os.chmod(path, 0o777), lambda: os.utime(path), lambda: os.chown(path, 0, 0)):
        try: act()
        except OSError: continue
        raise AssertionError(path)
print(os.fork() >= 0 and "forked" or "")
END"""


def test_ways_out_are_closed() -> None:
    assert sorted(outputs(ESCAPES)[0].split()) == ["forked", "forked"]


@pytest.mark.slow
def test_what_runs_in_the_background_lasts_and_is_gone_at_the_end() -> None:
    async def main() -> list[int]:
        async with session() as shell:
            started = await shell.run(
                "setsid sleep 1234 & (setsid sh -c 'trap \"\" TERM HUP; sleep 1235' &); echo $!"
            )
            assert started.ended == "itself"
            running = await shell.run(f"kill -0 {started.stdout.strip()} && echo running")
            assert running.stdout == "running\n"
            found = inside(shell._server._process.pid)
            words = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in found]
            assert sum(b"sleep\x00123" in word for word in words) == 2
            return found

    assert all(map(gone, asyncio.run(main())))


def test_a_session_that_is_over_runs_nothing() -> None:
    async def main() -> None:
        async with session() as shell:
            assert (await shell.run("echo 1")).stdout == "1\n"
        with pytest.raises(UsageError, match="the session is over"):
            await shell.run("echo 2")

    asyncio.run(main())


@pytest.mark.slow
def test_a_cancelled_command_ends_the_session() -> None:
    async def main() -> None:
        async with session() as shell:
            pid = shell._server._process.pid
            running = asyncio.ensure_future(shell.run("sleep 60"))
            await asyncio.sleep(0.5)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            assert not Path(f"/proc/{pid}").exists()
            with pytest.raises(UsageError, match="the session is over"):
                await shell.run("echo 2")

    asyncio.run(main())


@pytest.mark.slow
def test_commands_of_one_session_wait_for_each_other() -> None:
    async def work(shell: Session) -> list[Ran]:
        return await asyncio.gather(
            *(shell.run("cat n; n=$(cat n); sleep 0.05; echo $((n + 1)) > n") for _ in range(5))
        )

    assert [one.stdout for one in within(work, files={"n": "0\n"})] == [f"{n}\n" for n in range(5)]
