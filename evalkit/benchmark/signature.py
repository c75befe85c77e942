"""Signatures: what was asked and how it was scored, derived from the requests of a run.

Two cells with equal signatures asked the same questions in the same way. A signature covers:

- the questions: every sample's id, text, references, choices, media, group and `meta`, and every request made
  for it (the exact prompt, decoding and stop sequences), as one digest that does not depend on order;
- the protocol's fields, its solver and its reader;
- the code that extracts, scores and measures: evalkit's by its declared version, a user's by a digest of the
  code that it reaches (`evalkit.identity.declared`).

It leaves out what does not change the question: the model, concurrency, the seed, the machine, where the
records came from, the names of task and protocol, and evalkit's version.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping

import orjson

from evalkit.samples import JSON

_DIGESTS = 1 << 128
"""The number of possible digests; `combine` adds modulo this."""


def digest(value: JSON) -> bytes:
    """The first 16 bytes of the SHA-256 of `value` as canonical JSON."""
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).digest()[:16]


@dataclasses.dataclass(frozen=True, slots=True)
class Signature:
    """The parts of a cell's signature. `parts` are compared; `notes` are printed and not compared."""

    parts: Mapping[str, JSON]
    notes: Mapping[str, JSON] = dataclasses.field(default_factory=dict)

    @property
    def short(self) -> str:
        """The first 8 hex digits of the digest of all parts."""
        return digest(dict(self.parts)).hex()[:8]

    def line(self) -> str:
        """The signature as one line, in sacreBLEU's style: `n:1319|shots:8|…|sig:1f2e3d4c`."""
        shown = [
            f"{key}:{_compact(self.parts[key])}"
            for key in _SHOWN
            if key in self.parts and (key, self.parts[key]) not in _USUAL
        ]
        shown += [f"{key}:{_compact(value)}" for key, value in self.notes.items()]
        return "|".join([*shown, f"sig:{self.short}"])

    def without(self, keys: Iterable[str]) -> Signature:
        """The same signature without the parts named by `keys`."""
        removed = set(keys)
        return Signature({key: value for key, value in self.parts.items() if key not in removed}, self.notes)

    def differences(self, other: Signature) -> list[str]:
        """One message for each part that differs, with this signature's value first: `shots: 8 and 4`."""
        messages = []
        for key in sorted({*self.parts, *other.parts}, key=_order):
            mine, theirs = self.parts.get(key), other.parts.get(key)
            if mine != theirs:
                messages.append(f"{_WORDS.get(key, key)}: {_compact(mine)} and {_compact(theirs)}")
        return messages


_SHOWN = (
    "imported", "scored as",
    "n", "shots", "draws", "temperature", "top_p", "max_tokens", "stop", "api", "solver", "reader",
    "likelihood", "fallback", "average", "language_hint", "max_pixels", "resample", "frames", "frame_rule",
    "top_k", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty", "system", "extra",
    "questions", "prompts", "validation", "corpus", "counted", "extract", "model_extractor", "scorer",
    "metric",
)  # fmt: skip
_USUAL: tuple[tuple[str, JSON], ...] = (("top_p", 1.0), ("stop", []))
"""Values that the line leaves out; the signature includes them."""
_WORDS = {
    "n": "number of samples",
    "system": "the system message",
    "extra": "further parameters",
    "questions": "the questions",
    "prompts": "the prompts sent",
    "validation": "what the threshold was chosen on",
    "corpus": "the scored samples, all of which the metric uses for each",
    "counted": "what the models' own tokenisers make of the same texts",
    "average": "how groups are averaged",
    "model_extractor": "the model that reads answers that the rules cannot",
}


def _order(key: str) -> int:
    return _SHOWN.index(key) if key in _SHOWN else len(_SHOWN)


def _compact(value: JSON) -> str:
    if isinstance(value, list):
        return ",".join(map(_compact, value)) or "none"
    if isinstance(value, float):
        return f"{value:g}"
    text = orjson.dumps(value).decode() if isinstance(value, dict) else str(value)
    if len(text) == 32 and all(c in "0123456789abcdef" for c in text):
        return text[:8]
    return text.replace("|", "/").replace("\n", "\\n")


def combine(digests: Iterable[bytes]) -> str:
    """A hex digest of a multiset of 16-byte digests, which does not depend on their order.

    It is their sum modulo 2^128 rather than their xor, so that an item that occurs twice does not cancel out.
    """
    return (sum(map(int.from_bytes, digests)) % _DIGESTS).to_bytes(16).hex()
