"""`faster-whisper/…` by the real library, on weights that are made here (`whisper_weights`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from evalkit.data.folder import SMALL_SETS
from evalkit.errors import ProviderError, UsageError
from evalkit.media.audio import prepare
from evalkit.models import open_model
from evalkit.models.base import Request, Response
from evalkit.models.faster_whisper import FasterWhisperModel
from evalkit.samples import Audio, Message, Speech
from evalkit.session import run
from tests.models.test_transcribe import clip
from tests.models.whisper_weights import make

CLIP = clip(0.5)
Open = Callable[..., FasterWhisperModel]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("whisper"))


def whisper(rest: str) -> FasterWhisperModel:
    model = open_model(f"faster-whisper/{rest}")
    assert isinstance(model, FasterWhisperModel)
    return model


@pytest.fixture
def opened(weights: Path) -> Open:
    def open_(**options: str) -> FasterWhisperModel:
        chosen = {"device": "cpu", "threads": "1", "beam_size": "1", **options}
        query = "&".join(f"{key}={value}" for key, value in chosen.items())
        return whisper(f"{weights}?{query}")

    return open_


def answer(model: FasterWhisperModel, prompt: Any, **settings: Any) -> Response:
    async def go() -> Response:
        try:
            return await model.generate(Request(prompt, 64, **settings))
        finally:
            await model.aclose()

    return asyncio.run(go())


def spoken() -> Audio:
    """A clip in which the library's detector of speech finds some."""
    (row,) = pq.read_table(SMALL_SETS / "evalkit/speech/default/test.parquet").slice(0, 1).to_pylist()
    return Audio(prepare(row["audio"]["bytes"]).data)


@pytest.mark.slow
@pytest.mark.parametrize("language", ["", "de", "en"])
def test_a_clip_is_written_down(opened: Open, language: str) -> None:
    for beams in ("1", "5"):
        assert answer(opened(beam_size=beams), Speech(CLIP, language=language)).text == "Ein Boot."


@pytest.mark.slow
def test_a_clip_is_translated(opened: Open) -> None:
    assert answer(opened(), Speech(CLIP, translate=True)).text == "One boat."


@pytest.mark.slow
def test_a_batch_is_of_the_pieces_where_something_is_said(opened: Open) -> None:
    clip = spoken()
    assert answer(opened(batch_size="4"), Speech(clip, language="de")).text == "Ein Boot."
    assert answer(opened(batch_size="4"), Speech(CLIP, language="de")).text == "", "a tone is no speech"


@pytest.mark.slow
def test_sampling_goes_by_the_seed(opened: Open) -> None:
    def texts() -> list[str]:
        asked = Speech(CLIP, language="de")
        return [answer(opened(), asked, temperature=1.0, seed=seed).text for seed in range(12)]

    assert set(texts()) == {"Ein Boot.", "Kein Boot."}
    assert texts() == texts()


@pytest.mark.slow
def test_a_whole_run(opened: Open, weights: Path, tmp_path: Path) -> None:
    """Every clip of a benchmark, to the figure."""
    model = open_model(f"faster-whisper/{weights}?device=cpu&threads=1&beam_size=1")
    table = run(model, "librispeech", data="builtin", output=tmp_path / "r.db")
    rate, inserted, _ = table.cells
    assert (rate.protocol, rate.n, rate.outcomes["wrong"]) == ("0-shot-transcribe", 2, 2)
    assert (rate.value, inserted.value) == (100.0, 0.0)


@pytest.mark.slow
def test_its_identity_is_the_weights_and_what_changes_the_text(
    opened: Open, weights: Path, tmp_path: Path
) -> None:
    def identity(**options: str) -> Any:
        return opened(**options).identity

    assert identity() == identity(threads="2")
    assert str(weights) not in str(identity())
    different = [identity(), identity(beam_size="2"), identity(compute_type="int8"), identity(batch_size="2")]
    for file in weights.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    model = tmp_path / "model.bin"
    model.write_bytes(model.read_bytes() + b"\0")
    different.append(whisper(f"{tmp_path}?device=cpu&beam_size=1").identity)
    assert len({str(one) for one in different}) == 5


class Recorded:
    """Stands where the library's model is, and notes how it is asked."""

    def __init__(self, inner: Any) -> None:
        self._inner, self.asked = inner, dict[str, Any]()

    def transcribe(self, *arguments: Any, **settings: Any) -> Any:
        self.asked = settings
        return self._inner.transcribe(*arguments, **settings)


