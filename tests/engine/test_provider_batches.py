"""Runs by batch routes, against stand-ins for OpenAI's and Anthropic's."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from evalkit.engine.client import Stopped
from evalkit.engine.merge import merge
from evalkit.engine.plan import make_plan
from evalkit.engine.progress import PlainProgress
from evalkit.engine.run import Options
from evalkit.engine.waits import RetryPolicy
from evalkit.errors import UsageError
from evalkit.models import open_model
from evalkit.models.anthropic import AnthropicModel
from evalkit.models.base import Model
from evalkit.models.openai import OpenAIModel
from evalkit.report.table import Table
from evalkit.runfile.batches import open_batches, set_batch, set_requests, stored_batches
from evalkit.runfile.cells import TableCell
from evalkit.runfile.slim import write_slim
from evalkit.runfile.store import Store
from evalkit.session import execute_plan
from tests.album import album, square
from tests.batch_server import AnthropicBatchServer, Batches, OpenAIBatchServer, Submitted
from tests.engine.test_likelihood_over_http import next_token
from tests.made import sums, two_turns
from tests.openai_server import arithmetic, asked_text, refuse_like_openai
from tests.openai_wire import Payload
from tests.quiz import quiz

QUICK = RetryPolicy(4, 0.1, second=0.01)
BATCH = Options(retry=QUICK, batch=True)


def model_at(server: Batches) -> Model:
    kind = AnthropicModel if isinstance(server, AnthropicBatchServer) else OpenAIModel
    return kind("mock", server.url, timeout=10, key_env="")


async def running(server: Batches, task: str, path: Path, options: Options = BATCH, **planned: Any) -> Table:
    model = model_at(server)
    try:
        return await execute_plan(make_plan(model, [task], **planned), path, options)
    finally:
        await model.aclose()


def cell_of(server: Batches, task: str, path: Path, options: Options = BATCH, **planned: Any) -> TableCell:
    return asyncio.run(running(server, task, path, options, **planned)).cells[0]


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
    assert any("40 responses came by the provider's batch routes" in note for note in batched.evidence)


@pytest.mark.slow
def test_draws_and_turns_are_batches(tmp_path: Path, server: Callable[..., Batches]) -> None:
    task = sums(tmp_path, 8)
    with server() as asked:
        plain = cell_of(asked, f"{task}:sums:maj", tmp_path / "plain.db", Options(retry=QUICK))
        assert said(cell_of(asked, f"{task}:sums:maj", tmp_path / "draws.db")) == said(plain)
        assert [len(batch.requests) for batch in asked.batches] == [40]
        asked.batches.clear()
        cell = cell_of(asked, two_turns(tmp_path, 8), tmp_path / "turns.db")
        assert (cell.value, cell.n) == (100.0, 8)
        assert [len(batch.requests) for batch in asked.batches] == [8, 8]
        assert [len(payload["messages"]) for _, payload in asked.batches[1].requests] == [3] * 8


def test_errors_inside_a_batch_are_those_of_single_requests(
    tmp_path: Path, server: Callable[..., Batches]
) -> None:
    """A 429 goes into the next batch, a 400 fails its sample."""
    refused = {"3 + 3": 429, "4 + 4": 400}

    def script(payload: Payload, route: str) -> str | web.Response:
        text = asked_text(payload)
        status = next((code for sum_, code in refused.items() if text.endswith(f" {sum_}")), 0)
        if status == 429:
            del refused["3 + 3"]
        if status:
            kind = "rate_limit_error" if status == 429 else "invalid_request_error"
            return refuse_like_openai(status, "No.", kind, "")
        return arithmetic(payload, route)

    with server(script) as asked:
        cell = cell_of(asked, sums(tmp_path, 8), tmp_path / "r.db")
        assert [len(batch.requests) for batch in asked.batches] == [8, 1]
        assert (cell.outcomes["correct"], cell.outcomes["failed"]) == (7, 1)
        assert asked.submitted[8] in asked.submitted[:8]


def test_a_parameter_that_is_refused_inside_a_batch_is_renamed_in_the_next_one(tmp_path: Path) -> None:
    def script(payload: Payload, route: str) -> str | web.Response:
        if "max_tokens" in payload:
            said = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
            return refuse_like_openai(400, said, "invalid_request_error", "unsupported_parameter")
        return arithmetic(payload, route)

    with OpenAIBatchServer(script) as asked:
        cell = cell_of(asked, sums(tmp_path, 6), tmp_path / "r.db")
        assert (cell.value, cell.n) == (100.0, 6)
        assert [len(batch.requests) for batch in asked.batches] == [6, 6]


def test_what_is_not_answered_in_time_or_not_in_the_results_is_sent_again(
    tmp_path: Path, server: Callable[..., Batches]
) -> None:
    with server() as asked:
        asked.expiring = 3
        cell = cell_of(asked, sums(tmp_path, 8), tmp_path / "expired.db")
        assert (cell.value, cell.n) == (100.0, 8)
        assert [len(batch.requests) for batch in asked.batches] == [8, 3]
        asked.batches.clear()
        asked.cut = 4
        cell = cell_of(asked, sums(tmp_path, 8), tmp_path / "cut.db")
        assert (cell.value, cell.n) == (100.0, 8)
        assert [len(batch.requests) for batch in asked.batches] == [8, 1]


def test_a_download_that_is_cut_is_repeated(tmp_path: Path, server: Callable[..., Batches]) -> None:
    with server() as asked:
        asked.cut = 1
        cell = cell_of(asked, sums(tmp_path, 8), tmp_path / "r.db")
        assert (cell.value, asked.downloads, len(asked.batches)) == (100.0, 2, 1)


@pytest.mark.parametrize(("status", "times"), [(503, 2), (429, 30)])
def test_outages_of_the_routes_and_full_queues_pass(
    tmp_path: Path, server: Callable[..., Batches], status: int, times: int
) -> None:
    """A 429 is waited for longer than an outage may last."""
    options = dataclasses.replace(BATCH, retry=RetryPolicy(4, 0.1, outage=5.0, second=0.002))
    with server() as asked:
        asked.away, asked.status = times, status
        cell = cell_of(asked, sums(tmp_path, 8), tmp_path / "r.db", options)
        assert (cell.value, cell.n, len(asked.batches)) == (100.0, 8, 1)
        assert not asked.away


def test_a_429_of_the_batch_routes_is_waited_for_a_day(tmp_path: Path) -> None:
    options = dataclasses.replace(BATCH, retry=RetryPolicy(4, 0.1, second=1e-5))
    with OpenAIBatchServer() as asked:
        asked.away, asked.status, asked.retry_after = 1000, 429, "600"
        with pytest.raises(Stopped, match="HTTP 429"):
            cell_of(asked, sums(tmp_path, 2), tmp_path / "r.db", options)
        assert 1000 - asked.away == 144


def test_a_batch_that_does_not_end_stops_the_run(tmp_path: Path) -> None:
    task, path = sums(tmp_path, 2), tmp_path / "r.db"
    with OpenAIBatchServer() as asked:
        asyncio.run(interrupted(asked, task, path))
        with Store.open(path, to_write=True) as store:
            stored = stored_batches(store)[0]
            set_batch(store, dataclasses.replace(stored, at=stored.at - 300_000))
        asked.held = True
        with pytest.raises(Stopped, match=r"batch_0 of .* has not ended in 3 days: --no-batch cancels it"):
            cell_of(asked, task, path)
        asked.held = False
        assert (cell_of(asked, task, path).n, len(asked.batches)) == (2, 1)


@pytest.mark.slow
def test_a_file_that_is_still_read_is_waited_for(tmp_path: Path) -> None:
    with OpenAIBatchServer() as asked:
        asked.pending = 2
        assert cell_of(asked, sums(tmp_path, 2), tmp_path / "r.db").n == 2
        asked.read = "error"
        with pytest.raises(Stopped, match="the endpoint cannot read the file of a batch: no reason given"):
            cell_of(asked, sums(tmp_path, 2), tmp_path / "other.db")


def test_an_outage_that_does_not_pass_ends_the_run_and_the_batch_is_joined_later(tmp_path: Path) -> None:
    task, path = sums(tmp_path, 8), tmp_path / "r.db"
    with OpenAIBatchServer() as asked:
        asyncio.run(interrupted(asked, task, path))
        asked.away = 1000
        short = dataclasses.replace(BATCH, retry=RetryPolicy(4, 0.1, outage=0.5, second=0.01))
        with pytest.raises(Stopped, match="HTTP 503"):
            cell_of(asked, task, path, short)
        asked.away = 0
        cell = cell_of(asked, task, path)
        assert (cell.value, cell.n, len(asked.batches)) == (100.0, 8, 1)


def test_a_submission_without_a_response_is_found_and_not_repeated(
    tmp_path: Path, server: Callable[..., Batches]
) -> None:
    with server() as asked:
        asked.lost = 1
        cell = cell_of(asked, sums(tmp_path, 8), tmp_path / "r.db")
        assert (cell.value, cell.n, len(asked.batches)) == (100.0, 8, 1)


async def interrupted(asked: Batches, task: str, path: Path) -> None:
    """Runs until the server's first batch was looked at, and is then stopped as by Ctrl-C."""
    asked.held = True
    work = asyncio.create_task(running(asked, task, path))
    while not (asked.batches and asked.batches[0].looks):
        await asyncio.sleep(0.01)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    asked.held = False


