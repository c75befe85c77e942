"""The figure in what a module of `evaluate` returned: a number for all samples, or one for each."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import Any

from evalkit.errors import ScorerError

_MOST = 12
"""The most keys that a message lists."""


def figure(returned: Any, key: str, name: str) -> float:
    """The number under `key` as `found` finds it. It may be NaN. Raises `ScorerError`."""
    what, value = found(returned, key, name, 0)
    number = as_number(value)
    if number is not None:
        return number
    if isinstance(_plain(value), list):
        raise ScorerError(f"returned a list{what}: per_sample=True is for a value of each sample")
    raise ScorerError(f"returned {_shown(value)}{what}, which is no number{_others(returned)}")


def values(returned: Any, key: str, name: str, count: int) -> list[float]:
    """The list under `key`, one number for each of `count` answers. Raises `ScorerError`."""
    what, value = found(returned, key, name, count)
    listed = _plain(value)
    if not isinstance(listed, list):
        raise ScorerError(
            f"returned {_shown(value)}{what}, and per_sample=True needs a value for each sample"
            f"{_others(returned)}"
        )
    if len(listed) != count:
        raise ScorerError(f"returned {len(listed)} values{what} for {count} answers")
    numbers_of = [as_number(one) for one in listed]
    for one, number in zip(listed, numbers_of, strict=True):
        if number is None:
            raise ScorerError(f"returned {_shown(one)}{what} among the values, which is no number")
    return [number for number in numbers_of if number is not None]


def found(returned: Any, key: str, name: str, count: int) -> tuple[str, Any]:
    """(` as KEY`, the value) that is meant in a dictionary, or ("", what was returned) if it is none.

    Without `key` it is the only entry that fits, else the one called as the module (`name`), else `score`.
    `count`: the length of the list that fits; 0 if a number does. Raises `ScorerError`.
    """
    if isinstance(returned, tuple) and returned and isinstance(returned[0], Mapping):
        returned = returned[0]  # code_eval adds what the programs printed
    if not isinstance(returned, Mapping):
        if key:
            raise ScorerError(f"returned {_shown(returned)} without names: leave out key={key!r}")
        return "", returned
    if key and key not in returned:
        raise ScorerError(f"returned no {key!r}{_others(returned)}")
    fitting = [one for one, value in returned.items() if _fits(value, count)]
    usual = [one for one in (name, "score") if one in fitting]
    chosen = key or (fitting[0] if len(fitting) == 1 else usual[0] if usual else "")
    if not chosen:
        kind = "lists of a value for each sample" if count else "numbers"
        more = "per_sample=True is for the lists" if not count and not fitting else "choose one with key="
        raise ScorerError(f"returned {len(fitting) or 'no'} {kind}{_others(returned)}: {more}")
    return f" as {chosen}", returned[chosen]


def as_number(value: Any) -> float | None:
    """A number of Python, NumPy or PyTorch as a float; None for anything else."""
    if isinstance(value, numbers.Real):
        return float(value)
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        return as_number(value.item())
    return None


def _fits(value: Any, count: int) -> bool:
    if not count:
        return as_number(value) is not None
    listed = _plain(value)
    return isinstance(listed, list) and len(listed) == count


def _plain(value: Any) -> Any:
    """Lists of any kind as a list."""
    if isinstance(value, tuple):
        return list(value)
    return value.tolist() if getattr(value, "ndim", 0) and hasattr(value, "tolist") else value


def _shown(value: Any) -> str:
    return f"{value!r:.60}"


def _others(returned: Any) -> str:
    if not isinstance(returned, Mapping):
        return ""
    names = [str(name) for name in returned]
    return f" (it has {', '.join(names[:_MOST])}{', …' if len(names) > _MOST else ''})"
