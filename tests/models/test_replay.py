"""Answers from a run file."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import ProviderError, UsageError
from evalkit.models import Model, open_model
from evalkit.models.base import Request, Response, TokenLogprob
from evalkit.runfile.store import Store
from evalkit.samples import Message
from tests.specs import cell_spec

CHAT = Request(
    (Message("system", "Be brief."), Message("user", "Is the moon round?")), 32, 0.8, stop=("\n",), seed=1
)
TEXT = Request("The moon is", 4, logprobs=2)
ECHOED = Request("The moon is round", 1, logprobs=1, echo=True)
SAID = {
    (CHAT, 0): Response("Yes.", "stop", 9, 2, 0.25, reasoning="It looks so."),
    (CHAT, 1): Response("", "filter"),
    (TEXT, 0): Response(
        " ròund\n",
        "length",
        3,
        1,
        0.5,
        logprobs=(TokenLogprob(" ròund", -0.1, {" ròund": -0.1, "": -3.0}), TokenLogprob("\n", -0.7, {})),
    ),
    (ECHOED, 0): Response(
        " and",
        logprobs=(TokenLogprob(" and", -1.5, {" and": -1.5}),),
        prompt_logprobs=(TokenLogprob(" is", -0.5, {" is": -0.5}), TokenLogprob(" round", -2.0, {})),
    ),
}
IDENTITY = {"backend": "openai", "model": "tiny", "endpoint": "http://127.0.0.1:8000/v1"}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run file with a few answers."""
    path = tmp_path / "run.db"
    store = Store.create(path, {"model": {"name": "openai/tiny", "identity": IDENTITY}})
    cell = store.add_cell(cell_spec("moons", "0-shot"))
    for (request, draw), response in SAID.items():
        store.add_response(*request.encoded(), draw, cell, "sample", response)
    store.close()
    return path


def ask(model: Model, request: Request, draw: int = 0) -> Response:
    return asyncio.run(model.generate(request, draw=draw))


def test_what_was_said_is_said_again(run: Path) -> None:
    model = open_model(f"replay/{run}")
    for (request, draw), response in SAID.items():
        assert ask(model, request, draw) == response
    assert model.name == "replay/run.db"
    assert model.identity == {"backend": "replay", "of": IDENTITY}
    asyncio.run(model.aclose())


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": (Message("user", "Is the moon round?"),)},
        {"prompt": "Is the moon round?"},
        {"max_tokens": 33},
        {"temperature": 0.7},
        {"top_p": 0.9},
        {"stop": ()},
        {"logprobs": 1},
    ],
    ids=str,
)
def test_what_was_not_asked_is_not_answered(run: Path, change: dict[str, Any]) -> None:
    model = open_model(f"replay/{run}")
    with pytest.raises(ProviderError, match=r"run\.db has no response to this request \(draw 0\)") as failed:
        ask(model, replace(CHAT, **change))
    assert not failed.value.retryable
    assert not failed.value.fatal
    asyncio.run(model.aclose())


def test_with_echo_another_thing_is_asked(run: Path) -> None:
    model = open_model(f"replay/{run}")
    with pytest.raises(ProviderError, match="no response"):
        ask(model, replace(TEXT, echo=True))
    with pytest.raises(ProviderError, match="no response"):
        ask(model, replace(ECHOED, echo=False))
    asyncio.run(model.aclose())


def test_a_draw_too_many_is_not_answered(run: Path) -> None:
    model = open_model(f"replay/{run}")
    with pytest.raises(ProviderError, match=r"\(draw 2\)"):
        ask(model, CHAT, 2)
    asyncio.run(model.aclose())


def test_a_run_may_be_replayed_while_it_is_written(run: Path) -> None:
    model = open_model(f"replay/{run}")
    late = Request("The sun is", 4)
    with pytest.raises(ProviderError):
        ask(model, late)
    store = Store.open(run)
    store.add_response(*late.encoded(), 0, store.cells()[0], "late", Response(" hot"))
    store.commit()
    assert ask(model, late).text == " hot"
    asyncio.run(model.aclose())
    store.close()


def test_a_file_that_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("Not a run, but some notes on one.\n" * 40)
    with pytest.raises(UsageError, match="is not a run file of evalkit"):
        open_model(f"replay/{tmp_path / 'notes.db'}")
    with pytest.raises(UsageError, match="no run file"):
        open_model(f"replay/{tmp_path}")
