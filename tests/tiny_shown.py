"""Small models by chance that read pictures or clips, with their processors, in transformers' files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.tiny_llama import tokenizer_of

SPEAKS = (
    "{% for message in messages %}<|{{ message['role'] }}|>"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>"
    "{% elif part['type'] == 'audio' %}<|audio_bos|><|AUDIO|><|audio_eos|>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}"
    "{% if not loop.last or add_generation_prompt %}<eos>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
"""A chat template that knows pictures and clips; a message of the assistant at the end is continued."""
_TEXT = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 2, "max_position_embeddings": 512, "initializer_range": 0.7,
    "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2,
}  # fmt: skip
_SEEN = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "initializer_range": 0.7,
}  # fmt: skip


def _saved(folder: Path, model: Any, processor: Any) -> Path:
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def llava(folder: Path, *, template: str = SPEAKS, positions: int = 512) -> Path:
    """Every picture has the same size: 16 tokens. `template`: "" for a base model."""
    import torch
    from transformers import (
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )
    from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

    tokenizer = tokenizer_of("<image>")
    pictures = LlavaImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}, do_convert_rgb=True
    )
    processor = LlavaProcessor(
        pictures, tokenizer, patch_size=8, vision_feature_select_strategy="default",
        chat_template=template or None, num_additional_image_tokens=1,
    )  # fmt: skip
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**_SEEN, image_size=32, patch_size=8),
        text_config=LlamaConfig(**{**_TEXT, "max_position_embeddings": positions}, vocab_size=len(tokenizer)),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
    )
    torch.manual_seed(7)
    return _saved(folder, LlavaForConditionalGeneration(config), processor)


def idefics3(folder: Path) -> Path:
    """A picture is cut into tiles, so that its tokens depend on its size."""
    import torch
    from transformers import (
        Idefics3Config,
        Idefics3ForConditionalGeneration,
        Idefics3Processor,
        LlamaConfig,
    )
    from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

    tokenizer = tokenizer_of(
        "<image>", "<fake_token_around_image>", "<end_of_utterance>", "<global-img>",
        *(f"<row_{row}_col_{column}>" for row in range(1, 4) for column in range(1, 4)),
    )  # fmt: skip
    pictures = Idefics3ImageProcessorPil(size={"longest_edge": 64}, max_image_size={"longest_edge": 32})
    processor = Idefics3Processor(pictures, tokenizer, image_seq_len=4, chat_template=SPEAKS)
    config = Idefics3Config(
        vision_config={**_SEEN, "image_size": 32, "patch_size": 8},
        text_config=LlamaConfig(**_TEXT, vocab_size=len(tokenizer)),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=2,
    )
    torch.manual_seed(7)
    return _saved(folder, Idefics3ForConditionalGeneration(config), processor)


def qwen2_audio(folder: Path, *, positions: int = 512) -> Path:
    """A clip has up to 750 tokens, of which its length decides how many are read."""
    import torch
    from transformers import (
        Qwen2AudioConfig,
        Qwen2AudioEncoderConfig,
        Qwen2AudioForConditionalGeneration,
        Qwen2AudioProcessor,
        Qwen2Config,
        WhisperFeatureExtractor,
    )

    tokenizer = tokenizer_of("<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>")
    processor = Qwen2AudioProcessor(WhisperFeatureExtractor(feature_size=16), tokenizer, chat_template=SPEAKS)
    config = Qwen2AudioConfig(
        audio_config=Qwen2AudioEncoderConfig(
            num_mel_bins=16, encoder_layers=1, encoder_attention_heads=2, encoder_ffn_dim=32, d_model=16,
        ),
        text_config=Qwen2Config(
            **{**_TEXT, "max_position_embeddings": positions}, vocab_size=len(tokenizer)
        ),
        audio_token_index=tokenizer.convert_tokens_to_ids("<|AUDIO|>"),
    )  # fmt: skip
    torch.manual_seed(7)
    return _saved(folder, Qwen2AudioForConditionalGeneration(config), processor)


def whisper(folder: Path, *, many: bool = True) -> Path:
    """A recogniser of clips up to 30 s, and of longer ones in windows. `many`: whether it has languages."""
    import torch
    from transformers import (
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperProcessor,
    )

    times = [f"<|{step * 0.02:.2f}|>" for step in range(1501)]
    marks = [
        "<|startoftranscript|>", "<|en|>", "<|de|>", "<|translate|>", "<|transcribe|>", "<|startoflm|>",
        "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>",
    ]  # fmt: skip
    tokenizer = tokenizer_of(*marks, *times)
    ids = {mark: tokenizer.convert_tokens_to_ids(mark) for mark in marks}
    processor = WhisperProcessor(WhisperFeatureExtractor(feature_size=16), tokenizer)
    config = WhisperConfig(
        vocab_size=len(tokenizer), num_mel_bins=16, d_model=16, encoder_layers=1, decoder_layers=1,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32,
        max_target_positions=64, init_std=0.7, bos_token_id=1, eos_token_id=1, pad_token_id=1,
        decoder_start_token_id=ids["<|startoftranscript|>"], suppress_tokens=None,
        begin_suppress_tokens=None,
    )  # fmt: skip
    torch.manual_seed(7)
    model = WhisperForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        decoder_start_token_id=ids["<|startoftranscript|>"], bos_token_id=1, eos_token_id=1, pad_token_id=1,
        max_length=64, no_timestamps_token_id=ids["<|notimestamps|>"], is_multilingual=many,
        prev_sot_token_id=ids["<|startofprev|>"], return_timestamps=False, max_initial_timestamp_index=50,
        **(
            {"lang_to_id": {mark: ids[mark] for mark in ("<|en|>", "<|de|>")},
             "task_to_id": {"transcribe": ids["<|transcribe|>"], "translate": ids["<|translate|>"]}}
            if many else {}
        ),
    )  # fmt: skip
    return _saved(folder, model, processor)


def llava_next(folder: Path) -> Path:
    """A picture is read whole and in tiles, whose number depends on its shape."""
    import torch
    from transformers import (
        CLIPVisionConfig,
        LlamaConfig,
        LlavaNextConfig,
        LlavaNextForConditionalGeneration,
        LlavaNextProcessor,
    )
    from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil

    tokenizer = tokenizer_of("<image>")
    grid = [[32, 64], [64, 32], [64, 64]]
    pictures = LlavaNextImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}, image_grid_pinpoints=grid
    )
    processor = LlavaNextProcessor(
        pictures, tokenizer, patch_size=8, vision_feature_select_strategy="default", chat_template=SPEAKS,
        num_additional_image_tokens=1,
    )  # fmt: skip
    config = LlavaNextConfig(
        vision_config=CLIPVisionConfig(**_SEEN, image_size=32, patch_size=8),
        text_config=LlamaConfig(**_TEXT, vocab_size=len(tokenizer)),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=grid,
        vision_feature_layer=-1,
    )
    torch.manual_seed(7)
    return _saved(folder, LlavaNextForConditionalGeneration(config), processor)


def gemma3(folder: Path) -> Path:
    """The tokens of a picture see each other, and layers see a window."""
    import torch
    from transformers import (
        Gemma3Config,
        Gemma3ForConditionalGeneration,
        Gemma3Processor,
        Gemma3TextConfig,
        SiglipVisionConfig,
    )
    from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil

    tokenizer = tokenizer_of(
        boi_token="<start_of_image>", eoi_token="<end_of_image>", image_token="<image_soft_token>"
    )
    processor = Gemma3Processor(
        Gemma3ImageProcessorPil(size={"height": 32, "width": 32}), tokenizer, image_seq_length=4,
        chat_template=SPEAKS.replace("<image>", "<start_of_image>"),
    )  # fmt: skip
    config = Gemma3Config(
        vision_config=SiglipVisionConfig(**_SEEN, image_size=32, patch_size=8),
        text_config=Gemma3TextConfig(
            **{**_TEXT, "num_hidden_layers": 2}, head_dim=16, vocab_size=len(tokenizer), sliding_window=16,
            layer_types=["sliding_attention", "full_attention"],
        ),
        mm_tokens_per_image=4,
        boi_token_index=tokenizer.convert_tokens_to_ids("<start_of_image>"),
        eoi_token_index=tokenizer.convert_tokens_to_ids("<end_of_image>"),
        image_token_index=tokenizer.convert_tokens_to_ids("<image_soft_token>"),
    )  # fmt: skip
    torch.manual_seed(7)
    return _saved(folder, Gemma3ForConditionalGeneration(config), processor)


def moonshine(folder: Path) -> Path:
    """A recogniser that reads a clip of any length at once."""
    import torch
    from transformers import (
        MoonshineConfig,
        MoonshineForConditionalGeneration,
        Wav2Vec2FeatureExtractor,
        Wav2Vec2Processor,
    )

    tokenizer = tokenizer_of()
    processor = Wav2Vec2Processor(
        Wav2Vec2FeatureExtractor(return_attention_mask=True, do_normalize=False), tokenizer
    )
    config = MoonshineConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, encoder_num_hidden_layers=1,
        decoder_num_hidden_layers=1, encoder_num_attention_heads=2, decoder_num_attention_heads=2,
        max_position_embeddings=64, initializer_range=0.7, bos_token_id=0, eos_token_id=1,
        decoder_start_token_id=0, pad_token_id=2,
    )  # fmt: skip
    torch.manual_seed(7)
    return _saved(folder, MoonshineForConditionalGeneration(config), processor)
