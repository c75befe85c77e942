"""Plugins and what evalkit does with several things of one kind: tables of papers, and replicas."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from evalkit.engine.chosen import expand, wanted
from evalkit.errors import UsageError
from evalkit.models import open_model
from evalkit.models.replicas import Replicas
from tests.cli.conftest import Cli, cli
from tests.openai_server import OpenAIServer
from tests.plugged import TASK, fresh, installed

__all__ = ["cli"]


@pytest.fixture(autouse=True)
def _read_again() -> Iterator[None]:
    fresh()
    yield
    fresh()


PAPER = """
title = "A school"
url = "https://example.org"
version = "1"
tables = ["first-form", "music"]
"""
TABLE = """
title = "Table 1"
columns = ["pupils"]

[[rows]]
name = "Tiny"
task = "tiny-{nth}"
metric = "accuracy"
unit = "%"
higher_is_better = true
figures."pupils" = {{ text = "85.0%", match = ["one"] }}

[[rows]]
name = "Sums"
task = "gsm8k"
metric = "accuracy"
unit = "%"
higher_is_better = true
figures."pupils" = {{ text = "85.0%", match = ["0-shot-chat"] }}
"""
MUSIC = """
title = "Table 2"
columns = ["pupils"]

[[rows]]
name = "Solfège"
task = "solfege"
metric = "accuracy"
unit = "%"
higher_is_better = true
"""


@pytest.fixture
def school(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """A package with a task and a paper, whose names no other test has, because modules stay imported."""
    nth = len(request.node.name)
    name = f"plug_school_{nth}"
    gold = 'gold=lambda sample, protocol: "A", metrics='
    task = TASK.replace('"tiny"', f'"tiny-{nth}"').replace("metrics=", gold)
    installed(tmp_path, monkeypatch, f"plug_task_{nth}", {f"tasks:tiny-{nth}": "tiny"}, task)
    installed(tmp_path, monkeypatch, name, {"papers:the-school": "", "papers:gsm8k": ""})
    (tmp_path / f"{name}.py").unlink()
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").touch()
    for file, text in (
        ("paper", PAPER),
        ("first-form", TABLE.format(nth=nth)),
        ("music", MUSIC),
    ):
        (folder / f"{file}.toml").write_text(text, "utf-8")
    fresh()
    return folder


def test_a_table_of_a_plugin_is_asked_under_its_rows_protocols(
    school: Path, tmp_path: Path, cli: Cli
) -> None:
    tiny = f"tiny-{school.name.rpartition('_')[2]}"
    assert expand("the-school:first-form") == [tiny, "gsm8k:0-shot-chat"]
    assert expand("the-school:First form,drop") == [tiny, "gsm8k:0-shot-chat", "drop"]
    assert [one.table for one in wanted("the-school:first-form,gsm8k:0-shot-chat")] == [
        "the-school:first-form",
        "",
    ]
    run = ("run", "-m", "fake/gold", "-t", "the-school:first-form", "--data", "builtin", "--limit", "1")
    said = cli(*run, "-o", tmp_path / "r.db", "--json")
    assert said.code == 0, said
    assert {cell["task"] for cell in json.loads(said.out)["cells"]} == {tiny, "gsm8k"}
    assert "85.0%" in cli("report", tmp_path / "r.db", "--paper", "the-school/first-form").out


@pytest.mark.usefixtures("school")
def test_a_table_of_a_plugin_that_cannot_be_asked_is_named() -> None:
    with pytest.raises(UsageError, match=r"table of the-school 'the-school:frist-form': did you mean"):
        expand("the-school:frist-form")
    with pytest.raises(UsageError, match=r"has no task yet for any of its rows \(solfege\)"):
        expand("the-school:music")
    assert expand("gsm8k:0-shot-chat") == ["gsm8k:0-shot-chat"]  # a benchmark's name stays evalkit's


def test_a_paper_whose_tables_are_broken_is_named(school: Path) -> None:
    (school / "music.toml").write_text("[[rows", "utf-8")
    with pytest.raises(UsageError, match=r"'the-school' of plug_school.* its tables cannot be read"):
        expand("the-school:first-form")


REMOTE = """
    from evalkit.api import Backend
    from evalkit.models.openai import OpenAIModel

    class Remote:
        capabilities, parallel = frozenset({"chat"}), None
        def __init__(self, named):
            self.name, self.model = named.typed, OpenAIModel(named.name, named.base_url)
            self.identity = {"weights": "v1"} if "addressed" not in named.name else {"at": named.base_url}
        async def generate(self, request, *, draw=0):
            return await self.model.generate(request, draw=draw)
        async def aclose(self):
            await self.model.aclose()

    REMOTE = Backend("remote/NAME", "far away", ("chat",), "{module}:Remote", address=True)
"""


@pytest.mark.slow
def test_several_addresses_of_a_plugins_backend_are_replicas(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    installed(tmp_path, monkeypatch, "plug_remote", {"models:remote": "REMOTE"}, REMOTE)
    with OpenAIServer(latency=0.01) as one, OpenAIServer(latency=0.01) as other:
        urls = ("--base-url", one.url, "--base-url", other.url)
        run = ("run", "-m", "remote/x", *urls, "-t", "gsm8k:0-shot-chat", "--data", "builtin", "--limit", "8")
        said = cli(*run, "-o", tmp_path / "r.db", "--concurrency", "4")
        assert said.code == 0, said
        assert min(len(one.requests), len(other.requests)) > 0
        assert len(one.requests) + len(other.requests) == 8
        model = open_model("remote/x", base_url=[one.url, other.url])
        assert isinstance(model, Replicas)
        assert not isinstance(open_model("remote/x", base_url=[one.url, one.url]), Replicas)
        with pytest.raises(UsageError, match=r"'remote' of plug_remote 1.0 .*leave the address out"):
            open_model("remote/addressed", base_url=[one.url, other.url])
