"""Measures the waits of docs/faults.md, each against something here that never moves.

    python -m bench waits

takes two minutes. `WAITS` has the bound of each row of the table there, read from the constants of the code;
`tests/test_waits_page.py` holds the table to them. Long bounds are not measured: tests run them with shorter
seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import inspect
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants

from bench.rows import Row, say
from evalkit.copies import life
from evalkit.data import reach, repository, tokens
from evalkit.engine import clients, doubt, one_batch, provider_batches, waits
from evalkit.errors import EvalkitError
from evalkit.models import command, connections, http, open_model, openai_batches
from evalkit.models.base import Request
from evalkit.models.openai import OpenAIModel
from evalkit.processes import lines, ray_cluster, ray_workers, workers
from evalkit.runfile import reader, runlock
from evalkit.sandbox import Limits, Program, execute, run_programs
from evalkit.sandbox import process as sandbox
from evalkit.sandbox.clock import PATIENCE

_POLICY = waits.RetryPolicy()
_TIMEOUT = inspect.signature(open_model).parameters["timeout"].default
_WALL = inspect.signature(workers.Workers).parameters["wall_seconds"].default


@dataclass(frozen=True, slots=True)
class Wait:
    """A row of the table. `most`: its bound in seconds; `measure`: returns a bound and how long it took."""

    what: str
    most: float
    measure: Callable[[], tuple[float, float]] | None = None


@contextlib.contextmanager
def _silent() -> Iterator[int]:
    """The port of a server whose kernel accepts connections, and which never reads from them."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@contextlib.contextmanager
def _full() -> Iterator[int]:
    """The port of a server whose queue is full, so that a connection is neither accepted nor refused."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            queued = stack.enter_context(socket.socket())
            queued.setblocking(False)
            queued.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def _took(work: Callable[[], object]) -> float:
    """The seconds until `work` ends, or gives up with an error of evalkit's."""
    began = time.perf_counter()
    with contextlib.suppress(EvalkitError):
        work()
    return time.perf_counter() - began


def _asked(url: str, seconds: float, *, reach: bool = False) -> float:
    async def ask() -> None:
        model = OpenAIModel("any", url, timeout=seconds)
        try:
            await (model.reach() if reach else model.generate(Request("A text", 4)))
        finally:
            await model.aclose()

    return _took(lambda: asyncio.run(ask()))


def _reached() -> tuple[float, float]:
    with _full() as port:
        return http._REACHED, _asked(f"http://127.0.0.1:{port}/v1", 60, reach=True)


def _listed() -> tuple[float, float]:
    with _silent() as port:
        return http._LISTING, _asked(f"http://127.0.0.1:{port}/v1", 60, reach=True)


def _connected() -> tuple[float, float]:
    with _silent() as port:
        return connections.CONNECT, _asked(f"https://127.0.0.1:{port}/v1", 60)


def _answered() -> tuple[float, float]:
    with _silent() as port:
        return 2.0, _asked(f"http://127.0.0.1:{port}/v1", 2.0)


def _interrupted() -> tuple[float, float]:
    """Ctrl-C while requests are in flight that nobody answers."""
    asked = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener, tempfile.TemporaryDirectory() as folder:

        def serve() -> None:
            kept = []
            with contextlib.suppress(OSError):
                while True:
                    kept.append(listener.accept()[0])
                    if kept[-1].recv(1 << 16).startswith(b"POST"):
                        asked.set()

        threading.Thread(target=serve, daemon=True).start()
        run = [
            sys.executable, "-m", "evalkit", "run", "-m", "openai/any", "-t", "gsm8k:0-shot-chat",
            "--base-url", f"http://127.0.0.1:{listener.getsockname()[1]}/v1", "--data", "builtin",
            "-o", f"{folder}/run.db",
        ]  # fmt: skip
        quiet = subprocess.DEVNULL
        with subprocess.Popen(run, stdout=quiet, stderr=quiet) as process:
            asked.wait()
            process.send_signal(signal.SIGINT)
            return _POLICY.grace, _took(process.wait)


def sleep(seconds: float) -> None:
    """For a worker process, which finds it by this name."""
    time.sleep(seconds)


def _worked() -> tuple[float, float]:
    one = workers.Workers(wall_seconds=2.0, count=1)
    asyncio.run(one.call(sleep, 0))
    return 2.0, _took(lambda: asyncio.run(one.call(sleep, 600)))


