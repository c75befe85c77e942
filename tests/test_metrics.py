"""Metrics that are more than a mean of right ones, on the benchmark that `docs/metrics.md` shows."""

from __future__ import annotations

import asyncio
import json
import math
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import pytest

import evalkit
from evalkit.api import Macro, MeanValue, Scored
from evalkit.benchmark.task import Verdict, load_task
from evalkit.compare.paired import pair
from evalkit.compare.runs import compare
from evalkit.engine.check import check
from evalkit.engine.client import Stopped
from evalkit.engine.rescore import rescore
from evalkit.engine.score import score
from evalkit.errors import ProviderError, ScorerError, UsageError
from evalkit.metrics.base import MACRO, traits_of
from evalkit.models.base import Request
from evalkit.models.fake import FakeModel
from evalkit.report.export import to_jsonl
from evalkit.report.table import build_table
from evalkit.runfile import measured
from evalkit.runfile.cells import TableCell
from evalkit.runfile.records import natural
from evalkit.runfile.scored import scored_of
from evalkit.runfile.store import Store
from evalkit.samples import Answer, Final, Sample

PAGE = Path(__file__).parent.parent / "docs" / "metrics.md"
SAID = {
    "Name the largest ocean": "the Pacific ocean",
    "Name two primary colours": "red, blue",
    "Say hello": "hello there you",
    "Name the smallest prime": "two",
    "Name a planet with rings": "",
}
RULES = {
    "Name the largest ocean": 1,
    "Name two primary colours": 2,
    "Say hello": 0,
    "Name the smallest prime": 2,
    "Name a planet with rings": 1,
}
REFERENCES = {
    "Name the largest ocean": "the pacific ocean",
    "Name two primary colours": "red and blue",
    "Say hello": "hello",
    "Name the smallest prime": "the smallest prime is two",
    "Name a planet with rings": "saturn",
}
FOLLOWED = {"Name the largest ocean": 0, "Name two primary colours": 1, "Name the smallest prime": 2}
SCORES = (5 * 2 / 3, 5 * 1 / 3, 5.0, 5 * 1 / 5, 0.0)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as found:
        yield found


