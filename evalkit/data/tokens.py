"""Counts the tokens of texts, for data that are made to a length in tokens."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.errors import UsageError

if TYPE_CHECKING:
    import httpx2

QUARTERS = "characters/4"
"""The name of the estimate that is used without a tokeniser."""
PROBE = (
    "A probe: 0123456789, 3.14, f47ac10b-58cc-4372-a567-0e02b2c3d479; naïve, Übung, слово, 単語, "
    "\n\tdef f(x):\n\t\treturn x**2\n\n  “quoted”  THE END 🙂\n"
)
"""A text that tokenisers cut differently. Its tokens identify a tokeniser, wherever it runs."""
_TIMEOUT = 60.0
_FIX = "name the model's tokenizer.json or the address of a server with the route /tokenize"


@dataclass(frozen=True)
class Tokeniser:
    """Counts tokens as the tokeniser at `place` does.

    `place`: "" for an estimate, which is a quarter of the number of characters; the path of a
    `tokenizer.json` or of its folder; or the address of a server that has the route `/tokenize`, as those of
    llama.cpp and vLLM have. Nothing is read or asked before the first count. Tokens that a chat template
    adds are not counted.
    """

    place: str = ""

    @functools.cached_property
    def name(self) -> str:
        """An identity of the tokeniser that does not depend on where it runs: a digest of the tokens of
        `PROBE`. It is `QUARTERS` for the estimate. Raises `UsageError` if the tokeniser cannot be used."""
        if not self.place:
            return QUARTERS
        tokens = ",".join(map(str, self._tokens(PROBE)))
        return f"tokeniser {hashlib.sha256(tokens.encode()).hexdigest()[:12]}"

    def count(self, text: str) -> float:
        """The number of tokens of `text`; an estimate may be a fraction. Raises `UsageError`."""
        return len(self._tokens(text)) if self.place else len(text) / 4

    def _tokens(self, text: str) -> Sequence[int]:
        if self.place.startswith(("http://", "https://")):
            return self._asked(text)
        tokens: Sequence[int] = self._file.encode(text, add_special_tokens=False).ids
        return tokens

    @functools.cached_property
    def _file(self) -> Any:
        from evalkit.needs import load

        path = Path(self.place).expanduser()
        path = path / "tokenizer.json" if path.is_dir() else path
        if not path.is_file():
            raise UsageError(f"tokenizer={self.place}: there is no such file; {_FIX}")
        tokenizers = load("tokenizers", "a tokenizer.json", "pip install tokenizers")
        try:
            found = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises plain exceptions
            raise UsageError(f"tokenizer={self.place}: {path} is no tokenizer.json: {error}") from error
        found.no_truncation()
        found.no_padding()
        return found

    def _asked(self, text: str) -> Sequence[int]:
        """The tokens as a server gives them. llama.cpp reads `content`, vLLM `prompt`."""
        import httpx2

        address = self.place.rstrip("/").removesuffix("/tokenize").removesuffix("/v1") + "/tokenize"
        body = {
            "content": text, "add_special": False,
            "prompt": text, "add_special_tokens": False,
        }  # fmt: skip
        try:
            answer = _client().post(address, json=body)
            answer.raise_for_status()
            tokens = answer.json()["tokens"]
            if not isinstance(tokens, list):
                raise TypeError("its answer has no list of tokens")
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError, KeyError, TypeError) as error:
            words = str(error) or type(error).__name__
            raise UsageError(
                f"tokenizer={self.place}: {address} gives no tokens ({words}); {_FIX}"
            ) from error
        return tokens


@functools.cache
def _client() -> httpx2.Client:
    """The connections to all servers; a client is slow to make."""
    import httpx2

    return httpx2.Client(timeout=_TIMEOUT)
