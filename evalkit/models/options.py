"""The options after the question mark of `backend/name?option=value`, and how each is read."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

from evalkit.errors import UsageError, unknown

Read: TypeAlias = Callable[[str], Any]
"""A function that parses an option as typed. It raises `ValueError` that says what the option must be."""


def whole_number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("must be an integer") from None


def number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("must be a number") from None


def on_or_off(text: str) -> bool:
    if text not in ("on", "off"):
        raise ValueError("must be on or off")
    return text == "on"


def temperatures(text: str) -> bool | tuple[float, ...]:
    """on, off, or the temperatures themselves, such as 0,0.2,0.4."""
    if text in ("on", "off"):
        return text == "on"
    try:
        found = tuple(map(float, text.split(",")))
    except ValueError:
        found = ()
    rising = all(low < high for low, high in itertools.pairwise(found))
    if len(found) < 2 or not rising or found[0] < 0 or not math.isfinite(found[-1]):
        raise ValueError("must be on, off, or rising temperatures such as 0,0.2,0.4")
    return found


def parse_options(query: str) -> dict[str, str]:
    """The options after the question mark, as typed."""
    return dict(parse_qsl(query, keep_blank_values=True))


def take_options(spec: str, names: Collection[str]) -> tuple[str, dict[str, str]]:
    """`spec` without the options called `names`, and these options as typed."""
    head, _, query = spec.partition("?")
    parts = query.split("&") if query else []
    taken = [part for part in parts if part.partition("=")[0] in names]
    left = "&".join(part for part in parts if part not in taken)
    return (f"{head}?{left}" if left else head), parse_options("&".join(taken))


def read_options(
    model: str, typed: Mapping[str, str], known: Mapping[str, Read], owner: str
) -> dict[str, Any]:
    """The options of `typed`, each parsed by its function in `known`.

    Raises `UsageError` that names the option and says what is wrong with it.
    """
    options = {}
    for key, text in typed.items():
        if key not in known:
            raise unknown(f"option of {owner}", key, known, "" if known else f"{model} has no options")
        try:
            options[key] = known[key](text)
        except ValueError as error:
            raise UsageError(f"{model}: {key} {error}, not {text!r}") from None
    return options
