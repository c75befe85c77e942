"""Exports for sclite. sclite 2.10 (SCTK 2.4.10) read the texts here, and the docstring gives its counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.api import Audio, ErrorRate, Record, Sample, Speech, Task
from evalkit.benchmark.protocol import Protocol
from evalkit.errors import UsageError
from evalkit.models.fake import FakeModel
from evalkit.report.sclite import to_ctm, to_stm, to_trn, to_trn_references
from evalkit.runfile.store import Store
from evalkit.scoring.speech import score_speech
from evalkit.scoring.transcript import transcript
from evalkit.session import run
from tests.models.test_transcribe import clip
from tests.test_speech_tables import Spoken

SAID = {"b c": "red boats", "a%": "hello", "d": "", "e": "unknown", "f": "lost"}
HEARD = {"b c": "red  boat", "a%": "", "d": "hm", "e": "x"}
CLIPS = {name: Audio(clip(0.5 + place).data) for place, name in enumerate(SAID)}


def to_sample(record: Record) -> Sample:
    name, said = record["language"], record["text"]
    target = () if said is None else (said,)
    return Sample(name, "", target, cluster="Ann B", meta={"language": "en"}, media=(CLIPS[name],))


def stored(folder: Path, rows: dict[str, str | None]) -> Path:
    def say(request: object, draw: int) -> str:
        (name,) = (name for name, one in CLIPS.items() if one == request.prompt.audio)  # type: ignore[attr-defined]
        return HEARD[name]

    task = Task(
        name="spoken",
        data=Spoken(tuple(rows.items())),
        sample=to_sample,
        prompt=lambda sample, protocol: Speech(sample.media[0]),  # type: ignore[arg-type]
        answer=transcript,
        scorer=score_speech,
        metrics=(ErrorRate(),),
        protocols=(Protocol(name="0-shot", api="transcription"),),
        media=("audio",),
        gold=lambda sample, protocol: sample.target[0],
        wrong_responses=lambda sample, protocol: ("",),
    )
    run(FakeModel(say), task, output=folder / "r.db")
    return folder / "r.db"


def test_the_four_formats(tmp_path: Path) -> None:
    """sclite: 3 words, 1 correct, 1 substitution, 1 deletion, 1 insertion, in both pairs."""
    with Store.open(stored(tmp_path, {**SAID, "e": None})) as store:
        trn, references, stm, ctm = (form([store]) for form in (to_trn, to_trn_references, to_stm, to_ctm))
    assert trn.decode().splitlines() == ["red boat (b c)", "(a%)", "hm (d)"]
    assert references.decode().splitlines() == ["red boats (b c)", "hello (a%)", "(d)"]
    assert stm.decode().splitlines()[1:] == [
        "a%25 1 Ann%20B 0.000 1.500 <o> hello",
        "b%20c 1 Ann%20B 0.000 0.500 <o> red boats",
        "d 1 Ann%20B 0.000 2.500 <o>",
    ]
    first, second, *words = ctm.decode().splitlines()
    assert first.startswith(";; answers to spoken:0-shot")
    assert "spread evenly" in second
    assert words == [
        ";; no words: a%25", "b%20c 1 0.000000 0.250000 red", "b%20c 1 0.250000 0.250000 boat",
        "d 1 0.000000 2.500000 hm",
    ]  # fmt: skip


def test_what_has_no_length_or_no_id_of_its_own_is_refused(tmp_path: Path) -> None:
    path = stored(tmp_path, {"a%": "hello", "d": "x"})
    with Store.open(path, to_write=True) as store:
        store.connection.execute("UPDATE sample SET id = 'd'")
        for form in (to_stm, to_ctm):
            with pytest.raises(UsageError, match="several samples have the id 'd'"):
                form([store])
        store.connection.execute("UPDATE media SET seconds = 0")
        with pytest.raises(UsageError, match="--format ctm needs the length of each clip, and 'd' has none"):
            to_ctm([store])
        with pytest.raises(UsageError, match="--format stm is of one benchmark, and these runs hold 2"):
            to_stm([store, store])
