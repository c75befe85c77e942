"""VoxPopuli: speeches in the European Parliament (Wang et al. 2021, arXiv 2101.00390).

Data: `facebook/voxpopuli` at 42f0187, split test, some 1,200 to 2,000 clips per language. CC0, and the
Parliament's legal notice. Intervals resample speakers, as far as they are known.

Languages: `14`, the default, are those of XTREME-S (`evalkit.tasks.speech_languages`), probably the report's
"14 lang", which it does not list. Whisper's 15.9 % in its table, however, is the mean of all 17 sets in
Whisper's paper. `all` are these 17. Codes can also be given, separated by commas, such as de,en_accented.
They are run in this order, and each is downloaded when it is reached.

Measure: the mean over the languages of their word error rates, with equal weights. `normaliser` is the same
for all languages, or `auto`: Whisper's English rules for English, its basic ones for the others.

Reference: `normalized_text` of the data, lower-case and with numbers as the authors wrote them, which
XTREME-S scores; `--set text=raw_text` takes the Parliament's own. Some clips have neither (empty, or none),
although something is said in them: these are asked, counted in a note, and not scored.

Prompt and replies: `evalkit.tasks.speech_recognition`.
"""

from __future__ import annotations

import functools

from evalkit.api import PART, Audio, Hub, Parts, Record, Sample, Task, task, unknown

from .speech_languages import VOXPOPULI, XTREME_S_VOXPOPULI
from .speech_recognition import chosen, recognition, spoken
from .speech_sizes import VOXPOPULI_TEST, sizes_of

REVISION = "42f01879c780b4a2e90ec0b4f616c2ece526e4f1"
SETS = {"14": XTREME_S_VOXPOPULI, "all": tuple(VOXPOPULI)}
TEXTS = ("normalized_text", "raw_text")
NOBODY = ("", "None", None)
"""The values that mean an unknown speaker or a missing transcript."""


def to_sample(record: Record, text: str) -> Sample:
    """A clip with its transcript, the column `text`."""
    key, speaker = record[PART], record["speaker_id"]
    return Sample(
        id=record["audio_id"] if key != "en_accented" else f"accented {record['audio_id']}",
        input="",
        target=(said,) if (said := (record[text] or "").strip()) not in NOBODY else (),
        group=key,
        cluster="" if speaker in NOBODY else f"{key} {speaker}",
        meta=spoken(VOXPOPULI[key]),
        media=(Audio.of(record["audio"]),),
    )


@task("voxpopuli", report="Table 11")
def voxpopuli(*, languages: str = "14", normaliser: str = "auto", text: str = "normalized_text") -> Task:
    """Speeches in the European Parliament, 14 languages (Wang et al. 2021)"""
    if text not in TEXTS:
        raise unknown("text", text, TEXTS)
    columns = ("audio_id", "audio", "speaker_id", text)
    keys = chosen(languages, VOXPOPULI, SETS, "VoxPopuli")
    parts = (
        (key, Hub("facebook/voxpopuli", key, split="test", revision=REVISION, columns=columns))
        for key in keys
    )
    return recognition(
        data=Parts(dict(parts)),
        sample=functools.partial(to_sample, text=text),
        name="14",
        source="Gemini 1.0 report, table 11; the instruction is evalkit's",
        normaliser=normaliser,
        macro=True,
        sizes=sizes_of(VOXPOPULI_TEST, keys),
    )
