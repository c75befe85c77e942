"""What makes two cells comparable, and how a difference is put into words."""

from __future__ import annotations

import functools
import importlib.util
import itertools
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import evalkit
from evalkit.errors import UsageError
from evalkit.metrics import Accuracy, PassAtK
from evalkit.signature import Signature, code_identity, combine, digest

MODULE = '''"""Judges."""

import dataclasses

LIMIT = 3


def judge(answer):
    """Whether it is short."""
    return helper(answer) < LIMIT  # strictly


def helper(answer):
    return len(answer)


class Class:
    """A class."""

    def method(self):
        """A method."""
        return "text"


@dataclasses.dataclass(frozen=True)
class Metric:
    k: int = 1
    reduce: object = max
'''
Importer = Callable[[str], ModuleType]


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Importer]:
    """Writes a module file and imports it."""
    names: list[str] = []

    def write(source: str) -> ModuleType:
        name = f"evalkit_signature_test_{len(names)}_{tmp_path.name}"
        file = tmp_path / f"{name}.py"
        file.write_text(source, "utf-8")
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        names.append(name)
        spec.loader.exec_module(module)
        return module

    yield write
    for name in names:
        del sys.modules[name]


@settings(deadline=None)
@given(st.lists(st.binary(min_size=16, max_size=16), max_size=8), st.randoms(use_true_random=False))
def test_a_set_has_one_digest_in_any_order(items: list[bytes], order: random.Random) -> None:
    shuffled = items[:]
    order.shuffle(shuffled)
    assert combine(items) == combine(shuffled)


def test_sets_that_differ_have_digests_that_differ() -> None:
    one, two = digest("one"), digest("two")
    changed = bytes([one[0] ^ 1]) + one[1:]
    sets = [[], [one], [two], [changed], [one, one], [one, two], [changed, two], [one, one, two]]
    assert len({combine(items) for items in sets}) == len(sets)


def test_the_sum_is_modulo_2_to_the_128() -> None:
    assert combine([b"\xff" * 16, b"\x00" * 15 + b"\x02"]) == "0" * 31 + "1"


def test_a_digest_knows_values_not_their_order_in_an_object() -> None:
    assert digest({"a": 1, "b": [2.5, None]}) == digest({"b": [2.5, None], "a": 1})
    others = [{"a": 1}, {"a": 1.5}, {"a": "1"}, {"a": True}, {"a": None}, {"A": 1}, [1], "a", ""]
    assert len({digest(value) for value in others}) == len(others)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  # strictly", "  # strictly, as the paper has it"),
        ('"""Judges."""', ""),
        ('"""Whether it is short."""', '"""Whether it is shorter than LIMIT."""'),
        ('    """Whether it is short."""\n', ""),
        ('    """A class."""\n', ""),
        ('        """A method."""\n', ""),
        ("\n\n\ndef helper", "\n\n# Helpers.\n\n\n\ndef helper"),
        ("return len(answer)", "return (len(\n        answer,\n    ))"),
        ('return "text"', "return 'text'"),
        ("LIMIT = 3", "LIMIT = 0x3"),
    ],
)
def test_words_about_code_and_its_layout_do_not_matter(written: Importer, old: str, new: str) -> None:
    assert old in MODULE
    assert code_identity(written(MODULE).judge) == code_identity(written(MODULE.replace(old, new)).judge)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LIMIT = 3", "LIMIT = 4"),
        ("LIMIT = 3", "LIMIT = 3.0"),
        ("LIMIT = 3", "LIMIT = None"),
        ("< LIMIT", "<= LIMIT"),
        ("len(answer)", "len(answer) + 0"),
        ('return "text"', 'return "text "'),
        ('return "text"', 'return b"text"'),
        ('return "text"', "return text"),
        ("k: int = 1", "k: int = 2"),
    ],
)
def test_everything_else_in_the_module_does(written: Importer, old: str, new: str) -> None:
    assert old in MODULE
    assert code_identity(written(MODULE).judge) != code_identity(written(MODULE.replace(old, new)).judge)


