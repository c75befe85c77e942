"""Runs by batch routes, against stand-ins for OpenAI's and Anthropic's."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web

from evalkit.engine.client import Stopped
from evalkit.engine.progress import PlainProgress
from evalkit.engine.run import Options
from evalkit.engine.waits import RetryPolicy
from evalkit.errors import UsageError
from evalkit.models.anthropic import AnthropicModel
from evalkit.models.base import Model
from evalkit.models.openai import OpenAIModel
from evalkit.report.table import Table
from evalkit.runfile.batches import open_batches, stored_batches
from evalkit.runfile.cells import TableCell
from evalkit.runfile.store import Store
from evalkit.engine.plan import make_plan
from evalkit.session import execute_plan
from tests.batch_server import AnthropicBatchServer, Batches, OpenAIBatchServer
from tests.made import sums
from tests.openai_server import arithmetic, asked_text, refuse_like_openai
from tests.openai_wire import Payload

QUICK = RetryPolicy(4, 0.1, second=0.01)
BATCH = Options(retry=QUICK, batch=True)


def model_at(server: Batches) -> Model:
    kind = AnthropicModel if isinstance(server, AnthropicBatchServer) else OpenAIModel
    return kind("mock", server.url, timeout=10, key_env="")


async def running(server: Batches, task: str, path: Path, options: Options = BATCH) -> Table:
    model = model_at(server)
    try:
        return await execute_plan(make_plan(model, [task]), path, options)
    finally:
        await model.aclose()


def cell_of(server: Batches, task: str, path: Path, options: Options = BATCH) -> TableCell:
    return asyncio.run(running(server, task, path, options)).cells[0]


def said(cell: TableCell) -> tuple[object, ...]:
    return cell.value, cell.low, cell.high, cell.n, dict(cell.outcomes), cell.signature


@pytest.fixture(params=[OpenAIBatchServer, AnthropicBatchServer])
def server(request: pytest.FixtureRequest) -> Callable[..., Batches]:
    kind: Callable[..., Batches] = request.param
    return kind


def test_a_run_is_one_batch_with_the_table_and_the_bodies_of_a_plain_run(
    tmp_path: Path, server: Callable[..., Batches]
) -> None:
    task = sums(tmp_path, 40)
    with server() as asked:
        plain = cell_of(asked, task, tmp_path / "plain.db", Options(retry=QUICK))
        bodies = sorted(json.dumps(one.payload) for one in asked.requests)
        asked.requests.clear()
        batched = cell_of(asked, task, tmp_path / "batched.db")
        assert said(batched) == said(plain)
        assert bodies == sorted(json.dumps(one.payload) for one in asked.requests)
        assert [len(batch.requests) for batch in asked.batches] == [40]
    with Store.open(tmp_path / "batched.db") as store:
        (stored,) = stored_batches(store)
        assert (stored.batch, stored.requests) == ("batch_0", 40)
        assert not open_batches(store)
    assert any("40 responses came by the provider's batch routes" in note for note in batched.notes)
