"""Fifty refactorings of evalkit's own code leave every identity and every signature as they are."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.refactored import REFACTORINGS, copy_of_evalkit, sources

IDENTITIES = """
import json
from evalkit.identity.declared import code_identity
from evalkit.benchmark.task import all_tasks
found = {}
for task in all_tasks():
    answers = [task.answer] if callable(task.answer) else [task.answer[key] for key in sorted(task.answer)]
    code = [task.prompt, task.scorer, *answers, *task.metrics]
    code += [one for variant in task.variants for one in (variant.extract, variant.scorer) if one]
    code += [code for p in task.protocols for code in (p.solver, p.reader)]
    code += [task.model_extractor.prompt, task.model_extractor.read] if task.model_extractor else []
    found[task.name] = [code_identity(one) for one in code]
print(json.dumps(found))
"""
TASKS = "gsm8k:8-shot-cot,mmlu:5-shot-chat,docvqa,chartqa,vqav2,mathvista,asr"


def run(folder: Path, *command: str) -> str:
    environment = {"PYTHONPATH": str(folder), "HOME": str(folder)}
    done = subprocess.run(
        [sys.executable, "-B", *command], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    folder = tmp_path_factory.mktemp("before")
    copy_of_evalkit(folder)
    found: dict[str, list[str]] = json.loads(run(folder, "-c", IDENTITIES))
    return found


def first_of_each_kind() -> Iterator[object]:
    """The names of all, of which those after the first of a kind are slow."""
    kinds = set()
    for name in REFACTORINGS:
        kind = name.split()[0]
        yield pytest.param(name, marks=pytest.mark.slow) if kind in kinds else name
        kinds.add(kind)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*first_of_each_kind()])
def test_a_refactoring_changes_no_identity(name: str, tmp_path: Path, before: dict[str, list[str]]) -> None:
    package = copy_of_evalkit(tmp_path)
    old = {path.relative_to(package): path.read_bytes() for path in sources(package)}
    REFACTORINGS[name](package)
    assert {path.relative_to(package): path.read_bytes() for path in sources(package)} != old
    assert json.loads(run(tmp_path, "-c", IDENTITIES)) == before


def test_there_are_fifty() -> None:
    assert len(REFACTORINGS) == 50


@pytest.mark.slow
def test_a_new_version_shows(tmp_path: Path, before: dict[str, list[str]]) -> None:
    package = copy_of_evalkit(tmp_path)
    path = package / "tasks" / "docvqa.py"
    path.write_text(path.read_text("utf-8").replace('"docvqa.scorer", 1', '"docvqa.scorer", 2'), "utf-8")
    after = json.loads(run(tmp_path, "-c", IDENTITIES))
    assert {name for name in after if after[name] != before[name]} == {"docvqa", "infographicvqa"}


def signatures(folder: Path) -> dict[str, str]:
    asked = ("-m", "fake/gold", "-t", TASKS, "--data", "builtin", "--limit", "2")
    said = run(folder, "-m", "evalkit", "run", *asked, "-o", "run.db", "--json")
    return {f"{cell['task']} {cell['metric']}": cell["signature"] for cell in json.loads(said)["cells"]}


@pytest.mark.slow
def test_a_run_of_refactored_code_has_the_same_signatures(tmp_path: Path) -> None:
    """All that do not touch the same names, one upon the other."""
    copy_of_evalkit(tmp_path / "before")
    package = copy_of_evalkit(tmp_path / "after")
    kinds = ("function", "helper", "docstrings", "annotations", "imports", "format")
    applied = [name for name in REFACTORINGS if name.startswith(kinds)]
    for name in applied:
        REFACTORINGS[name](package)
    assert len(applied) > 20
    found = signatures(tmp_path / "after")
    assert found == signatures(tmp_path / "before")
    assert len(found) >= 7
