"""Languages of very few resources: both data sets, directions, examples, and the copy beside the figure."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from evalkit.tasks.flores_low import NTREX, Flores, Ntrex

from evalkit.benchmark.task import load_task
from evalkit.data import PART, DataOptions
from evalkit.data.folder import SMALL_SETS
from evalkit.errors import DataError, UsageError
from evalkit.metrics.base import Scored
from evalkit.metrics.bleu import ChrF
from evalkit.samples import Answer, Final, Sample

SMALL = DataOptions(small_sets=True)
RECORD = {PART: "tzm_Tfng-eng_Latn", "source": "ⴰⵏⴰⵡ", "reference": "A boat.", "document": "x", "nth": 7}


def test_a_record_and_its_prompt() -> None:
    task = load_task("flores-low")
    sample = task.sample(RECORD)
    assert (sample.group, sample.tags, sample.cluster) == ("tzm_Tfng-eng_Latn", ("into English",), "x")
    prompt = task.prompt(sample, task.protocol().override({"api": "completion"}))
    assert isinstance(prompt, str)
    assert prompt.startswith("You are an expert translator. ")
    assert prompt.endswith(
        "from Central Atlas Tamazight to English.\n\nCentral Atlas Tamazight: ⴰⵏⴰⵡ\nEnglish:"
    )


def test_languages_are_chosen() -> None:
    task = load_task("flores-low", {"languages": "nde_Latn"})
    assert list(task.group_sizes) == ["eng_Latn-nde_Latn", "nde_Latn-eng_Latn"]
    with pytest.raises(UsageError, match="language"):
        load_task("flores-low", {"languages": "taq_Tfng"})


@pytest.mark.slow
def test_the_small_set_has_every_direction_with_its_examples() -> None:
    task = load_task("flores-low")
    assert task.dev is not None
    samples = [task.sample(record) for record in task.data.open(SMALL)]
    shots = [task.sample(record) for record in task.dev.open(SMALL)]
    assert {s.group for s in samples} == {s.group for s in shots} == set(task.group_sizes)
    assert (len(samples), len(shots)) == (8 * 2, 8 * 5)
    assert not {s.input for s in samples} & {s.input for s in shots}
    there, back = (
        next(s for s in samples if s.group == way) for way in ("eng_Latn-knc_Arab", "knc_Arab-eng_Latn")
    )
    assert (there.input, *there.target) == (*back.target, back.input)


def test_the_first_document_of_ntrex_gives_the_examples(tmp_path: Path) -> None:
    test, examples = (Ntrex(False, split).open(SMALL) for split in ("devtest", "dev"))
    assert {record["document"] for record in examples} == {"market"}
    assert [record["nth"] for record in test] == [5, 6]
    shutil.copytree(SMALL_SETS / NTREX.name, tmp_path / NTREX.name)
    with (tmp_path / NTREX.name / "DOCUMENT_IDS.tsv").open("a") as file:
        file.write("bridge\n")
    with pytest.raises(DataError, match="7 lines in English, 7 in North Ndebele, 8 documents"):
        Ntrex(True, "devtest").open(DataOptions(folder=tmp_path))


def test_sentences_of_flores_are_joined_by_their_ids(tmp_path: Path) -> None:
    shutil.copytree(SMALL_SETS / "facebook/flores", tmp_path / "facebook/flores")
    file = tmp_path / "facebook/flores/tzm_Tfng/devtest.jsonl"
    file.write_text("".join(reversed(file.read_text("utf-8").splitlines(keepends=True))), encoding="utf-8")
    (one, two) = Flores("eng_Latn", "tzm_Tfng", "devtest").open(DataOptions(folder=tmp_path))
    assert "7:40" in one["source"]
    assert "7:40" in one["reference"]
    assert one["document"] == two["document"]
    file.write_text(file.read_text("utf-8").splitlines(keepends=True)[0], encoding="utf-8")
    with pytest.raises(DataError, match="FLORES, devtest: sentence 1 of eng_Latn is not in tzm_Tfng"):
        list(Flores("eng_Latn", "tzm_Tfng", "devtest").open(DataOptions(folder=tmp_path)))


def test_a_copy_is_scored_as_if_it_were_the_translation() -> None:
    sample = Sample(
        id="s", input="Nokia sold 1,250 phones in Harare.", target=("INokia ithengise 1,250 eHarare.",)
    )
    answered = Scored(Answer((Final("other words"),)), (False,))
    copied = Scored(Answer((Final(sample.input),)), (False,))
    metric = ChrF(name="chrF2 of a copy", copied=True)
    assert metric.statistics(sample, answered) == ChrF().statistics(sample, copied)
    assert metric.statistics(sample, answered) != ChrF().statistics(sample, answered)
