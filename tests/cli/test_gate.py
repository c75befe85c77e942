"""The gate is never green by accident: what is missing or edited, in exit code, words and JUnit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import pytest

from tests.cli.conftest import Cli, Said
from tests.listed import Row, model, rows, task_file, write

Ask = Callable[..., Path]


@pytest.fixture
def ask(cli: Cli, tmp_path: Path) -> Ask:
    """`ask(name, rows, …)` → the run file of a model that answers these questions."""

    def run(
        name: str,
        listed: Sequence[Row],
        *options: object,
        wrong: Sequence[str] = (),
        failing: Sequence[str] = (),
        tasks: Sequence[str] = ("listed",),
    ) -> Path:
        write(tmp_path, listed, failing=failing)
        files = ",".join(task_file(tmp_path, called=task) for task in tasks)
        path = tmp_path / f"{name}.db"
        code, _, err = cli("run", "-m", model(tmp_path, name, *wrong), "-t", files, "-o", path, *options)
        assert code == (3 if failing else 0), err
        return path

    return run


class Graded(NamedTuple):
    """What `compare` said, and (name, what is in it, its message) of each of JUnit's test cases."""

    said: Said
    cases: list[tuple[str, str, str]]


@pytest.fixture
def gate(cli: Cli, tmp_path: Path) -> Callable[..., Graded]:
    def call(*arguments: object) -> Graded:
        said = cli("compare", *arguments, "--junit", tmp_path / "junit.xml")
        suite = ElementTree.parse(tmp_path / "junit.xml").getroot()
        assert suite.get("tests") == str(len(suite))
        return Graded(
            said, [(case.get("name", ""), case[0].tag, case[0].get("message", "")) for case in suite]
        )

    return call


Gate = Callable[..., Graded]


def test_a_space_behind_every_question(ask: Ask, gate: Gate) -> None:
    """Ids are of the questions, so that no id is in both."""
    edited = [{**row, "id": row["id"] + " ", "ask": row["ask"] + " "} for row in rows(30)]
    found = gate(ask("base", rows(30)), ask("head", edited))
    assert found.said.code == 2
    assert "30 of base's 30 samples are not in head (q0, q1, q2 and 27 more)" in found.said.out
    ((name, kind, message),) = found.cases
    assert (name, kind) == ("listed:once", "error")
    assert "not asked the same way" in message
    allowed = gate("--allow-different", *_pair(ask))
    assert allowed.said.code == 2, "there is still nothing to compare"
    assert "no sample was scored in both" in allowed.said.out


def _pair(ask: Ask) -> tuple[Path, Path]:
    return ask("left", rows(4)), ask("right", [{**row, "id": "x" + row["id"]} for row in rows(4)])


@pytest.mark.parametrize("limit", [(), ("--limit", 60)])
def test_some_of_the_questions_are_edited(ask: Ask, gate: Gate, limit: Sequence[object]) -> None:
    edited = [{**row, "id": f"{row['id']}!"} if i in (7, 30, 50) else row for i, row in enumerate(rows(100))]
    base, head = ask("base", rows(100), *limit), ask("head", edited, *limit)
    found = gate(base, head)
    n = 60 if limit else 100
    assert found.said.code == 2
    assert (
        f"3 of base's {n} samples are not in head (q7, q30, q50), and 3 of head's {n} are not in base "
        "(q7!, q30!, q50!)" in found.said.out
    )
    assert [case[:2] for case in found.cases] == [("listed:once", "error")]
    assert gate(base, head, "--allow-subset").said.code == 2
    assert gate(base, head, "--allow-different").said.code == 0


def test_another_reference_is_another_question(ask: Ask, gate: Gate) -> None:
    changed = [{**row, "answer": "0"} if row["id"] == "q7" else row for row in rows(40)]
    found = gate(ask("base", rows(40)), ask("head", changed))
    assert found.said.code == 2
    assert "the references or choices of 1 of 40 common samples: q7" in found.said.out


def test_a_question_that_is_gone_from_the_data(ask: Ask, gate: Gate) -> None:
    base, head = ask("base", rows(40)), ask("head", rows(39))
    found = gate(base, head)
    assert found.said.code == 2
    assert "1 of base's 40 samples are not in head's data (q39)" in found.said.out
    assert gate(base, head, "--allow-subset").said.code == 0
    assert gate(head, base).said.code == 0, "what head has beyond base is no fault"


def test_a_part_of_base(ask: Ask, gate: Gate) -> None:
    base, head = ask("base", rows(40)), ask("head", rows(40), "--limit", 10)
    found = gate(base, head)
    assert found.said.code == 3
    assert "head has only 10 of base's 40 samples (--limit 10)" in found.said.out
    assert found.cases[0][1] == "error"
    assert "--allow-subset" in found.cases[0][2]
    assert gate(base, head, "--allow-subset").said.code == 0
    assert gate(head, base).said.code == 0
    assert gate(head, head).said.code == 0, "both were asked the same part"


def test_a_part_of_base_that_was_edited_too_is_both(ask: Ask, gate: Gate) -> None:
    base = ask("base", rows(40))
    found = gate(
        base, ask("head", [{**row, "id": f"{row['id']}!"} for row in rows(3)] + rows(40)[3:], "--limit", 9)
    )
    assert found.said.code == 2
    assert "3 of head's 9 are not in base" in found.said.out
    assert "head has only 6 of base's 40 samples (--limit 9)" in found.said.out


