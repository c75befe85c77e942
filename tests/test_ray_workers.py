"""Work of pools on a Ray cluster: the same results, and nodes that are unfit, lost or silent."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import itertools
import json
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import evalkit
from evalkit.errors import SandboxError, ScorerError, UsageError
from evalkit.processes import likeness, ray_workers
from evalkit.processes.pool import Child, Pool, send_to
from evalkit.processes.ray_workers import RayWorkers, work_on_ray
from evalkit.processes.workers import OverLimit, Workers
from evalkit.sandbox import Program, Raised, call, execute, run_programs
from evalkit.scoring.learned import Learned
from tests import hostile
from tests.cli.conftest import Cli, cli

__all__ = ["cli"]  # a fixture


class Died(Exception):
    """What the stand-in for Ray raises for an actor that is gone."""


class _Answered:
    """A reference to an answer that arrives in another thread, as Ray's do."""

    def __init__(self, future: concurrent.futures.Future[Any]) -> None:
        self._future = future

    def future(self) -> concurrent.futures.Future[Any]:
        return self._future


class Cluster:
    """A stand-in for the module `ray`, whose hosts are objects in a thread of this process.

    `nodes_there`: the names of the nodes. `faults`: node → what its hosts do instead of their work.
    """

    def __init__(self, *names: str, faults: dict[str, Callable[[], object]] | None = None) -> None:
        self.cloudpickle = pickle  # importing Ray takes two seconds
        self.names, self.faults = names, faults or {}
        self.started: list[str] = []
        self.used: list[str] = []
        self.killed = 0
        self.exceptions = SimpleNamespace(RayError=Died, RayTaskError=type("TaskError", (Died,), {}))
        strategies = SimpleNamespace(NodeAffinitySchedulingStrategy=lambda node, soft: node)
        self.util = SimpleNamespace(scheduling_strategies=strategies)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def nodes(self) -> list[dict[str, Any]]:
        return [
            {"NodeID": name, "Alive": True, "Resources": {"CPU": 2.0}, "NodeManagerHostname": name,
             "NodeManagerAddress": "here"}
            for name in self.names
        ]  # fmt: skip

    def remote(self, **options: Any) -> Callable[[type], Any]:
        return lambda kind: SimpleNamespace(options=functools.partial(self._actor, kind))

    def _actor(self, kind: type, *, scheduling_strategy: str) -> Any:
        def start(*given: Any) -> Any:
            self.started.append(scheduling_strategy)
            host = kind(*given)
            methods = {
                name: SimpleNamespace(remote=functools.partial(self._call, scheduling_strategy, host, name))
                for name in ("begin", "use", "ping")
            }
            return SimpleNamespace(**methods)

        return SimpleNamespace(remote=start)

    def _call(self, node: str, host: Any, name: str, *arguments: Any) -> _Answered:
        sent = [self.cloudpickle.loads(self.cloudpickle.dumps(one)) for one in arguments]

        async def answer() -> Any:
            if name == "use":
                self.used.append(node)
            if name != "begin" and node in self.faults:
                found = self.faults[node]()
                return await found if asyncio.iscoroutine(found) else found
            return await getattr(host, name)(*sent)

        return _Answered(asyncio.run_coroutine_threadsafe(answer(), self._loop))

    def kill(self, host: Any) -> None:
        self.killed += 1

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def clusters() -> Iterator[Callable[..., Cluster]]:
    made: list[Cluster] = []

    def make(*names: str, **settings: Any) -> Cluster:
        made.append(Cluster(*names, **settings))
        send_to(RayWorkers(made[-1]))
        return made[-1]

    yield make
    send_to(None)
    for one in made:
        one.close()


class _Quiet(Child):
    """A child that starts no process."""

    def __init__(self) -> None:
        self.number = 0

    @property
    def alive(self) -> bool:
        return True

    def close(self) -> None:
        return None


class _Unready(_Quiet):
    async def ready(self) -> None:
        raise SandboxError("bubblewrap is not installed")


def _quiet(number: int) -> _Quiet:
    return _Quiet()


