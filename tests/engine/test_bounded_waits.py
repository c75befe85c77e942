"""Every wait of a run has a bound, against servers on loopback that do wrong what servers do wrong.

`_SECOND` is how long a second lasts here, for the pauses.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import json
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from evalkit.engine.client import Stopped
from evalkit.engine.plan import make_plan
from evalkit.engine.progress import PlainProgress
from evalkit.engine.run import Options, execute, open_run
from evalkit.engine.waits import RetryPolicy
from evalkit.errors import ProviderError
from evalkit.models import http, open_model
from evalkit.models.openai import OpenAIModel
from evalkit.report.table import build_table
from evalkit.runfile.store import Store
from tests.made import sums
from tests.raw_server import Behaviour, Connection, RawServer, right, whole

_SECOND = 0.0005
_POLICY = RetryPolicy(second=_SECOND)
_CERTIFICATE = Path(__file__).parent.parent / "fixtures" / "self_signed.pem"


class Told(StringIO):
    """What a run says. `waits_for(text)`: an event that is set once it has said that."""

    def __init__(self) -> None:
        super().__init__()
        self._events: list[tuple[str, threading.Event]] = []

    def waits_for(self, text: str) -> threading.Event:
        event = threading.Event()
        self._events.append((text, event))
        return event

    def write(self, text: str) -> int:
        for wanted, event in self._events:
            if wanted in text:
                event.set()
        return super().write(text)


class Ended(NamedTuple):
    """How a run ended."""

    value: float | None
    outcomes: dict[str, int]
    stopped: Stopped | None
    errors: int
    """How many attempts failed."""


def counted(path: Path, table: str) -> int:
    with Store.open(path) as store:
        (count,) = store.connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        return int(count)


def run(
    url: str | list[str],
    task: str,
    path: Path,
    *,
    policy: RetryPolicy = _POLICY,
    concurrency: int | None = None,
    timeout: float = 30.0,
    said: StringIO | None = None,
    until: threading.Event | None = None,
) -> Ended:
    """Runs a task. `until`: cancels the run, as Ctrl-C does, when it is set."""

    async def go() -> Ended:
        model = open_model("openai/mock", base_url=url, timeout=timeout)
        value, outcomes, stopped = None, {}, None
        with open_run(path, plan := make_plan(model, [task])) as store:
            progress = PlainProgress(said, every=0.0) if said is not None else None
            running = asyncio.ensure_future(execute(plan, store, Options(concurrency, policy), progress))
            if until is not None:
                await asyncio.to_thread(until.wait, 60)
                running.cancel()
            try:
                await running
                cell = build_table([store]).cells[0]
                value, outcomes = cell.value, dict(cell.outcomes)
            except Stopped as error:
                stopped = error
            except asyncio.CancelledError:
                if until is None:
                    raise
            finally:
                await model.aclose()
        return Ended(value, outcomes, stopped, counted(path, "error"))

    return asyncio.run(go())


async def _event(event: threading.Event) -> None:
    await asyncio.get_running_loop().run_in_executor(None, event.wait, 60)


# Nobody is there


def _dead(stack: ExitStack) -> str:
    held = stack.enter_context(socket.socket())
    held.bind(("127.0.0.1", 0))  # and does not listen
    return f"http://127.0.0.1:{held.getsockname()[1]}/v1"


def _unnamed(stack: ExitStack) -> str:
    return "http://nobody.invalid:8000/v1"


def _tls(stack: ExitStack) -> RawServer:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_CERTIFICATE)
    return stack.enter_context(RawServer(tls=context))


def _untrusted(stack: ExitStack) -> str:
    return _tls(stack).url


def _plain_to_tls(stack: ExitStack) -> str:
    return _tls(stack).url.replace("https", "http")


def _tls_to_plain(stack: ExitStack) -> str:
    return stack.enter_context(RawServer()).url.replace("http", "https")


def _full(stack: ExitStack) -> str:
    """Its queue of connections is full, so that a further one is neither accepted nor refused."""
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
    for _ in range(4):
        queued = stack.enter_context(socket.socket())
        queued.setblocking(False)
        queued.connect_ex(listener.getsockname())
    return f"http://127.0.0.1:{listener.getsockname()[1]}/v1"


def _no_handshake(stack: ExitStack) -> str:
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    return f"https://127.0.0.1:{listener.getsockname()[1]}/v1"


@pytest.mark.parametrize(
    ("address", "why"),
    [
        (_dead, "Cannot connect to host"),
        (_unnamed, "the name nobody.invalid has no address"),
        (_untrusted, "the certificate is not trusted: SSL_CERT_FILE"),
        (_plain_to_tls, "the server speaks TLS (write https://127"),
        (_tls_to_plain, "the server does not speak TLS: write http://127"),
        (_no_handshake, "no connection within 0.1 s"),
        pytest.param(_full, "no connection within 0.1 s", marks=pytest.mark.slow),
    ],
)
def test_where_nobody_is_the_run_ends_before_a_request(
    tmp_path: Path, address: Callable[[ExitStack], str], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "_REACHED", 0.1 if address in (_full, _no_handshake) else 4.0)
    with ExitStack() as stack:
        url = address(stack)
        for urls in [url], [url, url.replace("/v1", "/v2")]:
            ended = run(urls, sums(tmp_path, 20), tmp_path / f"{len(urls)}.db")
            assert ended.stopped is not None
            assert ended.stopped.usage, "exit code 2"
            assert why in str(ended.stopped)
            assert ended.errors == 0


def test_the_bound_of_the_first_word_is_five_seconds() -> None:
    assert http._REACHED < http._LISTING <= 5


def test_a_slow_name_is_part_of_that_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that takes most of it, and an address behind it that does not accept."""
    find = socket.getaddrinfo

    def slowly(*arguments: Any, **others: Any) -> Any:
        time.sleep(0.3)
        return find(*arguments, **others)

    async def looked_for(url: str) -> float:
        model = OpenAIModel("mock", url)
        began = time.monotonic()
        with pytest.raises(ProviderError, match=r"no connection within 0\.5 s"):
            await model.reach()
        await model.aclose()
        return time.monotonic() - began

    monkeypatch.setattr(http, "_REACHED", 0.5)
    monkeypatch.setattr(socket, "getaddrinfo", slowly)
    with ExitStack() as stack:
        assert asyncio.run(looked_for(_full(stack).replace("127.0.0.1", "localhost"))) < 0.8


