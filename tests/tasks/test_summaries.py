"""XL-Sum, XSum and WikiLingua: records, prompts, how replies are read, and ROUGE by several rules."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from evalkit.tasks import summaries, wikilingua, xlsum, xsum

from evalkit.api import PART, DataOptions, Message, Sample, Task, UsageError, Verdict
from evalkit.benchmark.task import build, load_task
from evalkit.engine.check import check
from evalkit.engine.plan import make_plan
from evalkit.models.fake import FakeModel
from evalkit.scoring.rouge import SentencePiece
from evalkit.scoring.rouge_xlsum import XlSum
from tests.conformance.test_rouge import stop_words

__all__ = ["stop_words"]
SMALL = DataOptions(small_sets=True)
NOBODY = FakeModel(lambda request, draw: "")


def first(spec: str, **settings: str) -> tuple[Task, Sample, object]:
    (cell,) = make_plan(NOBODY, [spec], settings=settings, data=SMALL).cells
    (_, sample), *_ = cell.samples()
    return cell.task, sample, cell.task.prompt(sample, cell.protocol)


def judged(task: Task, answer: str, sample: Sample, variant: str = "") -> Verdict:
    judge = next(v.scorer for v in task.variants if v.name == variant) if variant else task.scorer
    assert judge is not None
    verdict = judge(answer, sample)
    assert not inspect.isawaitable(verdict)
    return verdict


@pytest.mark.slow
@pytest.mark.parametrize("name", ["xsum", "xlsum", "wikilingua"])
def test_references_are_right_and_others_are_not(name: str) -> None:
    for result in check(name, SMALL):
        assert result.passed, result.problems
        # By rouge_score as it is, only the languages in Latin script have a figure.
        assert result.gold == pytest.approx({"xsum": 100, "xlsum": 100 * 4 / 11, "wikilingua": 200 / 7}[name])
        assert result.wrong == 0


@pytest.mark.slow
def test_by_xl_sums_rule_references_are_right_in_every_language(stop_words: Path) -> None:
    (cell,) = make_plan(NOBODY, ["xlsum"], settings={"rules": "xlsum,plain"}, data=SMALL).cells
    for _, sample in cell.samples():
        verdict = judged(cell.task, sample.target[0], sample)
        assert verdict.values["rougeL"] == 1
        assert judged(cell.task, sample.input, sample).values["rougeL"] < 1


def test_a_prompt_shows_the_first_articles_of_the_same_language() -> None:
    task, sample, sent = first("xlsum", languages="turkish,english")
    assert isinstance(sent, tuple)
    (message,) = sent
    assert isinstance(message, Message)
    parts = message.text.split("\n\n")
    assert parts[0] == "Summarize the article in Turkish, in one or two sentences."
    assert [part.partition(":")[0] for part in parts[1:]] == ["Article", "Summary"] * 4
    assert parts[-2:] == [f"Article: {sample.input}", "Summary:"]
    assert parts[2] == "Summary: Küçük kasabada yeni kütüphane açıldı."
    assert sample.target[0] not in message.text
    assert (sample.group, sample.id, sample.cluster) == ("turkish", "turkish/turkish-4", "turkish/turkish-4")
    protocol = task.protocol("0-shot-chat")
    sent = task.prompt(sample, protocol)
    assert isinstance(sent, tuple)
    assert sent[0].text == f"{parts[0]} Reply with the summary only.\n\nArticle: {sample.input}"


def test_replies_are_read_up_to_a_blank_line_or_whole() -> None:
    task = load_task("xsum")
    sample = Sample("1", "", ("a town",), meta={"language": "english"})
    shots, chat = (task.extract(task.protocol(name)) for name in ("1-shot", "0-shot-chat"))
    reply = "\n A town.\nMore. \n\nArticle: another"
    assert shots(reply, sample) == "A town.\nMore."
    assert chat(reply, sample) == reply.strip()
    assert shots(" \n\n ", sample) is chat("\t", sample) is None


def test_zeros_are_shown_with_a_word() -> None:
    task = build(xlsum.xlsum)
    sample = Sample("1", "", ("ประเทศไทย",), meta={"language": "thai"})
    verdict = judged(task, "ประเทศไทย", sample)
    assert verdict.correct
    assert set(verdict.values.values()) == {0.0}
    assert "the rule finds no token in it" in verdict.reason
    assert "score 0 in other scripts" in str(task.notes(task.protocols[0])["plain"])


def test_several_references_count_by_the_best() -> None:
    record = {"gem_id": "t-1", "source": "…", "target": "Boil.", "references": ["Boil.", "Boil the water."]}
    sample = wikilingua.to_sample({**record, PART: "en"})
    assert sample.target == ("Boil.", "Boil the water.")
    assert wikilingua.to_sample({**record, "references": [], PART: "en"}).target == ("Boil.",)
    assert judged(build(wikilingua.wikilingua), "boil the water", sample).values["rougeL"] == 1


def test_articles_in_two_scripts_are_one_cluster() -> None:
    record = {"id": "1", "text": "a", "summary": "b"}
    one, other = (
        xlsum.to_sample({**record, PART: f"chinese_{script}"}) for script in ("simplified", "traditional")
    )
    assert one.cluster == other.cluster != xlsum.to_sample({**record, PART: "english"}).cluster
    assert one.id != other.id


def test_rules_are_chosen_and_named() -> None:
    task = build(xlsum.xlsum, {"rules": "xlsum,plain", "languages": "thai"})
    assert [metric.name for metric in task.metrics] == [
        "rougeL (xlsum, macro)", "rougeL (xlsum)", "rouge1 (xlsum, macro)", "rouge2 (xlsum, macro)",
        "rougeL (plain, macro)", "rougeL (plain)", "rouge1 (plain, macro)", "rouge2 (plain, macro)",
    ]  # fmt: skip
    named = build(xsum.xsum)
    assert [metric.name for metric in named.metrics][:4] == ["rougeL", "rouge1", "rouge2", "rougeL (stemmed)"]
    found = summaries.rules_of("plain", "pieces.model", ["english"])
    assert list(found) == ["plain", "sentencepiece"]
    assert isinstance(found["sentencepiece"], SentencePiece)
    languages = summaries.rules_of("xlsum", "", ["chinese_traditional", "thai"])["xlsum"]
    assert isinstance(languages, XlSum)
    assert languages.packages == ("jieba", "pythainlp")
    with pytest.raises(UsageError, match="rules=sentencepiece needs a model: --set tokenizer=FILE"):
        build(xlsum.xlsum, {"rules": "sentencepiece"})
    with pytest.raises(UsageError, match="unknown rule of ROUGE 'rouge'"):
        build(xsum.xsum, {"rules": "rouge"})
    with pytest.raises(UsageError, match="there is no such file"):
        build(xsum.xsum, {"tokenizer": "nowhere.model"}).needs()


def test_languages() -> None:
    assert len(xlsum.SIZES) == 45
    assert build(xlsum.xlsum).size == sum(build(xlsum.xlsum).group_sizes.values()) == 37747
    assert build(xlsum.xlsum, {"languages": "non-english"}).group_sizes.keys() == set(xlsum.TYDI) - {
        "english"
    }
    assert len(wikilingua.LANGUAGES) == 18
    with pytest.raises(UsageError, match="language of WikiLingua"):
        build(wikilingua.wikilingua, {"languages": "xx"})
