"""BLEURT's model: its input, its encoder and its regression head. It runs in a worker process, with torch.

The encoder is BERT's (Devlin et al. 2019, arXiv 1810.04805), for RemBERT with word vectors that are narrower
than its layers (Chung et al. 2021, arXiv 2010.12821): google-research/bleurt at cebe7e6, `lib/modeling.py`.
A score is one linear function of the pooled first token (`model.py`, create_model), and is not bounded.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""Files of weights, the preferred one first."""
PIECES = ("spm.model", "sent_piece.model", "sentencepiece.model")
"""SentencePiece models, by the names that the publishers give them."""
WORDS = "vocab.txt"
SETTINGS = "tokenizer_config.json"
_UNKNOWN = "[UNK]"
TOLERANCES = {"float32": 1e-3, "bfloat16": 5e-2}
"""By precision: how far a score may be from the expected one. Published ones differ by over 0.002."""
HEAD = ("pooler.", "classifier.")
"""The beginnings of the names of weights behind the encoder: these stay in single precision."""
_TOGETHER = 8192
"""The most tokens of one pass through the model, with padding: 16 pairs of 512."""
_ACTIVATIONS = {"gelu": "none", "gelu_new": "tanh", "gelu_pytorch_tanh": "tanh"}
"""The approximation of GELU in torch, by its name in a config."""
_PREFIXES = ("bleurt.", "bert.")
"""How the names of the encoder's weights begin, in bleurt-pytorch's and in transformers' checkpoints."""
_BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")
"""Entries of checkpoints that are no weights."""

Tokens = Sequence[int]


