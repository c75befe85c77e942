"""Worker processes on the nodes of a Ray cluster.

`work_on_ray` sends the work of every `Pool` there: sandboxes for programs, and `Workers` for heavy scorers.
Each node has one actor, the host, with a pool of its own for each pool here, with as many children as the
node has CPUs in Ray. So a piece of work is done by the same code under the same limits as on this machine,
and its result comes back here. Only this process writes the run file.

A node where the children cannot start (no bubblewrap), or whose code differs, is named and not used. If a
host or its node is lost, its work is done by another one. A host that does not answer for `_SILENT` seconds
counts as lost.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
import time
import weakref
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from evalkit.errors import EvalkitError, ScorerError, UsageError, WorkerError, one_line
from evalkit.processes.likeness import Thing, difference, things
from evalkit.processes.pool import Child, Pool, send_to
from evalkit.processes.ray_cluster import connect

_TRIES = 4
"""How many hosts may be lost with one piece of work before it fails."""
_LOSSES = 3
"""How often in a row the host of one node is started again."""
_LOOKS = 30.0
"""Seconds between two looks for new nodes."""
_PING, _SILENT = 10.0, 60.0
"""Seconds after which a host that works is asked for a sign of life, and in which it must give one."""
_START = 180.0
"""Seconds in which a host must have started its first child."""
_SHOWN = 300
_Found = TypeVar("_Found")
_Child = TypeVar("_Child", bound=Child)


def work_on_ray(address: str | None = None) -> None:
    """Sends the work of all pools of this process to a Ray cluster from now on.

    `address`: as for `evalkit.processes.ray_cluster.connect`. Raises `UsageError` if it cannot be reached.
    """
    send_to(RayWorkers(connect(address)))


class Host:
    """The actor on a node: it has the children there. Its methods never raise."""

    def __init__(self, threads: str | None) -> None:
        """`threads`: the run's OMP_NUM_THREADS. Ray sets it to 1 for an actor that asks for no CPU."""
        self._pools: dict[str, Pool[Any]] = {}
        os.environ.pop("OMP_NUM_THREADS", None)
        if threads is not None:
            os.environ["OMP_NUM_THREADS"] = threads

    async def begin(
        self, key: str, start: Callable[[int], Child], count: int, needs: dict[Thing, str]
    ) -> str:
        """Makes the pool `key` and starts a child in it. Returns why that is impossible; "" if it is not."""
        try:
            if reason := await asyncio.to_thread(difference, needs):
                return reason
            pool = self._pools.setdefault(key, Pool(start, count, here=True))
            await pool.use(_nothing)
        except Exception as error:  # noqa: BLE001 — whatever it is, this node cannot be used
            return str(error)[:_SHOWN] if isinstance(error, EvalkitError) else one_line(error, _SHOWN)
        return ""

    async def use(
        self,
        key: str,
        work: Callable[[Any], Awaitable[object]],
        again: type[Exception] | tuple[type[Exception], ...],
        before: Callable[[], object] | None,
    ) -> tuple[object, Exception | None]:
        """Returns the result of `work` with a child of the pool `key`, or what it raised."""
        try:
            return await self._pools[key].use(work, again=again, before=before), None
        except Exception as error:  # noqa: BLE001 — it is raised again where the work comes from
            return None, error

    async def ping(self) -> int:
        """Returns the id of the host's process, at once."""
        return os.getpid()


async def _nothing(child: Child) -> None:
    """The work that only needs a child that has started."""


@dataclass(eq=False)
class _Node:
    """A node of the cluster. `cpus`: those that Ray may use. `active`: the pieces of work that it has now."""

    id: str
    name: str
    cpus: int
    active: int = 0
    host: Any = None
    begun: dict[str, Any] = field(default_factory=dict)
    """Pool → Ray's reference to the answer of `Host.begin`."""
    fit: set[str] = field(default_factory=set)
    """The pools that have begun."""
    unfit: dict[str, str] = field(default_factory=dict)
    """Pool → why its work cannot be done here."""
    losses: int = 0
    """How many hosts it lost since the last one that did its work."""
    spent: str = ""
    """Why it gets no further host; "" if it does."""
    heard: float = 0.0
    """When the host last gave a sign of life."""


class _Lost(Exception):
    """The host was lost; the message says how."""