def _fit_once(path: Path, number: int) -> _Quiet:
    """A child that is ready on the second node that starts one."""
    if path.exists():
        return _Quiet()
    path.touch()
    return _Unready()


def _dies() -> object:
    raise Died("the actor is gone")


async def _fails(child: _Quiet) -> None:
    raise OverLimit("over 5 s of CPU time")


async def _seven(child: _Quiet) -> int:
    return 7


def test_work_goes_to_the_least_loaded_node_and_back(clusters: Callable[..., Cluster]) -> None:
    cluster = clusters("a", "b")
    pool = Pool(_quiet)

    async def both() -> list[int]:
        return await asyncio.gather(*(pool.use(_seven) for _ in range(6)))

    assert asyncio.run(both()) == [7] * 6
    assert sorted(cluster.started) == ["a", "b"]
    assert sorted(cluster.used) == ["a"] * 3 + ["b"] * 3
    assert pool.all == set()  # nothing was started here


def test_what_the_work_raises_is_raised_here_and_is_no_loss(clusters: Callable[..., Cluster]) -> None:
    cluster = clusters("a")
    with pytest.raises(OverLimit, match="over 5 s of CPU time"):
        asyncio.run(Pool(_quiet).use(_fails))
    assert cluster.used == ["a"]
    assert cluster.killed == 0