def truncated(reference: Tokens, candidate: Tokens, most: int) -> tuple[Tokens, Tokens]:
    """The first tokens of both, `most` together: the last of the longer one goes until they fit.

    If both are equally long, the candidate's last token goes (`encoding.py`, _truncate_seq_pair).
    """
    kept = min(len(candidate), max(most - len(reference), most // 2))
    return reference[: most - kept], candidate[:kept]


def joined(
    reference: Tokens, candidate: Tokens, most: int, first: int, end: int
) -> tuple[list[int], list[int]]:
    """At most `most` token ids, and the segment of each: [CLS] reference [SEP] in 0, candidate [SEP] in 1.

    `first`, `end`: the ids of [CLS] and [SEP] (`encoding.py`, encode_example).
    """
    reference, candidate = truncated(reference, candidate, most - 3)
    ids = [first, *reference, end, *candidate, end]
    segments = [0] * (len(reference) + 2) + [1] * (len(candidate) + 1)
    return ids, segments


@dataclass(frozen=True, slots=True)
class Tokeniser:
    """`split`: a text → token ids. `first`, `end`: the ids of [CLS] and [SEP]."""

    split: Callable[[str], list[int]]
    first: int
    end: int


def tokeniser(folder: Path) -> Tokeniser:
    """The checkpoint's tokeniser: SentencePiece, or WordPiece as BERT has it (`lib/tokenizers.py`).

    A "[SEP]" in a text is a text like any other. Raises `ValueError` if [CLS] or [SEP] has no id.
    """
    for path in (folder / name for name in PIECES):
        if path.is_file():
            return _pieces(path)
    return _words(folder / WORDS)


def _pieces(path: Path) -> Tokeniser:
    import sentencepiece

    model = sentencepiece.SentencePieceProcessor(model_file=str(path))
    marks = [model.piece_to_id(mark) for mark in ("[CLS]", "[SEP]")]
    if model.unk_id() in marks:
        raise ValueError(f"{path.name} has no piece [CLS] or [SEP]")

    def split(text: str) -> list[int]:
        ids: list[int] = model.encode(text, out_type=int)
        return ids

    return Tokeniser(split, *marks)


def _words(path: Path) -> Tokeniser:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    known = {line: number for number, line in enumerate(path.read_text("utf-8").splitlines())}
    if not {"[CLS]", "[SEP]", _UNKNOWN} <= known.keys():
        raise ValueError(f"{path.name} has no word [CLS], [SEP] or {_UNKNOWN}")
    settings = path.with_name(SETTINGS)
    given = json.loads(settings.read_text("utf-8")) if settings.is_file() else {}
    model = Tokenizer(models.WordPiece(known, unk_token=_UNKNOWN, max_input_chars_per_word=200))
    model.normalizer = normalizers.BertNormalizer(lowercase=bool(given.get("do_lower_case", True)))
    model.pre_tokenizer = pre_tokenizers.BertPreTokenizer()

    def split(text: str) -> list[int]:
        ids: list[int] = model.encode(text, add_special_tokens=False).ids
        return ids

    return Tokeniser(split, known["[CLS]"], known["[SEP]"])


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of an encoder. `narrow`: the width of its word vectors, 0 if it is that of the layers."""

    words: int
    positions: int
    segments: int
    narrow: int
    width: int
    wide: int
    layers: int
    heads: int
    epsilon: float
    approximate: str

    @staticmethod
    def of(config: Mapping[str, Any]) -> Shape:
        """The shape that a `config.json` tells. Raises `ValueError` for what is no such encoder."""
        activation = config.get("hidden_act", "gelu")
        if activation not in _ACTIVATIONS:
            raise ValueError(f"hidden_act {activation!r} is none of {', '.join(_ACTIVATIONS)}")
        try:
            return Shape(
                words=config["vocab_size"],
                positions=config["max_position_embeddings"],
                segments=config.get("type_vocab_size", 2),
                narrow=config.get("embedding_size") or 0,
                width=config["hidden_size"],
                wide=config["intermediate_size"],
                layers=config["num_hidden_layers"],
                heads=config["num_attention_heads"],
                epsilon=config.get("layer_norm_eps", 1e-12),
                approximate=_ACTIVATIONS[activation],
            )
        except KeyError as error:
            raise ValueError(f"the config lacks {error.args[0]}") from None

    def weights(self) -> dict[str, tuple[int, ...]]:
        """The names and sizes of all weights."""
        first = self.narrow or self.width
        sizes = {
            "embeddings.word_embeddings.weight": (self.words, first),
            "embeddings.position_embeddings.weight": (self.positions, first),
            "embeddings.token_type_embeddings.weight": (self.segments, first),
            **_norm("embeddings", first),
        }
        if self.narrow:
            sizes |= _dense("encoder.embedding_projection", self.narrow, self.width)
        for number in range(self.layers):
            layer = f"encoder.layer.{number}"
            for part in ("query", "key", "value"):
                sizes |= _dense(f"{layer}.attention.self.{part}", self.width, self.width)
            sizes |= _dense(f"{layer}.attention.output.dense", self.width, self.width)
            sizes |= _norm(f"{layer}.attention.output", self.width)
            sizes |= _dense(f"{layer}.intermediate.dense", self.width, self.wide)
            sizes |= _dense(f"{layer}.output.dense", self.wide, self.width)
            sizes |= _norm(f"{layer}.output", self.width)
        return sizes | _dense("pooler.dense", self.width, self.width) | _dense("classifier", self.width, 1)


def _dense(name: str, inner: int, outer: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outer, inner), f"{name}.bias": (outer,)}


def _norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.LayerNorm.weight": (width,), f"{name}.LayerNorm.bias": (width,)}


class Encoder:
    """The encoder with its regression head, as pure functions of its weights."""

    def __init__(self, shape: Shape, weights: Mapping[str, Any]) -> None:
        """`weights`: torch's tensors by name, all on one device; those of `HEAD` in single precision."""
        import torch

        self._shape, self._weights, self._torch = shape, weights, torch

    def scores(self, inputs: Sequence[tuple[list[int], list[int]]]) -> list[float]:
        """The score of each input (ids, segments). Shorter inputs are padded and their padding is masked."""
        torch, longest = self._torch, max(len(ids) for ids, _ in inputs)
        device = self._weights["classifier.bias"].device
        padded = [
            [(*row, *([0] * (longest - len(row)))) for row in rows] for rows in zip(*inputs, strict=True)
        ]
        ids, segments = (torch.tensor(rows, device=device) for rows in padded)
        lengths = torch.tensor([len(ids) for ids, _ in inputs], device=device)
        mask = torch.arange(longest, device=device) < lengths[:, None]
        with torch.inference_mode():
            found: list[float] = self._regression(ids, segments, mask[:, None, None, :]).tolist()
        return found

    def _regression(self, ids: Any, segments: Any, mask: Any) -> Any:
        functional, weights = self._torch.nn.functional, self._weights
        hidden = weights["embeddings.word_embeddings.weight"][ids]
        hidden = hidden + weights["embeddings.token_type_embeddings.weight"][segments]
        hidden = hidden + weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
        hidden = self._normed("embeddings", hidden)
        if self._shape.narrow:
            hidden = self._dense("encoder.embedding_projection", hidden)
        for number in range(self._shape.layers):
            layer = f"encoder.layer.{number}"
            attended = self._dense(f"{layer}.attention.output.dense", self._attended(layer, hidden, mask))
            hidden = self._normed(f"{layer}.attention.output", attended + hidden)
            inner = self._dense(f"{layer}.intermediate.dense", hidden)
            inner = functional.gelu(inner, approximate=self._shape.approximate)
            hidden = self._normed(f"{layer}.output", self._dense(f"{layer}.output.dense", inner) + hidden)
        pooled = self._dense("pooler.dense", hidden[:, 0].float()).tanh()
        return self._dense("classifier", pooled)[:, 0]

    def _attended(self, layer: str, hidden: Any, mask: Any) -> Any:
        """(pairs, tokens, width): attention of all heads; padding is not attended to."""
        pairs, tokens, width = hidden.shape
        heads = [
            self._dense(f"{layer}.attention.self.{part}", hidden)
            .view(pairs, tokens, self._shape.heads, width // self._shape.heads)
            .transpose(1, 2)
            for part in ("query", "key", "value")
        ]
        found = self._torch.nn.functional.scaled_dot_product_attention(*heads, attn_mask=mask)
        return found.transpose(1, 2).reshape(pairs, tokens, width)

    def _dense(self, name: str, hidden: Any) -> Any:
        weights = self._weights
        return self._torch.nn.functional.linear(hidden, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def _normed(self, name: str, hidden: Any) -> Any:
        weight, bias = (self._weights[f"{name}.LayerNorm.{part}"] for part in ("weight", "bias"))
        return self._torch.nn.functional.layer_norm(
            hidden, (hidden.shape[-1],), weight, bias, self._shape.epsilon
        )


def read_weights(folder: Path, shape: Shape) -> dict[str, Any]:
    """The weights by name, without the prefix of the encoder's. No code in a file of weights is executed.

    Raises `ValueError` if they are not those of `shape`.
    """
    import torch
    from safetensors.torch import load_file

    path = next(path for name in WEIGHTS if (path := folder / name).is_file())
    if path.suffix == ".safetensors":
        held = load_file(path)
    else:
        held = torch.load(path, map_location="cpu", weights_only=True)
    found = {_bare(name): tensor for name, tensor in held.items() if _bare(name) not in _BUFFERS}
    expected = shape.weights()
    wrong = sorted(found.keys() ^ expected.keys())
    wrong += sorted(name for name in found.keys() & expected.keys() if found[name].shape != expected[name])
    if wrong:
        raise ValueError(f"{path.name} has other weights than {CONFIG} tells: {', '.join(wrong[:3])}")
    return found


def _bare(name: str) -> str:
    return next((name.removeprefix(prefix) for prefix in _PREFIXES if name.startswith(prefix)), name)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A checkpoint that is ready to score. `most`: the most tokens of a pair, with [CLS] and [SEP]s."""

    tokeniser: Tokeniser
    encoder: Encoder
    most: int

    def input(self, candidate: str, reference: str) -> tuple[list[int], list[int]]:
        one, other = (self.tokeniser.split(_text(text)) for text in (reference, candidate))
        return joined(one, other, self.most, self.tokeniser.first, self.tokeniser.end)


def _text(text: str) -> str:
    """`text` with "?" for halves of surrogate pairs, which no tokeniser accepts."""
    return text.encode("utf-8", "replace").decode("utf-8")


def load(folder: str, precision: str, most: int, expected: Sequence[tuple[str, str, float]]) -> Loaded:
    """The checkpoint in `folder`, on the GPU if there is one, once it gave the scores expected of it.

    `expected`: (reference, candidate, score) of some pairs. Each must be met in single precision, and roughly
    in `precision`. Raises `ValueError` if one is not.
    """
    import torch

    place = Path(folder)
    shape = Shape.of(json.loads((place / CONFIG).read_text("utf-8")))
    if most > shape.positions:
        raise ValueError(f"it has {shape.positions} positions, too few for pairs of {most} tokens")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    weights, split = read_weights(place, shape), tokeniser(place)
    for kind in dict.fromkeys(("float32", precision)):
        kinds = {True: torch.float32, False: getattr(torch, kind)}
        weights = {
            name: tensor.to(device=device, dtype=kinds[name.startswith(HEAD)])
            for name, tensor in weights.items()
        }
        loaded = Loaded(split, Encoder(shape, weights), most)
        _check(loaded, expected, TOLERANCES[kind], kind)
    return loaded


def _check(
    loaded: Loaded, expected: Sequence[tuple[str, str, float]], tolerance: float, precision: str
) -> None:
    found = score(loaded, [(candidate, reference) for reference, candidate, _ in expected])
    for value, (reference, candidate, wanted) in zip(found, expected, strict=True):
        if not math.isclose(value, wanted, rel_tol=0, abs_tol=tolerance):
            raise ValueError(
                f"it failed its self-check in {precision}: {value:.5f} in place of {wanted:.5f} for the "
                f"reference {reference[:60]!r} and the candidate {candidate[:60]!r}"
            )


def score(loaded: Loaded, pairs: Sequence[tuple[str, str]]) -> list[float]:
    """The scores of pairs (candidate, reference). Pairs of similar length go through the model together."""
    inputs = [loaded.input(candidate, reference) for candidate, reference in pairs]
    scores = [0.0] * len(pairs)
    for batch in batches([len(ids) for ids, _ in inputs]):
        found = loaded.encoder.scores([inputs[number] for number in batch])
        for number, value in zip(batch, found, strict=True):
            scores[number] = value
    return scores


def batches(lengths: Sequence[int], together: int = _TOGETHER) -> Iterator[list[int]]:
    """The numbers of inputs, by length, in batches of at most `together` tokens with padding, or of one."""
    batch: list[int] = []
    for number in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[number] > together:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch
