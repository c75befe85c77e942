"""A machine that does not let a program run decides nothing about it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from evalkit.errors import SandboxError, UsageError
from evalkit.sandbox import Limits, Outcome, Program, Sandbox, call, check_sandbox, execute
from evalkit.sandbox.clock import PATIENCE
from evalkit.sandbox.inside import under

LIMITS = Limits(wall_seconds=1)
NEEDS_CPU = (
    "import time\ndef f():\n    while time.process_time() < {}: pass\n    return time.process_time()\n"
)
SLEEPS = "import time\ndef f(): time.sleep({})\n"


def program(source: str) -> Program:
    return Program(source, "f()", ("f",))


def pids_below(sandbox: Sandbox) -> list[int]:
    (server,) = sandbox._servers.all
    return under(server._process.pid)


async def while_it_runs(sandbox: Sandbox, source: str, pauses: Coroutine[Any, Any, None]) -> Outcome:
    """The outcome of a program; `pauses` begins when it runs."""
    assert await sandbox.run(program("def f(): pass")) == Outcome("passed")  # the server has started
    found = asyncio.create_task(sandbox.run(program(source)))
    while len(pids_below(sandbox)) < 4:  # bubblewrap, the server, the checker, the program
        await asyncio.sleep(0.01)
    await pauses
    return await found


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    found = Sandbox(LIMITS)
    yield found
    found.close()


@pytest.fixture
def busy_cpu() -> Iterator[None]:
    """This process and its children have one CPU, on which five other processes spin."""
    all_ = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(all_)})
    spinning = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True) for _ in range(5)
    ]
    yield
    for process in spinning:
        process.kill()
        process.wait()
    os.sched_setaffinity(0, all_)


@pytest.mark.slow
@pytest.mark.usefixtures("busy_cpu")
@pytest.mark.parametrize("unsafe", [False, True])
def test_a_right_program_that_waits_for_a_cpu_is_not_wrong(*, unsafe: bool) -> None:
    sandbox = Sandbox(LIMITS, unsafe=unsafe)

    async def main() -> tuple[Outcome, float]:
        assert await sandbox.run(program("def f(): pass")) == Outcome("passed")
        began = time.monotonic()
        return await sandbox.run(program(NEEDS_CPU.format(0.3))), time.monotonic() - began

    outcome, seconds = asyncio.run(main())
    sandbox.close()
    assert outcome == Outcome("passed")
    assert seconds > LIMITS.wall_seconds, "the machine was not busy enough for this test"


@pytest.mark.slow
@pytest.mark.usefixtures("busy_cpu")
def test_one_that_gets_too_little_has_no_verdict_and_one_that_sleeps_is_late(sandbox: Sandbox) -> None:
    slow = NEEDS_CPU.format(2.9)
    with pytest.raises(SandboxError, match="too busy to run the program within 4 s"):
        asyncio.run(sandbox.run(program(slow)))
    late = Outcome("timeout", "over 1 s of wall time")
    assert asyncio.run(sandbox.run(program(SLEEPS.format(60)))) == late


@pytest.mark.slow
@pytest.mark.usefixtures("busy_cpu")
def test_programs_that_only_run_or_are_called_have_no_verdict_either() -> None:
    limits = Limits(wall_seconds=0.3)
    with pytest.raises(SandboxError, match="too busy"):
        asyncio.run(call(NEEDS_CPU.format(2.9), "f", [()], limits=limits))
    with pytest.raises(SandboxError, match="too busy"):
        asyncio.run(execute(NEEDS_CPU.format(2.9) + "f()", limits=limits))


@pytest.mark.slow
def test_stopped_from_outside_for_long_it_has_no_verdict(sandbox: Sandbox) -> None:
    async def stop() -> None:
        os.kill(pids_below(sandbox)[3], signal.SIGSTOP)

    began = time.monotonic()
    with pytest.raises(SandboxError, match="there is no verdict: the same command runs it again"):
        asyncio.run(while_it_runs(sandbox, SLEEPS.format(0.5), stop()))
    assert time.monotonic() - began >= PATIENCE * LIMITS.wall_seconds
    assert asyncio.run(sandbox.run(program("def f(): pass"))) == Outcome("passed")


@pytest.mark.slow
@pytest.mark.parametrize("also_the_server", [False, True])
def test_stopped_for_longer_than_its_time_and_continued_it_passes(also_the_server: bool) -> None:
    """As when a container is paused, or a virtual machine moves."""
    sandbox = Sandbox(Limits(wall_seconds=2))

    async def stop() -> None:
        stopped = pids_below(sandbox)[1 if also_the_server else 2 :]
        for process in stopped:
            os.kill(process, signal.SIGSTOP)
        await asyncio.sleep(2.5)
        for process in stopped:
            os.kill(process, signal.SIGCONT)

    source = "import time\ndef f():\n    for _ in range(10): time.sleep(0.05)\n"
    assert asyncio.run(while_it_runs(sandbox, source, stop())) == Outcome("passed")
    sandbox.close()


@pytest.mark.slow
def test_a_server_that_gives_no_answer_is_nobody_s_wrong_answer(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of them do, and no program could have stopped them."""
    monkeypatch.setattr("evalkit.sandbox.process._GRACE", -3.5)

    async def main() -> None:
        checked = asyncio.create_task(sandbox.run(program(SLEEPS.format(60))))
        stopped: set[int] = set()
        while len(stopped) < 2:
            for process in (
                pid for server in sandbox._servers.all for pid in under(server._process.pid)[1:2]
            ):
                if process not in stopped and len(under(process)) > 2:
                    os.kill(process, signal.SIGSTOP)
                    stopped.add(process)
            await asyncio.sleep(0.01)
        await checked

    with pytest.raises(SandboxError, match=r"too busy to run the program within 0\.5 s"):
        asyncio.run(main())


def test_a_machine_too_busy_for_the_check_is_not_told_about_namespaces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("evalkit.sandbox.process._GRACE", -PATIENCE * Limits().wall_seconds)
    with pytest.raises(UsageError, match=r"^this machine was too busy to run the program within 0 s"):
        check_sandbox()


def test_a_program_cannot_choose_to_wait_for_a_cpu(sandbox: Sandbox) -> None:
    """Otherwise it could have no verdict instead of a wrong one. As elsewhere, it is not told so."""
    source = """
import os
def f():
    os.nice(19)
    os.setpriority(os.PRIO_PROCESS, 0, 19)
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    os.sched_setparam(0, os.sched_param(0))
    return os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0) == os.SCHED_OTHER
"""
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    checked = Program(source, f"assert f() == ({ours}, True)", ("f",))
    assert asyncio.run(sandbox.run(checked)) == Outcome("passed")