def test_a_resumed_run_joins_what_the_provider_finished_meanwhile(
    tmp_path: Path, server: Callable[..., Batches], capsys: pytest.CaptureFixture[str]
) -> None:
    task, path = sums(tmp_path, 8), tmp_path / "r.db"
    with server() as asked:
        asyncio.run(interrupted(asked, task, path))
        with Store.open(path) as store:
            ((stored, custom_ids),) = open_batches(store)
            assert stored.batch == "batch_0"
            assert sorted(custom_ids) == sorted(asked.submitted)
        with pytest.raises(UsageError, match="has 8 requests in batches at the provider: add --batch"):
            cell_of(asked, task, path, Options(retry=QUICK))
        cell = cell_of(asked, task, path)
        assert (cell.value, cell.n, len(asked.batches)) == (100.0, 8, 1)
        with Store.open(path) as store:
            assert not open_batches(store)
        assert cell_of(asked, task, path, Options(retry=QUICK)).value == 100.0


@pytest.mark.parametrize(("name", "custom_id"), [("../models", "0" * 32 + "-0"), ("batch_0", "../x-0")])
def test_edited_batches_are_named(tmp_path: Path, name: str, custom_id: str) -> None:
    task, path = sums(tmp_path, 2), tmp_path / "r.db"
    with OpenAIBatchServer() as asked:
        asyncio.run(interrupted(asked, task, path))
        with Store.open(path, to_write=True) as store:
            batch = dataclasses.replace(stored_batches(store)[0], batch=name)
            set_batch(store, batch)
            set_requests(store, batch.mark, [custom_id])
        with pytest.raises(UsageError, match=r"table run, 'requests of batch .*': it was edited"):
            cell_of(asked, task, path)


