"""What `vllm/…` and `sglang/…` take as options, and what is part of the identity."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from evalkit.errors import UsageError
from evalkit.models import BACKENDS, open_model
from evalkit.offline.model import OfflineModel

pytestmark = pytest.mark.usefixtures("stand_ins")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What looks like a model, as long as nothing loads it."""
    path = tmp_path / "model"
    path.mkdir()
    (path / "config.json").write_text("{}")
    (path / "model.safetensors").write_bytes(b"weights")
    return path


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("vllm/./none", "there is no such folder"),
        ("vllm/model.gguf", "vllm/ takes a folder: hf/ and llama-cpp/ take GGUF files"),
        ("sglang/{}?dtype=int3", "dtype must be one of auto, float32, bfloat16, float16, not 'int3'"),
        ("vllm/{}?bos=maybe", "bos must be one of auto, on, off"),
        ("vllm/{}?template=no.jinja", "template: there is no 'no.jinja'"),
        ("vllm/{}?revision=main", "revision is for models of the Hub"),
        ("vllm/{}?requests=0", "requests must be more than 0, not 0"),
        ("vllm/{}?max_model_len=0", "max_model_len must be more than 0, not 0"),
        ("vllm/{}?max_model_len=8k", "max_model_len must be an integer, not '8k'"),
        ("sglang/{}?mem_fraction_static=most", "mem_fraction_static must be a number, not 'most'"),
        ("vllm/{}?enforce_eager=yes", "enforce_eager must be on or off, not 'yes'"),
        ("vllm/{}?max_model_length=9", "unknown option of vllm 'max_model_length': did you mean max_model_"),
        ("vllm/{}?tp_size=2", "unknown option of vllm 'tp_size'"),
        ("sglang/{}?contxt_length=9", "unknown option of sglang 'contxt_length': did you mean context_"),
        ("vllm/{}?tokenizer=x", "tokenizer is not an option: the tokenizer is the one beside the weights"),
        ("vllm/{}?model=x", "model is not an option: the model is what stands before the question mark"),
        ("vllm/{}?logprobs_mode=raw_logits", "logprobs_mode is not an option: log-probabilities are"),
        ("sglang/{}?chat_template=x", "chat_template is not an option: write template=FILE"),
        ("vllm/{}?adapter=x", "adapter is not an option: merge the adapter into the weights, or use hf/"),
        ("vllm/", "names a backend but no model: write vllm/PATH-or-NAME"),
    ],
)  # fmt: skip
def test_what_cannot_be_opened(folder: Path, typed: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        open_model(typed.format(folder))
    assert said in str(refused.value)


def test_arguments_of_the_engine_are_read_by_their_kind(folder: Path) -> None:
    model = open_model(
        f"vllm/{folder}?max_model_len=99&gpu_memory_utilization=0.5&enforce_eager=on&quantization=fp8"
        '&block_size=16&hf_overrides={"a": [1]}&attention_backend=FLASH_ATTN&dtype=bfloat16&requests=7'
    )
    assert isinstance(model, OfflineModel)
    assert (model.parallel, model.gathers) == (7, 7)
    assert dict(model._options.arguments) == {
        "max_model_len": 99,
        "gpu_memory_utilization": 0.5,
        "enforce_eager": True,
        "quantization": "fp8",
        "block_size": 16,
        "hf_overrides": {"a": [1]},
        "attention_backend": "FLASH_ATTN",
    }
    assert model.capabilities == set(BACKENDS["vllm"].capabilities)
    assert "torch" not in sys.modules or "vllm.v1" not in sys.modules  # nothing is loaded yet


def test_the_identity_is_what_decides_the_responses(folder: Path, tmp_path: Path) -> None:
    def identity(typed: str) -> str:
        return json.dumps(open_model(typed).identity, sort_keys=True)

    for backend in ("vllm", "sglang"):
        plain = identity(f"{backend}/{folder}?dtype=float16")
        assert json.loads(plain)[backend] == {"vllm": "0.33.0", "sglang": "0.5.23"}[backend]
        assert json.loads(plain).keys() == {"backend", "weights", "dtype", backend, "transformers", "torch"}
        template = tmp_path / "chat.jinja"
        template.write_text("{{ messages }}")
        others = ["dtype=bfloat16", "dtype=float16&bos=on", f"dtype=float16&template={template}"]
        others += ["dtype=float16&quantization=fp8", "dtype=float16&kv_cache_dtype=fp8"]
        sizes = {"vllm": ("tensor_parallel_size", "max_model_len"), "sglang": ("tp_size", "context_length")}
        others += [f"dtype=float16&{size}=2" for size in sizes[backend]]
        assert len({plain, *(identity(f"{backend}/{folder}?{other}") for other in others)}) == 8
    same = (
        "gpu_memory_utilization=0.5&max_num_seqs=3&data_parallel_size=2&requests=9&enable_prefix_caching=on"
    )
    assert identity(f"vllm/{folder}?dtype=float16&{same}") == identity(f"vllm/{folder}?dtype=float16")
    same = "mem_fraction_static=0.5&max_running_requests=3&dp_size=2&disable_radix_cache=on"
    assert identity(f"sglang/{folder}?dtype=float16&{same}") == identity(f"sglang/{folder}?dtype=float16")


def test_how_many_gpus_compute(folder: Path) -> None:
    for typed, count in (
        (f"vllm/{folder}", 1),
        (f"vllm/{folder}?tensor_parallel_size=2&data_parallel_size=3", 6),
        (f"sglang/{folder}?tp_size=4", 4),
    ):
        model = open_model(typed)
        assert isinstance(model, OfflineModel)
        assert model._options.gpus == count
        assert not model.gpus  # it is not loaded


def test_a_package_that_is_missing_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [path for path in sys.path if not path.endswith("stand_ins")])
    for backend in ("vllm", "sglang"):
        with pytest.raises(UsageError) as refused:
            open_model(f"{backend}/{folder}")
        assert str(refused.value) == f"{backend} is not installed: pip install 'evalkit[{backend}]'"
