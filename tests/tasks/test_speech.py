"""The benchmarks of speech: what is asked, in which languages, and how it counts."""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from evalkit.tasks.speech_languages import FLEURS, ISO, WHISPER_FLEURS, XTREME_S_VOXPOPULI

from evalkit.benchmark.task import load_task
from evalkit.data import DataOptions
from evalkit.engine.cell import CellPlan
from evalkit.engine.check import check
from evalkit.engine.plan import make_plan
from evalkit.errors import DataError, UsageError
from evalkit.models.fake import FakeModel
from evalkit.samples import Audio, Prompt, Sample, Speech
from evalkit.scoring import speech
from tests.engine.test_speech_over_http import folder

SMALL = DataOptions(small_sets=True)
NOBODY = FakeModel(lambda request, draw: "")
ALL = ("asr", "ast", "covost2", "fleurs", "fleurs-ast", "librispeech", "mls", "voxpopuli")


def planned(spec: str, **settings: str) -> CellPlan:
    (cell,) = make_plan(NOBODY, [spec], settings=settings, data=SMALL).cells
    return cell


def samples(cell: CellPlan) -> list[Sample]:
    return [sample for _, sample in cell.samples()]


def words(prompt: Prompt) -> str:
    assert isinstance(prompt, tuple)
    return prompt[0].text


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_references_are_right_and_wrong_ones_are_not(name: str) -> None:
    results = list(check(name, SMALL))
    assert {result.protocol for result in results} == {p.name for p in load_task(name).protocols}
    for result in results:
        lower_is_better = result.unit == "%"
        assert result.passed, result.problems
        assert result.gold == (0.0 if lower_is_better else pytest.approx(100.0))
        assert result.wrong >= 99 if lower_is_better else result.wrong < 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_every_clip_is_played_and_no_transcript_is_shown(name: str) -> None:
    cell = planned(name)
    for sample in samples(cell):
        (media,) = sample.media
        assert isinstance(media, Audio)
        assert len(media.data) > 1000
        assert sample.target[0] not in words(cell.task.prompt(sample, cell.protocol))
    assert len({sample.id for sample in samples(cell)}) == len(samples(cell))


@pytest.mark.slow
def test_the_languages() -> None:
    assert (len(FLEURS), len(WHISPER_FLEURS), len(XTREME_S_VOXPOPULI)) == (102, 82, 14)
    assert FLEURS["cmn_hans_cn"].code == "zh"
    assert ISO["de"].name == "German"
    groups = {sample.group for sample in samples(planned("fleurs"))}
    assert groups == set(WHISPER_FLEURS)
    assert {s.group for s in samples(planned("voxpopuli"))} == set(XTREME_S_VOXPOPULI)
    assert len({s.group for s in samples(planned("covost2"))}) == 21
    mls = {"de", "en", "es", "fr", "it", "nl", "pl", "pt"}
    assert {s.group for s in samples(planned("mls", languages="all"))} == mls


@pytest.mark.slow
def test_some_languages_only() -> None:
    assert [s.group for s in samples(planned("fleurs", languages="fr_fr,ja_jp"))] == ["fr_fr"] * 2 + ["ja_jp"]
    assert {s.group for s in samples(planned("covost2", languages="zh-CN, sv"))} == {"zh", "sv"}
    for task, languages, said in (
        ("fleurs", "frfr", "unknown language of FLEURS 'frfr': did you mean fr_fr"),
        ("fleurs", "62", "languages=62 cannot be asked: the report does not say which 62 languages"),
        ("covost2", "xx", "unknown language of CoVoST 2 'xx'"),
        ("voxpopuli", "pt", "unknown language of VoxPopuli 'pt'"),
        ("fleurs-ast", "fr", "unknown language of FLEURS 'fr'"),
    ):
        with pytest.raises(UsageError, match=said):
            planned(task, languages=languages)
    with pytest.raises(UsageError, match="fleurs:62 cannot be asked: the report"):
        planned("fleurs:62")


@pytest.mark.slow
def test_the_signature_names_the_normalisers_and_what_is_counted() -> None:
    def notes(spec: str, **settings: str) -> dict[str, object]:
        cell = planned(spec, **settings)
        return dict(cell.task.notes(cell.protocol))

    assert notes("fleurs") == {
        "normaliser": "whisper-english for en, whisper-basic else", "characters": "ja,ko,th,yue,zh",
        "whisper-normalizer": version("whisper-normalizer"), "jiwer": version("jiwer"),
    }  # fmt: skip
    assert notes("fleurs", cer="whisper")["characters"] == "ja,lo,my,th,yue,zh"
    assert notes("mls", normaliser="none")["normaliser"] == "none"
    assert [notes("asr", unit=unit)["characters"] for unit in ("character", "word")] == ["all", "none"]


