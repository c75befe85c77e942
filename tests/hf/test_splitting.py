"""How the tokenizers of GGUF files split texts."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gguf import GGUFWriter
from tokenizers import Tokenizer, models, pre_tokenizers

from evalkit.hf.splitting import split_as_the_file_says

TEXT = "if a:\n    1024.5 isn'T"


def _tokenizer(pre: Any) -> Any:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre
    return SimpleNamespace(backend_tokenizer=backend)


def _pieces(tokenizer: Any) -> list[str]:
    found = tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str(TEXT)
    return [TEXT[start:end] for _, (start, end) in found]


def _file(folder: Path, rule: str | None) -> Path:
    path = folder / "small.gguf"
    writer = GGUFWriter(path, "llama")
    if rule is not None:
        writer.add_tokenizer_pre(rule)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path


GPT2 = ["if", " a", ":", "\n   ", " 1024", ".", "5", " isn", "'", "T"]
DIGITS = ["if", " a", ":", "\n    ", "1", "0", "2", "4", ".", "5", " isn", "'", "T"]
LLAMA3 = ["if", " a", ":\n", "   ", " ", "102", "4", ".", "5", " isn", "'T"]
QWEN2 = ["if", " a", ":\n", "   ", " ", "1", "0", "2", "4", ".", "5", " isn", "'T"]


@pytest.mark.parametrize(
    ("rule", "pieces", "said"),
    [
        ("smollm", DIGITS, ""),
        ("gpt-2", GPT2, ""),
        (None, GPT2, ""),
        ("llama-bpe", LLAMA3, ""),
        ("qwen2", QWEN2, ""),
        ("tekken", GPT2, "the file's rule is 'tekken'"),
    ],
)
def test_a_text_is_split_as_the_file_says(
    tmp_path: Path, rule: str | None, pieces: list[str], said: str
) -> None:
    tokenizer = _tokenizer(pre_tokenizers.ByteLevel(add_prefix_space=False))
    note = split_as_the_file_says(tokenizer, _file(tmp_path, rule))
    assert _pieces(tokenizer) == pieces
    assert said in note
    assert bool(said) == bool(note)


def test_a_tokenizer_with_a_rule_of_its_own_is_left_alone(tmp_path: Path) -> None:
    tokenizer = _tokenizer(pre_tokenizers.Whitespace())
    assert split_as_the_file_says(tokenizer, _file(tmp_path, "llama-bpe")) == ""
    assert _pieces(tokenizer)[:2] == ["if", "a"]
    assert split_as_the_file_says(SimpleNamespace(), tmp_path / "none.gguf") == ""


@pytest.mark.parametrize(("rule", "tokens"), [("llama-bpe", ["abc"]), ("dbrx", ["ab", "c"])])
def test_llama_3_takes_a_piece_that_is_a_token_without_its_merges(
    tmp_path: Path, rule: str, tokens: list[str]
) -> None:
    backend = Tokenizer(models.BPE({"a": 0, "b": 1, "c": 2, "ab": 3, "abc": 4}, [("a", "b")]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    split_as_the_file_says(SimpleNamespace(backend_tokenizer=backend), _file(tmp_path, rule))
    assert backend.encode("abc").tokens == tokens
