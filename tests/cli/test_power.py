"""`evalkit power`."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from evalkit.stats.power import power_of
from tests.cli.conftest import Cli
from tests.erring import erring
from tests.made import sums


def power(cli: Cli, *arguments: object) -> dict[str, float]:
    code, out, err = cli("power", "--json", *arguments)
    assert code == 0, err
    found: dict[str, float] = json.loads(out)
    return found


def test_without_a_run_the_widest_spread_is_assumed(cli: Cli) -> None:
    found = power(cli, "-t", "gsm8k", "--effect", 2, "--data", "builtin")
    assert found["sd"] == pytest.approx(50)
    # ((1.960 + 0.842) · 50 / 2)² = 4,906, and the more that McNemar's exact test asks for
    assert 4906 < found["samples"] < 1.03 * 4906
    assert power_of(2, 50, int(found["samples"]), exact=True) == pytest.approx(0.8, abs=0.001)
    assert found["size"] == 16
    assert power_of(found["seen"], found["sd"], 16, exact=True) == pytest.approx(0.8, abs=0.001)
    alike = power(cli, "-t", "gsm8k", "--effect", -2, "--correlation", 0.9, "--data", "builtin")
    assert alike["samples"] == pytest.approx(4906 / 5, rel=0.08)
    among_ten = power(cli, "-t", "gsm8k", "--effect", 2, "--benchmarks", 10, "--data", "builtin")
    assert (
        among_ten["samples"]
        == power(cli, "-t", "gsm8k", "--effect", 2, "--alpha", 0.005, "--data", "builtin")["samples"]
    )
    code, out, _ = cli("power", "-t", "gsm8k", "--effect", 2, "--data", "builtin")
    assert (code, "the benchmark has 16, too few: they show 45 points or more" in out) == (0, True)


@pytest.mark.slow
def test_two_runs_show_their_own_spread(cli: Cli, tmp_path: Path) -> None:
    """5 % of the samples differ: the standard deviation is √(0.05 − 0.05²)."""
    task = sums(tmp_path, 2000)
    runs = []
    for name, share in (("base", 0.1), ("head", 0.15)):
        model = erring(tmp_path, name, What=share)
        runs += ["--from", tmp_path / f"{name}.db"]
        assert cli("run", "-m", model, "-t", task, "-o", runs[-1]).code == 0
    found = power(cli, "-t", "sums", "--effect", 1, *runs)
    assert found["sd"] == pytest.approx(100 * math.sqrt(0.05 - 0.05**2), rel=0.15)
    assert found["size"] == 2000
    one = power(cli, "-t", "sums:once", "--effect", 1, *runs[:2])
    assert one["sd"] == pytest.approx(100 * math.sqrt(0.1 * 0.9), rel=0.1)
    code, out, _ = cli("power", "-t", "sums", "--effect", 1, *runs)
    assert code == 0
    assert "measured, of 2,000 samples of two runs" in out
    assert "the benchmark has 2,000, too few" in out


@pytest.mark.slow
def test_draws_help_where_the_draws_are_what_varies(cli: Cli, tmp_path: Path) -> None:
    """Every draw of every sample is wrong 2 times of 5: the samples are alike, and only draws differ."""
    run, task = tmp_path / "run.db", sums(tmp_path, 400)
    command = ("run", "-m", "fake/gold?wrong=0.4", "-t", f"{task}:sums:once", "-o", run)
    assert cli(*command, "--set", "draws=8", "--set", "temperature=0.8").code == 0
    found = power(cli, "-t", "sums", "--effect", 2, "--from", run)
    assert found["draws"] == 8
    assert found["sd"] == pytest.approx(100 * math.sqrt(2 * 0.4 * 0.6 / 8), rel=0.1)
    reach = 1.960 + 0.842
    assert found["draws_needed"] == pytest.approx(2 * 0.4 * 0.6 * (100 * reach / 2) ** 2 / 400, rel=0.25)
    code, out, _ = cli("power", "-t", "sums", "--effect", 2, "--from", run)
    assert code == 0
    assert f"with {found['draws_needed']} draws of each sample the whole benchmark would show it" in out


@pytest.mark.slow
def test_no_number_of_draws_helps_where_the_samples_are_what_varies(cli: Cli, tmp_path: Path) -> None:
    """Nine of ten samples are always right, one always wrong, whatever is drawn."""
    run, task = tmp_path / "run.db", sums(tmp_path, 400)
    command = ("run", "-m", erring(tmp_path, "m"), "-t", f"{task}:sums:once", "-o", run)
    assert cli(*command, "--set", "draws=4", "--set", "temperature=0.8").code == 0
    found = power(cli, "-t", "sums", "--effect", 1, "--from", run)
    assert found["sd"] == pytest.approx(100 * math.sqrt(0.1 * 0.9), rel=0.15)
    assert found["draws_needed"] is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-t", "gsmk", "--effect", "1"], "did you mean gsm8k"),
        (["-t", "gsm8k", "--effect", "0"], "--effect must not be 0"),
        (["-t", "gsm8k", "--effect", "1", "--alpha", "2"], "--alpha must be between 0 and 1, not 2"),
        (["-t", "gsm8k", "--effect", "1", "--from", "none.db"], "none.db"),
    ],
)
def test_bad_usage(cli: Cli, arguments: list[str], said: str) -> None:
    code, _, err = cli("power", *arguments)
    assert code == 2
    assert said in err
