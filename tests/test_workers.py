"""Worker processes: limits, crashes, and that nothing outlives its call, its loop or its host."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from evalkit.errors import ScorerError, WorkerError
from evalkit.processes.workers import OverLimit, Workers
from tests import hostile
from tests.processes import gone

ROOT = Path(__file__).parent.parent


@pytest.fixture
def workers() -> Iterator[Workers]:
    pool = Workers(hostile.ready, cpu_seconds=0.5, wall_seconds=30, memory_megabytes=512, count=2)
    yield pool
    pool.close()


def test_plain_data_goes_there_and_back(workers: Workers) -> None:
    values: list[object] = ["", "a\nb", "½ \ud800 \x00", [1, 2.5, None, True, {"k": []}], "x" * 3_000_000]

    async def all_of_them() -> list[list[object]]:
        return [await workers.call(hostile.same, value, also=i) for i, value in enumerate(values)]

    assert asyncio.run(all_of_them()) == [[value, i] for i, value in enumerate(values)]


def test_preparing_happens_once_and_the_process_stays(workers: Workers) -> None:
    async def twice() -> tuple[int, int, list[str]]:
        first, second = await workers.call(hostile.pid), await workers.call(hostile.pid)
        return first, second, await workers.call(hostile.prepared)

    first, second, prepared = asyncio.run(twice())
    assert first == second != os.getpid()
    assert prepared == ["prepared"]
    assert hostile.READY == []


@pytest.mark.slow
@pytest.mark.parametrize("endless", [hostile.spin, hostile.stubborn, hostile.compute])
def test_endless_computing_costs_its_call_alone(workers: Workers, endless: Callable[[], object]) -> None:
    async def beside() -> None:
        calls = [workers.call(endless), *(workers.call(hostile.same, i) for i in range(20))]
        over, *others = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(over, OverLimit)
        assert str(over) == "over 0.5 s of CPU time"
        assert others == [[i, None] for i in range(20)]

    asyncio.run(beside())


@pytest.mark.slow
def test_cpu_time_is_counted_for_each_call_anew(workers: Workers) -> None:
    async def several() -> None:
        pids = {await workers.call(hostile.burn, 0.2) for _ in range(5)}
        assert len(pids) == 1
        with pytest.raises(OverLimit):
            await workers.call(hostile.burn, 1.0)

    asyncio.run(several())


@pytest.mark.slow
def test_waiting_is_no_computing_but_has_an_end() -> None:
    workers = Workers(cpu_seconds=0.5, wall_seconds=3.0)

    async def wait() -> None:
        pid = await workers.call(hostile.linger, 1.0)
        with pytest.raises(WorkerError, match=r"^a worker process gave no result in 3 s of wall time$"):
            await workers.call(hostile.linger, 600.0)
        assert gone(pid)
        assert await workers.call(hostile.pid) != pid

    asyncio.run(wait())
    workers.close()


@pytest.mark.slow
def test_a_worker_that_gets_no_cpu_time_has_not_decided(tmp_path: Path) -> None:
    """A stopped process is a starved one: its call failed, and the same call is answered later."""
    workers = Workers(cpu_seconds=0.5, wall_seconds=3.0, count=1)

    async def starve() -> None:
        call = asyncio.create_task(workers.call(hostile.spin, str(tmp_path / "begun")))
        while not (begun := tmp_path / "begun").exists() or not begun.read_text():
            await asyncio.sleep(0.001)
        os.kill(int(begun.read_text()), signal.SIGSTOP)
        with pytest.raises(ScorerError, match="no result in 3 s of wall time"):
            await call
        with pytest.raises(OverLimit, match=r"^over 0\.5 s of CPU time$"):
            await workers.call(hostile.spin)

    asyncio.run(starve())
    workers.close()


@pytest.mark.slow
def test_a_call_over_its_time_costs_no_preparation() -> None:
    workers = Workers(hostile.ready, cpu_seconds=0.2, count=1)

    async def several() -> None:
        pids = {await workers.call(hostile.pid)}
        (worker,) = workers._pool.all
        for _ in range(3):
            with pytest.raises(OverLimit):
                await workers.call(hostile.spin)
            pids.add(await workers.call(hostile.pid))
            assert await workers.call(hostile.prepared) == ["prepared"]
        assert len(pids) == 4
        assert workers._pool.all == {worker}

    asyncio.run(several())
    workers.close()


@pytest.mark.slow
@pytest.mark.parametrize("greedy", [hostile.eat, hostile.nibble])
def test_memory_has_an_end(greedy: Callable[[], object]) -> None:
    workers = Workers(hostile.ready, cpu_seconds=60, memory_megabytes=512, count=1)

    async def eat() -> None:
        with pytest.raises(OverLimit, match=r"^over 512 MB of memory$"):
            await workers.call(greedy)
        assert await workers.call(hostile.same, 1) == [1, None]

    asyncio.run(eat())
    workers.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("deadly", "arguments", "words"),
    [
        (hostile.segfault, (), r"crashed \(SIGSEGV\)"),
        (hostile.leave, (3,), r"crashed \(exit status 3\)"),
        (hostile.leave, (0,), r"crashed \(exit status 0\)"),
        (hostile.quit_loudly, (), r"crashed \(exit status 1: enough\)"),
        (hostile.recurse, (), "RecursionError"),
        (hostile.unprintable, (), "TypeError: Object of type set is not JSON serializable"),
        (hostile.same, (), "TypeError: same"),
        (lambda: 1, (), "AttributeError"),
    ],
)
def test_what_fails_is_named_and_fails_alone(
    workers: Workers, deadly: Callable[..., object], arguments: tuple[object, ...], words: str
) -> None:
    async def fail() -> None:
        with pytest.raises(ScorerError, match=words):
            await workers.call(deadly, *arguments)
        assert await workers.call(hostile.same, 1) == [1, None]

    asyncio.run(fail())


def test_what_a_function_prints_is_no_answer(workers: Workers) -> None:
    assert asyncio.run(workers.call(hostile.shout)) == "heard"


def test_preparing_that_fails_is_named() -> None:
    workers = Workers(hostile.unready)
    with pytest.raises(ScorerError, match=r"cannot start: RuntimeError: nothing is where it should be"):
        asyncio.run(workers.call(hostile.pid))


@pytest.mark.slow
def test_no_more_processes_than_said(workers: Workers) -> None:
    async def many() -> list[int]:
        return await asyncio.gather(*(workers.call(hostile.linger, 0.05) for _ in range(12)))

    assert len(set(asyncio.run(many()))) == 2


@pytest.mark.slow
def test_one_event_loop_after_the_other(workers: Workers) -> None:
    async def several() -> list[int]:
        return await asyncio.gather(*(workers.call(hostile.linger, 0.05) for _ in range(6)))

    assert len({pid for _ in range(3) for pid in asyncio.run(several())}) == 2


def test_a_cancelled_call_leaves_no_answer_behind(workers: Workers) -> None:
    async def cancel() -> None:
        pid = await workers.call(hostile.pid)
        waiting = asyncio.create_task(workers.call(hostile.linger, 0.3))
        await asyncio.sleep(0.1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert gone(pid)
        assert [await workers.call(hostile.same, i) for i in range(4)] == [[i, None] for i in range(4)]

    asyncio.run(cancel())


def test_a_worker_that_was_killed_while_idle_is_replaced(workers: Workers) -> None:
    pid = asyncio.run(workers.call(hostile.pid))
    os.kill(pid, signal.SIGKILL)
    assert gone(pid)
    assert asyncio.run(workers.call(hostile.pid)) != pid


def test_closing_ends_every_process(workers: Workers) -> None:
    pid = asyncio.run(workers.call(hostile.pid))
    workers.close()
    assert not Path(f"/proc/{pid}").exists()
    assert asyncio.run(workers.call(hostile.same, 1)) == [1, None]


@pytest.mark.parametrize("stopped", [False, True])
def test_closing_ends_a_busy_process_before_it_returns(tmp_path: Path, stopped: bool) -> None:
    file = tmp_path / "pid"

    async def closing() -> None:
        workers = Workers(wall_seconds=600, count=1)
        busy = asyncio.create_task(workers.call(hostile.spin, str(file)))
        while not file.exists() or not file.read_text():
            await asyncio.sleep(0.01)
        pid = int(file.read_text())
        group = os.getpgid(pid)
        if stopped:
            os.killpg(group, signal.SIGSTOP)
        workers.close()
        assert not Path(f"/proc/{pid}").exists()
        assert not Path(f"/proc/{group}").exists()
        busy.cancel()

    asyncio.run(closing())


HOST = """
import asyncio, os, signal, sys
from evalkit.processes.workers import Workers
from tests import hostile
from tests.processes import gone

workers = Workers(cpu_seconds={cpu}, wall_seconds=600, count=2)

async def main():
    idle = await workers.call(hostile.pid)
    busy = asyncio.create_task(workers.call(hostile.spin, sys.argv[1]))
    while not os.path.exists(sys.argv[1]) or not open(sys.argv[1]).read():
        await asyncio.sleep(0.01)
    other = await workers.call(hostile.pid)
    print(open(sys.argv[1]).read(), other, flush=True)
    {end}

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
        ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
        ("os._exit(5)", 5),
        ("pass", 0),
        ("raise SystemExit(4)", 4),
    ],
)
def test_no_worker_outlives_its_host(tmp_path: Path, end: str, status: int) -> None:
    host = subprocess.run(
        [sys.executable, "-c", HOST.format(cpu=3.0, end=end), str(tmp_path / "begun")],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    pids = [int(word) for word in host.stdout.split()]
    assert len(set(pids)) == 2
    assert host.returncode == status, host.stderr
    assert host.stderr == ""
    assert all(gone(pid) for pid in pids)
