"""What is exported for lm-eval and Inspect is imported again with the same figures and intervals."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import evalkit
from evalkit.compare.runs import compare
from evalkit.errors import UsageError
from evalkit.exports import hf_leaderboard, inspect_ai, lm_eval
from evalkit.exports.read import Benchmark, benchmarks
from evalkit.exports.shared import opened
from evalkit.imports.lm_eval import WEIGHTED
from evalkit.imports.results import exported
from evalkit.runfile.cells import TableCell, cells_of
from evalkit.runfile.store import Store
from tests.edited import edited
from tests.exports.made_runs import mixed, pictured, quizzed, ran
from tests.imports.reading import FILES, imported

WRITERS = {"lm-eval": lm_eval.export, "inspect": inspect_ai.export}
SETS = {
    "clusters": "textvqa",
    "several draws": "humaneval:0-shot",
    "branches and a threshold": "mmlu:cot32-routed",
    "a mean over groups": "bbh",
    "a mean of an error rate's parts": "fleurs",
    "perplexity": "lambada",
    "several benchmarks": "gsm8k,boolq",
}
"""Tasks of evalkit's small sets by what they have that others do not."""


def again(
    path: Path, tool: str, folder: Path
) -> tuple[list[Benchmark], dict[str, list[TableCell]], list[str]]:
    """Exports and imports a run: its benchmarks, the imported figures by task, and the import's notes."""
    with opened(path) as store:
        list(WRITERS[tool]([store], folder / "out"))
        done = imported(folder / "again.db", folder / "out")
        found = benchmarks(store)
    back: dict[str, list[TableCell]] = {}
    with Store.open(folder / "again.db") as store:
        for cell in cells_of(store):
            back.setdefault(cell.task, []).append(cell)
    return found, back, [note for one in done for note in one.notes]


def differences(path: Path, tool: str, folder: Path) -> Iterator[str]:
    """Yields how the imported figures differ from the run's; those of a whole corpus must be left out."""
    found, back, notes = again(path, tool, folder)
    for benchmark in found:
        cells = {cell.metric: cell for cell in back.get(benchmark.name, [])}
        for figure in benchmark.figures:
            mine, name = figure.cell, figure.cell.metric
            if tool == "lm-eval":
                name = figure.name.replace(",", ";") + (f",{figure.variant}" if figure.variant else "")
            theirs = cells.get(name)
            if not figure.is_mean and not (tool == "lm-eval" and name in WEIGHTED):
                if theirs is not None:
                    yield f"{mine.task} {name} is no mean of samples, and is {theirs.value}"
                said = f"{name} ({figure.value:.6g}" if figure.value is not None else ""
                if tool == "lm-eval" and cells and not any(said in note for note in notes):
                    yield f"{mine.task}: no note says {said}: {notes}"
            elif theirs is None:
                yield f"{mine.task} {name} is lost"
            else:
                scale = 0.01 if theirs.unit == "%" else 1.0
                for what in ("value", "low", "high"):
                    one, other = getattr(figure, what), getattr(theirs, what)
                    other = None if other is None else other * scale
                    if (one is None) != (other is None) or (one and one != pytest.approx(other, rel=1e-9)):
                        yield f"{mine.task} {name} {what}: {one} and {other}"
                if mine.n != theirs.n or mine.outcomes["failed"] != theirs.outcomes["failed"]:
                    yield f"{mine.task} {name}: {mine.n} {mine.outcomes} and {theirs.n} {theirs.outcomes}"


@pytest.mark.parametrize("tool", WRITERS)
def test_figures_intervals_and_failures_come_back(tool: str, tmp_path: Path) -> None:
    path = mixed(tmp_path)
    assert not list(differences(path, tool, tmp_path))
    with Store.open(path) as before, Store.open(tmp_path / "again.db") as after:
        mine, theirs = before.samples(before.cells()[0]), after.samples(after.cells()[0])
        pairs = list(zip(mine, theirs, strict=True))
    kept = {"truncated": "unparsable"} if tool == "lm-eval" else {}  # its files do not say why a text ends
    ended = [one["outcome"] for one, _ in pairs]
    assert [kept.get(one, one) for one in ended] == [other["outcome"] for _, other in pairs]
    assert {*ended} == {"correct", "wrong", "unparsable", "truncated", "failed"}
    assert [one["group"] for one, _ in pairs] == [other["group"] for _, other in pairs]
    assert {other["error"] for one, other in pairs if one["error"]} == {
        "provider: no answer from [address] ([address]) for [path] and [path]"
    }


@pytest.mark.slow
@pytest.mark.parametrize("what", SETS)
def test_every_kind_of_figure_comes_back_or_is_left_out(what: str, tmp_path: Path) -> None:
    path = ran(tmp_path, SETS[what])
    wrong = []
    for tool in WRITERS:
        (tmp_path / tool).mkdir()
        wrong += list(differences(path, tool, tmp_path / tool))
    assert not wrong