@pytest.mark.slow
def test_the_report_counts_characters_in_four_languages() -> None:
    """A wrong sign of Mandarin is one of six, a wrong word of French one of four."""
    cell = planned("fleurs", languages="cmn_hans_cn,fr_fr,lo_la")
    reasons = {}
    for sample in samples(cell):
        verdict = cell.task.scorer(f"x{sample.target[0][1:]}", sample)
        reasons[sample.group] = getattr(verdict, "reason", "")
    assert "characters" in reasons["cmn_hans_cn"]
    assert "word" in reasons["fr_fr"]
    assert "word" in reasons["lo_la"]
    cell = planned("fleurs", languages="lo_la", cer="whisper")
    (lao,) = samples(cell)
    assert "characters" in getattr(cell.task.scorer("x", lao), "reason", "")


@pytest.mark.slow
def test_what_an_endpoint_and_what_a_chat_is_asked() -> None:
    cell = planned("covost2:21-transcribe", languages="de", language_hint="on")
    (first, *_) = samples(cell)
    assert cell.task.prompt(first, cell.protocol) == Speech(first.media[0], True, "de")  # type: ignore[arg-type]
    plain = cell.task.protocol("21-transcribe")
    assert cell.task.prompt(first, plain) == Speech(first.media[0], True, "")  # type: ignore[arg-type]
    chat = planned("fleurs", languages="de_de", language_hint="on")
    assert "German speech" in words(chat.task.prompt(samples(chat)[0], chat.protocol))
    into = planned("fleurs-ast", languages="en_us", target="pt_br")
    assert "into Portuguese" in words(into.task.prompt(samples(into)[0], into.protocol))
    assert [p.name for p in into.task.protocols] == ["0-shot"], "endpoints translate into English alone"


@pytest.mark.parametrize("package", ["soundfile", "soxr", "jiwer", "whisper_normalizer.basic"])
def test_without_a_library_nothing_is_asked(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    speech._rules.cache_clear()
    with pytest.raises(UsageError, match=r"pip install 'evalkit\[speech\]'"):
        planned("librispeech")
    monkeypatch.undo()
    speech._rules.cache_clear()
    assert planned("librispeech").protocol.name == "0-shot"


def test_bleu_is_in_the_words_of_the_target() -> None:
    names = {code: load_task("ast", {"target": code}).metrics[0] for code in ("de", "zh", "ja", "ko")}
    assert {code: getattr(metric, "tokeniser", "") for code, metric in names.items()} == {
        "de": "13a", "zh": "zh", "ja": "ja-mecab", "ko": "ko-mecab",
    }  # fmt: skip
    task = load_task("ast", {"target": "de"})
    assert "tok:13a" in str(task.notes(task.protocols[0])["BLEU"])


@pytest.mark.slow
def test_pairs_are_of_one_sentence() -> None:
    pairs = {s.group: (s.input, s.target[0]) for s in samples(planned("fleurs-ast", languages="fr_fr,de_de"))}
    assert pairs["fr_fr"][1] in {"The boat is red.", "The dog drinks water."}
    assert pairs["de_de"][1] in {"The boat is red.", "The dog drinks water."}


def test_ones_own_clips(tmp_path: Path) -> None:
    """A folder with a list; the same list as CSV; and what can be wrong with it."""
    place = folder(tmp_path / "calls")

    def read(**settings: str) -> list[Sample]:
        (cell,) = make_plan(NOBODY, ["asr"], settings={"dataset": str(place), **settings}).cells
        return samples(cell)

    assert [s.target[0] for s in read()] == ["One boat.", "Two red boats.", "Drei Boote."]
    assert [s.id for s in read()] == ["one.wav", "two.flac", "drei.ogg"]
    assert [s.group for s in read(language="language")] == ["en", "en", "de"]
    assert [s.meta["spoken"] for s in read(language="en_us")] == ["English"] * 3
    rows = [json.loads(line) for line in (place / "metadata.jsonl").read_text("utf-8").splitlines()]
    table = "\n".join(["file_name,transcription", *(f"{r['file_name']},{r['transcription']}" for r in rows)])
    (place / "metadata.jsonl").rename(place / "old.jsonl")
    (place / "metadata.csv").write_text(table, encoding="utf-8")
    assert [s.target[0] for s in read()] == ["One boat.", "Two red boats.", "Drei Boote."]
    with pytest.raises(DataError, match="no column sentence among"):
        read(text="sentence")
    (place / "metadata.csv").write_text("file_name,transcription\n../../etc/passwd,x\n", encoding="utf-8")
    with pytest.raises(DataError, match="a file outside of itself"):
        read()
    with pytest.raises(UsageError, match="unknown normaliser 'whisper'"):
        read(normaliser="whisper")
    with pytest.raises(UsageError, match="must be a folder inside"):
        read(split="../elsewhere")
