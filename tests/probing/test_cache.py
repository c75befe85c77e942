"""What a probe found is kept for a day, without keys, and asked again if its file is damaged or old."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from evalkit.errors import UsageError
from evalkit.keys import hide
from evalkit.models import open_model
from evalkit.models.http_model import HTTPModel
from evalkit.probing import Answer, Probe
from evalkit.probing.cache import KEPT, cached_probe, keep, place_of

NOW = 1_800_000_000.0
KEY = "sk-4f9a8c7b6d5e4f3a2b1c0d9e"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))


def opened(name: str = "openai/x", url: str = "http://127.0.0.1:9/v1", key_env: str = "") -> HTTPModel:
    model = open_model(name, base_url=url, key_env=key_env)
    assert isinstance(model, HTTPModel)
    return model


def made(model: HTTPModel, at: float = NOW, reason: str = "it answers") -> Probe:
    return Probe(model.name, model.base_url, at, 20, 300, 100, (Answer("chat", "yes", reason, 7),))


def test_a_probe_is_found_for_a_day() -> None:
    model = opened()
    assert cached_probe(model, NOW) is None
    keep(model, made(model))
    assert cached_probe(model, NOW + KEPT - 1) == made(model)
    assert cached_probe(model, NOW + KEPT) is None
    assert cached_probe(model, NOW - 1) is None  # the clock was set back


def test_a_newer_probe_takes_its_place(tmp_path: Path) -> None:
    model = opened()
    keep(model, made(model))
    keep(model, made(model, NOW + 5))
    found = cached_probe(model, NOW + 6)
    assert found is not None
    assert found.at == NOW + 5
    assert [path.suffix for path in (tmp_path / "cache" / "probes").iterdir()] == [".json"]


def test_another_address_model_or_key_has_a_probe_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER_KEY", KEY)
    model = opened()
    keep(model, made(model))
    others = (
        opened("openai/y"),
        opened(url="http://127.0.0.1:10/v1"),
        opened(url="http://127.0.0.1:9/v1?api-version=1"),
        opened(key_env="OTHER_KEY"),
    )
    assert [cached_probe(one, NOW) for one in others] == [None] * 4


def test_no_key_is_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    model = opened()
    hide(KEY, "OPENAI_API_KEY")
    keep(model, made(model, reason=f"HTTP 400: the key {KEY} has no audio"))
    for path in (tmp_path / "cache").rglob("*.json"):
        assert KEY not in path.read_text() + path.name
    found = cached_probe(model, NOW)
    assert found is not None
    assert found.answers[0].reason == "HTTP 400: the key [OPENAI_API_KEY] has no audio"


@pytest.mark.parametrize(
    "url",
    ["http://me:secret@127.0.0.1:9/v1", "http://127.0.0.1:9/v1?api_key=secret", "http://h/v1?sig=secret"],
)
def test_an_address_with_a_secret_is_refused_before_anything_is_asked(url: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="put the key into") as refused:
        opened(url=url)
    assert "secret" not in str(refused.value)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", "[" * 100_000, '{"model": 1}', "\x00",
        json.dumps({"model": "openai/x", "endpoint": "http://127.0.0.1:9/v1", "at": "yesterday"}),
    ],
    ids=range(8),
)  # fmt: skip
def test_a_damaged_file_is_no_probe(text: str) -> None:
    model = opened()
    keep(model, made(model))
    place_of(model).write_text(text)
    assert cached_probe(model, NOW) is None
    keep(model, made(model))
    assert cached_probe(model, NOW) == made(model)


def test_a_file_with_an_unknown_verdict_or_of_another_model_is_no_probe() -> None:
    model = opened()
    keep(model, made(model))
    document = json.loads(place_of(model).read_text())
    for change in (
        {"endpoint": "http://elsewhere/v1"},
        {"answers": [{"name": "chat", "verdict": "perhaps"}]},
    ):
        place_of(model).write_text(json.dumps(document | change))
        assert cached_probe(model, NOW) is None


def test_now_is_the_clock_s() -> None:
    model = opened()
    keep(model, made(model, time.time() - 10))
    assert cached_probe(model) is not None
