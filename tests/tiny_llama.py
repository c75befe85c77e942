"""A small Llama with weights by chance and a tokeniser trained on a few words, in transformers' files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.harness_rows import NAMES, THINGS

TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}"
    "{% if not loop.last or add_generation_prompt %}<eos>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
"""A chat template; a message of the assistant at the end is continued."""


def tokenizer_of(*marks: str, **named: str) -> Any:
    """A byte-level tokenizer of a few words. `marks`, `named`: further special tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<bos>", "<eos>", "<pad>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    words.train_from_iterator(
        [f"{name} has 12 {thing} and finds 36 more. How many?" for name in NAMES for thing in THINGS], trainer
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>",
        **({"extra_special_tokens": named} if named else {}),
    )  # fmt: skip
    if marks:
        tokenizer.add_special_tokens({"additional_special_tokens": [*marks]})
    return tokenizer


def written(folder: Path, *, template: str = TEMPLATE, positions: int = 512, heads: int = 2) -> Path:
    """Writes the model, of 60,000 weights in 0.3 MB. `template`: "" for a base model.

    `heads`: into how many heads its 32 numbers for each token are divided; vLLM's kernels for the CPU need 1.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = tokenizer_of()
    if template:
        tokenizer.chat_template = template
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=positions,
        initializer_range=0.7,  # large, so that neighbouring texts have different likeliest tokens
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
    )
    torch.manual_seed(7)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
