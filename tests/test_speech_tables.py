"""Tables of speech: what is missing, lost or said around every transcript stands beside the figure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from evalkit.api import DataOptions, ErrorRate, ProviderError, Record, Records, Sample, Task, averages
from evalkit.benchmark.protocol import Protocol
from evalkit.compare.runs import compare
from evalkit.models.base import Capability, Request, Response
from evalkit.models.fake import FakeModel
from evalkit.models.python_given import as_model
from evalkit.report.build import render_report
from evalkit.report.comparison import comparison_text
from evalkit.report.table import Table
from evalkit.runfile.store import Store
from evalkit.samples import JSON
from evalkit.scoring.speech import score_speech
from evalkit.scoring.transcript import transcript
from evalkit.session import run

SAID = ("red boats sail", "a goat eats", "two men walk", "old ships sink", "it rains now", "dogs bark here")


@dataclass(frozen=True)
class Spoken:
    """Texts in place of clips: (language, reference; None where it is missing)."""

    rows: tuple[tuple[str, str | None], ...]

    def open(self, options: DataOptions | None = None) -> Records:
        records = [{"id": f"s{n}", "language": one[0], "text": one[1]} for n, one in enumerate(self.rows)]
        return Records({"kind": "made", "name": "spoken"}, len(records), lambda: iter(records))


def to_sample(record: Record) -> Sample:
    target = () if record["text"] is None else (record["text"],)
    language = record["language"]
    return Sample(record["id"], record["id"], target, group=language, meta={"language": language})


def spoken(rows: Iterable[tuple[str, str | None]], prompt: str = "") -> Task:
    """`prompt`: of every sample, its id without one."""
    return Task(
        name="spoken",
        data=Spoken(tuple(rows)),
        sample=to_sample,
        prompt=lambda sample, protocol: prompt or sample.input,
        answer=transcript,
        scorer=score_speech,
        metrics=averages(ErrorRate()),
        protocols=(Protocol(name="0-shot", api="completion"),),
        gold=lambda sample, protocol: sample.target[0],
        wrong_responses=lambda sample, protocol: ("",),
    )


def table(folder: Path, rows: Iterable[tuple[str, str | None]], replies: dict[str, str]) -> Table:
    """The table of a run whose model answers by `replies`, and fails where there is none."""

    def say(request: Request, draw: int) -> str:
        if request.prompt not in replies:
            raise ProviderError("the clip is refused")
        return replies[str(request.prompt)]

    return run(FakeModel(say), spoken(rows), output=folder / "r.db")


def test_a_mean_over_languages_names_those_that_it_lost(tmp_path: Path) -> None:
    rows = [("en", SAID[0]), ("de", SAID[1]), ("fr", SAID[2])]
    found = table(tmp_path, rows, {"s0": SAID[0], "s1": "a goat"})
    mean, pooled = found.cells
    assert (mean.metric, round(mean.value or 0, 2)) == ("WER (macro)", 16.67)
    assert (pooled.metric, round(pooled.value or 0, 2)) == ("WER", 16.67)
    words = "WER (macro): no sample of fr was scored: the mean leaves out 1 group"
    assert [words in found.notes[mark - 1] for mark in mean.marks].count(True) == 1
    assert not any(words in found.notes[mark - 1] for mark in pooled.marks)


def test_a_missing_reference_is_counted_and_not_scored(tmp_path: Path) -> None:
    rows = [("en", SAID[0]), ("en", None), ("en", None)]
    found = table(tmp_path, rows, {"s0": SAID[0], "s1": "", "s2": "something"})
    assert [(cell.value, cell.n) for cell in found.cells] == [(0.0, 1), (0.0, 1)]
    words = "2 samples without a reference in the data, not included in the value"
    assert any(words in note for note in found.notes)


def test_words_around_nearly_every_answer_are_noted(tmp_path: Path) -> None:
    rows = [("en", SAID[n % 6]) for n in range(16)]
    replies = {f"s{n}": f"Sure, I hear {SAID[n % 6]}" for n in range(15)} | {"s15": SAID[3]}
    notes = table(tmp_path, rows, replies).notes
    said = "15 of 16 answers begin with 'Sure, I hear', and their references do not"
    assert [note for note in notes if said in note], notes


def test_words_after_nearly_every_answer_are_noted(tmp_path: Path) -> None:
    rows = [("en", text) for text in SAID]
    notes = table(tmp_path, rows, {f"s{n}": f"{SAID[n]}. Thanks for watching!" for n in range(6)}).notes
    assert any("6 of 6 answers end with 'Thanks for watching" in note for note in notes), notes


@pytest.mark.parametrize("prefix", ["", "the ", "language English<asr_text>"])
def test_what_references_begin_with_is_not_noted(tmp_path: Path, prefix: str) -> None:
    """Nor is what the rule for transcripts takes away."""
    start = prefix if prefix == "the " else ""
    rows = [("en", start + text) for text in SAID]
    notes = table(tmp_path, rows, {f"s{n}": prefix + SAID[n] for n in range(6)}).notes
    assert not any("answers" in note for note in notes), notes


def test_corpus_figures_have_two_decimals_and_characters_are_called_cer(tmp_path: Path) -> None:
    rows = [("en", SAID[0]), ("en", SAID[1]), ("ja", "赤い船"), ("ja", "白い船")]
    replies = {"s0": "red boat sail", "s1": SAID[1], "s2": "赤い船", "s3": "白い舟"}
    table(tmp_path, rows, replies)
    with Store.open(tmp_path / "r.db") as store:
        text = render_report([store], "markdown", breakdown=True)
    assert "16.67 %" in text
    assert "| ja (CER) | 16.67 % |" in text
    assert "| en | 16.67 % |" in text


class ById:
    """A user's model that answers by the sample's id."""

    name = "by-id"
    capabilities: frozenset[Capability] = frozenset({"completion"})
    parallel: int | None = None

    def __init__(self, replies: dict[str, str]) -> None:
        self.replies = replies

    @property
    def identity(self) -> dict[str, JSON]:
        return {"backend": "own"}

    @property
    def ids(self) -> Collection[str]:
        return self.replies.keys()

    async def answer_of(self, sample: str, *, draw: int = 0) -> Response:
        return Response(self.replies[sample])

    async def generate(self, request: Request, *, draw: int = 0) -> Response:
        raise AssertionError("it is asked by id")

    async def aclose(self) -> None:
        return None


@pytest.mark.parametrize("wrapped", [False, True])
def test_samples_with_one_prompt_are_answered_by_id(tmp_path: Path, wrapped: bool) -> None:
    """Also by a model of a user's; a gap of a file fails its sample and does not end the run."""
    rows = [("en", text) for text in SAID]
    own = ById({f"s{n}": SAID[n] for n in range(5)} | {"more": "x"})
    model = as_model(own, name="mine") if wrapped else own
    for _ in range(2):  # the second time the rest is resumed
        found = run(model, spoken(rows, "the same"), output=tmp_path / "r.db")
        (mean, *_) = found.cells
        assert (mean.value, mean.n, mean.outcomes["failed"]) == (0.0, 5, 1)
        assert mean.evidence == (
            "1 sample without an answer: 's5'", "1 answer without a sample: 'more'",
        )  # fmt: skip
    plain = table(tmp_path / "plain", rows, {f"s{n}": text for n, text in enumerate(SAID)})
    assert plain.cells[0].value == 0


