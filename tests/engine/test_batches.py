"""Requests that wait go to a model in this process together; what fails fails alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent

import pytest

from evalkit.engine.batch import Batcher, batches
from evalkit.engine.client import Stopped
from evalkit.errors import ProviderError, UsageError
from evalkit.models import open_model
from evalkit.models.base import Capability, Request, Response
from evalkit.runfile.store import Store
from evalkit.samples import JSON
from evalkit.session import run

TASK = "gsm8k:0-shot-chat"


class Counting:
    """Says each prompt backwards; fails as the prompt says."""

    name = "counting"
    parallel: int | None = None
    capabilities: frozenset[Capability] = frozenset({"completion"})

    def __init__(self, batch_size: int = 4) -> None:
        self.identity: dict[str, JSON] = {}
        self.batch_size = batch_size
        self.sizes: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def generate(self, request: Request, *, draw: int = 0) -> Response:
        raise AssertionError("it is asked together")

    async def generate_batch(
        self, requests: Sequence[Request], draws: Sequence[int]
    ) -> Sequence[Response | ProviderError]:
        self.sizes.append(len(requests))
        await self.gate.wait()
        found: list[Response | ProviderError] = []
        for request, draw in zip(requests, draws, strict=True):
            if "crash" in str(request.prompt):
                raise RuntimeError(f"{request.prompt} in a batch of {len(requests)}")
            bad = "bad" in str(request.prompt)
            found.append(ProviderError("bad") if bad else Response(f"{str(request.prompt)[::-1]} {draw}"))
        return found[1:] if "short" in str(requests[0].prompt) else found

    async def aclose(self) -> None:
        return None


async def asked(batcher: Batcher, *prompts: str) -> list[str]:
    found = await asyncio.gather(
        *(batcher.generate(Request(prompt, 8), draw) for draw, prompt in enumerate(prompts)),
        return_exceptions=True,
    )
    return [one.text if isinstance(one, Response) else str(one) for one in found]


def test_what_is_asked_together_is_answered_together() -> None:
    async def go() -> None:
        model = Counting()
        batcher = Batcher(model)
        assert await asked(batcher, *"abcdef") == [f"{letter} {draw}" for draw, letter in enumerate("abcdef")]
        assert model.sizes == [4, 2]
        assert await asked(batcher, "g") == ["g 0"]
        assert model.sizes == [4, 2, 1]

    asyncio.run(go())


def test_while_one_batch_runs_the_next_one_fills() -> None:
    async def go() -> None:
        model = Counting()
        batcher = Batcher(model)
        model.gate.clear()
        first = asyncio.ensure_future(asked(batcher, "a"))
        for _ in range(5):
            await asyncio.sleep(0)
        later = [asyncio.ensure_future(asked(batcher, letter)) for letter in "bcd"]
        for _ in range(5):
            await asyncio.sleep(0)
        model.gate.set()
        assert await first == ["a 0"]
        assert await asyncio.gather(*later) == [["b 0"], ["c 0"], ["d 0"]]
        assert model.sizes == [1, 3]

    asyncio.run(go())


def test_one_that_fails_fails_alone() -> None:
    async def go() -> None:
        model = Counting(8)
        batcher = Batcher(model)
        assert await asked(batcher, "a", "bad", "c") == ["a 0", "bad", "c 2"]
        assert model.sizes == [3]
        found = await asked(batcher, "a", "crash", "c")
        assert found == ["a 0", "RuntimeError: crash in a batch of 1", "c 2"]
        assert model.sizes == [3, 3, 1, 1, 1]
        (one, other) = await asked(batcher, "short", "a")
        assert one == other == "counting returned 1 response to 2 requests"

    asyncio.run(go())


def test_who_was_cancelled_is_not_asked_for() -> None:
    async def go() -> None:
        model = Counting(2)
        batcher = Batcher(model)
        model.gate.clear()
        first = asyncio.ensure_future(asked(batcher, "a", "b"))
        await asyncio.sleep(0.01)
        dropped = asyncio.ensure_future(batcher.generate(Request("x", 8), 0))
        kept = asyncio.ensure_future(batcher.generate(Request("y", 8), 0))
        await asyncio.sleep(0.01)
        dropped.cancel()
        await asyncio.sleep(0)
        model.gate.set()
        assert await first == ["a 0", "b 1"]
        assert (await kept).text == "y 0"
        assert model.sizes == [2, 1]

    asyncio.run(go())


MODEL = """
    import re
    from pathlib import Path

    sizes = Path(__file__).with_name("sizes.txt")

    def work(prompt, seed):
        text = prompt[-1].text
        if FAILS in text:
            raise ValueError("no such sum")
        return f"The answer is {len(text) % 7 + (seed or 0) % 3}."

    def together(prompts, seeds):
        with sizes.open("a") as file:
            print(len(prompts), file=file)
        return [work(prompt, seed) for prompt, seed in zip(prompts, seeds)]

    together.batch_size = 8

    def alone(prompt, seed):
        return work(prompt, seed)