def test_likelihoods_of_letters_and_of_prompts_go_in_batches(tmp_path: Path) -> None:
    task = f"{quiz(tmp_path)}:quiz:likely"
    for number, settings in enumerate(({}, {"likelihood": "prompt"})):
        with OpenAIBatchServer(next_token=next_token) as asked:
            path = tmp_path / f"plain{number}.db"
            plain = cell_of(asked, task, path, Options(retry=QUICK), settings=settings)
            batched = cell_of(asked, task, tmp_path / f"batched{number}.db", settings=settings)
            assert said(batched) == said(plain)
            assert plain.value == 50.0
            assert asked.batches


def test_pictures_go_in_batches_and_are_recognised_by_a_resumed_run(
    tmp_path: Path, server: Callable[..., Batches]
) -> None:
    rows = [(colour, colour, [f"{colour}.png"]) for colour in ("red", "green", "blue")]
    task = album(tmp_path, {f"{colour}.png": square(colour) for colour, _, _ in rows}, rows)
    path = tmp_path / "r.db"
    with server(lambda payload, route: "red") as asked:
        asyncio.run(interrupted(asked, task, path))
        cell = cell_of(asked, task, path)
        assert (cell.outcomes["correct"], cell.n, len(asked.batches)) == (1, 3, 1)
        assert len(asked.seen) == 3


def test_batches_at_another_address_are_not_forgotten(tmp_path: Path) -> None:
    task, path = sums(tmp_path, 8), tmp_path / "r.db"
    with OpenAIBatchServer() as asked, OpenAIBatchServer() as other:
        asyncio.run(interrupted(asked, task, path))
        with pytest.raises(UsageError, match=f"has requests in batches at {asked.url}: give that as"):
            cell_of(other, task, path, same_model=True)
        assert not other.batches


