"""Rescoring, and what it stands on: every sample knows its responses."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from evalkit.identity.declared import versioned
from evalkit.runfile.sample_records import SampleRecords
from evalkit.runfile.store import Store
from evalkit.samples import Sample, Verdict
from tests.cli.conftest import Cli
from tests.edited import edited
from tests.made import sums

ALL = (
    "gsm8k:maj1@32",
    "mmlu:5-shot",
    "mmlu:cot8-routed",
    "math:4-shot",
    "mmmu",
    "fleurs",
    "humaneval:0-shot",
)


def rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.slow
def test_every_draw_of_every_cell_is_exported(cli: Cli, tmp_path: Path) -> None:
    """Protocols share requests: the routed one asks nothing that the two before it did not ask."""
    run = tmp_path / "r.db"
    tasks = "mmlu:5-shot,mmlu:cot32,mmlu:cot32-routed"
    assert cli("run", "-m", "fake/gold?wrong=0.4", "-t", tasks, "--data", "builtin", "-o", run).code == 0
    found = rows(cli("export", run).out)
    draws = {protocol: set[int]() for protocol in ("5-shot", "cot32", "cot32-routed")}
    for row in found:
        draws[row["protocol"]].add(len(row["responses"]))
        counts = Counter(response["request"] for response in row["responses"])
        assert sorted(counts.values()) in ([1], [32], [1, 32])
        assert all(response["text"] for response in row["responses"])
    assert draws == {"5-shot": {1}, "cot32": {32}, "cot32-routed": {33}}
    with Store.open(run) as store:
        for cell in store.cells():
            read = SampleRecords(store, cell)
            assert read.positions
            for position in read.positions.values():
                assert sum(len(one.draws) for one in read.read(position).requests) in (1, 32, 33)


@pytest.mark.slow
@pytest.mark.parametrize("task", ALL)
def test_the_same_code_gives_the_same_figures(cli: Cli, tmp_path: Path, task: str) -> None:
    run, new = tmp_path / "r.db", tmp_path / "new.db"
    limit = () if "routed" in task else ("--limit", 6)
    assert (
        cli("run", "-m", "fake/gold?wrong=0.4", "-t", task, "--data", "builtin", *limit, "-o", run).code == 0
    )
    before = json.loads(cli("report", run, "--json").out)
    said = cli("rescore", run, "-o", new, "--json")
    assert said.code == 0
    assert all(not cell["changed"] for cell in json.loads(said.out)["cells"])
    assert json.loads(cli("report", new, "--json").out) == before
    assert rows(cli("export", new).out) == rows(cli("export", run).out)


def test_another_protocols_rule(cli: Cli, tmp_path: Path) -> None:
    """The gold responses of one protocol are not in the form that another asks for."""
    run, new = tmp_path / "r.db", tmp_path / "new.db"
    cli("run", "-m", "fake/gold", "-t", "chartqa:0-shot", "--data", "builtin", "-o", run)
    said = cli("rescore", run, "-o", new, "--rule", "0-shot-cot", "--changes", 2)
    assert "accuracy 100 → 0 %; 12 of 12 verdicts changed" in said.out
    assert "correct" in said.out
    assert "and" in said.out.splitlines()[-1]
    cell = json.loads(cli("report", new, "--json").out)["cells"][0]
    assert cell["signature"]["parts"]["extract"].startswith("chartqa.final_answer@")
    assert cell["value"] < 100
    assert cli("compare", run, new).code == 2
    assert "did you mean" in cli("rescore", run, "-o", tmp_path / "x.db", "--rule", "0-shot-co").err


def test_a_scorers_new_version_makes_two_machines_files_comparable_again(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One was made before the scorer's version 2: compare names both; after rescoring the verdict follows."""
    from evalkit.tasks import gsm8k

    old, new, again = (tmp_path / name for name in ("old.db", "new.db", "again.db"))
    model = "fake/gold?wrong=0.5"
    arguments = ("-t", "gsm8k:8-shot-cot", "--data", "builtin")
    cli("run", "-m", model, *arguments, "-o", old)

    def lenient(answer: str, sample: Sample) -> Verdict:
        return Verdict(True, "everything is right")

    versioned("gsm8k.scorer", 2)(lenient)
    monkeypatch.setattr(gsm8k, "score", lenient)
    from evalkit.runfile import measured

    measured._loaded.cache_clear()
    cli("run", "-m", model, *arguments, "-o", new)
    said = cli("compare", old, new)
    assert said.code == 2
    assert "scorer: gsm8k.scorer@1 and gsm8k.scorer@2" in " ".join(said.out.split())
    (stale, _) = json.loads(cli("report", old, "--json").out)["cells"]
    assert stale["stale"] == ["scored by gsm8k.scorer@1, and this evalkit has gsm8k.scorer@2"]
    said = cli("rescore", old, "-o", again)
    assert said.code == 0
    assert "wrong" in said.out
    assert "correct" in said.out
    found = cli("compare", again, new)
    assert found.code == 0
    assert "no change seen (0:0)" in found.out
    measured._loaded.cache_clear()


