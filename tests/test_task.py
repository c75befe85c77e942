"""Finding a benchmark by name or file, and what a file may get wrong."""

from __future__ import annotations

import ast
import dataclasses
import importlib.resources
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from evalkit.tasks import INDEX

from evalkit.benchmark.names import parse_spec
from evalkit.benchmark.shape import check_shape
from evalkit.benchmark.task import all_tasks, load_task, sample_id
from evalkit.errors import UsageError
from evalkit.identity.source import parsed
from evalkit.metrics import Accuracy

NOT_PRINTED = (
    "aime", "asr", "ast", "fleurs-ast", "flores-low", "humanevalplus", "kv-retrieval", "kv-retrieval-json",
    "lambada", "librispeech", "math-amc", "mbppplus", "narrativeqa", "narrativeqa-summaries", "qasper",
    "quality", "vqa", "xsum",
)  # fmt: skip
"""Benchmarks that are in no table of the report."""
BASED_ON = {
    "humanevalplus": ("humaneval", "mbpp"),
    "mbppplus": ("humaneval", "mbpp"),
    "mmmlu": ("mmlu",),
    "natural2code": ("humaneval",),
}
"""Benchmarks that are others in their prompts and programs, with those."""
HEAD = """
from evalkit.scoring import final_number
from evalkit.api import Accuracy, Package, Protocol, Sample, Task, Verdict, ask_once, task


def made():
    return Task(
        data=Package("none", "none.jsonl"),
        sample=lambda record: Sample(record["id"], "", ()),
        prompt=lambda sample, protocol: "",
        answer={"chat": final_number, "completion": lambda text, sample: text},
        scorer=lambda answer, sample: Verdict(True),
        metrics=(Accuracy(),),
        protocols=(
            Protocol(name="direct", solver=ask_once),
            Protocol(name="bare", solver=ask_once, api="completion"),
        ),
        gold=lambda sample, protocol: "",
        wrong_responses=lambda sample, protocol: (),
    )
"""
ONE = (
    HEAD
    + '''

@task("kites", report="Table 9")
def kites():
    """Kites and their strings.

    More about kites.
    """
    return made()
'''
)
TWO = (
    ONE
    + '''

@task("boats")
def boats():
    """Boats"""
    return made()
'''
)


def written(folder: Path, source: str, name: str = "own.py") -> str:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(source, "utf-8")
    return str(file)


def complaint(name: str) -> str:
    with pytest.raises(UsageError) as error:
        load_task(name)
    return str(error.value)


# -- the index -----------------------------------------------------------------------------------------


def marked_in_the_sources() -> dict[str, str]:
    """name → module:function of every function below a `@task("name")` in the task modules."""
    folder = Path(str(importlib.resources.files("evalkit.tasks")))
    return {
        str(mark.args[0].value): f"evalkit.tasks.{file.stem}:{function.name}"
        for file in folder.glob("*.py")
        for function in parsed(file.read_text("utf-8")).body
        if isinstance(function, ast.FunctionDef)
        for mark in function.decorator_list
        if isinstance(mark, ast.Call) and isinstance(mark.func, ast.Name) and mark.func.id == "task"
        if isinstance(mark.args[0], ast.Constant)
    }  # fmt: skip


def test_the_index_names_every_benchmark_and_nothing_else() -> None:
    assert marked_in_the_sources() == INDEX
    assert "gsm8k" in INDEX


@pytest.mark.parametrize("name", INDEX)
def test_a_benchmark_is_loaded_under_its_own_name(name: str) -> None:
    found = load_task(name)
    assert found.name == name
    assert found.summary
    assert found.report or name in NOT_PRINTED


def test_all_tasks_are_those_of_the_index() -> None:
    assert [found.name for found in all_tasks()] == sorted(INDEX)


# Each in a process of its own, which begins as a copy of one that has imported no benchmark.
LOAD = """
import os, sys
from evalkit.benchmark.task import load_task
assert not any(name.startswith("evalkit.tasks.") for name in sys.modules)
for name in sys.argv[1:]:
    if not os.fork():
        load_task(name)
        print(name, *(one for one in sys.modules if one.startswith("evalkit.tasks.")), flush=True)
        os._exit(0)
    assert os.wait()[1] == 0, name
"""


