"""`--dry-run` against what a run then really asks and uses, at an endpoint with a tokeniser."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from evalkit import Store, open_model, run
from evalkit.data.base import data_options
from evalkit.engine.budget import Spent
from evalkit.engine.counted import SAMPLED, Counting, Estimate, Tally
from evalkit.engine.dry_run import estimate, lengths
from evalkit.engine.plan import make_plan
from evalkit.models.base import Model, Request, Response
from evalkit.models.counting import count_at_endpoint
from evalkit.models.fake import FakeModel
from evalkit.models.media_tokens import picture_tokens
from evalkit.models.prices import Price, Prices
from evalkit.samples import Message
from tests.graded import essays
from tests.made import sums
from tests.openai_server import Payload
from tests.openai_wire import asked_text
from tests.tokenizing_server import TokenizingServer, encode

PRICES = Prices((Price(models=("openai/*",), input=2.0, output=10.0),))
EXACT = Counting(encode, "counted with a tokenizer.json")


def counted(model: Model, tasks: Any, counting: Counting = EXACT, **how: Any) -> list[Estimate]:
    """What a run would ask. `how`: as of `make_plan`, and `path` of the run file."""
    path = how.pop("path", None)

    async def go() -> list[Estimate]:
        plan = make_plan(model, tasks, scoring=False, **how)
        if path is None:
            return await estimate(plan, PRICES, counting)
        with Store.open(path) as store:
            return await estimate(plan, PRICES, counting, store)

    return asyncio.run(go())


def used(path: Path) -> list[tuple[int, int, int]]:
    """(requests, tokens of input, tokens of output) of each cell with responses."""
    with Store.open(path) as store:
        return store.connection.execute(
            "SELECT count(*), sum(prompt_tokens), sum(completion_tokens) FROM draw GROUP BY cell"
        ).fetchall()


def solution(payload: Payload) -> str:
    """A worked answer, a letter or a word, as long as the prompt has it."""
    text = asked_text(payload)
    if "Choose" in text or payload["max_tokens"] <= 1:
        return "B"
    return (
        "yes" if payload["max_tokens"] <= 256 else "Each of the 3 boxes has 4 eggs, so 12. The answer is 12."
    )


@pytest.mark.slow
@pytest.mark.parametrize("like", ["vllm", "llama.cpp", "tokenizer.json"])
def test_input_is_within_five_per_cent_of_what_is_used(tmp_path: Path, like: Any) -> None:
    picture = partial(picture_tokens, "openai/any")
    tasks = ["gsm8k:8-shot-cot", "mmlu:5-shot-chat", "vqav2"]
    counting = EXACT if like == "tokenizer.json" else Counting(endpoint=count_at_endpoint)
    with TokenizingServer(encode, solution, picture=picture, like=like) as server:
        model = open_model("openai/any", base_url=server.url)
        found = counted(model, tasks, counting, data=data_options("builtin"))
        assert not server.requests  # nothing was generated
        assert bool(server.counted) == (like != "tokenizer.json")
        assert server.counted <= 3 * 2 * SAMPLED
        run(model, tasks, output=tmp_path / "r.db", data="builtin")
    for one, (requests, sent, _) in zip(found, used(tmp_path / "r.db"), strict=True):
        assert one.requests == requests
        assert one.input == pytest.approx(sent, rel=0.05), one.task


def test_draws_are_counted_and_an_earlier_run_says_how_long_responses_are(tmp_path: Path) -> None:
    task = sums(tmp_path, 12) + ":sums:maj"
    with TokenizingServer(encode, lambda payload: "It is 12, I think.") as server:
        model = open_model("openai/any", base_url=server.url)
        run(model, task, output=tmp_path / "r.db")
        with Store.open(tmp_path / "r.db") as store:
            like = lengths(store)
        (found,) = counted(model, task, Counting(encode, like=like))
    ((requests, sent, output),) = used(tmp_path / "r.db")
    assert found.requests == requests == 60
    assert found.input == pytest.approx(sent, rel=0.15)  # a template's marks are much of so short a prompt
    assert found.output == output
    assert found.most_output == 60 * 1024
    assert found.cost == pytest.approx((2 * found.input + 10 * found.output) / 1e6, rel=1e-4)
    assert found.most_cost == pytest.approx((2 * found.input + 10 * found.most_output) / 1e6, rel=1e-4)
    assert found.output_by == f"{output / 60:g} tokens for each response, as in the earlier run"


def test_what_the_run_file_has_is_left_out(tmp_path: Path) -> None:
    task = sums(tmp_path, 30)
    with TokenizingServer(encode, lambda payload: "It is 12.") as server:
        model = open_model("openai/any", base_url=server.url)
        table = tmp_path / "prices.toml"
        table.write_text('[[price]]\nmodels = ["openai/*"]\ninput = 1e3\noutput = 1e4\n', encoding="utf-8")
        with pytest.raises(Spent):
            run(model, task, output=tmp_path / "r.db", max_cost=12.0, prices=table)
        before = len(server.requests)
        (found,) = counted(model, task, path=tmp_path / "r.db")
        assert (found.answered, found.requests) == (before, 30 - before)
        run(model, task, output=tmp_path / "r.db")
        assert len(server.requests) - before == found.requests
        (nothing,) = counted(model, task, path=tmp_path / "r.db")
        assert (nothing.requests, nothing.input, nothing.cost) == (0, 0, 0.0)


def test_continuations_are_one_request_for_each_text() -> None:
    with TokenizingServer(encode, lambda payload: "") as server:
        model = open_model("openai/any", base_url=server.url)
        (found,) = counted(model, "hellaswag:0-shot-continuation", data=data_options("builtin"))
        assert not server.requests
    assert found.requests == 8 * 4
    assert found.output == found.most_output == 32


def test_requests_that_follow_a_response_are_named(tmp_path: Path) -> None:
    source = Path(sums(tmp_path, 4))
    text = source.read_text("utf-8").replace("solver=ask_once", "solver=twice")
    twice = (
        "async def twice(context):\n"
        "    first = await context.ask(context.prompt)\n"
        '    turns = (*context.prompt, Message("assistant", first.text), Message("user", "Sure?"))\n'
        "    await context.ask(turns, follows=first)\n\n\n@task("
    )
    source.write_text(text.replace("@task(", twice, 1), encoding="utf-8")
    with TokenizingServer(encode, lambda payload: "") as server:
        (found,) = counted(open_model("openai/any", base_url=server.url), str(source))
    assert (found.requests, found.following) == (8, 4)


def test_judges_are_counted_with_one_reply_to_each_question(tmp_path: Path) -> None:
    with TokenizingServer(encode, lambda payload: "") as server:
        judge = open_model("openai/grader", base_url=server.url)
        writer = FakeModel(lambda request, draw: "", "fake/writer")
        model, grader = counted(writer, essays(tmp_path), judges={"judge": judge})
        assert not server.requests
    assert (model.judge, model.cost) == ("", None)
    assert (grader.model, grader.judge, grader.cost is None) == ("openai/grader", "judge", False)
    assert grader.following == grader.requests == 6
    assert grader.input > 6 * encode("Grade this from 0 to 5: ")
    assert grader.most_output == 6 * 1024


def test_a_random_sample_corrects_prompts_of_very_unlike_kinds() -> None:
    """The first prompts are plain, and the last ones need three times as many tokens."""
    short = FakeModel(lambda request, draw: "")

    async def count(model: Model, request: Request) -> int:
        text = str(request.prompt)
        return 30 if "plain" in text else 90

    def request(number: int) -> Request:
        return Request((Message("user", f"{'plain' if number < 500 else 'other'} {number:04} here"),), 8)

    tally = Tally("t", short, None, Counting(endpoint=count))
    for number in range(1000):
        asked = request(number)
        tally.add(asked.encoded()[0], asked, Response("x"), follows=False)
    found = asyncio.run(tally.estimate())
    assert found.input == pytest.approx(60_000, rel=0.2)
    assert found.input_by == f"the endpoint's counts of {SAMPLED} of the prompts"
