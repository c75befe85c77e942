"""Multilingual LibriSpeech: audiobooks in eight languages (Pratap et al. 2020, arXiv 2012.03411).

Data, split test, CC BY 4.0: English from `parler-tts/mls_eng` at faf6604, the other seven languages from
`facebook/multilingual_librispeech` at 2e83e61, which does not have English. Intervals resample speakers;
Polish has only four, so its interval does not mean much.

Languages: `en`, the default, is the language of the report ("en-us"). `all` are the eight; codes can also be
given, separated by commas. The figure of several languages is their mean, with equal weights.

Measure: word error rate. `normaliser` is the same for all languages, or `auto`: Whisper's English rules for
English, its basic ones for the others. References are lower-case, without punctuation, with numbers in words.

Prompt and replies: `evalkit.tasks.speech_recognition`.
"""

from __future__ import annotations

from evalkit.api import PART, Audio, Hub, Parts, Record, Sample, Task, sample_id, task

from .speech_languages import MLS
from .speech_recognition import chosen, recognition, spoken
from .speech_sizes import MLS_TEST, sizes_of

ENGLISH = "faf6604dcf0bb9ec0d9c280a140ad74da9c931b0"
OTHERS = "2e83e61823b4c47dcbcb1980bb88601274127609"
COLUMNS = ("audio", "transcript", "speaker_id")
SETS = {"all": tuple(MLS)}


def to_sample(record: Record) -> Sample:
    """A clip with its transcript. The id is a hash, because the English copy has no ids of clips."""
    key = record[PART]
    clip = Audio.of(record["audio"])
    return Sample(
        id=sample_id(key, record["transcript"], clip.key),
        input="",
        target=(record["transcript"],),
        group=key,
        cluster=f"{key} {record['speaker_id']}",
        meta=spoken(MLS[key]),
        media=(clip,),
    )


def place(key: str) -> Hub:
    """The data set with the clips of a language."""
    if key == "en":
        return Hub("parler-tts/mls_eng", "default", split="test", revision=ENGLISH, columns=COLUMNS)
    config = MLS[key].name.lower()
    return Hub("facebook/multilingual_librispeech", config, split="test", revision=OTHERS, columns=COLUMNS)


@task("mls", report="Table 11")
def mls(*, languages: str = "en", normaliser: str = "auto") -> Task:
    """Audiobooks in English, or in eight languages (Pratap et al. 2020)"""
    keys = chosen(languages, MLS, SETS, "MLS")
    return recognition(
        data=Parts({key: place(key) for key in keys}),
        sample=to_sample,
        name="0-shot",
        source="Gemini 1.0 report, table 11; the instruction is evalkit's",
        normaliser=normaliser,
        macro=True,
        sizes=sizes_of(MLS_TEST, keys),
    )
