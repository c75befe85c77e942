"""A figure owns its average, and a metric says what it is: from a run file to what people read."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from evalkit.benchmark.task import load_task
from evalkit.compare.paired import pair
from evalkit.compare.policy import Policy, Rule
from evalkit.compare.runs import compare
from evalkit.errors import UsageError
from evalkit.report.comparison import comparison_text, flip_text
from evalkit.report.grids import build_grids
from evalkit.report.table import build_table
from evalkit.runfile.cells import TableCell
from evalkit.runfile.store import Store
from evalkit.stats import macro_interval
from tests.made import sums
from tests.report.pages import made_run, page_of
from tests.report.runs import ran
from tests.report.shown import to_markdown
from tests.report.test_html import block

SAMPLE = """
    number = int(record["q"].split(" + ")[0])
    group, tags = ("small" if number < 40 else "large"), (("low",) if number < 60 else ())
    return Sample(
        id=record["q"], input=record["q"], target=(record["a"],), group=group, tags=tags,
        cluster=f"sum {number % 40}",
    )
"""
METRICS = '''
from dataclasses import dataclass

from evalkit.api import Macro, MeanCredit, averages


@dataclass(frozen=True)
class Bias:
    """How far answers lie from the reference on average; too high is as bad as too low."""

    name: str = "bias"
    unit: str = ""
    variant: str = ""
    higher_is_better: bool = True
    columns: tuple = ("excess", "samples")
    least_draws: int = 1
    best: float = 0.0

    def statistics(self, sample, scored):
        return (float(scored.answer.finals[0].value or 0) - float(sample.target[0]), 1.0)

    def finish(self, totals):
        return totals[..., 0] / totals[..., 1]


@task('''


def made(folder: Path, metrics: str, *, name: str = "averaged.py") -> str:
    """The made sums in two groups of 40 and 160, the same 40 clusters in both, under these metrics."""
    path = Path(sums(folder, 200, name=name))
    text = path.read_text("utf-8")
    start, end = text.index('    group = "even"'), text.index("def prompt")
    text = text[:start] + SAMPLE.lstrip("\n") + "\n\n" + text[end:]
    text = text.replace("(Accuracy(),)", metrics).replace("@task(", METRICS.lstrip("\n"))
    path.write_text(text, encoding="utf-8")
    return f"{path}:sums:once"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as found:
        yield found


def run(
    stack: ExitStack,
    folder: Path,
    metrics: str,
    wrong: Callable[[int], bool],
    model: str = "fake/a",
    says: str = "-1",
) -> Store:
    spec = made(folder, metrics)
    ran(folder, model, wrong, task=spec, says=says).close()
    newest = max(folder.glob("*.db"), key=lambda path: int(path.stem))
    store = Store.open(newest, (Path(spec.partition(":")[0]),))
    stack.callback(store.close)
    return store


def by_name(store: Store) -> dict[str, TableCell]:
    return {cell.metric: cell for cell in build_table([store]).cells}


def few_small(gold: int) -> bool:
    """A quarter of all wrong, of the small group half."""
    return gold % 4 == 0 or (gold < 40 and gold % 2 == 0)


def test_macro_and_micro_stand_side_by_side(tmp_path: Path, stack: ExitStack) -> None:
    found = by_name(run(stack, tmp_path, "averages(Accuracy())", few_small))
    macro, micro = found["accuracy (macro)"], found["accuracy"]
    assert next(iter(found)) == "accuracy (macro)", "the mean over groups is the headline"
    assert micro.value == pytest.approx((micro.groups["small"].value + 4 * micro.groups["large"].value) / 5)
    assert macro.value == pytest.approx((micro.groups["small"].value + micro.groups["large"].value) / 2)
    assert abs((macro.value or 0) - (micro.value or 0)) > 3
    assert (macro.traits.average, micro.traits.average) == ("macro over groups", "")
    assert macro.as_json()["average"] == "macro over groups"
    assert "average:macro over groups" in macro.signature.line()
    assert "average" not in micro.signature.line()
    assert macro.signature.differences(micro.signature)


def test_a_tag_under_a_mean_over_groups_is_the_mean_of_its_groups(tmp_path: Path, stack: ExitStack) -> None:
    """`low` has 40 samples of one group and 20 of the other, and each group counts the same."""
    store = run(stack, tmp_path, "averages(Accuracy())", few_small)
    found = by_name(store)
    data = store.data(store.cells()[0])
    right, low = data.matrix[:, 0], np.array(["low" in tags for tags in data.tags])
    parts = {group: np.flatnonzero(low & (np.array(data.groups) == group)) for group in ("small", "large")}
    assert [len(rows) for rows in parts.values()] == [40, 20]
    macro, micro = (found[name].groups["low"] for name in ("accuracy (macro)", "accuracy"))
    expected = 100 * np.mean([right[rows].mean() for rows in parts.values()])
    assert macro.value == pytest.approx(expected)
    assert micro.value == pytest.approx(100 * right[low].mean())
    assert abs(macro.value - micro.value) > 1
    assert (macro.n, micro.n) == (60, 60)
    matrix = data.matrix[:, :2]
    joint = macro_interval(
        [(matrix[rows], [data.clusters[row] for row in rows]) for rows in parts.values()],
        lambda totals: 100 * totals[..., 0] / totals[..., 1],
    )
    assert (macro.low, macro.high) == pytest.approx(joint)
    for name in ("small", "large"):  # a group's own figure is the same under both
        assert found["accuracy (macro)"].groups[name] == found["accuracy"].groups[name]


def test_two_metrics_of_one_name_are_refused(tmp_path: Path) -> None:
    path = made(tmp_path, "(Accuracy(), MeanCredit('accuracy'))").removesuffix(":once")
    with pytest.raises(UsageError, match="sums: two of its metrics are called 'accuracy'"):
        load_task(path)


def test_the_signature_of_a_mean_has_the_code_of_what_it_is_a_mean_of(
    tmp_path: Path, stack: ExitStack
) -> None:
    """Else a change in the metric's own module would go unseen."""
    store = run(stack, tmp_path, "averages(Accuracy())", few_small)
    macro, micro = (one.identity for one in store.cells()[0].spec.metrics)
    assert micro in macro
    assert micro == "accuracy@1"


