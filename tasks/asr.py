"""Transcription of your own clips, without code.

    evalkit run -m openai/my-model -t asr --set dataset=./calls --set language=en
    evalkit run -m openai/my-model -t asr --set dataset=owner/name --set text=sentence --set language=locale

`dataset` is a folder of WAV, FLAC, Ogg, MP3, M4A or other files with a metadata.jsonl or metadata.csv, whose
lines name a file (`file_name`) and have its transcript; a folder in any other form that `datasets` reads; or
`owner/name` on the Hub. `split` is a folder's subfolder or a data set's split; the default is the folder
itself, or else "test". `--data builtin` uses a few clips of evalkit's own. `audio` and `text` name columns.

An empty transcript is a transcript: nothing is said in the clip, and every transcribed word is an insertion;
a note counts such clips. If a transcript is missing (null, or no such entry in a line), the clip is asked,
counted in a note, and not scored.

`language` is the language that is spoken, one of FLEURS's languages by ISO 639-1 or FLEURS's own code ("en",
"en_us"), or the column that has each clip's language; then the figure is the mean over the languages, with
equal weights. Without it, Whisper's basic rules apply, and words are counted.

`normaliser` is `auto` (Whisper's English rules for English, its basic ones otherwise), `whisper-english`,
`whisper-basic` or `none`. `unit` is what is counted: `word`, `character`, or, depending on the language,
`report` (characters for Mandarin, Japanese, Korean and Thai) or `whisper` (characters for Chinese, Japanese,
Thai, Lao and Burmese).

Prompt and replies: `evalkit.tasks.speech_recognition`.
"""

from __future__ import annotations

from collections.abc import Callable

from evalkit.api import AUDIO_FILE, Audio, Record, Sample, Task, sample_id, task

from .speech_languages import FLEURS, ISO, Language
from .speech_recognition import place, recognition, spoken

UNKNOWN = Language("", "")


def reader(audio: str, text: str, language: str) -> Callable[[Record], Sample]:
    """The function that reads a record; `audio` and `text` are columns, `language` a column, a code, or "".

    A sample's id is the name of its file if the folder's list has it. If the transcript of a record is null
    or missing, the sample has no reference. An empty text is the transcript of a clip in which nothing is
    said. The function raises `ValueError` for a transcript that is not a text.
    """
    fixed = known(language)

    def sample(record: Record) -> Sample:
        transcript = record.get(text)
        if transcript is not None and not isinstance(transcript, str):
            raise ValueError(f"{text!r} is {transcript!r}, which is no transcript")
        said = fixed or known(str(record[language] or "?"))  # "" would be a language of no group
        if said is None:
            raise ValueError(f"{language!r} must be the code of a language, not {record[language]!r}")
        clip = Audio.of(record[audio])
        return Sample(
            id=record.get(AUDIO_FILE) or sample_id(transcript or "", clip.key),
            input="",
            target=() if transcript is None else (transcript,),
            group=said.code,
            cluster=clip.key,
            meta=spoken(said),
            media=(clip,),
        )

    return sample


def known(language: str) -> Language | None:
    """The language of a code: ISO 639-1 alone or with a region, or FLEURS's own. None for any other text."""
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
    """Transcription of your own clips: --set dataset=FOLDER"""
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
