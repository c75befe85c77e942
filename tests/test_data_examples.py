"""The examples of data that is grouped, generated, video, or two runs: their figures, worked out by hand."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from evalkit.benchmark.task import load_task
from evalkit.engine.plan import make_plan
from evalkit.models.base import Request
from evalkit.models.fake import FakeModel, Script
from evalkit.report.table import build_table
from evalkit.runfile.cells import TableCell
from evalkit.runfile.store import Store
from evalkit.samples import Image
from evalkit.session import execute_plan
from tests.made import sums

EXAMPLES = Path(__file__).parent.parent / "examples" / "tasks"


def run(
    script: Script, task: Path | str, path: Path, limit: int | None = None, **settings: str
) -> Sequence[TableCell]:
    plan = make_plan(FakeModel(script), [str(task)], limit=limit, settings=settings)
    asyncio.run(execute_plan(plan, path))
    with Store.open(path, (Path(task),)) as store:
        return build_table([store]).cells


def asked(request: Request) -> str:
    assert isinstance(request.prompt, tuple)
    return request.prompt[0].text


def test_passages_show_the_earlier_questions_of_their_own(tmp_path: Path) -> None:
    """A model that goes by the number of answers before it: right on the mill, wrong on the boat."""
    prompts: list[str] = []

    def counting(request: Request, draw: int) -> str:
        prompts.append(asked(request))
        return ("three", "two", "one")[asked(request).count("\nA: ")]

    (cell,) = run(counting, EXAMPLES / "passages.py", tmp_path / "r.db")
    assert (cell.value, cell.n) == (60.0, 5)
    assert [prompt.count("Q: ") for prompt in prompts] == [1, 2, 3, 1, 2]
    assert prompts[2].endswith(
        "Q: How many wheels did the mill have?\nA: three\nQ: How many of these turned in spring?\nA: two\n"
        "Q: And how many stood still then?\nA:"
    )


@pytest.mark.slow
def test_a_needle_is_found_as_far_as_a_model_reads(tmp_path: Path) -> None:
    """A model that reads 10,000 characters: 2,000 of the short texts, 20,000 and 80,000 of the others."""

    def near(request: Request, draw: int) -> str:
        read = asked(request)[:10_000].partition("number is ")[2]
        return read[:6] or "none"

    macro, micro = run(near, EXAMPLES / "needle.py", tmp_path / "r.db")
    records = list(load_task(str(EXAMPLES / "needle.py")).data.open())
    found = [record["text"].find(record["number"]) < 10_000 for record in records]
    assert sum(found[:20]) == 20
    assert 8 <= sum(found[20:40]) <= 12
    assert 2 <= sum(found[40:]) <= 4
    assert macro.value == pytest.approx(100 * sum(found) / 60)
    assert [(name, group.n) for name, group in macro.groups.items() if name.isdigit()] == [
        ("100", 20), ("1000", 20), ("4000", 20),
    ]  # fmt: skip
    assert micro.n == 60


def test_another_seed_makes_other_needles_and_a_limit_is_of_each_length(tmp_path: Path) -> None:
    def shown(name: str, seed: str) -> list[str]:
        seen: list[str] = []

        def note(request: Request, draw: int) -> str:
            seen.append(asked(request))
            return "1"

        (macro, _) = run(note, EXAMPLES / "needle.py", tmp_path / name, limit=2, seed=seed)
        assert macro.n == 6
        return sorted(seen, key=len)

    first, again, other = shown("a.db", "0"), shown("b.db", "00"), shown("c.db", "1")
    assert first == again
    assert not {*first} & {*other}
    assert [round(len(text), -3) // 1000 for text in first] == [2, 2, 18, 18, 72, 72]


def by_colour(request: Request, draw: int) -> str:
    """The colour of each frame, and of those that follow each other one."""
    means = []
    for file in request.media:
        assert isinstance(file, Image)
        with Pillow.open(BytesIO(file.data)) as picture:
            means.append(int(np.asarray(picture.convert("RGB")).mean((0, 1)).argmax()))
    return ", ".join(("red", "green", "blue")[mean] for mean, _ in itertools.groupby(means))


@pytest.mark.slow
def test_a_video_is_seen_in_its_frames(tmp_path: Path) -> None:
    (cell,) = run(by_colour, EXAMPLES / "colours.py", tmp_path / "r.db")
    assert (cell.value, cell.n) == (100.0, 3)
    assert cell.signature.parts["frames"] == 16
    (cell,) = run(by_colour, EXAMPLES / "colours.py", tmp_path / "one.db", frames="1")
    assert round(cell.value or 0, 1) == 33.3, "the middle frames: green, green and blue"


@pytest.mark.slow
def test_two_runs_are_compared_by_a_model(tmp_path: Path) -> None:
    """It prefers the answer with a number, and else the first: the second run has none of the odd sums."""
    task = sums(tmp_path, count=40)

    def right(request: Request, draw: int) -> str:
        a, b = asked(request).removeprefix("What is ").split(" + ")
        return str(int(a) + int(b))

    def silent(request: Request, draw: int) -> str:
        said = right(request, draw)
        return said if int(said) % 2 == 0 else "no idea"

    run(right, task, tmp_path / "base.db")
    run(silent, task, tmp_path / "head.db")

    def prefer(request: Request, draw: int) -> str:
        _, first, second = (part.partition("\n")[0] for part in asked(request).split("nswer: "))
        return "second" if "no idea" in first and "no idea" not in second else "first"

    base, head = str(tmp_path / "base.db"), str(tmp_path / "head.db")
    (cell,) = run(prefer, EXAMPLES / "preference.py", tmp_path / "r.db", base=base, head=head)
    names = [f"{i} + {i % 7}" for i in range(40) if (i + i % 7) % 2 == 0]
    preferred = [name for name in names if hashlib.sha256(name.encode()).digest()[0] % 2]
    assert cell.n == 40
    assert cell.value == pytest.approx(100 * len(preferred) / 40)
    assert 0 < len(preferred) < len(names)
