"""Choosing by likelihood against a real server: next token, prompt tokens, a wrong echo, a short context."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from evalkit.engine.client import Stopped
from evalkit.engine.plan import make_plan
from evalkit.engine.run import Options, execute, open_run
from evalkit.engine.waits import RetryPolicy
from evalkit.models import open_model
from evalkit.report.table import Table, build_table
from tests.openai_server import Echo, OpenAIServer
from tests.quiz import quiz


def next_token(text: str) -> dict[str, float]:
    """A model that knows every second answer of the quiz and is sure of it."""
    asked = re.search(r"(\d+):$", text)
    if asked is None:
        share = 0.5 + len(text) % 5 / 10
        return {" so": share, ".": 1.0 - share}
    number = int(asked[1])
    likely = number % 4 if number % 8 < 4 else (number + 1) % 4
    return {f" {letter}": 0.7 if i == likely else 0.1 for i, letter in enumerate("ABCD")}


def run(server: OpenAIServer, task: str, path: Path, model: str = "openai/mock", **settings: str) -> Table:
    async def go() -> Table:
        opened = open_model(model, base_url=server.url if model == "openai/mock" else "")
        plan = make_plan(opened, [f"{task}:quiz:likely"], settings=settings)
        store = open_run(path, plan)
        try:
            await execute(plan, store, Options(8, RetryPolicy(3, 0.01)))
            return build_table([store])
        finally:
            store.close()
            await opened.aclose()

    return asyncio.run(go())


def test_the_next_token_and_the_prompt_s_own_tokens_say_the_same(tmp_path: Path) -> None:
    task = quiz(tmp_path)
    with OpenAIServer(next_token=next_token) as server:
        first = run(server, task, tmp_path / "next.db")
        asked = len(server.requests)
        second = run(server, task, tmp_path / "prompt.db", likelihood="prompt")
    assert asked == 40
    assert first.cells[0].value == second.cells[0].value == 50.0
    assert first.cells[0].outcomes == second.cells[0].outcomes
    assert "likelihood: next-token and prompt" in first.cells[0].signature.differences(
        second.cells[0].signature
    )
    # All four letters are one response of the run, and of the prompt's tokens nothing is kept.
    with closing(sqlite3.connect(tmp_path / "prompt.db")) as db:
        lengths = db.execute(
            "SELECT count(*), json_array_length(likelihoods), prompt_logprobs FROM draw GROUP BY 2, 3"
        ).fetchall()
    assert lengths == [(40, 4, None)]


def test_a_run_by_prompt_tokens_can_be_replayed(tmp_path: Path) -> None:
    task = quiz(tmp_path)
    with OpenAIServer(next_token=next_token) as server:
        first = run(server, task, tmp_path / "1.db", likelihood="prompt")
        asked = len(server.requests)
        again = run(server, task, tmp_path / "1.db", likelihood="prompt")
        replay = run(
            server, task, tmp_path / "2.db", model=f"replay/{tmp_path / '1.db'}", likelihood="prompt"
        )
        assert len(server.requests) == asked
    assert first.as_json() == again.as_json()
    assert first.cells[0].value == replay.cells[0].value


@pytest.mark.parametrize(
    ("echo", "words"), [("off by one", "they are off by one"), ("ignored", "it ignores echo")]
)
def test_wrong_prompt_tokens_end_the_run_before_they_count(tmp_path: Path, echo: Echo, words: str) -> None:
    with (
        OpenAIServer(next_token=next_token, echo=echo) as server,
        pytest.raises(Stopped, match=words) as stopped,
    ):
        run(server, quiz(tmp_path), tmp_path / "r.db", likelihood="prompt")
    assert stopped.value.usage
    with closing(sqlite3.connect(tmp_path / "r.db")) as db:
        assert db.execute("SELECT count(*) FROM sample").fetchall() == [(0,)]


def test_a_passing_error_does_not_end_the_probe(tmp_path: Path) -> None:
    with OpenAIServer(next_token=next_token) as server:
        server.fail("503", times=2)
        assert run(server, quiz(tmp_path), tmp_path / "r.db", likelihood="prompt").cells[0].value == 50.0


def test_few_alternatives_leave_bounds(tmp_path: Path) -> None:
    with OpenAIServer(next_token=next_token, most_logprobs=5) as server:
        few = run(server, quiz(tmp_path), tmp_path / "r.db", logprobs="2")
    assert few.cells[0].value == 50.0  # the likeliest letter is among the two
    assert not any("depend on a bound" in note for note in few.notes)


def test_a_choice_that_hangs_on_a_bound_is_counted(tmp_path: Path) -> None:
    """ " B" is as likely as " A", but the server returns only two tokens, and " the" is one of them."""

    def unsure(text: str) -> dict[str, float]:
        return {" the": 0.4, " A": 0.2, " B": 0.2, " C": 0.1, " D": 0.1}

    with OpenAIServer(next_token=unsure, most_logprobs=5) as server:
        few = run(server, quiz(tmp_path), tmp_path / "few.db", logprobs="2")
        all_of_them = run(server, quiz(tmp_path), tmp_path / "all.db", logprobs="5")
    assert few.cells[0].value == all_of_them.cells[0].value == 25.0
    note = "40 choices depend on a bound, because the endpoint did not return every letter"
    assert any(note in found for found in few.notes)
    assert not any("depend on a bound" in found for found in all_of_them.notes)


def test_shots_are_dropped_where_the_server_refuses(tmp_path: Path) -> None:
    """Each shot, such as `dev 0: A`, is three tokens to the stand-in, and the question two."""
    with OpenAIServer(next_token=next_token, max_model_len=10, like="llama.cpp") as server:
        table = run(server, quiz(tmp_path), tmp_path / "r.db")
    assert table.cells[0].value == 50.0
    assert any("asked with fewer shots" in note for note in table.notes)


def test_an_endpoint_without_log_probabilities(tmp_path: Path) -> None:
    with (
        OpenAIServer(next_token=next_token, logprobs=False) as server,
        pytest.raises(Stopped, match="returned no log-probabilities"),
    ):
        run(server, quiz(tmp_path), tmp_path / "r.db")
