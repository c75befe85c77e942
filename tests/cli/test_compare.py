"""Comparing real run files, and `evalkit compare`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from evalkit.compare.paired import pair
from evalkit.compare.policy import Policy, Rule
from evalkit.compare.runs import compare
from evalkit.compare.verdicts import INCOMPLETE, Problem
from evalkit.runfile.store import Store
from tests.cli.conftest import Cli
from tests.erring import erring
from tests.made import sums
from tests.openai_server import OpenAIServer

pytestmark = pytest.mark.slow  # the runs that are compared have 12,000 samples


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two benchmarks of 2,000 sums: base, a model 2 points worse on the second, one 0.1 points worse."""
    from evalkit.cli.main import main

    folder = tmp_path_factory.mktemp("runs")
    first = sums(folder, 2000, name="first.py", ask="Adding", called="adding")
    second = sums(folder, 2000, name="second.py", ask="Totalling", called="totalling")
    for name, share in (("base", 0.1), ("worse", 0.12), ("near", 0.101)):
        model = erring(folder, name, Totalling=share)
        with pytest.raises(SystemExit) as ended:
            main(["run", "-m", model, "-t", f"{first},{second}", "-o", str(folder / f"{name}.db")])
        assert ended.value.code == 0
    return folder


def opened(*paths: Path) -> list[Store]:
    return [Store.open(path) for path in paths]


def test_a_pair_counts_what_flipped(runs: Path) -> None:
    base, worse = opened(runs / "base.db", runs / "worse.db")
    same, other = (
        pair(base, old, worse, new, "accuracy") for old, new in zip(base.cells(), worse.cells(), strict=True)
    )
    assert same is not None
    assert other is not None
    assert (same.wins, same.losses, same.ties, same.flips) == (0, 0, 2000, ())
    assert (other.wins, other.n, other.test) == (0, 2000, "McNemar")
    assert other.losses == len(other.flips) == pytest.approx(40, abs=20)
    assert all((one.gain, one.figures) == (-100, (100, 0)) for one in other.flips)
    assert other.difference.value == pytest.approx(-100 * other.losses / 2000)
    assert other.other_prompts == ()


def test_only_the_benchmark_that_is_worse_is_named(runs: Path) -> None:
    base, worse = opened(runs / "base.db", runs / "worse.db")
    found = compare(base, worse, Policy(margin=1.0), flips=3)
    assert [one.verdict for one in found.benchmarks] == ["no worse", "worse"]
    assert [one.task for one in found.regressions] == ["totalling"]
    assert found.exit_code == 1
    flips = found.benchmarks[1].flips
    assert [flip.outcomes for flip in flips] == [("correct", "wrong")] * 3
    assert [flip.answers[1] for flip in flips] == ["-1"] * 3
    lacking = dataclasses.replace(found.benchmarks[0], problems=(Problem(INCOMPLETE, "x"),))
    assert dataclasses.replace(found, benchmarks=(lacking, found.benchmarks[1])).exit_code == 1


def test_a_tenth_of_a_point_is_within_a_margin_of_one(runs: Path) -> None:
    base, near = opened(runs / "base.db", runs / "near.db")
    found = compare(base, near, Policy(margin=1.0))
    assert [one.verdict for one in found.benchmarks] == ["no worse", "no worse"]
    assert found.exit_code == 0


def test_a_policy_decides_what_blocks(runs: Path) -> None:
    base, worse = opened(runs / "base.db", runs / "worse.db")
    lenient = Policy(margin=1.0, benchmarks={"totalling": Rule(blocking=False)})
    found = compare(base, worse, lenient)
    assert [one.verdict for one in found.benchmarks] == ["no worse", "worse"]
    assert found.exit_code == 0
    misspelt = compare(base, worse, Policy(margin=1.0, benchmarks={"totaling": Rule()}))
    assert misspelt.exit_code == 1
    ((name, problem),) = misspelt.problems
    assert (name, problem.code) == ("totaling", 3)
    assert problem.words.endswith("did you mean totalling?")
    metric = compare(base, worse, Policy(margin=1.0, benchmarks={"adding": Rule(metric="acuracy")}))
    assert [one.task for one in metric.benchmarks] == ["totalling"]
    ((name, problem),) = metric.problems
    assert (name, problem.code) == ("adding:once", 2)
    assert "did you mean accuracy" in problem.words