@pytest.fixture(scope="module")
def imported() -> dict[str, list[str]]:
    """The modules of benchmarks that loading one of them imports, by its name."""
    ran = subprocess.run(
        [sys.executable, "-c", LOAD, *INDEX], capture_output=True, text=True, check=True, timeout=200
    )
    lines = [line.split() for line in ran.stdout.splitlines()]
    return {name: modules for name, *modules in lines}


@pytest.mark.slow
@pytest.mark.parametrize("name", INDEX)
def test_loading_one_benchmark_imports_no_other(name: str, imported: dict[str, list[str]]) -> None:
    own = INDEX[name].partition(":")[0]
    assert own in imported[name]
    # mmlu_fields is mmlu's, the kit is shared by all, and the others by those of speech,
    # of summarisation and of translation, with BLEURT or without.
    shared = ["kit", "speech_", "summaries", "translation", "with_bleurt", *BASED_ON.get(name, ())]
    allowed = tuple(f"evalkit.tasks.{module}" for module in shared)
    assert all(module.startswith((own, *allowed)) for module in imported[name])


def test_an_unknown_name() -> None:
    assert complaint("gsm8") == "unknown task 'gsm8': did you mean gsm8k or mgsm?"
    assert complaint("xyzzy") == "unknown task 'xyzzy': evalkit tasks lists them"
    assert complaint("").startswith("unknown task ''")


# -- files ---------------------------------------------------------------------------------------------


def test_a_task_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path, ONE)
    monkeypatch.chdir(tmp_path)
    for name in (file, f"{file}:kites", "own.py", "./own.py", "./own.py:kites"):
        found = load_task(name)
        assert (found.name, found.report) == ("kites", "Table 9")
        assert found.summary == "Kites and their strings."
        assert found.metrics == (Accuracy(),)


def test_the_protocols_of_a_task(tmp_path: Path) -> None:
    found = load_task(written(tmp_path, ONE))
    assert found.protocol() is found.protocol("direct") is found.protocols[0]
    bare = found.protocol("bare")
    assert found.extract(found.protocol())("It is 5.", None) == "5"  # type: ignore[arg-type]
    assert found.extract(bare)("It is 5.", None) == "It is 5."  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"unknown protocol of kites 'dirct': did you mean direct\?"):
        found.protocol("dirct")


def test_several_tasks_in_a_file(tmp_path: Path) -> None:
    file = written(tmp_path, TWO)
    assert load_task(f"{file}:boats").name == "boats"
    assert load_task(f"{file}:kites").name == "kites"
    assert complaint(file) == f"{file} defines several tasks: name one, such as {file}:boats"
    assert complaint(f"{file}:boat") == f"unknown task in {file} 'boat': did you mean boats?"


def test_files_of_one_name_in_two_folders(tmp_path: Path) -> None:
    one, two = written(tmp_path / "a", ONE), written(tmp_path / "b", ONE.replace("kites", "hawks"))
    assert [load_task(file).name for file in (one, two, one)] == ["kites", "hawks", "kites"]


def test_a_task_that_a_file_only_imports_is_not_its_own(tmp_path: Path) -> None:
    source = f"from evalkit.tasks.gsm8k import gsm8k\n{ONE}"
    assert load_task(written(tmp_path, source)).name == "kites"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("1 / 0", "fails on import: ZeroDivisionError: division by zero"),
        ("def (", "fails on import: SyntaxError: "),
        (
            "import no_such_module_at_all",
            "fails on import: ModuleNotFoundError: No module named 'no_such_mod",
        ),
        ("import sys; sys.exit(0)", "fails on import: SystemExit: 0"),
        ("x = 1", "defines no task: mark the function that builds it with @task('name')"),
        ("", "defines no task"),
    ],
)
def test_a_file_that_is_no_task(tmp_path: Path, source: str, words: str) -> None:
    file = written(tmp_path, source)
    assert complaint(file).startswith(f"{file} {words}")