@pytest.mark.slow
def test_a_figure_of_a_corpus_alone_is_no_mean(tmp_path: Path) -> None:
    """Its samples have the numbers that BLEU sums up, which no reader takes for BLEU."""
    path = ran(tmp_path, "wmt23")
    for tool in WRITERS:
        (tmp_path / tool).mkdir()
        with pytest.raises(UsageError, match="no sample with a score that is a number"):
            again(path, tool, tmp_path / tool)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "lm-eval/a",
        "lm-eval/likelihoods",
        "inspect/graded.eval",
        "inspect/epochs.eval",
        "helm/picks",
        "lighteval",
    ],
)
def test_an_imported_run_is_exported_like_any_other(name: str, tmp_path: Path) -> None:
    """Among them words with a perplexity, scores that a sample lacks, and epochs."""
    imported(tmp_path / "first.db", FILES / name)
    wrong = []
    for tool in WRITERS:
        (tmp_path / tool).mkdir()
        wrong += list(differences(tmp_path / "first.db", tool, tmp_path / tool))
    assert not wrong


@pytest.mark.slow
@pytest.mark.parametrize("tool", WRITERS)
def test_two_runs_are_compared_as_before(tool: str, tmp_path: Path) -> None:
    """Sample by sample; other settings of the same task are refused."""
    paths = [mixed(tmp_path, f"fake/{one}", protocol=one, file=f"{one}.db") for one in ("once", "maj")]
    paths.append(ran(tmp_path, f"{tmp_path / 'sums.py'}:sums:once", data=None))
    for path in paths:
        with opened(path) as store:
            list(WRITERS[tool]([store], tmp_path / path.stem))
        imported(tmp_path / f"{path.stem}-again.db", tmp_path / path.stem)
    with Store.open(paths[0]) as base, Store.open(paths[2]) as head:
        (before,) = compare(base, head).benchmarks
    with Store.open(tmp_path / "once-again.db") as base:
        with Store.open(tmp_path / f"{paths[2].stem}-again.db") as head:
            (after,) = compare(base, head).benchmarks
        with Store.open(tmp_path / "maj-again.db") as other:
            refused = compare(base, other)
    mine, theirs = before.paired, after.paired
    assert (mine.n, mine.wins, mine.losses, mine.test) == (theirs.n, theirs.wins, theirs.losses, theirs.test)
    assert (mine.difference.value, mine.difference.p) == (theirs.difference.value, theirs.difference.p)
    assert not refused.benchmarks
    assert refused.exit_code == 2


@pytest.mark.slow
@pytest.mark.parametrize("version", [3, 4, 5])
def test_runs_of_earlier_formats(version: int, tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    path.write_bytes(gzip.decompress((FILES.parent / f"run-{version}.db.gz").read_bytes()))
    with opened(path) as store:
        found = [cell.metric for cell in cells_of(store)]
        for tool, write in WRITERS.items():
            assert list(write([store], tmp_path / tool))
    assert found


@pytest.mark.slow
def test_a_run_that_is_not_finished_is_not_after_an_import_either(tmp_path: Path) -> None:
    path = mixed(tmp_path)
    with edited(path) as db:  # as a killed run leaves it
        db.execute("DELETE FROM sample WHERE position > 11")
        db.execute("UPDATE cell SET finished = NULL")
        db.execute("DELETE FROM figure")
    for tool in WRITERS:
        (tmp_path / tool).mkdir()
        assert not list(differences(path, tool, tmp_path / tool))
        with Store.open(tmp_path / tool / "again.db") as store:
            (cell,) = cells_of(store)
        of = 20 if tool == "lm-eval" else 12  # Inspect lists the ids, and those to come are not known
        assert cell.completeness.unfinished == f"unfinished, 12 of {of} samples"


@pytest.mark.slow
def test_answers_without_a_public_reference_have_no_figure(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    evalkit.run("fake/fixed?text=dusk", "docvqa", output=path, data="builtin", settings={"split": "test"})
    with opened(path) as store:
        list(lm_eval.export([store], tmp_path / "a"))
        list(inspect_ai.export([store], tmp_path / "b.json"))
        with pytest.raises(UsageError, match="no figure yet"):
            hf_leaderboard.to_model_index([store])
    (lines,) = (tmp_path / "a").rglob("samples_*")
    first = json.loads(lines.read_text("utf-8").splitlines()[0])
    assert (first["filtered_resps"], first["ANLS"], "error" in first) == (["dusk"], None, False)
    told = json.loads((tmp_path / "b.json").read_text("utf-8"))
    assert (told["samples"][0]["scores"], "error" in told["samples"][0]) == ({}, False)
    assert all("mean" not in score["metrics"] for score in told["results"]["scores"])


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["routed", "likely", "said", "plain"])
def test_readings_draws_and_likelihoods_come_back(protocol: str, tmp_path: Path) -> None:
    path = quizzed(tmp_path, protocol)
    wrong = []
    for tool in WRITERS:
        (tmp_path / tool).mkdir()
        wrong += list(differences(path, tool, tmp_path / tool))
    assert not wrong


@pytest.mark.slow
@pytest.mark.parametrize("tool", WRITERS)
def test_pictures_and_a_file_that_cannot_be_read(tool: str, tmp_path: Path) -> None:
    assert not list(differences(pictured(tmp_path), tool, tmp_path))


def test_marks_of_other_tools_are_not_taken_for_evalkits() -> None:
    found: list[object] = [None, [], "x", {"group": 3, "cluster": None}, {"id": "a"}]
    assert [exported(one) for one in found] == [{}] * 5
    assert exported({"group": "g", "cluster": "c", "id": "a"}) == {"group": "g", "cluster": "c"}