@pytest.mark.slow
def test_a_mean_over_groups_is_compared_as_one_with_its_clusters_whole(
    tmp_path: Path, stack: ExitStack
) -> None:
    """The clusters are the same in both groups; what the error would be if they were not is far less."""
    first = run(stack, tmp_path, "averages(Accuracy())", lambda gold: False)
    second = run(stack, tmp_path, "averages(Accuracy())", lambda gold: gold % 40 < 10, model="fake/b")
    cells = first.cells()[0], second.cells()[0]
    macro = pair(first, cells[0], second, cells[1], "accuracy (macro)")
    micro = pair(first, cells[0], second, cells[1], "accuracy")
    assert macro is not None
    assert micro is not None
    table = by_name(second)
    assert macro.difference.head == pytest.approx(table["accuracy (macro)"].value)
    assert micro.difference.head == pytest.approx(table["accuracy"].value)
    assert macro.difference.degrees == 39
    (judged,) = compare(first, second, Policy()).benchmarks
    assert judged.metric == "accuracy (macro)"


# -- what a metric says of itself


def test_a_graded_metric_has_no_correct_share(tmp_path: Path, stack: ExitStack) -> None:
    store = run(stack, tmp_path, "(MeanCredit('ANLS'), Accuracy())", lambda gold: gold % 4 == 0, says="none")
    table = build_table([store])
    graded, exact = table.cells
    assert graded.outcomes == exact.outcomes, "the stored outcomes are the judge's"
    assert (graded.as_json()["outcome"], exact.as_json()["outcome"]) == ("answered", "right or wrong")
    lines = [line for line in to_markdown(table).splitlines() if line.startswith("| sums")]
    assert re.search(r"\| answered \d+ %, unparsable \d+ % \|$", lines[0])
    assert re.search(r"\| correct \d+ %, unparsable \d+ % \|$", lines[1])
    rows = to_markdown(build_grids([store], table)).splitlines()
    assert "answered" in next(row for row in rows if "ANLS" in row)
    assert "correct" not in next(row for row in rows if "ANLS" in row)


