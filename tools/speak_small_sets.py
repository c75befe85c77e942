"""Makes evalkit's own small sets of speech: `python -m tools.speak_small_sets [FOLDER]`.

The sentences were written for evalkit (`tools/spoken_sentences.py`). Speech synthesisers speak them, flite
the English ones and espeak-ng the others, both from Debian 12: `apt-get install flite espeak-ng`. Their
licences do not restrict the use of their output. Soundfile and soxr make the files.

With the same versions, every file is the same, byte for byte, except those of VoxPopuli: Ogg streams contain
a random number.

The files have the Hub's layout, one parquet file for each split of each config and a card. They have those
columns of the data sets with the same names that say what was spoken and by whom. Each clip has the format
of its data set if that is small: MP3 in CoVoST 2, FLAC in LibriSpeech, Ogg in VoxPopuli.
"""

from __future__ import annotations

import io
import subprocess
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
import soxr
from datasets import Audio, ClassLabel, Features, Value

from tools.spoken_sentences import ENGLISH, PORTUGUESE, TONGUES, Tongue

FOLDER = Path(__file__).parents[1] / "evalkit" / "data" / "small_sets"
RATE = 16_000
SILENCE, MARGIN = 0.01, RATE // 10
"""The amplitude below which the ends of a clip are cut off, except for a tenth of a second."""
FORMS = {
    "mp3": ("MP3", "MPEG_LAYER_III", 0.9),
    "ogg": ("OGG", "VORBIS", 1.0),
    "flac": ("FLAC", "PCM_16", 1.0),
}
"""Soundfile's format, subtype and compression level (0 to 1), by suffix."""
MALE, FEMALE = 0, 1
FLITE = {"slt": FEMALE, "rms": MALE, "awb": MALE}
"""Voices made from people of the United States (slt, rms) and of Scotland (awb)."""
COVOST = (
    *("fr", "de", "es", "ca", "it", "ru", "zh-CN", "pt", "fa", "et", "mn"),
    *("nl", "tr", "ar", "sv-SE", "lv", "sl", "ta", "ja", "id", "cy"),
)
VOXPOPULI = ("en", "de", "fr", "es", "pl", "it", "ro", "hu", "cs", "nl", "fi", "hr", "sk", "sl", "et", "lt")
MLS = {
    "dutch": "nl",
    "french": "fr",
    "german": "de",
    "italian": "it",
    "polish": "pl",
    "portuguese": "pt",
    "spanish": "es",
}
Record = dict[str, Any]
TEXT, NUMBER, REAL, AUDIO = Value("string"), Value("int64"), Value("float64"), Audio(sampling_rate=RATE)


@dataclass(frozen=True, slots=True)
class Clip:
    """A spoken sentence. `number`: its position in `ENGLISH`, from 0."""

    text: str
    number: int
    language: str
    samples: np.ndarray[Any, np.dtype[np.int16]]
    gender: int

    def plain(self) -> str:
        """The text in lower case, without punctuation except apostrophes and hyphens in words."""
        kept = (c for c in self.text.lower() if c in "'-" or not unicodedata.category(c).startswith("P"))
        return "".join(kept)

    def stored(self, suffix: str) -> dict[str, Any]:
        form, subtype, level = FORMS[suffix]
        file = io.BytesIO()
        soundfile.write(file, self.samples, RATE, format=form, subtype=subtype, compression_level=level)
        return {"bytes": file.getvalue(), "path": f"{self.name}.{suffix}"}

    @property
    def name(self) -> str:
        return f"{self.language}_{self.number + 1}"

    @property
    def seconds(self) -> float:
        return len(self.samples) / RATE


@cache
def english(voices: Sequence[str] = tuple(FLITE)) -> tuple[Clip, ...]:
    """The English sentences, spoken by flite's voices in turn."""
    turns = zip(ENGLISH, cycle(voices), strict=False)
    return tuple(
        _clip(text, number, "en", ["flite", "-voice", voice, "-t", text, "-o"], FLITE[voice])
        for number, (text, voice) in enumerate(turns)
    )


@cache
def spoken(tongue: Tongue) -> tuple[Clip, ...]:
    """The sentences of another language, spoken by espeak-ng."""
    given = tongue.spelt or tongue.sentences
    return tuple(
        _clip(text, number, tongue.code, ["espeak-ng", "-v", tongue.voice, "-s", "150", said, "-w"], MALE)
        for number, (text, said) in enumerate(zip(tongue.sentences, given, strict=True))
    )