def test_what_failed_in_scoring_is_scored_and_what_was_not_answered_stays_missing(
    cli: Cli, tmp_path: Path
) -> None:
    run, new = tmp_path / "r.db", tmp_path / "new.db"
    task = Path(sums(tmp_path, 8, scorer="if sample.id.startswith('3'): raise ValueError('broken')"))
    assert cli("run", "-m", "fake/gold", "-t", task, "-o", run).code == 3
    with edited(run) as db:
        db.execute(
            "UPDATE sample SET outcome = 'failed', boundary = 'provider', error = 'gone', "
            "statistics = x'' WHERE position = 5"
        )
    (tmp_path / "fixed").mkdir()
    sums(tmp_path / "fixed", 8)
    said = cli("rescore", run, "-o", new, "--task-file", tmp_path / "fixed" / "sums.py")
    assert said.code == 0, said
    (cell,) = json.loads(cli("report", new, "--json").out)["cells"]
    assert (cell["n"], cell["outcomes"]["correct"], cell["outcomes"]["failed"]) == (7, 7, 1)


@pytest.mark.slow
def test_a_slim_run_with_texts_is_rescored(cli: Cli, tmp_path: Path) -> None:
    run, slim, new = (tmp_path / name for name in ("r.db", "slim.db", "new.db"))
    cli("run", "-m", "fake/gold?wrong=0.4", "-t", "mmmu", "--data", "builtin", "-o", run)
    cli("export", run, "--slim", "--texts", "-o", slim)
    assert slim.stat().st_size < run.stat().st_size
    assert cli("rescore", slim, "-o", new).code == 0
    assert json.loads(cli("report", new, "--json").out) == json.loads(cli("report", run, "--json").out)
    assert cli("export", run, "--texts", "-o", tmp_path / "x.jsonl").code == 2


def test_what_cannot_be_rescored_is_refused(cli: Cli, tmp_path: Path) -> None:
    run, slim = tmp_path / "r.db", tmp_path / "slim.db"
    cli("run", "-m", "fake/gold", "-t", "gsm8k:8-shot-cot", "--data", "builtin", "-o", run)
    cli("export", run, "--slim", "-o", slim)
    said = cli("rescore", slim, "-o", tmp_path / "new.db")
    assert (said.code, "without texts" in said.err) == (2, True)
    said = cli("rescore", run, "-o", run)
    assert (said.code, "already exists" in said.err) == (2, True)
    said = cli("rescore", tmp_path / "none.db", "-o", tmp_path / "new.db")
    assert (said.code, "no run file" in said.err) == (2, True)
    said = cli("rescore", run, "-o", slim / "below.db")
    assert (said.code, "cannot write" in said.err) == (2, True)
    assert not (tmp_path / "new.db").exists()
