"""What code is in a signature: evalkit's by its declared version, a user's by everything that it reaches."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from evalkit.benchmark.task import all_tasks
from evalkit.errors import UsageError
from evalkit.identity.declared import OWN, code_identity, declared, versioned
from evalkit.metrics import Accuracy, Macro, PassAtK
from evalkit.scoring import chat_letter, final_number

HELPER = '''"""Helpers."""

LIMIT = 3


def measured(answer):
    """How long it is."""
    return len(answer.strip())
'''
MODULE = '''"""Judges."""

import functools
import dataclasses
import re

from evalkit.scoring import final_number
from {helper} import measured
import {helper} as helper

UNUSED = 1
BOUND = 3
PATTERN = re.compile("a+", re.I)
TABLE = {{"x": 1, "y": [1, 2]}}


def judge(answer, sample=None):
    """Whether it is short."""
    return measured(answer) < BOUND  # strictly


def through_module(answer, sample=None):
    return helper.measured(answer) < helper.LIMIT


def made(limit):
    def inner(answer, sample=None):
        return len(answer) < limit
    return inner


def with_table(answer, sample=None):
    return TABLE.get(answer) or PATTERN.fullmatch(answer)


def with_default(answer, sample=None, bound=3):
    return len(answer) < bound


def imports_inside(answer, sample=None):
    from {helper} import LIMIT
    return len(answer) < LIMIT


def takes_evalkit(answer, sample=None):
    return final_number(answer, sample) == "1"


def doubled(function):
    @functools.wraps(function)
    def both(answer, sample=None):
        return function(answer + answer, sample)
    return both


@doubled
def decorated(answer, sample=None):
    return len(answer) < 4


class Strict:
    """A judge with a state."""

    def __init__(self, limit):
        self.limit = limit

    def __call__(self, answer, sample=None):
        return self.inside(answer)

    def inside(self, answer):
        return measured(answer) < self.limit


@dataclasses.dataclass(frozen=True)
class Metric:
    k: int = 1

    def finish(self, totals):
        return totals[0] / self.k


first, second = lambda a, s=None: len(a) < 1, lambda a, s=None: len(a) < 2


def recursive(answer, sample=None):
    return not answer or other(answer[1:])


def other(answer):
    return recursive(answer)
'''
Importer = Callable[..., ModuleType]


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Importer]:
    """Writes a user's module and its helper, under new names each time, and imports both."""
    names: list[str] = []

    def write(source: str = MODULE, helper: str = HELPER) -> ModuleType:
        folder = tmp_path / f"place{len(names)}"
        folder.mkdir()
        monkeypatch.syspath_prepend(folder)
        name, beside = f"own_{tmp_path.name}_{len(names)}", f"own_{tmp_path.name}_{len(names)}_helper"
        (folder / f"{beside}.py").write_text(helper, "utf-8")
        (folder / f"{name}.py").write_text(source.format(helper=beside), "utf-8")
        names.extend((name, beside))
        importlib.invalidate_caches()
        return importlib.import_module(name)

    yield write
    for name in names:
        sys.modules.pop(name, None)


ALL = (
    "judge", "through_module", "with_table", "with_default", "imports_inside", "takes_evalkit", "decorated",
    "Strict", "Metric", "first", "second", "recursive",
)  # fmt: skip


def identities(module: ModuleType) -> dict[str, str]:
    found = {name: code_identity(getattr(module, name)) for name in ALL}
    found["made"] = code_identity(module.made(3))
    found["strict"] = code_identity(module.Strict(3))
    return found


# -- users' code ---------------------------------------------------------------------------------------


def test_own_code_is_a_digest_that_depends_on_no_place(written: Importer) -> None:
    one, two = identities(written()), identities(written())
    assert one == two
    assert all(text.startswith(OWN) and len(text) == len(OWN) + 8 for text in one.values())
    assert one["first"] != one["second"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  # strictly", "  # strictly, as the paper has it"),
        ('    """Whether it is short."""\n', ""),
        ('    """A judge with a state."""\n\n', ""),
        ("import functools\nimport dataclasses\n", "import dataclasses\nimport functools\n"),
        ("from {helper} import measured\n", "from {helper} import measured as length\n"),
        ("UNUSED = 1", "UNUSED = 2"),
        ("BOUND = 3", "BOUND = 0x3"),
        ("BOUND", "LARGEST"),
        ("def judge(answer, sample=None)", "def judge(answer: str, sample: object = None) -> bool"),
        ("return measured(answer) < BOUND", "return (measured(\n        answer) < BOUND)"),
        ("inner", "closure"),
        ("limit", "most"),
        ("TABLE", "RULES"),
        ("recursive", "again"),
        ("other(", "further("),
    ],
)
def test_refactoring_own_code_changes_nothing(written: Importer, old: str, new: str) -> None:
    assert old in MODULE
    changed = MODULE.replace(old, new)
    if "as length" in new:
        changed = changed.replace("measured(answer) <", "length(answer) <").replace(
            "helper.length", "helper.measured"
        )
    module = written(changed)
    if old == "recursive":
        module.recursive = module.again  # type: ignore[attr-defined]
    after, before = identities(module), identities(written())
    # The names of methods and of a method's own attributes are what others call them by.
    known = {"Strict", "strict"} if old == "limit" else set()
    assert {name for name in after if after[name] != before[name]} <= known