def test_samples_with_the_same_prompt_share_a_request(tmp_path: Path) -> None:
    path = Path(sums(tmp_path, 20))
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("+ sample.input)", "+ sample.input[:1])"), encoding="utf-8")
    with OpenAIBatchServer() as asked:
        assert cell_of(asked, str(path), tmp_path / "r.db").n == 20
        assert len({*asked.submitted}) == len(asked.submitted) == 10  # the first digits


@pytest.mark.parametrize("known", [True, False])
def test_a_batch_whose_id_was_not_stored_is_found_at_the_provider(
    tmp_path: Path, server: Callable[..., Batches], known: bool
) -> None:
    """As after a kill between the submission and its response; without the batch, before the submission."""
    task, path = sums(tmp_path, 8), tmp_path / "r.db"
    with server() as asked:
        asyncio.run(interrupted(asked, task, path))
        with Store.open(path, to_write=True) as store:
            set_batch(store, dataclasses.replace(stored_batches(store)[0], batch=""))
        if not known:
            asked.batches.clear()
        cell = cell_of(asked, task, path)
        assert (cell.value, cell.n, len(asked.batches)) == (100.0, 8, 1)


def test_somebody_elses_batch_of_the_same_size_is_not_taken_for_it(tmp_path: Path) -> None:
    task, path = sums(tmp_path, 8), tmp_path / "r.db"
    with AnthropicBatchServer() as asked:
        asyncio.run(interrupted(asked, task, path))
        (own,) = asked.batches
        requests = [(f"other-{number}", payload) for number, (_, payload) in enumerate(own.requests)]
        other = Submitted(7, own.route, requests)
        asked.batches.append(other)
        with Store.open(path, to_write=True) as store:
            set_batch(store, dataclasses.replace(stored_batches(store)[0], batch=""))
        cell = cell_of(asked, task, path)
        assert (cell.value, cell.n, asked.batches) == (100.0, 8, [own, other])
        assert other.looks


def test_a_batch_that_the_provider_deleted_is_sent_again(
    tmp_path: Path, server: Callable[..., Batches]
) -> None:
    task, path = sums(tmp_path, 8), tmp_path / "r.db"
    with server() as asked:
        asyncio.run(interrupted(asked, task, path))
        asked.batches.clear()
        asked.first = 100
        cell = cell_of(asked, task, path)
        assert (cell.value, cell.n, [batch.id for batch in asked.batches]) == (100.0, 8, ["batch_100"])


@pytest.mark.parametrize("ended", [False, True])
def test_batches_are_cancelled_if_the_run_goes_on_without_them(
    tmp_path: Path, server: Callable[..., Batches], ended: bool
) -> None:
    task, path = sums(tmp_path, 8), tmp_path / "r.db"
    with server() as asked:
        asyncio.run(interrupted(asked, task, path))
        (batch,) = asked.batches
        if ended:
            batch.results = []
        cell = cell_of(asked, task, path, Options(retry=QUICK, batch=False))
        assert (cell.value, cell.n, len(asked.batches)) == (100.0, 8, 1)
        assert batch.cancelled is not ended
        assert len(asked.requests) == 8
        assert cell_of(asked, task, path, Options(retry=QUICK)).n == 8


def test_a_batch_that_somebody_cancels_is_sent_again(tmp_path: Path, server: Callable[..., Batches]) -> None:
    with server() as asked:

        async def cancelled() -> TableCell:
            asked.held = True
            work = asyncio.create_task(running(asked, sums(tmp_path, 8), tmp_path / "r.db"))
            while not (asked.batches and asked.batches[0].looks):
                await asyncio.sleep(0.01)
            assert asked.cancel(asked.batches[0])
            asked.held = False
            return (await work).cells[0]

        cell = asyncio.run(cancelled())
        assert (cell.value, cell.n) == (100.0, 8)
        assert [len(batch.requests) for batch in asked.batches] == [8, 8]


