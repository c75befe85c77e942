"""`HubMetric`: what its modules take and return, without loading `evaluate`; `tests/cli` has whole runs."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalkit.api import HubMetric, Sample
from evalkit.errors import ScorerError, UsageError
from evalkit.identity.declared import code_identity
from evalkit.metrics import hub, hub_results
from evalkit.metrics.base import NotDrawn, Scored
from evalkit.metrics.hub_code import said
from evalkit.metrics.hub_inputs import chosen, items_of
from evalkit.metrics.macro import Macro
from evalkit.metrics.stored import metric_spec, stored_metric
from evalkit.runfile.figures import figures
from evalkit.runfile.records import CellData
from evalkit.samples import Answer, Final
from evalkit.stats.aggregates import aggregate_of
from tests.hub_modules import LETTERS, write


@dataclass(frozen=True)
class Value:
    """What `datasets.Value` shows of itself."""

    dtype: str


@dataclass(frozen=True)
class Several:
    """What `datasets.Sequence` and `datasets.List` show of themselves."""

    feature: Any


@dataclass(frozen=True)
class Labels:
    """What `datasets.ClassLabel` shows of itself."""

    names: Sequence[str]
    dtype: str = "int64"


TEXT, WHOLE, REAL, TRUTH = Value("string"), Value("int32"), Value("float64"), Value("bool")
ONE = Sample("s", "q", ("7",))
TWO = Sample("s", "q", ("7", "8"))


def pair(prediction: Any, reference: Any) -> dict[str, Any]:
    return {"predictions": prediction, "references": reference}


def test_answers_and_references_become_what_the_features_say() -> None:
    cases: list[tuple[Any, list[str], Sample, list[dict[str, Any]]]] = [
        (pair(TEXT, TEXT), ["a"], ONE, [pair("a", "7")]),
        (pair(TEXT, Several(TEXT)), ["a"], TWO, [pair("a", ["7", "8"])]),
        (pair(TEXT, [TEXT]), ["a"], ONE, [pair("a", ["7"])]),
        (pair(WHOLE, WHOLE), [" 7 "], ONE, [pair(7, 7)]),
        (pair(REAL, REAL), ["-1.5e2"], ONE, [pair(-150.0, 7.0)]),
        (pair(TRUTH, WHOLE), ["True"], ONE, [pair(True, 7)]),
        (pair(Labels(("a", "7")), Labels(("a", "7"))), ["a"], ONE, [pair(0, 1)]),
        (pair(Labels(("a", "b")), Labels(("a", "7"))), ["1"], ONE, [pair(1, 1)]),
        (pair(Several(WHOLE), TEXT), ["1", "2"], ONE, [pair([1, 2], "7")]),
        (pair(TEXT, TEXT), ["a", "b"], ONE, [pair("a", "7"), pair("b", "7")]),
        ({"data": TEXT}, ["a"], TWO, [{"data": "a"}]),
        ({"predictions": TEXT}, ["a"], Sample("s", "q", ()), [{"predictions": "a"}]),
        (chosen([pair(TEXT, TEXT), pair(TEXT, Several(TEXT))]), ["a"], TWO, [pair("a", ["7", "8"])]),
        (chosen([pair(TEXT, Several(TEXT)), pair(TEXT, TEXT)]), ["a"], ONE, [pair("a", ["7"])]),
        (chosen([pair(WHOLE, WHOLE), pair(REAL, REAL)]), ["1"], ONE, [pair(1, 7)]),
    ]
    for features, texts, sample, expected in cases:
        assert items_of(features, texts, sample) == expected, features


def test_what_does_not_fit_says_what_is_needed() -> None:
    cases: list[tuple[Any, str, Sample, str]] = [
        (pair(WHOLE, WHOLE), "seven", ONE, "takes int32, and the answer 'seven' is 'seven'"),
        (pair(WHOLE, WHOLE), "7.5", ONE, "takes int32"),
        (pair(REAL, REAL), "nan", ONE, "takes float64"),
        (pair(REAL, REAL), "inf", ONE, "takes float64"),
        (pair(TRUTH, TRUTH), "1", ONE, "takes bool"),
        (pair(Labels(("a", "b")), TEXT), "c", ONE, "takes int64"),
        (pair(TEXT, WHOLE), "a", Sample("s", "q", ("x",)), "the references of s is 'x'"),
        (pair(TEXT, TEXT), "a", TWO, "takes one text, and the references of s are 2"),
        (pair(TEXT, TEXT), "a", Sample("s", "q", ()), "takes one text, and the references of s are 0"),
        (pair({"id": TEXT}, TEXT), "a", ONE, "for the answer 'a'"),
        (pair(Several(Several(WHOLE)), TEXT), "1", ONE, ""),
        ({"sources": TEXT, **pair(TEXT, TEXT)}, "a", ONE, "takes sources, predictions, references"),
        ({"X": REAL}, "a", ONE, "takes X"),
    ]
    for features, text, sample, expected in cases:
        if expected:
            with pytest.raises(ScorerError, match="inputs=") as raised:
                items_of(features, [text], sample)
            assert expected in str(raised.value)


def test_the_figure_is_found_in_whatever_is_returned() -> None:
    cases: list[tuple[Any, str, float]] = [
        (0.5, "", 0.5),
        (np.float32(0.5), "", 0.5),
        (np.array(0.5), "", 0.5),
        (True, "", 1.0),
        ({"wer": 0.5}, "", 0.5),
        ({"rest": 1, "mine": 0.5}, "", 0.5),
        ({"rest": 1, "score": 0.5, "counts": [1, 2]}, "", 0.5),
        ({"only": 0.5, "counts": [1, 2], "hash": "x"}, "", 0.5),
        ({"a": 1, "b": 2}, "b", 2.0),
        (({"a": 1}, {"details": []}), "", 1.0),
    ]
    for returned, key, expected in cases:
        assert hub_results.figure(returned, key, "mine") == expected, returned
    assert math.isnan(hub_results.figure({"mine": math.nan}, "", "mine"))
    for listed in ([1, 0.5], (1, 0.5), np.array([1, 0.5]), [np.float32(1), np.float64(0.5)]):
        assert hub_results.values({"mean": 0.75, "each": listed}, "", "mine", 2) == [1.0, 0.5]
    assert hub_results.values({"a": [1, 2], "mine": [3, 4]}, "", "mine", 2) == [3.0, 4.0]
    assert hub_results.values([1, 2], "", "mine", 2) == [1.0, 2.0]


def test_what_is_no_figure_says_what_was_returned() -> None:
    cases: list[tuple[Any, str, str]] = [
        (None, "", "returned None, which is no number"),
        ("0.5", "", "returned '0.5', which is no number"),
        ({}, "", "returned no numbers (it has ): "),
        ({"a": 1, "b": 2}, "", "returned 2 numbers (it has a, b): choose one with key="),
        ({"each": [1, 2]}, "", "per_sample=True is for the lists"),
        ({"a": 1}, "b", "returned no 'b' (it has a)"),
        ({"a": None}, "a", "returned None as a, which is no number (it has a)"),
        ({"a": [1, 2]}, "a", "returned a list as a: per_sample=True"),
        (0.5, "a", "leave out key='a'"),
        ({f"k{i}": i for i in range(20)}, "", "k11, …"),
        ({"a": 1 + 2j}, "a", "no number"),
    ]
    for returned, key, expected in cases:
        with pytest.raises(ScorerError) as raised:
            hub_results.figure(returned, key, "mine")
        assert expected in str(raised.value), returned
    lists: list[tuple[Any, str, str]] = [
        ({"each": [1, 2, 3]}, "each", "returned 3 values as each for 2 answers"),
        ({"each": [1, None]}, "each", "returned None as each among the values, which is no number"),
        ({"each": [[1], [2]]}, "each", "returned [1] as each among the values"),
        ({"mean": 0.5}, "mean", "per_sample=True needs a value for each sample"),
        ({"mean": 0.5}, "", "returned no lists of a value for each sample (it has mean)"),
        ({"a": [1, 2], "b": [1, 2]}, "", "choose one with key="),
    ]
    for returned, key, expected in lists:
        with pytest.raises(ScorerError) as raised:
            hub_results.values(returned, key, "mine", 2)
        assert expected in str(raised.value), returned


def test_the_identity_is_of_the_code_and_of_what_it_is_called_with(tmp_path: Path) -> None:
    write(tmp_path, "")
    folder = tmp_path / "closeness"

    def identity(**options: Any) -> str:
        return code_identity(HubMetric(folder, **options))

    own = identity()
    assert re.fullmatch(r"hub_metric@1\{evaluate \S+\}\(name='closeness',code=own#\w{12}\)", own)
    assert own == identity(label="a name", unit="%", higher_is_better=False), "how it is shown is no part"
    assert identity(cased=False, more=1) == identity(more=1, cased=False)
    others = {
        identity(cased=False), identity(cased=True), identity(key="values"), identity(config="x"),
        identity(scale=100), identity(unanswered=None), identity(inputs=lambda answer, sample: {}),
        identity(inputs=lambda answer, sample: {"predictions": answer}),
    }  # fmt: skip
    assert len(others | {own}) == 9
    assert code_identity(Macro(HubMetric(folder))) == f"macro@1(inner={own})"
    (folder / "app.py").write_text("import nothing")
    (folder / "README.md").write_text("Changed")
    assert identity() == own, "only what the script imports is its code"
    (folder / "letters.py").write_text(LETTERS + "# changed")
    assert identity() != own
    (folder / "letters.py").write_text("from . import closeness, more")
    (folder / "more.py").write_text("from .letters import likeness")
    circle = identity()
    (folder / "more.py").write_text("from .letters import unlikeness")
    assert identity() not in (own, circle)


def test_code_that_is_not_there_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "")
    cases: list[tuple[str | Path, dict[str, Any], str]] = [
        ("./nowhere", {}, "there is no nowhere/nowhere.py in"),
        ("nowhere.py", {}, "there is no nowhere.py in"),
        ("a/b/c", {}, "there is no a/b/c/c.py in"),
        (Path("wer"), {}, "there is no wer/wer.py in"),
        ("closeness", {"revision": "main"}, "is in a folder, which has no revisions"),
    ]
    for name, more, expected in cases:
        with pytest.raises(UsageError) as raised:
            code_identity(HubMetric(name, **more))
        assert expected in str(raised.value)
    (tmp_path / "closeness" / "letters.py").write_text("def broken(")
    with pytest.raises(UsageError, match=r"letters\.py cannot be read .SyntaxError"):
        code_identity(HubMetric("closeness"))
    (tmp_path / "closeness" / "letters.py").unlink()
    with pytest.raises(UsageError, match=r"letters\.py cannot be read .FileNotFoundError"):
        code_identity(HubMetric("closeness"))


def test_errors_of_a_module_say_how_to_fix_them() -> None:
    needed = (
        "To be able to use x, you need to install the following dependencies['a', 'b'] "
        "using 'pip install %s' for instance'"
    )
    cases: list[tuple[BaseException, str]] = [
        (ImportError(needed % "a b-text"), "pip install a b-text"),
        (ImportError(needed % "# here: a b"), "pip install a b"),
        (ModuleNotFoundError("No module named 'a.b'", name="a.b"), "it needs the package 'a', which"),
        (LookupError("\n***\n  Resource 'punkt_tab' not found.\n"), "python -m nltk.downloader punkt_tab"),
        (ValueError("two\n  lines"), "ValueError: two lines"),
        (KeyError("k" * 999), "KeyError: 'kkk"),
    ]
    for error, expected in cases:
        assert expected in said(error)
        assert "\n" not in said(error)
        assert len(said(error)) <= 200


class Module:
    """A loaded module of `evaluate`, with a function in place of its `compute`."""

    def __init__(self, function: Callable[[list[Any], list[Any]], Any], features: Any) -> None:
        self.features, self._function = features, function
        self.calls = 0

    def compute(self, predictions: list[Any], references: list[Any]) -> Any:
        self.calls += 1
        return self._function(predictions, references)


def made(
    folder: Path,
    function: Callable[[list[Any], list[Any]], Any],
    features: Mapping[str, Any] = pair(TEXT, TEXT),
    **options: Any,
) -> Any:
    """A `HubMetric` with this function in place of its module's code."""
    write(folder, "")
    metric: Any = HubMetric(folder / "closeness", **options)
    metric.__dict__["_module"] = Module(function, features)
    return metric


