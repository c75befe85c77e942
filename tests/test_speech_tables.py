"""Tables of speech: what is missing, lost or said around every transcript stands beside the figure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from evalkit.api import DataOptions, ErrorRate, ProviderError, Record, Records, Sample, Task, averages
from evalkit.benchmark.protocol import Protocol
from evalkit.models.base import Request
from evalkit.models.fake import FakeModel
from evalkit.report.build import render_report
from evalkit.report.table import Table
from evalkit.runfile.store import Store
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


def table(folder: Path, rows: Iterable[tuple[str, str | None]], replies: dict[str, str]) -> Table:
    """The table of a run whose model answers by `replies`, and fails where there is none."""
    task = Task(
        name="spoken",
        data=Spoken(tuple(rows)),
        sample=to_sample,
        prompt=lambda sample, protocol: sample.input,
        answer=transcript,
        scorer=score_speech,
        metrics=averages(ErrorRate()),
        protocols=(Protocol(name="0-shot", api="completion"),),
        gold=lambda sample, protocol: sample.target[0],
        wrong_responses=lambda sample, protocol: ("",),
    )

    def say(request: Request, draw: int) -> str:
        if request.prompt not in replies:
            raise ProviderError("the clip is refused")
        return replies[str(request.prompt)]

    return run(FakeModel(say), task, output=folder / "r.db")


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