def _clip(text: str, number: int, language: str, command: list[str], gender: int) -> Clip:
    """Runs `command`, which takes the name of a WAV file as its last argument, and reads that file."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "said.wav"
        subprocess.run([*command, str(file)], check=True)
        wave, rate = soundfile.read(file, dtype="float64")
    loud = np.flatnonzero(np.abs(wave) > SILENCE * np.abs(wave).max())
    margin = MARGIN * rate // RATE
    wave = soxr.resample(wave[max(loud[0] - margin, 0) : loud[-1] + margin], rate, RATE)
    samples = np.rint(wave / max(np.abs(wave).max(), 1.0) * 32767).astype(np.int16)
    return Clip(text, number, language, samples, gender)


def tongue(code: str) -> Tongue:
    """A language by its code in FLEURS, or by the language alone, as in other sets."""
    wanted = {"zh-CN": "cmn", "sv-SE": "sv"}.get(code, code)
    return next(one for one in TONGUES if wanted in (one.code, one.code.partition("_")[0]))


def _most(code: str) -> int:
    """The number of sentences of a language in FLEURS and CoVoST 2; all sets together are below 2 MB."""
    return {"es_419": 4, "pt_br": 4, "fr_fr": 2, "de_de": 2}.get(code, 1)


def fleurs() -> tuple[str, dict[str, Any], dict[str, Sequence[Record]]]:
    """FLEURS as (name, features, records by config). A sentence has the same `id` in every language."""
    names = ClassLabel(names=["male", "female", "other"])
    features = {
        **dict.fromkeys(("id", "num_samples"), Value("int32")),
        "path": TEXT,
        "audio": AUDIO,
        **dict.fromkeys(("transcription", "raw_transcription"), TEXT),
        "gender": names,
        "language": TEXT,
    }

    def records(clips: Sequence[Clip], language: str) -> list[Record]:
        return [
            {
                "id": clip.number + 1,
                "num_samples": len(clip.samples),
                "path": f"{clip.name}.mp3",
                "audio": clip.stored("mp3"),
                "transcription": clip.plain(),
                "raw_transcription": clip.text,
                "gender": clip.gender,
                "language": language,
            }
            for clip in clips
        ]

    configs = {one.code: records(spoken(one)[: _most(one.code)], one.name) for one in TONGUES}
    return "mteb/fleurs", features, {**configs, "en_us": records(english()[:4], "English")}


def covost() -> tuple[str, dict[str, Any], dict[str, Sequence[Record]]]:
    """CoVoST 2, as in `fleurs`. Clips are named as in Common Voice; each counts as another speaker's."""
    features = {
        **dict.fromkeys(("client_id", "file"), TEXT),
        "audio": AUDIO,
        **dict.fromkeys(("sentence", "translation", "id"), TEXT),
    }

    def records(language: str) -> list[Record]:
        return [
            {
                "client_id": clip.name,
                "file": f"{clip.name}.mp3",
                "audio": clip.stored("mp3"),
                "sentence": clip.text,
                "translation": ENGLISH[clip.number],
                "id": f"common_voice_{language}_{clip.number + 1}",
            }
            for clip in spoken(tongue(language))[: min(2, _most(tongue(language).code))]
        ]

    return "fixie-ai/covost2", features, {f"{language}_en": records(language) for language in COVOST}


def voxpopuli() -> tuple[str, dict[str, Any], dict[str, Sequence[Record]]]:
    """VoxPopuli, as in `fleurs`. `en_accented` has the Scottish voice."""
    features = {
        "audio_id": TEXT,
        "language": ClassLabel(names=[*VOXPOPULI, "en_accented"]),
        "audio": AUDIO,
        **dict.fromkeys(("raw_text", "normalized_text", "gender", "speaker_id"), TEXT),
        "is_gold_transcript": Value("bool"),
        "accent": TEXT,
    }

    def records(config: str, clips: Sequence[Clip]) -> list[Record]:
        return [
            {
                "audio_id": clip.name,
                "language": config,
                "audio": clip.stored("ogg"),
                "raw_text": clip.text,
                "normalized_text": clip.plain(),
                "gender": "female" if clip.gender == FEMALE else "male",
                "speaker_id": "machine",
                "is_gold_transcript": True,
                "accent": "en_scottish" if config == "en_accented" else "None",
            }
            for clip in clips
        ]

    return (
        "facebook/voxpopuli",
        features,
        {
            "en": records("en", english(("rms",))[2:4]),
            "en_accented": records("en_accented", english(("awb",))[4:6]),
            **{one: records(one, spoken(tongue(one))[:1]) for one in VOXPOPULI[1:]},
        },
    )