def test_a_node_where_no_child_starts_is_named_and_not_used(
    clusters: Callable[..., Cluster], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = clusters("a", "b")
    pool = Pool(functools.partial(_fit_once, tmp_path / "started"), 1)
    assert [asyncio.run(pool.use(_seven)) for _ in range(3)] == [7] * 3
    assert cluster.used == ["b"] * 3
    said = capsys.readouterr().err
    assert said == ("evalkit: the Ray node a (here) is not used for this work: bubblewrap is not installed\n")


def test_if_no_node_is_fit_the_run_ends_with_the_reasons(
    clusters: Callable[..., Cluster], tmp_path: Path
) -> None:
    clusters("a", "b")

    with pytest.raises(UsageError, match=r"a \(here\): bubblewrap is not.*b \(here\): bubblewrap.*--workers"):
        asyncio.run(Pool(_unready).use(_seven))


def _unready(number: int) -> _Unready:
    return _Unready()


@pytest.mark.parametrize("thing", ["evalkit", "package numpy"])
def test_a_node_with_other_code_is_not_used(
    clusters: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch, thing: str
) -> None:
    clusters("a")
    pool = Pool(_quiet, packages=["numpy"])
    kind, _, name = thing.partition(" ")
    values = itertools.chain([likeness.value_of((kind, name))], itertools.repeat("0.1"))
    real = likeness.value_of
    monkeypatch.setattr(likeness, "value_of", lambda one: next(values) if one == (kind, name) else real(one))
    with pytest.raises(UsageError, match=r"a \(here\): it"):
        asyncio.run(pool.use(_seven))


def test_a_lost_host_costs_a_retry_elsewhere(
    clusters: Callable[..., Cluster], capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = clusters("a", "b", faults={"a": _dies})
    assert asyncio.run(Pool(_quiet).use(_seven)) == 7
    assert cluster.used[-1] == "b"
    said = capsys.readouterr().err
    assert said.startswith(
        "evalkit: the worker on the Ray node a (here) was lost, and its work is done again"
    )
    assert (cluster.used, cluster.killed) == (["a", "b"], 1)


def test_work_with_which_every_host_is_lost_fails_and_is_no_verdict(
    clusters: Callable[..., Cluster],
) -> None:
    cluster = clusters("a", faults={"a": _dies})
    with pytest.raises(ScorerError, match="4 Ray workers were lost with this work: Died: the actor is gone"):
        asyncio.run(Pool(_quiet).use(_seven))
    assert cluster.used == ["a"] * 4
    with pytest.raises(UsageError, match="its worker was lost 4 times"):  # the node is given up
        asyncio.run(Pool(_quiet).use(_seven))


def test_a_host_that_gives_no_sign_of_life_is_lost(
    clusters: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_workers, "_PING", 0.01)
    calls = itertools.count()
    cluster = clusters("a", faults={})

    def hangs() -> object:
        """The work hangs, and the question after it fails; then all is well."""
        if next(calls) == 0:
            return asyncio.Event().wait()
        cluster.faults.clear()
        raise Died("no answer")

    cluster.faults["a"] = hangs
    assert asyncio.run(Pool(_quiet).use(_seven)) == 7
    assert cluster.killed == 1


def test_things_name_the_files_that_a_users_function_needs(tmp_path: Path) -> None:
    from evalkit.identity.user_file import import_file

    (tmp_path / "besides.py").write_text("LIMIT = 3\n")
    file = tmp_path / "mine_on_ray.py"
    file.write_text("import besides\n\n\ndef score(a):\n    return a < besides.LIMIT\n")
    there = likeness.things([import_file(file).score])
    assert likeness.difference(there) == ""
    (tmp_path / "besides.py").write_text("LIMIT = 4\n")
    assert likeness.difference(there) == f"its file {tmp_path / 'besides.py'} is not the run's"
    file.unlink()
    (tmp_path / "besides.py").write_text("LIMIT = 3\n")
    assert likeness.difference(there) == f"it has no file {file}"


def test_things_of_modules_and_packages() -> None:
    there = likeness.things([hostile.same], packages=["numpy", "no-such-thing"])
    assert ("module", "tests.hostile") in there
    assert likeness.difference(there) == ""
    assert likeness.difference({("package", "numpy"): "0.1"}).startswith("it has package numpy ")
    assert likeness.difference({("package", "no-such-thing"): "1"}) == "it has no package no-such-thing"
    assert likeness.difference({("package", "numpy"): ""}).endswith("and the run has none")


def _load() -> None:
    return None


def _lengths(model: None, pairs: list[tuple[str, str]]) -> list[float]:
    return [float(len(one)) for one, _ in pairs]


def test_a_learned_scorer_that_no_node_can_run_ends_the_run(
    clusters: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    clusters("a")
    scorer = Learned(_load, _lengths, model="lengths@1")
    monkeypatch.setattr(ray_workers, "difference", lambda needs: "it has no file weights")
    for _ in range(2):
        with pytest.raises(UsageError, match=r"lengths@1: no node .* it has no file weights"):
            asyncio.run(scorer("abc", ""))


# With Ray itself -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=80_000_000)
    yield ray
    ray.shutdown()


@pytest.fixture
def on_ray(ray: Any) -> Iterator[Any]:
    work_on_ray()
    yield ray
    send_to(None)


PROGRAMS = [
    Program("def f(x):\n    return x + 1\n", "assert f(1) == 2", ("f",)),
    Program("def f(x):\n    return x\n", "assert f(1) == 2", ("f",)),
    Program("def f(x):\n    raise ValueError('no')\n", "assert f(1) == 2", ("f",)),
    Program("import os\n\ndef f(x):\n    os._exit(3)\n", "assert f(1) == 2", ("f",)),
]


@pytest.mark.slow
def test_programs_end_there_as_they_end_here(on_ray: Any) -> None:
    there = run_programs(PROGRAMS)
    send_to(None)
    assert there == run_programs(PROGRAMS)
    assert [one.status for one in there] == ["passed", "failed", "failed", "failed"]


@pytest.mark.slow
def test_calls_and_commands_run_there(on_ray: Any) -> None:
    async def go() -> tuple[Any, Any]:
        called = await call("def f(x):\n    return 6 // x\n", "f", [(2,), (0,)])
        ran = await execute("print(open('a').read() + input())", "b", files={"a": "a"})
        return called, ran

    called, ran = asyncio.run(go())
    assert called[0] == 3
    assert isinstance(called[1], Raised)
    assert (ran.stdout, ran.status) == ("ab\n", 0)


@pytest.mark.slow
def test_limits_errors_and_crashes_of_calls_are_those_of_this_machine(on_ray: Any) -> None:
    workers = Workers(hostile.ready, cpu_seconds=0.5, wall_seconds=30, memory_megabytes=512, count=1)

    async def go() -> list[Any]:
        calls = [workers.call(hostile.spin), workers.call(hostile.same, "a", also=1)]
        return await asyncio.gather(*calls, workers.call(hostile.pid), return_exceptions=True)

    over, same, pid = asyncio.run(go())
    assert isinstance(over, OverLimit)
    assert str(over) == "over 0.5 s of CPU time"
    assert same == ["a", 1]
    assert pid != os.getpid()


def _host_ids(ray: Any) -> list[int]:
    from evalkit.processes import pool

    where = pool.elsewhere()
    assert isinstance(where, RayWorkers)
    hosts = [node.host for node in where._nodes.values() if node.host is not None]
    return [ray.get(host.ping.remote()) for host in hosts]


class _Ends:
    """A progress that sends a signal to the hosts after some samples."""

    def __init__(self, ray: Any, number: signal.Signals, after: int) -> None:
        self._ray, self._number, self._after, self.sent = ray, number, after, 0

    def start(self, *_: object) -> None:
        return None

    def sample(self, row: object) -> None:
        self._after -= 1
        if self._after == 0:
            for pid in _host_ids(self._ray):
                os.kill(pid, self._number)
                self.sent += 1

    def close(self) -> None:
        return None


def _run(path: Path, **settings: Any) -> tuple[Any, Any]:
    """The table and the JSON document of a run whose programs and formulas are judged in other processes."""
    tasks = ["humaneval:0-shot", "math:4-shot"]
    table = evalkit.run("fake/gold?wrong=0.4", tasks, data="builtin", output=path, concurrency=4, **settings)
    with evalkit.Store.open(path) as store:
        return table, json.loads(evalkit.render_report([store], "json"))


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """A run on this machine alone."""
    return _run(tmp_path_factory.mktemp("here") / "run.db")


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, signal.SIGKILL, signal.SIGSTOP])
def test_a_run_has_the_table_of_this_machine(
    here: tuple[Any, Any], on_ray: Any, tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_workers, "_PING", 1.0)
    monkeypatch.setattr(ray_workers, "_SILENT", 5.0)
    ends = _Ends(on_ray, signal.Signals(number), 3) if number else False
    table, shown = _run(tmp_path / "run.db", progress=ends)
    assert not isinstance(ends, _Ends) or ends.sent == 1
    assert [cell.signature for cell in table.cells] == [cell.signature for cell in here[0].cells]
    assert shown == here[1]


@pytest.mark.slow
def test_learned_scorers_of_a_users_file_run_there(on_ray: Any, tmp_path: Path) -> None:
    from evalkit.identity.user_file import import_file

    file = tmp_path / "learned_on_ray.py"
    file.write_text(
        "import os\nfrom pathlib import Path\n\n\n"
        "def load():\n"  # the worker is a copy of the process that the host started
        "    stat = Path(f'/proc/{os.getppid()}/stat').read_text()\n"
        "    return int(stat.rpartition(')')[2].split()[1])\n\n\n"
        "def score(model, pairs):\n    return [model for _ in pairs]\n"
    )
    own = import_file(file)
    scorer = Learned(own.load, own.score, model="parents@1")
    assert asyncio.run(scorer("a", "b")) in _host_ids(on_ray)
    scorer.close()


@pytest.mark.slow
def test_the_command_line_sends_programs_there(
    ray: Any, tmp_path: Path, cli: Cli, here: tuple[Any, Any]
) -> None:
    arguments = ["-m", "fake/gold?wrong=0.4", "-t", "humaneval:0-shot", "--data", "builtin"]
    try:
        said = cli("run", *arguments, "--workers", "ray", "-o", tmp_path / "run.db")
        assert said.code == 0
        assert _host_ids(ray)
        again = cli("rescore", tmp_path / "run.db", "-o", tmp_path / "again.db", "--workers", "ray")
    finally:
        send_to(None)
    assert "0 of 14 verdicts changed" in again.out
    (mine,) = evalkit.load(tmp_path / "again.db").table.cells
    assert mine.value == here[0].cells[0].value
