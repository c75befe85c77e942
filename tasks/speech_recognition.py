"""What the benchmarks of speech recognition share: the prompt, the scorer, the metrics, the wrong reply.

Prompt: the report prints none, and neither does the 1.5 report, whose figures are those of a model without
instructions (section 6.3, footnote 27). A chat gets one instruction, then the clip; a transcription endpoint
gets only the clip. With `--set language_hint=on` both get the language, the endpoint as its ISO 639-1 code.
Without it the model has to detect the language, as the report's model probably had to.

Measure: wrong words, in percent of the reference's words; characters instead of words for some languages
(`evalkit.scoring.speech`). A model's own marks and phrases around the transcript are removed
(`evalkit.scoring.transcript`); anything else in the reply counts as errors. An empty reply is an answer:
nothing was heard. Two further figures are the inserted words, and the share of clips with more errors than
words: both show whether a model invents speech.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from evalkit.api import (
    JSON,
    Audio,
    AudioFolder,
    Data,
    ErrorRate,
    Hub,
    Local,
    Message,
    Over100,
    Prompt,
    Protocol,
    Record,
    Sample,
    Speech,
    Task,
    UsageError,
    averages,
    unknown,
    versioned,
)
from evalkit.scoring.speech import needs, normaliser_for, rules, score_speech, unit_for
from evalkit.scoring.transcript import transcript

from .kit import first_reference, is_on_the_hub
from .speech_languages import Language
from .speech_sizes import UNKNOWN_SIZES, Sizes

OWN = "evalkit/speech"
_NONE: Mapping[str, str] = {}
MAX_TOKENS = 2048
"""Enough for half a minute of speech in a script that has one token per byte."""


def spoken(language: Language) -> dict[str, JSON]:
    """`Sample.meta` of a clip in `language`."""
    return {"language": language.code, "spoken": language.name}


@versioned("speech_recognition.prompt", 1)
def prompt(sample: Sample, protocol: Protocol) -> Prompt:
    """The clip for an endpoint, or the instruction and the clip for a chat."""
    (clip,) = sample.media
    assert isinstance(clip, Audio)
    code = str(sample.meta["language"])
    if protocol.api == "transcription":
        return Speech(clip, language=code if protocol.language_hint and len(code) == 2 else "")
    name = str(sample.meta["spoken"])
    instruction = (
        f"Write down the {name} speech in this clip, word for word."
        if protocol.language_hint and name
        else "Write down the speech in this clip, word for word, in the language that is spoken."
    )
    return (Message("user", (f"{instruction} Reply with the transcript and nothing else.\n", clip)),)


def wrong_responses(sample: Sample, protocol: Protocol) -> Sequence[str]:
    """The reference with every character replaced by a letter that is not in it."""
    reference = sample.target[0]
    strange = next((c for c in "zqxjkvw" if c not in reference.casefold()), "ʒ")
    return (" ".join(strange * len(word) for word in reference.split()) or strange,)


def chosen(
    languages: str, known: Collection[str], sets: Mapping[str, Sequence[str]], what: str
) -> tuple[str, ...]:
    """The keys of `known` in `languages`: the name of one of the `sets`, or keys separated by commas.

    Raises `UsageError` for an unknown one; `what`: the benchmark's name in that message.
    """
    if languages in sets:
        return tuple(sets[languages])
    keys = dict.fromkeys(key.strip() for key in languages.split(","))
    for key in keys:
        if key not in known:
            raise unknown(f"language of {what}", key, (*sets, *known))
    return tuple(keys)


def place(dataset: str, config: str, split: str, columns: tuple[str, ...]) -> Data:
    """The data set of the clips. Raises `UsageError` if the split leads out of the folder."""
    folder = Path(dataset).expanduser()
    if not dataset:
        return Hub(OWN, config, split=split or "test", revision="main", columns=columns)
    if is_on_the_hub(dataset):
        return Hub(dataset, config, split=split or "test", revision="main", columns=columns)
    if Path(split).is_absolute() or ".." in Path(split).parts:
        raise UsageError(f"split={split}: must be a folder inside {dataset}")
    for part in (split,) if split else ("", "test"):
        if AudioFolder.fits(folder, part):
            return AudioFolder(folder, part, columns)
    return Local(folder, config, split or "test", columns)


def recognition(
    *,
    data: Data,
    sample: Callable[[Record], Sample],
    name: str,
    source: str,
    normaliser: str = "auto",
    units: str = "report",
    macro: bool = False,
    languages: Sequence[str] = (),
    unavailable: Mapping[str, str] = _NONE,
    sizes: Sizes = UNKNOWN_SIZES,
) -> Task:
    """The task of transcribing `data`; its protocols are `name` and `name-transcribe`.

    `sample` sets `meta` with `spoken`. `macro`: the headline is the mean over the languages. `languages`:
    their codes, if they are known before the data is read; if all are counted in characters, the figure is
    called CER. `sizes`: the number of clips, in all and by language. Raises `UsageError` for an unknown
    normaliser or unknown units.
    """
    normaliser_for("en", normaliser)
    unit_for("en", units)
    counted = {unit_for(language, units) for language in languages} or {unit_for("", units)}
    label = "CER" if counted == {"character"} else "WER"
    metrics = (
        ErrorRate(label, normaliser=normaliser, units=units),
        ErrorRate(label, only="insertions", normaliser=normaliser, units=units),
        Over100(normaliser=normaliser, units=units),
    )
    return Task(
        data=data,
        sample=sample,
        prompt=prompt,
        answer=transcript,
        scorer=functools.partial(score_speech, normaliser=normaliser, units=units),
        metrics=averages(*metrics) if macro else metrics,
        protocols=(
            Protocol(name=name, max_tokens=MAX_TOKENS, source=source),
            Protocol(
                name=f"{name}-transcribe", api="transcription", max_tokens=MAX_TOKENS,
                source=source,
            ),
        ),
        size=sizes[0],
        group_sizes=sizes[1],
        media=("audio",),
        needs=needs,
        notes=lambda protocol: rules(normaliser, units),
        unavailable=unavailable,
        gold=first_reference,
        wrong_responses=wrong_responses,
    )  # fmt: skip
