"""Whole continuations: by a model's own figures, by an endpoint's echo, refused where there are none."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from textwrap import dedent

import pytest

from evalkit.engine.client import Stopped
from evalkit.engine.plan import make_plan
from evalkit.engine.run import Options, execute, open_run
from evalkit.engine.waits import RetryPolicy
from evalkit.errors import UsageError
from evalkit.models import open_model
from evalkit.models.base import Model
from evalkit.report.table import Table, build_table
from evalkit.runfile.store import Store
from tests.engine.test_likelihood_over_http import next_token
from tests.openai_server import OpenAIServer
from tests.quiz import quiz

OWN = """
    import math, re
    from evalkit.models.base import Likelihood, Response

    class Own:
        name, parallel, identity = "own", 4, {}
        capabilities = frozenset({"completion", "chat", CAPABILITIES})
        async def generate(self, request, *, draw=0):
            assert request.max_tokens == 0 and not request.echo
            likely = int(re.search(r"(\\d+):$", request.prompt)[1]) % 4
            texts = enumerate(request.continuations)
            found = [Likelihood(text, -0.1 if i == likely else -3.0) for i, text in texts]
            return Response("", likelihoods=tuple(FOUND))
        async def aclose(self):
            pass
"""


def own(folder: Path, capabilities: str = "'likelihood'", found: str = "found") -> Model:
    file = folder / "own.py"
    file.write_text(dedent(OWN).replace("CAPABILITIES", capabilities).replace("FOUND", found), "utf-8")
    return open_model(f"python:{file}:Own")


def run(model: Model, task: str, path: Path, **settings: str) -> Table:
    async def go() -> Table:
        store = open_run(path, make_plan(model, [f"{task}:quiz:likely"], settings=settings))
        try:
            await execute(
                make_plan(model, [f"{task}:quiz:likely"], settings=settings), store, Options(4, FAST)
            )
            return build_table([store])
        finally:
            store.close()
            await model.aclose()

    return asyncio.run(go())


FAST = RetryPolicy(3, 0.01)


def drawn(path: Path) -> list[tuple[int, int]]:
    """(how many responses, with how many likelihoods)."""
    with closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT count(*), json_array_length(likelihoods) FROM draw GROUP BY 2").fetchall()


def likelihood_of(path: Path) -> str:
    with Store.open(path) as store:
        return store.cells()[0].spec.protocol.likelihood


@pytest.mark.parametrize("likelihood", ["prompt", "backend"])
def test_a_model_s_own_figures_are_asked_for_together_and_signed(tmp_path: Path, likelihood: str) -> None:
    table = run(own(tmp_path), quiz(tmp_path), tmp_path / "r.db", likelihood=likelihood)
    assert table.cells[0].value == 100.0
    assert drawn(tmp_path / "r.db") == [(40, 4)]
    assert likelihood_of(tmp_path / "r.db") == "backend"
    assert table.cells[0].signature.parts["likelihood"] == "backend"
    again = run(own(tmp_path), quiz(tmp_path), tmp_path / "r.db", likelihood=likelihood)
    replay = open_model(f"replay/{tmp_path / 'r.db'}")
    replayed = run(replay, quiz(tmp_path), tmp_path / "again.db", likelihood=likelihood)
    assert again.cells[0].signature == table.cells[0].signature == replayed.cells[0].signature


def test_a_fake_model_has_likelihoods(tmp_path: Path) -> None:
    table = run(open_model("fake/gold?wrong=0.3"), quiz(tmp_path), tmp_path / "r.db", likelihood="prompt")
    by_token = run(open_model("fake/gold?wrong=0"), quiz(tmp_path), tmp_path / "t.db")
    assert table.cells[0].signature.parts["likelihood"] == "backend"
    assert by_token.cells[0].value == 100.0
    assert table.cells[0].value is not None
    assert 50 < table.cells[0].value < 90


@pytest.mark.slow
def test_an_endpoint_s_echo_is_tried_again_piece_by_piece(tmp_path: Path) -> None:
    failed: list[bool] = []

    def interrupted(text: str) -> dict[str, float]:
        if len(server.requests) >= 50 and not failed:
            server.fail("503", times=3)
            failed.append(True)
        return next_token(text)

    with OpenAIServer(next_token=interrupted) as server:
        model = open_model("openai/mock", base_url=server.url)
        first = run(model, quiz(tmp_path), tmp_path / "1.db", likelihood="prompt")
        asked = len(server.requests)
        assert asked == 6 + 4 * 40 + 3, (
            "a probe of three prompts, four letters of each question, three failed"
        )
        assert server.max_in_flight <= 4
        model = open_model("openai/mock", base_url=server.url)
        second = run(model, quiz(tmp_path), tmp_path / "2.db", likelihood="prompt")
        assert len(server.requests) == 2 * asked - 3
    assert first.cells[0].value == second.cells[0].value == 50.0
    assert first.cells[0].signature == second.cells[0].signature
    assert first.cells[0].signature.parts["likelihood"] == "prompt"
    assert drawn(tmp_path / "2.db") == [(40, 4)]


@pytest.mark.parametrize(
    ("spec", "likelihood", "missing"),
    [
        ("llama-cpp/{}/any.gguf", "prompt", "echo"),
        ("fake/gold?logprobs=off", "prompt", "echo"),
        ("openai/mock", "backend", "likelihood"),
        ("fake/gold?logprobs=off", "backend", "likelihood"),
    ],
)
def test_it_is_refused_before_the_first_request(
    tmp_path: Path, spec: str, likelihood: str, missing: str
) -> None:
    (tmp_path / "any.gguf").touch()
    model = open_model(spec.format(tmp_path))
    with pytest.raises(UsageError, match=f"does not support {missing}, which .*quiz:likely needs"):
        make_plan(model, [f"{quiz(tmp_path)}:quiz:likely"], settings={"likelihood": likelihood})
    asyncio.run(model.aclose())


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ("found[:3]", "returned likelihoods of"),
        ("[]", "not of"),
        (
            "[Likelihood(text, math.nan) for text in request.continuations]",
            "nan as the log-probability of ' A'",
        ),
        ("[Likelihood(text, 'x') for text in request.continuations]", "logprob and tokens must be numbers"),
        ("[(text, -1.0) for text in request.continuations]", "has no attribute"),
    ],
)
def test_figures_that_are_none_fail_the_sample(tmp_path: Path, found: str, said: str) -> None:
    with pytest.raises(Stopped, match=said):  # for all of them fail
        run(own(tmp_path, found=found), quiz(tmp_path), tmp_path / "r.db", likelihood="prompt")
    assert drawn(tmp_path / "r.db") == []


def test_a_model_that_says_it_echoes_is_shown_to(tmp_path: Path) -> None:
    model = own(tmp_path, "'logprobs', 'echo'")
    with pytest.raises(Stopped, match="AssertionError"):  # the probe generates a token
        run(model, quiz(tmp_path), tmp_path / "r.db", likelihood="prompt")
