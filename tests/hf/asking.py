"""Asks models of transformers as the engine does, and as transformers alone."""

from __future__ import annotations

import asyncio
import io
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evalkit.errors import ProviderError
from evalkit.models import open_model
from evalkit.models.base import Request, Response
from evalkit.samples import Audio, Image, Message


def answers(folder: Path, requests: Sequence[Request], options: str = "") -> list[Response | ProviderError]:
    """What the model answers to all requests at once, in 32 bits on the CPU."""
    model: Any = open_model(f"hf/{folder}?dtype=float32{options}")

    async def asked() -> list[Response | ProviderError]:
        try:
            return list(await model.generate_batch(requests, [0] * len(requests)))
        finally:
            await model.aclose()

    return asyncio.run(asked())


def good(found: Response | ProviderError) -> Response:
    assert isinstance(found, Response), found
    return found


def picture(seed: int, width: int = 40, height: int = 40) -> Image:
    """A PNG of coloured noise."""
    from PIL import Image as Pillow

    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    out = io.BytesIO()
    Pillow.fromarray(pixels).save(out, "PNG")
    return Image(out.getvalue())


def clip(seed: int, seconds: float = 1.0) -> Audio:
    """A WAV of noise that rises and falls, with 16,000 samples a second."""
    noise = np.random.default_rng(seed).normal(0, 0.2, int(seconds * 16_000))
    noise *= np.abs(np.sin(np.arange(len(noise)) / (700 + 100 * seed)))
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((noise.clip(-1, 1) * 32767).astype("<i2").tobytes())
    return Audio(out.getvalue())


def heard(audio: Audio) -> Any:
    """The samples of a clip, float32."""
    with wave.open(io.BytesIO(audio.data)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768


def plainly(folder: Path, chat: Sequence[Message], most: int) -> tuple[str, int]:
    """(text, tokens of the prompt) by `processor.apply_chat_template` and `model.generate` alone."""
    import torch
    import transformers
    from PIL import Image as Pillow

    processor = transformers.AutoProcessor.from_pretrained(folder)
    model = transformers.AutoModelForMultimodalLM.from_pretrained(folder, dtype="float32").eval()
    inputs = processor.apply_chat_template(
        [
            {
                "role": message.role,
                "content": [
                    {"type": "text", "text": part}
                    if isinstance(part, str)
                    else {"type": "image", "image": Pillow.open(io.BytesIO(part.data)).convert("RGB")}
                    if isinstance(part, Image)
                    else {"type": "audio", "audio": heard(part)}  # type: ignore[arg-type]
                    for part in message.parts
                ],
            }
            for message in chat
        ],
        tokenize=True, return_dict=True, return_tensors="pt", add_generation_prompt=True,
    )  # fmt: skip
    with torch.no_grad():
        out = model.generate(**inputs, max_new_tokens=most, do_sample=False, pad_token_id=2)
    read = inputs["input_ids"].shape[1]
    return processor.decode(out[0, read:], skip_special_tokens=True), read
