"""Any speech to be written down: your own set, without code.

    evalkit run -m openai/my-model -t asr --set dataset=./calls --set language=en
    evalkit run -m openai/my-model -t asr --set dataset=owner/name --set text=sentence --set language=locale

`dataset` is a folder of WAV, FLAC, Ogg, MP3, M4A or other files with a metadata.jsonl or metadata.csv, whose
lines name a file (`file_name`) and have its transcript; a folder in any other shape that `datasets` reads; or
`owner/name` on the Hub. `split` is a folder's subfolder or a data set's split: without it the folder itself,
else "test". `--data builtin` asks a few clips of evalkit's own. `audio` and `text` name columns.

A transcript that is empty is one: nothing is said in the clip, and whatever is heard there is inserted.

`language` is what is spoken, one of FLEURS's languages by ISO 639-1 or FLEURS's own code ("en", "en_us"), or
the column that says so for each clip; then the figure is the mean over the languages, each counting the same.
Without it nothing is known of the language: Whisper's basic rules, and words.

`normaliser` is `auto` (Whisper's English rules for English, its basic ones else), `whisper-english`,
`whisper-basic` or `none`. `unit` is what is counted: `word`, `character`, or by the language, `report`
(characters for Mandarin, Japanese, Korean and Thai) or `whisper` (for Chinese, Japanese, Thai, Lao, Burmese).

Prompt and replies: `evalkit.tasks.speech_recognition`.
"""

from __future__ import annotations

from collections.abc import Callable

from evalkit.api import AUDIO_FILE, Audio, Record, Sample, Task, sample_id, task

from .speech_languages import FLEURS, ISO, Language
from .speech_recognition import place, recognition, spoken

UNKNOWN = Language("", "")


def reader(audio: str, text: str, language: str) -> Callable[[Record], Sample]:
    """How a record is read; `audio` and `text` are columns, `language` is one, a code, or "".

    A sample has its file's name, where a list in the folder says it.

    A record without a transcript is a `ValueError`: nothing could be scored. An empty text is one: of a clip
    where nothing is said.
    """
    fixed = known(language)

    def sample(record: Record) -> Sample:
        if not isinstance(record[text], str):
            raise ValueError(f"{text!r} has no transcript")
        said = fixed or known(str(record[language] or "?"))  # "" would be a language of no group
        if said is None:
            raise ValueError(f"{language!r} is {record[language]!r}, which is no code of a language")
        clip = Audio.of(record[audio])
        return Sample(
            id=record.get(AUDIO_FILE) or sample_id(record[text], clip.key),
            input="",
            target=(record[text],),
            group=said.code,
            cluster=clip.key,
            meta=spoken(said),
            media=(clip,),
        )

    return sample


def known(language: str) -> Language | None:
    """The language of a code: of ISO 639-1 alone or with a region, or FLEURS's. None for any other text."""
    if not language:
        return UNKNOWN
    code = language.lower().replace("-", "_")
    return FLEURS.get(code) or ISO.get(code) or ISO.get(code.partition("_")[0])


@task("asr")
def asr(
    *,
    dataset: str = "",
    config: str = "default",
    split: str = "",
    audio: str = "audio",
    text: str = "transcription",
    language: str = "",
    normaliser: str = "auto",
    unit: str = "report",
) -> Task:
    """Your own speech to be written down: --set dataset=FOLDER"""
    by_column = known(language) is None
    columns = (audio, text, language) if by_column else (audio, text)
    return recognition(
        data=place(dataset, config, split, columns),
        sample=reader(audio, text, language),
        name="0-shot",
        source="evalkit",
        normaliser=normaliser,
        units=unit,
        macro=by_column,
        languages=(language,) if language and not by_column else (),
    )