@pytest.mark.slow
def test_whisper_s_own_ways_of_decoding(opened: Open) -> None:
    """Each reaches the library and stands in the identity; at their defaults neither has changed."""
    plain = opened()
    assert "fallback" not in plain.identity
    own = {"fallback": "on", "vad_filter": "on", "condition_on_previous_text": "off", "initial_prompt": "Hm"}
    model = opened(**own)
    assert dict(model.identity) == {
        **plain.identity, "fallback": True, "vad_filter": True, "condition_on_previous_text": False,
        "initial_prompt": "Hm",
    }  # fmt: skip
    given = {"vad_filter": True, "condition_on_previous_text": False, "initial_prompt": "Hm"}
    for whisper, expected in (
        (plain, {"temperature": 0.0, "best_of": 1}),
        (model, {"temperature": (0.0, 0.2, 0.4, 0.6, 0.8, 1.0), "best_of": 5, **given}),
    ):
        recorded = whisper._model = Recorded(whisper._model)
        answer(whisper, Speech(CLIP, language="de"))
        assert {key: recorded.asked[key] for key in expected} == expected
        assert set(recorded.asked) == {*expected, "task", "language", "beam_size"}
    assert opened(**dict.fromkeys(("fallback", "vad_filter"), "off")).identity == plain.identity


@pytest.mark.slow
def test_the_temperatures_of_a_fallback(opened: Open) -> None:
    model = opened(fallback="0,0.3")
    assert model.identity["fallback"] == [0.0, 0.3]
    recorded = model._model = Recorded(model._model)
    answer(model, Speech(CLIP, language="de"))
    assert (recorded.asked["temperature"], recorded.asked["best_of"]) == ((0.0, 0.3), 5)
    with pytest.raises(
        ProviderError, match=r"begins with 0, .* temperature 0\.5: .* --set temperature=0"
    ) as no:
        answer(model, Speech(CLIP), temperature=0.5)
    assert no.value.fatal
    assert opened(fallback="0,0.2,0.4,0.6,0.8,1").identity == opened(fallback="on").identity
    for wrong in ("0", "0.2,0", "0,0", "-1,0", "0,x", "0,inf", "yes", ""):
        with pytest.raises(UsageError, match="fallback must be on, off, or rising temperatures"):
            opened(fallback=wrong)


def test_silence_is_left_out_if_asked(opened: Open) -> None:
    assert answer(opened(), Speech(CLIP, language="de")).text == "Ein Boot."
    assert answer(opened(vad_filter="on"), Speech(CLIP, language="de")).text == "", "a tone is no speech"


def test_an_option_without_effect_is_refused(opened: Open) -> None:
    with pytest.raises(UsageError, match="condition_on_previous_text has no effect with batch_size above 1"):
        opened(batch_size="2", condition_on_previous_text="off")
    with pytest.raises(UsageError, match="fallback has no effect with batch_size above 1"):
        opened(batch_size="2", fallback="on")
    with pytest.raises(UsageError, match="vad_filter must be on or off"):
        opened(vad_filter="1")


@pytest.mark.slow
def test_what_fails_is_said(opened: Open, weights: Path, tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match=r"'xx' is not a valid language code \(accepted") as failed:
        answer(opened(), Speech(CLIP, language="xx"))
    assert not failed.value.fatal
    with pytest.raises(ProviderError, match="accepts only clips") as failed:
        answer(opened(), (Message("user", "Hello"),))
    assert failed.value.fatal
    with pytest.raises(ProviderError, match="ValueError: a WAV of"):
        answer(opened(), Speech(Audio(clip(0.1, rate=8_000).data)))
    with pytest.raises(UsageError, match=r"cannot be loaded: ValueError: .*int3"):
        opened(compute_type="int3")
    with pytest.raises(UsageError, match="beam_size must be at least 1, not 0"):
        opened(beam_size="0")
    with pytest.raises(UsageError, match=r"has no model\.bin"):
        whisper("./none")
    (tmp_path / "model.bin").write_bytes(b"no weights")
    with pytest.raises(UsageError, match="cannot be loaded: RuntimeError"):
        whisper(f"{tmp_path}?device=cpu")
    with pytest.raises(
        UsageError, match=r"faster-whisper/huge cannot be downloaded: .*expected one of: tiny"
    ):
        whisper("huge")
