"""A copy in a process of its own on this machine: both ends.

The host sends numbered messages over a socket, and the child answers each as soon as it can. The child's
process group ends when the host ends, in whatever way, because the socket closes then.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import pickle
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from typing import Any, cast

from evalkit.copies.serving import Answers, Asked, Opened, Served, Setup
from evalkit.errors import EvalkitError, ProviderError, one_line
from evalkit.processes.framing import received, to_host
from evalkit.processes.pool import Child, Ended, cpus, python_path


class ChildCopy(Child):
    """The host's end. `opening`: its result is what the child says of its model, or why it has none."""

    def __init__(self, setup: Setup, gpus: Sequence[str], copies: int) -> None:
        """`gpus`: those that it may use, as in CUDA_VISIBLE_DEVICES; without any, all or the CPU.

        `copies`: how many share the machine's cores.
        """
        own = {"PYTHONPATH": python_path()}
        if gpus:
            own["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
        else:
            own["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS") or str(max(1, cpus() // copies))
        super().__init__([sys.executable, "-P", "-m", "evalkit.copies.child"], {**os.environ, **own})
        self.where = f"GPU {','.join(gpus)}" if gpus else f"process {self._process.pid}"
        self._socket.setblocking(True)
        self._numbers = itertools.count()
        self._sending, self._changing = threading.Lock(), threading.Lock()
        self._waiting: dict[int, Future[Any]] = {}
        self._why: Ended | None = None
        threading.Thread(target=self._hear, name="copy", daemon=True).start()
        self.opening: Future[Opened] = self._sent(setup)

    async def answer(self, asked: Sequence[Asked]) -> Answers:
        """Raises `Ended`, or the `EvalkitError` of the whole call."""
        sent = await asyncio.to_thread(self._sent, [*asked])
        return cast(Answers, await asyncio.wrap_future(sent))

    def _sent(self, what: Setup | list[Asked]) -> Future[Any]:
        number, result = next(self._numbers), Future[Any]()
        with self._changing:
            if self._why is not None:
                result.set_exception(self._why)
                return result
            self._waiting[number] = result
        try:
            with self._sending:
                to_host(self._socket, b"", pickle.dumps((number, what)))
        except OSError:
            pass  # it ended: the thread that hears it says so
        return result

    def _hear(self) -> None:
        """Passes on the answers until the child ends. It runs in a thread."""
        try:
            while (message := received(self._socket)) is not None:
                try:
                    number, found = pickle.loads(message)  # noqa: S301 — from the child that we started
                except Exception as error:  # noqa: BLE001 — whatever a class of the user's raises
                    self._why = Ended(f"its answer cannot be read: {one_line(error, 200)}")
                    break
                with self._changing:
                    result = self._waiting.pop(number)
                _resolve(result, found)
        except OSError:
            pass  # closed on this side
        self._kill_group()
        try:
            why = Ended(self.how(self.wait()))
        except ValueError:  # closed on this side meanwhile
            why = Ended("closed")
        with self._changing:
            self._why = self._why or why
            waiting = [*self._waiting.values()]
            self._waiting.clear()
        for one in waiting:
            _resolve(one, self._why)


def _resolve(result: Future[Any], found: object) -> None:
    try:
        if isinstance(found, EvalkitError | Ended):
            result.set_exception(found)
        else:
            result.set_result(found)
    except InvalidStateError:
        pass  # nobody waits any longer


async def _serve(host: socket.socket) -> None:
    """Answers the host until it hangs up."""
    loop, tasks = asyncio.get_running_loop(), set[asyncio.Task[None]]()
    served: Served | None = None

    def reply(number: int, found: object) -> None:
        try:
            message = pickle.dumps((number, found))
        except Exception as error:  # noqa: BLE001 — a response may contain anything of the user's
            message = pickle.dumps(
                (number, ProviderError(f"its answer cannot be sent: {one_line(error, 200)}"))
            )
        to_host(host, b"", message)

    async def answer(number: int, asked: Sequence[Asked]) -> None:
        assert served is not None
        reply(number, await served.answer(asked))

    def begin(number: int, what: Setup | Sequence[Asked]) -> None:
        nonlocal served
        if isinstance(what, Setup):
            served = Served(what)
            reply(number, served.open())  # in the main thread, which some libraries need
            return
        tasks.add(task := loop.create_task(answer(number, what)))
        task.add_done_callback(tasks.discard)

    def hear() -> None:
        while (message := received(host)) is not None:
            loop.call_soon_threadsafe(begin, *pickle.loads(message))  # noqa: S301 — from the host
        os.killpg(0, signal.SIGKILL)  # also what the model's library has started

    threading.Thread(target=hear, daemon=True).start()
    await loop.create_future()


def _main() -> None:
    host = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    asyncio.run(_serve(host))


if __name__ == "__main__":
    _main()
