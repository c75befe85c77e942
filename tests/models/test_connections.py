"""The connections of an endpoint: how long they may take, and how much is read from all of them at once."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from evalkit.engine.bounds import bounded
from evalkit.errors import ProviderError, UsageError
from evalkit.models import connections
from evalkit.models.base import Request
from evalkit.models.openai import OpenAIModel
from tests.raw_server import Connection, RawServer

_ROOT = Path(__file__).parent.parent.parent


def test_a_handshake_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "CONNECT", 0.05)

    async def asking(port: int) -> ProviderError:
        model = OpenAIModel("any", f"https://127.0.0.1:{port}/v1")
        with pytest.raises(ProviderError, match=r"no connection within 0\.05 s") as failed:
            await model.generate(Request("A text", 4))
        await model.aclose()
        return failed.value

    with socket.create_server(("127.0.0.1", 0)) as listener:
        error = asyncio.run(asking(listener.getsockname()[1]))
    assert (error.retryable, error.away, error.unsent) == (True, True, True)


class Body:
    """A body of `pieces` megabytes. `read`: how many of those of all bodies are in memory."""

    read = most = 0

    def __init__(self, pieces: int) -> None:
        self._pieces = pieces
        self._held = 0

    async def iter_any(self) -> AsyncIterator[bytes]:
        for _ in range(self._pieces):
            await asyncio.sleep(0)
            self._held += 1
            Body.read += 1
            Body.most = max(Body.most, Body.read)
            yield b"a" * connections._LARGE

    def done(self, body: bytes) -> int:
        Body.read -= self._held
        return len(body)


def test_all_large_answers_share_one_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_LARGE", 1000)

    async def go() -> list[int]:
        bodies = [Body(20) for _ in range(32)]
        return await asyncio.gather(*(connections.read_body(body, body.done) for body in bodies))

    assert asyncio.run(go()) == [20_000] * 32
    # each has a first piece and the one that made it large, and two have all of theirs
    assert Body.most <= 32 * 2 + 2 * 18


def test_an_endless_answer_is_not_kept_by_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "LARGEST_ANSWER", 5000)
    monkeypatch.setattr(connections, "_LARGE", 1000)

    async def go() -> ProviderError:
        with pytest.raises(ProviderError, match="more than") as failed:
            await connections.read_body(body := Body(20), body.done)
        return failed.value

    error = asyncio.run(go())
    assert error.__context__ is None
    trace, kept = error.__traceback__, 0
    while trace is not None:
        kept += sum(
            len(value) for value in trace.tb_frame.f_locals.values() if isinstance(value, list | bytes)
        )
        trace = trace.tb_next
    assert kept <= 1000, "one piece"


def test_a_large_answer_is_parsed_outside_of_the_event_loop() -> None:
    threads: set[str] = set()

    def note(body: bytes) -> None:
        import threading

        threads.add(threading.current_thread().name)

    class Large:
        async def iter_any(self) -> AsyncIterator[bytes]:
            yield b"a" * (1 << 19)

    asyncio.run(connections.read_body(Large(), note))
    assert threads == {"parser_0"}


def test_connections_are_used_again_once_nothing_more_came(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_QUIET", 0.0)

    async def asking(url: str, times: int) -> None:
        model = OpenAIModel("any", url)
        for _ in range(times):
            await model.generate(Request("1 + 1", 4))
        await model.aclose()

    with RawServer() as server:
        asyncio.run(asking(server.url, 5))
        assert server.connections == 1

    async def busy(connection: Connection, number: int) -> None:
        await (connection.refuse(503) if number == 2 else connection.answer())

    async def failing(url: str) -> None:
        model = OpenAIModel("any", url)
        for number in range(5):
            if number == 2:
                with pytest.raises(ProviderError):
                    await model.generate(Request("1 + 1", 4))
            else:
                await model.generate(Request("1 + 1", 4))
        await model.aclose()

    with RawServer(busy) as server:
        asyncio.run(failing(server.url))
        assert server.connections == 2, "after a gateway's error, not the same one"

    async def together(url: str) -> None:
        model = OpenAIModel("any", url)
        for _ in range(2):
            asked = (model.generate(Request(f"1 + {number}", 4)) for number in range(3))
            await asyncio.gather(*asked, return_exceptions=True)
        await model.aclose()

    with RawServer(busy) as server:
        asyncio.run(together(server.url))
        assert server.connections == 4, "the others are used again"


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("timeout", (0.5, 600.0, 86400.0), (0.0, -1.0, float("nan"), float("inf"), 1e9)),
        ("retries", (0, 5, 100), (-1, 101, 10**40)),
        ("concurrency", (1, 4096), (0, 4097)),
        ("limit", (1, 10**12), (0, 10**13)),
        ("seed", (0, -(2**63), 2**63 - 1), (2**63, -(2**63) - 1, 10**40)),
    ],
)
def test_numbers_out_of_range_are_refused_with_the_range(
    name: str, right: tuple[float, ...], wrong: tuple[float, ...]
) -> None:
    for value in right:
        assert bounded(name, value) == value  # type: ignore[arg-type]
    for value in wrong:
        with pytest.raises(UsageError, match=rf"^--{name} must be from .* to .*\(.*\), not "):
            bounded(name, value, f"--{name}")  # type: ignore[arg-type]


def test_the_tests_that_the_page_about_faults_names_exist() -> None:
    page = (_ROOT / "docs/faults.md").read_text("utf-8")
    named = set(re.findall(r"`(test_\w+)`", page))
    tests = "".join(path.read_text("utf-8") for path in (_ROOT / "tests").rglob("test_*.py"))
    assert len(named) >= 14
    assert not [name for name in named if f"def {name}(" not in tests]
