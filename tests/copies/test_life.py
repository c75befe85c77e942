"""What becomes of requests when copies of a model die, hang, or cannot be started."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import evalkit
from evalkit.copies.model import Copies
from evalkit.copies.serving import Asked, Opened, Setup
from evalkit.engine.client import Stopped
from evalkit.engine.plan import make_plan
from evalkit.engine.run import Options, execute, open_run
from evalkit.engine.waits import RetryPolicy
from evalkit.errors import UsageError
from evalkit.models import open_model
from evalkit.models.base import Model
from evalkit.models.fake import FakeModel
from evalkit.report.table import build_table
from evalkit.runfile.replica_use import replica_uses
from evalkit.runfile.store import Store
from tests.copies.near import Does, Near, near
from tests.made import sums

_GOLD = "fake/gold?wrong=0.3"
_BATCHES = """
import re


def model(prompts):
    return [str(sum(map(int, re.findall("[0-9]+", prompt[-1].content)))) for prompt in prompts]


model.batch_size = 8


def broken(prompts):
    raise {error}


def sometimes(prompts):
    return [ValueError("not this one") if "13 +" in prompt[-1].content else "1" for prompt in prompts]
"""


def ran(model: Model, task: str, path: Path, *, attempts: int = 6) -> dict[str, Any]:
    """The table's document. The pauses are short."""

    async def go() -> dict[str, Any]:
        plan = make_plan(model, [task])
        with open_run(path, plan) as store:
            try:
                await execute(plan, store, Options(None, RetryPolicy(attempts, second=0.01)))
                return build_table([store]).as_json()
            finally:
                await model.aclose()

    return asyncio.run(go())


def uses(path: Path) -> dict[str, tuple[int, int]]:
    """Copy → requests, failures."""
    with Store.open(path) as store:
        return {use.address: (use.requests, use.failures) for use in replica_uses(store)}


def written(folder: Path, error: str = "ValueError('no')") -> str:
    (folder / "batched.py").write_text(_BATCHES.replace("{error}", error), "utf-8")
    return f"python:{folder / 'batched.py'}"


def the_third_dies(copy: Near, asked: Sequence[Asked]) -> str:
    return "die" if (copy.number, copy.nth, len(copy.calls)) == (0, 0, 3) else ""


def the_third_hangs(copy: Near, asked: Sequence[Asked]) -> str:
    return "hang" if (copy.number, copy.nth, len(copy.calls)) == (0, 0, 3) else ""


@pytest.mark.parametrize(
    ("does", "timeout"),
    [(lambda copy, asked: "", 600.0), (the_third_dies, 600.0), (the_third_hangs, 0.03)],
    ids=["good", "dies", "hangs"],
)
def test_a_run_with_copies_is_the_plain_run(tmp_path: Path, does: Does, timeout: float) -> None:
    """Also if one dies or hangs; and a plain run resumes it."""
    task, path = sums(tmp_path, 30), tmp_path / "copies.db"
    plain = ran(open_model(_GOLD), task, tmp_path / "plain.db")
    starts: list[Near] = []
    assert ran(near(_GOLD, 3, does=does, timeout=timeout, starts=starts), task, path) == plain
    counted = uses(path)
    assert {*counted} == {"copy 1", "copy 2", "copy 3"}
    assert all(requests for requests, _ in counted.values())
    assert sum(requests for requests, _ in counted.values()) == 30
    assert (counted["copy 1"][1] > 0) == (does in (the_third_dies, the_third_hangs))
    assert all(copy.closed for copy in starts)
    resumed = open_model(_GOLD)
    assert isinstance(resumed, FakeModel)
    assert ran(resumed, task, path) == plain
    assert resumed.asked == 0


def test_a_batch_is_one_call_and_survives_its_copy(tmp_path: Path) -> None:
    task, spec = sums(tmp_path, 60), f"{written(tmp_path)}:model"
    plain = ran(open_model(spec), task, tmp_path / "plain.db")
    starts: list[Near] = []
    copies = near(spec, 2, does=the_third_dies, starts=starts)
    assert ran(copies, task, tmp_path / "copies.db") == plain
    assert max(max(copy.calls, default=0) for copy in starts) == 8
    assert sum(copy.number == 0 for copy in starts) == 2, "started again, once"


def test_a_request_that_ends_every_copy_fails_alone(tmp_path: Path) -> None:
    def does(copy: Near, asked: Sequence[Asked]) -> str:
        return "die" if any("13 +" in str(one.request.prompt) for one in asked) else ""

    starts: list[Near] = []
    copies = near(f"{written(tmp_path)}:model", 2, does=does, starts=starts)
    path = tmp_path / "r.db"
    (cell,) = ran(copies, sums(tmp_path, 40), path)["cells"]
    assert cell["outcomes"]["failed"] == 1
    assert sum(requests for requests, _ in uses(path).values()) == 39
    with closing(sqlite3.connect(path)) as db:
        ((error,),) = db.execute("SELECT error FROM sample WHERE error != ''")
    assert "ended (SIGKILL: its last words); 4 copies ended while they worked at this request" in error
    assert len(starts) <= 2 + 4


