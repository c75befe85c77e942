"""Why samples failed: grouped by shape, told on the terminal and in every format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evalkit.data.base import DataOptions
from evalkit.engine.plan import make_plan
from evalkit.errors import BoundaryError
from evalkit.models.fake import FakeModel
from evalkit.report.build import FORMATS, render_report
from evalkit.report.table import build_table
from evalkit.runfile.causes import BOUNDARIES, Cause, advice, causes, merged, shape, told
from evalkit.runfile.slim import write_slim
from evalkit.runfile.store import Store
from evalkit.session import run
from tests.cli.conftest import Cli, cli  # noqa: F401 — a fixture
from tests.cli.test_faults import asked
from tests.faulty import faulty
from tests.made import sums
from tests.openai_server import OpenAIServer
from tests.openai_wire import asked_text, refuse

SAME = [
    ("HTTP 400 from http://127.0.0.1:8000/v1: at most 10 tokens", "HTTP 400: at most 2,000 tokens"),
    ("HTTP 429: try again in 3.5s (req_8f2a)", "HTTP 429: try again in 12s (req_11b)"),
    ("HTTP 400: flagged: 'Who are you?'", "HTTP 400: flagged: 'A longer text, also quoted'"),
    ("HTTP 400: flagged: “one”", "HTTP 400: flagged: “two”"),
    ('HTTP 422: bad input: "a text that is cut of', 'HTTP 422: bad input: "another text that is cu'),
    ("record 3 of album: cannot decode a/b/photo.png", "record 17 of album: cannot decode a/c/night.png"),
    ("cannot open /data/one.jpg", "cannot open /data/deep/two.jpg"),
    ("the model's limit is 8 and you're at 9", "the model's limit is 16 and you're at 20"),
]
OTHER = [
    ("HTTP 400: bad", "HTTP 401: bad"),
    ("HTTP 500: bad", "HTTP 500: worse"),
    ("no response within 10 s", "HTTP 504"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_messages_of_one_shape(one: str, other: str) -> None:
    assert shape(one) == shape(other)


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_messages_of_different_shapes(one: str, other: str) -> None:
    assert shape(one) != shape(other)


def test_the_commonest_first_and_the_others_counted() -> None:
    said = {"HTTP 400 from http://x/v1: a": 2, "HTTP 500": 7, "HTTP 502": 3, "HTTP 503": 1, "HTTP 504": 1}
    found = causes(("provider", message) for message, count in said.items() for _ in range(count))
    assert told(found) == ["7 × HTTP 500", "3 × HTTP 502", "2 × HTTP 400: a", "2 × other causes"]
    assert told(merged([found, found]))[0] == "14 × HTTP 500"
    assert told(causes([("media", "")])) == ["1 × media"]
    assert told(causes([("judge", "gone 1"), ("judge", "gone 2")])) == ["2 × judge: gone 1 (and alike)"]


def test_what_is_damaged_is_not_to_be_asked_again() -> None:
    media, gone = Cause(2, "media", "cannot decode"), Cause(3, "provider", "HTTP 500")
    assert advice([gone], "CMD") == "to retry them: CMD"
    assert "until the files that cannot be decoded are fixed" in advice([media], "CMD")
    assert "retry" not in advice([media], "CMD")
    assert advice([gone, media], "CMD").startswith("2 of them fail every time")


def boundaries(kind: type[BoundaryError] = BoundaryError) -> set[str]:
    return {kind.boundary}.union(*map(boundaries, kind.__subclasses__()))


def test_every_boundary_has_its_advice() -> None:
    assert boundaries() == BOUNDARIES
    for boundary in BOUNDARIES:
        cause = Cause(1, boundary, "why")
        said = advice([cause], "CMD")
        assert said.endswith(": CMD")
        assert said.startswith("to retry them" if cause.may_pass else "they fail every time until the ")


@pytest.mark.slow
def test_a_worker_that_was_killed_or_starved_may_pass(tmp_path: Path, cli: Cli) -> None:  # noqa: F811
    """The message of the run that stored it says so, and the same command scores the sample again."""
    task, path = sums(tmp_path, 3), tmp_path / "r.db"
    file = Path(task.partition(":")[0])
    file.write_text(file.read_text().replace("def score(answer, sample):\n", KILLED) + WORKER)
    command = ("run", "-m", "fake/gold", "-t", task, "-o", path)
    said = cli(*command)
    assert said.code == 3
    assert "1 sample failed; to retry them: " in said.err
    assert "1 × worker: a worker process crashed (SIGKILL)" in said.err
    file.with_name("spared").touch()
    assert cli(*command).code == 0


KILLED = """async def score(answer, sample):
    await workers().call(compared, sample.target[0])
