"""WMT23: its files, prompts to the letter, references, tags, and its figures on the small set."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from evalkit.tasks.wmt23_data import SIZES, WMT23, Pair

from evalkit.benchmark.protocol import Protocol
from evalkit.benchmark.task import load_task
from evalkit.data import PART, DataOptions
from evalkit.data.folder import SMALL_SETS
from evalkit.errors import DataError, UsageError
from evalkit.metrics.bleu import tokeniser_for
from evalkit.samples import Sample
from evalkit.session import run

SMALL = DataOptions(small_sets=True)
RECORD = {
    PART: "en-he",
    "pair": "en-he",
    "source": "A boat.",
    "references": {"refA": "אחת", "refB": "שתיים"},
    "document": "harbour",
    "nth": 0,
}
EXAMPLE = Sample(id="e", input="A house.", target=("בית.",))


def sample(**settings: str) -> Sample:
    return load_task("wmt23", settings).sample(RECORD)


def asked(protocol: Protocol, shots: int = 1) -> str:
    import dataclasses

    one = dataclasses.replace(sample(), shots=(EXAMPLE,) * shots)
    prompt = load_task("wmt23").prompt(one, protocol)
    assert isinstance(prompt, tuple)
    (message,) = prompt
    return str(message.content)


def test_prompts() -> None:
    listed, expert, five = load_task("wmt23").protocols
    block = "Translate this into 1. Hebrew:\n\nA house.\n\n1. בית.\n\n"
    last = "Translate this into 1. Hebrew:\n\nA boat.\n\n1."
    assert asked(listed) == block + last
    assert asked(five, 5) == block * 5 + last
    assert asked(expert) == (
        "You are an expert translator. I am going to give you an example pair of text snippets where the "
        "first is in English and the second is a translation of the first snippet into Hebrew. The sentences "
        "will be written\nEnglish: <first sentence>\nHebrew: <translated first sentence>\nAfter the example "
        "pair, I am going to provide another sentence in English and I want you to translate it into Hebrew. "
        "Give only the translation, and no extra commentary, formatting, or chattiness. Translate the text "
        "from English to Hebrew.\n\nEnglish: A house.\nHebrew: בית.\n\nEnglish: A boat.\nHebrew:"
    )
    assert "I am going to give you example pairs of" in asked(expert.override({"shots": "2"}), 2)
    assert asked(expert.override({"shots": "0"})).startswith("You are an expert translator. Give only")


def test_references_are_chosen_as_by_sacrebleu() -> None:
    assert sample().target == ("שתיים",)
    assert sample(reference="refA").target == ("אחת",)
    assert sample(reference="all").target == ("אחת", "שתיים")
    task = load_task("wmt23")
    assert task.sample({**RECORD, "references": {"refA": "one"}}).target == ("one",)


def test_tags_and_clusters() -> None:
    assert (sample().group, sample().cluster) == ("en-he", "harbour")
    assert sample().tags == ("mid resource", "from English")
    assert sample(high="en-he").tags == ("high resource", "from English")
    task = load_task("wmt23")
    assert task.sample({**RECORD, PART: "de-en"}).tags == ("high resource", "into English")
    assert task.sample({**RECORD, PART: "cs-uk"}).tags == ("mid resource",)
    again = task.sample({**RECORD, "nth": 1})
    assert again.id != sample().id == task.sample({**RECORD, "document": ""}).id


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"pairs": "en-fr"}, "pair of WMT23"),
        ({"pairs": "en-de,en-de"}, "each only once"),
        ({"reference": "refC"}, "reference of WMT23"),
        ({"high": "fr-en"}, "pair of WMT23"),
        ({"documents": "maybe"}, "yes or no"),
    ],
)
def test_options(settings: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        load_task("wmt23", settings)


def test_tokenisers_are_those_of_the_organisers() -> None:
    targets = {pair.partition("-")[2] for pair in SIZES}
    special = {target: tokeniser_for(target) for target in targets if tokeniser_for(target) != "13a"}
    assert special == {"ja": "ja-mecab", "zh": "zh"}


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("1. שתיים", "שתיים"),
        (" שתיים\n2. אחת", "שתיים"),
        ("Hebrew: שתיים", "שתיים"),
        ("שתיים\n\nEnglish: Go on.\nHebrew: הלאה", "שתיים"),
        ("שתיים\n\nTranslate this into 1. Hebrew:\n\nGo on.", "שתיים"),
        ("Here is the translation:\n\n“שתיים”", "שתיים"),
        ("שורה\nשורה", "שורה\nשורה"),
        ("", ""),
    ],
)
def test_replies(reply: str, answer: str) -> None:
    read = load_task("wmt23").answer
    assert callable(read)
    assert read(reply, sample()) == answer


def test_quotes_stay_if_the_source_has_them() -> None:
    import dataclasses

    read = load_task("wmt23").answer
    assert callable(read)
    quoted = dataclasses.replace(sample(), input="“A boat.”")
    assert read("„שתיים”", quoted) == "„שתיים”"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(SMALL_SETS / WMT23.name, tmp_path / WMT23.name)
    return tmp_path


def test_documents_come_from_the_xml_without_test_suites(copy: Path) -> None:
    records = Pair("he-en").open(DataOptions(folder=copy))
    assert [record["document"] for record in records] == ["ferry", "ferry", "lighthouse"]
    assert [list(record["references"]) for record in records] == [["refA", "refB"]] * 3
    xml = copy / WMT23.name / "xml" / "wmttest2023.he-en.all.xml"
    xml.write_text(xml.read_text("utf-8").replace("7:40", "8:40", 1), encoding="utf-8")
    with pytest.raises(DataError, match=r"other segments than txt/sources.*documents=no"):
        Pair("he-en").open(DataOptions(folder=copy))
    assert {r["document"] for r in Pair("he-en", documents=False).open(DataOptions(folder=copy))} == {""}
    xml.write_text("<dataset>", encoding="utf-8")
    with pytest.raises(DataError, match="cannot be read"):
        Pair("he-en").open(DataOptions(folder=copy))
    xml.unlink()
    records = Pair("he-en").open(DataOptions(folder=copy))
    assert (records.count, records.origin["config"]) == (3, "he-en without documents")


def test_files_that_do_not_fit_together(copy: Path) -> None:
    root = copy / WMT23.name
    with (root / "txt/references/generaltest2023.cs-uk.ref.refA.uk").open("a", encoding="utf-8") as file:
        file.write("one more\n")
    with pytest.raises(DataError, match="WMT23 cs-uk: 3 sources, but 4 references in refA"):
        Pair("cs-uk").open(DataOptions(folder=copy))
    (root / "tools/LLM-prompt/data-shots/shots.cs-uk.json").write_text('["x"]', encoding="utf-8")
    task = load_task("wmt23", {"pairs": "cs-uk"})
    assert task.dev is not None
    with pytest.raises(DataError, match="must be a list of objects with source and target"):
        task.dev.open(DataOptions(folder=copy))


def test_every_pair_of_the_small_set_has_its_examples() -> None:
    task = load_task("wmt23")
    assert task.dev is not None
    samples = [task.sample(record) for record in task.data.open(SMALL)]
    shots = [task.sample(record) for record in task.dev.open(SMALL)]
    assert [s.group for s in samples] == [pair for pair in SIZES for _ in range(3)]
    assert [s.group for s in shots] == [pair for pair in SIZES for _ in range(5)]
    assert len({s.id for s in (*samples, *shots)}) == 14 * 8


@pytest.mark.slow
def test_the_figures_of_a_run(tmp_path: Path) -> None:
    table = run("fake/gold", ["wmt23"], data="builtin", output=tmp_path / "run.db")
    cells = {cell.metric: cell for cell in table.cells}
    assert {name: round(cell.value or 0) for name, cell in cells.items()} == {
        "chrF2 (macro)": 100,
        "BLEU (macro)": 100,
    }
    assert {*cells["chrF2 (macro)"].groups} >= {*SIZES, "from English", "into English", "high resource"}