class RayWorkers:
    """All hosts of a cluster. It may be used in several event loops."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self._actor = ray.remote(num_cpus=0, max_restarts=0, max_concurrency=1000)(Host)
        self._nodes: dict[str, _Node] = {}
        self._looked = -_LOOKS
        self._told: set[tuple[str, str]] = set()
        self._known: weakref.WeakKeyDictionary[Pool[Any], dict[object, tuple[str, dict[Thing, str]]]] = (
            weakref.WeakKeyDictionary()
        )

    @property
    def nodes(self) -> int:
        """How many nodes there are, as far as it is known; at least 1."""
        return max(1, len(self._nodes))

    async def use(
        self,
        pool: Pool[_Child],
        work: Callable[[_Child], Awaitable[_Found]],
        again: type[Exception] | tuple[type[Exception], ...],
        before: Callable[[], object] | None,
        code: Sequence[Callable[..., object]],
    ) -> _Found:
        """The result of `work` with a child of `pool` on some node. See `Pool.use`.

        Raises `UsageError` if no node can do it, and `ScorerError` if `_TRIES` hosts were lost with it.
        """
        key, needs = self._key(pool, code)
        lost: list[_Node] = []
        while True:
            node = self._least_loaded(key, lost)
            node.active += 1
            try:
                host = node.host or self._start(node)
                try:
                    if not await self._fit(node, host, key, pool, needs):
                        continue
                    reference = host.use.remote(key, work, again, before)
                    found, error = await self._answer(node, host, reference)
                except _Lost as how:
                    self._lose(node, host, str(how))
                    lost.append(node)
                    if len(lost) == _TRIES:
                        raise WorkerError(f"{_TRIES} Ray workers were lost with this work: {how}") from None
                    continue
            finally:
                node.active -= 1
            if error is not None:
                raise error
            return found  # type: ignore[no-any-return]

    def _key(self, pool: Pool[Any], code: Sequence[Callable[..., object]]) -> tuple[str, dict[Thing, str]]:
        known = self._known.setdefault(pool, {})
        names = tuple((one.__module__, one.__qualname__) for one in code)
        if names not in known:
            needs = things((*pool.code, *code), pool.files, pool.packages)
            made = self._ray.cloudpickle.dumps((pool.start, pool.given, needs))
            known[names] = hashlib.sha256(made).hexdigest(), needs
        return known[names]

    def _least_loaded(self, key: str, avoided: Sequence[_Node]) -> _Node:
        """The node that the work of a pool is sent to: one of `avoided` only if there is no other one."""
        self._look()
        nodes = [node for node in self._nodes.values() if not node.spent and key not in node.unfit]
        if not nodes:
            known = self._nodes.values()
            reasons = "; ".join(f"{node.name}: {node.unfit.get(key) or node.spent}" for node in known)
            raise UsageError(
                f"no node of the Ray cluster can do this work: {reasons or 'none has CPUs'}; "
                "--workers local does it on this machine"
            )
        return min(nodes, key=lambda node: (node in avoided, node.active / node.cpus, node.name))

    def _look(self) -> None:
        """Finds the nodes that are alive, at most every `_LOOKS` seconds."""
        if time.monotonic() - self._looked < _LOOKS:
            return
        self._looked = time.monotonic()
        alive = {}
        for one in self._ray.nodes():
            cpus = int(one["Resources"].get("CPU", 0))
            if one["Alive"] and cpus:
                name = f"{one['NodeManagerHostname']} ({one['NodeManagerAddress']})"
                alive[one["NodeID"]] = self._nodes.get(one["NodeID"]) or _Node(one["NodeID"], name, cpus)
        self._nodes = alive

    def _start(self, node: _Node) -> Any:
        strategies = self._ray.util.scheduling_strategies
        place = strategies.NodeAffinitySchedulingStrategy(node.id, soft=False)
        node.host = self._actor.options(scheduling_strategy=place).remote(os.environ.get("OMP_NUM_THREADS"))
        node.begun, node.fit = {}, set()
        return node.host

    async def _fit(self, node: _Node, host: Any, key: str, pool: Pool[Any], needs: dict[Thing, str]) -> bool:
        """Whether the node can do the pool's work; it is asked once for each host. Raises `_Lost`."""
        if key in node.fit:
            return True
        if key not in node.begun:
            count = pool.given or node.cpus
            node.begun[key] = host.begin.remote(key, pool.start, count, needs)
        reason = await self._result(node.begun[key], _START)
        node.heard = time.monotonic()
        if not reason:
            node.fit.add(key)
            return True
        self._refuse(node, key, reason)
        return False

    def _refuse(self, node: _Node, key: str, reason: str) -> None:
        node.unfit[key] = reason
        if (node.id, reason) not in self._told:
            self._told.add((node.id, reason))
            _say(f"the Ray node {node.name} is not used for this work: {reason}")

    async def _answer(self, node: _Node, host: Any, reference: Any) -> tuple[Any, Exception | None]:
        """What `Host.use` returned. Raises `_Lost` if the host is gone or gives no sign of life."""
        answer = asyncio.ensure_future(self._result(reference, None))
        try:
            while not (await asyncio.wait({answer}, timeout=_PING))[0]:
                if time.monotonic() - node.heard >= _PING:
                    await self._result(host.ping.remote(), _SILENT)
                    node.heard = time.monotonic()
            found: tuple[Any, Exception | None] = answer.result()
        finally:
            answer.cancel()
        node.heard, node.losses = time.monotonic(), 0
        return found

    async def _result(self, reference: Any, seconds: float | None) -> Any:
        """The value of one of Ray's references. Raises `_Lost`, also after `seconds`."""
        errors = self._ray.exceptions
        try:
            async with asyncio.timeout(seconds):
                future = asyncio.wrap_future(reference.future())
                future.add_done_callback(lambda done: done.cancelled() or done.exception())  # none waits
                return await asyncio.shield(future)
        except TimeoutError:
            raise _Lost(f"it did not answer for {seconds:g} s") from None
        except errors.RayTaskError as error:  # the work, or its result, could not be sent
            raise ScorerError(f"Ray: {one_line(error.cause, _SHOWN)}") from None
        except errors.RayError as error:
            raise _Lost(one_line(error, _SHOWN)) from None

    def _lose(self, node: _Node, host: Any, how: str) -> None:
        """Gives up a host. The node gets another one, unless it has lost too many."""
        if node.host is not host:
            return  # another piece of work has noted it
        node.host = None
        node.losses += 1
        self._ray.kill(host)
        self._looked = -_LOOKS  # the node may be gone too
        _say(f"the worker on the Ray node {node.name} was lost, and its work is done again: {how}")
        if node.losses > _LOSSES:
            node.spent = f"its worker was lost {node.losses} times: {how}"


def _say(words: str) -> None:
    print(f"evalkit: {words}", file=sys.stderr)  # noqa: T201