def answered(*texts: str | None) -> list[tuple[Sample, Scored]]:
    return [
        (Sample(f"s{at}", "q", (f"r{at}",)), Scored(Answer((Final(text),)), (True,)))
        for at, text in enumerate(texts)
    ]


def same(predictions: list[Any], references: list[Any]) -> dict[str, Any]:
    values = [float(one == other) for one, other in zip(predictions, references, strict=True)]
    if "bad" in predictions:
        raise RuntimeError("bad input")
    return {"closeness": sum(values) / len(values), "each": values}


def measured(metric: Any, pairs: Sequence[tuple[Sample, Scored]]) -> Any:
    metric.recall(pairs)
    return np.array([metric.statistics(*pair) for pair in pairs])


def test_a_figure_of_all_samples_has_an_interval_by_resampling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "EVERY", 40)
    metric = made(tmp_path, same, scale=100, unit="%")
    pairs = answered("r0", "r1", "no", None, "r4", "r5")
    matrix = measured(metric, pairs)
    aggregate = aggregate_of(metric)
    assert aggregate.figure(matrix) == pytest.approx(400 / 6)
    low, high = aggregate.interval(matrix, [""] * 6) or (math.nan, math.nan)
    assert 0 <= low < 400 / 6 < high <= 100
    assert 50 <= metric._module.calls <= 80
    data = CellData(
        matrix, np.ones(6, bool), [sample.id for sample, _ in pairs], [*range(6)], ["x"] * 3 + ["y"] * 3,
        [()] * 6, [""] * 6, ["answered"] * 6, [b""] * 6, [b""] * 6,
    )  # fmt: skip
    found = {figure.group: figure for figure in figures(metric, matrix, data)}
    assert found["x"].value == found["y"].value == pytest.approx(200 / 3)
    assert found[""].n == 6
    with pytest.raises(ScorerError, match="by a run or a comparison that has them"):
        made(tmp_path, same).aggregate(matrix)
    assert np.isnan(aggregate.each(matrix)).all(), "no sample wins or loses by itself"


