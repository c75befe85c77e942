"""LibriSpeech: English audiobooks (Panayotov et al. 2015, https://www.openslr.org/12).

Data: `openslr/librispeech_asr` at 71cacbf, split test: 2,620 clips of 40 speakers (`subset=clean`, the
default), 2,939 of 33 that are harder to understand (`subset=other`). CC BY 4.0. Intervals resample speakers.
The report does not print this benchmark; its Table 11 has the larger `mls`.

Measure: word error rate, after Whisper's English rules (`normaliser=auto`). References are in capitals,
without punctuation, with numbers in words.

Prompt and replies: `evalkit.tasks.speech_recognition`.
"""

from __future__ import annotations

from evalkit.api import Audio, Hub, Record, Sample, Task, task, unknown

from .speech_languages import ISO
from .speech_recognition import recognition, spoken

REVISION = "71cacbfb7e2354c4226d01e70d77d5fca3d04ba1"
SUBSETS = {"clean": 2620, "other": 2939}
"""The number of test clips of each subset."""


def to_sample(record: Record) -> Sample:
    """A clip with its transcript."""
    return Sample(
        id=record["id"],
        input="",
        target=(record["text"],),
        group="en",
        cluster=str(record["speaker_id"]),
        meta=spoken(ISO["en"]),
        media=(Audio.of(record["audio"]),),
    )


@task("librispeech")
def librispeech(*, subset: str = "clean", normaliser: str = "auto") -> Task:
    """English audiobooks (Panayotov et al. 2015)"""
    if subset not in SUBSETS:
        raise unknown("subset", subset, SUBSETS)
    return recognition(
        data=Hub(
            "openslr/librispeech_asr",
            subset,
            split="test",
            revision=REVISION,
            columns=("id", "audio", "text", "speaker_id"),
        ),
        sample=to_sample,
        name="0-shot",
        source="evalkit",
        normaliser=normaliser,
        sizes=(SUBSETS[subset], {"en": SUBSETS[subset]}),
    )