@pytest.mark.parametrize(
    ("old", "new", "touched"),
    [
        ("BOUND = 3", "BOUND = 4", {"judge"}),
        ("BOUND = 3", "BOUND = 3.0", {"judge"}),
        ("measured(answer) < BOUND", "measured(answer) <= BOUND", {"judge"}),
        ("< helper.LIMIT", "> helper.LIMIT", {"through_module"}),
        ('"x": 1', '"x": 2', {"with_table"}),
        ("[1, 2]", "[2, 1]", {"with_table"}),
        ('"a+", re.I', '"a+"', {"with_table"}),
        ("bound=3", "bound=4", {"with_default"}),
        ("return len(answer) < limit", "return len(answer) > limit", {"made"}),
        ("answer + answer", "answer", {"decorated"}),
        ("totals[0] / self.k", "totals[1] / self.k", {"Metric"}),
        ("k: int = 1", "k: int = 2", {"Metric"}),
        ("measured(answer) < self.limit", "measured(answer) != self.limit", {"Strict", "strict"}),
        ("< 1, lambda", "< 3, lambda", {"first"}),
        ('== "1"', '== "2"', {"takes_evalkit"}),
        ("return recursive(answer)", "return recursive(answer[1:])", {"recursive"}),
    ],
)
def test_a_change_of_own_code_shows_in_all_that_reach_it(
    written: Importer, old: str, new: str, touched: set[str]
) -> None:
    assert old in MODULE
    before, after = identities(written()), identities(written(MODULE.replace(old, new)))
    assert {name for name in after if after[name] != before[name]} == touched


@pytest.mark.parametrize(
    ("old", "new", "touched"),
    [
        ("answer.strip()", "answer", {"judge", "through_module", "Strict", "strict"}),
        ("LIMIT = 3", "LIMIT = 4", {"through_module", "imports_inside"}),
        ('    """How long it is."""\n', "", set()),
    ],
)
def test_a_helper_in_another_file_of_the_users_counts(
    written: Importer, old: str, new: str, touched: set[str]
) -> None:
    before, after = identities(written()), identities(written(MODULE, HELPER.replace(old, new)))
    assert {name for name in after if after[name] != before[name]} == touched


def test_closures_of_one_factory_differ_by_what_they_close_over(written: Importer) -> None:
    module = written()
    assert code_identity(module.made(3)) != code_identity(module.made(4))
    assert code_identity(module.Strict(3)) != code_identity(module.Strict(4))
    assert code_identity(module.Metric()) != code_identity(module.Metric(k=2))


def test_a_partial_shows_what_it_was_given(written: Importer) -> None:
    judge = written().judge
    identity = code_identity(judge)
    assert code_identity(functools.partial(judge, "x", b=2, a=1)) == f"{identity}('x',a=1,b=2)"
    assert code_identity(functools.partial(judge, a=1, b=2)) == code_identity(
        functools.partial(judge, b=2, a=1)
    )
    assert code_identity(functools.partial(judge, 1)) != code_identity(functools.partial(judge, 2))


@pytest.mark.slow
def test_an_installed_distribution_counts_by_its_version(
    written: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evalkit.identity import declared as identity

    source = "import jiwer\n\ndef judge(answer, sample=None):\n    return jiwer.wer('a', answer) == 0\n"
    before = code_identity(written(source).judge)
    real = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "99" if name == "jiwer" else real(name))
    identity.version_of.cache_clear()
    try:
        assert code_identity(written(source).judge) != before
    finally:
        monkeypatch.undo()
        identity.version_of.cache_clear()
    assert code_identity(written(source).judge) == before