def replies(folder: Path, *changes: tuple[str, str]) -> Path:
    """The page's benchmark, its metrics measuring groups of long and short questions too."""
    found = re.search(r"```python file=replies.py\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert found is not None
    text = found[1]
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    folder.mkdir(exist_ok=True)
    path = folder / "replies.py"
    path.write_text(text, "utf-8")
    return path


GROUPED = (
    "meta=meta)\n",
    'meta=meta, group="16384" if "Name t" in record["ask"] else "4096", tags=("t10", "t9"))\n',
)


def model(said: Mapping[str, str] = SAID, failing: str = "-", *, fatal: bool = False) -> FakeModel:
    def script(request: Request, draw: int) -> str:
        assert isinstance(request.prompt, tuple)
        question = request.prompt[0].text.partition(",")[0]
        if failing in question:
            raise ProviderError("gone", retryable=False, fatal=fatal)
        return said[question]

    return FakeModel(script)


def ran(stack: ExitStack, task: Path, output: Path, which: FakeModel | None = None, **given: object) -> Store:
    evalkit.run(which or model(), str(task), output=output, **given)  # type: ignore[arg-type]
    return stack.enter_context(Store.open(output, (task,)))


def by_name(store: Store) -> dict[str, TableCell]:
    return {cell.metric: cell for cell in build_table([store]).cells}


def rare(asked: list[str], of: list[str]) -> float:
    """Mean over `asked`, with the document frequencies of the references `of`."""
    frequency = {
        word: sum(word in REFERENCES[one].split() for one in of)
        for one in of
        for word in REFERENCES[one].split()
    }
    weight = {word: math.log(1 + len(of) / among) for word, among in frequency.items()}
    found = []
    for one in asked:
        wanted = REFERENCES[one].split()
        there = [word for word in wanted if word in SAID[one].split()]
        found.append(sum(weight[word] for word in there) / sum(weight[word] for word in wanted))
    return 100 * sum(found) / len(found)


def test_the_figures_are_those_computed_by_hand(tmp_path: Path, stack: ExitStack) -> None:
    store = ran(stack, replies(tmp_path), tmp_path / "r.db")
    found = by_name(store)
    assert found["score"].value == pytest.approx(sum(SCORES) / 5)
    assert (found["score"].n, found["score"].unit) == (5, "points")
    assert found["instructions followed"].value == pytest.approx(100 * 3 / 6)
    assert (found["instructions followed"].n, found["instructions followed"].counted) == (6, "instructions")
    assert found["rare words"].value == pytest.approx(rare(list(SAID), list(SAID)))
    assert found["median length"].value == median(len(text.split()) for text in SAID.values()) == 2
    # Of four that were asked for lower case two had it; and so had the one that was not asked.
    both, said, asked, neither = 2, 1, 2, 0
    under = (both + said) * (both + asked) * (neither + said) * (neither + asked)
    assert found["MCC"].value == pytest.approx((both * neither - said * asked) / math.sqrt(under))
    for cell in found.values():
        assert cell.low is None or cell.low <= (cell.value or 0) <= (cell.high or 0)
        assert cell.as_json()["counted"] == cell.counted


def test_values_are_stored_exported_and_measured_again(tmp_path: Path, stack: ExitStack) -> None:
    task = replies(tmp_path)
    store = ran(stack, task, tmp_path / "r.db")
    answers = dict(store.answers(store.cells()[0]))
    assert answers["Name two primary colours"]["finals"][0]["values"] == {"followed": 1, "score": SCORES[1]}
    assert "values" not in answers["Name a planet with rings"]["finals"][0], "there was no answer to judge"
    exported = [json.loads(line) for line in to_jsonl([store]).splitlines()]
    assert exported[0]["finals"][0]["values"]["score"] == SCORES[0]
    (cell,) = rescore(tmp_path / "r.db", tmp_path / "new.db", task_files=(task,))
    assert cell.changed == ()
    again = stack.enter_context(Store.open(tmp_path / "new.db", (task,)))
    assert again.figures(again.cells()[0]) == store.figures(store.cells()[0])
    assert np.array_equal(again.data(again.cells()[0]).matrix, store.data(store.cells()[0]).matrix)


def test_what_a_run_file_holds_is_what_was_scored(tmp_path: Path) -> None:
    task = load_task(str(replies(tmp_path)))
    sample = Sample("a", "a", ("two words",), meta={"rules": ["without commas"]})
    answer = Answer((Final("two"), Final(None, truncated=True)), {"a": 1}, {"branch": (Final("words"),)})
    found = asyncio.run(score(task, task.metrics[:1], sample, answer))
    assert scored_of(json.loads(json.dumps(found.as_json()))) == found.scored
    assert found.scored.values == {
        "": ({"followed": 1.0, "score": 2.5}, None),
        "branch": ({"followed": 1.0, "score": 2.5},),
    }


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"a": math.nan}, "'a' must be a finite number, not nan"),
        ({"a": -math.inf}, "a finite number"),
        ({"a": "3"}, "'a' must be a finite number, not '3'"),
        ({3: 1.0}, "must be text, not 3"),
        ([1.0], "values must be a mapping of names to numbers, not list"),
        ({"a": None}, "scorer: TypeError"),
    ],
)
def test_values_are_finite_numbers_by_name(tmp_path: Path, values: object, words: str) -> None:
    task = load_task(str(replies(tmp_path)))
    judged = replace(task, scorer=lambda answer, sample: Verdict(True, values=values))  # type: ignore[arg-type]
    sample = Sample("a", "a", ("a",), meta={"rules": []})
    with pytest.raises(ScorerError, match=re.escape(words)):
        asyncio.run(score(judged, (), sample, Answer((Final("a"),))))
    half: float = np.float32(-0.5)  # type: ignore[assignment]
    numpy = replace(task, scorer=lambda answer, sample: Verdict(True, values={"a": half}))
    found = asyncio.run(score(numpy, (), sample, Answer((Final("a"),))))
    assert type(found.headline.verdicts[0].values["a"]) is float


def test_a_mean_value_says_what_it_lacks_and_what_was_not_answered() -> None:
    sample = Sample("a", "a", ("a",))
    scored = Scored(Answer((Final("a"),)), (True,), values={"": ({"x": -2.0}, None), "none": (None,)})
    assert MeanValue("x").statistics(sample, scored) == (-1.0, 1.0)
    assert MeanValue("x", unanswered=1.0).statistics(sample, scored) == (-0.5, 1.0)
    assert MeanValue("x", unanswered=None).statistics(sample, scored) == (-2.0, 1.0)
    assert MeanValue("x", unanswered=None, variant="none").statistics(sample, scored) == (0.0, 0.0)
    assert MeanValue("x", variant="strict").name == "x (strict)"
    with pytest.raises(ScorerError, match=r"no value 'y' among \['x'\]"):
        MeanValue("y").statistics(sample, scored)