def test_what_was_asked_otherwise_is_refused_and_named(cli: Cli, runs: Path, tmp_path: Path) -> None:
    other = sums(tmp_path, 50, name="a.py", ask="What would you say is", called="adding")
    model = erring(tmp_path, "m")
    assert cli("run", "-m", model, "-t", other, "-o", tmp_path / "a.db", "--set", "max_tokens=9").code == 0
    base, head = opened(runs / "base.db", tmp_path / "a.db")
    refused = compare(base, head, Policy(allow_missing=True, allow_subset=True))
    assert (refused.exit_code, refused.benchmarks) == (2, ())
    text = refused.problems[0][1].text()
    assert "max_tokens: 1024 and 9" in text
    assert "the prompts differ for 50 of 50 common samples: 0 + 0, 1 + 1, 2 + 2 and 47 more" in text
    assert "--allow-different" in text
    found = compare(base, head, Policy(allow_different=True, allow_missing=True, allow_subset=True))
    (one,) = found.benchmarks
    assert len(one.differences) == 2, "that the judge stands in another file is none"
    assert found.notes == ("adding:once: on the 50 samples scored in both, of 2000 and 50",)
    assert [(one.name, one.status, one.words) for one in found.unmeasured] == [
        ("totalling:once", "missing", "head does not have it")
    ]
    assert found.exit_code == 0


def test_a_subset_is_compared_on_what_both_have(cli: Cli, runs: Path, tmp_path: Path) -> None:
    """A limit is not a difference in what was asked, but it leaves samples out."""
    model = f"python:{runs / 'worse.py'}:adds"
    task = str(runs / "second.py")
    assert cli("run", "-m", model, "-t", task, "-o", tmp_path / "s.db", "--limit", 300).code == 0
    base, head = opened(runs / "base.db", tmp_path / "s.db")
    (found,) = compare(base, head).benchmarks
    assert (found.paired.n, found.differences) == (300, ())
    (problem,) = found.problems
    assert problem.words == "head has only 300 of base's 2000 samples (--limit 300)"
    assert compare(base, head, Policy(allow_missing=True)).exit_code == 3
    assert compare(base, head, Policy(allow_missing=True, allow_subset=True)).exit_code == 0
    assert compare(head, base).exit_code == 0, "what head has beyond base is no fault"


def test_failed_samples_make_a_run_incomplete(cli: Cli, runs: Path, tmp_path: Path) -> None:
    failing = sums(
        tmp_path, 2000, name="f.py", ask="Adding", called="adding",
        scorer="assert sample.input != '5 + 5'",
    )  # fmt: skip
    run = tmp_path / "f.db"
    assert cli("run", "-m", f"python:{runs / 'base.py'}:adds", "-t", failing, "-o", run).code == 3
    base, head = opened(runs / "base.db", run)
    found = compare(base, head, Policy(allow_different=True, allow_missing=True))
    ((_, problem),) = found.problems
    assert (problem.code, problem.words) == (3, "1 sample of head failed")
    assert found.exit_code == 3
    assert found.benchmarks[0].paired.n == 1999


