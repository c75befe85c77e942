"""Small checkpoints of BLEURT for tests: weights by chance, in the files that real ones have."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from evalkit.scoring.bleurt import CHECK
from evalkit.scoring.bleurt_model import Shape

TABLE: dict[str, Any] = json.loads((Path(__file__).parent / "conformance" / "bleurt.json").read_text("utf-8"))
"""Tokenisers, and the scores that bleurt-pytorch gives with the weights of `weights`."""
_SIZES = {
    "hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "max_position_embeddings": 512,
    "type_vocab_size": 2, "hidden_act": "gelu", "layer_norm_eps": 1e-12,
}  # fmt: skip
CONFIGS: Mapping[str, dict[str, Any]] = {
    "pieces": {**_SIZES, "vocab_size": 320, "embedding_size": 8, "num_hidden_layers": 3},
    "words": {**_SIZES, "vocab_size": 120, "embedding_size": None, "num_hidden_layers": 2},
}
"""RemBERT's kind, with a SentencePiece model, and BERT's, with a list of words."""


def weights(config: Mapping[str, Any], seed: int = 7) -> dict[str, Any]:
    """NumPy's arrays by name; the same in every version of NumPy."""
    chance = np.random.RandomState(seed)
    found = {}
    for name, size in sorted(Shape.of(config).weights().items()):
        values = chance.standard_normal(size) * 0.35
        found[name] = (values + ("LayerNorm.weight" in name)).astype(np.float32)
    return found


def written(
    folder: Path,
    kind: str = "pieces",
    *,
    prefix: str = "bleurt.",
    pickled: bool = False,
    seed: int = 7,
    config: Mapping[str, Any] | None = None,
) -> Path:
    """Writes a checkpoint. `prefix`: of the encoder's weights. `pickled`: as pytorch_model.bin."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    config = config or CONFIGS[kind]
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    arrays = {
        (name if name.startswith("classifier") else prefix + name): values
        for name, values in weights(config, seed).items()
    }
    arrays[f"{prefix}embeddings.position_ids"] = np.arange(512)[None]
    if pickled:
        import torch

        tensors = {name: torch.from_numpy(values) for name, values in arrays.items()}
        torch.save(tensors, folder / "pytorch_model.bin")
    else:
        save_file(arrays, folder / "model.safetensors")
    if kind == "pieces":
        (folder / "spm.model").write_bytes(base64.b64decode(TABLE["pieces"]["tokeniser"]))
    else:
        (folder / "vocab.txt").write_text("\n".join(TABLE["words"]["tokeniser"]) + "\n", "utf-8")
    return folder


def checked(folder: Path, kind: str = "pieces", *, off: float = 0.0) -> Path:
    """Puts the scores of the first cases into the folder's check, each `off` by that much."""
    pairs = [
        {"reference": case["reference"], "candidate": case["candidate"], "score": case["score"] + off}
        for case in TABLE[kind]["cases"][:3]
    ]
    tokens = TABLE[kind]["max_tokens"]
    (folder / CHECK).write_text(json.dumps({"max_tokens": tokens, "pairs": pairs}), "utf-8")
    return folder