@pytest.mark.slow
def test_what_is_outside_is_no_part_of_n_or_a_comparison(tmp_path: Path, stack: ExitStack) -> None:
    task = replies(tmp_path, ('MeanValue("score", unit="points")', 'MeanValue("score", unanswered=None)'))
    better = {**SAID, "Name two primary colours": "red and blue"}
    first = ran(stack, task, tmp_path / "a.db")
    second = ran(stack, task, tmp_path / "b.db", model(better))
    found = by_name(first)
    assert found["score"].n == 4
    assert found["score"].value == pytest.approx(sum(SCORES) / 4)
    cells = first.cells()[0], second.cells()[0]
    for name, n, gain in (
        ("score", 4, 5 * 2 / 3),
        ("instructions followed", 4, 50.0),
        ("median length", 5, -1.0),
    ):
        paired = pair(first, cells[0], second, cells[1], name)
        assert paired is not None
        assert (paired.n, paired.scored, paired.wins + paired.losses) == (n, 5, 1), name
        assert paired.flips[0][1] == pytest.approx(gain), name
    assert compare(first, second).notes == ()


@pytest.mark.slow
def test_groups_have_an_n_of_their_own_and_stand_in_natural_order(tmp_path: Path, stack: ExitStack) -> None:
    metrics = (
        'metrics=(MeanValue("score", unit="points"), Followed(), RareWords(), MedianLength(), Matthews())'
    )
    inner = metrics[len("metrics=(") : -1]
    task = replies(
        tmp_path,
        GROUPED,
        (metrics, f"metrics=averages({inner})"),
        ("    Counted,\n", "    Counted,\n    averages,\n"),
    )
    store = ran(stack, task, tmp_path / "r.db")
    found = by_name(store)
    large = [one for one in SAID if "Name t" in one]
    small = [one for one in SAID if one not in large]
    followed = found["instructions followed"]
    assert list(followed.groups) == ["4096", "16384", "t9", "t10"]
    assert list(followed.as_json()["groups"]) == ["4096", "16384", "t9", "t10"]  # type: ignore[arg-type]
    assert {name: group.n for name, group in followed.groups.items()} == {
        "4096": 1,
        "16384": 5,
        "t9": 6,
        "t10": 6,
    }
    parts = {
        group: [100 * sum(FOLLOWED.get(one, 0) for one in of) / sum(RULES[one] for one in of)]
        for group, of in (("4096", small), ("16384", large))
    }
    macro = found["instructions followed (macro)"]
    assert macro.value == pytest.approx(sum(value for (value,) in parts.values()) / 2)
    assert macro.n == 6
    lengths = [[len(SAID[one].split()) for one in of] for of in (small, large)]
    middle = median(lengths[0]), median(lengths[1])
    assert found["median length (macro)"].value == pytest.approx(sum(middle) / 2)
    everywhere = list(SAID)
    words = found["rare words (macro)"]
    assert words.value == pytest.approx((rare(small, everywhere) + rare(large, everywhere)) / 2)
    assert found["score (macro)"].value == pytest.approx(
        sum(np.mean([s for s, one in zip(SCORES, SAID, strict=True) if one in of]) for of in (small, large))
        / 2
    )


@pytest.mark.slow
def test_a_corpus_is_of_the_samples_that_were_scored(tmp_path: Path, stack: ExitStack) -> None:
    task = replies(tmp_path)
    part = ran(stack, task, tmp_path / "part.db", limit=2)
    first = list(SAID)[:2]
    assert by_name(part)["rare words"].value == pytest.approx(rare(first, first))
    broken = ran(stack, task, tmp_path / "r.db", model(failing="ocean"))
    rest = list(SAID)[1:]
    before = by_name(broken)["rare words"]
    assert before.value == pytest.approx(rare(rest, rest))
    whole = ran(stack, task, tmp_path / "whole.db")
    after = by_name(whole)["rare words"]
    assert any("all of which the metric uses" in words for words in before.differences(after))
    assert not by_name(broken)["score"].differences(by_name(whole)["score"])
    fixed = ran(stack, task, tmp_path / "r.db")
    again = by_name(fixed)["rare words"]
    assert again.value == after.value == pytest.approx(rare(list(SAID), list(SAID)))
    assert not again.differences(after)
    assert compare(whole, fixed).exit_code == 0


@pytest.mark.slow
def test_other_corpora_are_not_compared(tmp_path: Path, stack: ExitStack) -> None:
    task = replies(
        tmp_path, ('MeanValue("score", unit="points"), Followed(), RareWords(), ', "RareWords(), ")
    )
    part = ran(stack, task, tmp_path / "part.db", limit=3)
    whole = ran(stack, task, tmp_path / "whole.db")
    (found,) = compare(whole, part).unmeasured
    assert found.status == "not asked alike"
    assert "the scored samples, all of which the metric uses" in found.problems[0].words