def test_what_base_has_head_must_have(cli: Cli, runs: Path, tmp_path: Path) -> None:
    part = tmp_path / "part.db"
    assert cli("run", "-m", f"python:{runs / 'base.py'}:adds", "-t", runs / "first.py", "-o", part).code == 0
    base, head = opened(runs / "base.db", part)
    for policy in (Policy(), Policy(benchmarks={"totalling": Rule()})):
        found = compare(base, head, policy)
        assert [one.name for one in found.benchmarks] == ["adding:once"]
        ((name, problem),) = found.problems
        assert (name, problem.words) == ("totalling:once", "head does not have it")
        assert found.exit_code == 3
    for rule in (Rule(blocking=False), Rule(allow_missing=True)):
        assert compare(base, head, Policy(benchmarks={"totalling": rule})).exit_code == 0
    new = compare(head, base)
    assert [(one.status, one.problems) for one in new.unmeasured] == [("only in head", ())]
    assert new.exit_code == 0
    assert compare(head, base, Policy(benchmarks={"totalling": Rule()})).exit_code == 3, "it is not gated on"
    junit = tmp_path / "junit.xml"
    code, out, _ = cli("compare", runs / "base.db", part, "--junit", junit)
    assert code == 3
    assert out.endswith("no regression seen, but incomplete: totalling:once: head does not have it\n")
    suite = ElementTree.parse(junit).getroot()
    assert (suite.get("tests"), suite.get("errors")) == ("2", "1")
    assert cli("compare", runs / "base.db", part, "--allow-missing", "--junit", junit).code == 0
    suite = ElementTree.parse(junit).getroot()
    assert (suite.get("tests"), suite.get("errors"), suite.get("skipped")) == ("2", "0", "1")


def test_a_head_without_a_single_answer(cli: Cli, tmp_path: Path) -> None:
    """The endpoint failed on every sample: nothing to compare, and nothing that passes."""
    task = sums(tmp_path, 3)
    assert cli("run", "-m", "fake/gold", "-t", task, "-o", tmp_path / "base.db").code == 0
    failing = ("run", "-m", "fake/gold?errors=1", "-t", task, "--retries", 0, "-o", tmp_path / "head.db")
    assert cli(*failing).code in (2, 3)
    for more in ((), ("--format", "markdown"), ("--json",)):
        code, out, err = cli("compare", tmp_path / "base.db", tmp_path / "head.db", *more)
        assert code == 3, err
        assert "no sample was scored in both" in out
        assert "3 samples of head failed" in out


def test_what_else_than_the_model_moves_a_figure_is_said(cli: Cli, tmp_path: Path) -> None:
    """A server that answers otherwise the second time, and votes over sampled draws."""
    times = dict.fromkeys("ab", 0)
    task = sums(tmp_path, 40)
    for name in times:

        def unsteady(payload: dict[str, object], route: str, name: str = name) -> str:
            times[name] += 1
            return f"answer {times[name]}"

        with OpenAIServer(unsteady) as server:
            command = (
                "run",
                "-m",
                "openai/m",
                "--base-url",
                server.url,
                "-t",
                f"{task}:sums:once,{task}:sums:maj",
            )
            fraction = ("--verify-fraction", 1) if name == "b" else ()
            assert cli(*command, "-o", tmp_path / f"{name}.db", *fraction).code == 0
    base, head = opened(tmp_path / "a.db", tmp_path / "b.db")
    found = compare(base, head)
    assert found.notes == (
        "sums:maj: questions are resampled, the draws of each are held fixed",
        "head: sums:once: 40 of 40 greedy answers changed when asked for again: "
        "a difference may be the server's",
    )


def test_nothing_in_common(cli: Cli, runs: Path, tmp_path: Path) -> None:
    assert cli("run", "-m", "fake/gold", "-t", sums(tmp_path), "-o", tmp_path / "x.db").code == 0
    base, head = opened(runs / "base.db", tmp_path / "x.db")
    found = compare(base, head)
    assert [(one.name, one.status) for one in found.unmeasured] == [
        ("adding:once", "missing"),
        ("totalling:once", "missing"),
        ("sums:once", "only in head"),
    ]
    assert found.exit_code == 3
    allowed = compare(base, head, Policy(allow_missing=True))
    assert allowed.exit_code == 3, "nothing was compared"
    assert [problem.words for _, problem in allowed.problems] == ["no benchmark was compared"]


# -- the command


def test_worse_fails_the_job_and_says_so(cli: Cli, runs: Path, tmp_path: Path) -> None:
    junit = tmp_path / "out" / "junit.xml"
    code, out, err = cli(
        "compare", runs / "base.db", runs / "worse.db", "--margin", 1, "--junit", junit, "--flips", 2
    )
    assert (code, err) == (1, "")
    assert "✗ worse, p = 0.00" in out
    assert "regression: totalling:once (worse" in out
    assert out.count("correct → wrong") == 2
    suite = ElementTree.parse(junit).getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "0")
    (failed,) = suite.findall("testcase[failure]")
    assert failed.get("name") == "totalling:once"