def test_responses_without_an_answer_count_as_said_or_are_left_out(tmp_path: Path) -> None:
    pairs = answered("r0", None)
    for unanswered, expected, n in (("", 0.5, 2), ("r1", 1.0, 2), (None, 1.0, 1)):
        for each in (False, True):
            metric = made(tmp_path, same, unanswered=unanswered, per_sample=each)
            if each:
                prepared = metric.prepare_answers(pairs)
                rows = np.array([metric.statistics(*pair, prepared) for pair in pairs])
            else:
                rows = measured(metric, pairs)
            rows = rows[rows[:, 1] > 0]
            assert (aggregate_of(metric).figure(rows), len(rows)) == (expected, n)


def test_samples_that_cannot_be_measured_fail_and_are_not_zero(tmp_path: Path) -> None:
    metric = made(tmp_path, same, pair(WHOLE, TEXT))
    with pytest.raises(ScorerError, match="takes int32, and the answer 'x' is 'x'"):
        metric.statistics(*answered("x")[0])
    with pytest.raises(ScorerError, match="without an answer counts as '', which does not fit"):
        metric.statistics(*answered(None)[0])
    branch = made(tmp_path, same, variant="other")
    with pytest.raises(ScorerError, match="not 'other'"):
        branch.statistics(*answered("x")[0])
    strange = made(tmp_path, same, inputs=lambda answer, sample: {"predictions": answer})
    with pytest.raises(ScorerError, match="takes predictions, references, and inputs returned predictions"):
        strange.statistics(*answered("x")[0])
    odd = made(tmp_path, same, inputs=lambda answer, sample: pair(answer, object()))
    with pytest.raises(ScorerError, match="no plain data"):
        odd.statistics(*answered("x")[0])


