"""Conversion of frozen dataclasses from and to plain JSON and TOML, by their type hints.

A run file's specs, papers' tables and `evalkit.toml` are read with it. The conversion is strict: an unknown
key, a missing key and a value of another type raise `UsageError`, which names the place. Type hints may be
`str`, `int`, `float`, `bool`, `Literal`, `X | None`, `tuple[X, ...]`, `Mapping[str, X]`, another dataclass,
or `JSON` (any value).
"""

from __future__ import annotations

import dataclasses
import math
import tomllib
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Literal, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints

from evalkit.errors import UsageError, unknown
from evalkit.samples import JSON

_T = TypeVar("_T")
_NO_JSON = ("inf", "-inf", "nan")
"""Numbers that JSON does not have; they are stored as texts."""
_WORDS = {float: "a number", int: "an integer", bool: "true or false", str: "a text in quotes"}


class Readable(Protocol):
    """A path, or a file of a package."""

    def read_text(self, encoding: str) -> str: ...


def read_toml(place: Readable) -> dict[str, Any]:
    """The document at `place`. Raises `UsageError` that names it."""
    try:
        return tomllib.loads(place.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {place}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{place} is not valid TOML: {error}") from None


def to_json(value: object) -> JSON:
    """Converts a dataclass, field by field, or a value that a field may have, into plain JSON."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"{type(value).__name__} cannot be converted into JSON")


def from_json(kind: type[_T], entries: object, where: str) -> _T:
    """The `kind` that `entries` describes. Raises `UsageError`, whose message begins with `where`."""
    types = _types(kind)
    if not isinstance(entries, Mapping):
        raise UsageError(f"{where} must be a table of {', '.join(types)}")
    for key in entries:
        if key not in types:
            raise unknown(f"key in {where}", str(key), types)
    if missing := sorted(_needed(kind) - entries.keys()):
        raise UsageError(f"{where} has no {', '.join(missing)}")
    return kind(**{key: typed(value, types[key], f"{where}: {key}") for key, value in entries.items()})


def typed(value: object, wanted: Any, where: str) -> Any:
    """`value` converted into the type of the hint `wanted`. Raises `UsageError`."""
    origin, inner = get_origin(wanted), get_args(wanted)
    if origin in (UnionType, Union):
        if value is None and NoneType in inner:
            return None
        kinds = [kind for kind in inner if kind is not NoneType]
        # `JSON` is the only allowed hint with several kinds.
        return value if len(kinds) > 1 else typed(value, kinds[0], where)
    if origin is Literal:
        if value in inner:
            return value
        raise UsageError(f"{where} = {value!r} must be one of {', '.join(map(str, inner))}")
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(typed(item, inner[0], where) for item in value)
    if origin is Mapping and isinstance(value, Mapping):
        return {key: typed(item, inner[1], f"{where}, {key!r}") for key, item in value.items()}
    if dataclasses.is_dataclass(wanted):
        assert isinstance(wanted, type)
        return value if isinstance(value, wanted) else from_json(wanted, value, where)
    if wanted is float and value in _NO_JSON:
        return float(str(value))
    if wanted is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(wanted, type) and type(value) is wanted:
        return value
    raise UsageError(f"{where} = {value!r} must be {_WORDS.get(wanted, 'of another type')}")


_HINTS: dict[type[Any], dict[str, Any]] = {}
"""The types of the arguments of each dataclass; resolving them takes longer than the conversion."""


def _types(kind: type[Any]) -> dict[str, Any]:
    if kind not in _HINTS:
        hints = get_type_hints(kind)
        _HINTS[kind] = {field.name: hints[field.name] for field in dataclasses.fields(kind) if field.init}
    return _HINTS[kind]


def _needed(kind: type[Any]) -> frozenset[str]:
    missing = dataclasses.MISSING
    return frozenset(
        field.name
        for field in dataclasses.fields(kind)
        if field.init and field.default is field.default_factory is missing
    )
