"""Weights for the real faster-whisper that are made in a second: a Whisper without hearing.

One layer of zeros lets each token through, and the token alone decides which one follows: "transcribe" leads
to "Ein Boot.", or, nearly as likely, to "Kein Boot.", "translate" to "One boat.". What is spoken is always
taken for German. Without time stamps, as in batches, the last token of the prompt says no task.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

WIDTH = 32
SIZE = 51_865
"""Tokens of every Whisper in many languages before version 3, special ones and all."""
LANGUAGES = ("en", "zh", "de", "es", "ru", "ko", "fr", "ja", "pt", "tr")
WORDS = ("ĠEin", "ĠKein", "ĠBoot.", "ĠOne", "Ġboat.")
LIKELIEST, LESS_LIKELY = 1.0, 0.98
SHARPNESS = 8.0
"""Factor of all logits: how far sampling is from a fair choice."""

FOLLOWS: dict[str, dict[str, float]] = {
    "<|startoftranscript|>": {"<|de|>": 1},
    "<|transcribe|>": {"<|0.00|>": 1},
    "<|0.00|>": {"ĠEin": LIKELIEST, "ĠKein": LESS_LIKELY},
    "ĠEin": {"ĠBoot.": 1},
    "ĠKein": {"ĠBoot.": 1},
    "ĠBoot.": {"<|30.00|>": 1},
    "<|translate|>": {"<|0.02|>": 1},
    "<|0.02|>": {"ĠOne": 1},
    "ĠOne": {"Ġboat.": 1},
    "Ġboat.": {"<|30.00|>": 1},
    "<|30.00|>": {"<|endoftext|>": 1},
    "<|notimestamps|>": {"ĠEin": 1},
}


def make(folder: Path) -> Path:
    """The folder as `ct2-transformers-converter` writes it."""
    from ctranslate2.specs import WhisperSpec

    tokens = vocabulary(folder)
    spec: Any = WhisperSpec(1, 2, 1, 2)
    _encoder(spec.encoder)
    _decoder(spec.decoder, tokens)
    spec.register_vocabulary(tokens)
    spec.config.suppress_ids = []
    spec.config.suppress_ids_begin = [tokens.index("<|endoftext|>")]
    spec.config.lang_ids = [tokens.index(f"<|{code}|>") for code in LANGUAGES]
    spec.config.alignment_heads = [(0, 0)]
    spec.validate()
    spec.optimize(quantization=None)
    spec.save(str(folder))
    return folder


def vocabulary(folder: Path) -> list[str]:
    """All tokens by their numbers, and the tokeniser of them in `folder`."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    tasks = ("translate", "transcribe", "startoflm", "startofprev", "nocaptions", "notimestamps")
    times = [f"{count * 0.02:.2f}" for count in range(1501)]
    names = ("endoftext", "startoftranscript", *LANGUAGES, *tasks, *times)
    special = [f"<|{name}|>" for name in names]
    text = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *WORDS]
    text += [f"unused{number}" for number in range(SIZE - len(special) - len(text))]
    tokeniser = Tokenizer(models.BPE({token: number for number, token in enumerate(text)}, []))
    tokeniser.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokeniser.decoder = decoders.ByteLevel()
    tokeniser.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    tokeniser.save(str(folder / "tokenizer.json"))
    text[-1] = ""  # by this token CTranslate2 tells a Whisper of many languages from an English one
    return text + special


def _encoder(encoder: Any) -> None:
    encoder.conv1.weight, encoder.conv2.weight = _zeros(WIDTH, 80, 3), _zeros(WIDTH, WIDTH, 3)
    encoder.conv1.bias, encoder.conv2.bias = _zeros(WIDTH), _zeros(WIDTH)
    encoder.position_encodings.encodings = _zeros(1500, WIDTH)
    _norm(encoder.layer_norm)
    for layer in encoder.layer:
        _attention(layer.self_attention, (3, 1))
        _feed_forward(layer.ffn)


def _decoder(decoder: Any, tokens: list[str]) -> None:
    import numpy as np

    reached = sorted({other for following in FOLLOWS.values() for other in following})
    apart, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((WIDTH, len(reached))))
    directions = _zeros(SIZE, WIDTH)
    for token, direction in zip(reached, apart.T, strict=True):
        directions[tokens.index(token)] = direction
    points_to = _zeros(SIZE, WIDTH)
    for token, following in FOLLOWS.items():
        for other, weight in following.items():
            points_to[tokens.index(token)] += weight * directions[tokens.index(other)]
    decoder.embeddings.weight, decoder.projection.weight = points_to, directions
    decoder.position_encodings.encodings = _zeros(448, WIDTH)
    _norm(decoder.layer_norm, SHARPNESS)
    for layer in decoder.layer:
        _attention(layer.self_attention, (3, 1))
        _attention(layer.attention, (1, 2, 1))
        _feed_forward(layer.ffn)


def _attention(attention: Any, widths: tuple[int, ...]) -> None:
    _norm(attention.layer_norm)
    for linear, width in zip(attention.linear, widths, strict=True):
        _linear(linear, width * WIDTH)


def _feed_forward(ffn: Any) -> None:
    _norm(ffn.layer_norm)
    _linear(ffn.linear_0, WIDTH)
    _linear(ffn.linear_1, WIDTH)


def _linear(linear: Any, rows: int) -> None:
    linear.weight, linear.bias = _zeros(rows, WIDTH), _zeros(rows)


def _norm(norm: Any, factor: float = 1.0) -> None:
    norm.gamma, norm.beta = _zeros(WIDTH) + factor, _zeros(WIDTH)


def _zeros(*shape: int) -> Any:
    import numpy as np

    return np.zeros(shape, np.float32)