# Somebody is there, and says nothing


def _headers(connection: Connection) -> Awaitable[None]:
    return connection.send(b"HTTP/1.1 200 OK\r\nContent-Ty")


def _body(connection: Connection) -> Awaitable[None]:
    return connection.send(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"choices": [')


async def _nothing(connection: Connection) -> None:
    return None


@pytest.mark.parametrize(
    "first", [_nothing, *(pytest.param(first, marks=pytest.mark.slow) for first in (_headers, _body))]
)
def test_an_endpoint_that_hangs_is_named_after_two_timeouts_and_given_up(
    tmp_path: Path, first: Callable[[Connection], Awaitable[None]]
) -> None:
    async def hang(connection: Connection, number: int) -> None:
        await first(connection)
        await connection.server.over.wait()

    said = StringIO()
    with RawServer(hang) as server:
        ended = run(server.url, sums(tmp_path, 200), tmp_path / "r.db", timeout=0.05, said=said)
        # 8 at once, which are 100 of these seconds each, and then one at a time until 900 are over
        assert 8 < server.asked <= 8 + 9
    assert ended.stopped is not None
    assert "did not answer in 15 minutes; the last error: no response within 0.05 s" in str(ended.stopped)
    (named,) = (line for line in said.getvalue().splitlines() if "does not answer" in line)
    assert "One request at a time tries it; after 15 minutes without an answer it is given up" in named


@pytest.mark.slow
def test_a_prompt_that_always_times_out_fails_alone(tmp_path: Path) -> None:
    async def behave(connection: Connection, number: int) -> None:
        if "What is 7 + 0" in str(connection.payload):
            await connection.server.over.wait()
        await connection.answer()

    with RawServer(behave) as server:
        ended = run(server.url, sums(tmp_path, 12), tmp_path / "r.db", timeout=0.1, concurrency=4)
    assert ended.stopped is None
    assert (ended.value, ended.outcomes["failed"]) == (100.0, 1)


def test_a_line_says_what_is_awaited_although_nothing_arrives(tmp_path: Path) -> None:
    said = Told()
    flying, waiting = said.waits_for("2 requests in flight"), said.waits_for("the next one is sent at")

    async def behave(connection: Connection, number: int) -> None:
        if number < 2:
            await _event(flying)
            await connection.answer()
        elif not waiting.is_set():
            await connection.refuse(429, headers="Retry-After: 50\r\n")
        else:
            await connection.answer()

    with RawServer(behave) as server:
        ended = run(server.url, sums(tmp_path, 4), tmp_path / "r.db", concurrency=2, said=said)
    assert ended.value == 100.0
    (line, *_) = (line for line in said.getvalue().splitlines() if "2 requests in flight" in line)
    assert line.startswith("sums:once: 0/4 · 2 requests in flight, the first for 0 s of at most 30 s")
    assert flying.is_set()
    assert waiting.is_set()


# Somebody was there


def _drop(connection: Connection) -> Awaitable[None]:
    async def drop() -> None:
        connection.drop()

    return drop()


def _gateway(connection: Connection) -> Awaitable[None]:
    return connection.refuse(502)


def _busy(connection: Connection) -> Awaitable[None]:
    return connection.refuse(503)


@pytest.mark.parametrize(
    ("how", "concurrency", "replicas"),
    [
        (_drop, None, 1),
        *(
            pytest.param(*rest, marks=pytest.mark.slow)
            for rest in itertools.product((_drop, _gateway, _busy), (None, 1), (1, 2))
            if rest != (_drop, None, 1)
        ),
    ],
)
def test_an_outage_is_waited_out_with_one_request_at_a_time(
    tmp_path: Path, how: Callable[[Connection], Awaitable[None]], concurrency: int | None, replicas: int
) -> None:
    """Of eleven minutes on average: after 63 seconds each of the trials waits for 30 to 60 seconds more."""
    trials, together = 0, 0

    async def behave(connection: Connection, number: int) -> None:
        nonlocal trials, together
        if number < 10 or trials >= 19 * replicas:
            return await connection.answer()
        trials += 1
        if trials > 12 * replicas:  # those before may have been in flight when it began
            together = max(together, connection.server.in_flight)
        return await how(connection)

    with ExitStack() as stack:
        urls = [stack.enter_context(RawServer(behave)).url for _ in range(replicas)]
        ended = run(urls, sums(tmp_path, 40), tmp_path / "r.db", concurrency=concurrency)
    assert ended.stopped is None
    assert (ended.value, ended.outcomes["failed"]) == (100.0, 0)
    assert together == 1
    assert ended.errors == 19 * replicas


@pytest.mark.slow
def test_an_outage_without_an_end_is_given_up_and_resumed(tmp_path: Path) -> None:
    async def behave(connection: Connection, number: int) -> None:
        if number < 10:
            await connection.answer()
        else:
            connection.drop()

    task, path = sums(tmp_path, 100), tmp_path / "r.db"
    with RawServer(behave) as server:
        ended = run(server.url, task, path)
        assert ended.stopped is not None
        assert server.asked < 100
        server.behaviour = right
        assert run(server.url, task, path).value == 100.0
        assert counted(path, "draw") == 100


# Pauses


@pytest.mark.parametrize("form", ["86400", "date"])
def test_a_wait_of_a_day_is_not_slept_through(tmp_path: Path, form: str) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    asked = format_datetime(tomorrow, usegmt=True) if form == "date" else form

    async def refuse(connection: Connection, number: int) -> None:
        await connection.refuse(429, "come back tomorrow", f"Retry-After: {asked}\r\n")

    said = StringIO()
    with RawServer(refuse) as server:
        ended = run(server.url, sums(tmp_path, 5), tmp_path / "r.db", concurrency=1, said=said)
        assert server.asked == 2
    day = f"{tomorrow.astimezone():%Y-%m-%d}"
    assert f"waiting 600 s: it asks to wait until {day}" in said.getvalue()
    assert ended.stopped is not None
    assert f"the endpoint asks to wait until {day}" in str(ended.stopped)
    assert "more than 10 minutes" in str(ended.stopped)


def test_a_request_that_waits_for_its_next_attempt_holds_no_worker(tmp_path: Path) -> None:
    """Each of the first ten fails until the last ten are answered, and one is in flight at a time."""
    late = {f"What is {i} + {i % 7}" for i in range(10, 20)}

    async def behave(connection: Connection, number: int) -> None:
        text = connection.payload["messages"][-1]["content"]
        if text in late:
            late.discard(text)
            await connection.answer()
        elif late:
            await connection.refuse(500)
        else:
            await connection.answer()

    said, policy = StringIO(), RetryPolicy(attempts=1000, first_pause=100.0, second=0.003)
    with RawServer(behave) as server:
        ended = run(
            server.url, sums(tmp_path, 20), tmp_path / "r.db", concurrency=1, policy=policy, said=said
        )
        assert server.most_in_flight == 1
    assert (ended.value, ended.outcomes["failed"]) == (100.0, 0)
    assert "asking once more" not in said.getvalue()


def test_what_failed_is_asked_once_more_at_the_end(tmp_path: Path) -> None:
    """A prompt that fails twice as often as it is tried, as one of thousands does by chance."""
    left = 4

    async def behave(connection: Connection, number: int) -> None:
        nonlocal left
        if "What is 7 + 0" in str(connection.payload) and left:
            left -= 1
            await connection.refuse(500)
        elif "What is 9 + 2" in str(connection.payload):
            await connection.refuse(400)
        else:
            await connection.answer()

    said, task, path = StringIO(), sums(tmp_path, 12), tmp_path / "r.db"
    with RawServer(behave) as server:
        ended = run(server.url, task, path, policy=RetryPolicy(4, second=_SECOND), said=said)
        assert server.asked == 10 + 5 + 1
    assert (ended.value, ended.outcomes["correct"], ended.outcomes["failed"]) == (100.0, 11, 1)
    assert "1 sample failed for reasons that may have passed; asking once more" in said.getvalue()
    assert counted(path, "draw") == 11


@pytest.mark.parametrize(("how", "concurrency"), [(_drop, 1), (_gateway, None)])
def test_a_prompt_that_nobody_answers_fails_alone(
    tmp_path: Path, how: Callable[[Connection], Awaitable[None]], concurrency: int | None
) -> None:
    """It is no outage, also if it is the last one: all of its attempts count."""

    async def behave(connection: Connection, number: int) -> None:
        await (how(connection) if "What is 11 + 4" in str(connection.payload) else connection.answer())

    with RawServer(behave) as server:
        ended = run(server.url, sums(tmp_path, 12), tmp_path / "r.db", concurrency=concurrency)
    assert (ended.value, ended.outcomes["failed"], ended.errors) == (100.0, 1, 6 + 6)


@pytest.mark.slow
def test_faults_that_do_not_depend_on_the_load_do_not_lower_it(tmp_path: Path) -> None:
    async def behave(connection: Connection, number: int) -> None:
        await asyncio.sleep(0.01)
        await (connection.refuse(503) if number % 10 in (1, 4, 7) else connection.answer())

    with RawServer(behave) as server:
        ended = run(server.url, sums(tmp_path, 600), tmp_path / "r.db")
        assert server.most_in_flight >= 16
    assert (ended.value, ended.outcomes["failed"]) == (100.0, 0)


# Answers


def _twice(delay: float) -> Behaviour:
    async def behave(connection: Connection, number: int) -> None:
        text = connection.text()
        await connection.answer(text)
        await asyncio.sleep(delay)
        await connection.answer(text)

    return behave


@pytest.mark.parametrize("delay", [0.0, 0.002, 0.03])
@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_response_that_nobody_asked_for_is_no_answer(
    tmp_path: Path, delay: float, concurrency: int
) -> None:
    with RawServer(_twice(delay)) as server:
        ended = run(server.url, sums(tmp_path, 30), tmp_path / "r.db", concurrency=concurrency)
        assert server.asked == 30
    assert (ended.value, ended.errors) == (100.0, 0)


def test_one_unasked_response_does_not_shift_the_answers_after_it(tmp_path: Path) -> None:
    async def behave(connection: Connection, number: int) -> None:
        text = connection.text()
        await connection.answer(text)
        if number == 5:
            await connection.answer(text)

    with RawServer(behave) as server:
        assert run(server.url, sums(tmp_path, 60), tmp_path / "r.db", concurrency=2).value == 100.0


def test_answers_without_an_end_fail_their_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evalkit.models.connections.LARGEST_ANSWER", 2 << 20)

    async def behave(connection: Connection, number: int) -> None:
        await connection.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await connection.send(b"a" * (1 << 18))

    with RawServer(behave) as server:
        ended = run(server.url, sums(tmp_path, 6), tmp_path / "r.db", concurrency=6)
    assert (ended.outcomes["failed"], ended.errors) == (6, 6), "another attempt would be no shorter"


@pytest.mark.parametrize("number", [2**62, 2**63, 2**80, -1, 1.5, "7", True])
def test_an_impossible_number_of_tokens_is_none(tmp_path: Path, number: object) -> None:
    async def behave(connection: Connection, _: int) -> None:
        choice = {"message": {"content": connection.text()}, "finish_reason": "stop"}
        usage = {"prompt_tokens": number, "completion_tokens": number}
        await connection.send(whole(200, json.dumps({"choices": [choice], "usage": usage}).encode()))

    path = tmp_path / "r.db"
    with RawServer(behave) as server:
        assert run(server.url, sums(tmp_path, 3), path).value == 100.0
    with Store.open(path, to_write=True) as store:
        assert build_table([store]).cells[0].tokens == (0, 0)
        store.connection.execute("UPDATE draw SET prompt_tokens = 1 << 62")  # as an earlier version stored it
        assert build_table([store]).cells[0].tokens == (0, 0)


# The end of a run


@pytest.mark.parametrize("how", ["401", "interrupted"])
def test_what_is_paid_for_is_stored_when_the_run_ends(tmp_path: Path, how: str) -> None:
    said, refused = Told(), 0
    ending, five = said.waits_for("the run ends;"), threading.Event()
    held = 0

    async def behave(connection: Connection, number: int) -> None:
        nonlocal held, refused
        if number == 0:
            await connection.answer()
        elif held < 5:
            held += 1
            if held == 5 and how == "interrupted":
                five.set()
            await _event(ending)
            await connection.answer()
        elif how == "401":
            refused += 1
            await connection.refuse(401, "expired")
        else:
            await connection.server.over.wait()

    task, path = sums(tmp_path, 60), tmp_path / "r.db"
    policy = RetryPolicy(grace=60 / _SECOND, second=_SECOND)
    with RawServer(behave) as server:
        until = five if how == "interrupted" else None
        limit = 5 if until else 8
        ended = run(server.url, task, path, concurrency=limit, policy=policy, said=said, until=until)
        assert (ended.stopped is not None) == (how == "401")
        assert counted(path, "draw") == 6
        asked, server.behaviour = server.asked, right
        assert run(server.url, task, path, concurrency=8).value == 100.0
        assert server.asked - asked == 54, "a stored answer is never asked again"


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(errno.EIO, "gone"), ValueError("closed")])
def test_a_run_goes_on_when_nobody_reads_what_it_says(tmp_path: Path, error: Exception) -> None:
    class Gone(StringIO):
        def write(self, text: str) -> int:
            raise error

    with RawServer() as server:
        assert run(server.url, sums(tmp_path, 5), tmp_path / "r.db", said=Gone()).value == 100.0
