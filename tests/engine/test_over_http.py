"""The engine against a real server on loopback."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from evalkit.engine.plan import make_plan
from evalkit.engine.run import Options, execute, open_run
from evalkit.engine.waits import RetryPolicy
from evalkit.models.openai import OpenAIModel
from evalkit.report.table import build_table
from evalkit.runfile.cells import TableCell
from tests.made import sums
from tests.openai_server import Fault, OpenAIServer, arithmetic


def run(server: OpenAIServer, task: str, path: Path, concurrency: int | None, attempts: int = 6) -> TableCell:
    async def go() -> TableCell:
        model = OpenAIModel("mock", server.url, timeout=10)
        plan = make_plan(model, [task])
        store = open_run(path, plan)
        try:
            await execute(plan, store, Options(concurrency, RetryPolicy(attempts, 0.01)))
            return build_table([store]).cells[0]
        finally:
            store.close()
            await model.aclose()

    return asyncio.run(go())


@pytest.mark.parametrize("concurrency", [1, 16])
def test_concurrency_is_what_was_asked_for(tmp_path: Path, concurrency: int) -> None:
    with OpenAIServer(arithmetic, latency=0.01) as server:
        cell = run(server, sums(tmp_path, 60), tmp_path / "r.db", concurrency)
        assert cell.value == 100.0
        assert len(server.requests) == 60
        assert server.max_in_flight == concurrency
    assert cell.tokens[0] > 0
    assert cell.tokens[1] > 0


def test_auto_goes_beyond_where_it_starts(tmp_path: Path) -> None:
    with OpenAIServer(arithmetic, latency=0.03) as server:
        cell = run(server, sums(tmp_path, 300), tmp_path / "r.db", None)
        assert cell.value == 100.0
        assert server.max_in_flight > 16


def test_faults_are_fixed_and_every_question_is_answered_once(tmp_path: Path) -> None:
    with OpenAIServer(arithmetic) as server:
        faults: tuple[Fault, ...] = ("429", "503", "500", "drop", "truncated", "html", "no choices")
        for fault in faults:
            server.fail(fault, 2)
        cell = run(server, sums(tmp_path, 40), tmp_path / "r.db", 8)
        assert (cell.value, cell.n, cell.outcomes["failed"]) == (100.0, 40, 0)
        assert len(server.requests) == 40 + 2 * len(faults)


@pytest.mark.slow
def test_retry_after_is_kept_to(tmp_path: Path) -> None:
    with OpenAIServer(arithmetic) as server:
        server.fail("429", 1, retry_after="1")

        async def timed() -> float:
            loop = asyncio.get_running_loop()
            start = loop.time()
            await asyncio.to_thread(run, server, sums(tmp_path, 1), tmp_path / "r.db", 1)
            return loop.time() - start

        assert asyncio.run(timed()) >= 1.0
