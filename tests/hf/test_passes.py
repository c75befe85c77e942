"""The shared computation equals the plain one, for every kind of model that it is used for."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from evalkit.hf.passes import TOLERANCE, Passes, Wanted  # noqa: E402

pytestmark = pytest.mark.slow  # transformers takes seconds to import

SMALL = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 200, "initializer_range": 0.3,
}  # fmt: skip
OLD = {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 200, "initializer_range": 0.3}
KINDS: dict[str, tuple[str, dict[str, Any], str]] = {
    "llama": ("LlamaConfig", SMALL, ""),
    "qwen3": ("Qwen3Config", {**SMALL, "head_dim": 8}, ""),
    "gpt2": ("GPT2Config", OLD, ""),
    "neox": ("GPTNeoXConfig", {key: SMALL[key] for key in SMALL if "key" not in key}, ""),
    "window": ("MistralConfig", {**SMALL, "sliding_window": 4096}, ""),
    "short window": ("MistralConfig", {**SMALL, "sliding_window": 20}, "its attention has a window of 20.*"),
    "softcap": ("Gemma2Config", {**SMALL, "head_dim": 8}, "its attention has softcap"),
    "alibi": (
        "BloomConfig",
        {"hidden_size": 32, "n_layer": 2, "n_head": 4, "vocab_size": 200, "initializer_range": 0.3},
        "its attention has only its own computation",
    ),
    "state space": (
        "MambaConfig",
        {"hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 200, "initializer_range": 0.3},
        "the shared computation is .* nats off the plain one",
    ),
}  # fmt: skip
START = np.random.default_rng(3).integers(0, 200, 70)
SEQUENCES = [
    np.concatenate([START[:length], np.random.default_rng(seed).integers(0, 200, size)])
    for seed, (length, size) in enumerate([(70, 3), (70, 30), (50, 9), (50, 1), (20, 40), (0, 25), (70, 3)])
]


def made(kind: str, dtype: Any = None) -> Any:
    config, sizes, _ = KINDS[kind]
    torch.manual_seed(5)
    model = transformers.AutoModelForCausalLM.from_config(getattr(transformers, config)(**sizes))
    return model.eval().to(dtype or torch.float32)


def alone(model: Any, ids: Any) -> Any:
    """The log-probabilities after each token, in a call of its own; of shape (tokens, vocabulary)."""
    with torch.no_grad():
        return model(torch.from_numpy(ids)[None]).logits[0].float().log_softmax(-1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("most", [2048, 64])
def test_equal_to_one_by_one(kind: str, most: int) -> None:
    model = made(kind)
    computed = Passes(model, most)
    why = computed.check()
    assert re.fullmatch(KINDS[kind][2], why)
    assert computed.shared == (not why)
    wanted = [
        Wanted(ids, max(1, len(ids) - 4), top=3, after=number % 2 == 0)
        for number, ids in enumerate(SEQUENCES)
    ]
    before = model.config._attn_implementation
    for one, found in zip(wanted, computed.compute(wanted), strict=True):
        reference = alone(model, one.ids)
        places = range(one.first - 1, len(one.ids) - 1)
        for place, logprob, greedy in zip(places, found.logprobs, found.greedy, strict=True):
            assert logprob == pytest.approx(float(reference[place, one.ids[place + 1]]), abs=1e-4)
            assert greedy == (int(reference[place].argmax()) == one.ids[place + 1])
        assert len(found.top) == len(found.top_logprobs) == len(found.logprobs) + one.after
        for place, names, values in zip(
            range(one.first - 1, len(one.ids)), found.top, found.top_logprobs, strict=False
        ):
            assert reference[place].topk(3).indices.tolist() == names
            assert values == pytest.approx(reference[place].topk(3).values.tolist(), abs=1e-4)
    assert model.config._attn_implementation == before


def test_in_sixteen_bits_within_the_tolerance() -> None:
    for dtype, name in ((torch.bfloat16, "bfloat16"), (torch.float16, "float16")):
        model = made("llama", dtype)
        computed = Passes(model, 2048)
        assert not computed.check()
        found = computed.compute([Wanted(ids, 1) for ids in SEQUENCES])
        for ids, one in zip(SEQUENCES, found, strict=True):
            reference = alone(model, ids)
            plain = [float(reference[place, ids[place + 1]]) for place in range(len(ids) - 1)]
            assert one.logprobs == pytest.approx(plain, abs=TOLERANCE[name])


def test_a_sequence_beyond_the_window_is_computed_plainly() -> None:
    model = made("window")
    for layer in model.model.layers:
        layer.self_attn.sliding_window = 60
    model.config.sliding_window = 60
    computed = Passes(model, 2048)
    computed.shared = True
    (found,) = computed.compute([Wanted(SEQUENCES[1], 99)])
    assert found.logprobs == pytest.approx(
        [float(alone(model, SEQUENCES[1])[98, SEQUENCES[1][99]])], abs=1e-4
    )


def test_logits_are_made_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    model = made("llama")
    wanted = [Wanted(ids, 1, top=2) for ids in SEQUENCES]
    whole = Passes(model, 2048).compute(wanted)
    monkeypatch.setattr("evalkit.hf.passes._LOGITS", 7 * 200)
    for left, right in zip(whole, Passes(model, 2048).compute(wanted), strict=True):
        assert left.logprobs == pytest.approx(right.logprobs, abs=1e-5)
        assert left.top == right.top


def test_the_bench_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """The numbers are for a GPU; that both computations agree is shown here too."""
    from bench.hf import measure

    rows = measure(small=True, compiled=False)
    assert set(rows) == {"letters", "endings"}
    assert all(off < 1e-3 for _, off in rows.values())
    assert capsys.readouterr().out.count("lm-eval") == 2