def test_what_is_refused_hides_nothing(ask: Ask, gate: Gate, tmp_path: Path) -> None:
    """One benchmark is worse, one is missing, one is in neither run: all are in the table and in JUnit."""
    policy = tmp_path / "policy.toml"
    policy.write_text(
        "[benchmarks.gsm8k]\nmargin = 1\n[benchmarks.mmlu]\nblocking = false\n", encoding="utf-8"
    )
    base = ask("base", rows(40), tasks=("listed", "gone"))
    head = ask("head", rows(40), wrong=[f"what is {i}" for i in range(12)], tasks=("listed", "new"))
    found = gate(base, head, "--policy", policy)
    assert found.said.code == 1, "a regression is the message"
    assert [case[:2] for case in found.cases] == [
        ("listed:once", "failure"),
        ("gone:once", "error"),
        ("new:once", "skipped"),
        ("gsm8k", "error"),
        ("mmlu", "skipped"),
    ]
    last = found.said.out.splitlines()[-1]
    assert last.startswith("regression: listed:once (worse, p < 0.001); incomplete: gone:once: head does not")
    assert last.endswith("gsm8k: the policy names it, and neither run has it")
    same = gate(base, base, "--policy", policy)
    assert same.said.code == 3
    assert gate(base, base, "--policy", policy, "--allow-missing").said.code == 0


def test_failed_samples_are_missing_and_no_difference(ask: Ask, gate: Gate) -> None:
    base, head = ask("base", rows(40)), ask("head", rows(40), failing=["what is 3", "what is 4"])
    found = gate(base, head)
    assert found.said.code == 3
    assert "not asked the same way" not in found.said.out
    assert "2 samples of head failed" in found.said.out
    assert "--allow" not in found.cases[0][2]


def test_a_failed_sample_with_another_reference_is_no_common_one_all_the_same(ask: Ask, gate: Gate) -> None:
    changed = [{**row, "answer": "0"} if row["id"] == "q7" else row for row in rows(40)]
    found = gate(ask("base", rows(40)), ask("head", changed, failing=["what is 7"]))
    assert found.said.code == 2
    assert "common samples: q7" in found.said.out


def test_few_clusters_that_fell_do_not_pass(ask: Ask, gate: Gate) -> None:
    questions = rows(40, clusters=3)
    found = gate(ask("base", questions), ask("head", questions, wrong=[row["ask"] for row in questions[:31]]))
    assert found.said.code == 3
    assert "31 of 40 samples are worse and none better (sign test over samples, p < 0.001)" in found.said.out
    assert "of 3 clusters, too few to know how other clusters would behave" in found.cases[0][2]


def test_a_run_against_itself_passes(ask: Ask, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    run = ask("base", rows(40, clusters=3))
    found = gate(run, run)
    assert found.said.code == 0
    assert "✓ no change seen (0:0), p = 1.00" in found.said.out


def test_one_id_in_several_rows(ask: Ask, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first goes with the first; a flip of the second says that it is the second."""
    monkeypatch.setenv("COLUMNS", "120")
    twice = [{"id": f"q{i // 4}", "ask": f"what is {i}", "answer": str(i)} for i in range(16)]
    base = ask("base", twice, wrong=["what is 9"])
    head = ask("head", twice, wrong=["what is 1", "what is 4", "what is 15"])
    same, other = gate(base, base), gate(base, head)
    assert same.said.code == 0
    assert "0:0" in same.said.out
    assert " 16 " in same.said.out
    assert other.said.code == 0
    assert " 1:3 " in other.said.out
    flips = [
        line.split(" (")[0].split()
        for line in other.said.out.splitlines()
        if " → " in line and "(-100)" in line
    ]
    assert flips == [
        ["q0", "#2", "correct", "→", "wrong"],
        ["q1", "correct", "→", "wrong"],
        ["q3", "#4", "correct", "→", "wrong"],
    ]


def test_one_id_in_several_rows_of_which_one_failed(ask: Ask, gate: Gate) -> None:
    """The others stay in their places."""
    thrice = [{"id": "q", "ask": f"what is {i}", "answer": str(i)} for i in range(3)]
    found = gate(ask("base", thrice), ask("head", thrice, failing=["what is 0"]))
    assert found.said.code == 3
    assert "1 sample of head failed" in found.said.out
    assert "not asked the same way" not in found.said.out


def test_failed_validation_samples_are_missing_and_no_difference(
    cli: Cli, gate: Gate, tmp_path: Path
) -> None:
    runs = [tmp_path / "base.db", tmp_path / "head.db"]
    for run, backend, code in zip(runs, ("fake/gold", "fake/gold?errors=0.02"), (0, 3), strict=True):
        task = ("-t", "mmlu:cot8-routed", "--data", "builtin", "--retries", 0)
        assert cli("run", "-m", backend, *task, "-o", run).code == code
    found = gate(*runs)
    assert found.said.code == 3
    assert "not asked the same way" not in found.said.out
    assert "validation samples of head failed" in found.said.out


def test_runs_between_base_and_head_need_not_be_comparable(ask: Ask, cli: Cli) -> None:
    base, part = ask("base", rows(40)), ask("part", rows(40), "--limit", 3, tasks=("other",))
    code, out, _ = cli("compare", base, part, base)
    assert code == 0
    assert "! missing" in out
    assert cli("compare", base, base, part).code == 3
