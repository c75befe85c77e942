"""Stop sequences that a server ignores or repeats: every text ends before the first of them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from evalkit.engine.plan import make_plan
from evalkit.engine.run import execute, open_run
from evalkit.models import open_model
from evalkit.models.base import Model, Response, TokenLogprob
from evalkit.models.openai import OpenAIModel
from evalkit.models.stops import cut
from tests.made import sums
from tests.openai_server import OpenAIServer, Payload


def tokens(*texts: str) -> tuple[TokenLogprob, ...]:
    return tuple(TokenLogprob(text, -0.5, {}) for text in texts)


@pytest.mark.parametrize(
    ("text", "stops", "left"),
    [
        ("12\nQ: another", ("\nQ:",), "12"),
        ("12\nQ:", ("\nQ:",), "12"),  # repeated at the end
        ("12 and A then B", ("B", "A"), "12 and "),  # the first in the text, not in the list
        ("\nQ: at once", ("\nQ:",), ""),
        ("12\n", ("\nQ:",), "12\n"),  # only its beginning
        ("12", (), "12"),
        ("12", ("",), "12"),
    ],
)
def test_a_text_ends_before_its_first_stop_sequence(text: str, stops: tuple[str, ...], left: str) -> None:
    found = cut(Response(text, finish="length", reasoning="Q: is \nQ: quoted"), stops)
    assert found.text == left
    assert found.finish == ("length" if left == text else "stop")
    assert found.reasoning == "Q: is \nQ: quoted"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (("1", "2", "\nQ", ":"), ("1", "2")),
        (("1", "2\nQ", ":"), ("1", "2\nQ")),  # it begins before the cut
        (("<think>", "x", "</think>", "12", "\nQ:"), ("<think>", "x", "</think>", "12")),
        (("other", "tokens"), ("other", "tokens")),
    ],
)
def test_log_probabilities_are_of_the_tokens_before_it(given: tuple[str, ...], kept: tuple[str, ...]) -> None:
    found = cut(Response("12\nQ:", logprobs=tokens(*given), completion_tokens=5), ("\nQ:",))
    assert tuple(token.token for token in found.logprobs) == kept
    assert found.completion_tokens == 5  # all of them were generated


def run(model: Model, task: str, path: Path, **settings: str) -> list[tuple[str, str]]:
    async def go() -> list[tuple[str, str]]:
        plan = make_plan(model, [task], settings=settings)
        with open_run(path, plan) as store:
            await execute(plan, store)
            return store.connection.execute("SELECT text, finish FROM draw").fetchall()

    return asyncio.run(go())


def test_every_backend_is_held_to_them(tmp_path: Path) -> None:
    """An endpoint that ignores them, a scripted model, a function of one's own."""

    def on(payload: Payload, route: str) -> Payload:
        return {"choices": [{"message": {"content": "7 STOP 8"}, "finish_reason": "length"}]}

    file = tmp_path / "mine.py"
    file.write_text("def talks(prompt):\n    return '7 STOP 8'\n")
    task = sums(tmp_path, 2)
    with OpenAIServer(on) as server:
        models: list[Model] = [
            OpenAIModel("tiny", server.url),
            open_model("fake/fixed?text=7 STOP 8"),
            open_model(f"python:{file}:talks"),
        ]
        for number, model in enumerate(models):
            assert set(run(model, task, tmp_path / f"{number}.db", stop="STOP")) == {("7 ", "stop")}
