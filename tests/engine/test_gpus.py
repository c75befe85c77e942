"""The share of the time in which GPUs compute, in the line of progress."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from evalkit.engine.gpus import Gpus
from evalkit.engine.progress import PlainProgress
from evalkit.models.fake import GOLD
from tests.engine.test_limit import ran
from tests.made import sums

ROOT = Path(__file__).parents[2]


class Model:
    gpus: tuple[int, ...] = (0,)


@pytest.fixture(autouse=True)
def _torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", ModuleType("torch"))


def seen(gpus: Gpus) -> str:
    """What is told after one more look."""
    gpus.look()
    if gpus._looking is not None:
        gpus._looking.join()
    return gpus.told()


def test_it_looks_in_a_thread_and_at_most_once_in_a_while() -> None:
    looks: list[str] = []

    def busy(gpu: int) -> int:
        looks.append(threading.current_thread().name)
        return 97

    gpus = Gpus(Model(), busy, every=1e6)
    assert gpus.told() == ""
    assert [seen(gpus) for _ in range(3)] == ["GPU 97 %"] * 3
    assert looks == ["gpus"]
    often = Gpus(Model(), busy, every=0)
    assert [seen(often) for _ in range(3)] == ["GPU 97 %"] * 3
    assert looks == ["gpus"] * 4


def test_several_gpus_are_told_by_the_least_and_the_most_busy() -> None:
    model = Model()
    model.gpus = (0, 1, 2)
    shares = {0: 95, 1: 91, 2: 98}
    assert seen(Gpus(model, shares.__getitem__)) == "GPUs 91–98 %"
    assert seen(Gpus(model, lambda gpu: 100)) == "GPUs 100 %"


def test_nothing_is_told_where_nothing_can_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []

    def busy(gpu: int) -> int:
        looks.append(gpu)
        raise ModuleNotFoundError("nvidia-ml-py does not seem to be installed")

    blind = Gpus(Model(), busy, every=0)
    assert [seen(blind) for _ in range(3)] == ["", "", ""]
    assert looks == [0]
    assert seen(Gpus(object(), busy, every=0)) == ""  # a model elsewhere
    later = Model()
    later.gpus = ()
    gpus = Gpus(later, lambda gpu: 50, every=0)
    assert seen(gpus) == ""  # it is not loaded yet
    later.gpus = (0,)
    assert seen(gpus) == "GPU 50 %"
    monkeypatch.delitem(sys.modules, "torch")
    assert seen(Gpus(Model(), busy, every=0)) == ""
    assert looks == [0]


def test_the_line_of_progress_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Seen(Gpus):
        def _look(self, gpus: Any) -> None:
            raise AssertionError("a model elsewhere has no GPU to look at")

        def told(self) -> str:
            return "GPU 88 %"

    monkeypatch.setattr("evalkit.engine.progress.Gpus", Seen)
    said = io.StringIO()
    with ran(sums(tmp_path), tmp_path, tmp_path / "r.db", 3, GOLD, progress=PlainProgress(said)):
        pass
    assert said.getvalue().endswith(" · accuracy 100.0 · correct 3 · GPU 88 %\n")


@pytest.mark.slow  # PyTorch takes seconds to import
@pytest.mark.parametrize(("visible", "told"), [("", "GPU 90 %"), ("2,1", "GPU 92 %"), ("7", "")])
def test_pytorch_asks_nvml_by_the_number_that_cuda_gives_a_gpu(visible: str, told: str) -> None:
    code = """
import torch
from evalkit.engine.gpus import Gpus
from tests.engine.test_gpus import Model, seen
print(seen(Gpus(Model())))
"""
    given: dict[str, Any] = {**os.environ, "PYTHONPATH": str(ROOT / "tests" / "stand_ins")}
    if visible:
        given["CUDA_VISIBLE_DEVICES"] = visible
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=given, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{told}\n"
