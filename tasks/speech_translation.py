"""Speech translation: FLEURS into English or any of its languages (`fleurs-ast`), and your own clips (`ast`).

    evalkit run -m openai/my-model -t fleurs-ast --set languages=fr_fr,ja_jp
    evalkit run -m openai/my-model -t ast --set dataset=./talks --set target=de

`fleurs-ast`: clips of FLEURS (Conneau et al. 2022, arXiv 2205.12446), whose sentences are those of FLoRes,
the same in 102 languages. The reference is the sentence with the same `id` in the target language's own test
set, as paired by Whisper's authors (openai/whisper at c0d2f62, data/README.md); it is `raw_transcription`,
with capitals and punctuation, as scored by SeamlessM4T's authors (facebookresearch/seamless_communication at
90e2b57, cli/m4t/evaluate/README.md). As in their evaluations, a clip is left out if nobody read its sentence
in the target language. The references come with the target's clips, so the target's test set is read as well.
`languages` are FLEURS's codes separated by commas, `whisper` for those that Whisper's authors scored, or
`all`; `target` is one code. The figure is the mean over the languages. Gemini's reports have no such figure.

`ast`: `dataset` is a folder in any form that `datasets` reads (sound files with a metadata.jsonl that names
them; parquet; JSON lines), or `owner/name` on the Hub. `audio` and `translation` name its columns; a clip has
one reference. `target` is the language of the translations and `language` that of the clips, as ISO 639-1 or
FLEURS's code. `--data builtin` uses a few clips of evalkit's own.

Measure: corpus BLEU and chrF2 (`evalkit.metrics.bleu`). BLEU's tokeniser depends on the target language, and
`--set tokeniser=` selects another one. Prompt: evalkit's own. A model's own marks and phrases around a
translation are removed (`evalkit.scoring.transcript`). The protocol `transcribe` is for endpoints such as
Whisper's, which translate only into English, so it exists only if the target is English.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from evalkit.api import (
    AUDIO_FILE,
    Audio,
    Bleu,
    ChrF,
    Data,
    DataError,
    DataOptions,
    Hub,
    Message,
    Prompt,
    Protocol,
    Record,
    Records,
    Sample,
    Speech,
    Task,
    Verdict,
    averages,
    bleu_signatures,
    require_tokeniser,
    sample_id,
    task,
    tokeniser_for,
    unknown,
    versioned,
)
from evalkit.scoring.transcript import transcript

from .kit import first_reference, strange_sign
from .speech_languages import (
    FLEURS,
    FLEURS_REVISION,
    ISO,
    WHISPER_FLEURS,
    Language,
    language_of,
)
from .speech_recognition import chosen, place
from .speech_sizes import UNKNOWN_SIZES, Sizes

SETS = {"whisper": WHISPER_FLEURS, "all": tuple(FLEURS)}


@versioned("speech_translation.prompt", 1)
def prompt(sample: Sample, protocol: Protocol, *, target: str) -> Prompt:
    """Asks for a translation into `target`, a language's English name.

    A chat gets the instruction, then the clip; a transcription endpoint gets the clip with the request to
    translate it into English. With `language_hint` both get the language in `sample.meta["language"]`, if
    there is one.
    """
    (clip,) = sample.media
    assert isinstance(clip, Audio)
    told = sample.meta["language"] if protocol.language_hint else ""
    code, name = language_of(str(told)) if told else ("", "")
    if protocol.api == "transcription":
        return Speech(clip, translate=True, language=code)
    spoken = f"{name} speech" if name else "speech"
    instruction = f"Translate the {spoken} in this clip into {target}. Reply with the translation only."
    return (Message("user", (f"{instruction}\n", clip)),)


@versioned("speech_translation.scorer", 2)
def score(answer: str, sample: Sample) -> Verdict:
    """Only the exact reference is right, in any Unicode normal form; the metrics compute the figure."""
    said, reference = (unicodedata.normalize("NFC", text) for text in (answer, sample.target[0].strip()))
    return Verdict(said == reference)


def wrong_responses(sample: Sample, protocol: Protocol) -> Sequence[str]:
    """Nothing, and a text as long as the reference, of a letter that is not in it."""
    reference = sample.target[0]
    strange = strange_sign([reference]) * max(1, len(reference))
    return tuple(text for text in ("", strange) if text != reference.strip())


def translation_task(
    data: Data,
    sample: Callable[[Record], Sample],
    *,
    target: str,
    macro: bool,
    tokeniser: str = "",
    chat: str = "0-shot",
    endpoint: str = "transcribe",
    source: str = "evalkit",
    sizes: Sizes = UNKNOWN_SIZES,
) -> Task:
    """A task that translates clips into `target`, a code of ISO 639-1 or FLEURS.

    `chat`, `endpoint`: the names of its protocols. `macro`: the headline is the mean over the languages.
    `sizes`: the number of clips, in all and by language.

    Raises `UsageError` for an unknown target or tokeniser.
    """
    language = known_language("target", target)
    tokeniser = tokeniser or tokeniser_for(target)
    metrics = (Bleu(tokeniser), ChrF())
    protocols = [Protocol(name=chat, max_tokens=512, source=source)]
    if language.code == "en":
        asked = Protocol(name=endpoint, api="transcription", max_tokens=512, source=source)
        protocols.append(asked)
    return Task(
        data=data,
        sample=sample,
        prompt=functools.partial(prompt, target=language.name),
        answer=transcript,
        scorer=score,
        metrics=averages(*metrics) if macro else metrics,
        protocols=tuple(protocols),
        size=sizes[0],
        group_sizes=sizes[1],
        media=("audio",),
        needs=functools.partial(require_tokeniser, tokeniser),
        notes=lambda protocol: {**bleu_signatures(tokeniser)},
        gold=first_reference,
        wrong_responses=wrong_responses,
    )


def known_language(kind: str, key: str) -> Language:
    """The language of a code. Raises `UsageError` if FLEURS does not have it; `kind`: its name there."""
    if key not in FLEURS and key not in ISO:
        raise unknown(kind, key, (*ISO, *FLEURS))
    return language_of(key)


def reader(audio: str, translation: str, language: str, group: str) -> Callable[[Record], Sample]:
    """The function that reads a record; `audio`, `translation` and `group` (or "") are columns."""

    def sample(record: Record) -> Sample:
        clip, text = Audio.of(record[audio]), record[translation]
        if not isinstance(text, str):
            raise ValueError(f"the translation must be a text, not {text!r}")
        return Sample(
            id=record.get(AUDIO_FILE) or sample_id(clip.key, text),
            input="",
            target=(text,),
            group=str(record[group]) if group else "",
            meta={"language": language},
            media=(clip,),
        )

    return sample


@task("ast")
def ast(
    *,
    dataset: str = "",
    config: str = "default",
    split: str = "",
    audio: str = "audio",
    translation: str = "translation",
    target: str = "en",
    language: str = "",
    group: str = "",
    tokeniser: str = "",
) -> Task:
    """Your own clips and their translations: --set dataset=FOLDER"""
    if language:
        known_language("language", language)
    columns = tuple(filter(None, (audio, translation, group)))
    return translation_task(
        place(dataset, config, split, columns),
        reader(audio, translation, language, group),
        target=target,
        tokeniser=tokeniser,
        macro=False,
    )


@dataclass(frozen=True, slots=True)
class Pairs:
    """Clips of FLEURS with their sentences in another language, joined by `id`.

    A record is the clip's record, with `translation`, and the code of its language as `spoken`.
    """

    spoken: tuple[str, ...]
    target: str

    def open(self, options: DataOptions | None = None) -> Records:
        """The pairs. Reading raises `DataError` for a language that shares no sentence with the target's."""
        options = options or DataOptions()
        texts = _fleurs(self.target).open(options)
        clips = {key: _fleurs(key).open(options) for key in self.spoken}

        @functools.cache
        def translations() -> dict[int, str]:
            return {record["id"]: record["raw_transcription"] for record in texts}

        def read() -> Iterator[Record]:
            for key, records in clips.items():
                paired = 0
                for record in records:
                    if record["id"] in translations():
                        paired += 1
                        yield {**record, "translation": translations()[record["id"]], "spoken": key}
                if not paired:
                    raise DataError(f"FLEURS: {key} and {self.target} have no sentence in common")

        # Counting the pairs would require reading all of them.
        return Records({**texts.origin, "config": f"{','.join(self.spoken)} into {self.target}"}, None, read)


def _fleurs(key: str) -> Hub:
    columns = ("id", "audio", "raw_transcription")
    return Hub("mteb/fleurs", key, split="test", revision=FLEURS_REVISION, columns=columns)


def to_sample(record: Record) -> Sample:
    """The sample of a pair. All readings of a sentence are one cluster."""
    clip = Audio.of(record["audio"])
    return Sample(
        id=sample_id(record["spoken"], str(record["id"]), clip.key),
        input=record["raw_transcription"],
        target=(record["translation"],),
        group=record["spoken"],
        cluster=str(record["id"]),
        meta={"language": record["spoken"]},
        media=(clip,),
    )


def _spoken(languages: str, target: str) -> tuple[str, ...]:
    codes = chosen(languages, FLEURS, SETS, "FLEURS")
    if target not in FLEURS:
        raise unknown("language of FLEURS", target, FLEURS)
    return tuple(code for code in codes if code != target)


@task("fleurs-ast")
def fleurs_ast(*, languages: str = "whisper", target: str = "en_us", tokeniser: str = "") -> Task:
    """Sentences of FLEURS translated into English, or --set target=CODE"""
    data = Pairs(_spoken(languages, target), target)
    return translation_task(data, to_sample, target=target, tokeniser=tokeniser, macro=True)