def mls(english_alone: bool) -> tuple[str, dict[str, Any], dict[str, Sequence[Record]]]:
    """MLS, as in `fleurs`. English is a separate set on the Hub."""
    features = {
        "audio": AUDIO,
        "original_path": TEXT,
        **dict.fromkeys(("begin_time", "end_time"), REAL),
        "transcript": TEXT,
        "audio_duration": REAL,
        **dict.fromkeys(("speaker_id", "chapter_id", "file", "id"), TEXT),
    }

    def records(clips: Sequence[Clip]) -> list[Record]:
        return [
            {
                "audio": clip.stored("mp3"),
                "original_path": f"{clip.name}.mp3",
                "begin_time": 0.0,
                "end_time": clip.seconds,
                "transcript": clip.plain(),
                "audio_duration": clip.seconds,
                "speaker_id": "machine",
                "chapter_id": "1",
                "file": f"{clip.name}.mp3",
                "id": clip.name,
            }
            for clip in clips
        ]

    if english_alone:
        return "parler-tts/mls_eng", features, {"default": records(english(("rms",))[5:])}
    configs: dict[str, Sequence[Record]] = {
        config: records(spoken(tongue(code))[1:2]) for config, code in MLS.items()
    }
    return "facebook/multilingual_librispeech", features, configs


def librispeech() -> tuple[str, dict[str, Any], dict[str, Sequence[Record]]]:
    """LibriSpeech, as in `fleurs`.

    The Scottish voice is "other": it is the hardest to understand for recognisers of American English.
    """
    features = {
        "file": TEXT,
        "audio": AUDIO,
        "text": TEXT,
        **dict.fromkeys(("speaker_id", "chapter_id"), NUMBER),
        "id": TEXT,
    }

    def record(clip: Clip, voice: str) -> Record:
        speaker = [*FLITE].index(voice) + 1
        name = f"{speaker}-1-{clip.number:04}"
        return {
            "file": f"{name}.flac",
            "audio": clip.stored("flac"),
            "text": clip.plain().upper(),
            "speaker_id": speaker,
            "chapter_id": 1,
            "id": name,
        }

    def records(*voices: str) -> list[Record]:
        return [record(clip, voice) for voice in voices for clip in english((voice,))[2:3]]

    return "openslr/librispeech_asr", features, {"clean": records("slt", "rms"), "other": records("awb")}


def own() -> tuple[str, dict[str, Any], dict[str, Sequence[Record]]]:
    """A set of no benchmark, as in `fleurs`. `translation` is into Portuguese."""
    features = {"audio": AUDIO, **dict.fromkeys(("transcription", "translation", "language"), TEXT)}
    records = [
        {
            "audio": clip.stored("mp3"),
            "transcription": clip.text,
            "translation": PORTUGUESE[clip.number],
            "language": clip.language,
        }
        for clip in english()
    ]
    return "evalkit/speech", features, {"default": records}


def write(
    name: str, features: Mapping[str, Any], configs: Mapping[str, Sequence[Record]], folder: Path
) -> None:
    """Writes the card and the parquet files of one set, below `folder`; the only split is "test"."""
    root, meant = folder / name, Features(features)
    for config, records in configs.items():
        file = root / config / "test.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        rows = [{key: _number(meant[key], value) for key, value in row.items()} for row in records]
        table = pa.Table.from_pylist(rows, schema=meant.arrow_schema)
        options = {"write_statistics": False, "compression": "zstd"}
        # Arrow's own copy of the schema is left out: it would be a tenth of such small files.
        with pq.ParquetWriter(file, table.schema, store_schema=False, **options) as parquet:
            parquet.write_table(table)
            parquet.add_key_value_metadata(table.schema.metadata)
    clips = sum(map(len, configs.values()))
    (root / "README.md").write_text(_card(name, sorted(configs), clips), "utf-8")


def _number(feature: object, value: Any) -> Any:
    """The value to store: a class by its number, any other value as it is."""
    return feature.str2int(value) if isinstance(feature, ClassLabel) and isinstance(value, str) else value


def _card(name: str, configs: Sequence[str], clips: int) -> str:
    listed = "".join(
        f"- config_name: {config}\n  data_files:\n  - split: test\n    path: {config}/test.parquet\n"
        for config in configs
    )
    taken = f"None is taken from `{name}`, but the columns have the names they have there"
    if name.startswith("evalkit/"):
        taken = "No benchmark asks them"
    return (
        f"---\nlicense: apache-2.0\nconfigs:\n{listed}---\n\n"
        f"These {clips} sentences were written for evalkit and are spoken by a machine, English by flite and "
        "other languages by espeak-ng (`tools/speak_small_sets.py`).\n"
        "They are short and simple. A language without a voice in espeak-ng has that of a neighbour, and not "
        "every voice is easy to understand.\n"
        f"{taken}.\n"
        "They are for trying evalkit out, not for results.\n"
    )


if __name__ == "__main__":
    for made in (fleurs(), covost(), voxpopuli(), mls(True), mls(False), librispeech(), own()):
        write(*made, Path(sys.argv[1]) if sys.argv[1:] else FOLDER)
