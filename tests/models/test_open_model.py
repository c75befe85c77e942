"""From what is typed to a model, or to an error that names the fix."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from evalkit.errors import UsageError
from evalkit.models import BACKENDS, Backend, open_model
from evalkit.models.openai import OpenAIModel
from evalkit.models.providers import PROVIDERS

ROOT = Path(__file__).parents[2]


def refusal(spec: str, base_url: str = "") -> str:
    with pytest.raises(UsageError) as refused:
        open_model(spec, base_url=base_url)
    return str(refused.value)


def test_the_index_says_how_each_is_typed_and_got() -> None:
    assert set(BACKENDS) == {
        "openai", "llama-cpp", "transcribe", "faster-whisper", "hf", "vllm", "sglang", "lm-eval", "python",
        "command", "ray", "replay", "fake",
    } | {*PROVIDERS}  # fmt: skip
    for name, backend in BACKENDS.items():
        assert backend.usage.startswith((f"{name}/", f"{name}:"))
        module, _, function = backend.factory.partition(":")
        # A run file answers from its own room.
        offline = dict.fromkeys(("vllm", "sglang"), "evalkit.offline")
        rooms = {"replay": "evalkit.runfile", "hf": "evalkit.hf", "ray": "evalkit.copies", **offline}
        assert module.rpartition(".")[0] == rooms.get(name, "evalkit.models")
        assert callable(getattr(importlib.import_module(module), function))
        assert backend.summary
        assert backend.installed or name in ("faster-whisper", "vllm", "sglang")
        assert {"chat", "transcription"} & set(backend.capabilities)
    assert BACKENDS["llama-cpp"].install.startswith("pip install")


def test_what_the_index_says_of_a_backend_is_so(tmp_path: Path) -> None:
    file = tmp_path / "any.gguf"
    file.touch()
    for spec in ("openai/tiny", "fake/gold", f"llama-cpp/{file}"):
        address = "http://127.0.0.1:8000/v1" if spec.startswith("openai/") else ""
        model = open_model(spec, base_url=address)
        assert model.capabilities == set(BACKENDS[spec.partition("/")[0]].capabilities)
        assert model.name == spec


def test_a_name_may_hold_what_separates_elsewhere() -> None:
    model = open_model("openai/owner/name:free", base_url="http://127.0.0.1:8000/v1/", timeout=5)
    assert isinstance(model, OpenAIModel)
    assert model.name == "openai/owner/name:free"
    assert model.identity["model"] == "owner/name:free"
    assert model.base_url == "http://127.0.0.1:8000/v1"


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("openia/tiny", "unknown backend 'openia': did you mean openai?"),
        ("llamacpp/a.gguf", "unknown backend 'llamacpp': did you mean llama-cpp or ollama?"),
        (
            "",
            "unknown backend '': known are anthropic, azure, bedrock, cohere, command, deepseek, fake, "
            "faster-whisper, fireworks, gemini, groq, hf, llama-cpp, lm-eval, mistral, ollama, openai, "
            "openrouter, python, ray, replay, sglang, together, transcribe, vllm, xai",
        ),
        ("openai", "'openai' names a backend but no model: write openai/NAME [--base-url URL]"),
        ("openai/", "'openai/' names a backend but no model: write openai/NAME [--base-url URL]"),
        ("openai/tiny?top_k=20", "openai/tiny has no options: --set extra.KEY=VALUE puts a parameter into"),
        ("llama-cpp", "no model: write llama-cpp/PATH.gguf"),
        ("replay/", "no model: write replay/RUN.db"),
        ("python:", "no model: write python:FILE.py:NAME"),
        ("fake/", "no model: write fake/gold"),
        ("replay/none.db", "no run file 'none.db'"),
        ("replay/none.db?slots=2", "unknown option of replay 'slots'"),
        (
            "llama-cpp/none.gguf",
            "no file 'none.gguf': llama-cpp/ needs a GGUF file, or SmolLM2-135M-Instruct",
        ),
        ("llama-cpp/none.gguf?slot=2", "unknown option of llama-cpp 'slot': did you mean slots?"),
        ("llama-cpp/none.gguf?slots=two", "llama-cpp/none.gguf: slots must be an integer, not 'two'"),
        ("llama-cpp/none.gguf?context=4k", "llama-cpp/none.gguf: context must be an integer, not '4k'"),
        ("llama-cpp/none.gguf?slots=0", "slots must be at least 1, not 0"),
        ("llama-cpp/none.gguf?threads=-1", "threads must be at least 0, not -1"),
        ("llama-cpp/none.gguf?context=0", "context must be a multiple of 256, not 0"),
        ("llama-cpp/none.gguf?context=300", "context must be a multiple of 256, not 300"),
        ("llama-cpp/none.gguf?prompt_cache=yes", "prompt_cache must be on or off, not 'yes'"),
    ],
)
def test_what_cannot_be_opened(spec: str, said: str) -> None:
    assert said in refusal(spec)


@pytest.mark.parametrize("spec", ["fake/gold", "llama-cpp/none.gguf", "replay/none.db"])
def test_an_address_goes_with_an_endpoint_only(spec: str) -> None:
    said = refusal(spec, "http://127.0.0.1:8000/v1")
    assert said == (
        "--base-url can be used with openai/NAME, transcribe/NAME, python:FILE.py:NAME and 13 others "
        f"(evalkit models lists them), not with {spec.partition('/')[0]}/"
    )


def test_a_backend_that_is_not_installed_says_how_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = Backend(
        "later/NAME", "of some day", ("chat",), module="evalkit_of_some_day", install="pip install it"
    )
    monkeypatch.setitem(BACKENDS, "later", missing)
    assert not missing.installed
    assert refusal("later/tiny") == "later is not installed: pip install it"
    assert "names a backend but no model" in refusal("later/")


def test_names_are_resolved_without_loading_a_backend() -> None:
    code = """
import sys
from evalkit.errors import UsageError
from evalkit.models import BACKENDS, open_model
try:
    open_model("openia/tiny")
except UsageError:
    pass
assert BACKENDS["llama-cpp"].installed
open_model("fake/gold")
print(sorted({"aiohttp", "huggingface_hub", "numpy", "sqlite3", "xllamacpp"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