def test_what_a_module_takes_from_the_scoring_rooms_counts_too(tmp_path: Path) -> None:
    """In copies of evalkit: what changes in number.py changes those who extract with it, and no others."""
    (tmp_path / "extracting.py").write_text("from evalkit.answers import final_number\ndef judge(): pass\n")
    (tmp_path / "alone.py").write_text("def judge(): pass\n")
    shutil.copytree(
        Path(evalkit.__file__).parent, tmp_path / "evalkit", ignore=shutil.ignore_patterns("data")
    )
    number = tmp_path / "evalkit" / "answers" / "number.py"
    source = number.read_text("utf-8")
    assert "_LONGEST = 200" in source

    def identities() -> list[str]:
        program = (
            "import alone, extracting; from evalkit.signature import code_identity as c;"
            "print(c(alone.judge), c(extracting.judge), c(extracting.final_number))"
        )
        command = [sys.executable, "-B", "-c", program]
        return subprocess.run(
            command,
            cwd=tmp_path,
            env={"PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()

    before = identities()
    number.write_text(source + "\n# a comment\n", "utf-8")
    assert identities() == before
    number.write_text(source.replace("_LONGEST = 200", "_LONGEST = 201"), "utf-8")
    changed = [new != old for new, old in zip(identities(), before, strict=True)]
    assert changed == [False, True, True]


def test_an_identity_begins_with_the_name(written: Importer) -> None:
    module = written(MODULE)
    same = code_identity(module.judge).partition("@")[2]
    assert len(same) == 8
    assert code_identity(module.judge) == f"judge@{same}"
    assert code_identity(module.Class) == f"Class@{same}"
    assert code_identity(module.Class.method) == f"Class.method@{same}"
    assert code_identity(module.Class()) == f"Class@{same}"


def test_a_partial_shows_what_it_was_given(written: Importer) -> None:
    judge = written(MODULE).judge
    identity = code_identity(judge)
    assert code_identity(functools.partial(judge, "x", b=2, a=1)) == f"{identity}('x',a=1,b=2)"
    assert code_identity(functools.partial(judge, a=1, b=2)) == code_identity(
        functools.partial(judge, b=2, a=1)
    )
    assert code_identity(functools.partial(judge, 1)) != code_identity(functools.partial(judge, 2))


def test_a_metric_shows_the_parameters_that_are_not_its_defaults(written: Importer) -> None:
    module = written(MODULE)
    own = code_identity(module.judge).partition("@")[2]
    assert code_identity(module.Metric()) == f"Metric@{own}"
    assert code_identity(module.Metric(k=2)) == f"Metric(k=2)@{own}"
    assert code_identity(module.Metric(reduce=module.helper)) == f"Metric(reduce=helper@{own})@{own}"
    assert code_identity(PassAtK(1)).startswith("PassAtK@")
    assert code_identity(PassAtK(10)).startswith("PassAtK(k=10)@")
    assert code_identity(Accuracy()).startswith("Accuracy@")


def test_code_without_a_file_has_no_identity() -> None:
    module = ModuleType("evalkit_typed_at_a_prompt")
    sys.modules[module.__name__] = module
    try:
        exec("def judge(): pass", module.__dict__)
        with pytest.raises(UsageError, match="no source file for module 'evalkit_typed_at_a_prompt'"):
            code_identity(module.judge)
    finally:
        del sys.modules[module.__name__]


PARTS: dict[str, Any] = {
    "n": 1319,
    "shots": 8,
    "draws": 32,
    "temperature": 0.7,
    "top_p": 1.0,
    "max_tokens": 1024,
    "stop": ["\nQ:"],
    "api": "chat",
    "solver": "majority_vote@11111111",
    "questions": "0123456789abcdef" * 2,
    "prompts": "fedcba9876543210" * 2,
    "extract": "final_number@22222222",
    "judge": "judge@33333333",
    "metric": "Accuracy@44444444",
}


def test_the_line() -> None:
    signature = Signature(PARTS, {"evalkit": "0.1.0", "model": "a|b"})
    assert signature.line() == (
        "n:1319|shots:8|draws:32|temperature:0.7|max_tokens:1024|stop:\\nQ:|api:chat"
        "|solver:majority_vote@11111111|questions:01234567|prompts:fedcba98|extract:final_number@22222222|judge:judge@33333333"
        f"|metric:Accuracy@44444444|evalkit:0.1.0|model:a/b|sig:{signature.short}"
    )
    assert len(signature.short) == 8


def test_the_line_leaves_out_what_is_usual_but_the_short_form_does_not() -> None:
    usual = Signature({"n": 1, "top_p": 1.0, "stop": []})
    assert usual.line() == f"n:1|sig:{usual.short}"
    assert usual.short != Signature({"n": 1}).short
    assert "top_p:0.9|stop:a,b|" in Signature({"top_p": 0.9, "stop": ["a", "b"]}).line()


def test_every_part_and_no_note_is_in_the_short_form() -> None:
    signature = Signature(PARTS)
    assert Signature(dict(reversed(PARTS.items())), {"model": "other"}).short == signature.short
    changed = [Signature({**PARTS, key: "changed"}).short for key in PARTS]
    assert len({signature.short, *changed}) == len(PARTS) + 1


def test_one_changed_digit_of_the_questions_changes_it() -> None:
    questions = PARTS["questions"]
    for place, digit in itertools.product((0, 15, 31), "07f"):
        other = questions[:place] + digit + questions[place + 1 :]
        same = other == questions
        assert (Signature({**PARTS, "questions": other}).short == Signature(PARTS).short) is same


def test_differences_in_words() -> None:
    one = Signature(PARTS, {"model": "one"})
    two = Signature({**PARTS, "shots": 4, "n": 7, "temperature": 0.0, "stop": [], "questions": "0" * 32})
    assert one.differences(one) == []
    assert one.differences(Signature(PARTS, {"model": "two"})) == []
    assert one.differences(two) == [
        "number of samples: 1319 and 7",
        "shots: 8 and 4",
        "temperature: 0.7 and 0",
        "stop: \\nQ: and none",
        "the questions: 01234567 and 00000000",
    ]
    assert two.differences(one)[1] == "shots: 4 and 8"


def test_a_part_that_one_side_lacks() -> None:
    without = {key: value for key, value in PARTS.items() if key != "judge"}
    assert Signature(PARTS).differences(Signature(without)) == ["judge: judge@33333333 and None"]