def test_a_slim_baseline_has_no_answers_to_show(cli: Cli, runs: Path, tmp_path: Path) -> None:
    slim = tmp_path / "slim.db"
    assert cli("export", runs / "base.db", "--slim", "-o", slim).code == 0
    code, out, _ = cli("compare", slim, runs / "worse.db", "--margin", 1, "--flips", 1)
    assert code == 1
    (line,) = (line for line in out.splitlines() if "correct → wrong" in line)
    assert line.endswith("correct → wrong (-100): -1")


def test_no_worse_passes(cli: Cli, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    code, out, _ = cli("compare", runs / "base.db", runs / "near.db", "--margin", 1)
    assert code == 0
    assert out.count("✓ no worse by 1, p") == 2
    assert out.endswith("no regression\n")


def test_json_and_markdown(cli: Cli, runs: Path, tmp_path: Path) -> None:
    code, out, _ = cli("compare", runs / "base.db", runs / "worse.db", "--json")
    document = json.loads(out)
    assert code == 1
    assert document["regression"] is True
    assert [one["verdict"] for one in document["benchmarks"]] == ["no change seen", "worse"]
    assert document["benchmarks"][1]["high"] < 0 < document["benchmarks"][1]["losses"]
    comment = tmp_path / "comment.md"
    assert cli("compare", runs / "base.db", runs / "worse.db", "-o", comment).code == 1
    text = comment.read_text("utf-8")
    assert text.startswith("### ❌ regression: totalling:once")
    assert "| benchmark | verdict |" in text
    assert "<details><summary>totalling:<!-- -->once: " in text  # or GitHub would look for an emoji


def test_on_github_it_annotates(
    cli: Cli, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    _, _, err = cli("compare", runs / "base.db", runs / "worse.db")
    (line,) = err.splitlines()
    assert line.startswith("::error title=evalkit%3A totalling%3Aonce is worse::✗ worse")
    assert " %25, " in line
    assert "### ❌ regression" in (tmp_path / "summary.md").read_text("utf-8")


def test_the_policy_beside_it_is_found(
    cli: Cli, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    (tmp_path / "evalkit.toml").write_text("[benchmarks.totalling]\nblocking = false\n")
    code, out, _ = cli("compare", runs / "base.db", runs / "worse.db")
    assert code == 0
    assert "✗ worse, p < 0.001 (not blocking)" in out
    assert cli("compare", runs / "base.db", runs / "worse.db", "--policy", "none.toml").code == 2


def test_more_than_two_runs_are_a_trend(cli: Cli, runs: Path) -> None:
    files = [runs / f"{name}.db" for name in ("base", "near", "worse")]
    code, out, _ = cli("compare", *files, "--margin", 1)
    assert code == 1
    assert "last against first: regression: totalling:once" in " ".join(out.split())
    _, out, _ = cli("compare", *files, "--format", "markdown")
    (row,) = (line for line in out.splitlines() if line.startswith("| totalling"))
    assert row.count("|") == 5
    _, out, _ = cli("compare", *files, "--json")
    assert [len(one["benchmarks"]) for one in json.loads(out)["comparisons"]] == [2, 2]
    assert cli("compare", files[2], files[1], files[0]).code == 0, "the last against the first"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{base}"], "at least two runs"),
        (["{base}", "{base}", "--margin", "-1"], "at least 0"),
        (["{base}", "{base}", "--alpha", "0"], "alpha must be between 0 and 1"),
        (["{base}", "{base}", "--format", "markdwn"], "did you mean markdown"),
        (["{base}", "/none.db"], "/none.db"),
    ],
)
def test_bad_usage(cli: Cli, runs: Path, arguments: list[str], said: str) -> None:
    code, _, err = cli("compare", *(text.format(base=runs / "base.db") for text in arguments))
    assert code == 2
    assert said in err
