"""Imported responses that the rules of a task score: how samples are matched, and what the figures say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evalkit.benchmark.task import load_task
from evalkit.data.base import DataOptions
from evalkit.engine.matching import Stored, match, references_disagree
from evalkit.engine.rescore_imported import rescore_imported
from evalkit.errors import UsageError
from evalkit.report.html.about import command
from evalkit.report.table import build_table
from evalkit.runfile.store import Store
from evalkit.samples import Sample
from tests.cli.conftest import Cli, cli  # noqa: F401 — a fixture
from tests.imports.reading import FILES, imported, jsonl, samples_of

SMALL = DataOptions(small_sets=True)


def stored(*ones: tuple[str, str] | tuple[str, str, str]) -> list[Stored]:
    return [Stored((0, at), one[0], one[1], tuple(one[2:])) for at, one in enumerate(ones)]


OF_THE_TASK = (("a", "How many?"), ("b", "How far?"), ("c", "Why?"), ("d", "Why?"), ("e", "When?"))


@pytest.mark.parametrize(
    ("imports", "pairs", "unmatched", "ambiguous"),
    [
        pytest.param([("a", "How many?"), ("b", "")], "aa bb", "", "", id="by id"),
        pytest.param([("1", " How\n many? "), ("2", "When?")], "1a 2e", "", "", id="by question"),
        pytest.param([("b", "How many?"), ("a", "How far?")], "ba ab", "", "", id="ids number otherwise"),
        pytest.param([("a", "Q: How many?\nA:")], "aa", "", "", id="id alone, the question in another form"),
        pytest.param([("a", "Where?", "wrong")], "", "a", "", id="id alone, another question"),
        pytest.param([("1", "where?"), ("2", "")], "", "12", "", id="neither"),
        pytest.param([("1", "Why?")], "", "", "1", id="two of the task's"),
        pytest.param(
            [("1", "Why?", "of d"), ("2", "Why?", "of c")], "2c 1d", "", "", id="told apart by reference"
        ),
        pytest.param([("1", "Why?", "of d"), ("2", "Why?", "of d")], "", "", "12", id="the same reference"),
        pytest.param([("1", "Why?", "of both"), ("2", "When?")], "2e", "", "1", id="the reference of both"),
        pytest.param([("c", "Why?"), ("d", "Why?")], "cc dd", "", "", id="equal questions told apart by id"),
        pytest.param([("1", "When?"), ("2", "When?")], "", "", "12", id="two imported ones"),
        pytest.param([("e", "When?"), ("2", "When?")], "ee", "", "2", id="one of two has the id"),
        pytest.param([("a", "How many?"), ("a", "How far?")], "aa ab", "", "", id="an id twice"),
        pytest.param([("a", ""), ("1", "How many?")], "", "", "a1", id="both are one sample"),
        pytest.param([("b", "How far?"), ("a", "How many?")], "aa bb", "", "", id="the task's order"),
        pytest.param(
            [("1", "Q: How far?\nA:"), ("2", "Q: When? A:"), ("3", "Q: Where? A:")],
            "",
            "123",
            "",
            id="a template around no question",
        ),
        pytest.param(
            [("1", "Q: How far?\nA:"), ("2", "Q: When? A:"), ("3", "Q: How many? A:"), ("4", "Q: Where? A:")],
            "1b 2e 3a",
            "4",
            "",
            id="a template",
        ),
        pytest.param([("1", "Q: How far?"), ("2", "I: When?")], "", "12", "", id="two templates"),
        pytest.param([("1", "Why?"), ("2", "Q: When?")], "", "2", "1", id="the first has none"),
    ],
)
def test_samples_are_matched(
    imports: list[tuple[str, str]], pairs: str, unmatched: str, ambiguous: str
) -> None:
    found = match(
        stored(*imports),
        lambda: enumerate(Sample(name, text, ()) for name, text in OF_THE_TASK),
        lambda target, sample: target in ({"c": ("of d",), "d": ("of c",)}.get(sample.id), ("wrong",)),
    )
    assert sorted(f"{one.id}{sample.id}" for one, (_, sample) in found.pairs) == sorted(pairs.split())
    assert [at for _, (at, _) in found.pairs] == sorted(at for _, (at, _) in found.pairs)
    assert ("".join(found.unmatched), "".join(found.ambiguous)) == (unmatched, ambiguous)
    assert found.of == 5


def test_references_that_disagree_are_found() -> None:
    sums, facts = load_task("gsm8k"), load_task("mmlu")
    number, letter = Sample("1", "", ("18",)), Sample("1", "", ("B",), choices=("owl", "bat"))
    cases: list[tuple[Any, Sample, tuple[str, ...], bool]] = [
        (sums, number, ("18",), False),
        (sums, number, ("9 and 9 make 18.\n#### 18",), False),
        (sums, number, ("17",), True),
        (sums, number, ("17", "18"), False),
        (sums, number, ("",), False),
        (sums, number, ("no number",), False),
        (sums, Sample("1", "", ()), ("17",), False),
        (facts, letter, (" BAT",), False),
        (facts, letter, ("B",), False),
        (load_task("humaneval"), number, ("17",), False),
    ]
    for task, sample, target, wrong in cases:
        assert references_disagree(task, task.protocols[-1], target, sample) is wrong, (task.name, target)


def rows(**changes: dict[str, object]) -> list[dict[str, object]]:
    """Answers to evalkit's small GSM8K: every third is wrong, and the tool called all of them right."""
    task = load_task("gsm8k")
    found = []
    for at, record in enumerate(task.data.open(SMALL)):
        sample = task.sample(record)
        said = "It is 7." if at % 3 == 0 else f"That makes {sample.target[0]}."
        row: dict[str, object] = {"id": f"q{at}", "question": f" {sample.input}\n", "response": said}
        found.append({**row, "reference": sample.target[0], "score": 1, **changes.get(f"q{at}", {})})
    return found


