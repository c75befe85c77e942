"""Signatures: what was asked and how it was scored, derived while asking.

Two cells with equal signatures asked the same questions the same way. What goes in:

- the questions: every sample's id, text, references, choices, media, group and `meta`, and every request made
  for it (the exact prompt, decoding and stop sequences), as one digest that does not depend on order;
- the protocol's fields, its solver and its reader;
- the code that extracts, judges and measures: by its declared version, a user's own by what it reaches
  (`evalkit.identity.declared`).

What stays out, because it does not change the question: the model, concurrency, the seed, the machine,
where the records came from, the names of task and protocol, and evalkit's version.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping

import orjson

from evalkit.samples import JSON

_DIGESTS = 1 << 128
"""How many digests there are: `combine` adds modulo this."""


def digest(value: JSON) -> bytes:
    """16 bytes of SHA-256 over `value` as canonical JSON."""
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).digest()[:16]


@dataclasses.dataclass(frozen=True, slots=True)
class Signature:
    """The parts of a cell's signature. `parts` are compared; `notes` are printed and not compared."""

    parts: Mapping[str, JSON]
    notes: Mapping[str, JSON] = dataclasses.field(default_factory=dict)

    @property
    def short(self) -> str:
        """8 hex digits over all parts."""
        return digest(dict(self.parts)).hex()[:8]

    def line(self) -> str:
        """One line, in the manner of sacreBLEU: `n:1319|shots:8|…|sig:1f2e3d4c`."""
        shown = [
            f"{key}:{_compact(self.parts[key])}"
            for key in _SHOWN
            if key in self.parts and (key, self.parts[key]) not in _USUAL
        ]
        shown += [f"{key}:{_compact(value)}" for key, value in self.notes.items()]
        return "|".join([*shown, f"sig:{self.short}"])

    def without(self, keys: Iterable[str]) -> Signature:
        """The same but for the parts named."""
        left = set(keys)
        return Signature({key: value for key, value in self.parts.items() if key not in left}, self.notes)

    def differences(self, other: Signature) -> list[str]:
        """What differs, in words, this side first: `shots: 8 and 4`."""
        found = []
        for key in sorted({*self.parts, *other.parts}, key=_order):
            mine, theirs = self.parts.get(key), other.parts.get(key)
            if mine != theirs:
                found.append(f"{_WORDS.get(key, key)}: {_compact(mine)} and {_compact(theirs)}")
        return found


_SHOWN = (
    "n", "shots", "draws", "temperature", "top_p", "max_tokens", "stop", "api", "solver", "reader",
    "likelihood", "fallback", "average", "language_hint", "max_pixels", "resample", "frames", "frame_rule",
    "questions", "prompts", "validation", "corpus", "extract", "model_extractor", "scorer", "metric",
)  # fmt: skip
_USUAL: tuple[tuple[str, JSON], ...] = (("top_p", 1.0), ("stop", []))
"""Left out of the line, not of the signature."""
_WORDS = {
    "n": "number of samples",
    "questions": "the questions",
    "prompts": "the prompts sent",
    "validation": "what the threshold was chosen on",
    "corpus": "the samples that were scored, all of which the metric knows",
    "average": "how groups are averaged",
    "model_extractor": "who reads what the rules cannot",
}


def _order(key: str) -> int:
    return _SHOWN.index(key) if key in _SHOWN else len(_SHOWN)


def _compact(value: JSON) -> str:
    if isinstance(value, list):
        return ",".join(map(_compact, value)) or "none"
    if isinstance(value, float):
        return f"{value:g}"
    text = str(value)
    if len(text) == 32 and all(c in "0123456789abcdef" for c in text):
        return text[:8]
    return text.replace("|", "/").replace("\n", "\\n")


def combine(digests: Iterable[bytes]) -> str:
    """Hex digest of a set of 16-byte digests: the same in any order.

    Their sum modulo 2^128 rather than xor, so that an item counted twice does not vanish.
    """
    return (sum(map(int.from_bytes, digests)) % _DIGESTS).to_bytes(16).hex()
