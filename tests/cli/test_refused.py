"""A sample that an endpoint's filter refuses: its own outcome, everywhere where outcomes are shown."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from evalkit.report.charts.outcomes import STYLES
from evalkit.report.charts.style import DARK, LIGHT, PATTERNS
from evalkit.runfile.records import OUTCOMES
from evalkit.runfile.store import Store
from tests.cli.conftest import Cli
from tests.made import sums
from tests.openai_server import OpenAIServer, Payload, answer, arithmetic, asked_text

AZURE = {
    "error": {
        "message": "the prompt was stopped",
        "code": "content_filter",
        "innererror": {"code": "ResponsibleAIPolicyViolation"},
    }
}
ROUTER = {"error": {"code": 403, "message": "no", "metadata": {"flagged_input": "…", "reasons": ["x"]}}}


def by_status(status: int, body: Any) -> Any:
    return lambda payload, route: web.json_response(body, status=status)


def in_a_200(payload: Payload, route: str) -> Payload:
    document = answer(payload, route, "The answer is 8")
    document["choices"][0]["finish_reason"] = "content_filter"
    return document


def in_a_field(payload: Payload, route: str) -> Payload:
    document = answer(payload, route, "")
    document["choices"][0]["message"]["refusal"] = "I cannot help with 4 + 4, which is 8."
    return document


REFUSED = {
    "Azure": by_status(400, AZURE),
    "OpenRouter": by_status(403, ROUTER),
    "finish reason": in_a_200,
    "refusal field": in_a_field,
}


def endpoint(refusal: Any) -> Any:
    """Works sums out, but refuses one of them."""

    def script(payload: Payload, route: str) -> Any:
        return refusal(payload, route) if "4 + 4" in asked_text(payload) else arithmetic(payload, route)

    return script


@pytest.mark.parametrize("way", REFUSED)
def test_a_refused_sample_counts_as_wrong_is_stored_and_ends_the_run(
    way: str,
    cli: Cli,
    tmp_path: Path,
) -> None:
    path = tmp_path / "r.db"
    with OpenAIServer(endpoint(REFUSED[way])) as server:
        said = (
            "run",
            "-m",
            "openai/x",
            "--base-url",
            server.url,
            "-t",
            sums(tmp_path, 8),
            "-o",
            path,
            "--json",
        )
        code, out, _ = cli(*said)
        asked = len(server.requests)
        again, _, _ = cli(*said)
        assert len(server.requests) == asked == 8
    assert (code, again) == (0, 0)
    (cell,) = json.loads(out)["cells"]
    assert (cell["value"], cell["n"]) == (87.5, 8)
    assert cell["outcomes"] == {**dict.fromkeys(OUTCOMES, 0), "correct": 7, "refused": 1}
    assert any("1 sample was refused" in note for note in json.loads(out)["notes"])
    with Store.open(path) as store:
        (outcome, stored) = store.connection.execute(
            "SELECT outcome, answer FROM sample WHERE id = '4 + 4'"
        ).fetchone()
        (text, finish, words) = store.connection.execute(
            "SELECT text, finish, reasoning FROM draw WHERE sample = '4 + 4'"
        ).fetchone()
    assert outcome == "refused"
    assert json.loads(stored)["finals"][0] == {
        "value": None, "correct": False, "truncated": False, "refused": True, "reason": "refused to answer",
    }  # fmt: skip
    assert (text, finish) == ("", "filter")
    assert words


@pytest.fixture
def runs(cli: Cli, tmp_path: Path) -> tuple[Path, Path]:
    """A run with a refused sample, and one without."""
    task = sums(tmp_path, 8)
    with OpenAIServer(endpoint(by_status(400, AZURE))) as server:
        cli("run", "-m", "openai/x", "--base-url", server.url, "-t", task, "-o", tmp_path / "r.db")
    cli("run", "-m", "fake/gold", "-t", task, "-o", tmp_path / "g.db")
    return tmp_path / "r.db", tmp_path / "g.db"


def test_tables_exports_pages_and_comparisons_show_it(
    runs: tuple[Path, Path],
    cli: Cli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    path, gold = runs
    for form in ("terminal", "markdown", "latex"):
        out = cli("report", path, "--format", form).out
        assert "refused 12" in out, form
    (row,) = csv.DictReader(io.StringIO(cli("report", path, "--format", "csv").out))
    assert row["refused"] == "1"
    exported = [json.loads(line) for line in cli("export", path).out.splitlines()]
    assert [one["outcome"] for one in exported].count("refused") == 1
    page = tmp_path / "page.html"
    assert cli("report", path, "--format", "html", "-o", page).code == 0
    assert ".dot.refused" in page.read_text("utf-8")
    code, out, _ = cli("compare", gold, path)
    assert code == 0
    assert "correct → refused" in out
    assert "1 sample was refused (12 %)" in out
    assert cli("rescore", path, "-o", tmp_path / "again.db", "--task-file", tmp_path / "sums.py").code == 0
    assert "refused 12" in cli("report", tmp_path / "again.db").out
    assert cli("export", path, "--slim", "-o", tmp_path / "slim.db").code == 0
    assert "refused 12" in cli("report", tmp_path / "slim.db").out


def test_charts_tell_every_outcome_apart() -> None:
    assert {"refused"} < set(STYLES)
    for outcome in OUTCOMES:
        assert f"outcome-{outcome}" in LIGHT
        assert f"outcome-{outcome}" in DARK
    assert PATTERNS["outcome-refused"]
    assert len(set(PATTERNS.values())) == len(PATTERNS)
