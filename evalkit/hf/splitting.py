"""How the tokenizer of a GGUF file splits a text before its merges.

A GGUF file only names the rule, in `tokenizer.ggml.pre`; llama.cpp has the rules in its src/llama-vocab.cpp.
transformers (5.x) ignores the name and splits every byte-level tokenizer as GPT-2's is split.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

_GPT2 = ("", "default", "gpt-2", "gpt2", "jais", "mpt", "olmo", "phi-2", "trillion")
_DIGITS = ("codeshell", "command-r", "exaone", "minerva-7b", "refact", "smollm", "starcoder")
"""Rules that first take each digit for itself, and then split as GPT-2 does."""
_LLAMA3 = ("llama-bpe", "llama-v3", "llama3", "dbrx", "smaug-bpe")
_QWEN2 = ("deepseek-r1-qwen", "hunyuan", "qwen2", "stablelm2")
_WHOLE = ("llama-bpe", "llama-v3", "llama3")
"""Rules of models that take a piece of the text as one token if they have it, whatever the merges give."""
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}DIGITS"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""The pattern of the tokenizers of Llama 3 (one to three digits) and Qwen 2 (one digit)."""


def split_as_the_file_says(tokenizer: Any, path: Path) -> str:
    """Lets `tokenizer`, as transformers made it of the file, split texts as the file says.

    Returns what the user must know where that is not possible; "" otherwise.
    """
    from tokenizers import Regex, pre_tokenizers

    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    if not isinstance(getattr(backend, "pre_tokenizer", None), pre_tokenizers.ByteLevel):
        return ""
    named = rule(path)
    if named in _DIGITS:
        digits = pre_tokenizers.Digits(individual_digits=True)
        backend.pre_tokenizer = pre_tokenizers.Sequence([digits, backend.pre_tokenizer])
    elif named in (*_LLAMA3, *_QWEN2):
        pattern = Regex(_WORDS.replace("DIGITS", "{1,3}" if named in _LLAMA3 else ""))
        split = pre_tokenizers.Split(pattern, "isolated")
        as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        backend.pre_tokenizer = pre_tokenizers.Sequence([split, as_bytes])
        if named in _WHOLE:
            backend.model.ignore_merges = True
    elif named not in _GPT2:
        return (
            f"hf/{path.name}: transformers splits texts as GPT-2 does, and the file's rule is {named!r}, so "
            "that some texts have other tokens than the model knows: use the folder of the original weights"
        )
    return ""


def rule(path: Path) -> str:
    """The name of the file's rule; "" if it has none."""
    from gguf import GGUFReader

    field = GGUFReader(path).get_field("tokenizer.ggml.pre")
    return "" if field is None else str(field.contents())