def scored(folder: Path, *table: dict[str, object], name: str = "gsm8k", **options: Any) -> Any:
    """Imports a table, scores it, and returns (what was done, the one new cell, its samples)."""
    run, new = folder / f"{name}.db", folder / "new.db"
    imported(run, jsonl(folder / f"{name}.jsonl", *table))
    (one,) = rescore_imported(run, new, options.pop("task", "gsm8k"), data=SMALL, **options)
    with Store.open(new) as store:
        (cell,) = store.cells()
    return one, cell, samples_of(new)


def test_a_tables_responses_are_scored_by_a_task(tmp_path: Path) -> None:
    """The table's wrong reference does not count; a failure and a lost response stay missing."""
    table = rows(
        q2={"reference": "999"}, q3={"score": None, "error": "lost"}, q4={"response": ""}, q5={"score": None}
    )
    one, cell, samples = scored(tmp_path, *table)
    outcomes = [sample["outcome"] for sample in samples]
    assert outcomes[:7] == ["wrong", "correct", "correct", "failed", "failed", "correct", "wrong"]
    assert [samples[at]["error"] for at in (3, 4)] == ["lost", "the imported file has no response to it"]
    assert samples[1]["target"] == [table[1]["reference"]]
    assert samples[1]["meta"]["solution"]
    assert [one.figures[0], one.name, one.samples] == [100, "gsm8k:table-rescored", 16]
    assert ("correct", "wrong") in {change.outcomes for change in one.changed}
    assert one.notes[-1].startswith("the imported references of 1 of 16 imported samples (q2)")
    assert cell.spec.signed(cell.spec.metrics[0]) == {
        "imported": "table", "task": "gsm8k", "scores": "score", "scored as": "gsm8k:8-shot-cot",
        "reader": "each_draw@1", "extract": cell.spec.extract, "scorer": "gsm8k.scorer@1",
    }  # fmt: skip


