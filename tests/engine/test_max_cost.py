"""`--max-cost` against a real server: what it says it used never passes the amount, and nothing starves."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any

import pytest

from evalkit import Store, Table, merge, open_model, run
from evalkit.engine.budget import Spent
from evalkit.engine.plan import make_plan
from evalkit.engine.run import Options
from evalkit.engine.waits import RetryPolicy
from evalkit.errors import UsageError
from evalkit.models.fake import FakeModel
from evalkit.models.openai import OpenAIModel
from evalkit.models.prices import read_prices
from evalkit.runfile.records import OF_JUDGE
from evalkit.runfile.spent import SPENT, spent_in
from evalkit.session import execute_plan
from tests.batch_server import OpenAIBatchServer
from tests.engine.test_shared_draws import Drawing, know
from tests.graded import essays
from tests.made import sums
from tests.openai_server import CHAT, OpenAIServer, Payload, answer, arithmetic

INPUT, OUTPUT = 0.001, 0.01
"""US dollars for a token."""


def prices(folder: Path, *more: str) -> Path:
    path = folder / "prices.toml"
    path.write_text(
        f'[[price]]\nmodels = ["openai/*"]\ninput = {INPUT * 1e6}\noutput = {OUTPUT * 1e6}\n'
        + "\n".join(more),
        encoding="utf-8",
    )
    return path


def ask(server: OpenAIServer, task: str, folder: Path, most: float | None, **how: Any) -> Table:
    return run(
        "openai/tiny",
        task,
        base_url=server.url,
        output=folder / "r.db",
        max_cost=most,
        prices=prices(folder),
        settings={"max_tokens": 20},
        **how,
    )


def ask_impatiently(server: OpenAIServer, task: str, folder: Path) -> None:
    """Asks with short waits between the attempts."""

    async def go() -> None:
        model = OpenAIModel("tiny", server.url, timeout=10)
        plan = make_plan(model, [task], settings={"max_tokens": "20"})
        options = Options(1, RetryPolicy(6, 0.01), max_cost=50.0, prices=read_prices(prices(folder)))
        try:
            await execute_plan(plan, folder / "r.db", options)
        finally:
            await model.aclose()

    asyncio.run(go())


def used(path: Path, where: str = "1") -> float:
    """What the stored responses cost, by the server's numbers."""
    with Store.open(path) as store:
        prompt, output = store.connection.execute(
            f"SELECT sum(prompt_tokens), sum(completion_tokens) FROM draw WHERE {where}"
        ).fetchone()
    return INPUT * (prompt or 0) + OUTPUT * (output or 0)


def spent(path: Path) -> float:
    with Store.open(path) as store:
        return float(store.manifest[SPENT])


def most_of_one(text: str = "What is 199 + 6") -> float:
    """The bound of one request for a sum: a token for each byte, what a template adds, 20 of output."""
    return INPUT * (len(text) + 48) + OUTPUT * 20


@pytest.mark.parametrize("concurrency", [1, 16])
def test_the_amount_is_nearly_reached_and_never_passed(tmp_path: Path, concurrency: int) -> None:
    with OpenAIServer(arithmetic, latency=0.002) as server:
        with pytest.raises(Spent, match=r"--max-cost 2: USD 1\.\d\d were spent.*of 200 samples are left"):
            ask(server, sums(tmp_path, 200), tmp_path, 2.0, concurrency=concurrency)
        asked = len(server.requests)
    found = used(tmp_path / "r.db")
    assert 2.0 - most_of_one() < found <= 2.0
    assert math.isclose(found, spent(tmp_path / "r.db"))
    with Store.open(tmp_path / "r.db") as store:  # nothing that was sent was lost
        assert store.connection.execute("SELECT count(*) FROM draw").fetchone() == (asked,)


def test_with_a_small_rest_fewer_are_in_flight(tmp_path: Path) -> None:
    with OpenAIServer(arithmetic, latency=0.02) as server:
        with pytest.raises(Spent):
            ask(server, sums(tmp_path, 200), tmp_path, 2.5 * most_of_one(), concurrency=16)
        assert server.max_in_flight == 2


def test_what_was_spent_before_counts_and_a_higher_amount_goes_on(tmp_path: Path) -> None:
    task = sums(tmp_path, 40)
    with OpenAIServer(arithmetic) as server:
        with pytest.raises(Spent):
            ask(server, task, tmp_path, 1.0)
        first = len(server.requests)
        with pytest.raises(Spent):  # the same amount again: nothing is sent
            ask(server, task, tmp_path, 1.0)
        assert len(server.requests) == first
        table = ask(server, task, tmp_path, 50.0)
        assert (table.cells[0].value, len(server.requests)) == (100.0, 40)
    assert math.isclose(used(tmp_path / "r.db"), spent(tmp_path / "r.db"))


def test_merged_shards_have_cost_what_they_cost_together(tmp_path: Path) -> None:
    task, parts = sums(tmp_path), [tmp_path / "1.db", tmp_path / "2.db"]
    with OpenAIServer(arithmetic) as server:
        for number, part in enumerate(parts, 1):
            shard, table = f"{number}/2", prices(tmp_path)
            run("openai/tiny", task, output=part, base_url=server.url, shard=shard, prices=table)
    merge(parts, tmp_path / "r.db")
    assert math.isclose(spent(tmp_path / "r.db"), sum(map(spent, parts)))
    assert math.isclose(spent(tmp_path / "r.db"), used(tmp_path / "r.db"))


