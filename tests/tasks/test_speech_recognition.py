"""Speech recognition: records as the data sets have them, the prompts to the letter, what is judged how."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest
from evalkit.tasks import asr, fleurs, librispeech, mls, speech_languages, speech_recognition, voxpopuli

from evalkit.api import (
    Answer,
    Audio,
    Final,
    Hub,
    Message,
    Sample,
    Scored,
    Speech,
    Task,
    UsageError,
    Verdict,
)
from evalkit.benchmark.task import TaskFactory, build
from evalkit.data import Local
from evalkit.data.audio_folder import AudioFolder
from evalkit.data.parts import PART, Parts
from evalkit.metrics.base import MACRO, traits_of

CLIP = b"RIFF a clip"
STORED = {"bytes": CLIP, "path": "a.wav"}
ROWS: dict[str, dict[str, Any]] = {
    "fleurs": {PART: "fr_fr", "id": 7, "audio": STORED, "transcription": "deux bateaux rouges"},
    "voxpopuli": {
        PART: "de", "audio_id": "s-1", "audio": STORED, "speaker_id": "12",
        "normalized_text": "zwei boote", "raw_text": "Zwei Boote.",
    },
    "mls": {PART: "en", "audio": STORED, "transcript": "two red boats", "speaker_id": 5},
    "librispeech": {"id": "1-2-0003", "audio": STORED, "text": "TWO RED BOATS", "speaker_id": 1},
}  # fmt: skip
FACTORIES: dict[str, TaskFactory] = {
    "fleurs": fleurs.fleurs, "voxpopuli": voxpopuli.voxpopuli, "mls": mls.mls,
    "librispeech": librispeech.librispeech,
}  # fmt: skip
NAMES = {"fleurs": "82", "voxpopuli": "14", "mls": "0-shot", "librispeech": "0-shot"}


def read(name: str, **changes: Any) -> tuple[Task, Sample]:
    task = build(FACTORIES[name])
    return task, task.sample({**ROWS[name], **changes})


def judged(task: Task, response: str, sample: Sample) -> Verdict:
    answer = task.extract(task.protocols[0])(response, sample)
    assert answer is not None
    verdict = task.scorer(answer, sample)
    assert not inspect.isawaitable(verdict)
    return verdict


@pytest.mark.parametrize(
    ("name", "group", "cluster", "target", "meta"),
    [
        ("fleurs", "fr_fr", "7", "deux bateaux rouges", {"language": "fr", "spoken": "French"}),
        ("voxpopuli", "de", "de 12", "zwei boote", {"language": "de", "spoken": "German"}),
        ("mls", "en", "en 5", "two red boats", {"language": "en", "spoken": "English"}),
        ("librispeech", "en", "1", "TWO RED BOATS", {"language": "en", "spoken": "English"}),
    ],
)
def test_a_record(name: str, group: str, cluster: str, target: str, meta: object) -> None:
    _, sample = read(name)
    assert (sample.group, sample.cluster, sample.target) == (group, cluster, (target,))
    assert (sample.meta, sample.media) == (meta, (Audio(CLIP),))


@pytest.mark.parametrize(
    ("name", "other"),
    [("fleurs", {PART: "de_de"}), ("fleurs", {"id": 8}), ("fleurs", {"audio": {"bytes": b"RIFF b"}}),
     ("mls", {PART: "de"}), ("mls", {"transcript": "x"}), ("mls", {"audio": {"bytes": b"RIFF b"}}),
     ("voxpopuli", {PART: "en_accented"}), ("voxpopuli", {"audio_id": "s-2"}),
     ("librispeech", {"id": "9"})],
)  # fmt: skip
def test_other_clips_have_other_names(name: str, other: dict[str, Any]) -> None:
    """Several people read one sentence of FLEURS; a speech may be in two sets of VoxPopuli."""
    assert read(name)[1].id == read(name)[1].id
    assert read(name)[1].id != read(name, **other)[1].id


@pytest.mark.parametrize("nobody", ["", "None", None])
def test_clips_of_unknown_speakers_are_no_cluster(nobody: object) -> None:
    assert read("voxpopuli", speaker_id=nobody)[1].cluster == ""


@pytest.mark.parametrize("missing", [None, "", " ", "None"])
def test_a_missing_transcript_is_no_silence(missing: str | None) -> None:
    """Something is said in these clips: nothing heard is not right, and a transcript is not wrong."""
    assert read("voxpopuli", normalized_text=missing)[1].target == ()


@pytest.mark.parametrize(
    ("factory", "options", "name"),
    [(fleurs.fleurs, {"languages": "ja_jp"}, "CER"),
     (fleurs.fleurs, {"languages": "ja_jp,yue_hant_hk"}, "CER"),
     (fleurs.fleurs, {"languages": "ja_jp,fr_fr"}, "WER"), (fleurs.fleurs, {"languages": "my_mm"}, "WER"),
     (fleurs.fleurs, {"languages": "my_mm", "cer": "whisper"}, "CER"), (asr.asr, {"language": "ko"}, "CER"),
     (asr.asr, {"language": "ko", "unit": "word"}, "WER"), (asr.asr, {}, "WER"),
     (asr.asr, {"unit": "character"}, "CER"), (asr.asr, {"language": "locale"}, "WER")],
)  # fmt: skip
def test_what_counts_characters_is_called_cer(
    factory: TaskFactory, options: dict[str, str], name: str
) -> None:
    assert {metric.name.split(" ")[0] for metric in build(factory, options).metrics} == {name, "over"}


def test_the_parliament_s_own_text() -> None:
    task = build(voxpopuli.voxpopuli, {"text": "raw_text"})
    assert task.sample(ROWS["voxpopuli"]).target == ("Zwei Boote.",)
    with pytest.raises(UsageError, match="unknown text 'raw'"):
        build(voxpopuli.voxpopuli, {"text": "raw"})


@pytest.mark.parametrize("name", FACTORIES)
def test_what_is_asked(name: str) -> None:
    """The clip and no hint, under every benchmark the same."""
    task, sample = read(name)
    chat, endpoint = task.protocols
    assert (chat.name, endpoint.name) == (NAMES[name], f"{NAMES[name]}-transcribe")
    assert (chat.api, endpoint.api, task.media) == ("chat", "transcription", ("audio",))
    assert task.prompt(sample, chat) == (
        Message(
            "user",
            (
                "Write down the speech in this clip, word for word, in the language that is spoken. "
                "Reply with the transcript and nothing else.\n",
                Audio(CLIP),
            ),
        ),
    )
    assert task.prompt(sample, endpoint) == Speech(Audio(CLIP))


@pytest.mark.parametrize(
    ("key", "name", "code"),
    [("fr_fr", "French", "fr"), ("cmn_hans_cn", "Mandarin Chinese", "zh"), ("yue_hant_hk", "Cantonese", "")],
)
def test_with_a_hint(key: str, name: str, code: str) -> None:
    """An endpoint takes ISO 639-1 only; a language without has no hint there."""
    task, sample = read("fleurs", **{PART: key})
    chat, endpoint = (protocol.override({"language_hint": "on"}) for protocol in task.protocols)
    asked = task.prompt(sample, chat)
    assert isinstance(asked, tuple)
    (message,) = asked
    assert message.text == (
        f"Write down the {name} speech in this clip, word for word. "
        "Reply with the transcript and nothing else.\n"
    )
    assert task.prompt(sample, endpoint) == Speech(Audio(CLIP), language=code)


def test_the_whole_reply_counts_and_nothing_is_an_answer() -> None:
    task, sample = read("mls")
    assert judged(task, " Two red boats.\n", sample) == Verdict(True, "no edit of 3 words")
    assert judged(task, " \n", sample) == Verdict(False, "3 deletions of 3 words")
    told = judged(task, "I am sure that it is two red boats", sample)
    assert told == Verdict(False, "6 insertions of 3 words")
    assert judged(task, "The transcript is: two red boats", sample) == Verdict(True, "no edit of 3 words")


@pytest.mark.parametrize(
    ("reference", "language"),
    [("two red boats", "en_us"), ("", "en_us"), ("...", "fr_fr"), ("zqxjkvw", "de_de"),
     ("二つの赤い船", "ja_jp"), ("น้ำ", "th_th"), ("mmm hmm", "en_us"), ("ЖЗ", "ru_ru"),
     ("1,000 £5.50", "en_us")],
)  # fmt: skip
def test_gold_is_right_and_what_is_wrong_is_all_wrong(reference: str, language: str) -> None:
    task, sample = read("fleurs", **{PART: language, "transcription": reference})
    protocol = task.protocols[0]
    assert judged(task, task.gold(sample, protocol), sample).correct
    rate = task.metrics[0]
    for text in task.wrong_responses(sample, protocol):
        verdict = judged(task, text, sample)
        assert not verdict.correct
        kept = rate.columns.index("hits")
        scored = Scored(Answer((Final(text),)), (False,))
        assert rate.statistics(sample, scored)[kept] == 0, verdict.reason


def parts(task: Task) -> dict[str, Hub]:
    assert isinstance(task.data, Parts)
    return {key: hub for key, hub in task.data.parts.items() if isinstance(hub, Hub)}


def test_where_the_clips_are() -> None:
    assert set(parts(build(fleurs.fleurs))) == set(speech_languages.WHISPER_FLEURS)
    assert list(parts(build(fleurs.fleurs, {"languages": "all"}))) == sorted(speech_languages.FLEURS)
    assert len(parts(build(voxpopuli.voxpopuli, {"languages": "all"}))) == 17
    everyone = parts(build(mls.mls, {"languages": "all"}))
    assert {key: (hub.name, hub.config) for key, hub in everyone.items()} == {
        "de": ("facebook/multilingual_librispeech", "german"),
        "en": ("parler-tts/mls_eng", "default"),
        "es": ("facebook/multilingual_librispeech", "spanish"),
        "fr": ("facebook/multilingual_librispeech", "french"),
        "it": ("facebook/multilingual_librispeech", "italian"),
        "nl": ("facebook/multilingual_librispeech", "dutch"),
        "pl": ("facebook/multilingual_librispeech", "polish"),
        "pt": ("facebook/multilingual_librispeech", "portuguese"),
    }
    for factory in (fleurs.fleurs, voxpopuli.voxpopuli, mls.mls):
        for key, hub in parts(build(factory)).items():
            assert (hub.split, len(hub.revision)) == ("test", 40)
            assert hub.config == (key if factory is not mls.mls else "default")
    other = build(librispeech.librispeech, {"subset": "other"}).data
    assert isinstance(other, Hub)
    assert (other.name, other.config, other.split) == ("openslr/librispeech_asr", "other", "test")


def test_languages_are_named_once_and_in_order() -> None:
    chosen = speech_recognition.chosen
    known = speech_languages.MLS
    assert chosen("fr, de,fr", known, {}, "MLS") == ("fr", "de")
    for wrong in ("", "de,", "de,,fr", "DE"):
        with pytest.raises(UsageError, match="unknown language of MLS"):
            chosen(wrong, known, {}, "MLS")


@pytest.mark.parametrize("name", FACTORIES)
def test_options_that_nobody_knows(name: str) -> None:
    with pytest.raises(UsageError, match="unknown normaliser 'whisper'"):
        build(FACTORIES[name], {"normaliser": "whisper"})
    if name == "fleurs":
        with pytest.raises(UsageError, match="unknown list of languages with characters 'word'"):
            build(fleurs.fleurs, {"cer": "word"})
    if name == "librispeech":
        with pytest.raises(UsageError, match="unknown subset 'dirty'"):
            build(librispeech.librispeech, {"subset": "dirty"})


def test_a_normaliser_and_units_reach_the_judge_and_the_figures() -> None:
    task = build(asr.asr, {"normaliser": "none", "unit": "character", "language": "en"})
    sample = task.sample({"audio": STORED, "transcription": "Two"})
    assert judged(task, "two", sample) == Verdict(False, "1 substitution of 3 characters")
    assert [metric.name for metric in task.metrics] == ["CER", "CER (insertions)", "over 100 %"]
    with pytest.raises(UsageError, match="unknown rule for units 'letters'"):
        build(asr.asr, {"unit": "letters"})


@pytest.mark.parametrize(
    ("text", "code"),
    [("en", "en"), ("EN", "en"), ("en-GB", "en"), ("pt_BR", "pt"), ("cmn_hans_cn", "zh"), ("zh-TW", "zh"),
     ("yue", "yue"), ("", ""), ("language", None), ("xx", None), ("None", None)],
)  # fmt: skip
def test_codes_of_languages(text: str, code: str | None) -> None:
    found = asr.known(text)
    assert (found.code if found else None) == code


def test_a_column_says_the_language_and_the_figure_is_their_mean() -> None:
    task = build(asr.asr, {"language": "tongue"})
    assert [(metric.name, traits_of(metric).average) for metric in task.metrics[:2]] == [
        ("WER (macro)", MACRO), ("WER", ""),
    ]  # fmt: skip
    row = {"audio": STORED, "transcription": "x", "tongue": "de-AT"}
    assert (task.sample(row).group, task.sample(row).meta["spoken"]) == ("de", "German")
    for nothing in ("", None, "German"):  # in no group it would be left out of the mean
        with pytest.raises(ValueError, match="must be the code of a language"):
            task.sample({**row, "tongue": nothing})


@pytest.mark.parametrize("text", [7, ["x"]])
def test_a_transcript_that_is_no_text_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"'transcription' is .*, which is no transcript"):
        build(asr.asr).sample({"audio": STORED, "transcription": text})


def test_a_missing_transcript_of_one_s_own_is_no_silence() -> None:
    task = build(asr.asr)
    for row in ({"audio": STORED, "transcription": None}, {"audio": STORED}):
        assert task.sample(row).target == ()
    assert task.sample({"audio": STORED, "transcription": ""}).target == ("",)


def test_nothing_is_said_in_a_clip_with_an_empty_transcript() -> None:
    task = build(asr.asr, {"language": "en"})
    silence = task.sample({"audio": STORED, "transcription": ""})
    assert judged(task, "", silence) == Verdict(True, "no edit of 0 words")
    made_up = judged(task, "Thank you for watching!", silence)
    assert made_up == Verdict(False, "4 insertions of 0 words")


def test_whose_folder_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list in the folder, or in its `test`; other shapes; a data set of the Hub; evalkit's own clips."""
    monkeypatch.chdir(tmp_path)
    line = json.dumps({"file_name": "a.wav", "transcription": "x"})
    for place in ("calls", "sets/one/test", "sets/one/dev"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "metadata.jsonl").write_text(line)
    (tmp_path / "tables").mkdir()

    def data(dataset: str, split: str = "") -> object:
        return build(asr.asr, {"dataset": dataset, "split": split}).data

    columns = ("audio", "transcription")
    assert data("calls") == AudioFolder(Path("calls"), "", columns)
    assert data("sets/one") == AudioFolder(Path("sets/one"), "test", columns)
    assert data("sets/one", "dev") == AudioFolder(Path("sets/one"), "dev", columns)
    assert data("./tables") == Local(Path("tables"), "default", "test", columns)
    assert data("owner/name", "dev") == Hub("owner/name", "default", "dev", "main", columns)
    assert data("") == Hub("evalkit/speech", "default", "test", "main", columns)
    for split in ("../calls", "/etc"):
        with pytest.raises(UsageError, match="must be a folder inside"):
            data("calls", split)