def test_a_file_that_failed_on_import_is_read_again_once_fixed(tmp_path: Path) -> None:
    file = written(tmp_path, "1 / 0")
    assert "ZeroDivisionError" in complaint(file)
    assert load_task(written(tmp_path, ONE + "\n\nMENDED = True\n")).name == "kites"


def test_no_such_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.py").mkdir()
    assert complaint("./lost.py") == f"no task file 'lost.py' in {tmp_path}"
    assert complaint("lost.py:kites") == f"no task file 'lost.py' in {tmp_path}"
    assert complaint("folder.py") == f"no task file 'folder.py' in {tmp_path}"


# -- names on the command line -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "name", "protocol"),
    [
        ("gsm8k", "gsm8k", ""),
        ("gsm8k:", "gsm8k", ""),
        ("gsm8k:8-shot-cot", "gsm8k", "8-shot-cot"),
        ("gsm8k:a:b", "gsm8k", "a:b"),
        ("a.py", "a.py", ""),
        ("./a.py", "./a.py", ""),
        ("./a.py:", "./a.py", ""),
        ("./a.py:name", "./a.py:name", ""),
        ("./a.py:name:protocol", "./a.py:name", "protocol"),
        ("./a.py::protocol", "./a.py", "protocol"),
        ("/x/y.z/a.b.py:name", "/x/y.z/a.b.py:name", ""),
        ("./my.pyproject/a.py:name:protocol", "./my.pyproject/a.py:name", "protocol"),
        ("my.pytask:protocol", "my.pytask", "protocol"),
        ("", "", ""),
        (":protocol", "", "protocol"),
    ],
)
def test_a_spec_is_a_name_and_a_protocol(spec: str, name: str, protocol: str) -> None:
    assert parse_spec(spec) == (name, protocol)


def test_sample_ids() -> None:
    assert sample_id("a", "b") == sample_id("a", "b")
    assert (
        len({sample_id(*parts) for parts in [(), ("ab",), ("a", "b"), ("b", "a"), ("\ud800",), ("é",)]}) == 6
    )
    assert all(len(sample_id(text)) == 12 for text in ("", "x" * 10_000))


def test_two_tasks_of_one_name_in_a_file_are_refused(tmp_path: Path) -> None:
    twice = '@task("twice")\ndef {0}():\n    """Twice"""\n'
    path = tmp_path / "twice.py"
    path.write_text("from evalkit.api import task\n" + twice.format("a") + twice.format("b"))
    with pytest.raises(UsageError, match="two tasks of the same name, among twice"):
        load_task(str(path))


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        (
            "data",
            "questions.jsonl",
            "data must be a source of data, such as Local('questions.jsonl'), not 'que",
        ),
        ("sample", None, "sample must be a function, not None"),
        ("answer", {}, "answer must be a function, or a dict of functions, not {}"),
        ("metrics", Accuracy(), "metrics must be a tuple of metrics, such as (Accuracy(),), not Accuracy("),
        ("metrics", (Accuracy,), "metrics must be a tuple of metrics, such as (Accuracy(),), not (<class"),
        ("protocols", (), "protocols must be a tuple such as (Protocol(name='chat'),), not ()"),
    ],
)
def test_a_field_of_another_type_is_named(field: str, value: Any, said: str) -> None:
    changed: dict[str, Any] = {field: value}
    wrong = dataclasses.replace(load_task("gsm8k"), **changed)
    with pytest.raises(UsageError, match=re.escape(f"the task gsm8k: {said}")):
        check_shape("gsm8k", wrong)


@pytest.mark.parametrize(
    ("name", "does", "said"),
    [
        ("'own'", "return 3", "the function of the task own returns 3 and no Task"),
        ("3", "return 3", "@task needs a name, such as @task('my-task'), not 3"),
        ("'own'", "exit()", "line 6: the task own cannot be built"),
    ],
)
def test_what_is_no_task_is_named(tmp_path: Path, name: str, does: str, said: str) -> None:
    file = tmp_path / "own.py"
    file.write_text(f"from evalkit.api import task\n\n\n@task({name})\ndef own():\n    {does}\n")
    with pytest.raises(UsageError, match=re.escape(said)):
        load_task(str(file))
