"""Every declared version gives what it gave; `tools/golden` says how the files are renewed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools.golden import files
from tools.golden.cases import cases_of
from tools.golden.files import Golden, compare, leftovers, read, renew
from tools.golden.found import ROOT, identities, names

NAMES = sorted(name for declared in names().values() for name in declared)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_outputs_change_only_with_the_version(name: str) -> None:
    lines = compare(name).lines
    assert not lines, "\n".join(lines)


def test_every_declared_identity_is_covered_and_no_other() -> None:
    assert sorted(identities()) == NAMES == sorted(set(NAMES))
    assert {path.stem for path in files.OUTPUTS.glob("*.json")} == set(NAMES)
    assert not leftovers()


@pytest.mark.parametrize("name", ["relaxed_match", "docvqa.prompt", "pass_at_k"])
def test_a_case_has_a_place(name: str) -> None:
    cases = cases_of(name)
    assert len(cases) > 5
    assert len({case.key for case in cases}) == len(cases)
    assert all(case.place for case in cases)


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(files, "OUTPUTS", tmp_path)
    return tmp_path


def _held(version: int, **changed: str) -> Golden:
    now = files.found("is_year")
    return Golden(version, now.packages, {**now.outputs, **changed})


def test_a_changed_output_is_not_written_under_its_version(outputs: Path) -> None:
    files.write("is_year", _held(1, **{'"2014"': "false"}))
    before = files.path_of("is_year").read_bytes()
    (head, case) = renew("is_year").changed
    assert head == "is_year@1: 1 outputs changed and the version did not"
    assert '"2014"' in case
    assert "was false" in case
    assert "is  true" in case
    assert files.path_of("is_year").read_bytes() == before


def test_a_changed_output_is_written_under_a_new_version(outputs: Path) -> None:
    files.write("is_year", _held(0, **{'"2014"': "false"}))
    assert renew("is_year").outdated
    held = read("is_year")
    assert held is not None
    assert (held.version, held.outputs['"2014"']) == (1, "true")


def test_a_version_does_not_fall(outputs: Path) -> None:
    files.write("is_year", _held(2))
    assert renew("is_year").changed == ("is_year: version 1 is below the file's 2",)


def test_new_and_gone_cases_are_written_freely(outputs: Path) -> None:
    held = _held(1, gone="true")
    files.write("is_year", Golden(1, {}, {key: one for key, one in held.outputs.items() if key != '"2014"'}))
    (line,) = compare("is_year").lines
    assert "1 cases are not in the golden file and 1 of its cases are gone" in line
    renew("is_year")
    assert not compare("is_year").lines


def test_an_output_that_another_package_changed_says_so(
    outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = files.found("anls")
    key = next(iter(now.outputs))
    files.write("anls", Golden(1, {"rapidfuzz": "0.1"}, {**now.outputs, key: "-1"}))
    assert any("made with rapidfuzz 0.1" in line for line in compare("anls").changed)


@pytest.mark.slow
def test_one_changed_operator_in_each_identity_is_seen() -> None:
    """The whole run is `python -m tools.mutate`."""
    done = subprocess.run(
        [sys.executable, "-m", "tools.mutate", "--one-each"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " caught" in done.stdout.splitlines()[-1]