def test_many_gaps_of_a_file_do_not_end_the_run(tmp_path: Path) -> None:
    rows = [("en", f"word {n}") for n in range(60)]
    found = run(ById({"s59": "word 59"}), spoken(rows), output=tmp_path / "r.db")
    assert (found.cells[0].value, found.failed) == (0.0, 59)


def test_empty_references_are_noted(tmp_path: Path) -> None:
    rows = [("en", SAID[0]), ("en", ""), ("en", None)]
    notes = table(tmp_path, rows, {"s0": SAID[0], "s1": "", "s2": "x"}).notes
    assert any("1 of 2 references are empty: they count as silence" in note for note in notes), notes


def test_a_comparison_has_the_decimals_of_the_tables(tmp_path: Path) -> None:
    rows = [("en", text) for text in SAID]
    good = {f"s{n}": text for n, text in enumerate(SAID)}
    paths = [tmp_path / name / "r.db" for name in ("a", "b")]
    table(paths[0].parent, rows, good)
    table(paths[1].parent, rows, good | {"s0": "red boat sail"})
    with Store.open(paths[0]) as base, Store.open(paths[1]) as head:
        comparison = compare(base, head)
    for text in (comparison_text([comparison], "markdown"), comparison_text([comparison] * 2, "markdown")):
        assert "0.00" in text
        assert "5.56" in text
    assert "| +5.56" in comparison_text([comparison], "markdown")