def test_merged_and_slim_runs_keep_the_batches_and_not_what_waits_in_them(tmp_path: Path) -> None:
    task = sums(tmp_path, 8)
    shards = [tmp_path / "1.db", tmp_path / "2.db"]
    with OpenAIBatchServer() as asked:
        for number, path in enumerate(shards, 1):
            cell_of(asked, task, path, shard=f"{number}/2")
        with Store.open(shards[0], to_write=True) as store:  # as after a kill before the last commit
            set_requests(store, stored_batches(store)[0].mark, asked.submitted)
        merge(shards, tmp_path / "merged.db", task_files=[task])
        write_slim(tmp_path / "merged.db", tmp_path / "slim.db")
        write_slim(shards[0], tmp_path / "slim-shard.db")
    for name, count, left in (("merged", 2, 0), ("slim", 2, 0), ("1", 1, 1), ("slim-shard", 1, 0)):
        with Store.open(tmp_path / f"{name}.db") as store:
            assert (len(stored_batches(store)), len(open_batches(store))) == (count, left)


def test_a_full_queue_has_smaller_batches_sent_one_after_the_other(tmp_path: Path) -> None:
    with OpenAIBatchServer() as asked:
        asked.full_above = 12
        cell = cell_of(asked, sums(tmp_path, 30), tmp_path / "r.db")
        assert (cell.value, cell.n) == (100.0, 30)
        assert [len(batch.requests) for batch in asked.batches] == [30, 15, 8, 7, 8, 7]
        assert [bool(batch.wrong) for batch in asked.batches] == [True, True, False, False, False, False]
        asked.full_above = 0
        with pytest.raises(Stopped, match="Enqueued token limit reached"):
            cell_of(asked, sums(tmp_path, 2), tmp_path / "none.db")


def test_a_batch_has_at_most_the_requests_of_concurrency(tmp_path: Path) -> None:
    with OpenAIBatchServer() as asked:
        cell = cell_of(asked, sums(tmp_path, 20), tmp_path / "r.db", Options(10, QUICK, batch=True))
        assert (cell.value, [len(batch.requests) for batch in asked.batches]) == (100.0, [10, 10])


def test_a_batch_that_is_not_accepted_ends_the_run_with_the_providers_words(tmp_path: Path) -> None:
    task, path = sums(tmp_path, 4), tmp_path / "r.db"
    with OpenAIBatchServer() as asked:
        asked.fault = "The model `mock` does not support the batch API."
        with pytest.raises(Stopped, match="did not accept batch batch_0: The model `mock` does not support"):
            cell_of(asked, task, path)
        asked.fault = ""
        assert cell_of(asked, task, path).n == 4


@pytest.mark.parametrize(
    ("status", "name"), [(401, ""), (404, ""), (0, "../../models"), (0, "batch?x"), (0, 7), (0, None)]
)
def test_refusals_and_hostile_ids_stop_the_run(tmp_path: Path, status: int, name: object) -> None:
    with OpenAIBatchServer() as asked:
        asked.answers = refuse_like_openai(status, "Nothing here.", "", "") if status else name
        with pytest.raises(Stopped, match="Nothing here" if status else "as the id of a batch"):
            cell_of(asked, sums(tmp_path, 4), tmp_path / "r.db")


def test_what_cannot_be_sent_in_batches_is_one_line(tmp_path: Path) -> None:
    task = sums(tmp_path, 4)
    for name, options, words in (
        ("fake/gold", BATCH, "--batch: fake/gold has no batch routes"),
        ("mistral/small", BATCH, "--batch: mistral/ has no batch routes that evalkit knows"),
        ("openai/any", Options(retry=QUICK, verify=0.5, batch=True), "leave it or --batch out"),
    ):
        plan = make_plan(open_model(name), [task])
        with pytest.raises(UsageError, match=words):
            asyncio.run(execute_plan(plan, tmp_path / f"{plan.model.name.replace('/', '-')}.db", options))


def test_the_progress_says_how_far_the_batches_are(tmp_path: Path) -> None:
    said = io.StringIO()
    with OpenAIBatchServer() as asked:
        asked.polls = 6
        model = model_at(asked)

        async def go() -> None:
            plan = make_plan(model, [sums(tmp_path, 4)])
            await execute_plan(plan, tmp_path / "r.db", BATCH, PlainProgress(said, every=0.0))
            await model.aclose()

        asyncio.run(go())
        assert f"a batch of 4 requests was submitted to {asked.url}" in said.getvalue()
        line = rf"sums:once: 0/4 · batch 1 of 1 at {asked.url}: 0 of 4 requests answered, asked for 0 min"
        assert re.search(line, said.getvalue())
        assert "in flight" not in said.getvalue()