"""


def figures(folder: Path, name: str, fails: str = "?!", **settings: str) -> tuple[object, list[object]]:
    """(the figure's cell, every stored answer) of a run on the small set of GSM8K."""
    file = folder / "mine.py"
    file.write_text(dedent(MODEL).replace("FAILS", repr(fails)), "utf-8")
    path = folder / f"{name}.db"
    model = f"python:{file}:{name}"
    table = run(model, TASK, data="builtin", output=path, retries=2, settings=settings)
    with Store.open(path) as store:
        query = "SELECT sample, draw, text, key FROM draw JOIN request ON request.id = request ORDER BY 1, 2"
        rows: list[object] = store.connection.execute(query).fetchall()
        failed = list(store.failures(store.cells()[0]))
    cell = table.cells[0]
    return (cell.value, cell.n, cell.outcomes, len(failed)), rows


@pytest.mark.parametrize("settings", [{}, {"draws": "4", "temperature": "0.7"}])
def test_a_run_in_batches_is_the_run_one_by_one(tmp_path: Path, settings: dict[str, str]) -> None:
    together, alone = (figures(tmp_path, name, **settings) for name in ("together", "alone"))
    assert together == alone
    sizes = [int(size) for size in (tmp_path / "sizes.txt").read_text().split()]
    assert sum(sizes) == len(together[1]) == 16 * int(settings.get("draws", "1"))
    assert max(sizes) == 8
    assert len(sizes) <= 2 * sum(sizes) / 8


def test_a_sample_that_cannot_be_answered_fails_alone_in_a_batch_too(tmp_path: Path) -> None:
    together, alone = (figures(tmp_path, name, fails="7") for name in ("together", "alone"))
    assert together == alone
    failed = together[0][3]  # type: ignore[index]
    assert 0 < failed < 16


def test_a_batch_that_can_never_be_answered_ends_the_run(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from evalkit.errors import UsageError\n"
        "def together(prompts): raise UsageError('pip install wheels')\n",
        "utf-8",
    )
    with pytest.raises(Stopped, match="pip install wheels"):
        run(f"python:{file}:together", TASK, data="builtin", output=tmp_path / "r.db")


def test_a_model_with_batches_says_how_large_they_are(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "class Mine:\n"
        "    name, capabilities, parallel, identity = 'mine', {'chat'}, None, {}\n"
        "    async def generate(self, request, *, draw=0): ...\n"
        "    async def generate_batch(self, requests, draws): ...\n"
        "    async def aclose(self): ...\n",
        "utf-8",
    )
    with pytest.raises(UsageError, match="batch_size must be a positive integer, not None"):
        open_model(f"python:{file}:Mine")
    with pytest.raises(UsageError, match="counting: batch_size must be an integer of at least 1, not 0"):
        batches(Counting(0))
    assert batches(Counting(1))
    assert not batches(open_model("fake/gold"))