@pytest.mark.slow
def test_a_graded_sample_that_changed_is_told_by_its_figure(tmp_path: Path, stack: ExitStack) -> None:
    good = run(stack, tmp_path, "(MeanCredit('ANLS'), Accuracy())", lambda gold: False)
    bad = run(stack, tmp_path, "(MeanCredit('ANLS'), Accuracy())", lambda gold: gold == 4, model="fake/bad")
    (graded,) = compare(good, bad, Policy()).benchmarks
    (flip,) = graded.flips
    assert (flip.outcomes, flip.figures) == (("answered", "answered"), (100, 0))
    assert flip_text(flip) == "2 + 2  worse, 100 % → 0 % (-100): 4 → -1"
    (back,) = compare(bad, good, Policy()).benchmarks[0].flips
    assert flip_text(back) == "2 + 2  better, 0 % → 100 % (+100): -1 → 4"
    cut = dataclasses.replace(flip, outcomes=("answered", "truncated"))
    assert flip_text(cut) == "2 + 2  worse, 100 % → 0 % (truncated) (-100): 4 → -1"
    (by_verdict,) = compare(good, bad, Policy(benchmarks={"sums": Rule(metric="accuracy")})).benchmarks
    assert flip_text(by_verdict.flips[0]) == "2 + 2  correct → wrong (-100): 4 → -1"
    (told,) = json.loads(comparison_text([compare(good, bad, Policy())], "json"))["benchmarks"][0]["flips"]
    assert (told["outcomes"], told["figures"], told["unit"]) == (["answered", "answered"], [100, 0], "%")


@pytest.mark.slow
def test_the_browser_shows_a_graded_samples_figure(tmp_path: Path, stack: ExitStack) -> None:
    spec = "(MeanCredit('ANLS'), Accuracy())"
    paths = [
        run(stack, tmp_path, spec, lambda gold: False).path,
        run(stack, tmp_path, spec, lambda gold: gold == 4, model="fake/bad", says="none").path,
    ]
    page = page_of(*paths, charts=False)
    index = block(page, "index")
    assert set(index["outcomes"]) == {"", "answered", "unparsable"}
    at = index["id"].index("2 + 2")
    assert index["figure"][at] == ["ANLS 100 %", "ANLS 0 %"]
    assert [run["figure"] for run in block(page, "a0")[at]["runs"]] == ["ANLS 100 %", "ANLS 0 %"]
    assert all(run["graded"] for run in block(page, "a0")[at]["runs"])
    plain = block(page_of(made_run(tmp_path, "plain", "-1")), "index")
    assert set(plain["outcomes"]) == {"", "correct", "wrong"}
    assert plain["figure"][at] == [""]


@pytest.mark.slow
def test_a_metric_whose_best_is_zero_has_no_arrow_and_is_judged_by_its_distance(
    tmp_path: Path, stack: ExitStack
) -> None:
    """Answers 900 too low are no better than right ones for being less, nor 900 too high for being more."""
    good = run(stack, tmp_path, "(Bias(),)", lambda gold: False)
    low = run(stack, tmp_path, "(Bias(),)", lambda gold: gold % 2 == 0, model="fake/low", says="-900")
    high = run(stack, tmp_path, "(Bias(),)", lambda gold: gold % 2 == 0, model="fake/high", says="900")
    table = build_table([good, low, high])
    values = [cell.value or 0.0 for cell in table.cells]
    assert values[0] == 0
    assert values[1] < -100 < 100 < values[2]
    for text in (to_markdown(table), to_markdown(build_grids([good, low, high], table))):
        assert "bias" in text
        assert not re.search("bias[^|]*[↑↓]", text)
    for store in (good, low, high):
        store.task_files = (tmp_path / "averaged.py",)  # its metric is the file's own
    (grid,) = build_grids([good, low, high], table)
    assert [cell.best for cell in grid.rows[0].cells] == [True, False, False]
    for other in (low, high):
        (judged,) = compare(good, other, Policy()).benchmarks
        assert (judged.verdict, judged.metric) == ("worse", "bias, distance from 0")
        (back,) = compare(other, good, Policy()).benchmarks
        assert back.verdict == "better"