"""
WORKER = '''

import functools
import os
import signal
from pathlib import Path

from evalkit.api import Workers


@functools.cache
def workers():
    return Workers()


def compared(target):
    """Ends its own process as the kernel does when no memory is left, unless it is spared."""
    if target == "2" and not Path(__file__).with_name("spared").exists():
        os.kill(os.getpid(), signal.SIGKILL)
'''


WHY = "Unsupported parameter 'max_tokens'"


def refuses(payload: dict[str, Any], route: str) -> Any:
    """Refuses some sums, each with another number in its words."""
    text = asked_text(payload)
    if any(f"is {number} +" in text for number in (1, 2)):
        return refuse(400, f"{WHY} in request {len(text)}")
    return "The answer is 0."


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_says_why(tmp_path: Path, name: str, cli: Cli) -> None:  # noqa: F811
    task, path = sums(tmp_path, 16), tmp_path / "r.db"
    with OpenAIServer(refuses) as server:
        said = cli("run", "-m", "openai/m", "--base-url", server.url, "-t", task, "-o", path)
        as_json = cli("run", "-m", "openai/m", "--base-url", server.url, "-t", task, "-o", path, "--json")
    with Store.open(path) as store:
        table = build_table([store])
        assert table.failed
        line = f"{table.failed} × HTTP 400: {WHY}"
        assert line in said.err
        assert line in " ".join(said.out.split())
        assert json.loads(as_json.out)["cells"][0]["causes"][0]["count"] == table.failed
        text = render_report([store], name, width=200)
        assert WHY.split()[1] in text.replace("\\_", "_")
        if name == "json":
            assert json.loads(text)["cells"][0]["causes"][0]["boundary"] == "provider"
        if name == "csv":
            assert line in text.replace('""', '"')
    write_slim(path, tmp_path / "slim.db")
    with Store.open(tmp_path / "slim.db") as store:
        assert f"{table.failed} × provider" in build_table([store]).notes[0]


@pytest.mark.slow
def test_a_damaged_record_is_not_to_be_retried(tmp_path: Path, cli: Cli) -> None:  # noqa: F811
    said = asked(cli, faulty(tmp_path, {2: "sample raises"}), tmp_path / "r.db", None)
    assert "1 sample failed; they fail every time until" in said.err
    assert "to retry" not in said.err


def test_a_task_whose_rule_needs_a_model_says_so() -> None:
    plan = make_plan(
        FakeModel(lambda request, draw: "no idea"), ["mathvista"], data=DataOptions(small_sets=True)
    )
    assert any("add --judge MODEL" in line for line in plan.warnings())


def test_a_run_of_it_counts_what_no_rule_could_read(tmp_path: Path) -> None:
    table = run(
        FakeModel(lambda request, draw: "I cannot say."),
        "mathvista",
        data="builtin",
        output=tmp_path / "r.db",
    )
    count = table.cells[0].outcomes["unparsable"]
    assert count
    assert any(
        f"{count} unparsable: this benchmark's rule needs --judge MODEL" in note for note in table.notes
    )
    judged = run(
        FakeModel(lambda request, draw: "I cannot say."),
        "mathvista",
        data="builtin",
        judge=FakeModel(lambda request, draw: "nothing"),
        output=tmp_path / "j.db",
    )
    assert not any("--judge" in note for note in judged.notes)
