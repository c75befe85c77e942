"""Natural2Code: a folder of the user's own in HumanEval's columns, and what is said where there is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from evalkit.tasks import humaneval
from evalkit.tasks.natural2code import LEAKAGE, natural2code, to_sample

from evalkit.api import DataError, DataOptions, Message, UsageError
from evalkit.benchmark.task import build

ROW: dict[str, Any] = {
    "task_id": "own/0",
    "prompt": 'def add(a, b):\n    """Return their sum."""\n',
    "entry_point": "add",
    "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n",
}


def folder(path: Path, *rows: dict[str, Any]) -> Path:
    (path / "test.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return path


def test_without_a_folder_it_says_what_to_do() -> None:
    task = build(natural2code)
    with pytest.raises(UsageError, match=r"no public data: --set dataset=FOLDER .* --data builtin"):
        task.data.open(DataOptions())
    with pytest.raises(UsageError, match="the columns task_id, prompt, entry_point, test of HumanEval"):
        task.data.open()


def test_a_file_of_one_s_own(tmp_path: Path) -> None:
    """Asked and judged as HumanEval; a solution is not needed."""
    file = (
        folder(tmp_path, ROW, ROW | {"task_id": "own/1", "canonical_solution": "    return a + b\n"})
        / "test.jsonl"
    )
    task = build(natural2code, {"dataset": str(file)})
    first, second = map(task.sample, task.data.open())
    assert (first.id, first.target, second.target) == ("own/0", ("",), ("    return a + b\n",))
    asked = f"Write the following function:\n```\n{ROW['prompt']}\n```"
    assert task.prompt(first, task.protocols[0]) == (Message("user", asked),)
    assert task.scorer is humaneval.score
    assert task.protocols[0].name == build(humaneval.humaneval).protocols[0].name == "0-shot"


def test_columns_that_are_missing_or_blank(tmp_path: Path) -> None:
    short = {key: value for key, value in ROW.items() if key != "test"}
    task = build(natural2code, {"dataset": str(folder(tmp_path, short) / "test.jsonl")})
    with pytest.raises(DataError, match="test"):
        task.data.open()
    for bad in ({"test": " "}, {"entry_point": None}, {"prompt": 7}):
        with pytest.raises(ValueError, match=f"'{next(iter(bad))}' has to be a text that is not blank"):
            to_sample(ROW | bad)


def test_the_notes_say_what_leaves_the_machine() -> None:
    task = build(natural2code)
    assert task.notes(task.protocols[0]) == {"leakage": LEAKAGE}
    assert "only prompts are sent" in LEAKAGE


def test_only_the_prompt_is_sent() -> None:
    sample = to_sample(ROW | {"canonical_solution": "    return a + b  # secret\n"})
    task = build(natural2code)
    for protocol in task.protocols:
        sent = str(task.prompt(sample, protocol))
        assert not [word for word in ("secret", "candidate", "own/0") if word in sent]
