"""evalkit's own clips: small, whole, spoken, and what their transcripts say they are."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from evalkit.data.folder import SMALL_SETS
from evalkit.media.audio import prepare
from tools.spoken_sentences import ENGLISH, PORTUGUESE, TONGUES

SETS = (
    "evalkit/speech",
    "facebook/multilingual_librispeech",
    "facebook/voxpopuli",
    "fixie-ai/covost2",
    "mteb/fleurs",
    "openslr/librispeech_asr",
    "parler-tts/mls_eng",
)
FILES = sorted(file for name in SETS for file in (SMALL_SETS / name).rglob("*.parquet"))


def test_together_they_stay_small() -> None:
    assert sum(file.stat().st_size for file in FILES) < 2_000_000
    assert len(FILES) > 120


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_every_clip_can_be_heard(name: str) -> None:
    for file in (SMALL_SETS / name).rglob("*.parquet"):
        for row in pq.read_table(file).to_pylist():
            prepared = prepare(row["audio"]["bytes"])
            assert 0.4 < prepared.seconds < 6, file


def test_the_sentences_are_those_that_were_written() -> None:
    spoken = {tongue.code: tongue.sentences for tongue in TONGUES} | {"en_us": ENGLISH, "pt_br": PORTUGUESE}
    for file in (SMALL_SETS / "mteb/fleurs").rglob("*.parquet"):
        code = file.parent.name
        for row in pq.read_table(file).to_pylist():
            assert row["raw_transcription"] == spoken[code][row["id"] - 1]


def test_the_cards_name_every_config() -> None:
    for name in SETS:
        card = (SMALL_SETS / name / "README.md").read_text("utf-8")
        configs = {Path(file).parent.name for file in (SMALL_SETS / name).rglob("*.parquet")}
        assert all(f"config_name: {config}\n" in card for config in configs)