@pytest.mark.parametrize("count", [1, 2])
def test_a_copy_that_dies_at_each_answer_stops_the_run_with_its_last_words(
    tmp_path: Path, count: int
) -> None:
    starts: list[Near] = []
    copies = near(_GOLD, count, does=lambda copy, asked: "die", starts=starts)
    with pytest.raises(
        Stopped, match=r"copy \d on nowhere ended \(SIGKILL: its last words\), 3 times in a row"
    ):
        ran(copies, sums(tmp_path, 20), tmp_path / "r.db")
    assert len(starts) <= 3 * count


@pytest.mark.parametrize("count", [1, 2])
def test_an_error_in_loading_stops_the_run_at_once(tmp_path: Path, count: int) -> None:
    """It is raised by the first call, and none follows."""
    error = "__import__('evalkit').errors.ProviderError('hf/x cannot be loaded', fatal=True)"
    starts: list[Near] = []
    copies = near(f"{written(tmp_path, error)}:broken", count, starts=starts)
    with pytest.raises(Stopped, match="hf/x cannot be loaded") as stopped:
        ran(copies, sums(tmp_path, 20), tmp_path / "r.db")
    assert stopped.value.usage
    assert all(len(copy.calls) <= 2 for copy in starts)
    assert len(starts) == count


def test_a_model_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no model file"):
        near("python:/nowhere/x.py:model")
    with pytest.raises(UsageError, match="unknown fake model 'golt': did you mean gold"):
        near("fake/golt")

    def launch(number: int) -> Any:
        raise OSError("no more processes")

    with pytest.raises(OSError, match="no more processes"):
        near(_GOLD, launch=launch)


def test_copies_that_are_not_placed_yet_keep_nobody_waiting(tmp_path: Path) -> None:
    """As actors for which a cluster has no node yet. Later one joins."""
    starts: list[Near] = []
    placed: Future[Opened] = Future()

    def does(copy: Near, asked: Sequence[Asked]) -> str:
        if len(copy.calls) == 10 and not copy.number:
            placed.set_result(copy.opening.result())
        return ""

    def launch(number: int) -> Near:
        copy = Near(number, Setup(_GOLD), does, starts)
        if number:
            copy.opening = placed
        return copy

    path = tmp_path / "r.db"
    found = ran(near(_GOLD, 2, launch=launch), sums(tmp_path, 60), path)
    assert found == ran(open_model(_GOLD), sums(tmp_path, 60), tmp_path / "plain.db")
    counted = uses(path)
    assert counted["copy 1"][0] >= 10
    assert sum(requests for requests, _ in counted.values()) == 60
    assert not any(failures for _, failures in counted.values())


def test_a_copy_with_another_model_is_refused(tmp_path: Path) -> None:
    """As on a node with other weights under the same name: its answers are not this model's."""
    starts: list[Near] = []

    def launch(number: int) -> Near:
        spec = _GOLD if number == 0 else "fake/gold?wrong=0.9"
        return Near(number, Setup(spec), lambda copy, asked: "", starts)

    copies = near(_GOLD, 1, launch=launch)
    assert isinstance(copies, Copies)
    group = copies.members[0]._life.group
    for opened, words in (
        (Near(1, Setup("fake/gold?wrong=0.9"), lambda *_: "", starts), "another model.*wrong: 0.9 and 0.3"),
    ):
        with pytest.raises(UsageError, match=words):
            group.check(opened.opening.result(), "the node b")
    good = copies.identity
    other = Opened("fake/gold", good, copies.capabilities, None, 0, 0, "b", "0.0.1")
    with pytest.raises(
        UsageError, match=f"the node b has evalkit 0.0.1, and this process has {evalkit.__version__}"
    ):
        group.check(other, "the node b")


def test_an_error_of_one_request_is_no_death(tmp_path: Path) -> None:
    """The errors of a model whose copy lives: none rests, and each sample fails or not as in a plain run."""
    path = tmp_path / "r.db"
    spec = f"{written(tmp_path)}:sometimes"
    plain = ran(open_model(spec), sums(tmp_path, 40), tmp_path / "plain.db")
    assert plain["cells"][0]["outcomes"]["failed"] == 1
    starts: list[Near] = []
    assert (
        ran(near(spec, starts=starts), sums(tmp_path, 40), path)["cells"][0]["outcomes"]
        == (plain["cells"][0]["outcomes"])
    )
    assert len(starts) == 2
    ran(near("fake/gold?errors=0.2"), sums(tmp_path, 40), tmp_path / "errors.db")
    assert sum(requests for requests, _ in uses(tmp_path / "errors.db").values()) == 40
