"""CoVoST 2: sentences read aloud in 21 languages, translated into English (Wang et al. 2020,
arXiv 2007.10310).

Data: `fixie-ai/covost2` at 17c8c81, split test: the official one (facebookresearch/covost at 4cddf32,
`get_covost_splits.py`) with the clips of Common Voice 4 as they are, MP3. Japanese has 684 of them (25 MB),
Chinese 4,898, Russian takes 304 MB, all 21 several GB. The copy's card names no licence; its authors put
clips, transcripts and translations under CC0. `sentence` is the transcript, kept for reading and never shown.
The language is in the clip's name (`common_voice_zh-CN_18536372`). Intervals resample speakers (`client_id`).

Measure: BLEU of each language's whole corpus with sacreBLEU's defaults (`evalkit.metrics.bleu`: 13a, case
matters), then the mean over the languages, with equal weights; and chrF2. The report says "BLEU" and "21
languages" and no more. References and translations are compared as they are, neither lower-cased nor
normalised, as in fairseq's recipe for CoVoST (facebookresearch/fairseq at 06c9cef, covost_example.md).

`--set languages=fr,de` runs only these languages; codes are ISO 639-1, or the data's (sv-SE, zh-CN).

Prompt: the report prints none; the instruction is evalkit's (`evalkit.tasks.speech_translation`).
`21-transcribe` asks an endpoint such as Whisper's to translate the clip, without an instruction.
"""

from __future__ import annotations

import re

from evalkit.api import Audio, Hub, Parts, Record, Sample, Task, task

from .speech_recognition import chosen
from .speech_sizes import COVOST2_TEST, sizes_of
from .speech_translation import translation_task

REVISION = "17c8c81e331e7a6929118121771a58c7ef7331d8"
LANGUAGES = (
    "ar", "ca", "cy", "de", "es", "et", "fa", "fr", "id", "it", "ja", "lv", "mn", "nl", "pt", "ru", "sl",
    "sv", "ta", "tr", "zh",
)  # fmt: skip
"""`XX_EN_LANGUAGES["2"]` of the authors' script, by ISO 639-1."""
_IN_THE_DATA = {"sv": "sv-SE", "zh": "zh-CN"}
_BY_ITS_NAME = {_IN_THE_DATA.get(code, code): code for code in LANGUAGES}
_CLIP = re.compile(r"common_voice_([A-Za-z-]+)_[0-9]+")


def to_sample(record: Record) -> Sample:
    """A clip with its translation. Raises `ValueError` if its name has none of the 21 languages."""
    named = _CLIP.fullmatch(record["id"])
    if named is None or named[1] not in _BY_ITS_NAME:
        raise ValueError(f"the clip {record['id']!r} does not name one of the 21 languages")
    code = _BY_ITS_NAME[named[1]]
    return Sample(
        id=record["id"],
        input=record["sentence"],
        target=(record["translation"],),
        group=code,
        cluster=record["client_id"],
        meta={"language": code},
        media=(Audio.of(record["audio"]),),
    )


def codes_of(languages: str) -> tuple[str, ...]:
    """The ISO codes for `languages`: `21`, or codes separated by commas. Raises `UsageError`."""
    named = chosen(languages, (*LANGUAGES, *_IN_THE_DATA.values()), {"21": LANGUAGES}, "CoVoST 2")
    return tuple(dict.fromkeys(_BY_ITS_NAME.get(code, code) for code in named))


@task("covost2", report="Table 11")
def covost2(*, languages: str = "21") -> Task:
    """Speech in 21 languages translated into English (Wang et al. 2020)"""
    codes = codes_of(languages)
    columns = ("id", "client_id", "audio", "sentence", "translation")
    configs = ((code, f"{_IN_THE_DATA.get(code, code)}_en") for code in codes)
    parts = (
        (code, Hub("fixie-ai/covost2", config, split="test", revision=REVISION, columns=columns))
        for code, config in configs
    )
    return translation_task(
        Parts(dict(parts)),
        to_sample,
        target="en",
        macro=True,
        sizes=sizes_of(COVOST2_TEST, codes),
        chat="21",
        endpoint="21-transcribe",
        source="Gemini 1.0 report, table 11; the instruction is evalkit's",
    )
