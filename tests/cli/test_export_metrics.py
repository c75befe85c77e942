"""`evalkit export-metrics`: `evaluate` loads the modules from their folders and computes evalkit's scores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalkit.evaluate_modules import NAMES, used, write
from evalkit.metrics.base import Scored
from evalkit.metrics.error_rate import ErrorRate
from evalkit.samples import Answer, Final, Sample
from evalkit.scoring.anls import anls, anls_by_the_paper
from evalkit.scoring.vqa import vqa_accuracy
from tests.cli.conftest import Cli

HEARD = ["Mr. Grey's colour, 21 o'clock!", "", "uh the the cat", "naïve café"]
SPOKEN = ["mister greys color twenty one oclock", "nothing heard", "the cat", "naive cafe"]
THAI = ["สวัสดีครับ", "สวัสดีค่ะ"]
PEOPLE = [["red"] * 7 + ["dark red", "Red", "rouge"], ["2", "two", "3", "2", "2", "2", "2", "2", "2", "2"]]
GIVEN = ["Red.", "two"]
CALLS: dict[str, dict[str, Any]] = {
    "wer": {"predictions": HEARD, "references": SPOKEN},
    "anls": {"predictions": ["Total: 12", ""], "references": [["total 12", "12"], ["none"]]},
    "vqa_accuracy": {"predictions": GIVEN, "references": PEOPLE},
    "relaxed_accuracy": {
        "predictions": ["10.4", "11", "17% ", "Spain"],
        "references": ["10", "10", "0.17", "spain"],
    },
    "math_equality": {
        "predictions": [r"So \boxed{\frac12}.", r"\boxed{0.5}", "no box", r"\boxed{x+1}"],
        "references": [r"\frac{1}{2}", r"\frac{1}{2}", "3", "x-1"],
        "boxed": True,
    },
    "pass_at_k": {
        "predictions": [
            ["def add(a, b): return a + b", "def add(a, b): return a - b", "import os\nos._exit(0)"],
            ["class Box:\n    def __init__(self, n): self.n = n", "Box = lambda n: None", "def Box("],
        ],
        "references": ["assert add(2, 3) == 5", "box = Box(4)\nassert box.n == 4"],
        "k": [1, 3, 10],
        "classes": ["Box"],
    },
}  # fmt: skip
SCRIPT = """
import json, sys
import evaluate
folder, calls = sys.argv[1], json.loads(sys.argv[2])
print(json.dumps({name: evaluate.load(f"{folder}/{name}").compute(**given) for name, given in calls.items()}))
"""


@pytest.mark.slow
def test_evaluate_loads_every_module_and_computes_the_scores_of_the_benchmarks(tmp_path: Path) -> None:
    write(tmp_path / "metrics")
    assert set(CALLS) == set(NAMES)
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "HF_MODULES_CACHE": str(tmp_path / "modules")}
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, tmp_path / "metrics", json.dumps(CALLS)],
        env=os.environ | offline, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    found: dict[str, dict[str, Any]] = json.loads(ran.stdout.splitlines()[-1])

    metric = ErrorRate()
    samples = [Sample(str(at), "", (text,), meta={"language": "en"}) for at, text in enumerate(SPOKEN)]
    counts = [
        metric.statistics(sample, Scored(Answer((Final(heard),)), (False,)))
        for sample, heard in zip(samples, HEARD, strict=True)
    ]
    assert 100 * found["wer"]["wer"] == pytest.approx(float(metric.finish(np.sum(counts, axis=0))))
    assert found["wer"]["insertions"] == sum(count[2] for count in counts) > 0

    pairs = list(zip(CALLS["anls"]["predictions"], CALLS["anls"]["references"], strict=True))
    assert found["anls"]["scores"] == [anls(given, list(right)) for given, right in pairs]
    assert found["anls"]["anls_paper"] == sum(anls_by_the_paper(one, list(other)) for one, other in pairs) / 2
    assert found["vqa_accuracy"]["scores"] == [
        vqa_accuracy(one, other) for one, other in zip(GIVEN, PEOPLE, strict=True)
    ]
    assert found["relaxed_accuracy"] == {"relaxed_accuracy": 0.75, "correct": [True, False, True, True]}
    assert found["math_equality"]["correct"] == [True, True, False, False]
    assert found["math_equality"]["reasons"][2] == "nothing boxed"
    assert found["pass_at_k"]["correct"] == [[True, False, False], [True, False, False]]
    assert found["pass_at_k"]["pass@1"] == pytest.approx(1 / 3)
    assert found["pass_at_k"]["pass@3"] == 1.0
    assert "pass@10" not in found["pass_at_k"]


def test_the_command_says_what_it_wrote_and_replaces_only_its_own_files(cli: Cli, tmp_path: Path) -> None:
    ran = cli("export-metrics", tmp_path / "metrics")
    assert (ran.code, ran.out.split()) == (0, [str(tmp_path / "metrics" / name) for name in NAMES])
    assert cli("export-metrics", tmp_path / "metrics").code == 0

    mine = tmp_path / "metrics" / "wer" / "wer.py"
    mine.write_text("print('mine')")
    (tmp_path / "metrics" / "anls" / "anls.py").unlink()
    ran = cli("export-metrics", tmp_path / "metrics")
    assert ran.code == 2
    assert f"{mine} is there and is not a metric that evalkit wrote" in ran.err
    assert mine.read_text() == "print('mine')"
    assert not (tmp_path / "metrics" / "anls" / "anls.py").exists()

    (tmp_path / "file").write_text("")
    assert cli("export-metrics", tmp_path / "file").code == 2


@pytest.mark.parametrize(
    ("tests", "names"),
    [
        ("assert add(2, 3) == 5", ["add"]),
        ("def check(f):\n    assert f(1) == sorted([1])\ncheck(order)", ["order"]),
        ("import math\nfrom re import sub as s\nassert area(math.pi) == s('a', name(2))", ["area", "name"]),
        ("def f():\n    global x\n    x = [g(y) for y in 'a']\n    return x\nclass C: 0\nf(), x, C", ["g"]),
        ("for n in range(3):\n    try:\n        f(n)\n    except ValueError as e:\n        print(e)", ["f"]),
        ("", []),
    ],
)  # fmt: skip
def test_a_program_is_called_by_the_names_that_its_tests_do_not_define(tests: str, names: list[str]) -> None:
    assert used(tests) == tuple(sorted(names))


def test_tests_that_are_no_python_are_named() -> None:
    with pytest.raises(ValueError, match="the tests 'assert \\(' are not Python"):
        used("assert (")