def test_a_failure_names_the_sample_that_causes_it(tmp_path: Path) -> None:
    pairs = answered("r0", "r1", "bad", "r3", "r4")
    metric = made(tmp_path, same, per_sample=True)
    with pytest.raises(ScorerError, match=r"closeness' fails on sample s2 \(RuntimeError: bad input\)"):
        metric.prepare_answers(pairs)
    numbers = made(tmp_path, same, pair(WHOLE, TEXT), per_sample=True)
    with pytest.raises(ScorerError, match=r"takes int32, and .* is 'r0': .* \(sample s0\)"):
        numbers.prepare_answers(pairs)
    whole = made(tmp_path, same)
    matrix = measured(whole, pairs)
    with pytest.raises(ScorerError, match="fails on sample s2"):
        aggregate_of(whole).figure(matrix)
    assert math.isnan(aggregate_of(whole).figure(matrix[1:3])), "a group has no figure, and the others have"
    few = made(tmp_path, lambda predictions, references: 1 / (len(predictions) - 5))
    with pytest.raises(ScorerError, match=r"fails \(ZeroDivisionError"):
        aggregate_of(few).figure(measured(few, pairs))
    wrong = made(
        tmp_path, lambda predictions, references: {"closeness": [1.0]}, per_sample=True, key="closeness"
    )
    with pytest.raises(ScorerError, match="returned 1 values as closeness for 5 answers"):
        wrong.prepare_answers(pairs)