@pytest.mark.slow
def test_what_a_function_imports_for_itself_counts_and_is_not_imported_for_that(tmp_path: Path) -> None:
    """A scorer's own process loads its model's libraries, and no other needs to."""
    (tmp_path / "scored.py").write_text(
        "def one():\n    from sklearn.svm import SVC\n    return SVC\n\n"
        "def other():\n    from sklearn.svm import SVR\n    return SVR\n\n"
        "def whole():\n    import sklearn.svm\n    return sklearn\n"
    )
    program = (
        "import sys, scored\n"
        "import evalkit.identity.declared as identity, evalkit.identity.reach as reach\n"
        "def names():\n"
        "    return [identity.code_identity(one) for one in (scored.one, scored.other, scored.whole)]\n"
        "first = names()\n"
        "assert len(set(first)) == 3 and 'sklearn' not in sys.modules\n"
        "import sklearn.svm\n"
        "assert names() == first\n"
        "reach.version_of = lambda name: '99'\n"
        "assert not set(first) & set(names())\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path.cwd())])}
    subprocess.run([sys.executable, "-c", program], env=environment, cwd=tmp_path, check=True)


def test_what_own_code_takes_from_evalkit_counts_by_its_version(
    written: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = identities(written())
    versioned("final_number", 1000)(final_number)
    try:
        after = identities(written())
    finally:
        versioned("final_number", 4)(final_number)
    assert {name for name in after if after[name] != before[name]} == {"takes_evalkit"}


def test_code_without_a_file_has_no_identity() -> None:
    module = ModuleType("evalkit_typed_at_a_prompt")
    sys.modules[module.__name__] = module
    try:
        exec("def judge(): pass", module.__dict__)
        with pytest.raises(UsageError, match="no source file for module 'evalkit_typed_at_a_prompt'"):
            code_identity(module.judge)
    finally:
        del sys.modules[module.__name__]


@pytest.mark.slow
def test_the_digest_is_the_same_in_every_process(tmp_path: Path) -> None:
    """Hash seeds and the order of imports differ from process to process."""
    (tmp_path / "own_helper.py").write_text(HELPER, "utf-8")
    (tmp_path / "own.py").write_text(
        MODULE.format(helper="own_helper") + "\nWORDS = {'a', 'b', 'c', 'd'}\n\n"
        "def in_words(answer, sample=None):\n    return answer in WORDS\n",
        "utf-8",
    )
    program = (
        "import own; from evalkit.identity.declared import code_identity as c;"
        "print(c(own.in_words), c(own.judge), c(own.with_table), c(own.Strict(2)), c(own.decorated))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env={"PYTHONPATH": f"{tmp_path}:{Path(__file__).parent.parent}", "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(said) == 1


# -- evalkit's code ------------------------------------------------------------------------------------


def test_what_is_declared_is_a_name_and_a_version() -> None:
    assert code_identity(final_number) == "final_number@4"
    assert code_identity(Accuracy()) == "accuracy@1"
    assert code_identity(Accuracy(variant="strict")) == "accuracy@1(variant='strict')"
    assert code_identity(PassAtK(10)) == "pass_at_k@1(k=10)"


def test_a_package_that_has_a_say_stands_there_with_its_version() -> None:
    from evalkit.metrics.bleu import Bleu

    assert (
        code_identity(Bleu("zh"))
        == f"bleu@1{{sacrebleu {importlib.metadata.version('sacrebleu')}}}(tokeniser='zh')"
    )


def test_a_subclass_of_the_users_is_not_what_it_is_derived_from() -> None:
    class Mine(Accuracy):
        pass

    assert code_identity(Mine()).startswith(OWN)
    assert declared(Mine) is None


def test_an_identity_has_no_address() -> None:
    """As that of a mean over groups of a metric that is no dataclass, whose text would have one."""

    class Mine:
        pass

    versioned("given_to_mine", 3)(Mine)
    inner: Any = Mine()
    assert code_identity(Macro(inner)) == "macro@1(inner=given_to_mine@3)"
    assert code_identity(functools.partial(final_number, inner)) == "final_number@4(given_to_mine@3)"


def test_all_code_of_the_index_that_decides_a_figure_is_declared() -> None:
    """By a name of its own."""
    found: dict[str, object] = {}
    for task in all_tasks():
        answers = [task.answer] if callable(task.answer) else list(task.answer.values())
        code = [task.prompt, task.scorer, *answers, *task.metrics]
        code += [one for variant in task.variants for one in (variant.extract, variant.scorer) if one]
        code += [solver for p in task.protocols for solver in (p.solver, p.reader)]
        code += [task.model_extractor.prompt, task.model_extractor.read] if task.model_extractor else []
        for one in code:
            known = declared(one)
            assert known is not None, (task.name, one)
            while isinstance(one, functools.partial):
                one = one.func
            kind = one if hasattr(one, "__code__") else type(one)
            assert found.setdefault(known.name, kind) is kind, known.name


def test_moving_evalkits_code_changes_no_identity(tmp_path: Path) -> None:
    """In a copy of evalkit with a function renamed, moved to another module and rewritten."""
    import evalkit

    shutil.copytree(
        Path(evalkit.__file__).parent, tmp_path / "evalkit", ignore=shutil.ignore_patterns("data")
    )
    letter = tmp_path / "evalkit" / "scoring" / "letter.py"
    source = letter.read_text("utf-8").replace("def chat_letter(", "def letter_of_a_chat(")
    letter.rename(letter.with_name("letters.py"))
    letter.with_name("letters.py").write_text(source, "utf-8")
    index = letter.with_name("__init__.py")
    moved = index.read_text("utf-8").replace(
        "from evalkit.scoring.letter import chat_letter, cot_letter",
        "from evalkit.scoring.letters import cot_letter, letter_of_a_chat as chat_letter",
    )
    index.write_text(moved, "utf-8")
    program = (
        "from evalkit.scoring import chat_letter; from evalkit.identity.declared import code_identity as c;"
        "print(chat_letter.__name__, chat_letter.__module__, c(chat_letter))"
    )
    said = subprocess.run(
        [sys.executable, "-B", "-c", program], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert said == ["letter_of_a_chat", "evalkit.scoring.letters", code_identity(chat_letter)]