def test_samples_that_the_task_lacks_are_left_out_only_if_allowed(tmp_path: Path) -> None:
    table = [*rows(), *({"id": name, "question": "Where?", "score": 1, "response": "7"} for name in "xy")]
    with pytest.raises(UsageError, match=r"2 of 18 imported samples \(x, y\) .* --unmatched 2 leaves them"):
        scored(tmp_path, *table)
    assert not (tmp_path / "new.db").exists()
    (tmp_path / "gsm8k.db").unlink()
    one, _, samples = scored(tmp_path, *table, unmatched=2)
    assert len(samples) == 16
    assert one.notes[0] == "left out: 2 of 18 imported samples (x, y) are no samples of gsm8k"


def test_draws_are_read_by_the_protocol(tmp_path: Path) -> None:
    """The figure is the mean over two draws; a protocol that takes more than there are is refused."""
    table = [row | {"draw": draw} for row in rows() for draw in (0, 1)]
    table[3]["response"] = "no idea"
    one, cell, samples = scored(tmp_path, *table)
    assert cell.spec.reading == "8-shot-cot"
    assert len(samples[1]["finals"]) == 2
    assert one.figures[1] == pytest.approx(100 * 9.5 / 16)
    (tmp_path / "new.db").unlink()
    with pytest.raises(UsageError, match=r"maj1@32 takes 32 responses of each sample, and the import has 2"):
        list(rescore_imported(tmp_path / "gsm8k.db", tmp_path / "new.db", "gsm8k:maj1@32", data=SMALL))


REFUSED = [
    ("table", "boolq:0-shot-likelihood", "reads log-probabilities"),
    ("table", "mmlu:cot8-routed", "made of several protocols"),
    ("table", "lm-eval:gsm8k", "not lm-eval's"),
    ("table", "gsm", "did you mean"),
    ("bare", "gsm8k", "has no responses to score: .* --log_samples"),
    ("likelihoods", "gsm8k", "has the imported tasks lines, picks, .* -t 'lines=gsm8k'"),
    ("likelihoods", "pi*=gsm8k", "are likelihoods of given texts"),
    ("likelihoods", "nothing*=gsm8k", "has the imported tasks lines, picks"),
    ("own", "gsm8k", "was not imported: leave out -t"),
]


def test_what_cannot_be_scored_is_refused(tmp_path: Path) -> None:
    imported(tmp_path / "table.db", jsonl(tmp_path / "gsm8k.jsonl", *rows()))
    bare = [{key: value for key, value in row.items() if key != "response"} for row in rows()]
    imported(tmp_path / "bare.db", jsonl(tmp_path / "bare.jsonl", *bare))
    imported(tmp_path / "likelihoods.db", FILES / "lm-eval/likelihoods")
    Store.create(tmp_path / "own.db", {"model": {"name": "own", "identity": {}}, "seed": 0}).close()
    for name, task, words in REFUSED:
        with pytest.raises(UsageError, match=words):
            list(rescore_imported(tmp_path / f"{name}.db", tmp_path / "new.db", task, data=SMALL))
        assert not [*tmp_path.glob("new.db*")], task


PEARS = """
from evalkit.api import Accuracy, Generated, Protocol, Sample, Task, Verdict, task
from evalkit.scoring import final_number

QUESTION = "Ann has {a} pears and buys {b} more. How many pears has she?"
OTHER = "nothing is known here 2 2?"


@task("pears")
def pears():
    return Task(
        data=Generated(0, lambda random: ({"a": a, "b": b} for a in range(40) for b in range(40))),
        sample=lambda r: Sample(
            f"{r['a']}+{r['b']}", OTHER if r["b"] == 0 and r["a"] == 4 else QUESTION.format(**r),
            (str(r["a"] + r["b"]),),
        ),
        prompt=lambda sample, protocol: sample.input,
        answer=final_number,
        scorer=lambda answer, sample: Verdict(answer == sample.target[0]),
        metrics=(Accuracy(),),
        protocols=(Protocol(name="plain"),),
    )
"""


