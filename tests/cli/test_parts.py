"""Less or more than a benchmark, and runs that were killed, through the command line."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest
from evalkit.tasks.math import SIZES as SUBJECTS

from tests.cli.conftest import Cli
from tests.openai_server import OpenAIServer, arithmetic
from tests.processes import start, wait_for_draws
from tests.tongues import hub_folder, tongues

PART = "a part: 420 samples, and the benchmark has 5,000"
MATH = ("run", "-m", "fake/gold", "-t", "math:4-shot")


@pytest.fixture(scope="module")
def math_part(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 problems of each of MATH's seven subjects, as the Hub has them."""
    folder = tmp_path_factory.mktemp("hub")
    records = {}
    for subject in SUBJECTS:
        config = subject.lower().replace(" & ", "_and_").replace(" ", "_")
        records[config] = [
            {"problem": f"{subject}: {i} + 1?", "level": "Level 1", "type": subject,
             "solution": rf"It is $\boxed{{{i + 1}}}$."}
            for i in range(60)
        ]  # fmt: skip
    hub_folder(folder / "EleutherAI" / "hendrycks_math", records)
    return folder


@pytest.fixture(scope="module")
def part_run(math_part: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("part") / "r.db"
    process = start(*MATH, "--data", math_part, "-o", path)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "warning: math:4-shot: the data have 420 samples, and the benchmark has 5,000" in err
    assert PART in " ".join(out.split())
    return path


@pytest.mark.slow
@pytest.mark.parametrize("paper", [(), ("--paper", "gemini-1.0/table-2")], ids=["alone", "beside table 2"])
@pytest.mark.parametrize("name", ["terminal", "markdown", "latex", "csv", "json", "html"])
def test_a_part_is_marked_wherever_it_is_shown(
    cli: Cli, part_run: Path, name: str, paper: tuple[str, ...]
) -> None:
    more = ("--no-charts", "--samples", 0) if name == "html" else ()
    code, out, err = cli("report", part_run, "--format", name, *paper, *more)
    assert code == 0, err
    assert PART in " ".join(re.sub(r"[\s│]+", " ", out).split())


@pytest.mark.slow
def test_a_part_is_beside_no_printed_figure_and_never_the_best(cli: Cli, part_run: Path) -> None:
    out = cli("report", part_run, "--paper", "gemini-1.0/table-2", "--json").out
    grid, *_ = json.loads(out)["grids"]
    row = next(row for row in grid["rows"] if row["task"] == "math")
    run = row["cells"][-1]
    assert (run["kind"], run["value"], run["n"]) == ("run", 100.0, 420)
    printed = [cell for cell in row["cells"] if cell["kind"] == "printed"]
    assert len(printed) > 3
    assert not any(cell["comparable"] for cell in printed)
    assert not any(cell["best"] for cell in row["cells"])
    assert any(PART in grid["notes"][mark - 1] for mark in run["marks"])
    (cell, *_) = json.loads(out)["cells"]
    assert (cell["part"], cell["unfinished"], cell["size"]) == (PART, "", 5000)


@pytest.mark.slow
def test_strict_refuses_a_part_before_and_after(
    cli: Cli, math_part: Path, part_run: Path, tmp_path: Path
) -> None:
    code, out, err = cli(*MATH, "--data", math_part, "--strict", "-o", tmp_path / "r.db")
    assert (code, out) == (2, "")
    assert "the data have 420 samples, and the benchmark has 5,000" in err
    assert not (tmp_path / "r.db").exists(), "nothing was asked"
    for more in ((), ("--paper", "gemini-1.0/table-2"), ("--format", "csv")):
        code, out, err = cli("report", part_run, "--strict", *more)
        assert (code, out) == (2, "")
        assert PART in err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "said"),
    [(1319, ""), (1318, "a part: 1,318 samples, and the benchmark has 1,319"),
     (1320, "more than the benchmark: 1,320 samples, and the benchmark has 1,319")],
)  # fmt: skip
def test_a_row_less_or_more(cli: Cli, tmp_path: Path, count: int, said: str) -> None:
    rows = [{"question": f"{i} + 1?", "answer": f"#### {i + 1}"} for i in range(count)]
    hub_folder(tmp_path / "openai" / "gsm8k", {"main": rows})
    run = ("run", "-m", "fake/gold", "-t", "gsm8k:0-shot-chat", "--data", tmp_path, "--json")
    code, out, err = cli(*run, "-o", tmp_path / "r.db")
    assert code == 0
    assert {cell["part"] for cell in json.loads(out)["cells"]} == {said}
    assert ("warning: gsm8k" in err) == bool(said)
    code, _, err = cli("report", tmp_path / "r.db", "--strict")
    assert (code, said in err) == (2 if said else 0, True)


