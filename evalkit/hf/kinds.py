"""What a model of transformers reads: texts, pictures and clips in chats, or clips to transcribe.

It is known before the first request, from the model's configuration and the files of its processor; the
weights are not read for it.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from evalkit.errors import UsageError, one_line
from evalkit.hf.options import Options
from evalkit.models.base import Capability
from evalkit.models.registry import capabilities_of
from evalkit.samples import JSON

_PROCESSORS = ("processor_config.json", "preprocessor_config.json")
"""A model without one of these files reads texts only, and transformers is not imported to know it."""
_CHATS = ("AutoModelForMultimodalLM", "AutoModelForImageTextToText")
_SPEECH = "AutoModelForSpeechSeq2Seq"
_TEXT = "AutoModelForCausalLM"
_PARTS: Mapping[Capability, tuple[str, ...]] = {
    "image": ("image_processor",),
    "audio": ("feature_extractor", "audio_processor"),
}
"""By medium, the parts of a processor that prepare it (transformers' `MODALITY_TO_AUTOPROCESSOR_MAPPING`)."""
_TEXTS = capabilities_of("hf") - {"image", "audio", "transcription"}
_MISTRAL = "MistralCommonBackend"
_SHOWN = 300


@dataclass(frozen=True, slots=True)
class Kind:
    """`loads`: the class of transformers that loads the weights. `processor`: None for texts only."""

    capabilities: frozenset[Capability] = _TEXTS
    loads: str = _TEXT
    processor: Any = field(default=None, compare=False)

    @property
    def transcribes(self) -> bool:
        return "transcription" in self.capabilities

    @property
    def identity(self) -> dict[str, JSON]:
        """What decides how pictures and clips are prepared, beside the model's files; {} for texts only.

        transformers scales pictures with torchvision where that is installed, and otherwise with Pillow,
        which gives slightly different pixels.
        """
        if self.processor is None:
            return {}
        return {"pictures": _version("torchvision") or _version("pillow")}


def kind_of(typed: str, options: Options) -> Kind:
    """The kind of the model in `options`, named `typed`. Raises `UsageError` if it cannot be run."""
    if options.is_gguf or not any((options.path / one).is_file() for one in _PROCESSORS):
        return Kind()
    quiet()
    import transformers

    files = {"trust_remote_code": options.trust_remote_code, "local_files_only": True}
    try:
        config = transformers.AutoConfig.from_pretrained(options.path, **files)
        if not any(_is_for(config, name) for name in (*_CHATS, _SPEECH)):
            return Kind()
        processor = transformers.AutoProcessor.from_pretrained(options.path, **files)
    except Exception as error:  # noqa: BLE001 — transformers raises whatever a file makes it raise
        raise UsageError(f"{typed}: its processor cannot be loaded: {said(error)}") from None
    media = frozenset(
        medium
        for medium, parts in _PARTS.items()
        if any(getattr(processor, part, None) is not None for part in parts)
    )
    chats = next((name for name in _CHATS if _is_for(config, name)), "")
    has_template = bool(options.template) or bool(template_of(processor))
    if type(getattr(processor, "tokenizer", None)).__name__ == _MISTRAL:
        raise UsageError(
            f"{typed}: mistral-common writes its chats, which evalkit does not use: serve the model, as with "
            "vLLM, and run openai/NAME"
        )
    asked = bool(chats) and (has_template or _reads_text(processor))
    if "audio" in media and _is_for(config, _SPEECH) and not asked:
        return Kind(frozenset(("transcription",)), _SPEECH, processor)
    if not chats or getattr(config, "is_encoder_decoder", False):
        raise UsageError(
            f"{typed}: a {config.model_type} cannot be run: evalkit runs models that continue what they read "
            "(decoders), and recognisers of speech"
        )
    if not hasattr(processor, "tokenizer"):
        raise UsageError(f"{typed}: its processor has no tokenizer, which reads the texts beside the media")
    return Kind(_TEXTS | (media if has_template else frozenset()), chats, processor)


def template_of(processor: Any) -> str:
    """The chat template of a processor or of its tokenizer; "" if there is none."""
    tokenizer = getattr(processor, "tokenizer", None)
    for one in (processor, tokenizer):
        found = getattr(one, "chat_template", None)
        if isinstance(found, dict):
            found = found.get("default")
        if found:
            return str(found)
    return ""


def _reads_text(processor: Any) -> bool:
    """Whether it takes no clip without a text."""
    text = inspect.signature(type(processor).__call__).parameters.get("text")
    return text is not None and text.default is inspect.Parameter.empty


def quiet() -> None:
    """Turns off transformers' warnings and progress bars, which would go to the terminal of a run."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def _is_for(config: Any, name: str) -> bool:
    """Whether the class `name` of transformers loads models of `config`, by its code or the model's own."""
    import transformers

    found = getattr(transformers, name, None)  # AutoModelForMultimodalLM is not in all versions
    known = found is not None and type(config) in found._model_mapping
    return known or name in (getattr(config, "auto_map", None) or {})


def said(error: Exception) -> str:
    """An error of transformers on a line, with what to do about it if that is known."""
    if "trust_remote_code" in str(error):
        return "it has Python files of its own, which ?trust_remote_code=on runs: read them first"
    line = one_line(error, _SHOWN)
    return f"{line} (pip install torchvision)" if "torchvision" in line.lower() else line


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return ""
