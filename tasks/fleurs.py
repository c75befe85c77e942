"""FLEURS: sentences of Wikipedia read aloud in 102 languages (Conneau et al. 2022, arXiv 2205.12446).

Data: `mteb/fleurs` at cadac46, split test: a copy in Parquet of `google/fleurs`, whose script and archives
`datasets` no longer reads. Two or three people read each sentence; there are some hundred to a thousand clips
per language. CC BY 4.0. The sentences are the same in all languages, and intervals resample sentences, each
with all its clips in all languages.

Languages: the report's figure is over 62 languages, which it does not list. `languages=82`, the default, are
those that Whisper's authors scored, which include the 62 (`evalkit.tasks.speech_languages`), so **the figure
is not the report's**. `all` are the 102. Codes can also be given, separated by commas, such as en_us,ja_jp.
They are run in this order, and each is downloaded when it is reached.

Measure: the mean over the languages of their error rates, with equal weights. Words are counted, but
characters in Mandarin, Japanese, Korean and Thai (report, section 5.2.4), and in Cantonese. `--set
cer=whisper` counts characters in Lao and Burmese instead of Korean, as Whisper's paper does. `normaliser` is
the same for all languages, or `auto`: Whisper's English rules for English, its basic ones for the others. The
reports name none.

Reference: `transcription`, lower-case and without punctuation, which Whisper's authors score (openai/whisper
at c0d2f62, notebooks/Multilingual_ASR.ipynb); not `raw_transcription`. It has numbers as they were written,
so that outside English, a number written as a word counts as wrong.

Prompt and replies: `evalkit.tasks.speech_recognition`. The report's Pro was trained on FLEURS; without it
its error rate is 15.8 % instead of 7.6.
"""

from __future__ import annotations

from evalkit.api import PART, Audio, Hub, Parts, Record, Sample, Task, UsageError, sample_id, task, unknown

from .speech_languages import FLEURS, FLEURS_REVISION, WHISPER_FLEURS
from .speech_recognition import chosen, recognition, spoken
from .speech_sizes import FLEURS_TEST, sizes_of

SETS = {"82": WHISPER_FLEURS, "all": tuple(FLEURS)}
CER = ("report", "whisper")
NOT_LISTED = (
    "the report does not say which 62 languages; 82 are those of Whisper's paper, with the 62 among them"
)


def to_sample(record: Record) -> Sample:
    """A clip with its transcript; `id` is the sentence's number, the same in all languages and readings."""
    key = record[PART]
    clip = Audio.of(record["audio"])
    return Sample(
        id=sample_id(key, str(record["id"]), clip.key),
        input="",
        target=(record["transcription"],),
        group=key,
        cluster=str(record["id"]),
        meta=spoken(FLEURS[key]),
        media=(clip,),
    )


@task("fleurs", report="Table 11")
def fleurs(*, languages: str = "82", cer: str = "report", normaliser: str = "auto") -> Task:
    """Sentences read aloud in 82 languages (Conneau et al. 2022); the report's 62 are among them"""
    if languages == "62":
        raise UsageError(f"languages=62 cannot be asked: {NOT_LISTED}")
    if cer not in CER:
        raise unknown("list of languages with characters", cer, CER)
    columns = ("id", "audio", "transcription")
    keys = chosen(languages, FLEURS, SETS, "FLEURS")
    parts = (
        (key, Hub("mteb/fleurs", key, split="test", revision=FLEURS_REVISION, columns=columns))
        for key in keys
    )
    return recognition(
        data=Parts(dict(parts)),
        sample=to_sample,
        name="82",
        source="Gemini 1.0 report, table 11; the instruction is evalkit's",
        normaliser=normaliser,
        units=cer,
        macro=True,
        languages=keys,
        sizes=sizes_of(FLEURS_TEST, keys),
        unavailable={"62": NOT_LISTED},
    )