def test_without_draws_there_is_no_interval_and_no_comparison(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Draws that would take too long are not computed; nor is an interval made of draws that all failed."""
    metric = made(tmp_path, same)
    matrix = measured(metric, answered("r0", "no", "r2"))
    monkeypatch.setattr(hub, "SECONDS", 0.0)
    aggregate = aggregate_of(metric)
    assert aggregate.interval(matrix, [""] * 3) is None
    assert "closeness has no interval and is not compared: draws of samples would take" in caplog.text
    with pytest.raises(NotDrawn, match="not compared"):
        aggregate.difference(matrix, matrix[::-1], [""] * 3, None, exact=False, best=None)
    monkeypatch.undo()
    never = made(tmp_path, same)
    assert aggregate_of(never).interval(measured(never, answered("a", "b", "c")), [""] * 3) is None
    seldom = made(tmp_path, lambda predictions, _: 1 / (len({*predictions}) == 3))
    matrix = measured(seldom, answered("a", "b", "c"))
    assert aggregate_of(seldom).figure(matrix) == 1.0
    assert aggregate_of(seldom).interval(matrix, [""] * 3) is None
    assert "most draws of samples have no figure" in caplog.text


def test_the_trial_finds_before_the_run_what_would_fail_after_it(tmp_path: Path) -> None:
    samples = [Sample(f"s{at}", "q", (f"r{at % 3}",)) for at in range(50)]
    seen: list[list[str]] = []

    def computing(predictions: list[str], references: list[str]) -> float:
        seen.append(predictions)
        return 1.0

    made(tmp_path, computing).try_on(samples)
    assert seen == [["r0", "r1", "r2"]], "different references, each once"
    made(tmp_path, computing).try_on([Sample("s", "q", ())])
    assert len(seen) == 1, "there is nothing to try it on"
    made(tmp_path, lambda *_: int("")).try_on(samples[:1])
    cases: list[tuple[Any, str]] = [
        (
            made(tmp_path, lambda *_: 1 / 0),
            "3 references of the data as answers, fails: ZeroDivision",
        ),
        (made(tmp_path, lambda *_: {"a": 1, "b": 2}), "choose one with key="),
        (made(tmp_path, lambda *_: {"each": [1, 2, 3]}), "per_sample=True is for the lists"),
        (made(tmp_path, lambda *_: 1.0, per_sample=True), "needs a value for each sample"),
        (made(tmp_path, lambda *_: 1.0, pair(WHOLE, TEXT)), "takes int32"),
        (made(tmp_path, lambda *_: 1.0, pair(TEXT, WHOLE)), "takes int32"),
        (made(tmp_path, lambda *_: 1.0, inputs=lambda answer, sample: sample.nothing), "AttributeError"),
    ]
    for metric, expected in cases:
        with pytest.raises(UsageError) as raised:
            metric.try_on(samples)
        assert expected in str(raised.value)


def test_a_run_file_has_the_mean_of_values_and_needs_the_code_for_the_rest(tmp_path: Path) -> None:
    each, whole = made(tmp_path, same, key="each", per_sample=True, scale=100), made(tmp_path, same)
    assert (each.name, whole.name) == ("closeness each", "closeness")
    assert HubMetric("owner/a.b", "c", label="", variant="d").name == "a.b c (d)"
    assert HubMetric("./folder/x.py", "x").name == "x"
    assert HubMetric("wer", "x", label="Words").name == "Words"
    for metric in (each, Macro(each)):
        stored = stored_metric(metric_spec(metric))
        assert stored is not None
        assert aggregate_of(stored).figure(np.array([[1.0, 1.0], [0.5, 1.0]])) == 75.0
    assert stored_metric(metric_spec(whole)) is None
    assert "own#" in metric_spec(whole).identity