def _computed() -> tuple[float, float]:
    return Limits().cpu_seconds, asyncio.run(execute("while True: pass")).seconds


def _slept() -> tuple[float, float]:
    seconds = Limits().wall_seconds
    return seconds, _took(lambda: run_programs([Program("import time; time.sleep(600)")]))


def _started() -> tuple[float, float]:
    """A program that never says that it is ready, told to stop after two seconds."""
    return 2.0, _took(lambda: open_model("command:sleep 600?start=2"))


def _locked_run() -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "run.db.lock")
        with place.open("w") as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            return runlock._PATIENCE, _took(lambda: runlock.RunLock.acquire(Path(folder, "run.db")))


def _locked_file() -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "run.db")
        with contextlib.closing(sqlite3.connect(place, isolation_level=None)) as other:
            other.execute("CREATE TABLE manifest (key, value)")
            other.execute("BEGIN EXCLUSIVE")
            return reader.PATIENCE, _took(lambda: reader.connect(place).execute("SELECT * FROM manifest"))


def _ray_reached() -> tuple[float, float]:
    with _full() as port:
        return ray_cluster._REACH, _took(lambda: ray_cluster._reach(f"127.0.0.1:{port}"))


WAITS = (
    Wait("the endpoint's address, TCP and TLS, before the first request", http._REACHED, _reached),
    Wait("its list of models", http._LISTING, _listed),
    Wait("a connection, including TLS, during the run", connections.CONNECT, _connected),
    Wait("a response", _TIMEOUT, _answered),
    Wait("a connection's rest before it is used again", connections._QUIET),
    Wait("the pause before a further attempt", waits._LONGEST_PAUSE),
    Wait("attempts at a request", _POLICY.attempts),
    Wait("what the endpoint asks for (Retry-After)", waits.LONGEST_RETRY_AFTER),
    Wait("429 and nobody is answered", _POLICY.patience),
    Wait("an outage, or an endpoint that hangs", _POLICY.outage),
    Wait("a refused key while nothing was answered (401, 403, 404)", doubt._GRACE),
    Wait("requests in flight when a run ends early", _POLICY.grace, _interrupted),
    Wait("a batch of requests ([`--batch`](batch.md))", provider_batches._LONGEST),
    Wait("a provider that refuses a further batch by a 429", one_batch._FULL),
    Wait(
        "a file of requests that the provider has not read yet",
        openai_batches._LOOKS * openai_batches._READ_AGAIN,
    ),
    Wait("silence", clients._TOLD_EVERY),
    Wait("the place of a large response", _TIMEOUT),
    Wait("the first line of a `command:` program", command._START, _started),
    Wait("the end of a `command:` program that was told to end", lines._PATIENCE),
    Wait("the first answer of a copy of a model", life._FIRST * _TIMEOUT),
    Wait("the start of a worker process", workers._START_SECONDS),
    Wait("the result of a worker process", _WALL, _worked),
    Wait("the end of a worker process", workers._ENDING),
    Wait("a model's program that computes (CPU time)", Limits().cpu_seconds, _computed),
    Wait("a model's program that sleeps or waits", Limits().wall_seconds, _slept),
    Wait("a model's program that the machine does not run", PATIENCE * Limits().wall_seconds),
    Wait("the start of a sandbox", sandbox._TO_START),
    Wait("a sandbox that gives no answer", PATIENCE * Limits().wall_seconds + sandbox._GRACE),
    Wait("a run file that another run holds", runlock._PATIENCE, _locked_run),
    Wait("a run file that another program has locked", reader.PATIENCE, _locked_file),
    Wait("whether the Hub is there", reach._TIMEOUT),
    Wait("each part of an answer of the Hub", constants.HF_HUB_DOWNLOAD_TIMEOUT),
    Wait("each part of a download from elsewhere", max(repository._TIMEOUT, tokens._TIMEOUT)),
    Wait("the head node of a Ray cluster", ray_cluster._REACH, _ray_reached),
    Wait("the first process on a Ray node", ray_workers._START),
)
"""The rows of the table, in its order."""


def measure(quick: bool) -> list[Row]:
    rows = []
    for wait in WAITS:
        if wait.measure is not None:
            say(f"waits: {wait.what} …")
            most, seconds = wait.measure()
            # The bound is of evalkit's waiting; to start and end processes takes some time beside it.
            rows.append(Row(f"{wait.what}: bound {most:g} s", seconds, "s", most + 1.5))
    return rows