@pytest.mark.parametrize(
    ("files", "imports", "share"),
    [
        ("lm-eval/a", "pears", 75),
        ("lm-eval/a", "pears_draws", 75),
        ("inspect/pears-a.eval", "pears", 83.3333),
        ("inspect/epochs.eval", "pears_epochs", 83.3333),
        ("lighteval", "pears", 83.3333),
        ("helm/pears", "pears", 83.3333),
    ],
)
def test_the_responses_that_the_tools_logged_are_scored(
    files: str, imports: str, share: float, tmp_path: Path
) -> None:
    """Each tool's question is found, and its reference is the task's."""
    (tmp_path / "pears.py").write_text(PEARS, "utf-8")
    imported(tmp_path / "r.db", FILES / files)
    task = f"{imports}={tmp_path / 'pears.py'}"
    (one,) = rescore_imported(tmp_path / "r.db", tmp_path / "new.db", task)
    assert one.figures[1] == pytest.approx(share, abs=1e-3)
    (note,) = one.notes
    assert f"{one.samples} of pears's 1,600 samples were matched, {one.samples} of them by" in note
    with Store.open(tmp_path / "new.db", (tmp_path / "pears.py",)) as store:
        (cell,) = build_table([store]).cells
        assert cell.stale == ()
        assert not cell.completeness.whole


def test_several_imported_tasks_are_one_benchmark(tmp_path: Path) -> None:
    """As the subtasks of BBH are: ids that several of them have count for nothing."""
    half = len(rows()) // 2
    for number, part in enumerate((rows()[:half], rows()[half:])):
        renumbered = [row | {"id": at} for at, row in enumerate(part)]
        imported(tmp_path / f"{number}.db", jsonl(tmp_path / f"part_{number}.jsonl", *renumbered))
    both = jsonl(tmp_path / "parts.jsonl", *rows()[:half]), jsonl(tmp_path / "part_b.jsonl", *rows()[half:])
    imported(tmp_path / "both.db", *both)
    (one,) = rescore_imported(tmp_path / "both.db", tmp_path / "new.db", "part*=gsm8k", data=SMALL)
    assert (one.samples, one.figures[0]) == (16, None)
    with Store.open(tmp_path / "new.db") as store:
        (cell,) = store.cells()
    assert (cell.spec.imported["task"], cell.spec.records) == ("part_b, parts", 16)


def test_the_command_scores_compares_and_reports(cli: Cli, tmp_path: Path) -> None:  # noqa: F811
    """Two files that are scored alike are compared, and the table says how they were scored."""
    for side, change in (("a", {}), ("b", {"q0": {"response": rows()[0]["reference"]}})):
        jsonl(tmp_path / side, *rows(**change)).rename(tmp_path / "gsm8k.jsonl")
        imported(tmp_path / f"{side}.db", tmp_path / "gsm8k.jsonl")
        task = ("-t", "gsm8k", "--data", "builtin")
        said = cli("rescore", tmp_path / f"{side}.db", *task, "-o", tmp_path / f"{side}2.db")
        assert said.code == 0, said
    assert "gsm8k:table-rescored: accuracy 100 → " in said.out
    assert "16 of gsm8k's 16 samples were matched, 16 of them by their question" in said.out
    said = cli("compare", tmp_path / "a2.db", tmp_path / "b2.db", "--format", "json")
    (one,) = json.loads(said.out)["benchmarks"]
    assert (one["wins"], one["losses"], said.code) == (1, 0, 0)
    said = cli("report", tmp_path / "a2.db", "--format", "markdown")
    assert (
        "imported (table): asked elsewhere, and scored as gsm8k:8-shot-cot; comparable only with" in said.out
    )
    with Store.open(tmp_path / "a2.db") as store:
        assert command(store) == "evalkit rescore a.db -t gsm8k=gsm8k:8-shot-cot -o a2.db"
    assert cli("rescore", tmp_path / "a2.db", "-o", tmp_path / "c.db").code == 2
    assert cli("rescore", tmp_path / "a.db", "-o", tmp_path / "c.db", "--data", "builtin").code == 2
    assert (
        "leave out --rule" in cli("rescore", tmp_path / "a.db", "-t", "gsm8k", "--rule", "x", "-o", "c").err
    )
