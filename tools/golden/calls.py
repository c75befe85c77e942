"""Cases of golden files: calls, and the form in which their outputs are written."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evalkit.samples import JSON, File, Verdict

LONGEST = 60
"""The longest input, in characters, that a file shows; longer ones become digests. `MOST`: of an output."""
MOST = 150
BLOCK = 20
"""The number of generated inputs per line."""
_NONE: Mapping[str, object] = {}


@dataclass(frozen=True, slots=True)
class Call:
    """A call of an identity's code. `function` takes `args`, and may be a coroutine function."""

    function: Callable[..., object]
    args: tuple[object, ...]
    named: Mapping[str, object] = field(default_factory=dict)

    @property
    def input(self) -> str:
        return as_json([*self.args, *([dict(self.named)] if self.named else [])])

    async def output(self) -> str:
        """The returned value as JSON, or the name of the exception."""
        try:
            value = self.function(*self.args, **self.named)
            return as_json(await value if inspect.isawaitable(value) else value)
        except Exception as error:  # noqa: BLE001 — an exception is an output like a value
            return f"raises {type(error).__name__}"


@dataclass(frozen=True, slots=True)
class Case:
    """A line of a golden file: one or more calls.

    `key`: identifies the inputs, so it does not change if other cases are added or removed. `place`: the
    origin of the case, for messages: a file and an index, or a task and a sample. `hidden`: whether outputs
    are shown as digests.
    """

    key: str
    place: str
    calls: tuple[Call, ...]
    hidden: bool = False

    async def output(self) -> str:
        found = [await call.output() for call in self.calls]
        if self.hidden:
            return " ".join(digest(one, 4) for one in found)
        return " | ".join(one if len(one) <= MOST else f"#{digest(one, 8)}" for one in found)


def digest(text: str, digits: int) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:digits]


def own(function: Callable[..., object], *args: object, **named: object) -> Case:
    """A case with an input written for evalkit, which the file shows if it is short."""
    return each((Call(function, args, named),), args[0] if args else "")


def each(calls: Iterable[Call], shown: object) -> Case:
    """A case of several calls with one input, such as a text that is read for several samples."""
    listed = tuple(calls)
    inputs = " ".join(call.input[1:-1] for call in listed)
    text = as_json(shown)
    if len(inputs) > LONGEST:
        text = text if len(text) <= LONGEST else f"{text[: LONGEST // 2]}…"
        inputs = f"{text} #{digest(inputs, 6)}"
    return Case(inputs, "tests/golden/inputs", listed)


def referred(
    source: str, index: int | str, calls: Iterable[Call], inputs: object = None, *, hidden: bool = False
) -> Case:
    """A case whose input is elsewhere: `source` is a file or a task, `index` the position there.

    `inputs`: what the key is made from; None for the arguments of the calls.
    """
    listed = tuple(calls)
    known = " ".join(call.input for call in listed) if inputs is None else as_json(inputs)
    return Case(f"{source} #{digest(known, 8)}", f"{source}, {index}", listed, hidden)


def blocks(calls: Iterable[Call]) -> list[Case]:
    """Cases of generated inputs, with several inputs per line."""
    listed = list(calls)
    parts = [tuple(listed[start : start + BLOCK]) for start in range(0, len(listed), BLOCK)]
    return [
        referred("generated", f"from {BLOCK * number} on", part, hidden=True)
        for number, part in enumerate(parts)
    ]


def distinct(cases: Iterable[Case]) -> list[Case]:
    """The cases without those whose key occurred before."""
    found: dict[str, Case] = {}
    for case in cases:
        found.setdefault(case.key, case)
    return list(found.values())


def as_json(value: object) -> str:
    return json.dumps(plain(value), ensure_ascii=False, sort_keys=True)


def plain(value: Any) -> JSON:
    """`value` as JSON. Floats have twelve digits, because the last bits of a sum depend on the machine."""
    if isinstance(value, str | bool | int | None):
        return value
    if isinstance(value, float):
        return float(f"{value:.12g}") if math.isfinite(value) else str(value)
    if isinstance(value, Verdict):
        values = [plain(value.values)] if value.values else []
        return [value.correct, value.reason, plain(value.credit), *values]
    if isinstance(value, File):
        return f"{type(value).__name__} {value.key[:12]}"
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _fields(value)
    if isinstance(value, Sequence | set | frozenset):
        return [plain(one) for one in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return str(getattr(value, "__name__", type(value).__name__))


def _fields(value: Any) -> JSON:
    """The fields that are not at their defaults, so that a new field changes no output."""
    found: dict[str, JSON] = {}
    for one in dataclasses.fields(value):
        default = one.default if one.default_factory is dataclasses.MISSING else one.default_factory()
        if (held := getattr(value, one.name)) != default:
            found[one.name] = plain(held)
    return found