def test_as_many_samples_of_other_groups_are_not_the_benchmark(cli: Cli, tmp_path: Path) -> None:
    task = tongues(tmp_path, {"de": 5, "en": 2, "fr": 4}, there={"de": 4, "fr": 5})
    code, out, _ = cli("run", "-m", "fake/gold", "-t", task, "--data", tmp_path, "-o", tmp_path / "r.db")
    assert code == 0
    assert "not the benchmark's samples: 4 of de, which has 5" in " ".join(out.split())


@pytest.mark.parametrize(
    ("counts", "part"),
    [
        (
            {"law": 200, "logic": 3},
            "a part: 203 samples, and the benchmark has 211 (1 of its groups is absent)",
        ),
        ({"law": 200, "logic": 3, "art": 7, "": 1}, ""),  # a record gave no sample: it is of no group
        ({"law": 199, "logic": 4, "art": 7, "": 1}, "not the benchmark's samples: 199 of law, which has 200"),
        (
            {"law": 201, "logic": 3, "art": 8},
            "more than the benchmark: 212 samples, and the benchmark has 211",
        ),
    ],
)
def test_groups_are_counted(counts: dict[str, int], part: str) -> None:
    """Six of MMLU's 57 subjects stood bold and unmarked beside the printed figure of all."""
    from evalkit.runfile.completeness import Completeness, other_groups

    sizes = {"law": 200, "logic": 3, "art": 8}
    found = Completeness(
        asked=sum(counts.values()), records=None, finished=True, limit=None, small=False,
        size=sum(sizes.values()), groups=other_groups(counts, sizes),
    )  # fmt: skip
    assert (found.part, found.whole) == (part, not part)


# -- killed --------------------------------------------------------------------------------------------

COUNTS = {"de": 150, "en": 150, "fr": 150}
KINDS = {
    "a folder": ((), "of 450 samples"),
    "parts that nobody counted, of stated sizes": (("--set", "kind=parts"), "of 450 samples"),
    "parts of unknown sizes": (
        ("--set", "kind=parts", "--set", "stated=no"),
        "samples; the total number is not known",
    ),
}


@pytest.fixture(params=KINDS)
def killed(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path, str]:
    """(run file, task file, of how many) of a run that SIGKILL ended in its second part."""
    more, of = KINDS[request.param]
    task = tongues(tmp_path, COUNTS)
    data = () if more else ("--data", tmp_path)
    path = tmp_path / "killed.db"
    with OpenAIServer(arithmetic, latency=0.02) as server:
        model = ("-m", "openai/mock", "--base-url", server.url, "--concurrency", 4)
        # The same question in another language is answered from the file: 100 answers are more samples.
        process = start("run", *model, "-t", task, *data, *more, "-o", path)
        wait_for_draws(path, 100)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    return path, Path(task), of


@pytest.mark.slow
def test_a_killed_run_of_parts_is_unfinished_everywhere(
    cli: Cli, killed: tuple[Path, Path, str], tmp_path: Path
) -> None:
    path, task, of = killed
    file = ("--task-file", task)
    said = re.compile(rf"unfinished, \d+ {of}")
    for name in ("terminal", "markdown", "latex", "csv", "json", "html"):
        more = ("--no-charts", "--samples", 0) if name == "html" else ()
        code, out, err = cli("report", path, *file, "--format", name, *more)
        assert code == 0, err
        assert said.search(" ".join(re.sub(r"[\s│]+", " ", out).split())), name
    code, _, err = cli("report", path, *file, "--strict")
    assert code == 2
    assert said.search(err)
    code, out, err = cli("export", path, *file, "--format", "submission")
    assert (code, out) == (2, "")
    assert said.search(err)
    code, out, err = cli("compare", path, path)
    assert code == 3, err
    assert said.search(out + err)
