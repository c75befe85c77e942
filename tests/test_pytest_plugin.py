"""The pytest plugin, in a pytest of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.erring import erring
from tests.made import sums

_TEST = """
import pytest
from evalkit.pytest_plugin import assert_no_regression

BASE, WORSE, NEAR, TASK = {names!r}

def test_near(evalkit_run):
    assert_no_regression(evalkit_run(BASE, TASK), evalkit_run(NEAR, TASK), margin=1.0)

def test_worse(evalkit_run):
    assert_no_regression(evalkit_run(BASE, TASK), evalkit_run(WORSE, TASK, limit=None), margin=1.0)

def test_policy(evalkit_run, tmp_path):
    policy = tmp_path / "p.toml"
    policy.write_text("[benchmarks.sums]\\nblocking = false")
    assert_no_regression(evalkit_run(BASE, TASK), evalkit_run(WORSE, TASK), policy=policy)

def test_failed(evalkit_run):
    evalkit_run("fake/gold?errors=1", TASK, limit=2, retries=0)
"""


def pytest_says(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    return subprocess.run([*command, *arguments], cwd=folder, capture_output=True, text=True)


@pytest.mark.slow
def test_a_gate_in_tests(tmp_path: Path) -> None:
    names = (
        erring(tmp_path, "base"),
        erring(tmp_path, "worse", What=0.13),
        erring(tmp_path, "near", What=0.101),
        sums(tmp_path, 1500),
    )
    (tmp_path / "test_gate.py").write_text(_TEST.format(names=names))
    said = pytest_says(tmp_path, "--evalkit-runs", "kept", "test_gate.py")
    assert said.returncode == 1, said.stdout + said.stderr
    assert "2 failed, 2 passed" in said.stdout
    assert "FAILED test_gate.py::test_worse" in said.stdout
    assert "FAILED test_gate.py::test_failed" in said.stdout
    assert "regression: sums:once (worse, p" in said.stdout
    assert "(evalkit report " in said.stdout
    kept = sorted(path.name[:11] for path in (tmp_path / "kept").glob("*.db"))
    assert kept == ["test_failed", "test_near_p", "test_near_p", *["test_policy"] * 2, *["test_worse_"] * 2]


@pytest.mark.slow
def test_it_is_offered_to_pytest_and_costs_nothing_until_it_is_used() -> None:
    pyproject = (Path(__file__).parent.parent / "pyproject.toml").read_text("utf-8")
    assert '[project.entry-points.pytest11]\nevalkit = "evalkit.pytest_plugin"' in pyproject
    heavy = "('numpy', 'aiohttp', 'rich', 'orjson')"
    code = f"import sys, evalkit.pytest_plugin; print([m for m in {heavy} if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
