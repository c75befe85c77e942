"""Signatures: what was asked and how it was scored, derived while asking.

Two cells with equal signatures asked the same questions the same way. What goes in:

- the questions: every sample's id, references and choices, and every request made for it (the exact
  prompt, decoding and stop sequences), as one digest that does not depend on order;
- the protocol's fields and its solver;
- the code that extracts, judges and measures: a digest of its source without comments and docstrings.

What stays out, because it does not change the question: the model, concurrency, the seed, the machine,
where the records came from, the names of task and protocol, and evalkit's version.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import hashlib
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from evalkit.errors import UsageError
from evalkit.samples import JSON

KEYS = 1 << 128
"""How many digests there are: `combine` adds modulo this."""
_ROOMS = ("evalkit.answers.", "evalkit.metrics.", "evalkit.sandbox.")


def digest(value: JSON) -> bytes:
    """16 bytes of SHA-256 over `value` as canonical JSON."""
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).digest()[:16]


def code_identity(thing: Any) -> str:
    """`name@digest` of a function, or of a metric with the parameters that are not at their defaults.

    The digest covers the whole module that defines it and what that takes from evalkit's scoring rooms
    (`_ROOMS`), as syntax trees: moving a comment changes nothing, changing a constant does.
    Raises `UsageError` for code without a source file, such as one typed at a prompt.
    """
    if isinstance(thing, functools.partial):
        inner = [repr(a) for a in thing.args] + [f"{k}={v!r}" for k, v in sorted(thing.keywords.items())]
        return f"{code_identity(thing.func)}({','.join(inner)})"
    if inspect.isroutine(thing) or inspect.isclass(thing):
        return f"{thing.__qualname__}@{_module_digest(thing.__module__)}"
    kind = type(thing)
    parameters = []
    if dataclasses.is_dataclass(thing):
        parameters = [
            f"{field.name}={_parameter(value)}"
            for field in dataclasses.fields(thing)
            if (value := getattr(thing, field.name)) != field.default
        ]
    shown = f"({','.join(parameters)})" if parameters else ""
    return f"{kind.__qualname__}{shown}@{_module_digest(kind.__module__)}"


def _parameter(value: object) -> str:
    return code_identity(value) if callable(value) or dataclasses.is_dataclass(value) else repr(value)


@functools.cache
def _module_digest(name: str) -> str:
    module = sys.modules[name]
    try:
        source = inspect.getsource(module)
    except (OSError, TypeError):
        raise UsageError(
            f"no source file for module {name!r}: a signature needs one; put the code in a .py file"
        ) from None
    state = hashlib.sha256()
    _feed(ast.parse(source), state.update)
    used = {
        value.__name__ if inspect.ismodule(value) else getattr(value, "__module__", None) or ""
        for value in vars(module).values()
    }
    for other in sorted(used - {name}):
        if other.startswith(_ROOMS):
            state.update(_module_digest(other).encode())
    return state.hexdigest()[:8]


def _feed(node: object, update: Callable[[bytes], None]) -> None:
    """Feeds a syntax tree in a form that does not differ between Python versions."""
    if isinstance(node, ast.AST):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            _drop_docstring(node)
        update(f"({type(node).__name__}".encode())
        for field, value in ast.iter_fields(node):
            if value not in (None, []):  # newer versions add fields, empty where unused
                update(f" {field}=".encode())
                _feed(value, update)
        update(b")")
    elif isinstance(node, list):
        for item in node:
            _feed(item, update)
    else:
        update(f"{type(node).__name__}:{node!r}".encode())


def _drop_docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    if ast.get_docstring(node, clean=False) is not None:
        node.body = node.body[1:]


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
    "n", "shots", "draws", "temperature", "top_p", "max_tokens", "stop", "api", "solver", "likelihood",
    "fallback", "average", "language_hint", "max_pixels", "resample", "questions", "prompts", "validation",
    "extract", "referee", "judge", "metric",
)  # fmt: skip
_USUAL: tuple[tuple[str, JSON], ...] = (("top_p", 1.0), ("stop", []))
"""Left out of the line, not of the signature."""
_WORDS = {
    "n": "number of samples",
    "questions": "the questions",
    "prompts": "the prompts sent",
    "validation": "what the threshold was chosen on",
    "average": "how groups are averaged",
    "referee": "who reads what the rules cannot",
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
    return (sum(map(int.from_bytes, digests)) % KEYS).to_bytes(16).hex()