def test_a_run_that_had_no_prices_is_counted_when_it_gets_some(tmp_path: Path) -> None:
    with OpenAIServer(arithmetic) as server:
        run("openai/tiny", sums(tmp_path), base_url=server.url, output=tmp_path / "r.db")
    (price,) = read_prices(prices(tmp_path)).given
    with Store.open(tmp_path / "r.db") as store:
        assert SPENT not in store.manifest
        assert math.isclose(spent_in(store, price, {}), used(tmp_path / "r.db"))
        assert spent_in(store, None, {}) == 0


def without_usage(payload: Payload, route: str) -> Payload:
    document = answer(payload, CHAT, arithmetic(payload, route))
    del document["usage"]
    return document


def test_without_usage_the_estimate_counts_and_is_told(tmp_path: Path) -> None:
    told: list[str] = []

    class Telling:
        def start(self, *what: object) -> None: ...
        def sample(self, row: object) -> None: ...
        def close(self) -> None: ...
        def news(self, text: str) -> None:
            told.append(text)

    with OpenAIServer(without_usage) as server:
        ask(server, sums(tmp_path, 5), tmp_path, 50.0, progress=Telling())
    assert used(tmp_path / "r.db") == 0
    assert 5 * 0.04 < spent(tmp_path / "r.db") < 5 * 0.15  # about 12 tokens of input and 5 of output each
    assert told[-1].startswith("cost: USD 0.")
    assert told[-1].endswith("of at most USD 50.00; 5 responses had no usage and are estimated")


@pytest.mark.parametrize(("fault", "counted"), [("429", 0), ("500", 0), ("drop", 2), ("truncated", 2)])
def test_a_refusal_costs_nothing_and_an_attempt_without_a_response_all_of_its_bound(
    tmp_path: Path, fault: Any, counted: int
) -> None:
    with OpenAIServer(arithmetic) as server:
        server.fail(fault, 2)
        ask_impatiently(server, sums(tmp_path, 1), tmp_path)
    bound = INPUT * (len("What is 0 + 0") + 48) + OUTPUT * 20
    assert math.isclose(spent(tmp_path / "r.db"), used(tmp_path / "r.db") + counted * bound)


def test_judges_are_paid_by_their_own_price(tmp_path: Path) -> None:
    with OpenAIServer(lambda payload, route: "grade: 4") as server:
        run(
            FakeModel(lambda request, draw: f"on {request.prompt}", "fake/writer"),
            essays(tmp_path),
            output=tmp_path / "r.db",
            judge=open_model("openai/grader", base_url=server.url),
            prices=prices(tmp_path, '[[price]]\nmodels = ["fake/writer"]\ninput = 0\noutput = 0'),
            max_cost=50.0,
        )
    found = used(tmp_path / "r.db", f"judge = {OF_JUDGE}")
    assert found > 0
    assert math.isclose(spent(tmp_path / "r.db"), found)


def test_batched_requests_cost_the_share_that_the_price_says(tmp_path: Path) -> None:
    async def go(server: OpenAIBatchServer) -> None:
        model = OpenAIModel("tiny", server.url, timeout=10, key_env="")
        plan = make_plan(model, [sums(tmp_path, 6)], settings={"max_tokens": "20"})
        given = read_prices(prices(tmp_path, "batch = 0.5"))
        policy = RetryPolicy(4, 0.1, second=0.01)
        options = Options(retry=policy, batch=True, max_cost=50.0, prices=given)
        try:
            await execute_plan(plan, tmp_path / "r.db", options)
        finally:
            await model.aclose()

    with OpenAIBatchServer() as server:
        asyncio.run(go(server))
        assert [len(batch.requests) for batch in server.batches] == [6]
    assert math.isclose(spent(tmp_path / "r.db"), used(tmp_path / "r.db") / 2)


@pytest.mark.parametrize("most", [50.0, 0.6])
def test_draws_that_share_a_request_are_all_reserved_and_paid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: float
) -> None:
    """Five draws may have 100 tokens of output, of which the smaller amount pays only half."""
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    with Drawing() as server:
        know(server, "chat", "completion", name="openai/tiny")
        if most < 1:
            with pytest.raises(Spent):
                ask(server, f"{sums(tmp_path, 2)}:sums:maj", tmp_path, most)
            assert not server.requests
            return
        ask(server, f"{sums(tmp_path, 2)}:sums:maj", tmp_path, most)
        assert server.asked == [5, 5]
    assert math.isclose(spent(tmp_path / "r.db"), used(tmp_path / "r.db"))
    assert used(tmp_path / "r.db") > 0


def test_a_model_without_a_price_is_refused_before_there_is_a_run_file(tmp_path: Path) -> None:
    with OpenAIServer(arithmetic) as server, pytest.raises(UsageError, match="price of openai/gpt-4o is not"):
        run("openai/gpt-4o", sums(tmp_path), base_url=server.url, output=tmp_path / "r.db", max_cost=1.0)
    assert not (tmp_path / "r.db").exists()
    assert not server.requests