def test_an_unfinished_run_has_no_figure_of_its_corpus(tmp_path: Path, stack: ExitStack) -> None:
    """The statistics of all samples are taken at the end, or not at all."""
    task = replies(tmp_path)
    with pytest.raises(Stopped):
        ran(stack, task, tmp_path / "r.db", model(failing="planet", fatal=True), concurrency=1)
    with Store.open(tmp_path / "r.db", (task,)) as unfinished:
        (cell,) = unfinished.cells()
        found = by_name(unfinished)
        assert cell.finished is None
        assert sum(found["score"].outcomes.values()) >= 3
        assert found["rare words"].value is None
        assert found["rare words"].groups == {}
        assert found["score"].value is not None
        with pytest.raises(UsageError, match="is not finished, and rare words needs all samples"):
            pair(unfinished, cell, unfinished, cell, "rare words")
    whole = ran(stack, task, tmp_path / "r.db", concurrency=1)
    assert by_name(whole)["rare words"].value == pytest.approx(rare(list(SAID), list(SAID)))


def test_who_has_the_run_files_alone_compares_ratios(tmp_path: Path, stack: ExitStack) -> None:
    task = replies(tmp_path)
    for name, said in (("a.db", SAID), ("b.db", {**SAID, "Name a planet with rings": "saturn"})):
        ran(stack, task, tmp_path / name, model(said))
    first, second = (stack.enter_context(Store.open(tmp_path / name)) for name in ("a.db", "b.db"))
    for name, n, gain in (("instructions followed", 4, 100 / 6), ("rare words", 5, 20.0), ("score", 5, 1.0)):
        found = pair(first, first.cells()[0], second, second.cells()[0], name)
        assert found is not None
        assert (found.n, found.wins, found.losses) == (n, 1, 0)
        assert found.difference.value == pytest.approx(gain)
    with pytest.raises(UsageError, match="median length was measured by code that is not part of evalkit"):
        pair(first, first.cells()[0], second, second.cells()[0], "median length")


def test_a_metric_that_fails_at_the_end_loses_nothing(tmp_path: Path, stack: ExitStack) -> None:
    """The first samples' statistics were taken when the last one's fail: none of them stays in the file."""
    said = "        said = set((scored.answer.finals[0]"
    task = replies(tmp_path, (said, f"        1 / (sample.input != 'Name a planet with rings')\n{said}"))
    with pytest.raises(UsageError, match=r"rare words: ZeroDivisionError.*Name a planet.*evalkit rescore"):
        ran(stack, task, tmp_path / "r.db")
    with Store.open(tmp_path / "r.db", (task,)) as store:
        data = store.data(store.cells()[0])
        assert np.isnan(data.matrix[:, 4:6]).all()
        assert not np.isnan(data.matrix[:, [0, 1, 2, 3, 6]]).any()
    replies(tmp_path)
    sys_forget(task)
    list(rescore(tmp_path / "r.db", tmp_path / "new.db", task_files=(task,)))
    fixed = stack.enter_context(Store.open(tmp_path / "new.db", (task,)))
    assert by_name(fixed)["rare words"].value == pytest.approx(rare(list(SAID), list(SAID)))


def sys_forget(task: Path) -> None:
    """A file that changed is another program's next time, and here this one's."""
    for name in [name for name in sys.modules if name.startswith("evalkit_user_replies")]:
        del sys.modules[name]
    measured._loaded.cache_clear()


def test_check_measures_with_the_corpus_of_what_it_checks(tmp_path: Path) -> None:
    (found,) = check(str(replies(tmp_path)))
    assert found.passed, found.problems
    assert found.gold == 5.0
    assert found.others["rare words"] == pytest.approx(100.0)
    assert found.others["median length"] == 3.0
    assert found.units["median length"] == "words"


def test_names_are_sorted_as_people_sort_them() -> None:
    names = ["16384", "part 10", "4096", "Part 2", "b", "a10b", "a9b", "", "9" * 40, "alpha", "A"]
    assert sorted(names, key=natural) == [
        "",
        "4096",
        "16384",
        "9" * 40,
        "A",
        "a9b",
        "a10b",
        "alpha",
        "b",
        "Part 2",
        "part 10",
    ]
    names.reverse()
    assert sorted(names, key=natural)[:4] == ["", "4096", "16384", "9" * 40]
    assert len({natural(name) for name in names}) == len(names)


def test_a_macro_says_what_its_inner_metric_says() -> None:
    found = traits_of(Macro(MeanValue("x", best=3.0)))
    assert (found.best, found.any_range, found.denominator, found.average) == (3.0, True, "samples", MACRO)
